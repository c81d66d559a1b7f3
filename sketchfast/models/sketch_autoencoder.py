"""Convolutional encoder and decoder of small sketches, shared by the trait network and the VAE it is compared with.

Pang et al., CVPR 2019, section 4.1: five stride-2 convolutions and a 1x1; the decoder a 1x1 and five convolutions of stride
1/2, batch normalisation and ReLU on each but the decoder's last, which ends in tanh. Kernels are 4x4, as usual for the two
strides (D).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from sketchfast.runtime.preprocess import Preprocess

#: Channels of the five stride-2 convolutions (D; the paper does not say).
CHANNELS = (64, 128, 256, 512, 512)


def sketch_preprocess(size: int, ink_margin: float) -> Preprocess:
    """ "Scaled and centred" (section 4.1), with values from -1 (ink) to 1 (white), the range of tanh."""
    return Preprocess(size=size, mean=(0.5,) * 3, std=(0.5,) * 3, ink_margin=ink_margin)


def check_sketch_images(images: Tensor, size: int) -> None:
    """ValueError unless images are floating [B, 3, size, size]."""
    if images.shape[1:] != (3, size, size) or not images.is_floating_point():
        raise ValueError(
            f"images must be sketches of values -1..1, floating [B, 3, {size}, {size}], "
            f"got {images.dtype} {list(images.shape)}"
        )


class SketchEncoder(nn.Module):
    """E: [B, 3, S, S], values -1..1, -> [B, num_features]. The three channels of a sketch are equal; the first is read.

    Raises ValueError naming the argument for channels that are not five positive numbers and a size that is no multiple of 32.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS, size: int = 64) -> None:
        super().__init__()
        self.size, side = size, _smallest_side(channels, size)
        layers: list[nn.Module] = []
        for before, after in zip((1, *channels), channels):
            layers += _normalised(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False))
        last = channels[-1]
        self.layers = nn.Sequential(*layers, *_normalised(nn.Conv2d(last, last, 1, bias=False)))
        self.num_features = last * side**2

    def forward(self, images: Tensor) -> Tensor:
        check_sketch_images(images, self.size)
        return self.layers(images[:, :1]).flatten(1)


class SketchDecoder(nn.Module):
    """R: codes [B, dim] -> sketches [B, 1, S, S], values -1..1. A code is read as a map [dim / a^2, a, a], a = S / 32 (D).

    Raises ValueError naming the argument for a dim that is no multiple of a^2, and as SketchEncoder.
    """

    def __init__(self, dim: int, channels: Sequence[int] = CHANNELS, size: int = 64) -> None:
        super().__init__()
        self.side = _smallest_side(channels, size)
        cells = self.side**2
        if isinstance(dim, bool) or not isinstance(dim, int) or dim < 1 or dim % cells:
            raise ValueError(
                f"dim must be a positive multiple of {cells} for sketches of {size} pixels, got {dim!r}"
            )
        last, rest = channels[-1], tuple(reversed(channels))
        layers = _normalised(nn.Conv2d(dim // cells, last, 1, bias=False))
        for before, after in pairwise(rest):
            layers += _normalised(_upsampling(before, after, bias=False))
        self.layers = nn.Sequential(*layers, _upsampling(channels[0], 1, bias=True), nn.Tanh())

    def forward(self, codes: Tensor) -> Tensor:
        return self.layers(codes.reshape(len(codes), -1, self.side, self.side))


def _normalised(layer: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU(inplace=True)]


def _upsampling(before: int, after: int, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias)


def _smallest_side(channels: Sequence[int], size: int) -> int:
    """a, the side of the last map."""
    if len(channels) != 5 or not all(isinstance(count, int) and count >= 1 for count in channels):
        raise ValueError(f"channels must be five positive whole numbers, got {channels!r}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 32 or size % 32:
        raise ValueError(f"size must be a positive multiple of 32 pixels, got {size!r}")
    return size // 32
