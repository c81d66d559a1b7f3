"""A run that is interrupted and resumed ends with the weights, bit for bit, of a run that is not."""

import json
import math
import random
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_task import ToyModel, ToyOptions, run

from sketchfast.training import LoopConfig, load_model
from sketchfast.training.history import read_history
from sketchfast.training.run_folder import RunFolder

STEPS = 3 * 3  # 3 epochs of 8 batches, 3 batches a step: the last step of an epoch takes 2


def loop(out: Path, **changes: Any) -> LoopConfig:
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "epochs": 3,
        "accumulate": 3,
        "log_every": 1,
        "checkpoint_every": 2,
    }
    return LoopConfig(out=str(out), **{**settings, **changes})


def finish(process: BaseProcess) -> int | None:
    process.join(120)
    return process.exitcode


def tensors(out: Path) -> dict[str, torch.Tensor]:
    last = out / "checkpoints" / "last"
    return {**load_file(last / "model.safetensors"), **load_file(last / "training.safetensors")}


def assert_same_run(out: Path, reference: Path) -> None:
    found, expected = tensors(out), tensors(reference)
    assert found.keys() == expected.keys() and len(found) > 10
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    assert read_history(out / "metrics.jsonl") == read_history(reference / "metrics.jsonl")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    torch.set_num_threads(1)
    run(loop(out), ToyOptions(seed=7))
    return out


def test_killed_processes_resume_bit_for_bit(
    tmp_path: Path, seed: int, uninterrupted: Path, start: Callable[..., BaseProcess]
) -> None:
    """SIGKILL at random optimizer steps, a new process after each; nothing of the killed one runs any
    more."""
    out, log = tmp_path / "run", tmp_path / "log"
    kills = sorted(random.Random(seed).sample(range(STEPS), 3))
    for step in kills:
        killed = start(loop(out, resume=True), ToyOptions(seed=7, stop_at=step), log)
        assert finish(killed) == -signal.SIGKILL, log.read_text()
    assert finish(start(loop(out, resume=True), ToyOptions(seed=7), log)) == 0, log.read_text()
    assert_same_run(out, uninterrupted)
    places = [(r["kind"], r["step"]) for r in read_history(out / "metrics.jsonl")]
    assert len(places) == len(set(places)) == STEPS + 3
    launches = json.loads((out / "versions.json").read_text())["launches"]
    assert len(launches) == 4 and launches[0]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_every_step_can_be_the_last_before_resuming(tmp_path: Path, uninterrupted: Path) -> None:
    """Stop by signal after each step in turn, in one chain of launches."""
    out = tmp_path / "run"
    for step in range(STEPS):
        _, result = run(loop(out, resume=True), ToyOptions(seed=7, stop_at=step, stop_signal="SIGTERM"))
        # A signal during the last step of an epoch is answered after validation; the run's last step ends it.
        assert result.interrupted == (step + 1 < STEPS)
    assert not result.interrupted
    assert_same_run(out, uninterrupted)


def test_interrupt_says_how_to_go_on(tmp_path: Path, start: Callable[..., BaseProcess]) -> None:
    log = tmp_path / "log"
    stopped = start(loop(tmp_path / "run"), ToyOptions(stop_at=4, stop_signal="SIGINT"), log)
    assert finish(stopped) == 0
    said = log.read_text()
    assert "stopped by SIGINT after step 5 of 9" in said and "toy --resume" in said
    assert "interrupted: True" in said


def test_a_kill_during_validation_validates_again(
    tmp_path: Path, uninterrupted: Path, monkeypatch: Any
) -> None:
    import toy_task

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(toy_task.ToyTask, "validate", fail)
        with pytest.raises(KeyboardInterrupt):
            run(loop(out), ToyOptions(seed=7))
    run(loop(out, resume=True), ToyOptions(seed=7))
    assert_same_run(out, uninterrupted)


