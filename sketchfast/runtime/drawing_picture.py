"""A drawing as a picture, and coming into being stroke after stroke: animated GIF, PNG or WebP. numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from sketchfast.data.stroke_formats import fit_to_canvas, strokes_to_points
from sketchfast.numpy_ops import rasterize

#: Extensions of an animation, and what Pillow calls their formats and needs to know.
ANIMATIONS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}
_FRAMES = 72
_FRAME_MS, _LAST_MS = 40, 1600
# Between two strokes the pen is in the air for this share of the drawing's length.
_AIR = 0.02


def drawing_picture(strokes: Sequence[np.ndarray], side: int) -> np.ndarray:
    """uint8 [side, side], ink 0 on paper 255, soft edges: the drawing, aspect kept, fills the picture but for 1/16 a side.

    strokes: [n, 2] each, in any unit, y pointing down; none at all is blank paper. ValueError for a side out of 32..4096.
    """
    points, lifts, _ = _path(strokes, side)
    return _picture(points, lifts, side)


def drawing_frames(strokes: Sequence[np.ndarray], side: int) -> Iterator[np.ndarray]:
    """`drawing_picture` as it grows: the pen moves at one speed in the order of the points, and pauses between strokes.

    At most 72 pictures (one for a drawing of at most one point), the last one complete.
    """
    points, lifts, reached = _path(strokes, side)
    if len(points) < 2:
        yield _picture(points, lifts, side)
        return
    length = reached[-1]
    for frame in range(1, _FRAMES + 1):
        at = length * frame / _FRAMES
        shown = int(np.searchsorted(reached, at, side="right")) if frame < _FRAMES else len(points)
        path, pen = points[:shown], lifts[:shown]
        if shown < len(points) and not lifts[shown - 1]:  # the pen is between two points
            share = (at - reached[shown - 1]) / (reached[shown] - reached[shown - 1])
            tip = points[shown - 1] + share * (points[shown] - points[shown - 1])
            path, pen = np.concatenate([path, tip[None]]), np.append(pen, True)
        yield _picture(path, pen, side)


def animation_bytes(strokes: Sequence[np.ndarray], side: int, extension: str) -> bytes:
    """`drawing_frames` as a file that repeats for ever, about 4.5 seconds a time. extension: a key of ANIMATIONS (ValueError)."""
    if extension not in ANIMATIONS:
        raise ValueError(f"extension must be one of {', '.join(ANIMATIONS)}, got {extension!r}")
    kind = ANIMATIONS[extension]
    frames = [Image.fromarray(frame) for frame in drawing_frames(strokes, side)]
    buffer = BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    durations = [_FRAME_MS] * (len(frames) - 1) + [_LAST_MS]
    frames[0].save(
        buffer, kind, save_all=True, append_images=frames[1:], duration=durations, loop=0, **options
    )
    return buffer.getvalue()


def _path(strokes: Sequence[np.ndarray], side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in pixels float32 [T, 2], where the pen lifts bool [T], and how far it has moved at each, float64 [T]."""
    if not 32 <= side <= 4096:
        raise ValueError(f"side must be 32..4096 pixels, got {side}")
    drawn = [stroke for stroke in strokes if len(stroke)]
    points, pen = strokes_to_points(fit_to_canvas(drawn) if drawn else [])
    lifts = pen != 0
    moved = np.hypot(*np.diff(points.astype(np.float64), axis=0).T)
    in_air = lifts[:-1]
    moved[in_air] = _AIR * (moved[~in_air].sum() or 1.0)
    reached = np.concatenate([[0.0], np.cumsum(moved)])[: len(points)]
    return (points + 0.5) * side - 0.5, lifts, reached


def _picture(points: np.ndarray, lifts: np.ndarray, side: int) -> np.ndarray:
    thickness = max(1, round(side / 100))  # about the pen of Sketchy's sketches, as in runtime.strokes.draw
    return rasterize(points[None], lifts[None], side, thickness, antialias=True)[0]
