"""Accumulation and several processes change how a step is computed, not what it computes."""

import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_task import ToyOptions, run

from sketchfast.training import LoopConfig
from sketchfast.training.history import read_history


def loop(out: Path, **changes: Any) -> LoopConfig:
    return LoopConfig(out=str(out), **{"accelerator": "cpu", "epochs": 2, "log_every": 1, **changes})


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "checkpoints" / "last" / "model.safetensors")


def losses(out: Path, name: str = "loss") -> list[float]:
    return [record[name] for record in read_history(out / "metrics.jsonl") if record["kind"] == "train"]


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def run_two(
    start: Callable[..., BaseProcess],
    config: LoopConfig,
    options: ToyOptions,
    log: Path,
    **environment: str,
) -> list[int | None]:
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "NODE_RANK": "0", **environment}
    processes = [start(config, options, log, **place, LOCAL_RANK=str(rank)) for rank in range(2)]
    for process in processes:
        process.join(90)
    return [process.exitcode for process in processes]


def test_accumulation_equals_the_big_batch(tmp_path: Path, seed: int, monkeypatch: Any) -> None:
    """Without per-batch randomness, 4 batches of 4 make the step of 1 batch of 16 (float64, so rounding
    only)."""
    import toy_task

    def plain_step(self: Any, batch: Any, step: int, context: Any) -> dict[str, torch.Tensor]:
        return {"loss": torch.nn.functional.cross_entropy(context.model(batch["x"])[1], batch["labels"])}

    monkeypatch.setattr(toy_task.ToyTask, "training_step", plain_step)
    options = {"seed": seed, "dropout": 0.0, "dtype": "float64"}
    precision = {"precision": "64-true"}
    run(loop(tmp_path / "big", **precision), ToyOptions(batch=16, **options))
    run(loop(tmp_path / "small", accumulate=4, **precision), ToyOptions(batch=4, **options))
    big, small = weights(tmp_path / "big"), weights(tmp_path / "small")
    for name, tensor in big.items():
        torch.testing.assert_close(small[name], tensor, rtol=1e-9, atol=1e-12)
    assert losses(tmp_path / "small") == pytest.approx(losses(tmp_path / "big"), rel=1e-9)


def test_the_last_partial_window_is_the_mean_of_what_is_left(tmp_path: Path, monkeypatch: Any) -> None:
    """8 batches in windows of 3: the third step has 2 batches and must divide by 2."""
    import toy_task

    seen: list[float] = []

    def constant_gradient(self: Any, batch: Any, step: int, context: Any) -> dict[str, torch.Tensor]:
        context.model(batch["x"])
        return {"loss": sum(p.sum() for p in self.model.parameters())}  # type: ignore[dict-item]

    class Recorder(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            seen.append(float(self.param_groups[0]["params"][0].grad.flatten()[0]))

    monkeypatch.setattr(toy_task.ToyTask, "training_step", constant_gradient)
    monkeypatch.setattr(toy_task.ToyTask, "make_optimizer", lambda self, params: Recorder(params, lr=0.0))
    run(loop(tmp_path / "run", accumulate=3, epochs=1), ToyOptions())
    assert seen == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_two_processes_equal_one(
    tmp_path: Path, seed: int, start: Callable[..., BaseProcess], accumulate: int
) -> None:
    """Loss over hardest examples of the gathered global batch, shared noise, a penalty on weights: DDP over
    gloo gives the single-process loss curve and weights (float64, so that only the order of sums differs)."""
    options = ToyOptions(seed=seed, dropout=0.0, gathered=True, dtype="float64")
    settings = {"precision": "64-true", "accumulate": accumulate, "clip_norm": 0.5}
    log = tmp_path / "log"
    two = loop(tmp_path / "two", devices=2, strategy="ddp", **settings)
    environment = {}
    if accumulate > 1:  # once as `fabric run --devices 2` does it, which speaks through these variables
        two = loop(tmp_path / "two", **settings)
        environment = {"LT_CLI_USED": "1", "LT_DEVICES": "2", "LT_ACCELERATOR": "cpu", "LT_NUM_NODES": "1"}
    assert run_two(start, two, options, log, **environment) == [0, 0], log.read_text()
    run(loop(tmp_path / "one", **settings), options)
    for name in ("loss", "metric", "penalty"):
        assert losses(tmp_path / "two", name) == pytest.approx(losses(tmp_path / "one", name), rel=1e-8)
    one = weights(tmp_path / "one")
    for name, tensor in weights(tmp_path / "two").items():
        torch.testing.assert_close(tensor, one[name], rtol=1e-7, atol=1e-10)
    assert read_history(tmp_path / "two" / "metrics.jsonl")[-1]["train_loss"] == pytest.approx(
        read_history(tmp_path / "one" / "metrics.jsonl")[-1]["train_loss"], rel=1e-8
    )


def test_two_processes_stop_together_and_one_resumes(
    tmp_path: Path, start: Callable[..., BaseProcess]
) -> None:
    """Signals reach both processes; the run continues in a single process along the same curve."""
    options = ToyOptions(
        seed=5, dropout=0.0, gathered=True, dtype="float64", stop_at=4, stop_signal="SIGTERM"
    )
    log, out = tmp_path / "log", tmp_path / "run"
    two = loop(out, devices=2, strategy="ddp", precision="64-true")
    assert run_two(start, two, options, log) == [0, 0], log.read_text()
    assert log.read_text().count("interrupted: True") == 2
    whole = ToyOptions(seed=5, dropout=0.0, gathered=True, dtype="float64")
    run(loop(out, resume=True, precision="64-true"), whole)
    run(loop(tmp_path / "one", precision="64-true"), whole)
    assert losses(out) == pytest.approx(losses(tmp_path / "one"), rel=1e-8)


def test_a_failure_of_rank_0_ends_both(tmp_path: Path, start: Callable[..., BaseProcess]) -> None:
    out, log = tmp_path / "run", tmp_path / "log"
    run(loop(out, epochs=1), ToyOptions())
    codes = run_two(start, loop(out, devices=2, strategy="ddp"), ToyOptions(), log)
    assert codes == [1, 1]
    assert "already holds a run" in log.read_text() and "the process of rank 0 failed" in log.read_text()
