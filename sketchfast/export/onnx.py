"""Writes a retrieval model's encoders as ONNX graphs and proves that they compute what the model computes."""

from __future__ import annotations

import copy
import logging
import platform
import shutil
import warnings
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from .. import __version__, atomic
from ..retrieval.answers import distance_of
from ..runtime import manifest as manifests
from ..runtime.load import PREPROCESS_NAME, TRAIT_PREPROCESS_NAME, Modality, RetrievalEncoders
from .encoder_graph import EncoderGraph, encoders_of, preprocess_of
from .parity import FP32_ATOL, ExportParityError, ParityReport, compare, golden_batch, golden_images


def export_onnx(
    model: Any,
    output: Path,
    *,
    dims: dict[str, tuple[int, int, int]],
    outputs: tuple[str, ...] | None,
    opset: int,
    verify: bool,
    overwrite: bool,
    source: str | None = None,
) -> tuple[Path, dict[str, Any], ParityReport | None]:
    """Exports the encoders into ``output``, published only once every gate has passed.

    ``source`` is the SHA-256 of the checkpoint's weights file, where the model came from one.

    Returns:
        The folder, its manifest, and the parity report (``None`` with ``verify=False``).

    Raises:
        ExportParityError: a gate was missed; ``<output>.rejected`` keeps what was written.
        ValueError: an output that the model does not have, or weights of dimensions that need more than the sketch.
    """
    has_codes = getattr(model, "itq_projection", None) is not None
    chosen = outputs or (("embedding", "code") if has_codes else ("embedding",))
    unknown = set(chosen) - {"embedding", "code"}
    if unknown or "embedding" not in chosen:
        raise ValueError(f"outputs: expected ('embedding',) or ('embedding', 'code'), found {tuple(chosen)}")
    if "code" in chosen and not has_codes:
        raise ValueError(
            "outputs: 'code' needs ITQ in the model; fit sketchfast.retrieval.ITQ and call model.set_itq(itq)"
        )
    if "code" in chosen and model.itq_projection.shape[1] % 8:
        raise ValueError(
            f"outputs: 'code' needs a multiple of 8 bits, the model's ITQ has {model.itq_projection.shape[1]}"
        )

    graphs = encoders_of(model, chosen)
    # A copy, so that the caller's model keeps its device, precision and mode.
    model = copy.deepcopy(model).eval().float().cpu()
    with atomic.directory(output, overwrite=overwrite) as folder:
        manifest = _write_graphs(model, folder, dims, graphs, opset, source)
        report = None
        if verify:
            report = _verify(model, folder, manifest)
            if not report.passed:
                rejected = output.with_name(output.name + ".rejected")
                if rejected.exists() and not manifests.is_export(rejected):
                    raise FileExistsError(
                        f"{rejected} exists and is not a rejected export, so it is not replaced"
                    )
                shutil.rmtree(rejected, ignore_errors=True)
                shutil.copytree(folder, rejected)
                failed = next((case for case in report.cases if not case.passed), None)
                detail = (
                    f"{failed.encoder} at batch {failed.batch}: {failed.reason}"
                    if failed
                    else "nothing was compared"
                )
                raise ExportParityError(
                    f"{output}: the exported graph does not reproduce the model ({detail}); nothing was published, "
                    f"the rejected files are in {rejected}"
                )
    return output, manifest, report


def _write_graphs(
    model: Any,
    folder: Path,
    dims: dict[str, tuple[int, int, int]],
    graphs: dict[str, tuple[str, ...]],
    opset: int,
    source: str | None,
) -> dict[str, Any]:
    bits = int(model.itq_projection.shape[1]) if "code" in graphs["sketch"] else None
    versions = {
        "sketchfast": __version__,
        "torch": torch.__version__,
        "onnx": _version("onnx"),
        "python": platform.python_version(),
    }
    facts = {
        "sketchfast.version": __version__,
        "sketchfast.bit_order": "little-endian in each byte; bit = value > 0",
        "sketchfast.tie_rule": "(distance, id) ascending",
        "sketchfast.axes": "image: batch, channel RGB, height, width",
    }
    encoders: dict[str, Any] = {}
    golden: dict[str, Any] = {}
    prepared = {
        name: preprocess_of(model, encoder).to_dict()
        for encoder, name in (("sketch", PREPROCESS_NAME), ("trait", TRAIT_PREPROCESS_NAME))
        if encoder in graphs
    }
    for encoder, outputs in graphs.items():
        name = f"{encoder}_encoder.onnx"
        preprocess = preprocess_of(model, encoder)
        described = facts | {"sketchfast.preprocess": str(preprocess.to_dict())}
        graph = EncoderGraph(model, encoder, outputs).eval()
        _trace(graph, folder / name, preprocess.size, outputs, opset, described)
        encoders[encoder] = {"file": name, "input": "image", "outputs": list(outputs)}
        images = golden_images(encoder)
        batch = golden_batch(images, preprocess, len(images), sketch=encoder != "photo")
        golden[f"{encoder}_image"] = batch
        golden |= {
            f"{encoder}_{key}": value for key, value in _run_torch(model, encoder, outputs, batch).items()
        }
    for name, fields in prepared.items():
        atomic.write_json(folder / name, fields)
    atomic.write_json(folder / "labels.json", list(model.class_names))
    np.savez_compressed(folder / "golden.npz", **golden)
    manifest: dict[str, Any] = {
        "format": manifests.FORMAT,
        "format_version": manifests.FORMAT_VERSION,
        "kind": "retrieval",
        "model": type(model).__name__,
        "source_sha256": source,
        "precision": "fp32",
        "opset": opset,
        "dims": {key: list(value) for key, value in dims.items()},
        "encoders": encoders,
        "dim": int(golden["sketch_embedding"].shape[1]),
        "bits": bits,
        "bit_order": facts["sketchfast.bit_order"],
        "tie_rule": facts["sketchfast.tie_rule"],
        "distance": {"embedding": distance_of(model), "code": "hamming"},
        "preprocess": prepared[PREPROCESS_NAME],
        "versions": versions,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "verified": False,
    }
    if "trait" in graphs:
        manifest["trait_preprocess"] = prepared[TRAIT_PREPROCESS_NAME]
        manifest["samples"] = int(golden["trait_weights"].shape[1])
    names = [entry["file"] for entry in encoders.values()] + [*prepared, "labels.json", "golden.npz"]
    names += [path.name for path in folder.glob("*.onnx.data")]
    manifest["files"] = manifests.describe_files(folder, names)
    atomic.write_json(folder / manifests.MANIFEST_NAME, manifest)
    return manifest


