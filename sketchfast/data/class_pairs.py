"""Training batches of class pairs (a sketch and a photo of the same class) and their augmentation.

Everything random about a pair follows from (seed, epoch, position in the epoch): not from the number of
processes, of threads, or of batches already served. Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.data.batches_ahead import ShuffledEpoch
from sketchfast.data.image_motion import motion_grid, thickened
from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, standardize
from sketchfast.runtime.preprocess import Preprocess

NUM_UNIFORMS = 16  # random numbers in [0, 1) each image of a pair may use


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

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, got {self.scale}")
        for name in ("chance", "grey", "thickness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a chance and must lie in 0..1, got {getattr(self, name)}")


class ClassPairs:
    """Every photo once an epoch (``repeats`` times), each with a random sketch of its class, as the released code.

    ``batch_size`` counts the pairs of the global batch, over all processes: the result of training does not
    depend on how many there are. The rest of an epoch that fills no batch is dropped.
    Raises ValueError when a class has photos but no sketch, or the data is smaller than one batch.
    """

    def __init__(
        self,
        sketches: ImageSet,
        photos: ImageSet,
        preprocess: Preprocess,
        batch_size: int = 32,
        seed: int = 0,
        repeats: int = 1,
        memory: int = 4 << 30,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 pairs (batch statistics), got {batch_size}")
        self.labels, self.batch_size, self.seed, self.repeats = photos.labels, batch_size, seed, repeats
        self.sketches_of = [np.flatnonzero(sketches.labels == label) for label in range(len(photos.names))]
        for label in np.unique(photos.labels):
            if len(self.sketches_of[label]) == 0:
                raise ValueError(f"class {photos.names[label]!r} has training photos but no training sketch")
        if len(photos) * repeats < batch_size:
            raise ValueError(f"batch_size is {batch_size}, but there are only {len(photos) * repeats} pairs")
        self.sketches, self.photos = Pixels(sketches, preprocess, memory), Pixels(photos, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        if self.batch_size % world:
            raise ValueError(f"batch_size={self.batch_size} pairs do not divide over {world} processes")
        return _Epoch(self, epoch, rank, world, start_step)


class _Epoch(ShuffledEpoch):
    def __init__(self, pairs: ClassPairs, *place: int) -> None:
        super().__init__(len(pairs.labels), pairs.repeats, pairs.batch_size, pairs.seed, *place)
        self.pairs = pairs
        self.choice = self.random.random(self.count)
        self.uniforms = self.random.random((self.count, 2, NUM_UNIFORMS), dtype=np.float32)

    def batch(self, rows: slice) -> dict[str, Tensor]:
        photos = self.order[rows]
        labels = self.pairs.labels[photos]
        choices = zip(labels, self.choice[rows])
        sketches = np.array(
            [own[int(u * len(own))] for own, u in ((self.pairs.sketches_of[y], u) for y, u in choices)]
        )
        return {
            "sketch": self.pairs.sketches.take(sketches),
            "photo": self.pairs.photos.take(photos),
            "label": torch.from_numpy(labels),
            "uniforms": torch.from_numpy(self.uniforms[rows]),
        }


def augment_pairs(
    batch: dict[str, Tensor], how: Augmentation, preprocess: Preprocess
) -> tuple[Tensor, Tensor]:
    """Sketches and photos of a ``ClassPairs`` batch, on any device, as network input: two float32 [B, 3, S, S]."""
    sketches, photos = (batch[name].permute(0, 3, 1, 2).float() / 255.0 for name in ("sketch", "photo"))
    sketch_numbers, photo_numbers = batch["uniforms"].unbind(1)
    sketches = _thickened(sketches, how, sketch_numbers)
    # Ink instead of paper, so that what is uncovered, zero, is paper again.
    sketches = 1.0 - _moved(1.0 - sketches, how, sketch_numbers, "zeros")
    photos = _moved(photos, how, sketch_numbers if how.pair_together else photo_numbers, "border")
    photos = _recoloured(photos, how, photo_numbers)
    return standardize(sketches, preprocess), standardize(photos, preprocess)


def _moved(images: Tensor, how: Augmentation, u: Tensor, padding: str) -> Tensor:
    """Flip, scale, rotate and shift; u are numbers in [0, 1), [B, NUM_UNIFORMS]."""
    if how.chance == 0:
        return images

    def chosen(column: int) -> Tensor:
        return u[:, column] < how.chance

    def between(column: int, low: float, high: float) -> Tensor:
        return low + (high - low) * u[:, column]

    flip = 1.0 - 2.0 * (chosen(0) & how.flip).float()
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
