"""Moving and thickening the images of a batch, each by its own amounts, on the batch's device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def motion_grid(
    shape: torch.Size, flip: Tensor, scale_x: Tensor, scale_y: Tensor, angle: Tensor, shift: Tensor
) -> Tensor:
    """Where each pixel comes from when images [B, C, H, W] are flipped, scaled, rotated and shifted, in this order.

    flip, scale_x, scale_y, angle: [B]; flip is -1 for a mirror image and 1 otherwise, angle is in radians (clockwise as
    seen). shift: [B, 2], of (x, y), in half sides. Returns [B, H, W, 2] for ``F.grid_sample(align_corners=False)``.
    """
    # grid_sample asks where each output pixel comes from: the inverse of "flip, scale, rotate, shift".
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows_x = torch.stack([cos / scale_x * flip, sin / scale_x * flip, zero], dim=1)
    rows_y = torch.stack([-sin / scale_y, cos / scale_y, zero], dim=1)
    inverse = torch.stack([rows_x, rows_y], dim=1)
    inverse[:, :, 2] = -(inverse[:, :, :2] @ shift[:, :, None]).squeeze(2)
    return F.affine_grid(inverse, list(shape), align_corners=False)


def thickened(sketches: Tensor, amount: Tensor) -> Tensor:
    """Black ink on white, [B, C, H, W]: strokes grow by a pixel on each side where amount [B] is 1, less below 1.

    The minimum of a 3x3 neighbourhood thickens strokes; half-way blends thicken them less."""
    thick = -F.max_pool2d(-sketches, 3, stride=1, padding=1)
    return torch.lerp(sketches, thick, amount[:, None, None, None])
