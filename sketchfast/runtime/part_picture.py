"""The picture of a parsed sketch: its parts in colour under the ink, and a legend. numpy and Pillow only."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
from PIL import Image

from .. import atomic
from .picture_sheet import PAPER, LegendLine, png_bytes, sheet, shrunk
from .pictures import check_png_to_write

# Okabe and Ito's colours, which people with any colour vision tell apart, without their black (the ink is black) and
# with yellow late, as it is faint on white; then three that stay apart from these. Part k has colour k - 1.
COLOURS: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (0, 114, 178),
    (213, 94, 0),
    (240, 228, 66),
    (190, 190, 190),
    (136, 34, 85),
    (51, 34, 136),
)
_STRENGTH = 0.75  # of the colour on white paper
_SMALLEST, _THINNEST = 256, 16  # sides of the drawn sketch, pixels
_NOTHING = "no part found"
_SHARES = "% of the coloured area"
_SOFTWARE = "sketchfast parse"


def part_colour(label: int) -> tuple[int, int, int]:
    """RGB of a part, the same in every picture; white for background (0). Part 11 begins anew with darker colours."""
    if label == 0:
        return PAPER
    turn, place = divmod(label - 1, len(COLOURS))
    red, green, blue = (round(level * 0.6**turn) for level in COLOURS[place])
    return red, green, blue


def overlay(sketch: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Parts in colour with the ink on top: sketch uint8 [H, W], ink dark on white, and mask uint8 [H, W] -> uint8 [H, W, 3].

    Labels from 250 on, among them 255 (ignored), are drawn as light grey. ValueError for other shapes, TypeError for
    other types.
    """
    for name, values in (("sketch", sketch), ("mask", mask)):
        if not isinstance(values, np.ndarray) or values.dtype != np.uint8:
            found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
            raise TypeError(f"{name} must be a numpy array of uint8, got {found}")
    if sketch.ndim != 2 or 0 in sketch.shape or mask.shape != sketch.shape:
        raise ValueError(
            f"sketch and mask must have the same shape [H, W], got {list(sketch.shape)} and {list(mask.shape)}"
        )
    table = np.full((256, 3), 235, np.uint16)
    for label in range(250):
        colour = np.array(part_colour(label))
        table[label] = np.rint(255 - _STRENGTH * (255 - colour))
    paint = table[mask]
    return ((paint * sketch[:, :, None] + 127) // 255).astype(np.uint8)


def share_text(share: float) -> str:
    """A share 0..1 in percent; "<0.1 %" where one decimal would show none."""
    return "<0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def part_picture(
    sketch: np.ndarray,
    mask: np.ndarray,
    part_names: Mapping[int, str],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
) -> bytes:
    """A PNG of the overlay with a legend: colour, name and share of the drawn area of every part that occurs.

    sketch, mask: as `overlay` has them. part_names: label -> name. Small sketches are enlarged by whole factors, large
    ones shrunk without losing thin lines. path: also write it there (.png), whole or not at all; only a picture that
    this function wrote is replaced. Raises as `overlay`, and as `check_part_picture_path` does.
    """
    if path is not None:
        check_part_picture_path(path)
    drawn = Image.fromarray(_sized(sketch, mask))
    lines = [
        LegendLine(name, share_text(share), _paint(label)) for label, name, share in _legend(mask, part_names)
    ]
    data = png_bytes(sheet(drawn, lines, title=title, note=_SHARES if lines else _NOTHING), _SOFTWARE)
    if path is not None:
        atomic.write_bytes(path, data)
    return data


def write_mask(mask: np.ndarray, path: str | os.PathLike[str]) -> None:
    """The mask uint8 [H, W] itself as an 8-bit grey PNG, value = label; replaces only what this module wrote."""
    check_part_picture_path(path)
    atomic.write_bytes(path, png_bytes(Image.fromarray(mask), _SOFTWARE))


def check_part_picture_path(path: str | os.PathLike[str]) -> None:
    """Raises ValueError where the name does not end in .png, FileExistsError where it is a file of somebody else's."""
    check_png_to_write(path, "part picture", _SOFTWARE)


def _sized(sketch: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The overlay at a size to look at. Enlarged by pixel repetition; shrunk with the darkest ink and the nearest label."""
    height, width = sketch.shape
    sketch, shrink = shrunk(sketch)
    if shrink > 1:
        y = np.minimum(np.arange(sketch.shape[0]) * shrink + shrink // 2, height - 1)
        x = np.minimum(np.arange(sketch.shape[1]) * shrink + shrink // 2, width - 1)
        mask = mask[y[:, None], x]
    paint = overlay(sketch, mask)
    grow = max(1, -(-_SMALLEST // max(paint.shape[:2])))
    rows = max(grow, -(-_THINNEST // paint.shape[0]))  # a sketch one pixel high is drawn higher, to be seen
    columns = max(grow, -(-_THINNEST // paint.shape[1]))
    return paint.repeat(rows, axis=0).repeat(columns, axis=1)


def _legend(mask: np.ndarray, part_names: Mapping[int, str]) -> list[tuple[int, str, float]]:
    """(label, name, share of what is not background) of the labels that occur, by label."""
    counts = np.bincount(mask.reshape(-1), minlength=256)
    total = int(counts[1:].sum())
    present = [int(label) for label in np.nonzero(counts)[0] if label]
    return [
        (label, str(part_names.get(label, f"label {label}")), int(counts[label]) / total) for label in present
    ]


def _paint(label: int) -> tuple[int, int, int]:
    """The colour in which `overlay` shows a label on white paper."""
    red, green, blue = overlay(np.full((1, 1), 255, np.uint8), np.full((1, 1), label, np.uint8))[
        0, 0
    ].tolist()
    return red, green, blue
