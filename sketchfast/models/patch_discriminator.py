"""Discriminator of photo-sketch pairs: the PatchGAN of Isola et al. (Image-to-Image Translation with Conditional Adversarial
Networks, CVPR 2017), whose output Bhunia et al. (CVPR 2021, equation 5) take for the certainty of a generated pair.

A logit for each overlapping patch of the pair (70 x 70 pixels with 3 layers) says whether it looks like a real pair. (D) The
certainty is the mean of the patches' sigmoids. (D) Instance normalisation where the paper writes batch normalisation: that is
what pix2pix's is at its batch size of 1, and a pair's certainty, which weighs losses and rewards, then depends on no other pair
of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32


@dataclass
class PatchDiscriminatorConfig:
    """What it is trained with lives in train/more_photos.py."""

    width: int = 64  # channels of the first layer; they double up to 8 times that
    layers: int = 3  # of stride 2: 3 see 70 x 70 pixels, 2 see 34 x 34, 1 sees 16 x 16
    size: int = 256  # side of the images in pixels


class PatchDiscriminator(nn.Module):
    """Pairs to logits. ValueError naming the setting: a width or layers below 1, a size that leaves no patch."""

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        for name in ("width", "layers"):
            value = getattr(config, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
        # The two layers of stride 1 take a pixel each, and a map of one pixel cannot be normalised.
        least = 3 * 2**config.layers
        if config.size < least:
            raise ValueError(
                f"size must be at least {least} pixels with layers={config.layers}, got {config.size}"
            )
        self.config = config
        widths = [config.width * min(2**i, 8) for i in range(config.layers + 1)]
        blocks: list[nn.Module] = [nn.Conv2d(6, widths[0], 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for i in range(1, config.layers + 1):
            stride = 2 if i < config.layers else 1
            blocks += [
                nn.Conv2d(widths[i - 1], widths[i], 4, stride=stride, padding=1, bias=False),
                nn.InstanceNorm2d(widths[i], affine=True),
                nn.LeakyReLU(0.2),
            ]
        self.net = nn.Sequential(*blocks, nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1))
        for module in self.net:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)  # as pix2pix

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> PatchDiscriminator:
        """The network of a checkpoint's metadata, before its weights are loaded."""
        return cls(PatchDiscriminatorConfig(**metadata["config"]))

    @property
    def receptive_field(self) -> int:
        """Side of the patch that one logit sees, in pixels."""
        side = 1
        for module in reversed(list(self.net)):
            if isinstance(module, nn.Conv2d):
                side = (side - 1) * module.stride[0] + module.kernel_size[0]
        return side

    def forward(self, photos: Tensor, sketches: Tensor) -> Tensor:
        """Pairs, normalised pixels [B, 3, S, S] each, joined along the channels -> logits [B, 1, h, w].

        Raises ValueError for other shapes.
        """
        size = self.config.size
        for name, images in (("photos", photos), ("sketches", sketches)):
            if images.ndim != 4 or images.shape[1:] != (3, size, size) or len(images) != len(photos):
                raise ValueError(
                    f"{name} must have the shape [{len(photos)}, 3, {size}, {size}], got {list(images.shape)}"
                )
        return self.net(torch.cat([photos, sketches], dim=1))

    def certainty(self, photos: Tensor, sketches: Tensor) -> Tensor:
        """omega: the mean over the patches of sigmoid(logit), [B], in 0..1 (D); images as in ``forward``."""
        return certainty_of(self(photos, sketches))


def certainty_of(logits: Tensor) -> Tensor:
    """What ``PatchDiscriminator.certainty`` is of logits that are there already: [B, 1, h, w] -> [B]."""
    return at_least_float32(logits).sigmoid().flatten(1).mean(dim=1)
