"""Sketches of QMUL Shoe-V2 and Chair-V2 kept as strokes: the pickles {Shoe,Chair}V2_Coordinate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from sketchfast.data import safe_pickle
from sketchfast.data.image_set import ImageSet
from sketchfast.runtime.strokes import MAX_POINTS, Strokes, draw

HALVES = ("train", "test")


class StrokeSketches(ImageSet):
    """Sketches as strokes, drawn when asked for; ids are "train/<photo>_<k>" and "test/<photo>_<k>".

    drawings: each float32 [n, 3]: x, y with y pointing down, and 1 at the last point of a stroke.
    canvas: side of the pictures in pixels, which the drawing fills but for a margin (`runtime.strokes.draw`).
    Raises ValueError naming the argument, or the drawing whose pen never lifts.
    """

    def __init__(
        self,
        drawings: Sequence[np.ndarray],
        ids: Sequence[str],
        labels: Sequence[int] | np.ndarray,
        names: Sequence[str],
        canvas: int = 256,
    ) -> None:
        super().__init__(names, labels, ids, "sketch")
        if len(drawings) != len(self):
            raise ValueError(
                f"drawings and ids must have one length, got {len(drawings)} and {len(self.ids)}"
            )
        if not 8 <= canvas <= 4096:
            raise ValueError(f"canvas must be 8..4096 pixels, got {canvas}")
        self.drawings, self.canvas = list(drawings), canvas
        unended = [
            name for name, drawing in zip(self.ids, self.drawings, strict=True) if not drawing[:, 2].any()
        ]
        if unended:
            raise ValueError(
                f"the pen never lifts in {len(unended):,} of {len(self):,} drawings: {', '.join(unended[:5])}; expected 1 in "
                "the third column at the last point of each stroke"
            )

    @property
    def has_strokes(self) -> bool:
        return True

    def strokes(self, i: int) -> Strokes:
        """The strokes of sketch i in the order drawn, each float32 [n, 2]: x, y in the units of the file, 0..256."""
        drawing = self.drawings[i]
        ends = np.flatnonzero(drawing[:, 2]) + 1
        # The end of a drawing ends its last stroke, flagged or not.
        return np.split(drawing[:, :2], ends[ends < len(drawing)])

    def load(self, i: int) -> np.ndarray:
        return draw(self.strokes(i), self.canvas)

    def subset(self, indices: Sequence[int] | np.ndarray) -> StrokeSketches:
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        view = super().subset(rows)
        drawings = [self.drawings[row] for row in rows]
        result = StrokeSketches(drawings, view.ids, view.labels, self.names, self.canvas)
        result._resized = {key: value[rows] for key, value in self._resized.items()}
        return result


def read_coordinates(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """ "train/<photo>_<k>" or "test/<photo>_<k>" -> drawing, float32 [n, 3], as `StrokeSketches` takes them.

    The file is a pickle of a dict '/train/<photo>_<k>' -> array (n, 3), read by `safe_pickle`. Raises FileNotFoundError, and
    ValueError for another kind of file, naming the first entry whose name or array is something else.
    """
    content = safe_pickle.load(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f"{path}: expected a dict of '/train/<photo>_<k>' -> (n, 3) arrays, found {type(content).__name__}"
            + (" with nothing in it" if isinstance(content, dict) else "")
        )
    drawings: dict[str, np.ndarray] = {}
    for key, value in content.items():
        name = key.lstrip("/") if isinstance(key, str) else ""
        half, _, rest = name.partition("/")
        if half not in HALVES or not rest or "/" in rest:
            raise ValueError(
                f"{path}: expected names '/train/<photo>_<k>' or '/test/<photo>_<k>', found {key!r}"
            )
        if name in drawings:
            raise ValueError(f"{path}: holds {name} twice")
        drawings[name] = _checked(value, f"{path}, {name}")
    return drawings


def _checked(value: Any, where: str) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu" or value.shape[1:] != (3,):
        found = (
            f"shape {value.shape}, {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        )
        raise ValueError(f"{where}: expected an array of numbers (n, 3), found {found}")
    if not 1 <= len(value) <= MAX_POINTS:
        raise ValueError(f"{where}: expected 1..{MAX_POINTS:,} points, found {len(value):,}")
    if not (np.abs(value.astype(np.float64)) < 1e7).all():  # false for NaN too
        raise ValueError(f"{where}: coordinates must be finite and below 1e7 in size")
    if not np.isin(value[:, 2], (0, 1)).all():
        raise ValueError(
            f"{where}: the third column must be 1 at a stroke's last point and 0 elsewhere, found "
            f"{np.setdiff1d(value[:, 2], (0, 1))[0]:g}"
        )
    return value.astype(np.float32)
