"""contour_points: time against scikit-image with numpy or torch, what its parts cost, and how evenly its points lie.

Real sketches are those of Sketchy (SKETCHFAST_DATA), 256x256, in one batch; without them the synthetic world's are measured and
the rows say so. Peers thin with skimage.morphology.skeletonize, list the pixels with argwhere and choose the farthest in a loop
over the points that is vectorised over the pixels, in numpy or in torch. Their thinning is another one ("zhang"), so their points
are others; a third peer puts the numpy loop behind our thinning, and its points are checked to be ours.

One run, alternating rounds, medians. One thread: CPU time of the calling thread, in which every contender does all its work.
All threads: wall time, ours alone, and only where nothing else keeps the machine busy. Parts, as medians of the differences in a
round: "thinning" is skeletonize alone, "listing" the rest of n = 1, "sampling" the rest.

Spacing, against as many different pixels of the same centreline at random, averages over the sketches with at least 3n of them:
the smallest distance between two points, the coefficient of variation of the distances to the nearest other point, and the
largest distance of a pixel of the centreline from its nearest point.

    pytest bench/bench_contour_points.py -s                          # writes bench/results/contour_points--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_contour_points.py -s # few rounds and sketches, writes nothing
"""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from skimage.morphology import skeletonize as skimage_skeletonize

from bench.bench_skeletonize import QUICK, ROUNDS, SKETCHES, medians, polylines, sketches
from bench.results_file import CPUS, processor, write_results
from sketchfast import numpy_ops

NUMBERS = (5, 30) if QUICK else (5, 10, 15, 20, 30, 45, 60)
SIZES = (64, 256) if QUICK else (64, 128, 256, 512, 1024, 2048)
STROKE_WIDTH = 3
TARGET_PER_SECOND = 1000  # real sketches at 256x256, n = 30, one core


def numpy_loop(skeleton: np.ndarray, n: int) -> np.ndarray:
    pixels = np.argwhere(skeleton)[:, ::-1].astype(np.int32)
    nearest = np.full(len(pixels), 2**31 - 1, np.int32)
    chosen = [0]
    for _ in range(1, min(n, len(pixels))):
        apart = pixels - pixels[chosen[-1]]
        np.minimum(nearest, np.einsum("ij,ij->i", apart, apart), out=nearest)
        chosen.append(int(nearest.argmax()))
    return pixels[np.resize(chosen, n)]


def torch_loop(skeleton: np.ndarray, n: int) -> torch.Tensor:
    pixels = torch.from_numpy(skeleton).nonzero().flip(1).int()
    nearest = torch.full((len(pixels),), 2**31 - 1, dtype=torch.int32)
    chosen = [0]
    for _ in range(1, min(n, len(pixels))):
        apart = pixels - pixels[chosen[-1]]
        torch.minimum(nearest, (apart * apart).sum(1, dtype=torch.int32), out=nearest)
        chosen.append(int(nearest.argmax()))
    return pixels[np.resize(chosen, n)]


def peers(n: int) -> dict[str, Callable[[np.ndarray], Any]]:
    return {
        "skimage + numpy": lambda image: numpy_loop(skimage_skeletonize(image), n),
        "skimage + torch": lambda image: torch_loop(skimage_skeletonize(image), n),
        "our thinning + numpy": lambda image: numpy_loop(numpy_ops.skeletonize(image, threads=1), n),
    }


def check_answers(images: np.ndarray, n: int) -> None:
    found, _ = numpy_ops.contour_points(images, n)
    for points, image in zip(found, images, strict=True):
        np.testing.assert_array_equal(points, peers(n)["our thinning + numpy"](image))
        np.testing.assert_array_equal(points, torch_loop(numpy_ops.skeletonize(image), n))


def ours(batch: np.ndarray, n: int, rounds: int) -> dict[str, Any]:
    """Microseconds an image and its parts on one thread; on all of them, where nothing else runs."""
    parts = {
        "thinning": lambda: numpy_ops.skeletonize(batch, threads=1),
        "listing": lambda: numpy_ops.contour_points(batch, 1, threads=1),
        "sampling": lambda: numpy_ops.contour_points(batch, n, threads=1),
    }
    seconds: list[list[float]] = []  # of each round, each part with those before it
    repeats = 1 + 1024**2 * 16 // batch.size
    for _ in range(2 * rounds + 1):  # the first one is the warm-up
        seconds.append([])
        for call in parts.values():
            start = time.thread_time()
            for _ in range(repeats):
                call()
            seconds[-1].append((time.thread_time() - start) / repeats)
    us = 1e6 * np.median(seconds[1:], axis=0) / len(batch)
    alone = 1e6 * np.median(np.diff(seconds[1:], axis=1, prepend=0), axis=0) / len(batch)
    row: dict[str, Any] = {
        "us": round(float(us[-1]), 2),
        "per_second": round(1e6 / us[-1]),
        "parts_us": {name: round(float(x), 2) for name, x in zip(parts, alone, strict=True)},
        "threads": CPUS,
        "per_second_all_threads": None,
    }
    if os.getloadavg()[0] < 1.5:  # wall time beside other work says nothing
        walls = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            numpy_ops.contour_points(batch, n, threads=0)
            walls.append(time.perf_counter() - start)
        row["per_second_all_threads"] = round(len(batch) / float(np.median(walls[1:])))
    return row


