"""Stands in for ops.landmark_pool and ops.contour_points until they land; then this file goes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast import ops


def landmark_pool(features: Tensor, points: Tensor) -> Tensor:
    if hasattr(ops, "landmark_pool"):
        return ops.landmark_pool(features, points)
    sides = torch.tensor(features.shape[:1:-1], dtype=points.dtype, device=points.device)
    padded = F.pad(features, (1, 1, 1, 1))
    grid = 2 * (points + 1) / (sides + 1) - 1
    read = F.grid_sample(padded.to(points.dtype), grid[:, None], align_corners=True, padding_mode="zeros")
    return read[:, :, 0].mean(2).to(features.dtype)


def contour_points(images: Tensor, n: int) -> tuple[Tensor, Tensor]:
    if hasattr(ops, "contour_points"):
        return ops.contour_points(images, n)
    found, valid = [], []
    for lines in ops.skeletonize(images.contiguous()).cpu().numpy().astype(bool):
        rows, columns = np.nonzero(lines)
        valid.append(bool(len(rows)))
        if not len(rows):
            found.append(np.tile([lines.shape[1] // 2, lines.shape[0] // 2], (n, 1)))
            continue
        order, distance = [0], np.full(len(rows), np.iinfo(np.int64).max)
        while len(order) < min(n, len(rows)):
            last = order[-1]
            distance = np.minimum(distance, (rows - rows[last]) ** 2 + (columns - columns[last]) ** 2)
            order.append(int(distance.argmax()))
        index = np.resize(order, n)
        found.append(np.stack([columns[index], rows[index]], axis=1))
    points = torch.from_numpy(np.stack(found).astype(np.int32))
    return points.to(images.device), torch.tensor(valid, device=images.device)
