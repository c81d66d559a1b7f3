"""Variational autoencoder of sketches, which the trait network is compared with: Pang et al., CVPR 2019, section 4.2.

"Ours-VAE" describes a sketch by its latent mean, "Ours-VAE-Kmeans" by the nearest of K centroids of these means. Encoder and
decoder are the trait network's, so that only what lies between them differs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sketchfast.models.sketch_autoencoder import CHANNELS, SketchDecoder, SketchEncoder, sketch_preprocess
from sketchfast.nn.precision import at_least_float32


@dataclass
class SketchVAEConfig:
    """The network; what it is trained with lives in train/vtd.py."""

    latent: int = 256
    channels: tuple[int, ...] = CHANNELS
    size: int = 64
    ink_margin: float = 0.05
    centroids: int = 0  # of k-means, stored with the model; 0: none


class VAEOutput(NamedTuple):
    """Of a batch of B sketches."""

    mu: Tensor  # [B, latent]
    log_variance: Tensor  # log sigma^2, [B, latent]
    reconstruction: Tensor  # [B, 1, S, S], values -1..1


class SketchVAE(nn.Module):
    """Encoder with a Gaussian over the latent code, decoder, and the centroids once there are any.

    Raises ValueError naming the setting: a size that is no multiple of 32, a latent that its map cannot hold, channels that are
    not five positive numbers.
    """

    centroids: Tensor | None

    def __init__(self, config: SketchVAEConfig) -> None:
        super().__init__()
        self.config = dataclasses.replace(config)  # a copy, since set_centroids writes into it
        self.preprocess = sketch_preprocess(config.size, config.ink_margin)
        self.encoder = SketchEncoder(config.channels, config.size)
        self.decoder = SketchDecoder(config.latent, config.channels, config.size)
        self.mu = nn.Linear(self.encoder.num_features, config.latent)
        self.log_variance = nn.Linear(self.encoder.num_features, config.latent)
        empty = torch.zeros(config.centroids, config.latent) if config.centroids else None
        self.register_buffer("centroids", empty)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> SketchVAE:
        """The network of a checkpoint's metadata, before its weights are loaded."""
        fields = metadata["config"]
        return cls(SketchVAEConfig(**{**fields, "channels": tuple(fields["channels"])}))

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor."""
        return self.config.latent

    def forward(self, images: Tensor, noise: Tensor | None = None) -> VAEOutput:
        """images: floating [B, 3, S, S], -1 (ink) to 1 (white). noise: [B, latent], standard normal; None decodes the mean.

        Raises ValueError for other shapes.
        """
        features = self.encoder(images)
        mu, log_variance = self.mu(features), self.log_variance(features)
        if noise is not None and noise.shape != mu.shape:
            raise ValueError(f"noise must be {list(mu.shape)}, got {list(noise.shape)}")
        code = mu if noise is None else mu + (at_least_float32(log_variance) / 2).exp() * noise
        return VAEOutput(mu, log_variance, self.decoder(code))

    def set_centroids(self, centroids: Tensor) -> None:
        """Store the K centroids of k-means, floating [K, latent]: from now on the nearest one describes a sketch.

        Raises ValueError for another shape, fewer than 2, and numbers that are not finite.
        """
        centroids = torch.as_tensor(centroids).to(self.mu.weight)
        if centroids.ndim != 2 or centroids.shape[1] != self.config.latent or len(centroids) < 2:
            raise ValueError(
                f"centroids must be [K, {self.config.latent}] with K >= 2, got {list(centroids.shape)}"
            )
        if not centroids.isfinite().all():
            raise ValueError("centroids must be finite, some of their numbers are not")
        self.centroids = centroids.detach().clone()
        self.config.centroids = len(centroids)

    @torch.no_grad()
    def describe(self, images: Tensor) -> Tensor:
        """The latent mean of each sketch, or with centroids the nearest of them: images as in ``forward`` -> [B, latent]."""
        mu = self.mu(self.encoder(images))
        if self.centroids is None:
            return mu
        return self.centroids.index_select(
            0, self._nearest(mu, self.centroids)
        )  # a plain Gather in an export

    @torch.no_grad()
    def assign(self, images: Tensor) -> Tensor:
        """Index of each sketch's nearest centroid, int64 [B]. RuntimeError without centroids."""
        if self.centroids is None:
            raise RuntimeError(
                "this VAE has no centroids: fit k-means to its means and store them with set_centroids"
            )
        return self._nearest(self.mu(self.encoder(images)), self.centroids)

    @staticmethod
    def _nearest(mu: Tensor, centroids: Tensor) -> Tensor:
        # |mu - c|^2 / 2 less |mu|^2 / 2, which is the same for every centroid; from their mean, so that little cancels
        mean = centroids.mean(dim=0)
        mu, centroids = mu.to(centroids) - mean, centroids - mean
        return (centroids.square().sum(dim=1) / 2 - mu @ centroids.T).argmin(dim=1)
