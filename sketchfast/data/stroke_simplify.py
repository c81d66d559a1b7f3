"""Fewer points for the same strokes: Ramer-Douglas-Peucker, and points at equal distances along a stroke.

Strokes are float32 [n, 2], x and y in any unit; the arithmetic is float64. The distance of a point is that to the segment between
the points kept at its sides, not to the line through them: a stroke that runs past its end and back keeps its turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from sketchfast.runtime.strokes import Strokes


def rdp(points: ArrayLike, epsilon: float) -> np.ndarray:
    """The points of a stroke [n, 2] that Ramer-Douglas-Peucker keeps, first and last among them: float32 [m, 2].

    No point left out is farther than `epsilon` (0 or more, in the points' unit) from the simplified stroke; with 0 only repeated
    points and those on a straight line go. ValueError for another shape, points that are not finite, or epsilon below 0.
    """
    _check_epsilon(epsilon)
    stroke = _stroke(points)
    return stroke[_significance(stroke, float(epsilon)) > epsilon].astype(np.float32)


def simplify(strokes: Sequence[ArrayLike], epsilon: float) -> Strokes:
    """`rdp` of every stroke."""
    return [rdp(stroke, epsilon) for stroke in strokes]


def simplify_to(strokes: Sequence[ArrayLike], max_points: int) -> Strokes:
    """The strokes with at most `max_points` points in all: `rdp` of every stroke, with the smallest epsilon that does it.

    Strokes that are short enough come back as they are. ValueError where even the ends of the strokes are more than
    `max_points` points (a stroke of one point has one end).
    """
    if max_points < 1:
        raise ValueError(f"max_points must be at least 1, got {max_points}")
    every = [_stroke(stroke) for stroke in strokes]
    needed = sum(min(len(stroke), 2) for stroke in every)
    if needed > max_points:
        raise ValueError(
            f"{len(every)} strokes need at least {needed} points, their ends; the limit is {max_points}"
        )
    if sum(len(stroke) for stroke in every) <= max_points:
        return [stroke.astype(np.float32) for stroke in every]
    # A point is kept as long as epsilon is below its significance, so the smallest epsilon that leaves max_points is the
    # significance of the first one too many.
    significance = [_significance(stroke, 0.0) for stroke in every]
    epsilon = np.sort(np.concatenate(significance))[::-1][max_points]
    return [stroke[kept > epsilon].astype(np.float32) for stroke, kept in zip(every, significance)]


def resample(points: ArrayLike, *, step: float | None = None, count: int | None = None) -> np.ndarray:
    """A stroke [n, 2] as float32 [m, 2] points at equal distances along it, from its first point to its last.

    step: the largest distance along the stroke, above 0; the points then lie length / ceil(length / step) apart. count: how many
    points, 2 or more. One of the two is given. A stroke without length gives its first point: once with step, `count` times
    with count. ValueError for other arguments, another shape, or points that are not finite.
    """
    if (step is None) == (count is None):
        raise ValueError(f"give either step or count, got step={step}, count={count}")
    stroke = _stroke(points)
    length = float(np.hypot(*np.diff(stroke, axis=0).T).sum())
    if step is not None:
        if not 0 < step < math.inf:
            raise ValueError(f"step must be above 0 and finite, got {step}")
        count = math.ceil(length / step) + 1
    assert count is not None
    if step is None and count < 2:
        raise ValueError(f"count must be at least 2, got {count}")
    if length == 0:
        return np.repeat(stroke[:1], count, axis=0).astype(np.float32)
    return _along(stroke, count).astype(np.float32)


def _check_epsilon(epsilon: float) -> None:
    if not 0 <= epsilon < math.inf:
        raise ValueError(f"epsilon must be 0 or more and finite, got {epsilon}")


def _stroke(points: ArrayLike) -> np.ndarray:
    stroke = np.ascontiguousarray(points, dtype=np.float64)
    if stroke.ndim != 2 or stroke.shape[1] != 2 or not len(stroke):
        raise ValueError(f"points must have the shape [n, 2] with n at least 1, got {list(stroke.shape)}")
    if not np.isfinite(stroke).all():
        row = int(np.flatnonzero(~np.isfinite(stroke).all(1))[0])
        raise ValueError(f"points must be finite, point {row} is {stroke[row].tolist()}")
    return stroke


@njit(nogil=True, cache=True)
def _significance(points, floor):
    """float64 [n]: the epsilon from which on Ramer-Douglas-Peucker leaves a point out; inf for the ends.

    A point is reached only by way of the splits above it, so its own distance counts no more than theirs. What lies at most
    `floor` from its segment is not looked into and stays 0. n log n steps for most strokes, n^2 at worst.
    """
    n = len(points)
    significance = np.zeros(n)
    significance[0] = significance[n - 1] = np.inf
    first_of, last_of, bound_of = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    first_of[0], last_of[0], bound_of[0] = 0, n - 1, np.inf
    open_parts = 1
    while open_parts > 0:
        open_parts -= 1
        first, last, bound = first_of[open_parts], last_of[open_parts], bound_of[open_parts]
        x, y = points[first]
        along_x, along_y = points[last, 0] - x, points[last, 1] - y
        squared_length = along_x * along_x + along_y * along_y
        farthest, largest = first, -1.0
        for i in range(first + 1, last):
            dx, dy = points[i, 0] - x, points[i, 1] - y
            share = 0.0
            if squared_length > 0.0:
                share = min(max((dx * along_x + dy * along_y) / squared_length, 0.0), 1.0)
            if 0.0 < share < 1.0:
                # The cross product is exact for points of whole coordinates that lie on the line.
                cross = dx * along_y - dy * along_x
                squared = cross * cross / squared_length
            else:
                dx, dy = dx - share * along_x, dy - share * along_y
                squared = dx * dx + dy * dy
            if squared > largest:
                farthest, largest = i, squared
        distance = min(math.sqrt(max(largest, 0.0)), bound)
        if farthest == first or distance <= floor:
            continue
        significance[farthest] = distance
        for low, high in ((first, farthest), (farthest, last)):
            if high - low > 1:
                first_of[open_parts], last_of[open_parts], bound_of[open_parts] = low, high, distance
                open_parts += 1
    return significance


@njit(nogil=True, cache=True)
def _along(points, count):
    """float64 [count, 2]: points at equal distances along a stroke that has length, its ends exactly."""
    n = len(points)
    reached = np.zeros(n)  # the length of the stroke up to each point
    for i in range(1, n):
        reached[i] = reached[i - 1] + math.hypot(
            points[i, 0] - points[i - 1, 0], points[i, 1] - points[i - 1, 1]
        )
    result = np.empty((count, 2))
    result[0], result[count - 1] = points[0], points[n - 1]
    i = 1
    for k in range(1, count - 1):
        target = reached[n - 1] * k / (count - 1)
        while reached[i] < target and i < n - 1:
            i += 1
        share = (target - reached[i - 1]) / (reached[i] - reached[i - 1])
        result[k] = points[i - 1] + share * (points[i] - points[i - 1])
    return result
