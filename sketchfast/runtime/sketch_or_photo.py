"""Is a picture that was handed over as a sketch a photo? Found by its tones: a sketch is paper and lines, a photo is areas.

A pixel has a tone when it is neither paper nor line: its grey level is between them, or its colour is not the ground's. The soft
edges of lines, pencil and coloured lines have tones too, but are thin: only pixels whose eight neighbours have a tone as well
count. Levels are relative to the paper around, so that a shaded or coloured sheet is still paper. Rates: docs/fine-grained.md.
"""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageFilter

from sketchfast.runtime import strokes
from sketchfast.runtime.pictures import read_photo
from sketchfast.runtime.sketches import SketchImage, read_sketch

#: A picture with a larger share of toned pixels is taken for a photo.
MOST_TONES = 0.05
_SIDE = 256  # pictures are compared at this size: a line is thin there, whatever camera took it
_LINE, _PAPER = 0.3, 0.85  # of the paper's level: darker is line, lighter is paper
_OTHER_COLOUR = 0.08  # sum of the differences of the shares of R, G and B
_GREY = 64  # added to R, G and B, so that what is dark has no colour to speak of


def read_query(path: str | os.PathLike[str], *, allow_photo: bool = False) -> SketchImage:
    """`read_sketch`, but a picture that shows a photo is refused: ValueError that names it and says what was found.

    Strokes (.svg, .ndjson) are sketches whatever they look like. allow_photo: take any picture for a sketch. Other errors are
    those of `read_sketch`.
    """
    file, _ = strokes.split_index(path)
    if not allow_photo and file.suffix.lower() not in (".svg", ".ndjson"):
        share = tone_share(read_photo(file))
        if share > MOST_TONES:
            raise ValueError(
                f"{path} looks like a photo, not like a sketch: {share:.0%} of it are areas of grey or colour, neither paper "
                f"nor lines (a sketch has at most {MOST_TONES:.0%}). If it is a sketch after all, pass --allow-photo "
                "(in Python allow_photo=True)"
            )
    return read_sketch(path)


def tone_share(image: np.ndarray) -> float:
    """Share, 0 to 1, of a picture that is areas of grey or colour. image: uint8 [H, W, 3], of either polarity."""
    picture = Image.fromarray(image)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    colour = np.asarray(picture).astype(np.float32)
    grey = np.asarray(picture.convert("L"))
    if np.median(_border(grey)) < 128:
        grey = 255 - grey

    level = grey / np.maximum(_paper_around(grey), 1)
    toned = (level > _LINE) & (level < _PAPER)
    ground = np.median(_border(colour), axis=0)
    difference = np.abs(_shares(colour) - _shares(ground)).sum(axis=-1)
    toned |= difference > _OTHER_COLOUR
    areas = Image.fromarray(toned.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(3))
    return float(np.mean(np.asarray(areas) > 0))


def _border(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def _shares(colour: np.ndarray) -> np.ndarray:
    return (colour + _GREY) / (colour + _GREY).sum(axis=-1, keepdims=True)


def _paper_around(grey: np.ndarray) -> np.ndarray:
    """The lightest level near each pixel: further than any line is thick, nearer than shading changes much."""
    picture = Image.fromarray(grey)
    small = picture.reduce(max(1, round(max(picture.size) / 64)))
    light = small.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.GaussianBlur(3))
    return np.asarray(light.resize(picture.size, Image.Resampling.BILINEAR)).astype(np.float32)
