"""landmark_pool against what PyTorch offers: F.grid_sample and a mean, and torchvision's roi_align on boxes of one sample.

One thread. Forward alone, and forward with backward to features and points; rounds alternate between all contenders and medians
of the thread's CPU time are compared, because other processes of a machine disturb it least. roi_align has no gradient to its
boxes, so it stands beside "features" only: forward and backward to the features. Points are drawn inside the map, where all
three read the same; values and gradients are compared before the clock starts.

MB moved is the least there is to move: touched pixels read once forward and once for the gradient of the points, the gradient
of the features written once with its zeros; pooled vectors are left out. Rates stand beside those of this run's copy (read and
written) and fill of a tensor of that size. Gradients are allocated afresh in every round by everyone, page faults included.

    pytest bench/bench_landmark_pool.py -s                    # writes bench/results/landmark_pool--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_landmark_pool.py -s    # few rounds, writes nothing
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import roi_align

from bench.alternating import alternate
from bench.results_file import processor, write_results
from sketchfast import ops

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
ROUNDS = 5 if QUICK else 15
MAIN = (32, 2048, 8, 8)
# At MAIN, 30 points, float32, NCHW, times grid_sample and mean:
TARGETS = {"forward+backward": 3.5, "forward": 1.5}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
Pool = Callable[[Tensor, Tensor], Tensor]

SHAPES = [(MAIN, n) for n in (1, 10, 30, 60)]
SHAPES += [
    (shape, 30)
    for shape in (
        (32, 256, 8, 8),
        (1, 2048, 8, 8),
        (32, 2048, 2, 2),
        (32, 2048, 7, 7),
        (16, 1024, 14, 14),
        (8, 512, 28, 28),
        (8, 256, 64, 64),
    )
]
SHAPES += [((8, 256, 64, 64), 1)]
CASES = [(shape, n, layout, torch.float32) for shape, n in SHAPES for layout in LAYOUTS]
CASES += [(MAIN, 30, layout, torch.bfloat16) for layout in LAYOUTS]


def by_grid_sample(features: Tensor, points: Tensor) -> Tensor:
    height, width = features.shape[2:]
    size = torch.tensor([width - 1, height - 1], dtype=points.dtype)
    grid = (2 * points / size - 1).to(features.dtype)
    sampled = F.grid_sample(features, grid[:, None], align_corners=True, padding_mode="zeros")
    return sampled.mean((2, 3))


def by_roi_align(features: Tensor, points: Tensor) -> Tensor:
    """A box of one pixel with its corner at a point has its one sample there."""
    n, count, _ = points.shape
    image = torch.arange(n, dtype=points.dtype).repeat_interleave(count)[:, None]
    boxes = torch.cat([image, points.flatten(0, 1), points.flatten(0, 1) + 1], 1).to(features.dtype)
    sampled = roi_align(features, boxes, 1, sampling_ratio=1, aligned=True)
    return sampled.reshape(n, count, -1).mean(1)


def step(pool: Pool, run: str, features: Tensor, points: Tensor, grad: Tensor) -> Callable[[], list[Tensor]]:
    x = features.detach().requires_grad_(run != "forward")
    at = points.detach().requires_grad_(run == "forward+backward")

    def go() -> list[Tensor]:
        x.grad = at.grad = None
        pooled = pool(x, at)
        if run != "forward":
            pooled.backward(grad)
        return [pooled.detach(), *(leaf.grad for leaf in (x, at) if leaf.grad is not None)]

    return go


def touched_pixels(points: Tensor, width: int) -> int:
    """Distinct pixels under the points of each image, summed over images."""
    corner = points.floor().long()
    taps = [(corner[..., 1] + dy) * width + corner[..., 0] + dx for dy in (0, 1) for dx in (0, 1)]
    return sum(len(image.unique()) for image in torch.cat(taps, 1))


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    yield rows
    print(f"\n{processor()}, one thread")
    for row in rows:
        print("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
    if QUICK or len(rows) < 3 * len(CASES):
        return
    packages = ("torch", "torchvision", "numpy")
    write_results("landmark_pool", rows, packages, capability=torch.backends.cpu.get_cpu_capability())


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("shape", "n", "layout", "dtype"), CASES)
def test_landmark_pool(
    shape: tuple[int, ...], n: int, layout: str, dtype: torch.dtype, results: list[dict[str, Any]]
) -> None:
    generator = torch.Generator().manual_seed(0)
    images, channels, height, width = shape
    features = torch.randn(shape, generator=generator).to(dtype).to(memory_format=LAYOUTS[layout])
    size = torch.tensor([width - 1.0, height - 1.0])
    points = torch.rand(images, n, 2, generator=generator).clamp(0.001, 0.999) * size
    grad = torch.randn(images, channels, generator=generator).to(dtype)
    moved = {"touched": touched_pixels(points, width) * channels * features.element_size()}
    moved["all"] = features.numel() * features.element_size()
    target, missed = torch.empty_like(features), []
    for run in ("forward+backward", "features", "forward"):
        inputs = (run, features, points, grad)
        contenders: dict[str, Callable[[], Any]] = {
            "ours": step(ops.landmark_pool, *inputs),
            "grid_sample": step(by_grid_sample, *inputs),
            "copy": lambda: target.copy_(features),
            "fill": lambda: target.zero_(),
        }
        if run != "forward+backward" and dtype == torch.float32:  # it has no bfloat16 on the CPU
            contenders["roi_align"] = step(by_roi_align, *inputs)
        if dtype == torch.float32:  # 16-bit peers round their coordinates to 16 bits
            for name in contenders.keys() & {"grid_sample", "roi_align"}:
                for found, expected in zip(contenders["ours"](), contenders[name](), strict=True):
                    atol = 1e-4 * expected.abs().max().item()
                    torch.testing.assert_close(found, expected, rtol=0, atol=atol)
        seconds = alternate(contenders, ROUNDS, time.thread_time)
        total = {
            "forward+backward": 2 * moved["touched"] + moved["all"],
            "features": moved["touched"] + moved["all"],
            "forward": moved["touched"],
        }[run]
        row = {
            "op": "landmark_pool",
            "shape": "x".join(map(str, shape)),
            "n": n,
            "layout": layout,
            "dtype": str(dtype).removeprefix("torch."),
            "run": run,
            "ms": round(1e3 * seconds["ours"], 3),
            "mb_moved": round(total / 1e6, 2),
            "gb_per_s": round(total / seconds["ours"] / 1e9, 2),
            "copy_gb_per_s": round(2 * moved["all"] / seconds["copy"] / 1e9, 2),
            "fill_gb_per_s": round(moved["all"] / seconds["fill"] / 1e9, 2),
            "grid_sample_ms": round(1e3 * seconds["grid_sample"], 3),
            "times_grid_sample": round(seconds["grid_sample"] / seconds["ours"], 2),
            "times_roi_align": round(seconds["roi_align"] / seconds["ours"], 2)
            if "roi_align" in seconds
            else None,
        }
        results.append(row)  # before the assertions: the results file holds losses too
        is_target = (shape, n, layout, dtype) == (MAIN, 30, "NCHW", torch.float32)
        if is_target and row["times_grid_sample"] < TARGETS.get(run, 0):
            missed.append(row)
    assert QUICK or not missed, missed
