"""One object of the synthetic world, and every view of it: photo, sketches, strokes, part masks.

An instance is named by (seed, category, index). The photo's geometry is the category program with the
instance's parameters under the instance's pose (flip, small turn, shear, aspect), somewhere in the frame.
A sketch runs the program again with parameters exaggerated by its drawer, under nearly the same pose, and
fills its own sheet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .catalogue import category as find_category
from .draw_sketch import bend, draw, drawer, rasterize
from .drawing import Drawing, Piece, fit
from .parameters import Parameters, mix, unit
from .render_photo import part_mask, render


@dataclass(frozen=True)
class Instance:
    """Made by `instance`. Every method is a pure function of the fields and its arguments.

    poses: it may take any of its category's postures and views, not the usual one alone.
    hand: 0..1, how much of the drawer's unsteadiness the lines show; the less, the closer masks fit them.
    studio: photographed as shops do: filling the picture, before a plain light background.
    tidy: drawn in the order and directions that most people keep to, see Drawer.
    """

    category: str
    index: int
    seed: int = 0
    poses: bool = False
    hand: float = 1.0
    studio: bool = False
    tidy: bool = False

    @property
    def id(self) -> str:
        return f"{self.category}/{self.seed}-{self.index:06d}"

    @cached_property
    def _key(self) -> int:
        return mix(self.seed, self.category, self.index)

    def _pieces(self, parameters: Parameters) -> list[Piece]:
        chosen = find_category(self.category)
        drawing = Drawing(chosen.parts, parameters)
        programs = (chosen.program, *chosen.poses) if self.poses else (chosen.program,)
        programs[min(int(unit(self._key, "posture") * len(programs)), len(programs) - 1)](drawing)
        return drawing.pieces

    def _pose(self, extra_turn: float = 0.0, extra_aspect: float = 1.0) -> NDArray[np.float64]:
        def between(name: str, low: float, high: float) -> float:
            return low + (high - low) * unit(self._key, "pose " + name)

        turn = math.radians(between("turn", -16, 16) + extra_turn)
        c, s = math.cos(turn), math.sin(turn)
        aspect = math.sqrt(between("aspect", 0.75, 1.33) * extra_aspect)
        shape = np.array([[aspect, between("shear", -0.2, 0.2)], [0.0, 1.0 / aspect]])
        flip = np.diag([1.0 if between("flip", 0, 1) < 0.5 else -1.0, 1.0])
        return np.array([[c, -s], [s, c]]) @ shape @ flip

    @cached_property
    def photo_pieces(self) -> list[Piece]:
        """Pieces in the unit square of the photo, back to front."""
        if self.studio:
            return fit(self._pieces(Parameters(self._key)), self._pose(), 0.875, 0.5, 0.5)
        extent = 0.5 + 0.38 * unit(self._key, "pose extent")
        room = (0.98 - extent) / 2
        x, y = (0.5 + room * (2 * unit(self._key, "pose " + axis) - 1) for axis in "xy")
        return fit(self._pieces(Parameters(self._key)), self._pose(), extent, x, y)

    def sketch_pieces(self, style: int) -> list[Piece]:
        """Pieces in the unit square of the sketch by drawer `style`, exaggerated and bent, before the hand's noise."""
        who, key = drawer(style), mix(self._key, "sketch", style)
        parameters = Parameters(
            self._key, exaggeration=who.exaggeration, looseness=who.looseness, hand_key=mix(key, "hand")
        )
        turn = who.tilt * (2 * unit(key, "turn") - 1)
        pose = self._pose(turn, 1.15 ** (2 * unit(key, "aspect") - 1))
        extent = 0.62 + 0.3 * unit(key, "extent")
        room = (0.96 - extent) / 2
        x, y = (0.5 + room * (2 * unit(key, "place " + axis) - 1) for axis in "xy")
        return bend(fit(self._pieces(parameters), pose, extent, x, y), who.warp, key)

    def photo(self, size: int = 128) -> NDArray[np.uint8]:
        """uint8 [size, size, 3]."""
        _check_size(size)
        return render(self.photo_pieces, size, self._key, self.studio)

    def strokes(self, style: int = 0) -> list[NDArray[np.float32]]:
        """Polylines float32 [n, 2] of (x, y) in 0..1, y down, in drawing order, by drawer `style` (>= 0)."""
        who = drawer(style)
        steady = replace(
            who, **{name: getattr(who, name) * self.hand for name in ("wobble", "tremor", "gap")}
        )
        if self.tidy:
            steady = replace(steady, tidy=True, order="large first")
        return draw(self.sketch_pieces(style), steady, mix(self._key, "sketch", style))

    def sketch(self, style: int = 0, size: int = 128) -> NDArray[np.uint8]:
        """uint8 [size, size, 3], black on white: exactly `strokes(style)`, drawn with the drawer's line width."""
        _check_size(size)
        return rasterize(self.strokes(style), size, drawer(style).thickness)

    def part_mask(self, size: int = 128, style: int | None = None) -> NDArray[np.uint8]:
        """uint8 [size, size] of part ids: 0 background, k for PART_NAMES[category][k - 1].

        style None: aligned to the photo, pixel by pixel. style s: aligned to the sketch of drawer s, that
        is to its exaggerated, bent and shifted geometry; the lines themselves wander about it by the
        hand's noise (below 3 % of the sheet for nearly all points), and parts whose outline the drawer
        left out are still labelled.
        """
        _check_size(size)
        return part_mask(self.photo_pieces if style is None else self.sketch_pieces(style), size)


def instance(
    category: str,
    index: int,
    seed: int = 0,
    *,
    poses: bool = False,
    hand: float = 1.0,
    studio: bool = False,
    tidy: bool = False,
) -> Instance:
    """The index-th object of a category; poses, hand, studio and tidy as in Instance, whose defaults are the plain world.

    ValueError for an unknown category, a negative index, or a hand outside 0..1.
    """
    find_category(category)
    if index < 0:
        raise ValueError(f"index: expected an integer >= 0, found {index}")
    if not 0.0 <= hand <= 1.0:
        raise ValueError(f"hand: expected 0 to 1, found {hand}")
    return Instance(category, int(index), int(seed), poses, float(hand), studio, tidy)


def _check_size(size: int) -> None:
    if not 16 <= size <= 1024:
        raise ValueError(f"size: expected 16..1024 pixels, found {size}")
