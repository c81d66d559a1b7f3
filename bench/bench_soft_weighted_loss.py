"""soft_weighted_loss against PyTorch: the same loss in eager operators, torch.compile of it, F.cross_entropy on hard labels.

Forward and backward to the gradient of the logits, and forward alone under no_grad. Rounds alternate between all contenders and
medians of wall time are compared. Labels are part-like (flat regions, 7 % of the pixels on a boundary); one case has a random
label at every pixel, the worst there is for windows. GB/s counts one reading of the logits and one writing of the gradient
(forward alone: the reading) and stands beside this machine's copy of the same tensor, read plus written. Values and gradients
are checked against the eager float64 loss. Memory is the peak resident set above the inputs, in a process of its own.

    pytest bench/bench_soft_weighted_loss.py -s                    # writes bench/results/soft_weighted_loss--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_soft_weighted_loss.py -s    # few rounds, no torch.compile, writes nothing
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.alternating import alternate
from bench.results_file import CPUS, processor, write_results
from sketchfast import ops

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
ROUNDS = 3 if QUICK else 15
THREADS = sorted({1, CPUS})
MAIN = (4, 12, 321, 321)
SHAPES = (MAIN, (1, 5, 321, 321), (8, 19, 256, 256))
# At MAIN, float32, one thread, forward and backward:
TIMES_EAGER_TARGET = 10.0
TIMES_CROSS_ENTROPY_TARGET = 1.0
MEMORY_TARGET = 1.05  # (logits + what the loss and its backward add) / (logits + gradient)
IGNORE = 255

MEMORY_PROBE = """
import sys, torch
from sketchfast import ops
torch.set_num_threads(1)
def resident(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024
def step(logits, labels):
    ops.soft_weighted_loss(logits, labels, torch.ones(logits.shape[1])).backward()
n, classes, height, width = map(int, sys.argv[1:])
step(torch.randn(1, classes, 40, 40, requires_grad=True), torch.zeros(1, 40, 40, dtype=torch.int64))
logits = torch.randn(n, classes, height, width, requires_grad=True)
labels = torch.randint(0, classes, (n, height, width))
open("/proc/self/clear_refs", "w").write("5")  # start the peak anew
before = resident("VmRSS")
step(logits, labels)
print(resident("VmHWM") - before)
"""


def eager(logits: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """Eqs. 5-11 as one would write them in PyTorch: window counts by a 3x3 average, soft labels, log_softmax."""
    classes = logits.shape[1]
    valid = labels != IGNORE
    safe = torch.where(valid, labels, 0)
    own = F.one_hot(safe, classes).permute(0, 3, 1, 2).to(torch.float32) * valid[:, None]
    counted = own.clone()
    counted[:, 0] = 0
    counts = F.avg_pool2d(counted, 3, stride=1, padding=1)
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1e-6)
    soft = torch.where((labels == 0)[:, None], own, shares)
    weight = alpha[safe] * valid
    losses = -(soft * F.log_softmax(logits.float(), dim=1)).sum(dim=1)
    return (weight * losses).sum() / weight.sum()


def cross_entropy(logits: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, alpha.to(logits.dtype), ignore_index=IGNORE)


def draw(shape: tuple[int, ...], dtype: torch.dtype, labels_are: str) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    n, classes, height, width = shape
    logits = (3 * torch.randn(shape, generator=generator)).to(dtype)
    side = 1 if labels_are == "noise" else 56
    coarse = torch.randint(0, classes, (n, height // side + 1, width // side + 1), generator=generator)
    labels = coarse.repeat_interleave(side, 1).repeat_interleave(side, 2)[:, :height, :width].contiguous()
    labels[:, : height // 8, : width // 8] = IGNORE
    return logits, labels, torch.rand(classes, generator=generator) + 0.5


def step(loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, alpha: Tensor) -> Callable[[], Tensor]:
    leaf = logits.detach().clone().requires_grad_()

    def run() -> Tensor:
        leaf.grad = None
        loss(leaf, labels, alpha).backward()
        assert leaf.grad is not None
        return leaf.grad

    return run


def forward(
    loss: Callable[..., Tensor], logits: Tensor, labels: Tensor, alpha: Tensor
) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.no_grad():
            return loss(logits, labels, alpha)

    return run


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    yield rows
    print(f"\n{processor()}")
    for row in rows:
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    if QUICK or len(rows) < 1 + 2 * len(THREADS) * (2 * len(SHAPES) + 1):
        return
    write_results(
        "soft_weighted_loss", rows, ("torch", "numpy"), capability=torch.backends.cpu.get_cpu_capability()
    )


@pytest.fixture(scope="module")
def compiled() -> Callable[..., Tensor] | None:
    return None if QUICK else torch.compile(eager, dynamic=False)


CASES = [(shape, dtype, "parts") for shape in SHAPES for dtype in (torch.float32, torch.bfloat16)]
CASES.append((MAIN, torch.float32, "noise"))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("run", ["forward+backward", "forward"])
@pytest.mark.parametrize(("shape", "dtype", "labels_are"), CASES)
def test_soft_weighted_loss(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    labels_are: str,
    run: str,
    threads: int,
    results: list[dict[str, Any]],
    compiled: Callable[..., Tensor] | None,
) -> None:
    inputs = draw(shape, dtype, labels_are)
    wrap = step if run == "forward+backward" else forward
    losses = {"ours": ops.soft_weighted_loss, "eager": eager, "cross_entropy": cross_entropy}
    # The compiler's code is slow to make; it is made for the shape of the target only.
    if compiled is not None and shape == MAIN and labels_are == "parts":
        losses["compiled"] = compiled
    contenders: dict[str, Callable[[], Any]] = {name: wrap(loss, *inputs) for name, loss in losses.items()}
    target = torch.empty_like(inputs[0])
    contenders["copy"] = lambda: target.copy_(inputs[0])

    found, expected = contenders["ours"](), wrap(eager, inputs[0].float(), *inputs[1:])()
    tolerance = 2e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance * expected.abs().max().item())

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        seconds = alternate(contenders, ROUNDS, time.perf_counter)
    finally:
        torch.set_num_threads(before)
    bytes_read = inputs[0].numel() * inputs[0].element_size()
    row = {
        "op": "soft_weighted_loss",
        "shape": "x".join(map(str, shape)),
        "dtype": str(dtype).removeprefix("torch."),
        "labels": labels_are,
        "run": run,
        "threads": threads,
        "ms": round(1e3 * seconds["ours"], 2),
        "gb_per_s": round(bytes_read * (2 if wrap is step else 1) / seconds["ours"] / 1e9, 2),
        "copy_gb_per_s": round(2 * bytes_read / seconds["copy"] / 1e9, 2),
        "times_eager": round(seconds["eager"] / seconds["ours"], 2),
        "times_compiled": round(seconds["compiled"] / seconds["ours"], 2) if "compiled" in seconds else None,
        "times_cross_entropy": round(seconds["cross_entropy"] / seconds["ours"], 2),
    }
    results.append(row)  # before the assertions: the results file holds losses too
    is_target = (shape, dtype, labels_are, run, threads) == (
        MAIN,
        torch.float32,
        "parts",
        "forward+backward",
        1,
    )
    if is_target and not QUICK:
        assert row["times_eager"] >= TIMES_EAGER_TARGET, row
        assert row["times_cross_entropy"] > TIMES_CROSS_ENTROPY_TARGET, row


def test_peak_memory(results: list[dict[str, Any]]) -> None:
    """Loss and backward add one gradient to the logits and at most 5 % of both."""
    root = Path(__file__).resolve().parents[1]
    probe = subprocess.run(
        [sys.executable, "-c", MEMORY_PROBE, *map(str, MAIN)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert probe.returncode == 0, probe.stderr
    logits = 4 * int(np.prod(MAIN))
    row = {
        "op": "peak_memory",
        "shape": "x".join(map(str, MAIN)),
        "logits_mb": round(logits / 2**20, 1),
        "added_mb": round(json.loads(probe.stdout) / 2**20, 1),
        "of_logits_and_gradient": round((logits + json.loads(probe.stdout)) / (2 * logits), 3),
    }
    results.append(row)
    assert row["of_logits_and_gradient"] <= MEMORY_TARGET, row
