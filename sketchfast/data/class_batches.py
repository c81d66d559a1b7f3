"""Training batches of sketches with class labels, and their augmentation.

Everything random about an item follows from (seed, epoch, position in the epoch): not from the number of processes,
of threads, or of batches already served. Uses torch; `sketchfast.data` itself does not import this module.
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
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess

WARP_POINTS = 4  # a side of the lattice whose points a warp displaces
# Random numbers in [0, 1) of each item: flip, rotation, scale x and y, shift x and y, whether and how much thicker, warp.
NUM_UNIFORMS = 8 + 2 * WARP_POINTS**2

# Sampling between pixels fades a line of one pixel. Cubic sampling with this factor on the ink keeps the share of dark
# pixels on sketches of 64 pixels; bilinear sampling loses a third of them (D).
INK_GAIN = 1.1


@dataclass
class SketchAugmentation:
    """How training sketches are varied; the defaults are the paper's (Zhang et al., section IV-B), all zeros leave them alone.

    rotation: degrees, both ways; flip: half of the sketches are mirrored. A sketch so moved is cropped to its ink where
        `Preprocess.ink_margin` says so (D): without scale and shift no line is lost at the frame, and training sketches are
        as large as test sketches.
    scale: range of a factor, one for each axis of the sketch before it is rotated; shift: share of the side, both ways. What
        leaves the frame is lost.
    thickness: chance that strokes grow by up to a pixel on each side.
    warp: the most that a smooth random field displaces a point in x and in y, share of the side.
    The paper names rotation and flip; the rest is for training from scratch on few sketches.
    """

    rotation: float = 60.0
    flip: bool = True
    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0
    thickness: float = 0.0
    warp: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale must be (low, high) with 0 < low <= high, got {self.scale}")
        if not 0 <= self.thickness <= 1:
            raise ValueError(f"thickness is a chance and must lie in 0..1, got {self.thickness}")
        for name, most in (("rotation", 180.0), ("shift", 1.0), ("warp", 0.2)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 0..{most:g}, got {getattr(self, name)!r}")

    @property
    def moves(self) -> bool:
        """Whether it moves lines at all."""
        return bool(self.rotation or self.flip or self.scale != (1.0, 1.0) or self.shift or self.warp)


class ClassBatches:
    """Every sketch once an epoch (``repeats`` times), in a new random order.

    ``batch_size`` counts the sketches of the global batch, over all processes. Batches do not depend on how many processes
    there are; training does where batch normalisation takes its statistics from each process's part of a batch. The rest of
    an epoch that fills no batch is dropped. memory: bytes of decoded sketches to keep.
    Raises ValueError naming the argument: photos, a batch of fewer than two, fewer sketches than one batch.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocess: Preprocess,
        batch_size: int = 32,
        seed: int = 0,
        repeats: int = 1,
        memory: int = 4 << 30,
    ) -> None:
        if images.modality != "sketch":
            raise ValueError(f"images must be sketches, got {images.modality}s")
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 sketches (batch statistics), got {batch_size}")
        if repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {repeats}")
        if len(images) * repeats < batch_size:
            raise ValueError(
                f"batch_size is {batch_size}, but an epoch has only {len(images) * repeats} sketches"
            )
        self.labels, self.batch_size, self.seed, self.repeats = images.labels, batch_size, seed, repeats
        self.pixels = Pixels(images, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        """This process's rows of the epoch's batches from start_step on.

        A batch: {"image": uint8 [B, S, S], "label": int64 [B], "uniforms": float32 [B, NUM_UNIFORMS]}."""
        if self.batch_size % world:
            raise ValueError(f"batch_size={self.batch_size} sketches do not divide over {world} processes")
        return _Epoch(self, epoch, rank, world, start_step)


class _Epoch(ShuffledEpoch):
    def __init__(self, source: ClassBatches, *place: int) -> None:
        super().__init__(len(source.labels), source.repeats, source.batch_size, source.seed, *place)
        self.source = source
        self.uniforms = self.random.random((self.count, NUM_UNIFORMS), dtype=np.float32)

    def batch(self, rows: slice) -> dict[str, Tensor]:
        items = self.order[rows]
        return {
            # Sketches are grey, their three channels equal (`ImageSet.load`): one is a third of the bytes to move.
            "image": self.source.pixels.take(items)[..., 0].contiguous(),
            "label": torch.from_numpy(self.source.labels[items]),
            "uniforms": torch.from_numpy(self.uniforms[rows]),
        }


def augment_sketches(batch: dict[str, Tensor], how: SketchAugmentation, preprocess: Preprocess) -> Tensor:
    """The sketches of a ``ClassBatches`` batch as network input: float32 [B, 3, S, S], on the batch's device.

    Order (D): thicker strokes, flip, scale along the sketch's own axes, rotation, crop to the ink, shift, warp; all but the
    first in one sampling of the picture. The crop, where `Preprocess.ink_margin` asks for it, undoes what the two scales have
    in common, so their geometric mean is applied after it.
    """
    images, u = batch["image"][:, None].float() / 255.0, batch["uniforms"]
    if how.thickness > 0:
        images = thickened(images, torch.where(u[:, 6] < how.thickness, u[:, 7], torch.zeros_like(u[:, 7])))
    if how.moves:
        images = _moved(images, how, u, preprocess.ink_margin)
    return standardize(images.expand(-1, 3, -1, -1), preprocess)


def _moved(images: Tensor, how: SketchAugmentation, u: Tensor, margin: float | None) -> Tensor:
    flip = torch.where((u[:, 0] < 0.5) & how.flip, -1.0, 1.0)
    angle = how.rotation * (2.0 * u[:, 1] - 1.0) * (math.pi / 180.0)
    scale_x, scale_y = (how.scale[0] + (how.scale[1] - how.scale[0]) * u[:, 2:4]).unbind(1)
    shift = 2.0 * how.shift * (2.0 * u[:, 4:6] - 1.0)
    if margin is not None:
        low, high = _ink_box(images, flip * scale_x, scale_y, angle)
        longer = (high - low).amax(dim=1)
        # Fill the frame as a test sketch does, then grow or shrink by the part of the scale that both axes share.
        fit = 2.0 * (1.0 - 2.0 * margin) * (scale_x * scale_y).sqrt() / longer
        fit = torch.where(longer > 0, fit, 1.0).clamp(max=2.0)
        scale_x, scale_y = fit * scale_x, fit * scale_y
        shift = shift - fit[:, None] * (low + high) / 2.0
    grid = motion_grid(images.shape, flip, scale_x, scale_y, angle, shift)
    if how.warp > 0:
        lattice = 2.0 * how.warp * (2.0 * u[:, 8:] - 1.0).unflatten(1, (2, WARP_POINTS, WARP_POINTS))
        field = F.interpolate(lattice, images.shape[-2:], mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    # Ink instead of paper, so that what is uncovered, zero, is paper again.
    ink = F.grid_sample(1.0 - images, grid, mode="bicubic", padding_mode="zeros", align_corners=False)
    return 1.0 - (INK_GAIN * ink).clamp(0.0, 1.0)


def _ink_box(images: Tensor, along_x: Tensor, along_y: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest (x, y) of the ink, both [B, 2] in half sides from the centre, after scaling and rotating.

    Zeros for a sketch without ink."""
    side = images.shape[-1]
    x = torch.arange(side, device=images.device)
    ink = images[:, 0] < (INK_BELOW - 0.5) / 255.0
    # Of each row only the ends matter: the ends of its pixels, not their centres.
    first = torch.where(ink, x, side).amin(dim=2)
    last = torch.where(ink, x, -1).amax(dim=2) + 1
    drawn = (last > 0)[:, None, :, None]
    across = (torch.stack([first, last], dim=2) * (2.0 / side) - 1.0)[:, :, None] * along_x[
        :, None, None, None
    ]
    down = (torch.stack([x, x + 1], dim=1) * (2.0 / side) - 1.0)[:, :, None] * along_y[:, None, None, None]
    cos, sin = angle.cos()[:, None, None, None], angle.sin()[:, None, None, None]
    turned = torch.stack(
        [(cos * across - sin * down).flatten(2), (sin * across + cos * down).flatten(2)], dim=1
    )
    low = torch.where(drawn, turned, math.inf).amin(dim=(2, 3))
    high = torch.where(drawn, turned, -math.inf).amax(dim=(2, 3))
    blank = ~drawn.any(dim=2).squeeze(2)
    return low.masked_fill(blank, 0.0), high.masked_fill(blank, 0.0)
