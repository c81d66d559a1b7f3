"""Forms of a drawing: strokes, sequence, stroke-3 and stroke-5 by hand, round trips, and sequences that are refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from sketchfast.data.qmul_strokes import read_coordinates
from sketchfast.data.stroke_formats import (
    check_sequence,
    fit_to_canvas,
    from_stroke3,
    from_stroke5,
    offset_scale,
    points_to_strokes,
    strokes_to_points,
    to_stroke3,
    to_stroke5,
)
from sketchfast.runtime.strokes import ndjson_lines, parse_drawing

CORNER_AND_DOT = [[[1, 2], [3, 2], [3, 7]], [[5, 5]]]


def random_drawing(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.normal(size=(rng.integers(1, 20), 2)).astype(np.float32) for _ in range(rng.integers(1, 6))]


def same(a: list[np.ndarray], b: list[np.ndarray], tolerance: float = 0) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


def test_by_hand() -> None:
    points, pen = strokes_to_points(CORNER_AND_DOT)
    assert points.dtype == np.float32 and pen.dtype == np.uint8
    assert points.tolist() == [[1, 2], [3, 2], [3, 7], [5, 5]] and pen.tolist() == [0, 0, 1, 1]
    rows = to_stroke3(CORNER_AND_DOT)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[1, 2, 0], [2, 0, 0], [0, 5, 1], [2, -2, 1]]
    assert to_stroke3(points, pen).tolist() == rows.tolist()
    five = to_stroke5(rows, 5)
    assert five.dtype == np.float32
    assert five.tolist() == [
        [1, 2, 1, 0, 0],
        [2, 0, 1, 0, 0],
        [0, 5, 0, 1, 0],
        [2, -2, 0, 1, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1],
    ]
    assert to_stroke5(rows, 4).tolist() == five[:5].tolist()
    assert from_stroke5(five).tolist() == rows.tolist() == from_stroke5(five[:4]).tolist()
    same(from_stroke3(rows), [np.array(stroke) for stroke in CORNER_AND_DOT])
    same(from_stroke3(rows, (-1, -2))[1:], [np.array([[4.0, 3.0]])])


def test_round_trips(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(20):
        drawing = random_drawing(rng)
        same(points_to_strokes(*strokes_to_points(drawing)), drawing)
        rows = to_stroke3(drawing)
        same(from_stroke3(rows), drawing, 1e-5)
        assert (from_stroke5(to_stroke5(rows, 120)) == rows).all()
        whole = [(stroke * 100).round() for stroke in drawing]
        same(from_stroke3(from_stroke5(to_stroke5(to_stroke3(whole), 120))), whole)


def test_nothing_drawn() -> None:
    assert strokes_to_points([np.zeros((0, 2))])[0].shape == (0, 2)
    assert to_stroke3([]).shape == (0, 3) and from_stroke3(np.zeros((0, 3))) == []
    assert to_stroke5(np.zeros((0, 3)), 2).tolist() == [[0, 0, 0, 0, 1]] * 3
    assert from_stroke5(to_stroke5(np.zeros((0, 3)), 2)).shape == (0, 3)


def test_the_end_of_a_drawing_ends_its_stroke() -> None:
    assert [len(stroke) for stroke in points_to_strokes(np.zeros((5, 2)), [0, 1, 0, 0, 0])] == [2, 3]


def test_fit_to_canvas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawing = [stroke * (300, 80) + (1000, -50) for stroke in random_drawing(rng)]
    fitted = fit_to_canvas(drawing)
    points, before = np.concatenate(fitted), np.concatenate(drawing)
    if len(points) > 1:
        assert np.ptp(points, axis=0).max() == pytest.approx(1 - 2 / 16)
        assert np.ptp(points, axis=0).min() / np.ptp(points, axis=0).max() == pytest.approx(
            np.ptp(before, axis=0).min() / np.ptp(before, axis=0).max(), abs=1e-5
        )
        # One scale and one shift for all points.
        scale = (1 - 2 / 16) / np.ptp(before, axis=0).max()
        np.testing.assert_allclose(points - points[0], (before - before[0]) * scale, atol=1e-6)
    np.testing.assert_allclose(points.min(0) + points.max(0), 0, atol=1e-6)
    same(fit_to_canvas([[[9, 9]]]), [np.zeros((1, 2))])


def test_offset_scale(seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawings = [to_stroke3(random_drawing(rng)) for _ in range(5)]
    offsets = np.concatenate([rows[:, :2].astype(np.float64).ravel() for rows in drawings])
    assert offset_scale(drawings) == pytest.approx(np.sqrt(np.mean((offsets - offsets.mean()) ** 2)))
    for bad, match in (
        ([], "at least one offset"),
        ([np.zeros((4, 3))], "all are 0"),
        ([np.ones((2, 3)), np.full((1, 3), np.nan)], "drawing 1 has an offset that is NaN"),
    ):
        with pytest.raises(ValueError, match=match):
            offset_scale(bad)


def test_sequences_that_are_refused() -> None:
    points = np.arange(8.0).reshape(4, 2)
    pen = np.array([0, 1, 0, 1])
    nan, huge = points.copy(), points.copy()
    nan[2, 1], huge[1, 0] = np.nan, 1e7
    check_sequence(points, pen, "train/1_1", 4)
    for arguments, match in (
        ((nan, pen), "train/1_1, point 2: coordinates must be finite and below 1e7 in size, found 4, nan"),
        ((huge, pen), "train/1_1, point 1: coordinates must be finite"),
        ((points, 0 * pen), "train/1_1: the pen never lifts"),
        ((points, 2 * pen), "train/1_1, point 1: the pen must be 0 or 1 (it lifts after the point), found 2"),
        ((points, pen * np.nan), "train/1_1, point 0: the pen must be 0 or 1"),
        ((points, pen, 3), "train/1_1: has 4 points, more than the limit of 3"),
        ((points, pen[:3]), "train/1_1: expected points [T, 2] and pen [T], found [4, 2] and [3]"),
        ((points[:0], pen[:0]), "train/1_1: nothing is drawn"),
        (([["a", "b"]], [1]), "train/1_1: points and pen must be arrays of numbers"),
    ):
        with pytest.raises(ValueError, match=re.escape(match)):
            check_sequence(*arguments[:2], "train/1_1", *arguments[2:])


def test_bad_arguments_are_named() -> None:
    for call, match in (
        (lambda: strokes_to_points([[[1, 2, 3]]]), r"strokes must be \[n, 2\], stroke 0 has the shape \[1, 3\]"),
        (lambda: points_to_strokes(np.zeros((3, 2)), [1]), r"shapes \[T, 2\] and \[T\], got \[3, 2\] and \[1\]"),
        (lambda: to_stroke5(np.zeros((3, 3)), 2), "stroke3 has 3 points, more than the limit of 2"),
        (lambda: to_stroke5(np.zeros((3, 2)), 9), r"stroke3 must have the shape \[T, 3\], got \[3, 2\]"),
        (lambda: from_stroke5(np.zeros((3, 3))), r"stroke5 must have the shape \[L, 5\], got \[3, 3\]"),
        (lambda: from_stroke5(np.ones((3, 5)) * (1, 1, 1, 1, 0)), "row 0 has"),
        (lambda: fit_to_canvas([]), "strokes must hold a point"),
        (lambda: fit_to_canvas([[[0, 1]]], 0.5), "margin must be 0 or more and below 0.5, got 0.5"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=match):
            call()


def test_real_drawings(data_root: Path) -> None:
    chairs = read_coordinates(data_root / "ChairV2" / "ChairV2_Coordinate")
    for name, rows in list(chairs.items())[::100]:
        check_sequence(rows[:, :2], rows[:, 2], name)
        strokes = points_to_strokes(rows[:, :2], rows[:, 2])
        same(from_stroke3(to_stroke3(strokes)), strokes, 0.01)
        assert len(strokes) == rows[:, 2].sum()
    for file in ("SPG/airplane_raw.ndjson", "QuickDraw/chair.ndjson"):
        for number, line in zip(range(20), ndjson_lines(data_root / file)):
            strokes = parse_drawing(line, file)
            rows = to_stroke3(strokes)
            same(from_stroke3(from_stroke5(to_stroke5(rows, len(rows)))), strokes)  # whole coordinates
            check_sequence(*strokes_to_points(strokes), f"{file}, {number}")
