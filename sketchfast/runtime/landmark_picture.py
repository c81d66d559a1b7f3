"""The picture of a sketch's landmarks: contour points, where the offsets move them, arrows between. numpy and Pillow only."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from .. import atomic
from .picture_sheet import LegendLine, png_bytes, sheet, shrunk
from .pictures import check_png_to_write

# Blue and red as in the paper's figure 3, of different lightness, so that they differ with any colour vision.
POINT, LANDMARK, ARROW = (27, 79, 190), (232, 62, 40), (96, 96, 102)
_SMALLEST, _THINNEST = 512, 64  # sides of the drawn sketch, pixels
_EDGE = 0.06  # white around the sketch, of its longer side: landmarks may be moved out of it
_FADED = 0.6  # of the ink's darkness is left, so that the points stand out
_FINER = 3  # drawn this much larger, then reduced: smooth dots and arrows
_SOFTWARE = "sketchfast classify"


def drawn_landmarks(
    sketch: np.ndarray, points: np.ndarray, moved: np.ndarray, *, dots: float = 1.0
) -> np.ndarray:
    """The sketch in grey with its contour points in blue, the landmarks in red, arrows between: uint8 [h, w, 3].

    sketch: uint8 [H, W], ink dark on white; small ones are enlarged by whole factors, large ones shrunk without losing thin
    lines. points, moved: [n, 2] numbers, (x, y) in its pixels, centres at integers. dots: factor on the size of dots and
    arrows, for pictures that are shown small. What lies outside the white edge is cut off, and what is not finite left out.
    Raises TypeError or ValueError for other shapes and types.
    """
    _check(sketch, points, moved)
    paper, shrink = shrunk(sketch)
    grow = max(1, -(-_SMALLEST // max(paper.shape)))
    rows, columns = (max(grow, -(-_THINNEST // side)) for side in paper.shape)
    paper = paper.repeat(rows, axis=0).repeat(columns, axis=1)
    faded = np.rint(255 - _FADED * (255 - paper.astype(np.float32))).astype(np.uint8)
    longer = max(paper.shape)
    edge = round(_EDGE * longer)
    faded = np.pad(faded, edge, constant_values=255)
    canvas = Image.fromarray(np.repeat(faded[:, :, None], 3, axis=2))
    canvas = canvas.resize((canvas.width * _FINER, canvas.height * _FINER), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas)
    scale = np.array([columns, rows]) / shrink

    def place(values: np.ndarray) -> np.ndarray:
        """Pixels of the sketch -> pixels of the canvas; neither has its centre at the corner."""
        placed = ((np.asarray(values, np.float64).reshape(-1, 2) + 0.5) * scale + edge) * _FINER - 0.5
        return np.clip(placed, -4.0 * max(canvas.size), 4.0 * max(canvas.size))

    starts, ends = place(points), place(moved)
    radius = max(1.5, longer / 130) * dots * _FINER
    width = max(1, round(radius / 2.4))
    known = np.isfinite(starts).all(axis=1) & np.isfinite(ends).all(axis=1)
    for start, end in zip(starts[known], ends[known]):
        _arrow(draw, start, end, radius, width)
    for start in starts[known]:
        _dot(draw, start, radius, POINT)
    for start, end in zip(starts[known], ends[known]):
        if not np.array_equal(start, end):
            _dot(draw, end, radius, LANDMARK)
    return np.array(canvas.reduce(_FINER))


def landmark_picture(
    sketch: np.ndarray,
    points: np.ndarray,
    moved: np.ndarray,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
    answers: Sequence[tuple[str, float]] = (),
) -> bytes:
    """A PNG of `drawn_landmarks` with a legend: the answers, best first, as names and scores 0..1, and what the dots are.

    path: also write it there (.png), whole or not at all; only a picture that this function wrote is replaced. Raises as
    `drawn_landmarks`, and as `check_landmark_picture_path` does.
    """
    if path is not None:
        check_landmark_picture_path(path)
    lines = [LegendLine(name, score_text(score)) for name, score in answers]
    if lines and len(points):
        lines.append(LegendLine(""))
    if len(points):
        lines.append(LegendLine("contour point", str(len(points)), POINT, round=True))
        if not np.array_equal(points, moved):
            lines.append(LegendLine("after its offset", "", LANDMARK, round=True))
    drawn = Image.fromarray(drawn_landmarks(sketch, points, moved))
    data = png_bytes(sheet(drawn, lines, title=title), _SOFTWARE)
    if path is not None:
        atomic.write_bytes(path, data)
    return data


def score_text(score: float) -> str:
    """A score 0..1 in percent; never rounded to certainty or to nothing."""
    percent = f"{100 * score:.0f}"
    if percent == "0" and score > 0:
        return "<1 %"
    return ">99 %" if percent == "100" and score < 1 else f"{percent} %"


def check_landmark_picture_path(path: str | os.PathLike[str]) -> None:
    """Raises ValueError where the name does not end in .png, FileExistsError where it is a file of somebody else's."""
    check_png_to_write(path, "landmark picture", _SOFTWARE)


def _dot(draw: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, colour: tuple[int, int, int]) -> None:
    x, y = centre
    rim = radius * 1.35  # white, so that dots on ink and on each other stay apart
    draw.ellipse((x - rim, y - rim, x + rim, y + rim), fill=(255, 255, 255))
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _arrow(draw: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, radius: float, width: int) -> None:
    length = float(np.hypot(*(end - start)))
    if length == 0:
        return
    along = (end - start) / length
    across = np.array([-along[1], along[0]])
    head = 2.2 * radius
    # The tip touches the dot's rim; an arrow shorter than its head is a line.
    tip = end - along * radius * 1.35
    draw.line([tuple(start), tuple(end if length < head + 3 * radius else tip - along * head)], ARROW, width)
    if length >= head + 3 * radius:
        base = tip - along * head
        corners = [tuple(tip), tuple(base + across * 0.9 * radius), tuple(base - across * 0.9 * radius)]
        draw.polygon(corners, fill=ARROW)


def _check(sketch: np.ndarray, points: np.ndarray, moved: np.ndarray) -> None:
    if not isinstance(sketch, np.ndarray) or sketch.dtype != np.uint8:
        found = sketch.dtype if isinstance(sketch, np.ndarray) else type(sketch).__name__
        raise TypeError(f"sketch must be a numpy array of uint8, got {found}")
    if sketch.ndim != 2 or 0 in sketch.shape:
        raise ValueError(f"sketch must have the shape [H, W] with H, W >= 1, got {list(sketch.shape)}")
    shapes = [list(np.shape(values)) for values in (points, moved)]
    if shapes[0] != shapes[1] or len(shapes[0]) != 2 or shapes[0][1] != 2:
        raise ValueError(f"points and moved must have the same shape [n, 2], got {shapes[0]} and {shapes[1]}")
