"""Spatial attention of Song et al. (ICCV 2017), the variant in table 3 of TCN."""

from __future__ import annotations

from torch import Tensor, nn


class SpatialAttention(nn.Module):
    """F + a * F, where a is a softmax over positions computed by two 1x1 convolutions.

    The shortcut keeps what the mask would otherwise erase. The mask sums to 1 over h*w positions; it is
    scaled by h*w so that a uniform mask doubles F whatever the resolution. The last convolution starts at
    zero, so training starts from the uniform mask.

    [B, C, h, w] -> [B, C, h, w].
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, max(channels // 4, 1), kernel_size=1)
        self.relu = nn.ReLU()
        self.score = nn.Conv2d(self.reduce.out_channels, 1, kernel_size=1)
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)

    def mask(self, features: Tensor) -> Tensor:
        """[B, 1, h, w], positive, summing to 1 over positions."""
        scores = self.score(self.relu(self.reduce(features)))
        return scores.flatten(2).softmax(dim=2).view_as(scores)

    def forward(self, features: Tensor) -> Tensor:
        positions = features.shape[2] * features.shape[3]
        return features + features * (self.mask(features) * positions)
