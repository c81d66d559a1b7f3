"""Ramer-Douglas-Peucker against scikit-image, resampling against a float64 oracle in numpy, and real drawings."""

from pathlib import Path

import numpy as np
import pytest
from skimage.measure import approximate_polygon

from sketchfast.data.qmul_strokes import read_coordinates
from sketchfast.data.stroke_simplify import rdp, resample, simplify, simplify_to
from sketchfast.runtime.strokes import read_ndjson


def random_stroke(rng: np.random.Generator) -> np.ndarray:
    """A walk of 1 to 150 points; some have repeated points, some are closed, some on a grid."""
    points = np.cumsum(rng.normal(size=(rng.integers(1, 151), 2)), axis=0) * 10
    kind = rng.integers(4)
    if kind == 1:
        points = points[np.sort(rng.integers(len(points), size=len(points)))]
    elif kind == 2:
        points[-1] = points[0]
    elif kind == 3:
        points = points.round(-1)
    return points


def farthest(points: np.ndarray, line: np.ndarray) -> float:
    """The largest distance of points [n, 2] from a polyline [m, 2]."""
    if len(line) == 1:
        return float(np.hypot(*(points - line).T).max())
    start, along = line[:-1], np.diff(line, axis=0)
    share = ((points[:, None] - start) * along).sum(2) / np.maximum((along**2).sum(1), 1e-300)
    foot = start + share.clip(0, 1)[..., None] * along
    return float(np.hypot(*np.moveaxis(points[:, None] - foot, 2, 0)).min(1).max())


def test_rdp_keeps_what_scikit_image_keeps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        points = random_stroke(rng)
        # Of equally far points either may be kept; on the grid there are such.
        epsilon = rng.uniform(0, 40)
        kept = rdp(points, epsilon)
        assert kept.dtype == np.float32
        assert (kept[0] == points[0].astype(np.float32)).all()
        assert (kept[-1] == points[-1].astype(np.float32)).all()
        assert farthest(points, kept.astype(np.float64)) <= epsilon + 1e-4
        if len(points) > 2 and (points != points.round(-1)).any():
            np.testing.assert_array_equal(kept, approximate_polygon(points, epsilon).astype(np.float32))


def test_rdp_by_hand() -> None:
    corner = [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1], [3, 2]]
    assert rdp(corner, 0).tolist() == [[0, 0], [3, 0], [3, 2]]
    assert rdp(corner, 2).tolist() == [[0, 0], [3, 2]]
    # The distance is that to the segment: a line that runs past its end and comes back keeps its turn.
    assert rdp([[0, 0], [9, 0], [5, 0]], 1).tolist() == [[0, 0], [9, 0], [5, 0]]
    assert rdp([[4, 4]], 1).tolist() == [[4, 4]]
    assert rdp([[4, 4]] * 3, 1).tolist() == [[4, 4], [4, 4]]


def test_simplify_to_takes_the_smallest_epsilon(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        strokes = [random_stroke(rng) for _ in range(rng.integers(1, 5))]
        total, needed = sum(map(len, strokes)), sum(min(len(stroke), 2) for stroke in strokes)
        limit = int(rng.integers(needed, total + 3))
        result = simplify_to(strokes, limit)
        count = sum(map(len, result))
        assert count <= limit and len(result) == len(strokes)
        if total <= limit:
            assert all((a == b.astype(np.float32)).all() for a, b in zip(result, strokes))
            continue
        # Bisection finds an epsilon at which as many points are left, and just below it there are too many.
        low, high = 0.0, 1e4
        if sum(map(len, simplify(strokes, low))) <= limit:
            high = low
        for _ in range(80):
            middle = (low + high) / 2
            if sum(map(len, simplify(strokes, middle))) <= limit:
                high = middle
            else:
                low = middle
        for a, b in zip(result, simplify(strokes, high), strict=True):
            np.testing.assert_array_equal(a, b)


def test_resample_against_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        points = random_stroke(rng)
        reached = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        count = int(rng.integers(2, 200))
        at = np.linspace(0, reached[-1], count)
        expected = np.column_stack([np.interp(at, reached, points[:, axis]) for axis in (0, 1)])
        result = resample(points, count=count)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-4)
        assert (result[[0, -1]] == points[[0, -1]].astype(np.float32)).all()
        step = rng.uniform(0.5, 20)
        by_step = resample(points, step=step)
        if reached[-1]:
            np.testing.assert_array_equal(
                by_step, resample(points, count=int(np.ceil(reached[-1] / step)) + 1)
            )
        else:
            assert by_step.shape == (1, 2)


def test_bad_arguments_are_named() -> None:
    line = [[0, 0], [1, 1]]
    for call, match in (
        (lambda: rdp(line, -1), "epsilon must be 0 or more and finite, got -1"),
        (lambda: rdp(line, float("nan")), "epsilon must be 0 or more"),
        (lambda: rdp(np.zeros((0, 2)), 1), r"shape \[n, 2\] with n at least 1, got \[0, 2\]"),
        (lambda: rdp([[0, 0], [np.nan, 1]], 1), "points must be finite, point 1 is"),
        (lambda: simplify_to([line], 0), "max_points must be at least 1, got 0"),
        (lambda: simplify_to([line, line, [[1, 1]]], 4), "3 strokes need at least 5 points, their ends; the limit is 4"),
        (lambda: resample(line), "either step or count"),
        (lambda: resample(line, step=1, count=2), "either step or count"),
        (lambda: resample(line, step=0), "step must be above 0"),
        (lambda: resample(line, count=1), "count must be at least 2, got 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            call()


def test_real_drawings(data_root: Path) -> None:
    chair = next(iter(read_coordinates(data_root / "ChairV2" / "ChairV2_Coordinate").values()))
    strokes = np.split(chair[:, :2], np.flatnonzero(chair[:, 2])[:-1] + 1)
    strokes += read_ndjson(data_root / "QuickDraw" / "chair.ndjson")
    for epsilon in (0.5, 2.0, 8.0):
        for before, after in zip(strokes, simplify(strokes, epsilon)):
            assert farthest(before.astype(np.float64), after.astype(np.float64)) <= epsilon + 1e-4
            if len(before) > 2 and before.dtype == np.float32:
                oracle = approximate_polygon(before.astype(np.float64), epsilon)
                assert abs(len(after) - len(oracle)) <= 2  # equally far points on the pixel grid
    assert sum(map(len, simplify_to(strokes, 60))) <= 60
