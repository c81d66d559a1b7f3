"""Model checkpoints: a folder with `model.safetensors` and `metadata.json`. Reading one never runs code from it.

metadata.json: {"class", "config", "class_names", "preprocess", "versions", "sha256": {file: hex}, "aliases", ...}.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sketchfast import atomic
from sketchfast.training.run_folder import library_versions
from sketchfast.training.tensor_tree import num_bytes, split_aliases

MODEL_FILE = "model.safetensors"
METADATA_FILE = "metadata.json"
FORMAT = 1

ModelFactory = Callable[[dict[str, Any]], nn.Module]


def save_model(path: str | Path, model: nn.Module, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint folder; an earlier one at `path` stays until the new one is complete.

    The class name is recorded, and `model.config`, `.class_names`, `.preprocess` where the model has them;
    `metadata` adds to these or overrides them and must be JSON-able. Weights shared by two names are stored
    once. OSError(ENOSPC) names path, bytes needed and bytes free when the disk is full."""
    path = Path(path)
    with publishing(path, overwrite=True, needed=model_bytes(model)) as folder:
        write_model(folder, model, metadata)
    return path


def load_model(
    path: str | Path, models: type[nn.Module] | Mapping[str, ModelFactory], device: str | torch.device = "cpu"
) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild a model from a checkpoint folder -> (model in eval mode, metadata).

    models: the class expected, which has a classmethod `from_metadata(metadata) -> model`; or a dict of such
        functions by class name where several classes are welcome.
    ValueError: another class (both are named), a config that no model of the class can be made with (the file is named),
        tensors missing, unexpected or of another shape (named), a damaged file.
    """
    path = Path(path)
    metadata = read_metadata(path)
    found = metadata["class"]
    if isinstance(models, Mapping):
        factories = dict(models)
    else:
        factory = getattr(models, "from_metadata", None)
        if factory is None:
            raise TypeError(
                f"{models.__name__} has no classmethod from_metadata(metadata), which load_model needs"
            )
        factories = {models.__name__: factory}
    if found not in factories:
        raise ValueError(
            f"{path}: this checkpoint holds a {found}, expected {' or '.join(sorted(factories))}"
        )
    try:
        model = factories[found](metadata)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, ZeroDivisionError) as error:
        said = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(
            f"{path / METADATA_FILE}: damaged, no {found} can be made with it: {said}"
        ) from error
    load_weights(path, model)
    return model.to(device).eval(), metadata


def load_weights(path: str | Path, model: nn.Module) -> dict[str, Any]:
    """Load a checkpoint folder's weights into a model of the same class and shapes; returns the metadata."""
    path = Path(path)
    metadata = read_metadata(path)
    if metadata["class"] != type(model).__name__:
        raise ValueError(
            f"{path}: this checkpoint holds a {metadata['class']}, the model is a {type(model).__name__}"
        )
    state = read_tensors(path / MODEL_FILE, metadata["sha256"].get(MODEL_FILE))
    for name, kept in metadata.get("aliases", {}).items():
        state[name] = state[kept]
    expected = model.state_dict()
    faults = [f"{name}: missing" for name in expected if name not in state]
    faults += [f"{name}: not part of the model" for name in state if name not in expected]
    faults += [
        f"{name}: shape {tuple(tensor.shape)}, the model has {tuple(expected[name].shape)}"
        for name, tensor in state.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if faults:
        more = f" and {len(faults) - 8} more" if len(faults) > 8 else ""
        raise ValueError(f"{path}: weights do not fit {type(model).__name__}: {'; '.join(faults[:8])}{more}")
    model.load_state_dict(state)
    return metadata


def read_metadata(path: str | Path) -> dict[str, Any]:
    """metadata.json of a checkpoint folder. FileNotFoundError or ValueError names the file."""
    file = Path(path) / METADATA_FILE
    if not file.is_file():
        raise FileNotFoundError(f"{path}: not a checkpoint folder, {METADATA_FILE} is missing")
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: damaged, not valid JSON ({error})") from None
    if not isinstance(metadata, dict) or not {"format", "class", "sha256"} <= metadata.keys():
        raise ValueError(f"{file}: not checkpoint metadata, expected the keys format, class and sha256")
    if metadata["format"] > FORMAT:
        raise ValueError(
            f"{file}: format {metadata['format']}; this sketchfast reads up to {FORMAT}, please upgrade"
        )
    return metadata


def write_model(folder: Path, model: nn.Module, metadata: Mapping[str, Any] | None) -> None:
    """Write a checkpoint's two files into an existing folder (not atomic: for use inside `publishing`)."""
    tensors, aliases = split_aliases(model.state_dict())
    write_tensors(folder / MODEL_FILE, tensors)
    record = {
        "format": FORMAT,
        "class": type(model).__name__,
        **_described(model),
        **(metadata or {}),
        "aliases": aliases,
        "sha256": {MODEL_FILE: sha256(folder / MODEL_FILE)},
    }
    (folder / METADATA_FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def model_bytes(model: nn.Module) -> int:
    return num_bytes(model.state_dict())


def write_tensors(file: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, file)
    with open(file, "rb+") as handle:
        os.fsync(handle.fileno())


def read_tensors(file: Path, expected_sha256: str | None) -> dict[str, Tensor]:
    """Tensors of a safetensors file whose content must have the given hash. ValueError names a damaged file."""
    if not file.is_file():
        raise FileNotFoundError(f"{file}: missing from the checkpoint")
    found = sha256(file)
    if expected_sha256 is not None and found != expected_sha256:
        raise ValueError(
            f"{file}: damaged ({file.stat().st_size} bytes): its SHA-256 is {found[:16]}...,"
            f" the metadata says {expected_sha256[:16]}..."
        )
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file}: damaged, not a safetensors file ({error})") from None


def sha256(file: Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@contextlib.contextmanager
def publishing(path: Path, *, needed: int, overwrite: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well; a full disk leaves what was at `path` untouched.

    needed: bytes about to be written; checked first, since failing late wastes the time of writing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free < needed:
        raise _disk_full(path, needed)
    try:
        with atomic.directory(path, overwrite=overwrite) as folder:
            yield Path(folder)
    except (OSError, SafetensorError) as error:
        if is_disk_full(error):
            raise _disk_full(path, needed) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    # safetensors reports a failed write as text: "... (os error 28)".
    return getattr(error, "errno", None) in codes or any(f"os error {code})" in str(error) for code in codes)


def _disk_full(path: Path, needed: int) -> OSError:
    free = shutil.disk_usage(path.parent).free
    return OSError(
        errno.ENOSPC,
        f"no room for a checkpoint: about {needed:,} bytes needed, {free:,} bytes free"
        " (or a quota or file size limit is reached); earlier checkpoints are intact",
        str(path),
    )


def _described(model: Any) -> dict[str, Any]:
    """What the model says about itself, as JSON-able values."""
    record: dict[str, Any] = {"versions": library_versions()}
    config = getattr(model, "config", None)
    if config is not None:
        is_instance = dataclasses.is_dataclass(config) and not isinstance(config, type)
        record["config"] = dataclasses.asdict(config) if is_instance else dict(config)
    if getattr(model, "class_names", None) is not None:
        record["class_names"] = list(model.class_names)
    if getattr(model, "preprocess", None) is not None:
        record["preprocess"] = model.preprocess.to_dict()
    return record