def _trace(
    graph: EncoderGraph, path: Path, size: int, outputs: tuple[str, ...], opset: int, facts: dict[str, str]
) -> None:
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'exporting needs onnx and onnxscript; pip install "sketchfast[export]"'
        ) from error

    # Traced at batch 2: at batch 1 the exporter specialises the axis and the graph then refuses every other batch.
    example = torch.zeros(2, 3, size, size)
    batch = torch.export.Dim("batch", min=1)
    exporter_logger = logging.getLogger("torch.onnx")
    level = exporter_logger.level
    exporter_logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=["image"],
                output_names=list(outputs),
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    finally:
        exporter_logger.setLevel(level)
    assert program is not None
    proto = program.model_proto
    found = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if found != opset:
        raise ValueError(
            f"opset: asked for {opset}, torch.onnx wrote {found}; opset 18 and 20 are known to work"
        )
    # Build paths and module traces are of no use to a reader and tell where the file was made.
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for key, value in facts.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    one_file_limit = 1 << 31
    if proto.ByteSize() < one_file_limit:
        onnx.save(proto, str(path))
    else:
        onnx.save(proto, str(path), save_as_external_data=True, location=path.name + ".data")
    onnx.checker.check_model(str(path), full_check=True)


def _run_torch(
    model: Any, encoder: str, outputs: tuple[str, ...], batch: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """What the torch model says, by its own code path and :func:`sketchfast.ops.pack_bits`, not the traced module's."""
    from ..ops import pack_bits

    with torch.inference_mode():
        if encoder == "trait":
            return {"weights": model.trait_weights(torch.from_numpy(batch)).numpy()}
        encode = model.encode_sketch if encoder == "sketch" else model.encode_photo
        embedding = encode(torch.from_numpy(batch))
        result = {"embedding": embedding.numpy()}
        if "code" in outputs:
            result["code"] = pack_bits(model.code_values(embedding)).numpy()
    return result


def _run_export(
    encoders: RetrievalEncoders, encoder: str, outputs: tuple[str, ...], batch: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    # An output at a time, as encode_sketch and encode_photo ask for them.
    return {name: encoders.encode(cast(Modality, encoder), batch, (name,))[name] for name in outputs}


def _verify(model: Any, folder: Path, manifest: dict[str, Any]) -> ParityReport:
    """Runs the graphs through the runtime that users get, at the smallest, usual, largest and an odd batch."""
    low, usual, high = manifest["dims"]["batch"]
    batches = sorted({low, usual, high, _odd_between(low, high)})
    encoders = RetrievalEncoders(folder, manifest, ["CPUExecutionProvider"])
    graphs = {name: tuple(entry["outputs"]) for name, entry in manifest["encoders"].items()}
    code_values = None
    if "code" in graphs["sketch"]:

        def code_values(embedding: NDArray[np.float32]) -> NDArray[np.float64]:
            with torch.inference_mode():
                return model.code_values(torch.from_numpy(embedding)).double().numpy()

    report = ParityReport("fp32", FP32_ATOL)
    for encoder, outputs in graphs.items():
        images, preprocess = golden_images(encoder), preprocess_of(model, encoder)
        reference = partial(_run_torch, model, encoder, outputs)
        exported = partial(_run_export, encoders, encoder, outputs)
        for batch in batches:
            golden = golden_batch(images, preprocess, batch, sketch=encoder != "photo")
            report.cases.append(
                compare(
                    encoder,
                    reference,
                    exported,
                    golden,
                    output="weights" if encoder == "trait" else "embedding",
                    code_values=code_values,
                )
            )
    atomic.write_json(folder / "parity.json", report.to_dict())
    manifest["verified"] = report.passed
    manifest["files"] |= manifests.describe_files(folder, ["parity.json"])
    atomic.write_json(folder / manifests.MANIFEST_NAME, manifest)
    return report


def _odd_between(low: int, high: int) -> int:
    """An odd batch size, not a multiple of anything convenient, inside [low, high]."""
    return max(low, min(high, 2 * (high // 6) + 1))


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)