def measured(case: str, images: np.ndarray, n: int, rounds: int) -> dict[str, Any]:
    check_answers(images[:20], n)
    row = {
        "op": "contour_points",
        "case": case,
        "size": images.shape[-1],
        "images": len(images),
        "pixels": round(float(numpy_ops.skeletonize(images).sum(axis=(1, 2)).mean())),
        "n": n,
        **ours(images, n, rounds),
    }
    peers_us = medians(peers(n), list(images[:30]), min(rounds, 5))
    row["peers_us"] = {name: round(us, 1) for name, us in peers_us.items()}
    row["times"] = {name: round(us / row["us"], 1) for name, us in peers_us.items()}
    return row


def spacing(pixels: np.ndarray, points: np.ndarray) -> tuple[float, float, float]:
    """Smallest distance to another point, coefficient of variation of these, largest distance of a pixel from a point."""
    between = np.linalg.norm(points[:, None] - points, axis=-1) + np.diag(np.full(len(points), np.inf))
    gaps = between.min(axis=1)
    away = np.linalg.norm(pixels[:, None] - points, axis=-1).min(axis=1)
    return float(gaps.min()), float(gaps.std() / gaps.mean()), float(away.max())


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    yield rows
    print(f"\n{processor()}, paths {', '.join(numpy_ops.skeletonize_paths())}")
    for row in rows:
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "op"))
    if QUICK or len(rows) < 2 * len(NUMBERS) + len(SIZES):
        return
    write_results(
        "contour_points",
        rows,
        ("numpy", "scikit-image", "torch"),
        paths=numpy_ops.skeletonize_paths(),
        path_used=numpy_ops.skeletonize_paths()[-1],
    )


@pytest.fixture(scope="module")
def drawn() -> tuple[str, np.ndarray]:
    source, images = sketches()
    return source, np.stack(images[:SKETCHES])


@pytest.mark.parametrize("n", NUMBERS)
def test_sketches(n: int, drawn: tuple[str, np.ndarray], results: list[dict[str, Any]]) -> None:
    torch.set_num_threads(1)
    row = measured(f"{drawn[0]} 256x256", drawn[1], n, ROUNDS)
    results.append(row)  # before the assertion: the results file holds losses too
    if n == 30:
        assert row["per_second"] >= TARGET_PER_SECOND, row


@pytest.mark.parametrize("size", SIZES)
def test_sizes(size: int, results: list[dict[str, Any]]) -> None:
    torch.set_num_threads(1)
    images = np.stack([polylines(size, STROKE_WIDTH)] * (8 if size <= 512 else 2))
    case = f"polylines {size}x{size}, stroke width {STROKE_WIDTH}"
    results.append(measured(case, images, 30, ROUNDS if size <= 512 else 5))


@pytest.mark.parametrize("n", NUMBERS)
def test_spacing(n: int, drawn: tuple[str, np.ndarray], results: list[dict[str, Any]]) -> None:
    random = np.random.default_rng(0)
    found = []
    for image in drawn[1]:
        pixels = np.argwhere(numpy_ops.skeletonize(image))[:, ::-1].astype(float)
        if len(pixels) >= 3 * n:
            some = pixels[random.choice(len(pixels), n, replace=False)]
            points, _ = numpy_ops.contour_points(image, n)
            found.append((spacing(pixels, points), spacing(pixels, some)))
    means = np.mean(found, axis=0)
    names = ("smallest_gap", "gap_variation", "farthest_pixel")
    results.append(
        {
            "op": "spacing",
            "case": f"{drawn[0]} 256x256",
            "n": n,
            "images": len(found),
            **{
                who: dict(zip(names, (round(float(x), 3) for x in values), strict=True))
                for who, values in zip(("ours", "random"), means, strict=True)
            },
        }
    )
    assert means[0][0] > means[1][0] and means[0][2] < means[1][2], results[-1]
