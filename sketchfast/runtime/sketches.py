"""Reading a sketch from whatever file a person has, as black ink on white.

Pictures may have alpha, a palette, 1 or 16 bits, and either polarity. What has to be guessed is said:
* a uniform colour on a transparent ground: the opaque pixels are the ink;
* otherwise the ground is what the border and most of the picture show; a dark ground is inverted; where
  border and majority disagree the border decides;
* a grey ground (a photo of paper) or faint ink (pencil) is stretched to white and black.
The camera's EXIF orientation is applied first, so that sizes are those of the upright picture.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchfast.runtime import strokes as stroke_files
from sketchfast.runtime.pictures import eight_bit, open_picture, read_photo, upright

__all__ = ["AnySketch", "SketchImage", "ink_of", "name_of", "normalise_ink", "read_photo", "read_sketch"]

_BLANK_RANGE = 16  # grey levels; JPEG noise on an empty page stays below
_CLEAN_GROUND = 245
_CLEAN_INK = 96


@dataclass(frozen=True)
class SketchImage:
    """image: uint8 [H, W, 3], black ink on white; guessed: what was guessed, None if nothing."""

    image: np.ndarray
    guessed: str | None = None


#: What a person may hand over as a sketch: a file, what `read_sketch` made of one, or the pixels.
AnySketch = np.ndarray | SketchImage | str | os.PathLike[str]


def read_sketch(
    path: str | os.PathLike[str], *, canvas: int = 256, index: int | None = None, allow_blank: bool = False
) -> SketchImage:
    """A sketch from a picture (own size, upright), an SVG or a QuickDraw ndjson file (drawn on a square canvas).

    path: `drawings.ndjson:7` names drawing 7, counted from 0, as `index=7` does; the first one otherwise.
    allow_blank: return a sketch with no ink (all white) instead of raising ValueError.

    Raises FileNotFoundError, IsADirectoryError or ValueError, all of which name the file.
    """
    file, in_path = stroke_files.split_index(path)
    if in_path is not None and index is not None and in_path != index:
        raise ValueError(f"{path} names drawing {in_path} but index is {index}")
    index = in_path if index is None else index
    suffix = file.suffix.lower()
    if suffix == ".ndjson":
        return SketchImage(stroke_files.draw(stroke_files.read_ndjson(file, index or 0), canvas))
    if index is not None:
        raise ValueError(f"index={index} applies to .ndjson files only, got {file}")
    if suffix == ".svg":
        return SketchImage(stroke_files.draw(stroke_files.read_svg(file), canvas))
    return _read_raster(file, allow_blank)


def _read_raster(path: Path, allow_blank: bool) -> SketchImage:
    picture = eight_bit(upright(open_picture(path)), path)
    alpha = np.array(picture.getchannel("A")) if picture.mode in ("LA", "RGBA") else None
    grey = np.array(picture.convert("RGB").convert("L"))
    ink, guessed = normalise_ink(grey, alpha)
    if ink is None:
        if not allow_blank:
            raise ValueError(f"{path} is blank: its {grey.shape[1]} x {grey.shape[0]} pixels show no ink")
        ink = np.full_like(grey, 255)
    return SketchImage(np.repeat(ink[:, :, None], 3, axis=2), guessed)


def ink_of(image: AnySketch, canvas: int = 256) -> tuple[np.ndarray, str | None]:
    """The sketch as uint8 [H, W], ink dark on white (all 255 when blank), and what was guessed for it.

    image: a file as `read_sketch` takes it, or uint8 [H, W], [H, W, 3] or [H, W, 4] (RGBA) of any polarity. canvas: side on
    which strokes are drawn. Raises TypeError or ValueError for another array, and what `read_sketch` raises.
    """
    if isinstance(image, str | os.PathLike):
        image = read_sketch(image, canvas=canvas, allow_blank=True)
    if isinstance(image, SketchImage):
        return np.ascontiguousarray(image.image[:, :, 0]), image.guessed
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"image must be a path or a numpy array of uint8, got {found}")
    if 0 in image.shape or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))):
        raise ValueError(
            f"image must have the shape [H, W], [H, W, 3] or [H, W, 4] with H, W >= 1, got {list(image.shape)}"
        )
    alpha = image[:, :, 3] if image.ndim == 3 and image.shape[2] == 4 else None
    if image.ndim == 3:
        # ITU-R 601 luma, as Pillow's conversion of a file has it.
        weights = np.array([19595, 38470, 7471], np.uint32)
        image = ((image[:, :, :3] @ weights + 32768) >> 16).astype(np.uint8)
    ink, guessed = normalise_ink(image, alpha)
    return np.full(image.shape, 255, np.uint8) if ink is None else np.ascontiguousarray(ink), guessed


def name_of(image: AnySketch) -> str:
    """What to call it in a message: its path, or "image"."""
    return str(image) if isinstance(image, str | os.PathLike) else "image"


def normalise_ink(grey: np.ndarray, alpha: np.ndarray | None = None) -> tuple[np.ndarray | None, str | None]:
    """Black ink on white from grey levels uint8 [H, W] and alpha uint8 [H, W].

    Returns (uint8 [H, W], what was guessed or None); the first is None when there is no ink.
    """
    if alpha is None or float((alpha < 128).mean()) < 0.001:
        return _opaque(grey if alpha is None else _over(grey, alpha, 255))
    opaque = alpha >= 128
    if not opaque.any():
        return (
            (None, None)
            if int(alpha.max()) < _BLANK_RANGE
            else (255 - alpha, "faint ink on a transparent ground")
        )
    visible = grey[opaque]
    level = _median(visible)
    if float(np.percentile(visible, 99)) - float(np.percentile(visible, 1)) < _BLANK_RANGE:
        guessed = (
            "light ink on a transparent ground, its opaque pixels taken as the ink" if level >= 128 else None
        )
        return 255 - alpha, guessed
    if float(opaque.mean()) > 0.5:  # a page with see-through corners, not strokes on a see-through page
        ink, guessed = _opaque(_over(grey, alpha, int(level)))
        return ink, _join("transparent pixels taken as ground", guessed)
    mean = float(np.average(grey, weights=alpha))
    if mean >= 160:
        ink, _ = _opaque(255 - _over(grey, alpha, 0))
        return ink, "light ink on a transparent ground, inverted"
    return _opaque(_over(grey, alpha, 255))


def _over(grey: np.ndarray, alpha: np.ndarray, ground: int) -> np.ndarray:
    weight = alpha.astype(np.uint32)
    return ((grey * weight + ground * (255 - weight) + 127) // 255).astype(np.uint8)


def _opaque(grey: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    if int(grey.max()) - int(grey.min()) < _BLANK_RANGE:
        return None, None
    guessed = None
    border = _median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
    majority = _median(grey)
    ground = majority
    if (border >= 128) != (majority >= 128):
        ground = border
        kind, rest = ("light", "dark") if border >= 128 else ("dark", "light")
        guessed = f"the border is {kind} and most of the picture {rest}: the border taken as the ground"
    if ground < 128:
        grey, ground = 255 - grey, 255 - ground
        guessed = _join(guessed, "light ink on a dark ground, inverted")
    darkest = int(grey.min())
    if ground < _CLEAN_GROUND or darkest > _CLEAN_INK:
        if ground - darkest < _BLANK_RANGE:
            return None, guessed
        # Paper in a photo is noisy: what is within 15 % of it is ground as well.
        white = ground - 0.15 * (ground - darkest) if ground < _CLEAN_GROUND else ground
        stretched = (grey.astype(np.float32) - darkest) * np.float32(255 / (white - darkest))
        guessed = _join(guessed, f"grey levels {darkest}..{round(white)} stretched to black..white")
        grey = np.clip(np.rint(stretched), 0, 255).astype(np.uint8)
    return grey, guessed


def _median(levels: np.ndarray) -> float:
    """The lower median of uint8 values; counting beats sorting tenfold on a picture."""
    counts = np.cumsum(np.bincount(levels.reshape(-1), minlength=256))
    return float(np.searchsorted(counts, (counts[-1] + 1) // 2))


def _join(first: str | None, second: str | None) -> str | None:
    return "; ".join(part for part in (first, second) if part) or None
