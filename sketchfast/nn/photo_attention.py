"""Where a drawing hand looks in the photo: 2-D attention of Bhunia et al., CVPR 2021, equation 2.

    J = tanh(W_B (x) B + W_S h),   alpha_ij = softmax_ij(W_a^T J_ij),   g = sum_ij alpha_ij B_ij                (2)

(x) is a 3x3 convolution. It does not depend on h, so it is computed once a photo (`PhotoAttention.prepare`) and not once a
point; with a kernel of 1 every cell stands for itself, the "1D attention" of the paper's ablation.

tanh x = 2 sigmoid(2x) - 1, which on CPUs is several times as fast as torch's tanh; softmax does not see W_a^T 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class AttendedPhoto(NamedTuple):
    """What every step of a drawing asks of its photos; made by `PhotoAttention.prepare`."""

    attention: PhotoAttention
    cells: Tensor  # B, [B, h w, c], the channels of a cell side by side
    keys: Tensor  # 2 W_B (x) B, [B, h w, dim]
    sides: tuple[int, int]  # h, w


class PhotoAttention(nn.Module):
    """W_B, W_S and W_a of eq. 2. W_S has no bias: that of W_B is the same thing.

    channels: c of the feature map. hidden: length of h. dim: of J. kernel: side of W_B, odd.
    Raises ValueError naming the argument for a length below 1 and an even kernel.
    """

    def __init__(self, channels: int, hidden: int, dim: int = 256, kernel: int = 3) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("hidden", hidden), ("dim", dim), ("kernel", kernel)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.of_photo = nn.Conv2d(channels, dim, kernel, padding=kernel // 2)  # W_B
        self.of_state = nn.Linear(hidden, dim, bias=False)  # W_S
        self.score = nn.Linear(dim, 1, bias=False)  # W_a; softmax would not see a bias

    def prepare(self, features: Tensor) -> AttendedPhoto:
        """The part that is computed once a photo: features B [B, c, h, w]. ValueError for another shape."""
        if features.ndim != 4 or features.shape[1] != self.of_photo.in_channels:
            raise ValueError(
                f"features must have the shape [B, {self.of_photo.in_channels}, h, w], got {list(features.shape)}"
            )
        cells = features.flatten(2).mT.contiguous()  # a product with alpha reads this several times faster
        keys = 2 * self.of_photo(features).flatten(2).mT
        return AttendedPhoto(self, cells, keys.contiguous(), (features.shape[2], features.shape[3]))

    def forward(self, photo: AttendedPhoto, h: Tensor) -> tuple[Tensor, Tensor]:
        """Glimpse g [B, c] and alpha [B, h, w] (sums to 1) of a state h [B, hidden]."""
        j = (photo.keys + 2 * self.of_state(h)[:, None]).sigmoid_()
        alpha = (j @ (2 * self.score.weight[0])).softmax(dim=1)
        return torch.bmm(alpha[:, None], photo.cells).squeeze(1), alpha.unflatten(1, photo.sides)
