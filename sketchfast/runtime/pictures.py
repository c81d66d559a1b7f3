"""Decoding picture files that may be damaged, hostile or merely unusual. Every error names the file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

#: A picture with more pixels is refused before it is decoded (a few kB of PNG can unpack to gigabytes).
MAX_PIXELS = 64 * 1024 * 1024

# Only raster formats that Pillow decodes by itself: EPS, for one, would start Ghostscript.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
EXTENSIONS = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm")
)


def check_file(path: str | os.PathLike[str]) -> Path:
    """The path of a file with content; FileNotFoundError, IsADirectoryError or ValueError otherwise."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist" + _nearest_existing(path))
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty (0 bytes)")
    return path


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """A fully decoded Pillow image (first frame of an animation), in the file's own mode.

    Raises FileNotFoundError, IsADirectoryError, or ValueError for a file that is empty, truncated, of another
    type or of more than MAX_PIXELS pixels.
    """
    path = check_file(path)
    try:
        picture = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        with path.open("rb") as file:
            start = file.read(8)
        raise ValueError(
            f"{path} is not a {', '.join(FORMATS)} picture; it starts with the bytes {start!r}"
        ) from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} is larger than the limit of {MAX_PIXELS:,} pixels: {error}") from None
    except PermissionError:
        raise
    except (
        Exception
    ) as error:  # decoders raise nearly anything on a damaged header (struct.error, SyntaxError)
        raise ValueError(f"{path} has a damaged header: {error}") from error
    with picture:
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{path} has {width} x {height} pixels, more than the limit of {MAX_PIXELS:,}")
        try:
            picture.load()
            return picture.copy()
        except MemoryError:
            raise
        except Exception as error:
            raise ValueError(f"{path} is truncated or damaged: {error}") from error


def eight_bit(picture: Image.Image, path: str | os.PathLike[str]) -> Image.Image:
    """The picture in mode L, LA, RGB or RGBA, 8 bits a channel; palettes and transparency keys resolved."""
    mode = picture.mode
    if mode in ("L", "LA", "RGB", "RGBA"):
        # A transparency key (one grey level or colour of a PNG that counts as transparent) becomes alpha.
        return picture.convert("RGBA") if "transparency" in picture.info and mode in ("L", "RGB") else picture
    if mode == "P":
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if mode == "1":
        return picture.convert("RGBA" if "transparency" in picture.info else "L")
    if mode.startswith("I"):
        values = np.asarray(picture).astype(np.int64)
        top = 65535 if values.max(initial=0) > 255 or mode != "I" else 255
        if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
            raise ValueError(
                f"{path} holds values {values.min()}..{values.max()}, expected 8 or 16 bits a channel"
            )
        return Image.fromarray(((values * 255 + top // 2) // top).astype(np.uint8))
    if mode == "F":
        raise ValueError(f"{path} holds floating-point values; expected 8 or 16 bits a channel")
    if mode in ("PA", "La", "RGBa"):
        return picture.convert("RGBA")
    return picture.convert("RGB")  # CMYK, YCbCr, LAB, HSV


def upright(picture: Image.Image) -> Image.Image:
    """The picture turned as the camera's EXIF orientation says; as stored where that block is damaged."""
    with contextlib.suppress(Exception):
        return ImageOps.exif_transpose(picture)
    return picture


def check_png_to_write(path: str | os.PathLike[str], kind: str, software: str) -> None:
    """Raises ValueError where the name does not end in .png, FileExistsError where it is a file of somebody else's.

    kind: what it will be, for messages. software: the mark in the PNG's text by which our own are known.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{kind} {path}: expected a name that ends in .png")
    if not path.exists():
        return
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            ours = picture.info.get("Software") == software
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise FileExistsError(f"{kind} {path}: exists and is not a {kind}, so it is not replaced")


def read_photo(path: str | os.PathLike[str]) -> np.ndarray:
    """A photo as uint8 [H, W, 3] RGB.

    The camera's EXIF orientation is applied; transparency is laid on white; CMYK, palettes, grey, 1 bit and
    16 bits are converted; of an animation the first frame is read. Errors as `open_picture`.
    """
    picture = eight_bit(upright(open_picture(path)), path)
    if picture.mode in ("LA", "RGBA"):
        rgba = picture.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(ground, rgba)
    return np.array(picture.convert("RGB"))


def _nearest_existing(path: Path) -> str:
    for parent in path.absolute().parents:
        if parent.is_dir():
            return f"; the nearest folder that exists is {parent}" if parent != path.absolute().parent else ""
    return ""
