"""Definition of contour_points: farthest-point sampling from the full matrix of distances, one image after the other.

Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985): with d_n the largest distance of a pixel from its
nearest of the first n points, no choice of n points has less than d_n / 2.
"""

import torch
from torch import Tensor

from sketchfast.reference.skeletonize import skeletonize


def contour_points(images: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """bool or uint8 [H, W] or [N, H, W] -> points int32 [N, n, 2] as (x, y), valid bool [N]; [n, 2] and [] of one image."""
    if images.ndim == 2:
        points, valid = contour_points(images[None], n)
        return points[0], valid[0]
    height, width = images.shape[-2:]
    points = torch.tensor([width // 2, height // 2], dtype=torch.int32, device=images.device)
    points = points.repeat(len(images), n, 1)
    valid = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for i, skeleton in enumerate(skeletonize(images)):
        pixels = skeleton.nonzero().flip(1)  # (x, y) in row-major order
        if len(pixels) > 0:
            order = farthest_points(pixels, n)
            points[i] = pixels[[order[k % len(order)] for k in range(n)]].int()
            valid[i] = True
    return points, valid


def farthest_points(pixels: Tensor, n: int) -> list[int]:
    """The numbers of the first min(n, M) points of integer [M, 2], by distances between all pairs."""
    x, y = pixels[:, 0], pixels[:, 1]
    squared = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    nearest = squared[0]  # of each pixel, to the points chosen so far
    chosen = [0]
    while len(chosen) < min(n, len(pixels)):
        # Not argmax: of equal values it may return any.
        chosen.append(int((nearest == nearest.max()).nonzero()[0]))
        nearest = torch.minimum(nearest, squared[chosen[-1]])
    return chosen
