"""Points spread evenly over the lines of a drawing: where landmarks begin.

CPU and CUDA give the same bits. Results are integers, so nothing here carries a gradient. Limits and distance:
csrc/math/contour_points.h; kernels: contour_points* in csrc/cpu and csrc/cuda; definition: sketchfast/reference.
"""

import operator
from typing import Any

import torch
from torch import Tensor

from sketchfast._native import explain_missing_cuda, load_torch_ops

load_torch_ops()
explain_missing_cuda("contour_points")

MAX_POINTS = 4096
MAX_SIDE = 32767  # squared distances fit into 32 bits


def contour_points(images: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """n points of each drawing's centreline, roughly uniformly spaced.

    The centreline is `skeletonize(images, "skel")`. The first point is its topmost pixel, of those the leftmost; each further
    one is the pixel whose nearest point so far is farthest (Euclidean, compared as exact integers; of equally far ones the
    first in row-major order). So the points for a smaller n are the first ones for a larger, and no pixel of the centreline is
    farther from its nearest point than twice what the best choice of n pixels achieves (Gonzalez 1985).

    Args:
        images: bool or uint8 [H, W] or [N, H, W], non-zero = stroke, sides of 1 to 32767 pixels; N may be 0. Need not be
            contiguous.
        n: 1 to 4096. Where the centreline has fewer pixels, all of them come in that order, again and again.

    Returns:
        points int32 [N, n, 2] as (x, y) in pixels, pixel centres at integers, and valid bool [N]; [n, 2] and [] of one image.
        A blank image is not valid, and its points are all (W // 2, H // 2).

    Raises:
        TypeError: images is no tensor, or neither bool nor uint8; n is no integer.
        ValueError: a wrong rank, a side out of 1..32767, n out of 1..4096.
        NativeCodeMissing: a CUDA tensor, and sketchfast was built without CUDA kernels.
    """
    _check_images(images)
    return torch.ops.sketchfast.contour_points(images, _number_of_points(n))


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor):
        found = type(images).__name__
        raise TypeError(
            f"contour_points: images must be a torch.Tensor, found {found} (sketchfast.numpy_ops takes numpy arrays)"
        )
    if images.dtype not in (torch.bool, torch.uint8):
        raise TypeError(f"contour_points: images must be bool or uint8, found {images.dtype}")
    if images.ndim not in (2, 3):
        raise ValueError(
            f"contour_points: images must have shape [H, W] or [N, H, W], found {list(images.shape)}"
        )
    height, width = images.shape[-2:]
    if height < 1 or height > MAX_SIDE or width < 1 or width > MAX_SIDE:
        raise ValueError(
            f"contour_points: images must have sides of 1 to {MAX_SIDE} pixels, found {list(images.shape)}"
        )


def _number_of_points(n: Any) -> int:
    wanted = f"contour_points: n must be an integer 1 to {MAX_POINTS}"
    if isinstance(n, bool):
        raise TypeError(f"{wanted}, found {n!r}")
    try:
        number = operator.index(n)
    except TypeError:
        raise TypeError(f"{wanted}, found {n!r}") from None
    if number < 1 or number > MAX_POINTS:
        raise ValueError(f"{wanted}, found {n}")
    return number


@torch.library.register_fake("sketchfast::contour_points")
def _contour_points_fake(images: Tensor, n: int) -> tuple[Tensor, Tensor]:
    _check_images(images)
    _number_of_points(n)
    alone = images.shape[:-2]  # [N] or []
    points = torch.empty((*alone, n, 2), dtype=torch.int32, device=images.device)
    return points, torch.empty(alone, dtype=torch.bool, device=images.device)
