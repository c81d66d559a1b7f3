"""Photo to sketch as image-to-image translation: Isola et al., CVPR 2017, and with several sketches of a photo Li et al., WACV
2019 (PhotoSketch); what paper 4 compares its stroke generator with (Bhunia et al., CVPR 2021, section 4.1).

    L_G = E[-log D(p, G(p))] + lambda |s - G(p)|_1,   L_D = (E[-log D(p, s)] + E[-log(1 - D(p, G(p)))]) / 2

(D) Instance normalisation, which batch normalisation is at the paper's batch of one photo, so that a sketch depends on no other
photo. (D) Dropout, the paper's only noise, is off at test: one sketch a photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from sketchfast.models.patch_discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from sketchfast.runtime.preprocess import Preprocess

MOST_LEVELS, LEAST_LEVELS = 8, 3


@dataclass
class Pix2PixConfig:
    """The two networks; what they are trained with lives in train/more_photos.py."""

    size: int = 256  # side of photos and sketches, pixels; halved up to 8 times
    width: int = 64  # channels of the U-Net's first layer, up to 8 times as many further in
    dropout: float = 0.5  # of the U-Net's first three layers on the way up
    discriminator_width: int = 64
    discriminator_layers: int = 3


class Pix2PixTerms(NamedTuple):
    """Scalars. discriminator: L_D. adversarial: first part of L_G. difference: the mean absolute one of values in -1..1."""

    discriminator: Tensor
    adversarial: Tensor
    difference: Tensor


class Pix2Pix(nn.Module):
    """The U-Net, and the discriminator that only training needs. ``preprocess`` goes with the U-Net: values -1..1.

    Raises ValueError naming the setting: a size that cannot be halved three times, a width below 1, a dropout that is no chance.
    """

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        if config.width < 1:
            raise ValueError(f"width must be at least 1, got {config.width}")
        if not 0 <= config.dropout < 1:
            raise ValueError(f"dropout is a chance and must be 0 to below 1, got {config.dropout}")
        self.config = config
        self.preprocess = Preprocess(size=config.size, mean=(0.5,) * 3, std=(0.5,) * 3)
        self.unet = UNet(config.size, config.width, config.dropout)
        self.discriminator = PatchDiscriminator(
            PatchDiscriminatorConfig(config.discriminator_width, config.discriminator_layers, config.size)
        )

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Pix2Pix:
        """The networks of a checkpoint's metadata, before their weights are loaded."""
        return cls(Pix2PixConfig(**metadata["config"]))

    def forward(self, photos: Tensor) -> Tensor:
        """G: photos [B, 3, S, S], values -1..1, -> sketches [B, 1, S, S], values -1 (ink) to 1 (paper), with gradient.

        Raises ValueError for another shape.
        """
        size = self.config.size
        if photos.shape[1:] != (3, size, size):
            raise ValueError(f"photos must be [B, 3, {size}, {size}], got {list(photos.shape)}")
        return self.unet(photos)

    @torch.no_grad()
    def images(self, photos: Tensor) -> Tensor:
        """Sketches of photos as ``forward`` takes them, as pictures: uint8 [B, S, S], ink 0 on paper 255."""
        return to_picture(self(photos)[:, 0])

    def terms(
        self, photos: Tensor, drawn: Tensor, sketches: Tensor, owner: Tensor, difference: Literal["mean", "nearest"]
    ) -> Pix2PixTerms:  # fmt: skip
        """What both networks minimise, each through its own parameters only, so that one backward pass serves both.

        photos [B, 3, S, S]. drawn: G(photos) [B, 1, S, S]. sketches: [K, 1, S, S], real ones, values -1..1. owner: int64 [K],
            whose sketch each is, 0..B - 1; every photo has one or more. Whatever is of a photo's sketches is their mean.
        difference: "mean", of a photo's sketches, or "nearest", the sketch that differs least (released PhotoSketch).
        """
        count = len(photos)
        shares = 1.0 / torch.bincount(owner, minlength=count)[owner]  # each photo counts once
        real = _patch_loss(self.discriminator(photos[owner], _three(sketches)), True)
        fake = _patch_loss(self.discriminator(photos, _three(drawn.detach())), False)
        judged = functional_call(
            self.discriminator,
            {name: value.detach() for name, value in self.discriminator.named_parameters()},
            (photos, _three(drawn)),
        )
        each = (drawn[owner].float() - sketches).abs().mean(dim=(1, 2, 3))
        if difference == "mean":
            apart = (shares * each).sum() / count
        else:
            least = each.new_full((count,), float("inf"))
            apart = least.scatter_reduce(0, owner, each, "amin").mean()
        return Pix2PixTerms(
            ((shares * real).sum() / count + fake.mean()) / 2, _patch_loss(judged, True).mean(), apart
        )


def to_picture(values: Tensor) -> Tensor:
    """-1..1 -> uint8 0..255."""
    return ((values.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


class UNet(nn.Module):
    """Isola et al., appendix 6.1: [B, 3, S, S] -> [B, 1, S, S] in -1..1; each layer up sees the layer down of its size."""

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        levels = max((n for n in range(MOST_LEVELS + 1) if size > 0 and size % 2**n == 0), default=0)
        if levels < LEAST_LEVELS:
            raise ValueError(f"size must be a positive multiple of {2**LEAST_LEVELS} pixels, got {size}")
        channels = [width * min(2**level, 8) for level in range(levels)]
        down: list[nn.Module] = [nn.Conv2d(3, channels[0], 4, stride=2, padding=1)]
        for level, (before, after) in enumerate(pairwise(channels), 1):
            layers: list[nn.Module] = [nn.LeakyReLU(0.2), nn.Conv2d(before, after, 4, stride=2, padding=1)]
            # The innermost map may be a single pixel, of which nothing would be left.
            down.append(nn.Sequential(*layers, *([_norm(after)] if level < levels - 1 else [])))
        up: list[nn.Module] = []
        for level in reversed(range(1, levels)):
            before = channels[level] * (1 if level == levels - 1 else 2)
            after = channels[level - 1]
            up.append(nn.Sequential(nn.ReLU(), _upsampling(before, after), _norm(after)))
            if len(up) <= 3 and after == 8 * width:
                up[-1].append(nn.Dropout(dropout))  # type: ignore[operator]
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.last = nn.Sequential(nn.ReLU(), _upsampling(2 * channels[0], 1), nn.Tanh())
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, photos: Tensor) -> Tensor:
        passed = []
        values = photos
        for layer in self.down:
            values = layer(values)
            passed.append(values)
        values = passed.pop()
        for layer in self.up:
            values = torch.cat([layer(values), passed.pop()], dim=1)
        return self.last(values)


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _upsampling(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


def _three(sketches: Tensor) -> Tensor:
    return sketches.expand(-1, 3, -1, -1)


def _patch_loss(logits: Tensor, real: bool) -> Tensor:
    """-log D or -log(1 - D), mean over the patches: [B, 1, h, w] -> [B]."""
    return F.softplus(-logits.float() if real else logits.float()).mean(dim=(1, 2, 3))
