"""rasterize against a Python Bresenham loop, OpenCV's polylines and Pillow's lines: 64 sequences of 100 points at 256x256.

Sequences: points drawn uniformly from the canvas, the pen lifting after every tenth on average (long lines, the worst for us),
and drawings of ChairV2 (SKETCHFAST_DATA), fitted to the canvas, their first 100 points; without that file its rows are left out.

Peers draw picture by picture, their strokes put into the lists or arrays that they take before the clock starts. The loop
collects the pixels of the lines, stamped with the pen's disc, and gives them to Pillow's ImageDraw.point in one call; its
pictures are ours to the bit. The others' lines have other ends, joints and widths (OpenCV's thick antialiased ones are wider):
how much ink they have of ours is in the results. Antialiasing: OpenCV's LINE_AA, at 1/16 of a pixel; Pillow has none, so it
draws four times as large and reduces.

One run, alternating rounds, medians. One thread: CPU time of the calling thread. All threads: wall time, the peers in a pool
of as many threads, where they release the GIL.

    pytest bench/bench_rasterize.py -s                          # writes bench/results/rasterize--<device>.json
    SKETCHFAST_BENCH_QUICK=1 pytest bench/bench_rasterize.py -s # few rounds, writes nothing
"""

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bench.results_file import CPUS, processor, write_results
from sketchfast import numpy_ops
from sketchfast.data.qmul_strokes import read_coordinates

cv2 = pytest.importorskip("cv2")
cv2.setNumThreads(1)

