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
from sketchfast.data.image_set import ImageSet, run_threads
from sketchfast.data.stroke_formats import (
    check_sequence,
    fit_to_canvas,
    offset_scale,
    strokes_to_points,
    to_stroke3,
)
from sketchfast.data.stroke_simplify import simplify, simplify_to

MARGIN = 1 / 16


class SketchSequences:
    """The sketches of a set whose strokes are known (`ImageSet.has_strokes`), as arrays.

    max_points: T, the most points of a sketch, its end not counted. A sketch that has more is simplified by Ramer, Douglas and
        Peucker's algorithm with the smallest tolerance that leaves T.
    epsilon: tolerance by which all sketches are simplified first, in canvas sides; None for none.
    scale: canvas units of an offset of 1 in `stroke5`. None for these sketches' own standard deviation: right for a training
        set; held-out sketches are given that of the training set.

    ids, labels [N]; stroke5: float32 [N, T + 1, 5], offsets over `scale` and pen (touching, lifted after this point, end); the
    row of the end and all after it are (0, 0, 0, 0, 1). lengths: int64 [N], points of each. points: float32 [N, T, 2], x, y in
    canvas units, y down; lifts: bool [N, T], the pen lifts after this point; both are zero behind a sketch's end.

    Raises ValueError naming the items (up to 20): no strokes known, not finite, a pen that never lifts, nothing drawn, more
    strokes than T points can show; naming the argument: max_points, epsilon or scale out of range, no sketches.
    """

    def __init__(
        self,
        sketches: ImageSet,
        max_points: int = 100,
        epsilon: float | None = None,
        scale: float | None = None,
        progress: bool = True,
    ) -> None:
        if max_points < 2:
            raise ValueError(f"max_points must be at least 2, got {max_points}")
        if epsilon is not None and not 0 <= epsilon < 1:
            raise ValueError(f"epsilon must be 0 to 1, in canvas sides, or None, got {epsilon}")
        if scale is not None and not 0 < scale < np.inf:
            raise ValueError(f"scale must be above 0 and finite, or None, got {scale}")
        if not len(sketches):
            raise ValueError("sketches must be at least one, got an empty set")
        count = len(sketches)
        self.ids, self.labels, self.max_points = list(sketches.ids), sketches.labels, max_points
        self.points = np.zeros((count, max_points, 2), np.float32)
        self.lifts = np.zeros((count, max_points), bool)
        self.lengths = np.zeros(count, np.int64)
        offsets: list[np.ndarray] = [np.zeros((0, 3), np.float32)] * count

        def convert(i: int) -> str | None:
            try:
                points, pen = sequence_of(sketches, i, max_points, epsilon)
            except (OSError, ValueError) as error:
                return str(error)
            self.points[i, : len(points)], self.lifts[i, : len(points)] = points, pen != 0
            self.lengths[i], offsets[i] = len(points), to_stroke3(points, pen)
            return None

        problems = [
            problem for problem in run_threads(convert, count, "reading strokes", progress) if problem
        ]
        if problems:
            more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
            raise ValueError(
                f"{len(problems)} of {count} sketches cannot be learned as sequences:\n  "
                + "\n  ".join(problems[:20])
                + more
            )
        self.scale = offset_scale(offsets) if scale is None else float(scale)
        self.stroke5 = np.zeros((count, max_points + 1, 5), np.float32)
        self.stroke5[:, :, 4] = 1
        for rows, steps in zip(self.stroke5, offsets, strict=True):
            rows[: len(steps), :2] = steps[:, :2] / self.scale
            rows[: len(steps), 2], rows[: len(steps), 3], rows[: len(steps), 4] = (
                1 - steps[:, 2],
                steps[:, 2],
                0,
            )

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, rows: Sequence[int] | np.ndarray) -> SketchSequences:
        """The sketches at these positions, in this order, with the same scale."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        result = object.__new__(SketchSequences)
        result.ids, result.labels = [self.ids[row] for row in rows], self.labels[rows]
        result.max_points, result.scale = self.max_points, self.scale
        result.points, result.lifts = self.points[rows], self.lifts[rows]
        result.lengths, result.stroke5 = self.lengths[rows], self.stroke5[rows]
        return result

    def images(self, size: int, thickness: int = 1, antialias: bool = False) -> np.ndarray:
        """uint8 [N, size, size], ink 0 on paper 255, each drawing filling the picture but for 1/16 a side."""
        return numpy_ops.rasterize(
            self.points, self.lifts, size, thickness, antialias, lengths=self.lengths, fit=MARGIN
        )


def sequence_of(
    sketches: ImageSet, i: int, max_points: int, epsilon: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sketch i fitted to the canvas and simplified: points float32 [t, 2] and pen uint8 [t], t <= max_points.

    ValueError naming the sketch.
    """
    name, strokes = sketches.ids[i], sketches.strokes(i)
    check_sequence(*strokes_to_points(strokes), name)
    try:
        fitted = fit_to_canvas(strokes, margin=MARGIN)
        if epsilon is not None:
            fitted = simplify(fitted, epsilon)
        return strokes_to_points(simplify_to(fitted, max_points))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
