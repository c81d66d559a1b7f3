"""The forms in which drawings are learnt from, and the ways between them.

strokes     list of float32 [n, 2]: x, y with y pointing down
sequence    points float32 [T, 2] and pen uint8 [T], 1 where the pen lifts after the point, the last one included
stroke-3    float32 [T, 3]: dx, dy from the point before (the first from the origin), and the pen as above (sketch-rnn's files)
stroke-5    float32 [L + 1, 5]: dx, dy, and one of p1 (the pen stays down after this point), p2 (it lifts), p3 (the drawing has
            ended); rows of points, then at least one row 0 0 0 0 1 (Ha & Eck, A Neural Representation of Sketch Drawings, 2018)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sketchfast.canvas import MARGIN
from sketchfast.runtime.strokes import Strokes

_END = (0.0, 0.0, 0.0, 0.0, 1.0)
_LARGEST = 1e7  # of a coordinate, as in runtime.strokes


def strokes_to_points(strokes: Sequence[ArrayLike]) -> tuple[np.ndarray, np.ndarray]:
    """Strokes as one sequence: points float32 [T, 2] and pen uint8 [T]; strokes without points vanish.

    ValueError for a stroke that is not [n, 2].
    """
    every = [_stroke(stroke, number) for number, stroke in enumerate(strokes)]
    every = [stroke for stroke in every if len(stroke)]
    points = np.concatenate(every) if every else np.zeros((0, 2), np.float32)
    pen = np.zeros(len(points), np.uint8)
    pen[np.cumsum([len(stroke) for stroke in every], dtype=np.int64) - 1] = 1
    return points, pen


def points_to_strokes(points: ArrayLike, pen: ArrayLike) -> Strokes:
    """The strokes of a sequence; non-zero pens lift. The end of the sequence ends its last stroke, lifted or not."""
    array, lifts = _sequence(points, pen)
    ends = np.flatnonzero(lifts) + 1
    return np.split(array, ends[ends < len(array)]) if len(array) else []


def to_stroke3(drawing: Sequence[ArrayLike] | np.ndarray, pen: ArrayLike | None = None) -> np.ndarray:
    """float32 [T, 3] of strokes, or of points [T, 2] where their pen [T] is given too."""
    if pen is None:
        points, lifts = strokes_to_points(list(drawing))
    else:
        points, lifts = _sequence(drawing, pen)
    offsets = np.diff(points.astype(np.float64), axis=0, prepend=np.zeros((1, 2)))
    return np.column_stack([offsets, lifts != 0]).astype(np.float32)


def from_stroke3(offsets: ArrayLike, start: tuple[float, float] = (0.0, 0.0)) -> Strokes:
    """The strokes of stroke-3 [T, 3]; `start` is where its first offset begins."""
    rows = _stroke3(offsets)
    points = (np.cumsum(rows[:, :2], axis=0, dtype=np.float64) + np.asarray(start)).astype(np.float32)
    return points_to_strokes(points, rows[:, 2])


def to_stroke5(stroke3: ArrayLike, max_points: int) -> np.ndarray:
    """float32 [max_points + 1, 5] of stroke-3 [T, 3]: T rows of points, then end rows. ValueError where T > max_points."""
    rows = _stroke3(stroke3)
    if len(rows) > max_points:
        raise ValueError(f"stroke3 has {len(rows)} points, more than the limit of {max_points}")
    result = np.tile(np.array(_END, np.float32), (max_points + 1, 1))
    result[: len(rows), :2] = rows[:, :2]
    lifts = rows[:, 2] != 0
    result[: len(rows), 2:] = np.stack([~lifts, lifts, np.zeros_like(lifts)], axis=1)
    return result


def from_stroke5(stroke5: ArrayLike) -> np.ndarray:
    """float32 [T, 3] of the rows before the first end row of [L, 5], or of all where there is none.

    ValueError where the last three columns of one of them are not one 1 and two 0.
    """
    rows = np.asarray(stroke5, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != 5:
        raise ValueError(f"stroke5 must have the shape [L, 5], got {list(rows.shape)}")
    ends = np.flatnonzero(rows[:, 4])
    rows = rows[: ends[0]] if len(ends) else rows
    wrong = np.flatnonzero((rows[:, 2:] != (1, 0, 0)).any(1) & (rows[:, 2:] != (0, 1, 0)).any(1))
    if len(wrong):
        raise ValueError(
            f"stroke5 must have one 1 and two 0 in columns 2 to 4, row {wrong[0]} has {rows[wrong[0], 2:].tolist()}"
        )
    return np.column_stack([rows[:, :2], rows[:, 3]])


def fit_to_canvas(strokes: Sequence[ArrayLike], margin: float = MARGIN) -> Strokes:
    """The drawing moved and scaled, aspect kept, into a square of side 1 around the origin: float32, y pointing down.

    The longer side of its bounding box fills 1 - 2 margin (0 <= margin < 0.5), as `runtime.strokes.draw` places drawings; one
    without extent is only centred. ValueError for strokes without points or of another shape.
    """
    if not 0 <= margin < 0.5:
        raise ValueError(f"margin must be 0 or more and below 0.5, got {margin}")
    every = [_stroke(stroke, number).astype(np.float64) for number, stroke in enumerate(strokes)]
    every = [stroke for stroke in every if len(stroke)]
    if not every:
        raise ValueError("strokes must hold a point, they have none")
    points = np.concatenate(every)
    low, high = points.min(0), points.max(0)
    extent = (high - low).max()
    scale = (1 - 2 * margin) / extent if extent > 0 else 1.0
    return [((stroke - (low + high) / 2) * scale).astype(np.float32) for stroke in every]


def offset_scale(drawings: Sequence[ArrayLike]) -> float:
    """The standard deviation of all offsets, dx and dy together, of stroke-3 drawings: one number for a data set.

    ValueError where there is no offset, one is not finite, or all are the same.
    """
    offsets = [_stroke3(drawing)[:, :2].reshape(-1) for drawing in drawings]
    every = np.concatenate(offsets).astype(np.float64) if offsets else np.zeros(0)
    if not len(every):
        raise ValueError("drawings must hold at least one offset, they have none")
    for number, values in enumerate(offsets):
        if not np.isfinite(values).all():
            raise ValueError(
                f"drawings must be finite, drawing {number} has an offset that is NaN or infinite"
            )
    scale = float(every.std())
    if scale == 0:
        raise ValueError(f"drawings must differ in their offsets, all are {every[0]:g}")
    return scale


def check_sequence(points: ArrayLike, pen: ArrayLike, source: str, max_points: int | None = None) -> None:
    """ValueError, naming `source`, for a sequence that nothing can be learnt from.

    That is: another shape than [T, 2] and [T]; no point; more than `max_points`; coordinates that are NaN, infinite or 1e7 and
    more in size; a pen that is neither 0 nor 1; a pen that never lifts, as where the column of the pen was lost.
    """
    try:
        array, lifts = np.asarray(points, np.float64), np.asarray(pen, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{source}: points and pen must be arrays of numbers") from None
    if array.ndim != 2 or array.shape[1] != 2 or lifts.shape != array.shape[:1]:
        raise ValueError(
            f"{source}: expected points [T, 2] and pen [T], found {list(array.shape)} and {list(lifts.shape)}"
        )
    if not len(array):
        raise ValueError(f"{source}: nothing is drawn, the sequence has no points")
    if max_points is not None and len(array) > max_points:
        raise ValueError(f"{source}: has {len(array):,} points, more than the limit of {max_points:,}")
    wrong = np.flatnonzero(~(np.abs(array) < _LARGEST).all(1))  # NaN too
    if len(wrong):
        x, y = array[wrong[0]]
        raise ValueError(
            f"{source}, point {wrong[0]}: coordinates must be finite and below 1e7 in size, found {x:g}, {y:g}"
        )
    wrong = np.flatnonzero(~np.isin(lifts, (0, 1)))
    if len(wrong):
        raise ValueError(
            f"{source}, point {wrong[0]}: the pen must be 0 or 1 (it lifts after the point), found {lifts[wrong[0]]:g}"
        )
    if not lifts.any():
        raise ValueError(
            f"{source}: the pen never lifts; expected 1 at the last point of every stroke, found 0 at all {len(array)}"
        )


def _stroke(points: ArrayLike, number: int) -> np.ndarray:
    stroke = np.asarray(points, dtype=np.float32)
    if stroke.ndim != 2 or stroke.shape[1] != 2:
        raise ValueError(f"strokes must be [n, 2], stroke {number} has the shape {list(stroke.shape)}")
    return stroke


def _sequence(points: ArrayLike | Sequence[ArrayLike], pen: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    array, lifts = np.asarray(points, dtype=np.float32), np.asarray(pen)
    if array.ndim != 2 or array.shape[1] != 2 or lifts.shape != array.shape[:1]:
        raise ValueError(
            f"points and pen must have the shapes [T, 2] and [T], got {list(array.shape)} and {list(lifts.shape)}"
        )
    return array, lifts


def _stroke3(offsets: ArrayLike) -> np.ndarray:
    rows = np.asarray(offsets, dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != 3:
        raise ValueError(f"stroke3 must have the shape [T, 3], got {list(rows.shape)}")
    return rows
