"""Learning to sketch with shortcut cycle consistency (L2S): Song et al., CVPR 2018; the nearest competitor of paper 4's
generator (Bhunia et al., CVPR 2021, section 4.1).

Two encoders and two decoders, of photos (convolutions) and of sketches (LSTMs), make four translations, each through a Gaussian
latent vector of its own: photo to sketch and sketch to photo, which pairs supervise, and the shortcuts photo to photo and
sketch to sketch, in place of whole cycles.

    L = L_p2s + L_s2p + L_p2p + L_s2s + omega_kl sum of the four L_kl

where L_*2s is the first part of eq. 3 of paper 4 and L_*2p the mean squared error of pixels in -1..1. Layers, weights and
omega_kl = 0.01 with a floor of 0.2 under each L_kl, a mean over the dimensions, are those of the released code. (D) One draw of
noise serves the four latent vectors of a pair: each of them has its distribution, which is all the sum of losses sees.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from sketchfast.models.sketch_samples import SketchSamples
from sketchfast.models.stroke_decoder import StrokeDecoder, StrokeDecoderConfig, random_numbers
from sketchfast.nn.dynamic_weights import gaussian_kl
from sketchfast.nn.precision import at_least_float32
from sketchfast.nn.sketch_mixture import stroke_nll
from sketchfast.runtime.preprocess import Preprocess

TRANSLATIONS = ("p2s", "s2s", "p2p", "s2p")


@dataclass
class L2SConfig:
    """The networks; what they are trained with lives in train/more_photos.py."""

    size: int = 256
    channels: tuple[int, ...] = (32, 64, 128, 256, 256)  # of the five convolutions of stride 2
    features: int = 512  # what either encoder makes of its input; even
    latent: int = 128  # N_z
    hidden: int = 512
    mixtures: int = 20  # M
    max_points: int = 100
    offset_scale: float = 1.0  # standard deviation of the training set's offsets, in canvas units
    dropout: float = 0.2  # of the photo's features, and of the photo decoder's first layer
    thickness: int = 2  # of lines, pixels, in pictures of `size` (D)

    def decoder(self) -> StrokeDecoderConfig:
        return StrokeDecoderConfig(self.hidden, self.mixtures, self.max_points, self.offset_scale)


class L2SOutput(NamedTuple):
    """Of B pairs. The first four are the photo-to-sketch translation, named as in ``GeneratorOutput``."""

    y: Tensor  # [B, R, 6M + 3]
    mu: Tensor  # [B, N_z]
    log_variance: Tensor  # [B, N_z]
    attention: None
    y_of_sketch: Tensor  # s2s [B, R, 6M + 3]
    photo: Tensor  # p2p [B, 3, S, S], -1..1
    photo_of_sketch: Tensor  # s2p [B, 3, S, S]
    latents: dict[str, tuple[Tensor, Tensor]]  # translation -> mu, log sigma^2 [B, N_z] each


class L2S(nn.Module):
    """Draws photos as ``PhotoToSketch`` does; ``decoder.output`` is W_y, b_y. ``preprocess``: photos of values -1..1.

    Raises ValueError naming the setting: a size that is no multiple of 32 or below 64, channels that are not five positive
    numbers, odd features, a dropout that is no chance, and as ``StrokeDecoder``.
    """

    def __init__(self, config: L2SConfig) -> None:
        super().__init__()
        _check_config(config)
        self.config = config
        self.preprocess = Preprocess(size=config.size, mean=(0.5,) * 3, std=(0.5,) * 3)
        side, last = config.size // 32, config.channels[-1]
        down: list[nn.Module] = []
        for before, after in zip((3, *config.channels), config.channels):
            down += [nn.Conv2d(before, after, 4, stride=2, padding=1), _norm(after), nn.ReLU()]
        self.photo_encoder = nn.Sequential(
            *down, nn.Flatten(), nn.Linear(last * side**2, config.features), nn.Dropout(config.dropout)
        )
        self.sketch_encoder = nn.LSTM(5, config.features // 2, batch_first=True, bidirectional=True)
        self.to_latent = nn.ModuleDict(
            {name: nn.Linear(config.features, 2 * config.latent) for name in TRANSLATIONS}
        )
        up: list[nn.Module] = []
        for before, after in pairwise(reversed(config.channels)):
            up += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), _norm(after), nn.ReLU()]
        self.photo_decoder = nn.Sequential(
            nn.Linear(config.latent, last * side**2), nn.Dropout(config.dropout),
            nn.Unflatten(1, (last, side, side)), *up,
            nn.ConvTranspose2d(config.channels[0], 3, 4, stride=2, padding=1), nn.Tanh(),
        )  # fmt: skip
        self.decoder = StrokeDecoder(config.decoder(), config.latent, config.latent)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> L2S:
        """The networks of a checkpoint's metadata, before their weights are loaded."""
        fields = metadata["config"]
        return cls(L2SConfig(**{**fields, "channels": tuple(fields["channels"])}))

    def forward(self, photos: Tensor, stroke5: Tensor, noise: Tensor) -> L2SOutput:
        """The four translations. photos [B, 3, S, S], values -1..1; stroke5 [B, R, 5]; noise: standard normal [B, N_z].

        Raises ValueError naming the argument for other shapes.
        """
        of_photo, of_sketch = self._encode_photos(photos), self._encode_sketches(stroke5)
        if noise.shape != (len(photos), self.config.latent):
            raise ValueError(
                f"noise must have the shape {[len(photos), self.config.latent]}, got {list(noise.shape)}"
            )
        encoded = {"p": of_photo, "s": of_sketch}
        latents = {name: self._latent(name, encoded[name[0]]) for name in TRANSLATIONS}
        z = {name: mu + (log_variance / 2).exp() * noise for name, (mu, log_variance) in latents.items()}
        y, y_again = (self._outputs(stroke5, z[name]) for name in ("p2s", "s2s"))
        photo, photo_of_sketch = self.photo_decoder(torch.cat([z["p2p"], z["s2p"]])).chunk(2)
        return L2SOutput(y, *latents["p2s"], None, y_again, photo, photo_of_sketch, latents)

    @torch.no_grad()
    def sample(
        self,
        photos: Tensor,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> SketchSamples:
        """A drawing of each photo, as ``PhotoToSketch.sample``; greedy: z = mu, and the most likely at every step."""
        z, log_variance = self._latent("p2s", self._encode_photos(photos))
        numbers = None
        if not greedy:
            numbers = random_numbers(len(photos), self.config.max_points, generator, self.config.latent)
            z = z + (log_variance / 2).exp() * numbers.latent.to(z)
        return self.decoder.sample(self.decoder.initial(z), numbers, z, temperature=temperature)

    def drawn_from_mean(self, photos: Tensor, stroke5: Tensor) -> Tensor:
        """y [B, R, 6M + 3] of sketches given their photos, teacher forcing with z = mu: what held-out sketches are judged by."""
        return self._outputs(stroke5, self._latent("p2s", self._encode_photos(photos))[0])

    def _encode_photos(self, photos: Tensor) -> Tensor:
        size = self.config.size
        if photos.shape[1:] != (3, size, size):
            raise ValueError(f"photos must be [B, 3, {size}, {size}], got {list(photos.shape)}")
        return self.photo_encoder(photos)

    def _encode_sketches(self, stroke5: Tensor) -> Tensor:
        """The last states of both directions, of the points before the end: [B, R, 5] -> [B, features]."""
        if stroke5.ndim != 3 or stroke5.shape[2] != 5:
            raise ValueError(f"stroke5 must have the shape [B, R, 5], got {list(stroke5.shape)}")
        lengths = (stroke5[..., 4].cumsum(dim=1) < 0.5).sum(dim=1).clamp(min=1).cpu()
        packed = pack_padded_sequence(
            at_least_float32(stroke5), lengths, batch_first=True, enforce_sorted=False
        )
        _, (h, _) = self.sketch_encoder(packed)
        return torch.cat([h[0], h[1]], dim=1)

    def _latent(self, translation: str, features: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_variance = at_least_float32(self.to_latent[translation](features)).chunk(2, dim=1)
        return mu, log_variance

    def _outputs(self, stroke5: Tensor, z: Tensor) -> Tensor:
        return self.decoder.output(self.decoder.unroll(stroke5, self.decoder.initial(z), z)[0])


def l2s_loss(
    output: L2SOutput, photos: Tensor, stroke5: Tensor, kl_weight: float = 0.01, kl_floor: float = 0.2
) -> dict[str, Tensor]:
    """L and its parts, means over the batch: {"loss", "p2s", "s2s", "p2p", "s2p", "kl"}; "kl" is the sum of the four as
    they count, each no less than the floor. photos, stroke5: what `output` was made with."""
    parts = {
        "p2s": torch.stack(stroke_nll(output.y, stroke5)).sum(dim=0).mean(),
        "s2s": torch.stack(stroke_nll(output.y_of_sketch, stroke5)).sum(dim=0).mean(),
        "p2p": F.mse_loss(output.photo.float(), photos.float()),
        "s2p": F.mse_loss(output.photo_of_sketch.float(), photos.float()),
    }
    dims = output.mu.shape[1]
    kl = torch.stack([gaussian_kl(*latent) / dims for latent in output.latents.values()])
    kl = kl.clamp(min=kl_floor).sum()
    return {"loss": torch.stack(list(parts.values())).sum() + kl_weight * kl, **parts, "kl": kl}


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True)


def _check_config(config: L2SConfig) -> None:
    if config.size < 64 or config.size % 32:
        raise ValueError(f"size must be a multiple of 32 pixels and at least 64, got {config.size}")
    if len(config.channels) != 5 or not all(isinstance(n, int) and n >= 1 for n in config.channels):
        raise ValueError(f"channels must be five positive whole numbers, got {config.channels!r}")
    if config.features < 2 or config.features % 2:
        raise ValueError(f"features must be an even number of at least 2, got {config.features}")
    for name in ("latent", "thickness"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
    if not 0 <= config.dropout < 1:
        raise ValueError(f"dropout is a chance and must be 0 to below 1, got {config.dropout}")
