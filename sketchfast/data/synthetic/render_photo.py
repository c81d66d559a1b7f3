"""Photos: the pieces filled with materials, textured and lit, in front of a cluttered background.

Colours, textures, light and background are drawn per instance and say nothing about the category beyond
loose material families; what photo and sketch share is the geometry of the parts.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .drawing import Piece
from .geometry import spline
from .parameters import generator

_ZOOM = 2  # supersampling

# Material -> hue range, saturation range, value range. "any" and its kin take any hue.
_MATERIALS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "any": ((0, 1), (0.1, 0.8), (0.25, 0.95)),
    "paint": ((0, 1), (0.2, 0.9), (0.3, 0.95)),
    "paint2": ((0, 1), (0.1, 0.8), (0.35, 0.95)),
    "cloth": ((0, 1), (0.1, 0.8), (0.3, 0.95)),
    "sail": ((0, 1), (0.0, 0.3), (0.7, 1.0)),
    "ceramic": ((0, 1), (0.0, 0.6), (0.5, 1.0)),
    "metal": ((0.5, 0.7), (0.0, 0.25), (0.3, 0.85)),
    "brass": ((0.08, 0.15), (0.3, 0.8), (0.4, 0.9)),
    "rubber": ((0, 1), (0.0, 0.2), (0.05, 0.25)),
    "leather": ((0, 0.1), (0.1, 0.6), (0.08, 0.4)),
    "glass": ((0.45, 0.65), (0.05, 0.4), (0.25, 0.9)),
    "light": ((0.08, 0.18), (0.0, 0.5), (0.8, 1.0)),
    "wood": ((0.04, 0.12), (0.3, 0.75), (0.25, 0.8)),
    "brick": ((0.0, 0.1), (0.1, 0.7), (0.4, 0.9)),
    "stone": ((0, 1), (0.0, 0.15), (0.35, 0.9)),
    "leaf": ((0.17, 0.42), (0.25, 0.85), (0.2, 0.75)),
    "petal": ((0.75, 1.2), (0.3, 0.9), (0.6, 1.0)),
    "fruit": ((-0.05, 0.3), (0.5, 0.95), (0.5, 0.95)),
    "fur": ((0.02, 0.12), (0.05, 0.65), (0.15, 0.95)),
    "hair": ((0.02, 0.12), (0.05, 0.6), (0.05, 0.6)),
    "hide": ((0.03, 0.1), (0.0, 0.6), (0.2, 1.0)),
    "patch": ((0.0, 0.1), (0.1, 0.6), (0.05, 0.5)),
    "skin": ((0.0, 0.09), (0.1, 0.55), (0.25, 0.95)),
    "wool": ((0.08, 0.15), (0.0, 0.2), (0.65, 1.0)),
    "horn": ((0.1, 0.14), (0.1, 0.4), (0.6, 0.95)),
    "snow": ((0.5, 0.65), (0.0, 0.1), (0.8, 1.0)),
    "paper": ((0.1, 0.15), (0.0, 0.15), (0.8, 1.0)),
}


def _smooth_noise(rng: np.random.Generator, size: int, cells: int) -> NDArray[np.float32]:
    """Zero-mean noise in about -1..1 whose blobs are size / cells pixels wide."""
    grid = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))


def _colour(rng: np.random.Generator, material: str) -> NDArray[np.float64]:
    hue, saturation, value = _MATERIALS[material]
    if rng.random() < 0.15:  # toys, odd breeds, coloured glass: colour must not give the category away
        hue, saturation, value = _MATERIALS["any"]
    draw = rng.uniform((hue[0], saturation[0], value[0]), (hue[1], saturation[1], value[1]))
    return np.array(colorsys.hsv_to_rgb(draw[0] % 1.0, draw[1], draw[2])) * 255.0


def _paints(rng: np.random.Generator, pieces: Sequence[Piece]) -> list[NDArray[np.float64]]:
    """One colour per piece: one per (part, material), then slightly varied so that neighbours differ."""
    chosen: dict[tuple[int, str], NDArray[np.float64]] = {}
    material: dict[str, NDArray[np.float64]] = {}
    colours = []
    for piece in pieces:
        paint = piece.paint or "rubber"
        if paint == "gap":
            colours.append(np.zeros(3))
            continue
        base = material.setdefault(paint, _colour(rng, paint))
        key = (piece.part, paint)
        if key not in chosen:
            chosen[key] = np.clip(base * rng.uniform(0.72, 1.25) + rng.normal(0, 10, 3), 4, 250)
        colours.append(np.clip(chosen[key] * rng.uniform(0.9, 1.1), 2, 252))
    return colours


def _background(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Sky and ground or a wall, smooth colour noise, and distractor shapes. float32 [size, size, 3]."""
    first, second = rng.uniform(30, 240, 3), rng.uniform(30, 240, 3)
    first += 0.5 * (first.mean() - first)
    second += 0.5 * (second.mean() - second)
    ramp = np.linspace(0, 1, size, dtype=np.float32)
    kind = rng.integers(3)
    if kind == 0:  # horizon
        ramp = 1.0 / (1.0 + np.exp((rng.uniform(0.45, 0.85) - ramp) * 60.0))
    picture = Image.new("RGB", (size, size), tuple(int(c) for c in (first + second) / 2))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 14))):
        colour = tuple(int(c) for c in rng.uniform(10, 250, 3) * 0.7 + first * 0.3)
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        w, h = rng.uniform(0.05, 0.45, 2) * size
        shape = rng.integers(4)
        if shape == 0:
            pen.rectangle((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
        elif shape == 1:
            pen.ellipse((x - w / 2, y - h / 2, x + w / 2, y + h / 2), fill=colour)
        elif shape == 2:
            blob = spline(*(rng.uniform(-0.6, 0.6, (5, 2)) * (w, h) + (x, y)))
            pen.polygon([tuple(p) for p in blob.tolist()], fill=colour)
        else:
            end = rng.uniform(-0.1, 1.1, 2) * size
            pen.line((x, y, end[0], end[1]), fill=colour, width=max(1, int(rng.uniform(0.01, 0.05) * size)))
    if rng.random() < 0.5:
        picture = picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0.002, 0.02) * size)))
    clutter = np.asarray(picture, dtype=np.float32)
    plain = first.astype(np.float32) + np.outer(ramp, second - first).astype(np.float32)
    plain = np.broadcast_to(plain[:, None, :] if kind < 2 else plain[None, :, :], clutter.shape)
    share = np.float32(rng.uniform(0.4, 0.9))
    noise = _smooth_noise(rng, size, int(rng.integers(3, 9))) + 0.5 * _smooth_noise(
        rng, size, int(rng.integers(4, 5 + size // 3))
    )
    return plain * (1 - share) + clutter * share + np.float32(rng.uniform(5, 22)) * noise[:, :, None]


def _wall(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Nearly white, a little darker on one side. float32 [size, size, 3]."""
    colour = rng.uniform(225, 252) + rng.normal(0, 3, 3)
    ramp = np.linspace(-1, 1, size, dtype=np.float32) * np.float32(rng.uniform(-10, 10))
    return np.clip(
        colour.astype(np.float32) + ramp[:, None, None] * np.ones((1, size, 1), np.float32), 0, 255
    )


def render(pieces: Sequence[Piece], size: int, key: int, studio: bool = False) -> NDArray[np.uint8]:
    """uint8 [size, size, 3]. Pieces lie in the unit square, back to front. studio: before a plain light background."""
    rng = generator(key, "photo")
    colours = _paints(rng, pieces)
    side = size * _ZOOM
    order = Image.new("L", (side, side))  # 0 background, k the k-th piece
    pen = ImageDraw.Draw(order)
    line_number = len(pieces) + 1
    for number, piece in enumerate(pieces, start=1):
        flat = (piece.points * side).ravel().tolist()
        if piece.closed:
            pen.polygon(flat, fill=0 if piece.paint == "gap" else number)
        else:
            pen.line(flat, fill=line_number, width=max(1, round(piece.width * side * 0.7)))
    label = np.asarray(order)
    table = np.zeros((256, 3), dtype=np.uint8)
    table[1:line_number] = np.array(colours)
    table[line_number] = rng.uniform(0, 60, 3) if rng.random() < 0.8 else rng.uniform(180, 255, 3)
    coloured = np.asarray(Image.fromarray(table[label]).reduce(_ZOOM), dtype=np.float32)
    silhouette = Image.fromarray(np.where(label > 0, 255, 0).astype(np.uint8))
    alpha = np.asarray(silhouette.reduce(_ZOOM), dtype=np.float32)[:, :, None] / 255.0

    # Texture: stripes, blotches and grain in a mixture that differs from piece to piece.
    near = label[::_ZOOM, ::_ZOOM]
    x, y = np.meshgrid(np.arange(size, dtype=np.float32) / size, np.arange(size, dtype=np.float32) / size)
    turn, pitch = rng.uniform(0, 3.14159), rng.uniform(30, 110)
    fields = (
        np.sin(pitch * (x * np.cos(turn) + y * np.sin(turn)), dtype=np.float32),
        _smooth_noise(rng, size, int(rng.integers(6, 16))),
        _smooth_noise(rng, size, max(4, size // 2)),
    )
    strength = rng.uniform(0, 1, (256, 3)).astype(np.float32) ** 2 * np.array(
        [0.18, 0.22, 0.2], dtype=np.float32
    )
    texture = sum(strength[:, n][near] * field for n, field in enumerate(fields))

    # Light: the silhouette blurred into a height, lit from one side, plus dark seams where parts meet.
    height = (
        np.asarray(silhouette.reduce(_ZOOM).filter(ImageFilter.BoxBlur(size / 14)), dtype=np.float32) / 255.0
    )
    light = rng.uniform(0, 6.283)
    slope = np.gradient(height)
    shade = 1.0 + rng.uniform(2, 6) * (slope[1] * np.cos(light) + slope[0] * np.sin(light))
    seam = np.zeros((size, size), dtype=np.float32)
    seam[1:] += near[1:] != near[:-1]
    seam[:, 1:] += near[:, 1:] != near[:, :-1]
    shade -= rng.uniform(0.08, 0.35) * np.minimum(seam, 1.0)
    drop = (rng.uniform(-0.05, 0.05) * size, rng.uniform(0.0, 0.07) * size)
    coloured *= np.clip(shade * (1.0 + texture), 0.25, 1.7)[:, :, None]

    background = _wall(rng, size) if studio else _background(rng, size)
    shadow = np.roll(height, (int(drop[1]), int(drop[0])), axis=(0, 1))[:, :, None]
    background *= 1.0 - np.float32(rng.uniform(0, 0.5)) * shadow
    picture = (
        background * (1.0 - alpha) + coloured
    )  # `coloured` was averaged over black, so it carries its own alpha

    # Camera: exposure, colour cast, contrast, noise, a little blur.
    picture = (picture - 128) * np.float32(rng.uniform(0.75, 1.1)) + 128
    picture *= rng.uniform(0.85, 1.12, 3).astype(np.float32) * np.float32(rng.uniform(0.8, 1.15))
    picture += rng.normal(0, 1, (size, size, 1)).astype(np.float32) * np.float32(rng.uniform(1, 7))
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.BoxBlur(float(rng.uniform(0.002, 0.008) * size)))
    return np.asarray(image)


def part_mask(pieces: Sequence[Piece], size: int) -> NDArray[np.uint8]:
    """uint8 [size, size]: 0 background, k the k-th part name; lines carry no label. Pieces lie in the unit square."""
    image = Image.new("L", (size, size))
    pen = ImageDraw.Draw(image)
    for piece in pieces:
        if piece.closed:
            pen.polygon((piece.points * size).ravel().tolist(), fill=piece.part)
    return np.asarray(image)
