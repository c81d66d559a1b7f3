"""Every path of rasterize against the definition: words and vectors of pixels, threads, layouts, and the numpy face's errors."""

from dataclasses import replace

import numpy as np
import pytest

from sketchfast import numpy_ops
from tests.ops.drawn_sequences import Sequences, assert_same, random_sequences

PATHS = [*numpy_ops.rasterize_paths(), "auto"]


@pytest.mark.parametrize("antialias", [False, True])
def test_widths_around_words_and_vectors(antialias: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    for width in (1, 3, 4, 5, 7, 8, 9, 31, 63, 64, 65, 127, 128, 129, 255, 256, 257, 300):
        height = int(random.choice([1, 2, 20, 30]))
        points = (random.random((2, 6, 2)) * [1.2 * width, 1.2 * height] - 0.1 * width).astype(np.float32)
        pen = (random.random((2, 6)) < 0.3).astype(np.uint8)
        thickness = int(random.choice([1, 2, 3, 6, 17]))
        drawn = Sequences(points, pen, (height, width), thickness, antialias)
        wanted = drawn.by_definition()
        for path in PATHS:
            assert_same(drawn.by_numpy(path), wanted, drawn, path)


def test_longest_sides(seed: int) -> None:
    """Lines across 4,096 pixels, of both signs and slopes, wholly inside: the steps' fractions are at their finest."""
    random = np.random.default_rng(seed)
    for size in ((4096, 40), (40, 4096), (4096, 4096)):
        ends = (random.random((1, 6, 2)) * [size[1] - 1, size[0] - 1]).astype(np.float32)
        ends[0, :2] = [[0, 0], [size[1] - 1, size[0] - 1]]
        drawn = Sequences(ends, np.zeros((1, 6), np.uint8), size, 2)
        wanted = drawn.by_skimage()
        for path in PATHS:
            assert_same(drawn.by_numpy(path), wanted, drawn, path)


def test_every_slope(seed: int) -> None:
    """All lines from the middle of a square to its border pixels and back, and to those of a flat rectangle."""
    for height, width in ((41, 41), (5, 200), (200, 5)):
        border = [(x, y) for x in range(width) for y in (0, height - 1)]
        border += [(x, y) for y in range(height) for x in (0, width - 1)]
        middle = np.array([width // 2, height // 2])
        points = np.array([[middle, end] for end in border] + [[end, middle] for end in border], np.float32)
        drawn = Sequences(points, np.zeros((len(points), 2), np.uint8), (height, width))
        wanted = drawn.by_skimage()
        for path in PATHS:
            assert_same(drawn.by_numpy(path), wanted, drawn, path)


def test_threads_do_not_show(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = (random.random((50, 20, 2)) * 140 - 5).astype(np.float32)
    pen = (random.random((50, 20)) < 0.2).astype(np.uint8)
    for antialias in (False, True):
        drawn = Sequences(points, pen, (130, 133), 3, antialias, lengths=random.integers(0, 21, 50))
        for path in PATHS:
            alone = drawn.by_numpy(path)
            for threads in (0, 2, 3, 7):
                np.testing.assert_array_equal(drawn.by_numpy(path, threads), alone)


def test_layouts_and_byte_orders(seed: int) -> None:
    drawn = random_sequences(np.random.default_rng(seed), 4)
    wanted = drawn.by_numpy()
    points, pen = drawn.points, drawn.pen
    for places in (np.asfortranarray(points), points.astype(">f4"), points.astype(np.float64)):
        assert_same(replace(drawn, points=places).by_numpy(), wanted, drawn)
    for lifts in (np.asfortranarray(pen), pen.astype(bool), pen * -3.5, pen.astype(np.int64) << 40):
        assert_same(replace(drawn, pen=lifts).by_numpy(), wanted, drawn)


def test_bad_input_is_named() -> None:
    points, pen = np.zeros((2, 3, 2), np.float32), np.zeros((2, 3), bool)
    spoilt = points.copy()
    spoilt[1, 2] = np.nan
    too_large = points.astype(np.float64)
    too_large[0, 1, 0] = 1e300
    for call, error, pattern in (
        (lambda: numpy_ops.rasterize(points.tolist(), pen, 8), TypeError, "points must be a numpy array, floating, found list"),
        (lambda: numpy_ops.rasterize(points.astype(int), pen, 8), TypeError, "points must be .* floating, found int64"),
        (lambda: numpy_ops.rasterize(points, pen.astype(str), 8), TypeError, "pen must be .* found <U"),
        (lambda: numpy_ops.rasterize(points, pen, 8, lengths=np.ones(2)), TypeError, "lengths must be .* integer, found float64"),
        (lambda: numpy_ops.rasterize(points[0], pen, 8), ValueError, r"points must have shape \(N, T, 2\), found \(3, 2\)"),
        (lambda: numpy_ops.rasterize(points, pen[:1], 8), ValueError, r"pen must have shape \(2, 3\) .* found \(1, 3\)"),
        (lambda: numpy_ops.rasterize(points, pen, 8, lengths=np.ones(3, int)), ValueError, r"lengths must have shape \(2,\)"),
        (lambda: numpy_ops.rasterize(points, pen, 8, lengths=np.array([0, 4])), ValueError, r"lengths\[1\] must be .* found 4"),
        (lambda: numpy_ops.rasterize(spoilt, pen, 8), ValueError, r"points\[1, 2\] must be at most .* found \(-?nan, -?nan\)"),
        (lambda: numpy_ops.rasterize(too_large, pen, 8, fit=0.1), ValueError, r"points\[0, 1\] must be .* found \(inf, 0\)"),
        (lambda: numpy_ops.rasterize(points, pen, 0), ValueError, "size must be an integer"),
        (lambda: numpy_ops.rasterize(points, pen, 8, 65), ValueError, "thickness must be an integer 1 to 64, found 65"),
        (lambda: numpy_ops.rasterize(points, pen, 8, fit=0.7), ValueError, "fit must be None or a margin"),
        (lambda: numpy_ops.rasterize(points, pen, 8, path="mmx"), ValueError, "path must be 'auto', .* found 'mmx'"),
    ):  # fmt: skip
        with pytest.raises(error, match=f"rasterize: {pattern}"):
            call()
