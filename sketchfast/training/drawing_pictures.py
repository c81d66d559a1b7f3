"""Pictures of a sketch as it comes into being: its strokes so far, and where the generator looked (paper 4, figure 3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from sketchfast.data.stroke_formats import fit_to_canvas
from sketchfast.training.landmark_pictures import heat_picture

SIDE = 240  # pixels, those of `heat_picture`
_OVER = 4
_THICKNESS = 2.6  # pixels of SIDE
# Of the strokes: drawn before, drawn in this stage, and where the pen stands.
_BEFORE, _NOW, _PEN = (146, 152, 164), (20, 28, 44), (29, 99, 216)
# Grey levels of a photo under its map: light, or the colours of the map would drown in its shadows.
_DARKEST = 150


class Stage(NamedTuple):
    """Part of a drawing. points first..last - 1 are new in it. looked: [h, w] mean attention of their steps, or None.

    focus: the largest attention, in times of what even attention would be; 1 where it is even.
    """

    first: int
    last: int
    looked: np.ndarray | None
    focus: float


def stages_of(length: int, attention: np.ndarray | None, count: int) -> list[Stage]:
    """At most `count` stages of about equally many of `length` points; attention [T, h, w] with T of at least `length`."""
    ends = np.unique(np.linspace(0, length, min(count, length) + 1).round().astype(int))
    found = []
    for first, last in pairwise(ends):
        looked = None if attention is None else np.asarray(attention[first:last], np.float64).mean(axis=0)
        focus = 1.0 if looked is None else float(looked.max() * looked.size / looked.sum())
        found.append(Stage(int(first), int(last), looked, focus))
    return found


def attention_picture(photo: np.ndarray, looked: np.ndarray) -> np.ndarray:
    """Where the generator looked, over the photo uint8 [H, W, 3] in light grey: uint8 [SIDE, SIDE, 3].

    looked: [h, w], attention. Places with even attention or less have no colour, those with twice as much half of it, and with
    three times or more all of it: so colour says how much, also from one picture to another, and noise stays pale.
    """
    grey = np.rint(photo @ np.array([0.299, 0.587, 0.114])).astype(np.float32)
    light = np.rint(_DARKEST + grey * ((255 - _DARKEST) / 255)).astype(np.uint8)
    square = np.array(Image.fromarray(light).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    times = looked * (looked.size / max(float(looked.sum()), 1e-12))
    return heat_picture(square, np.clip((times - 1) / 2, 0, 1))


def stroke_picture(
    places: np.ndarray, lifts: np.ndarray, stage: Stage, ground: np.ndarray | None = None
) -> np.ndarray:
    """The drawing after a stage: its own lines dark, earlier ones grey, the pen a dot; uint8 [SIDE, SIDE, 3].

    places: [T, 2], `fitted` points of the whole drawing. lifts: bool [T], the pen lifts after this point.
    ground: uint8 [SIDE, SIDE, 3] to draw on; None: white.
    """
    on = np.full((SIDE, SIDE, 3), 255, np.uint8) if ground is None else ground
    canvas = Image.fromarray(on).resize((SIDE * _OVER, SIDE * _OVER), Image.Resampling.BILINEAR)
    path = places * _OVER
    pen, radius = ImageDraw.Draw(canvas), _THICKNESS * _OVER / 2
    for colour, first, last in ((_BEFORE, 0, stage.first), (_NOW, stage.first, stage.last)):
        for i in range(first, last):
            if i and not lifts[i - 1]:
                pen.line([tuple(path[i - 1]), tuple(path[i])], fill=colour, width=round(2 * radius))
            _dot(pen, path[i], radius, colour)  # round joints, and a dot for a stroke of one point
    if stage.last < len(places):
        _dot(pen, path[stage.last - 1], 3.2 * radius, (255, 255, 255))
        _dot(pen, path[stage.last - 1], 2.3 * radius, _PEN)
    return np.array(canvas.reduce(_OVER))


def fitted(points: np.ndarray) -> np.ndarray:
    """[T, 2] -> pixels of a picture of SIDE: the bounding box fills it but for the margin, centred, aspect kept."""
    if not len(points):
        return np.zeros((0, 2))
    (on_canvas,) = fit_to_canvas([points])
    return (on_canvas.astype(np.float64) + 0.5) * SIDE


def picture_of(drawing: np.ndarray) -> np.ndarray:
    """uint8 [S, S] -> uint8 [S, S, 3]."""
    return np.repeat(drawing[:, :, None], 3, axis=2)


def blank() -> np.ndarray:
    return np.full((8, 8, 3), 255, np.uint8)


def spread(order: Sequence[int] | np.ndarray, count: int) -> list[int]:
    """At most `count` of these, evenly spread from the first to the last."""
    if not len(order):
        return []
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return [int(order[place]) for place in places]


def _dot(pen: ImageDraw.ImageDraw, place: np.ndarray, radius: float, colour: tuple[int, int, int]) -> None:
    x, y = float(place[0]), float(place[1])
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
