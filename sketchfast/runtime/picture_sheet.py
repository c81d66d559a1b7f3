"""What the pictures of an answer share: a size to look at, a heading, and a legend beside or below. numpy and Pillow only."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

Colour = tuple[int, int, int]

INK, QUIET, PAPER, FRAME = (28, 28, 30), (110, 110, 115), (255, 255, 255), (205, 205, 210)
LARGEST = 1024  # side of the drawn sketch, pixels
_MARGIN, _LINE, _SWATCH, _NAME_WIDTH = 12, 24, 16, 300

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


@dataclass(frozen=True)
class LegendLine:
    """A line of the legend: a patch of colour (a dot where `round`), a name, and a number at the right."""

    name: str
    value: str = ""
    colour: Colour | None = None
    round: bool = False


def sheet(drawn: Image.Image, lines: Sequence[LegendLine], *, title: str = "", note: str = "") -> Image.Image:
    """The drawn sketch in a frame, under its title, with the legend at its right; below it where it is wide.

    Names and titles that are too long are cut; line breaks and the like in them are blanks. note: the last line, quiet.
    """
    font, small = ImageFont.load_default(size=15), ImageFont.load_default(size=13)
    below = drawn.width > 1.5 * drawn.height
    measure = ImageDraw.Draw(drawn)
    names = [_shorten(_one_line(line.name), measure, font) for line in lines]
    indents = [0 if line.colour is None else _SWATCH + 8 for line in lines]
    name_width = max((i + measure.textlength(n, font=font) for i, n in zip(indents, names)), default=0)
    valued = any(line.value for line in lines)
    legend_width = round(name_width + (12 + measure.textlength("100.0 %", font=small) if valued else 0))
    legend_width = max(legend_width, round(measure.textlength(note, font=small)))
    columns = (
        max(1, min(len(lines), (drawn.width + 2 * _MARGIN) // (legend_width + 2 * _MARGIN))) if below else 1
    )
    depth = -(-len(lines) // columns)
    legend_height = _LINE * (depth + bool(note))
    title = _one_line(title)
    header = _LINE + 4 if title else 0
    if below:
        all_columns = columns * (legend_width + 2 * _MARGIN) - 2 * _MARGIN
        width, height = max(drawn.width, all_columns), drawn.height + _MARGIN + legend_height
    else:
        width, height = drawn.width + 2 * _MARGIN + legend_width, max(drawn.height, legend_height)
    page = Image.new("RGB", (width + 2 * _MARGIN, height + header + 2 * _MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    if title:
        heading = _shorten(title, measure, font, max(width, 2 * _MARGIN))
        draw.text((_MARGIN, _MARGIN - 2), heading, fill=INK, font=font)
    top = _MARGIN + header
    page.paste(drawn, (_MARGIN, top))
    draw.rectangle((_MARGIN - 1, top - 1, _MARGIN + drawn.width, top + drawn.height), outline=FRAME)
    left = _MARGIN if below else 3 * _MARGIN + drawn.width
    first = top + drawn.height + _MARGIN if below else top
    for number, (line, name, indent) in enumerate(zip(lines, names, indents)):
        x = left + number % columns * (legend_width + 2 * _MARGIN)
        y = first + number // columns * _LINE
        if line.colour is not None and line.round:
            draw.ellipse((x + 3, y + 6, x + 13, y + 16), fill=line.colour)
        elif line.colour is not None:
            draw.rectangle((x, y + 3, x + _SWATCH, y + 3 + _SWATCH), fill=line.colour, outline=QUIET)
        draw.text((x + indent, y + 2), name, fill=INK, font=font)
        right = x + legend_width - draw.textlength(line.value, font=small)
        draw.text((right, y + 3), line.value, fill=QUIET, font=small)
    draw.text((left, first + depth * _LINE + 2), note, fill=QUIET, font=small)
    return page


def png_bytes(picture: Image.Image, software: str) -> bytes:
    """PNG with the mark by which `pictures.check_png_to_write` knows our own."""
    mark = PngInfo()
    mark.add_text("Software", software)
    buffer = BytesIO()
    picture.save(buffer, "PNG", pnginfo=mark)
    return buffer.getvalue()


def shrunk(sketch: np.ndarray) -> tuple[np.ndarray, int]:
    """A sketch uint8 [H, W] of at most LARGEST pixels a side, and the whole factor by which it was shrunk.

    The darkest of each block is kept: a line of one pixel stays a line.
    """
    height, width = sketch.shape
    factor = -(-max(height, width) // LARGEST)
    if factor == 1:
        return sketch, 1
    padded = np.pad(sketch, ((0, -height % factor), (0, -width % factor)), constant_values=255)
    blocks = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    return blocks.min(axis=(1, 3)), factor


def _one_line(text: str) -> str:
    """Blanks for what has no picture: a file may be named anything, and Pillow measures single lines only."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _shorten(text: str, draw: ImageDraw.ImageDraw, font: _Font, width: float = _NAME_WIDTH) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    fits = bisect_left(
        range(len(text)), True, key=lambda n: draw.textlength(text[:n] + "…", font=font) > width
    )
    return text[: max(0, fits - 1)] + "…"
