"""From an image to the cells of its feature map: contour points, their projection, and what is read at a landmark's own cell."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from sketchfast import ops
from sketchfast.ops.contour_points import MAX_POINTS
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess


def contour_points_of(images: Tensor, preprocess: Preprocess, n: int) -> tuple[Tensor, Tensor]:
    """Contour points of normalised images; ink is what is darker than INK_BELOW once the normalisation is undone."""
    red, green, blue = (
        images[:, channel].float() * preprocess.std[channel] + preprocess.mean[channel]
        for channel in range(3)
    )
    # Pillow's weights: the same ink as where the uint8 image is converted to grey.
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    # Half a level below: normalising and undoing it is exact to far less than that.
    return ops.contour_points(grey < (INK_BELOW - 0.5) / 255, n)


def project(points: Tensor, image: Sequence[int], cells: Sequence[int]) -> Tensor:
    """floor(p h / S), kept inside the map: points [B, L, 2] as (x, y) -> int64 [B, L, 2]. image, cells: (height, width)."""
    found = []
    for axis, (pixels, count) in enumerate(zip(reversed(image), reversed(cells), strict=True)):
        exact = points[..., axis].long() if not points.is_floating_point() else points[..., axis].double()
        exact = exact.clamp(0, pixels)  # before the product, which the largest int64 would overflow
        found.append(torch.div(exact * count, pixels, rounding_mode="floor").clamp(0, count - 1).long())
    return torch.stack(found, dim=-1)


def at_cells(offsets: Tensor, cells: Tensor) -> Tensor:
    """Channels 2i and 2i+1 of [B, 2n, h, w] at landmark i's own cell, (x, y) of int64 [B, n, 2] -> [B, n, 2]."""
    batch, n, _ = cells.shape
    index = cells[..., 1] * offsets.shape[-1] + cells[..., 0]
    # One cell is read in each channel, so the gradient's scatter adds nothing twice and is deterministic.
    return offsets.reshape(batch, n, 2, -1).gather(3, index[:, :, None, None].expand(-1, -1, 2, 1))[..., 0]


def check_landmarks(landmarks: Sequence[int]) -> None:
    """ValueError unless they are whole numbers in 1..MAX_POINTS, at least one and none twice."""
    for n in landmarks:
        if isinstance(n, bool) or not isinstance(n, Integral) or not 1 <= n <= MAX_POINTS:
            raise ValueError(f"landmarks must be whole numbers in 1..{MAX_POINTS}, got {n!r}")
    if not landmarks or len(set(landmarks)) < len(landmarks):
        raise ValueError(f"landmarks must be one or more different numbers, got {tuple(landmarks)}")


def check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape or not images.is_floating_point():
        raise ValueError(
            "images must be normalised pixels, floating [B, 3, S, S] with B, S >= 1, "
            f"got {images.dtype} {list(images.shape)}"
        )


def check_points(points: Tensor, images: Tensor, n: int) -> None:
    if points.ndim != 3 or len(points) != len(images) or points.shape[1] < n or points.shape[2] != 2:
        raise ValueError(
            f"points must be (x, y) pixels [B, n, 2] with B={len(images)} and n >= {n}, got {list(points.shape)}"
        )
    if points.is_floating_point() and not points.isfinite().all():
        raise ValueError(
            f"points must be finite, {int((~points.isfinite()).sum())} of their coordinates are not"
        )
