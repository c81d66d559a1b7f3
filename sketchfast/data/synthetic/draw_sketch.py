"""From an instance's pieces to a drawer's strokes, and from strokes to an image.

A drawer (an integer) has a manner: line weight, wobble, how much is left out, whether closed shapes
close. Every sixth drawer shares a temperament, so `style` 0..5 shows one of each. The sketch's own
accidents come from the instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .drawing import Piece
from .geometry import Points, length, resample
from .parameters import generator, unit

_RASTER = 160  # pixels a side of the hidden-line test
_STEP = 0.012  # distance of stroke points, in canvas units


@dataclass(frozen=True)
class Drawer:
    """Lengths are fractions of the canvas; rates are 0..1.

    thickness: line width. wobble: slow drift of the hand. tremor: fast drift. gap: standard deviation of
    how far a closed outline falls short of (or runs past) its start, as a share of its length. omission:
    chance to leave out the least important line. exaggeration, looseness: see Parameters. passes: times
    each line is drawn. corners: share of points kept when the drawer cuts curves into straight runs (1 =
    all). see_through: hidden lines are drawn too. warp: bending of the whole sheet. tilt: degrees. tidy: strokes
    come as most people draw them: each line once, outlines clockwise from the top, lines from the top or left.
    """

    thickness: float
    wobble: float
    tremor: float
    gap: float
    omission: float
    exaggeration: float
    looseness: float
    passes: int = 1
    corners: float = 1.0
    see_through: bool = False
    warp: float = 0.006
    tilt: float = 4.0
    order: str = "large first"
    tidy: bool = False


_TEMPERAMENTS = {
    "neat": Drawer(0.011, 0.003, 0.0008, 0.004, 0.10, 0.0, 0.05),
    "loose": Drawer(0.009, 0.008, 0.0010, 0.02, 0.15, 0.1, 0.10, passes=2, warp=0.009),
    "child": Drawer(0.020, 0.013, 0.0018, 0.03, 0.50, 0.4, 0.20, warp=0.016, tilt=7.0, order="any"),
    "hasty": Drawer(
        0.012, 0.010, 0.0006, 0.05, 0.60, 0.2, 0.14, corners=0.5, warp=0.012, tilt=6.0, order="top first"
    ),
    "angular": Drawer(0.014, 0.005, 0.0005, 0.01, 0.30, 0.2, 0.10, corners=0.2, order="left first"),
    "caricature": Drawer(0.016, 0.006, 0.0010, 0.01, 0.25, 0.8, 0.15, warp=0.012, tilt=6.0),
}
TEMPERAMENTS: tuple[str, ...] = tuple(_TEMPERAMENTS)


def drawer(style: int) -> Drawer:
    """The drawer numbered `style`: temperament TEMPERAMENTS[style % 6], with a personal line weight and care."""
    if isinstance(style, bool) or not isinstance(style, (int, np.integer)) or style < 0:
        raise ValueError(f"style: expected an integer >= 0 (the number of a drawer), found {style!r}")
    base = _TEMPERAMENTS[TEMPERAMENTS[int(style) % len(TEMPERAMENTS)]]
    key = int(style)

    def vary(name: str, spread: float) -> float:
        return float((1.0 + spread) ** (2.0 * unit(key, "drawer " + name) - 1.0))

    care = vary("care", 0.5)
    return replace(
        base,
        thickness=base.thickness * vary("thickness", 0.5),
        wobble=base.wobble * care,
        tremor=base.tremor * vary("tremor", 0.8),
        gap=base.gap * care,
        omission=min(0.9, base.omission * care),
        see_through=unit(key, "drawer see-through") < 0.08,
    )


def visible_runs(pieces: Sequence[Piece], see_through: bool = False) -> list[tuple[int, Points, bool]]:
    """Outlines with hidden lines removed: (piece number, points about _STEP apart, whether the outline is
    whole).

    A line is hidden by closed pieces in front of it, and within a `join` group by every other member, so
    that the group is outlined as one shape. Tested on small rasters of the pieces, one pixel short of
    their edges so that lines meet.
    """
    inside: dict[int, NDArray[np.bool_]] = {}
    for number, piece in enumerate(pieces):
        if piece.closed:
            image = Image.new("L", (_RASTER, _RASTER))
            corners = [tuple(p) for p in (piece.points * _RASTER).tolist()]
            ImageDraw.Draw(image).polygon(corners, fill=1, outline=0)
            inside[number] = np.asarray(image, dtype=bool)
    cover = np.zeros((_RASTER, _RASTER), dtype=bool)
    hidden: dict[int, NDArray[np.bool_]] = {}
    for number in range(len(pieces) - 1, -1, -1):
        hidden[number] = cover
        if number in inside:
            cover = cover | inside[number]
    runs: list[tuple[int, Points, bool]] = []
    for number, piece in enumerate(pieces):
        n = max(4, int(length(piece.points, piece.closed) / _STEP) + 1)
        points = resample(piece.points, n, piece.closed)
        if see_through:
            runs.append((number, points, piece.closed))
            continue
        grid = np.clip((points * _RASTER).astype(np.int64), 0, _RASTER - 1)
        seen = ~hidden[number][grid[:, 1], grid[:, 0]]
        if piece.join is not None:
            for other in range(number):
                if pieces[other].join == piece.join and other in inside:
                    seen &= ~inside[other][grid[:, 1], grid[:, 0]]
        if seen.all():
            runs.append((number, points, piece.closed))
            continue
        if piece.closed and seen[0]:
            # Start a closed outline where it comes out of hiding, so that no visible run is cut in two.
            start = int(np.argmin(seen))
            points, seen = np.roll(points[:-1], -start, axis=0), np.roll(seen[:-1], -start)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(np.int8)))
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            if last - first >= 3:
                runs.append((number, points[first:last], False))
    return runs


def draw(pieces: Sequence[Piece], who: Drawer, key: int) -> list[NDArray[np.float32]]:
    """The strokes of one sketch, in drawing order: float32 [n, 2] in 0..1, n >= 2. Pieces lie in the unit square."""
    rng = generator(key, "strokes")
    kept = [
        piece
        for number, piece in enumerate(pieces)
        if unit(key, f"omit {number}") >= who.omission * (1.0 - piece.weight) * 1.4
    ]
    runs = visible_runs(kept or pieces, who.see_through)
    source = kept or pieces
    if who.order == "large first":
        runs.sort(key=lambda run: -length(run[1]) * (2 if source[run[0]].closed else 1))
    elif who.order == "top first":
        runs.sort(key=lambda run: float(run[1][:, 1].min()))
    elif who.order == "left first":
        runs.sort(key=lambda run: float(run[1][:, 0].min()))
    strokes: list[Points] = []
    for _, points, whole in runs:
        for _ in range(who.passes if len(points) > 12 and not who.tidy else 1):
            line = points
            if who.tidy:
                line = _tidy(line, whole)
            if whole and len(line) > 8:
                start = int(rng.integers(len(line) - 1))
                line = _close_badly(line, 0 if who.tidy else start, float(rng.normal()) * who.gap)
            if rng.random() < 0.5 and not who.tidy:
                line = line[::-1]
            if who.corners < 1.0 and len(line) > 8:
                line = _cut_corners(line, who.corners)
            strokes.append(line)
    return _shake(strokes, who, rng)


def _tidy(line: Points, whole: bool) -> Points:
    """An outline clockwise from its top, a line from its top or left, whichever it runs along."""
    if not whole:
        across, down = line[-1] - line[0]
        return line[::-1] if (down if abs(down) > abs(across) else across) < 0 else line
    x, y = line.T
    if (
        x[:-1] * y[1:] - x[1:] * y[:-1]
    ).sum() < 0:  # y points down, so the area of a clockwise outline is positive
        line = line[::-1]
    top = int(line[:-1, 1].argmin())
    return np.concatenate([line[top:-1], line[: top + 1]])


def _close_badly(points: Points, start: int, share: float) -> Points:
    ring = np.roll(points[:-1], -start, axis=0)
    extra = round(min(0.08, max(-0.12, share)) * len(ring))
    return np.concatenate([ring, ring[: 1 + extra]]) if extra >= 0 else ring[:extra]


def _cut_corners(points: Points, share: float) -> Points:
    """Keep sharp corners and few points between them, then walk straight from one to the next."""
    before, after = np.diff(points[:-1], axis=0), np.diff(points[1:], axis=0)
    turn = np.abs(
        np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(axis=1))
    )
    keep = np.zeros(len(points), dtype=bool)
    # At most an eighth at a time: a small wheel becomes an octagon, not a triangle.
    keep[:: max(2, min(round(2 / share), len(points) // 8))] = True
    keep[1:-1] |= turn > 0.6
    keep[-1] = True
    corners = points[keep]
    return resample(corners, max(len(corners), int(length(corners) / _STEP) + 1))


def _shake(strokes: list[Points], who: Drawer, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Hand noise along the strokes plus one smooth bend of the sheet, computed for all strokes at once."""
    counts = [len(stroke) for stroke in strokes]
    points = np.concatenate(strokes)
    # One long walk through noise of period 0.15; every stroke enters it somewhere else.
    along = np.arange(len(points)) * (_STEP / 0.15) + np.repeat(
        np.cumsum(rng.uniform(2, 4, len(counts))), counts
    )
    drift = rng.normal(size=(int(along[-1]) + 4, 2)) * who.wobble
    for axis in (0, 1):
        whole, part = along.astype(np.int64), along % 1.0
        part = part * part * (3 - 2 * part)
        points[:, axis] += drift[whole, axis] * (1 - part) + drift[whole + 1, axis] * part
    points += rng.normal(size=points.shape) * who.tremor
    points += np.repeat(rng.normal(size=(len(counts), 2)) * who.wobble * 0.6, counts, axis=0)
    points = np.clip(points, 0.0, 1.0).astype(np.float32)
    return np.split(points, np.cumsum(counts)[:-1])