QUICK = os.environ.get("SKETCHFAST_BENCH_QUICK", "0") not in ("", "0")
DATA = Path(os.environ.get("SKETCHFAST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ROUNDS = 3 if QUICK else 15
COUNT, LENGTH, SIZE = 64, 100, 256
THICKNESSES = (1, 3)
FINER = 4  # bits of OpenCV's fractions
LARGER = 4  # Pillow's canvas
TARGETS = {"Python loop": 10.0, "cv2": 1.0}  # times the peer, one thread
PEERS = ("Python loop", "cv2", "Pillow")


@dataclass
class Drawings:
    name: str
    points: np.ndarray  # float32 [N, T, 2]
    pen: np.ndarray  # uint8 [N, T]
    lengths: np.ndarray

    def strokes(self, i: int) -> list[np.ndarray]:
        points, pen = self.points[i, : self.lengths[i]], self.pen[i, : self.lengths[i]]
        return [stroke for stroke in np.split(points, np.flatnonzero(pen) + 1) if len(stroke)]

    def ours(self, thickness: int, antialias: bool, threads: int) -> np.ndarray:
        return numpy_ops.rasterize(
            self.points, self.pen, SIZE, thickness, antialias, lengths=self.lengths, threads=threads
        )


def uniform() -> Drawings:
    random = np.random.default_rng(0)
    points = (random.random((COUNT, LENGTH, 2)) * (SIZE - 1)).astype(np.float32)
    pen = (random.random((COUNT, LENGTH)) < 0.1).astype(np.uint8)
    return Drawings("uniform points", points, pen, np.full(COUNT, LENGTH))


def chairs() -> Drawings:
    path = DATA / "ChairV2" / "ChairV2_Coordinate"
    if not path.is_file():
        pytest.skip(f"no {path}")
    drawings = list(read_coordinates(path).values())
    random = np.random.default_rng(0)
    points, pen = np.zeros((COUNT, LENGTH, 2), np.float32), np.zeros((COUNT, LENGTH), np.uint8)
    lengths = np.zeros(COUNT, np.int64)
    for row, i in enumerate(random.choice(len(drawings), COUNT, replace=False)):
        some = drawings[i][:LENGTH]
        low, high = drawings[i][:, :2].min(0), drawings[i][:, :2].max(0)
        places = (some[:, :2] - (low + high) / 2) * (SIZE * 7 / 8 / max(high - low)) + (SIZE - 1) / 2
        points[row, : len(some)], pen[row, : len(some)], lengths[row] = places, some[:, 2], len(some)
    return Drawings("ChairV2", points, pen, lengths)


Picture = Callable[[], np.ndarray]


def python_loop(strokes: list[list[tuple[int, int]]], disc: list[tuple[int, int]]) -> np.ndarray:
    picture = Image.new("L", (SIZE, SIZE), 255)
    pixels: list[tuple[int, int]] = []
    for stroke in strokes:
        pixels.append(stroke[0])
        for (x, y), (x1, y1) in pairwise(stroke):
            dx, dy = abs(x1 - x), abs(y1 - y)
            right, down = (1 if x1 > x else -1), (1 if y1 > y else -1)
            steep = dy > dx
            if steep:
                x, y, dx, dy, right, down = y, x, dy, dx, down, right
            error = 2 * dy - dx
            for _ in range(dx + 1):
                pixels.append((y, x) if steep else (x, y))
                if error >= 0:
                    y += down
                    error -= 2 * dx
                x += right
                error += 2 * dy
    if len(disc) > 1:
        pixels = [(x + i, y + j) for x, y in set(pixels) for i, j in disc]
    ImageDraw.Draw(picture).point(pixels, 0)
    return np.asarray(picture)


def opencv(strokes: list[np.ndarray], thickness: int, antialias: bool) -> np.ndarray:
    picture = np.full((SIZE, SIZE), 255, np.uint8)
    kind, shift = (cv2.LINE_AA, FINER) if antialias else (cv2.LINE_8, 0)
    cv2.polylines(picture, strokes, False, 0, thickness, kind, shift)
    return picture


def pillow(strokes: list[list[tuple[float, float]]], thickness: int, larger: int) -> np.ndarray:
    picture = Image.new("L", (SIZE * larger, SIZE * larger), 255)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        pen.line(stroke, 0, thickness * larger, joint="curve" if thickness * larger > 2 else None)
    return np.asarray(picture.reduce(larger) if larger > 1 else picture)


def peers(drawings: Drawings, thickness: int, antialias: bool) -> dict[str, list[Picture]]:
    """A call for each picture."""
    rounded = [[np.floor(s + 0.5).astype(np.int32) for s in drawings.strokes(i)] for i in range(COUNT)]
    pixels = [[list(map(tuple, s.tolist())) for s in strokes] for strokes in rounded]
    found: dict[str, list[Picture]] = {}
    if antialias:
        fine = [[np.round(s * 2**FINER).astype(np.int32) for s in drawings.strokes(i)] for i in range(COUNT)]
        large = [
            [list(map(tuple, ((s + 0.5) * LARGER - 0.5).tolist())) for s in drawings.strokes(i)]
            for i in range(COUNT)
        ]
        found["cv2"] = [partial(opencv, strokes, thickness, True) for strokes in fine]
        found["Pillow"] = [partial(pillow, strokes, thickness, LARGER) for strokes in large]
        return found
    dot = numpy_ops.rasterize(np.full((1, 1, 2), 8, np.float32), np.ones((1, 1), bool), 17, thickness)[0]
    disc = [(int(x) - 8, int(y) - 8) for y, x in np.argwhere(dot == 0)]
    found["Python loop"] = [partial(python_loop, strokes, disc) for strokes in pixels]
    found["cv2"] = [partial(opencv, strokes, thickness, False) for strokes in rounded]
    found["Pillow"] = [partial(pillow, strokes, thickness, 1) for strokes in pixels]
    return found


def one_by_one(pictures: list[Picture]) -> None:
    for picture in pictures:
        picture()


def medians(calls: dict[str, Callable[[], Any]], clock: Callable[[], float]) -> dict[str, float]:
    """Microseconds a picture of each contender."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    repeats: dict[str, int] = {}
    for turn in range(ROUNDS + 1):  # the first one is the warm-up
        for name, call in calls.items():
            start = clock()
            for _ in range(repeats.get(name, 1)):
                call()
            each = (clock() - start) / repeats.get(name, 1)
            if turn == 0:
                repeats[name] = 1 + int(5e-3 / max(each, 1e-5))
            else:
                seconds[name].append(each)
    return {name: 1e6 * float(np.median(times)) / COUNT for name, times in seconds.items()}


def measured(drawings: Drawings, thickness: int, antialias: bool, threads: int) -> dict[str, Any]:
    pictures = peers(drawings, thickness, antialias)
    ours = drawings.ours(thickness, antialias, threads)
    ink, share = (255 - ours.astype(int)).sum(), {}
    for name, calls in pictures.items():
        theirs = np.stack([call() for call in calls])
        if name == "Python loop":
            np.testing.assert_array_equal(theirs, ours)
        share[name] = round(float((255 - theirs.astype(int)).sum() / ink), 2)
        assert 0.5 < share[name] < 2, f"{name} draws something else: {share[name]} of our ink"
    calls: dict[str, Callable[[], Any]] = {"ours": lambda: drawings.ours(thickness, antialias, threads)}
    with ThreadPoolExecutor(CPUS) as pool:
        for name, each in pictures.items():
            if threads == 1:
                calls[name] = partial(one_by_one, each)
            else:
                shares = [each[t::CPUS] for t in range(CPUS)]
                calls[name] = lambda shares=shares: list(pool.map(one_by_one, shares))
        us = medians(calls, time.thread_time if threads == 1 else time.perf_counter)
    return {
        "op": "rasterize",
        "case": drawings.name,
        "images": COUNT,
        "points": round(float(drawings.lengths.mean()), 1),
        "size": SIZE,
        "ink": round(float((255 - ours.astype(int)).mean() / 255), 4),
        "thickness": thickness,
        "antialias": antialias,
        "threads": threads or CPUS,
        "us": round(us["ours"], 2),
        "peers_us": {name: round(us[name], 1) for name in pictures},
        "times": {name: round(us[name] / us["ours"], 1) for name in pictures},
        "peers_ink": share,
    }


@pytest.fixture(scope="module")
def results() -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    yield rows
    print(f"\n{processor()}, paths {', '.join(numpy_ops.rasterize_paths())}")
    for row in rows:
        print("  " + ", ".join(f"{name} {value}" for name, value in row.items() if name != "op"))
    if QUICK or len(rows) < 2 * 2 * len(THICKNESSES):
        return
    write_results(
        "rasterize",
        rows,
        ("numpy", "opencv-contrib-python-headless", "pillow"),
        paths=numpy_ops.rasterize_paths(),
        path_used=numpy_ops.rasterize_paths()[-1],
    )


@pytest.mark.parametrize("threads", [1, 0], ids=["one thread", "all threads"])
@pytest.mark.parametrize("antialias", [False, True], ids=["bits", "antialiased"])
@pytest.mark.parametrize("thickness", THICKNESSES)
@pytest.mark.parametrize("draw", [uniform, chairs])
def test_sequences(
    draw: Callable[[], Drawings], thickness: int, antialias: bool, threads: int, results: list[dict[str, Any]]
) -> None:
    row = measured(draw(), thickness, antialias, threads)
    results.append(row)  # before the assertions: the results file holds losses too
    if threads == 1 and not QUICK:
        for peer, target in TARGETS.items():
            assert row["times"].get(peer, target) >= target, row
