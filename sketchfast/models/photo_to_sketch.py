"""Photo to sketch: the generator G of Bhunia et al., More Photos are All You Need, CVPR 2021, section 3.1.

A convolutional map B of the photo; z = mu + sigma N(0, 1) from B's mean over the positions; an LSTM that starts from z and
draws point after point, looking at the part of B it draws (eq. 2):

    L_vae = L_R + omega_kl L_kl                                                                              (3)

attention="2d" is the paper's, "1d" has a 1x1 convolution instead of 3x3 (its ablation), "none" gives the decoder z at every
step instead of a glimpse (Pix2Seq). (D) L_kl is the mean over the N_z dimensions, as in sketch-rnn: L_R is a mean over points.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.models.sketch_samples import SketchSamples
from sketchfast.models.stroke_decoder import State, StrokeDecoder, StrokeDecoderConfig, random_numbers
from sketchfast.nn.dynamic_weights import gaussian_kl
from sketchfast.nn.photo_attention import AttendedPhoto, PhotoAttention
from sketchfast.nn.precision import at_least_float32
from sketchfast.nn.sketch_mixture import stroke_nll
from sketchfast.runtime.pictures import read_photo
from sketchfast.runtime.preprocess import Preprocess

_KERNELS = {"2d": 3, "1d": 1}


@dataclass
class PhotoToSketchConfig:
    """The network; what it is trained with lives in train/more_photos.py."""

    backbone: str = "vgg16_plain"  # VGG-16 as published; "vgg16" is the one with batch normalisation
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"  # "small" (3x3, no pooling) suits images of 64 pixels
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0  # channels of the basic-block ResNets, relative to the original
    size: int = 256
    latent: int = 128  # N_z
    hidden: int = 512
    attention: Literal["2d", "1d", "none"] = "2d"
    attention_dim: int = 256
    mixtures: int = 20  # M
    max_points: int = 100
    offset_scale: float = 1.0  # standard deviation of the training set's offsets, in canvas units
    thickness: int = 2  # of lines, pixels, in pictures of `size` (D)
    freeze_encoder: bool = False  # the backbone is not trained (D); what is made of its map is

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)

    def decoder(self) -> StrokeDecoderConfig:
        return StrokeDecoderConfig(self.hidden, self.mixtures, self.max_points, self.offset_scale)


class PhotoCode(NamedTuple):
    """What the encoder makes of B photos."""

    features: Tensor  # B, [B, c, h, w]
    mu: Tensor  # [B, N_z]
    log_variance: Tensor  # log sigma^2 [B, N_z]


class GeneratorOutput(NamedTuple):
    """Of teacher forcing over R rows."""

    y: Tensor  # [B, R, 6M + 3]
    mu: Tensor  # [B, N_z]
    log_variance: Tensor  # [B, N_z]
    attention: Tensor | None  # alpha_t [B, R, h, w]; None without attention


class PhotoToSketch(nn.Module):
    """G. ``class_names``: the categories trained on; ``preprocess`` makes its input of a photo; ``decoder.output``: W_y, b_y.

    Backbones with batch normalisation use its running statistics only in evaluation mode: call ``eval()`` before sampling.
    Raises ValueError naming the setting, and as ``build_backbone``.
    """

    def __init__(
        self,
        config: PhotoToSketchConfig,
        class_names: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        _check_config(config, preprocess)
        self.config = config
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = preprocess or Preprocess(size=config.size)
        self.backbone, _ = build_backbone(config.backbone_spec())
        self.backbone.head = (
            nn.Identity()
        )  # B is pooled here; VGG's fully connected layers are most of its weights
        if config.freeze_encoder:
            # No parameter and no input has a gradient, so no activation is kept for one.
            self.backbone.requires_grad_(False)
        channels = self.backbone.num_channels
        self.to_latent = nn.Linear(channels, 2 * config.latent)
        self.attention: PhotoAttention | None = None
        if config.attention != "none":
            kernel = _KERNELS[config.attention]
            self.attention = PhotoAttention(channels, config.hidden, config.attention_dim, kernel)
        context = config.latent if self.attention is None else channels
        self.decoder = StrokeDecoder(config.decoder(), config.latent, context)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> PhotoToSketch:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        preprocess = metadata.get("preprocess")
        model = cls(
            PhotoToSketchConfig(**{**metadata["config"], "weights": "none"}),
            metadata.get("class_names") or None,
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )
        model.config.weights = metadata["config"]["weights"]
        return model

    def train(self, mode: bool = True) -> PhotoToSketch:
        super().train(mode)
        if self.config.freeze_encoder:
            self.backbone.eval()  # batch normalisation's running statistics stay as they are, too
        return self

    def encode(self, photos: Tensor) -> PhotoCode:
        """Photos as ``preprocess`` makes them, [B, 3, S, S] -> their code. ValueError for another shape."""
        if photos.ndim != 4 or photos.shape[1] != 3:
            raise ValueError(f"photos must have the shape [B, 3, S, S], got {list(photos.shape)}")
        features = at_least_float32(self.backbone.feature_map(photos))
        if features.ndim != 4:
            raise ValueError(
                f"backbone {self.config.backbone!r} must give a map [B, c, h, w], got {list(features.shape)}"
            )
        with torch.autocast(photos.device.type, enabled=False):
            mu, log_variance = self.to_latent(features.mean(dim=(2, 3))).chunk(2, dim=1)
        return PhotoCode(features, mu, log_variance)

    def forward(self, photos: Tensor, stroke5: Tensor, noise: Tensor) -> GeneratorOutput:
        """Teacher forcing. photos [B, 3, S, S]; stroke5 [B, R, 5], the sequences; noise: standard normal [B, N_z].

        Rows beyond the longest sequence of a batch cost time and no more: leave them away. ValueError for other shapes.
        """
        code = self.encode(photos)
        if noise.shape != code.mu.shape:
            raise ValueError(f"noise must have the shape {list(code.mu.shape)}, got {list(noise.shape)}")
        state, context, photo = self._start(code, noise)
        hidden, attention = self.decoder.unroll(stroke5, state, context, photo)
        y = self.decoder.output(hidden)
        return GeneratorOutput(y, code.mu, code.log_variance, attention)

    def sample(
        self,
        photos: Tensor,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> SketchSamples:
        """A drawing of each photo [B, 3, S, S], in one batch, without gradient.

        generator: on the CPU, torch's global one by default. A photo's numbers follow those of the photo before it, so a batch
        is drawn as its photos would be one by one. temperature: see `SketchMixture.sample`. greedy: z = mu, and the most
        likely at every step. Raises ValueError naming the argument.
        """
        with torch.no_grad():
            return self.sample_code(self.encode(photos), generator, temperature, greedy)

    @torch.no_grad()
    def sample_code(
        self,
        code: PhotoCode,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> SketchSamples:
        """`sample` of photos that are encoded already."""
        numbers = None
        if not greedy:
            numbers = random_numbers(len(code.mu), self.config.max_points, generator, self.config.latent)
        state, context, photo = self._start(code, None if numbers is None else numbers.latent)
        return self.decoder.sample(state, numbers, context, photo, temperature)

    def sketch(
        self,
        photo: np.ndarray | str | os.PathLike[str],
        count: int = 1,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
    ) -> SketchSamples:
        """`count` drawings of one photo: uint8 [H, W, 3] RGB or a picture file. Errors as ``preprocess`` and ``sample``."""
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}")
        pixels = photo if isinstance(photo, np.ndarray) else read_photo(photo)
        batch = torch.from_numpy(self.preprocess(pixels, sketch=False))[None]
        with torch.no_grad():
            code = self.encode(batch.to(self.to_latent.weight))
        code = PhotoCode(*(part.repeat_interleave(count, dim=0) for part in code))
        return self.sample_code(code, generator, temperature, greedy)

    def _start(
        self, code: PhotoCode, noise: Tensor | None
    ) -> tuple[State, Tensor | None, AttendedPhoto | None]:
        """[h_0; c_0], and what every step gets beside the point; without noise z = mu."""
        with torch.autocast(code.mu.device.type, enabled=False):
            z = code.mu
            if noise is not None:
                z = z + (code.log_variance / 2).exp() * noise.to(z)
            state = self.decoder.initial(z)
            if self.attention is None:
                return state, z, None
            return state, None, self.attention.prepare(code.features)


def vae_loss(output: GeneratorOutput, stroke5: Tensor, kl_weight: float = 1.0) -> dict[str, Tensor]:
    """Eq. 3, means over the batch: {"loss", "offset_nll", "pen_nll", "kl"}, loss = offset_nll + pen_nll + kl_weight kl.

    stroke5: [B, R, 5], what `output` was made with. Raises ValueError for a negative weight and other shapes.
    """
    if not kl_weight >= 0:
        raise ValueError(f"kl_weight must be 0 or more, got {kl_weight}")
    offset_nll, pen_nll = (part.mean() for part in stroke_nll(output.y, stroke5))
    kl = gaussian_kl(output.mu, output.log_variance) / output.mu.shape[1]
    return {
        "loss": offset_nll + pen_nll + kl_weight * kl,
        "offset_nll": offset_nll,
        "pen_nll": pen_nll,
        "kl": kl,
    }


def _check_config(config: PhotoToSketchConfig, preprocess: Preprocess | None) -> None:
    for name in ("size", "latent", "attention_dim", "thickness"):
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
    if config.attention not in (*_KERNELS, "none"):
        raise ValueError(f"attention must be '2d', '1d' or 'none', got {config.attention!r}")
    if preprocess is not None and preprocess.size != config.size:
        raise ValueError(f"preprocess.size must be size={config.size}, got {preprocess.size}")
