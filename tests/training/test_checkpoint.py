"""Checkpoints: what is refused, and what survives a full disk."""

import errno
import json
import resource
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy_task import ToyModel, ToyOptions, ToyTask, run

from sketchfast.training import LoopConfig, checkpoint, load_model, load_weights, read_metadata, save_model
from sketchfast.training.tensor_tree import flatten, unflatten


class OtherModel(ToyModel):
    pass


class Tied(nn.Module):
    """Two names for one weight, as in towers that share layers; and a buffer that is a strided view."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("table", torch.arange(12.0).reshape(3, 4).t())


def test_round_trip_keeps_weights_and_metadata(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = ToyModel(width=5)
    save_model(tmp_path / "model", model, {"note": "hello"})
    loaded, metadata = load_model(tmp_path / "model", ToyModel)
    assert metadata["note"] == "hello" and metadata["class_names"] == model.class_names
    assert metadata["config"] == {"width": 5, "dropout": 0.2} and "torch" in metadata["versions"]
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    save_model(tmp_path / "model", ToyModel(width=6))  # replaces it
    assert load_model(tmp_path / "model", {"ToyModel": ToyModel.from_metadata})[0].hidden.out_features == 6


def test_shared_weights_are_stored_once(tmp_path: Path) -> None:
    model, other = Tied(), Tied()
    save_model(tmp_path / "tied", model)
    assert read_metadata(tmp_path / "tied")["aliases"] == {"second.weight": "first.weight"}
    load_weights(tmp_path / "tied", other)
    assert torch.equal(other.second.weight, model.first.weight) and torch.equal(other.table, model.table)
    assert other.second.weight is other.first.weight


def test_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "other", OtherModel())
    with pytest.raises(ValueError, match=r"other: this checkpoint holds a OtherModel, expected ToyModel"):
        load_model(tmp_path / "other", ToyModel)
    with pytest.raises(ValueError, match=r"holds a OtherModel, the model is a ToyModel"):
        load_weights(tmp_path / "other", ToyModel())
    with pytest.raises(TypeError, match="from_metadata"):
        load_model(tmp_path / "other", nn.Linear)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    save_model(tmp_path / "model", ToyModel(width=5))
    model = ToyModel(width=7)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"hidden\.weight: shape \(5, 12\), the model has \(7, 12\)"):
        load_weights(tmp_path / "model", model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    model = ToyModel(width=5)
    model.extra = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r"extra\.weight: missing"):
        load_weights(tmp_path / "model", model)
    del model.extra, model.out
    with pytest.raises(ValueError, match=r"out\.weight: not part of the model"):
        load_weights(tmp_path / "model", model)


@pytest.mark.parametrize(
    "damage", ["cut", "flip", "missing", "metadata", "foreign metadata", "newer", "config", "odd"]
)
def test_damaged_files_are_named(tmp_path: Path, seed: int, damage: str) -> None:
    folder = save_model(tmp_path / "model", ToyModel())
    weights, metadata = folder / "model.safetensors", folder / "metadata.json"
    content, record = weights.read_bytes(), json.loads(metadata.read_text())
    kind: type[Exception] = ValueError
    if damage == "cut":
        weights.write_bytes(content[: seed % len(content)])
        message = r"model\.safetensors: damaged"
    elif damage == "flip":
        place = seed % len(content)
        weights.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        message = r"model\.safetensors: damaged"
    elif damage == "missing":
        weights.unlink()
        kind, message = FileNotFoundError, r"model\.safetensors: missing"
    elif damage == "metadata":
        metadata.write_text(metadata.read_text()[:20])
        message = r"metadata\.json: damaged"
    elif damage == "foreign metadata":
        metadata.write_text("[]")
        message = r"metadata\.json: not checkpoint metadata"
    elif damage == "config":
        del record["config"]
        metadata.write_text(json.dumps(record))
        message = r"metadata\.json: damaged, no ToyModel can be made with it: 'config' is missing"
    elif damage == "odd":
        metadata.write_text(json.dumps({**record, "config": {**record["config"], "colour": "red"}}))
        message = r"metadata\.json: damaged, no ToyModel can be made with it: .*colour"
    else:
        metadata.write_text(json.dumps({**record, "format": 99}))
        message = r"format 99.*upgrade"
    with pytest.raises(kind, match=message):
        load_model(folder, ToyModel)
    with pytest.raises(FileNotFoundError, match="not a checkpoint folder"):
        load_model(tmp_path, ToyModel)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_disk_that_fills_up_while_writing_keeps_earlier_checkpoints(tmp_path: Path) -> None:
    """A limit on file size stands in for the full disk: the write itself fails half-way."""
    out = tmp_path / "run"
    config = LoopConfig(out=str(out), accelerator="cpu", epochs=1)
    run(config, ToyOptions())
    before = snapshot(out / "checkpoints")
    config.epochs, config.resume = 2, True
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # Below the 5,056 bytes of random state, above every text file.
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
        with pytest.raises(
            OSError, match=r"bytes needed, [\d,]+ bytes free.*earlier checkpoints are intact"
        ) as caught:
            run(config, ToyOptions())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert caught.value.errno == errno.ENOSPC and "epoch-0002" in str(caught.value)
    assert snapshot(out / "checkpoints") == before
    assert (out / "checkpoints" / "last").resolve().name == "epoch-0001"
    _, result = run(config, ToyOptions())
    assert result.last_path is not None and result.last_path.resolve().name == "epoch-0002"


def test_too_little_room_is_noticed_before_writing(tmp_path: Path, monkeypatch: Any) -> None:
    save_model(tmp_path / "model", ToyModel())
    before = snapshot(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: usage._replace(free=123))
    with pytest.raises(OSError, match=r"about 1,\d+ bytes needed, 123 bytes free.*model"):
        save_model(tmp_path / "model", ToyModel(width=20))
    assert snapshot(tmp_path) == before


def test_nothing_is_saved_of_a_run_that_exploded(tmp_path: Path) -> None:
    config = LoopConfig(
        out=str(tmp_path / "run"), accelerator="cpu", epochs=1, checkpoint_every=2, log_every=1000
    )
    with pytest.raises(FloatingPointError, match="no longer finite by step 4"):
        run(config, ToyOptions(explode_at=2))
    assert (tmp_path / "run" / "checkpoints" / "last").resolve().name == "step-00000002"


def test_tensor_tree_round_trip_and_refusal() -> None:
    tree = {"a": [1, 2.5, None, True, "x"], 3: (torch.arange(3), {"b": torch.ones(2).double()}), "empty": {}}
    structure, tensors = flatten(tree, "root")
    back = unflatten(json.loads(json.dumps(structure)), tensors)
    assert back["a"] == tree["a"] and back["empty"] == {} and isinstance(back[3], tuple)
    assert torch.equal(back[3][0], torch.arange(3)) and back[3][1]["b"].dtype == torch.float64
    with pytest.raises(TypeError, match="root/a/0: cannot keep a set"):
        flatten({"a": [{1}]}, "root")


def test_settings_that_cannot_be_are_named(tmp_path: Path) -> None:
    for name, value in {"epochs": 0, "accumulate": 0, "log_every": 0, "strategy": "fsdp"}.items():
        with pytest.raises(ValueError, match=f"LoopConfig.{name}"):
            run(LoopConfig(out=str(tmp_path / "run"), **{name: value}), ToyOptions())
    assert not (tmp_path / "run").exists()


def test_tasks_that_break_their_word_are_named(tmp_path: Path, monkeypatch: Any) -> None:
    config = LoopConfig(out=str(tmp_path / "run"), accelerator="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(ToyTask, "monitor", "recall")
        with pytest.raises(ValueError, match="not the monitored 'recall'"):
            run(config, ToyOptions())
    with pytest.raises(ValueError, match=r"batches\(\) is empty"), monkeypatch.context() as patch:
        patch.setattr(ToyTask, "batches", lambda self, epoch, rank, world, start_step=0: [])
        run(LoopConfig(out=str(tmp_path / "other"), accelerator="cpu"), ToyOptions())
