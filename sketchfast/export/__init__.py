"""``sketchfast.export(model, "onnx")``: a model leaves torch, verified."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..runtime.manifest import is_export

if TYPE_CHECKING:
    from ..runtime.load import RetrievalEncoders
    from .parity import ParityReport

__all__ = ["ExportResult", "export"]

_TENSORRT_ALIASES = ("trt", "tensorrt", "engine")


@dataclass(frozen=True)
class ExportResult:
    """What an export wrote: the folder, its manifest and the parity with the torch model."""

    path: Path
    manifest: dict[str, Any]
    parity: ParityReport | None

    def load(self, **options: Any) -> RetrievalEncoders:
        """Opens the export; options as :func:`sketchfast.load`."""
        from ..runtime.load import load

        return load(self.path, **options)


def export(
    model: Any,
    format: str = "onnx",
    output: str | Path | None = None,
    *,
    precision: str = "fp32",
    dims: dict[str, tuple[int, int, int]] | None = None,
    outputs: tuple[str, ...] | None = None,
    opset: int = 20,
    verify: bool = True,
    overwrite: bool = False,
) -> ExportResult:
    """Exports a retrieval model's encoders: sketch, photo and, where it weighs the dimensions for each query, trait.

    Args:
        model: a module with ``encode_sketch`` and ``encode_photo`` ([B, 3, S, S] -> [B, dim]), ``preprocess``,
            ``class_names`` and, for codes, ``itq_projection`` and ``code_values`` ([B, dim] -> [B, bits]), such as
            :class:`sketchfast.models.tcn.TCN`; for weights of dimensions also ``test_noise`` (not None), ``trait_weights``
            ([B, 3, S', S'] -> [B, samples, dim]) and ``describer.preprocess``, such as :class:`sketchfast.models.vtd.VTD`; or the
            path of a run folder of ``train/tcn.py``, ``train/vtd.py`` or ``train/more_photos.py``.
        format: "onnx". TensorRT ("trt") is planned.
        output: folder to write, ``<model name>-onnx`` in the current folder by default.
        precision: "fp32"; fp16 and int8 are planned.
        dims: smallest, usual and largest batch that are verified, ``{"batch": (1, 8, 32)}`` by default.
        outputs: ``("embedding",)`` or ``("embedding", "code")``; by default codes whenever the model holds ITQ.
        opset: ONNX opset, 18 to 20.
        verify: run the graphs in ONNX Runtime against torch on golden inputs and refuse to publish on a difference.
        overwrite: replace an existing folder.

    Returns:
        Path, manifest and parity of the export.

    Raises:
        ExportParityError: the graphs do not reproduce the model; ``<output>.rejected`` is left for inspection.
        FileExistsError: ``output`` exists and ``overwrite`` is False, or is not an export.
        NotImplementedError: a format or precision that does not exist yet, with what works instead.
        TypeError: ``model`` lacks something named above.
        ValueError: an argument out of range, or a model whose weights need the category's name.
    """
    works = 'export(model, "onnx", precision="fp32") works now'
    if format in _TENSORRT_ALIASES:
        raise NotImplementedError(
            f"format: {format!r} (TensorRT) is not available yet; {works} and ONNX Runtime runs it on CPU and CUDA"
        )
    if format != "onnx":
        raise ValueError(f"format: expected 'onnx', found {format!r}")
    if precision in ("fp16", "int8"):
        raise NotImplementedError(f"precision: {precision!r} is not available yet; {works}")
    if precision != "fp32":
        raise ValueError(f"precision: expected 'fp32', found {precision!r}")
    if not 18 <= opset <= 20:
        raise ValueError(f"opset: expected 18, 19 or 20, found {opset}")
    dims = {"batch": (1, 8, 32)} if dims is None else dims
    batch = dims.get("batch")
    if (
        set(dims) != {"batch"}
        or batch is None
        or len(batch) != 3
        or not 1 <= batch[0] <= batch[1] <= batch[2]
    ):
        raise ValueError(
            f"dims: expected {{'batch': (smallest, usual, largest)}} with 1 <= smallest <= usual <= largest, found {dims}"
        )
    source = None
    if isinstance(model, str | Path):
        from ..models import find_checkpoint, load_run, weights_sha256

        source = weights_sha256(find_checkpoint(model))
        model = load_run(model)
    lacking = [
        name
        for name in ("encode_sketch", "encode_photo", "preprocess", "class_names")
        if not hasattr(model, name)
    ]
    if lacking:
        raise TypeError(
            f"model: {type(model).__name__} has no {', '.join(lacking)}; expected a retrieval model such as sketchfast.models.TCN"
        )
    folder = Path(output) if output is not None else Path(f"{type(model).__name__.lower()}-onnx")
    if folder.exists() and not overwrite:
        raise FileExistsError(f"output: {folder} exists; pass overwrite=True to replace it")
    if folder.exists() and not is_export(folder):
        raise FileExistsError(
            f"output: {folder} exists and is not an export of sketchfast, so it is not replaced"
        )

    from .onnx import export_onnx

    path, manifest, parity = export_onnx(
        model,
        folder,
        dims=dims,
        outputs=outputs,
        opset=opset,
        verify=verify,
        overwrite=overwrite,
        source=source,
    )
    return ExportResult(path, manifest, parity)


class _CallableModule(ModuleType):
    """Lets ``sketchfast.export(...)`` work although ``sketchfast.export`` is also the package of the exporters."""

    def __call__(self, *arguments: Any, **options: Any) -> ExportResult:
        return export(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
