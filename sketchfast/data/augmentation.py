"""How sketches and photos that are trained on together are varied: chances and ranges, and the transformations.

Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.data.image_motion import motion_grid, thickened
from sketchfast.data.pixels import standardize
from sketchfast.runtime.preprocess import Preprocess

# Random numbers in [0, 1) that each image may use; the first decides whether it is mirrored.
NUM_UNIFORMS = 16


@dataclass
class Augmentation:
    """Chances and ranges; every chance is per image. All zeros switch augmentation off.

    The geometric part has the ranges of TCN's released code, which applies each with chance 0.5 and moves
    both images of a pair alike (``pair_together``). What a transformation uncovers is white in a sketch
    (black in the released code, D) and the border's colour in a photo. The rest serves training from scratch.
    """

    chance: float = 0.5
    flip: bool = True
    scale: tuple[float, float] = (0.7, 1.3)
    rotation: float = 30.0  # degrees, both ways
    shift: float = 10.0 / 256.0  # share of the side, both ways
    pair_together: bool = True
    colour: float = 0.0  # brightness, contrast and saturation of photos, each by a factor 1 +- colour
    grey: float = 0.0  # chance that a photo loses its colour
    thickness: float = 0.0  # chance that a sketch's strokes grow by up to a pixel on each side

    def unmoved(self) -> Augmentation:
        """The same without scaling, rotation and shift: what goes with an image in place still fits it, but for mirroring."""
        return replace(self, scale=(1.0, 1.0), rotation=0.0, shift=0.0)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, got {self.scale}")
        for name in ("chance", "grey", "thickness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a chance and must lie in 0..1, got {getattr(self, name)}")


def augmented_sketches(pixels: Tensor, how: Augmentation, u: Tensor, preprocess: Preprocess) -> Tensor:
    """Sketches uint8 [B, S, S, 3], varied by u [B, NUM_UNIFORMS], as network input: float32 [B, 3, S, S]."""
    sketches = _thickened(pixels.permute(0, 3, 1, 2).float() / 255.0, how, u)
    # Ink instead of paper, so that what is uncovered, zero, is paper again.
    return standardize(1.0 - _moved(1.0 - sketches, how, u, "zeros"), preprocess)


def augmented_photos(
    pixels: Tensor, how: Augmentation, motion: Tensor, u: Tensor, preprocess: Preprocess
) -> Tensor:
    """Photos uint8 [B, S, S, 3], moved by `motion` and coloured by u, both [B, NUM_UNIFORMS]: float32 [B, 3, S, S]."""
    photos = _moved(pixels.permute(0, 3, 1, 2).float() / 255.0, how, motion, "border")
    return standardize(_recoloured(photos, how, u), preprocess)


def mirrored(how: Augmentation, u: Tensor) -> Tensor:
    """Which images the numbers u [B, NUM_UNIFORMS] mirror: bool [B]."""
    return (u[:, 0] < how.chance) & how.flip


def _moved(images: Tensor, how: Augmentation, u: Tensor, padding: str) -> Tensor:
    """Flip, scale, rotate and shift; u are numbers in [0, 1), [B, NUM_UNIFORMS]."""
    if how.chance == 0:
        return images

    def chosen(column: int) -> Tensor:
        return u[:, column] < how.chance

    def between(column: int, low: float, high: float) -> Tensor:
        return low + (high - low) * u[:, column]

    flip = 1.0 - 2.0 * mirrored(how, u).float()
    one, zero = torch.ones_like(flip), torch.zeros_like(flip)
    scale_x = torch.where(chosen(1), between(2, *how.scale), one)
    scale_y = torch.where(chosen(1), between(3, *how.scale), one)
    angle = torch.where(chosen(4), between(5, -how.rotation, how.rotation), zero) * (math.pi / 180.0)
    shift_x = torch.where(chosen(6), between(7, -how.shift, how.shift), zero) * 2.0
    shift_y = torch.where(chosen(6), between(8, -how.shift, how.shift), zero) * 2.0
    shift = torch.stack([shift_x, shift_y], dim=1)
    grid = motion_grid(images.shape, flip, scale_x, scale_y, angle, shift)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def _thickened(sketches: Tensor, how: Augmentation, u: Tensor) -> Tensor:
    if how.thickness == 0:
        return sketches
    return thickened(sketches, torch.where(u[:, 9] < how.thickness, u[:, 10], torch.zeros_like(u[:, 10])))


def _recoloured(photos: Tensor, how: Augmentation, u: Tensor) -> Tensor:
    if how.colour > 0:
        brightness, contrast, saturation = (1 + how.colour * (2 * u[:, 9:12] - 1)).T[:, :, None, None, None]
        photos = photos * brightness
        photos = torch.lerp(photos.mean(dim=(1, 2, 3), keepdim=True), photos, contrast)
        photos = torch.lerp(photos.mean(dim=1, keepdim=True), photos, saturation)
    if how.grey > 0:
        losing = (u[:, 12] < how.grey)[:, None, None, None]
        photos = torch.where(losing, photos.mean(dim=1, keepdim=True), photos)
    return photos.clamp(0.0, 1.0) if how.colour > 0 else photos