def bend(pieces: Sequence[Piece], amount: float, key: int) -> list[Piece]:
    """Smooth distortion of the plane by low sine waves of the given amplitude (canvas units)."""
    rng = generator(key, "bend")
    phase, frequency = rng.uniform(0, 6.283, (2, 2)), rng.uniform(2.5, 6.0, (2, 2))
    bent = []
    for piece in pieces:
        x, y = piece.points[:, 0], piece.points[:, 1]
        dx = np.sin(frequency[0, 0] * y + phase[0, 0]) + 0.5 * np.sin(frequency[0, 1] * x + phase[0, 1])
        dy = np.sin(frequency[1, 0] * x + phase[1, 0]) + 0.5 * np.sin(frequency[1, 1] * y + phase[1, 1])
        bent.append(replace(piece, points=piece.points + amount * np.stack([dx, dy], axis=1)))
    return bent


def rasterize(
    strokes: Sequence[NDArray[np.floating]], size: int, thickness: float = 0.012
) -> NDArray[np.uint8]:
    """Black ink on white, uint8 [size, size, 3], anti-aliased. thickness is a fraction of the canvas."""
    zoom = 3 if size < 160 else 2
    side = size * zoom
    image = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(image)
    width = max(zoom, round(thickness * side))
    for stroke in strokes:
        pen.line((np.asarray(stroke, dtype=np.float64) * side - 0.5).ravel().tolist(), fill=0, width=width)
    gray = np.asarray(image.reduce(zoom))
    return np.repeat(gray[:, :, None], 3, axis=2)
