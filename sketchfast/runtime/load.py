"""Run an exported retrieval model without torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .manifest import ManifestError, read_manifest
from .preprocess import Preprocess
from .sketches import read_photo, read_sketch

Output = Literal["embedding", "code", "weights"]
Modality = Literal["sketch", "photo", "trait"]

#: Files that fix preprocessing, by their key in the manifest, which repeats them; the two must agree. The second is there
#: only in the export of a model that weighs the dimensions for each query.
PREPROCESS_NAME = "preprocess.json"
TRAIT_PREPROCESS_NAME = "trait_preprocess.json"

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class RetrievalEncoders:
    """Sketch and photo encoders of an export, with the preprocessing they were trained with.

    The call signature is that of the torch model: :meth:`encode_sketch` and :meth:`encode_photo` take preprocessed
    batches. :meth:`encode_files` starts from files instead and preprocesses them by the code that training used.

    A model that weighs the dimensions for each query (:class:`sketchfast.models.vtd.VTD`) has a third encoder, "trait":
    :meth:`weights_of` reads the weights from a sketch.

    Attributes:
        folder: where the export lies.
        manifest: its manifest, already verified against the files.
        preprocess: resizing and normalisation, from ``preprocess.json``.
        class_names: names of the classes the model was trained on.
        dim: length of an embedding.
        bits: length of a code in bits, or ``None`` for an export without codes.
        distance: what ranks embeddings: "cosine" (similarity, higher is nearer), "euclidean" (squared) or "weighted" (squared,
            the smallest over the samples of weights); lower is nearer in both.
        trait_preprocess: as ``preprocess``, for the "trait" encoder; ``None`` where there is none.
        samples: samples of weights for a sketch, 0 without a "trait" encoder.
    """

    def __init__(
        self, folder: Path, manifest: dict[str, Any], providers: Sequence[str], threads: int = 0
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.preprocess = _read_preprocess(folder, manifest, "preprocess", PREPROCESS_NAME)
        traits = "trait" in manifest["encoders"]
        self.trait_preprocess = (
            _read_preprocess(folder, manifest, "trait_preprocess", TRAIT_PREPROCESS_NAME) if traits else None
        )
        self.samples: int = manifest["samples"] if traits else 0
        self.class_names: list[str] = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        self.dim: int = manifest["dim"]
        self.bits: int | None = manifest["bits"]
        # Exports from before the key was added rank by cosine similarity.
        self.distance: str = manifest.get("distance", {}).get("embedding", "cosine")
        self._providers = list(providers)
        self._threads = threads
        self._sessions: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"RetrievalEncoders({str(self.folder)!r}, dim={self.dim}, bits={self.bits}, providers={self._providers})"

    def encode_sketch(self, batch: NDArray[np.float32], output: Output = "embedding") -> NDArray[Any]:
        """Embeds preprocessed sketches.

        Args:
            batch: float32 [B, 3, S, S], as :attr:`preprocess` makes it; B may be 0.
            output: "embedding" for float32 [B, dim], "code" for packed uint8 [B, bits/8].

        Raises:
            ValueError: wrong shape or dtype, or an output that this export does not have.
        """
        return self._encode("sketch", batch, output)

    def encode_photo(self, batch: NDArray[np.float32], output: Output = "embedding") -> NDArray[Any]:
        """Embeds preprocessed photos; arguments, result and errors as :meth:`encode_sketch`."""
        return self._encode("photo", batch, output)

    def weights_of(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Weights of the dimensions, w = 1 + eta, for one sketch: float32 [samples, dim].

        Args:
            image: uint8 [H, W, 3], black ink on white, as ``read_sketch`` makes it.

        Raises:
            ValueError: an export without a "trait" encoder, or another shape.
            TypeError: another dtype.
        """
        self._check_modality("trait")
        assert self.trait_preprocess is not None
        return self._encode("trait", self.trait_preprocess(image, sketch=True)[None], "weights")[0]

    def encode_files(
        self,
        paths: Iterable[str | Path],
        modality: Modality,
        *,
        output: Output = "embedding",
        batch_size: int = 16,
    ) -> NDArray[Any]:
        """Reads, preprocesses and embeds files.

        Args:
            paths: sketches (PNG, JPEG, SVG, QuickDraw ndjson) or photos.
            modality: which encoder, and how the files are read; "trait" reads sketches, with ``output="weights"``.
            output: as :meth:`encode_sketch`.
            batch_size: images a call of the encoder.

        Returns:
            One row a path, in order.
        """
        self._check_modality(modality)
        preprocess = self._preprocess_of(modality)
        rows: list[NDArray[Any]] = []
        pending: list[NDArray[np.float32]] = []
        for path in paths:
            image = read_photo(path) if modality == "photo" else read_sketch(path).image
            pending.append(preprocess(image, sketch=modality != "photo"))
            if len(pending) == batch_size:
                rows.append(self._encode(modality, np.stack(pending), output))
                pending = []
        if pending or not rows:
            size = preprocess.size
            batch = np.stack(pending) if pending else np.zeros((0, 3, size, size), np.float32)
            rows.append(self._encode(modality, batch, output))
        return np.concatenate(rows)

    def _check_modality(self, modality: str) -> None:
        if modality not in self.manifest["encoders"]:
            raise ValueError(
                f"modality: expected one of {sorted(self.manifest['encoders'])}, found {modality!r}"
            )

    def encode(
        self, modality: Modality, batch: NDArray[np.float32], outputs: Sequence[str] = ("embedding",)
    ) -> dict[str, NDArray[Any]]:
        """Several outputs of one pass through an encoder: {"embedding": [B, dim], "code": [B, bits/8]}.

        The "trait" encoder has {"weights": [B, samples, dim]} of batches as :attr:`trait_preprocess` makes them.

        Arguments and errors as :meth:`encode_sketch`.
        """
        self._check_modality(modality)
        size = self._preprocess_of(modality).size
        batch = np.asarray(batch)
        if batch.ndim != 4 or batch.shape[1:] != (3, size, size) or batch.dtype != np.float32:
            raise ValueError(
                f"batch: expected float32 [B, 3, {size}, {size}], found {batch.dtype} {list(batch.shape)}"
            )
        available = self.manifest["encoders"][modality]["outputs"]
        for output in outputs:
            if output not in available:
                hint = " (fit ITQ before exporting to get codes)" if output == "code" else ""
                raise ValueError(f"output: this export has {sorted(available)}, found {output!r}{hint}")
        if len(batch) == 0:
            empty: dict[str, NDArray[Any]] = {
                "embedding": np.zeros((0, self.dim), np.float32),
                "code": np.zeros((0, (self.bits or 0) // 8), np.uint8),
                "weights": np.zeros((0, self.samples, self.dim), np.float32),
            }
            return {output: empty[output] for output in outputs}
        # Chunks no larger than the largest batch that was verified: an export is only as good as what was checked.
        largest = self.manifest["dims"]["batch"][-1]
        session = self._session(modality)
        parts = [
            session.run(list(outputs), {"image": np.ascontiguousarray(batch[start : start + largest])})
            for start in range(0, len(batch), largest)
        ]
        return {output: np.concatenate([part[i] for part in parts]) for i, output in enumerate(outputs)}

    def _preprocess_of(self, modality: Modality) -> Preprocess:
        if modality == "trait":
            assert self.trait_preprocess is not None
            return self.trait_preprocess
        return self.preprocess

    def _encode(self, modality: Modality, batch: NDArray[np.float32], output: str) -> NDArray[Any]:
        return self.encode(modality, batch, (output,))[output]

    def _session(self, modality: str) -> Any:
        if modality not in self._sessions:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            path = self.folder / self.manifest["encoders"][modality]["file"]
            try:
                session = onnxruntime.InferenceSession(str(path), options, providers=self._providers)
            except Exception as error:  # ONNX Runtime's exceptions share no base class but this one
                raise ManifestError(
                    f"{path}: ONNX Runtime cannot open it ({error}); export the model again"
                ) from error
            if self._providers[0] not in session.get_providers():
                raise RuntimeError(
                    f"{path}: asked for {self._providers[0]} but ONNX Runtime fell back to {session.get_providers()}; "
                    'install onnxruntime-gpu (pip install "sketchfast[gpu]") or pass provider="cpu"'
                )
            self._sessions[modality] = session
        return self._sessions[modality]


def load(
    folder: str | Path, device: str = "auto", provider: str = "auto", *, threads: int = 0
) -> RetrievalEncoders:
    """Opens an export and checks it; imports no torch.

    Args:
        folder: what :func:`sketchfast.export` wrote.
        device: "auto" (CUDA where ONNX Runtime has it, else CPU), "cpu" or "cuda".
        provider: "auto" or "onnxruntime"; TensorRT follows later.
        threads: threads of ONNX Runtime's CPU provider; 0 lets it choose.

    Returns:
        The encoders, ready to run.

    Raises:
        FileNotFoundError: no such folder, or no manifest in it.
        ManifestError: a file is missing, truncated or edited, or the export is of another version.
        ModuleNotFoundError: ONNX Runtime is not installed.
        ValueError: unknown device or provider, or a device that ONNX Runtime does not have.
    """
    if provider not in ("auto", "onnxruntime"):
        raise ValueError(
            f"provider: expected 'auto' or 'onnxruntime', found {provider!r} (TensorRT plans are not supported yet)"
        )
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: expected 'auto', 'cpu' or 'cuda', found {device!r}")
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'ONNX Runtime is not installed; pip install "sketchfast[export]"'
        ) from error
    available = onnxruntime.get_available_providers()
    if device == "auto":
        device = "cuda" if _PROVIDERS["cuda"] in available else "cpu"
    if _PROVIDERS[device] not in available:
        raise ValueError(
            f"device: {device!r} needs {_PROVIDERS[device]}, ONNX Runtime has {available}; "
            'pip install "sketchfast[gpu]", or device="cpu"'
        )
    return RetrievalEncoders(folder, manifest, [_PROVIDERS[device]], threads)


def _read_preprocess(folder: Path, manifest: dict[str, Any], key: str, name: str) -> Preprocess:
    stored = json.loads((folder / name).read_text(encoding="utf-8"))
    if stored != manifest[key]:
        raise ManifestError(
            f"{folder / name}: differs from the manifest; preprocessing drifted, export again"
        )
    return Preprocess.from_dict(stored)
