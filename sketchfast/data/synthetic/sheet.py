"""Contact sheets of the synthetic world."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .catalogue import CATEGORIES
from .world import instance

# Part ids 1..8 in clearly different colours; 0 is white.
_PART_COLOURS = np.array(
    [(255, 255, 255)]
    + [[int(255 * c) for c in colorsys.hsv_to_rgb(k * 0.381 % 1, 0.65, 0.9)] for k in range(8)],
    dtype=np.uint8,
)


def colour_mask(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Part ids [H, W] as colours [H, W, 3]."""
    return _PART_COLOURS[np.minimum(mask, len(_PART_COLOURS) - 1)]


def sample_sheet(
    path: str | Path,
    *,
    index: int = 0,
    seed: int = 0,
    size: int = 80,
    styles: tuple[int, ...] = (0, 8, 3),
    columns: int = 3,
) -> Path:
    """Write a PNG with photo, sketches by several drawers and the photo's part mask of every category, named."""
    per_cell, caption = len(styles) + 2, 14
    rows = -(-len(CATEGORIES) // columns)
    sheet = Image.new("RGB", (columns * (per_cell * (size + 3) + 12), rows * (size + caption + 5)), "white")
    pen = ImageDraw.Draw(sheet)
    for number, name in enumerate(CATEGORIES):
        thing = instance(name, index, seed)
        left = (number // rows) * (per_cell * (size + 3) + 12)
        top = (number % rows) * (size + caption + 5)
        views = [
            thing.photo(size),
            *(thing.sketch(s, size) for s in styles),
            colour_mask(thing.part_mask(size)),
        ]
        for column, view in enumerate(views):
            x = left + column * (size + 3)
            sheet.paste(Image.fromarray(view), (x, top))
            pen.rectangle((x, top, x + size - 1, top + size - 1), outline=(210, 210, 210))
        pen.text((left + 2, top + size + 1), name, fill="black")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A palette makes the file a third as large; nothing is measured on it.
    sheet.quantize(255, dither=Image.Dither.NONE).save(target, optimize=True)
    return target


def blind_sheet(
    path: str | Path, *, seed: int = 0, index: int = 0, size: int = 96, columns: int = 8
) -> list[str]:
    """Write unnamed sketches of all categories in random order; returns the names in that order, to compare later."""
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(CATEGORIES))
    rows = -(-len(order) // columns)
    sheet = Image.new("RGB", (columns * (size + 4), rows * (size + 16)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, which in enumerate(order):
        x, y = (place % columns) * (size + 4), (place // columns) * (size + 16)
        style = int(order[(place * 7 + 3) % len(order)])
        sheet.paste(Image.fromarray(instance(CATEGORIES[which], index, seed).sketch(style, size)), (x, y))
        pen.text((x + 2, y + size), str(place + 1), fill="black")
    sheet.save(path)
    return [CATEGORIES[which] for which in order]
