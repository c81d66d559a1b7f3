"""What a category program draws on: an ordered list of named parts, back to front.

A program is a function `program(d: Drawing)`. It asks `d` for named parameters and places parts; it knows
nothing of photos, sketches or pixels. `fit` then brings the pieces into the unit square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .geometry import Points
from .parameters import Parameters


@dataclass(frozen=True)
class Piece:
    """One closed shape or one line.

    part: id in the mask, 1-based position in the category's part names; 0 for lines that belong to no part.
    paint: material name, which chooses a colour family in photos; None for lines.
    weight: 0..1, how unlikely a drawer is to leave it out.
    join: pieces of one drawing with the same join are outlined as a single shape.
    width: photo thickness of a line, relative to the object.
    """

    part: int
    points: Points
    closed: bool
    paint: str | None
    weight: float
    join: str | None
    width: float


@dataclass(frozen=True)
class Category:
    """parts: names in mask order (id = position + 1). attributes: words, see semantics.py.

    poses: further programs for the same thing in other postures and views, which an Instance draws on when asked.
    """

    name: str
    program: Callable[[Drawing], None]
    parts: tuple[str, ...]
    attributes: str
    poses: tuple[Callable[[Drawing], None], ...] = ()


class Drawing:
    """Collects pieces; `value`, `count` and `chance` are the instance's named parameters."""

    def __init__(self, parts: Sequence[str], parameters: Parameters) -> None:
        self._ids = {name: number + 1 for number, name in enumerate(parts)}
        self.pieces: list[Piece] = []
        self.value = parameters.value
        self.count = parameters.count
        self.chance = parameters.chance

    def shape(
        self, part: str, points: Points, paint: str = "any", *, weight: float = 1.0, join: str | None = None
    ) -> None:
        """A closed, filled shape in front of everything so far."""
        self.pieces.append(Piece(self._ids[part], points, True, paint, weight, join, 0.0))

    def line(
        self, points: Points, *, weight: float = 0.6, width: float = 0.012, join: str | None = None
    ) -> None:
        """An open line of ink: a mouth, a string, a fold. It belongs to no part of the mask."""
        self.pieces.append(Piece(0, points, False, None, weight, join, width))


def fit(pieces: Sequence[Piece], matrix: np.ndarray, extent: float, x: float, y: float) -> list[Piece]:
    """Apply a 2x2 matrix, then scale so that the longer side is `extent` and the box is centred at (x, y)."""
    turned = [piece.points @ matrix.T for piece in pieces]
    low = np.min([p.min(axis=0) for p in turned], axis=0)
    high = np.max([p.max(axis=0) for p in turned], axis=0)
    scale = extent / max(float((high - low).max()), 1e-9)
    shift = np.array([x, y]) - scale * (low + high) / 2
    return [replace(piece, points=p * scale + shift) for piece, p in zip(pieces, turned, strict=True)]
