"""The picture of an answer: the sketch, then the photos found, best first."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from .. import atomic
from ..runtime.pictures import check_png_to_write, read_photo
from .answers import Answer

_SOFTWARE = "sketchfast query"
_TILE, _GAP, _CAPTION, _COLUMNS = 160, 12, 36, 6
_INK, _QUIET, _PAPER, _QUERY_FRAME = (28, 28, 30), (110, 110, 115), (255, 255, 255), (38, 96, 196)


def write_result_picture(answer: Answer, path: str | Path, *, title: str = "") -> None:
    """Writes a PNG with the query first and every hit with its rank, score and unit, and file name.

    Only a picture that this function wrote earlier is replaced. Raises ValueError where ``path`` does not end in .png,
    FileExistsError where it is somebody else's file.

    Photos that have disappeared since indexing are drawn as an empty tile that says so.
    """
    check_picture_path(path)
    columns = min(_COLUMNS, len(answer.hits) + 1)
    rows = -(-(len(answer.hits) + 1) // columns)
    header = 34 if title else 0
    cell_width, cell_height = _TILE + _GAP, _TILE + _CAPTION + _GAP
    sheet = Image.new("RGB", (columns * cell_width + _GAP, rows * cell_height + _GAP + header), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(size=14), ImageFont.load_default(size=12)
    if title:
        draw.text((_GAP, 10), title, fill=_INK, font=font)

    def place(
        position: int, image: np.ndarray | None, first: str, second: str, frame: tuple[int, int, int] | None
    ) -> None:
        left = _GAP + position % columns * cell_width
        top = _GAP + header + position // columns * cell_height
        if image is None:
            draw.rectangle((left, top, left + _TILE, top + _TILE), outline=_QUIET)
            draw.text((left + 8, top + _TILE // 2), "file is gone", fill=_QUIET, font=small)
        else:
            tile = Image.fromarray(image)
            tile.thumbnail((_TILE, _TILE))
            sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + (_TILE - tile.height) // 2))
        if frame:
            draw.rectangle((left - 2, top - 2, left + _TILE + 1, top + _TILE + 1), outline=frame, width=2)
        draw.text((left, top + _TILE + 4), first, fill=_INK, font=small)
        draw.text((left, top + _TILE + 19), _shorten(second, draw, small), fill=_QUIET, font=small)

    place(0, answer.sketch.image, "query", "", _QUERY_FRAME)
    unit = answer.unit
    for hit in answer.hits:
        name = str(Path(*Path(hit.path).parts[-2:]))
        score = (
            f"{unit.short} {unit.text(hit.score)}" if unit.digits else f"{unit.text(hit.score)} {unit.short}"
        )
        place(hit.rank, _read_or_none(hit.path), f"{hit.rank}.  {score}", name, None)
    buffer = BytesIO()
    sheet.save(buffer, "PNG", pnginfo=_mark())
    atomic.write_bytes(Path(path), buffer.getvalue())


def check_picture_path(path: str | Path) -> None:
    """Raises as :func:`write_result_picture` would, before any work is done."""
    check_png_to_write(path, "result picture", _SOFTWARE)


def _mark() -> PngInfo:
    mark = PngInfo()
    mark.add_text("Software", _SOFTWARE)
    return mark


def _read_or_none(path: str) -> np.ndarray | None:
    try:
        return read_photo(path)
    except (OSError, ValueError):
        return None


def _shorten(text: str, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    if draw.textlength(text, font=font) <= _TILE:
        return text
    while text and draw.textlength("…" + text, font=font) > _TILE:
        text = text[1:]
    return "…" + text