def test_torn_log_line_and_pointer_left_behind_are_repaired(tmp_path: Path, uninterrupted: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(uninterrupted, out, symlinks=True)
    with open(out / "metrics.jsonl", "a") as log:
        log.write('{"kind": "train", "st')
    best = (out / "checkpoints" / "best").resolve()
    (out / "checkpoints" / "best").unlink()
    (out / "checkpoints" / ".step-00000004.x.tmp").mkdir()
    _, result = run(loop(out, resume=True), ToyOptions(seed=7))
    assert result.best_path is not None and result.best_path.resolve() == best
    assert not list((out / "checkpoints").glob(".*"))
    assert_same_run(out, uninterrupted)


def test_task_state_and_best_checkpoint(tmp_path: Path) -> None:
    task, first = run(loop(tmp_path / "run", epochs=2), ToyOptions(seed=3))
    task, result = run(loop(tmp_path / "run", epochs=4, resume=True), ToyOptions(seed=3))
    assert task.calls == 4 * 8  # two epochs of them restored
    values = [r["accuracy"] for r in result.history if r["kind"] == "validation"]
    assert len(values) == 4 and result.metrics["accuracy"] == max(values) >= first.metrics["accuracy"]
    model, metadata = load_model(result.best_path, ToyModel)
    assert metadata["epoch"] == values.index(max(values)) + 1
    accuracy = (model(task.x)[1].argmax(1) == task.labels).double().mean().item()
    assert accuracy == result.metrics["accuracy"]
    kept = {p.name for p in (tmp_path / "run" / "checkpoints").iterdir()}
    assert kept <= {"last", "best", f"epoch-{metadata['epoch']:04d}", "epoch-0004"}


def test_what_is_not_measured_is_neither_logged_nor_shown_nor_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toy_task import ToyTask

    found = iter(({"accuracy": 0.5, "extra": math.nan}, {"accuracy": math.nan, "extra": 2.0}))
    monkeypatch.setattr(ToyTask, "validate", lambda self, fabric, epoch: next(found))
    _, result = run(loop(tmp_path / "run", epochs=2), ToyOptions())
    validation = [r for r in result.history if r["kind"] == "validation"]
    assert [r.keys() & {"accuracy", "extra"} for r in validation] == [{"accuracy"}, {"extra"}]
    assert result.metrics == {"accuracy": 0.5} and result.best_path.resolve().name == "epoch-0001"
    assert "nan" not in capsys.readouterr().out


def test_other_config_is_refused_and_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(loop(out, epochs=1), ToyOptions())
    before = (out / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"another config.*batch: 8 there, 16 now"):
        run(loop(out, resume=True), ToyOptions(batch=16))
    with pytest.raises(ValueError, match=r"loop\.accumulate: 3 there, 2 now"):
        run(loop(out, resume=True, accumulate=2), ToyOptions())
    with pytest.raises(FileExistsError, match="already holds a run"):
        run(loop(out), ToyOptions())
    assert (out / "config.json").read_bytes() == before
    run(loop(out, resume=True, log_every=2), ToyOptions(dropout=0.2), may_change=("dropout",))
    with pytest.raises(ValueError, match="epochs can be raised, not lowered"):
        run(loop(out, resume=True, epochs=1), ToyOptions())


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(loop(out, epochs=1), ToyOptions())
    file = out / "checkpoints" / "last" / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match=r"training\.safetensors: damaged"):
        run(loop(out, resume=True), ToyOptions())


def test_a_refused_resume_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    run(loop(tmp_path / "run", epochs=2), ToyOptions())
    before = {name: (tmp_path / "run" / name).read_bytes() for name in ("config.json", "versions.json")}
    with pytest.raises(ValueError, match="raised, not lowered"):
        run(loop(tmp_path / "run", epochs=1, resume=True), ToyOptions())
    assert {name: (tmp_path / "run" / name).read_bytes() for name in before} == before


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path / "run").locked(),
        pytest.raises(RuntimeError, match="is training in this folder"),
    ):
        run(loop(tmp_path / "run", epochs=1), ToyOptions())
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    run(loop(tmp_path / "run", epochs=1), ToyOptions())


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_automatic_precision_is_resolved_and_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, expected: str
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: native, raising=False)
    run(loop(tmp_path, epochs=1, accelerator="cpu", precision="auto"), ToyOptions())
    assert json.loads((tmp_path / "config.json").read_text())["loop"]["precision"] == expected
