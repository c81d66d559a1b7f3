"""Sketches as sequences of pen movements of one length: what a stroke generator is trained on.

A sketch is fitted into a canvas of side 1 whose origin is its centre, the longer side of its bounding box filling all but
1/16 a side (D); it is simplified to at most `max_points` points; and all offsets between points, the first from the origin,
are divided by one number, the standard deviation of all offsets of the training set (Bhunia et al. 2021, section 3.1, after
Ha and Eck 2018).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast import numpy_ops
from sketchfast.canvas import MARGIN
from sketchfast.data.image_set import ImageSet, run_threads
from sketchfast.data.stroke_formats import (
    check_sequence,
    fit_to_canvas,
    offset_scale,
    points_to_strokes,
    strokes_to_points,
    to_stroke3,
    to_stroke5,
)
from sketchfast.data.stroke_simplify import simplify, simplify_to
from sketchfast.runtime.strokes import Strokes

_Sequence = tuple[np.ndarray, np.ndarray]


class SketchSequences:
    """The sketches of a set whose strokes are known (`ImageSet.has_strokes`), as arrays.

    max_points: T, the most points of a sketch, its end not counted. A sketch that has more is simplified by Ramer, Douglas and
        Peucker's algorithm with the smallest tolerance that leaves T.
    epsilon: tolerance by which all sketches are simplified first, in canvas sides; None for none.
    scale: canvas units of an offset of 1 in `stroke5`. None for these sketches' own standard deviation: right for a training
        set; held-out sketches are given that of the training set.
    leave_out_long: leaves out sketches of more strokes than T points can show (two points each, one for a dot), instead of
        refusing them; `left_out` has their ids.

    rows: int64 [N], positions in `sketches`; ids, labels [N]. stroke5: float32 [N, T + 1, 5], offsets over `scale` and pen
    (touching, lifted after this point, end); the row of the end and all after it are (0, 0, 0, 0, 1). lengths: int64 [N],
    points of each. points: float32 [N, T, 2], x, y in canvas units, y down; lifts: bool [N, T], the pen lifts after this point;
    both are zero behind a sketch's end.

    Raises ValueError naming the items (up to 20): strokes not known, not finite, a pen that never lifts, nothing drawn, more
    strokes than T points can show; naming the argument: max_points, epsilon or scale out of range, no sketches.
    """

    def __init__(
        self,
        sketches: ImageSet,
        max_points: int = 100,
        epsilon: float | None = None,
        scale: float | None = None,
        leave_out_long: bool = False,
        progress: bool = True,
    ) -> None:
        if max_points < 2:
            raise ValueError(f"max_points must be at least 2, got {max_points}")
        if epsilon is not None and not 0 <= epsilon < 1:
            raise ValueError(f"epsilon must be 0 to below 1, in canvas sides, or None, got {epsilon}")
        if scale is not None and not 0 < scale < np.inf:
            raise ValueError(f"scale must be above 0 and finite, or None, got {scale}")
        if not len(sketches):
            raise ValueError("sketches must be at least one, got an empty set")
        require_strokes(sketches)

        def read(i: int) -> _Sequence | Exception:
            try:
                return _sequence(sketches, i, max_points, epsilon)
            except (OSError, ValueError) as error:
                return error

        found = run_threads(read, len(sketches), "reading strokes", progress)
        skipped = [i for i, item in enumerate(found) if leave_out_long and isinstance(item, _TooManyStrokes)]
        self.rows = np.setdiff1d(np.arange(len(sketches)), skipped)
        sequences = _all_good([found[row] for row in self.rows])
        if not sequences:
            raise ValueError(
                f"max_points={max_points} leaves out all {len(skipped)} sketches: each has more strokes than that can show"
            )
        self.left_out = [sketches.ids[i] for i in skipped]
        self.ids, self.labels = [sketches.ids[row] for row in self.rows], sketches.labels[self.rows]
        self.max_points = max_points
        self.lengths = np.array([len(points) for points, _ in sequences], np.int64)
        self.points = np.zeros((len(self), max_points, 2), np.float32)
        self.lifts = np.zeros((len(self), max_points), bool)
        self.stroke5 = np.empty((len(self), max_points + 1, 5), np.float32)
        offsets = [to_stroke3(points, pen) for points, pen in sequences]
        self.scale = offset_scale(offsets) if scale is None else float(scale)
        for i, (points, pen) in enumerate(sequences):
            self.points[i, : len(points)], self.lifts[i, : len(points)] = points, pen != 0
            self.stroke5[i] = to_stroke5(offsets[i] / np.array([self.scale, self.scale, 1]), max_points)

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, rows: Sequence[int] | np.ndarray) -> SketchSequences:
        """The sketches at these positions, in this order, with the same scale."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        result = object.__new__(SketchSequences)
        result.ids, result.left_out = [self.ids[row] for row in rows], []
        result.max_points, result.scale = self.max_points, self.scale
        for name in ("rows", "labels", "lengths", "points", "lifts", "stroke5"):
            setattr(result, name, getattr(self, name)[rows])
        return result

    def strokes(self, i: int) -> Strokes:
        """The strokes of sketch i as simplified, each float32 [n, 2], in canvas units."""
        return points_to_strokes(self.points[i, : self.lengths[i]], self.lifts[i, : self.lengths[i]])

    def images(
        self, size: int, thickness: int = 1, antialias: bool = False, margin: float = MARGIN
    ) -> np.ndarray:
        """uint8 [N, size, size], ink 0 on paper 255, each drawing filling the picture but for `margin` of it a side."""
        return numpy_ops.rasterize(
            self.points, self.lifts, size, thickness, antialias, lengths=self.lengths, fit=margin
        )


def require_strokes(sketches: ImageSet) -> None:
    """ValueError naming the first sketch of which only the picture is known."""
    if sketches.has_strokes:
        return
    for i in range(len(sketches)):
        try:
            sketches.strokes(i)
        except ValueError as error:
            raise ValueError(
                f"sketches must have strokes to learn drawing from. {error}. Strokes come from QMUL's "
                "{Shoe,Chair}V2_Coordinate, from .svg sketches and from QuickDraw's .ndjson"
            ) from None


class _TooManyStrokes(ValueError):
    pass


def _sequence(sketches: ImageSet, i: int, max_points: int, epsilon: float | None) -> _Sequence:
    """Sketch i fitted to the canvas and simplified: points float32 [t, 2] and pen uint8 [t], t <= max_points."""
    name, strokes = sketches.ids[i], sketches.strokes(i)
    check_sequence(*strokes_to_points(strokes), name)
    needed = sum(min(len(stroke), 2) for stroke in strokes)
    if needed > max_points:
        raise _TooManyStrokes(
            f"{name}: its {len(strokes)} strokes need at least {needed} points, more than max_points={max_points}"
        )
    fitted = fit_to_canvas(strokes)
    if epsilon is not None:
        fitted = simplify(fitted, epsilon)
    return strokes_to_points(simplify_to(fitted, max_points))


def _all_good(found: Sequence[_Sequence | Exception]) -> list[_Sequence]:
    problems = [str(item) for item in found if isinstance(item, Exception)]
    if problems:
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        listed = "\n  ".join(problems[:20])
        raise ValueError(
            f"{len(problems)} of {len(found)} sketches cannot be learned as sequences:\n  {listed}{more}"
        )
    return [item for item in found if not isinstance(item, Exception)]
