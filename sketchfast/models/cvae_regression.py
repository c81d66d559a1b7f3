"""CVAE regression (Yelamarthi et al., ECCV 2018): photo features generated from a sketch's features.

    q(z | p, s) = N(mu, sigma^2),   p^ = G(z, s),   s^ = R(p^)
    L = |p - p^|^2 + KL(q || N(0, I)) + lambda |s - s^|^2

s and p are features of a frozen network. R has to find the sketch's feature in the generated one, so that G cannot do without
the sketch. For a query z is drawn many times, the generated features are clustered, and a photo is as far away as the nearest
of the cluster centres, by cosine.
(D) Features are centred by modality and brought to unit variance over all of their entries. The squared errors are summed over
the dimensions and lambda = 10 as in the released code, which takes their means beside the summed KL. The outputs are linear
(released: ReLU, for VGG's features). All draws of z come from one table, so that a query's answer depends on no other query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from sketchfast.nn.dynamic_weights import gaussian_kl

_TEST_NOISE_SEED = 2018


@dataclass
class CVAEConfig:
    feature_dim: int = 0  # D, of the frozen features of sketches and photos
    latent: int = 1024  # length of z
    hidden: int = 2048  # units of a hidden layer; the encoder's first has twice as many
    dropout: float = 0.3
    regression_weight: float = 10.0  # lambda
    kl_weight: float = 1.0
    samples: int = 200  # draws of z for a query
    clusters: int = 5  # of k-means among the generated features; 1: their mean (released code)


class CVAEOutput(NamedTuple):
    """Of B pairs, all in the standardised features: generated photo p^ [B, D], s^ [B, D], mu and log_variance [B, latent]."""

    photo: Tensor
    sketch: Tensor
    mu: Tensor
    log_variance: Tensor


class CVAETerms(NamedTuple):
    total: Tensor
    reconstruction: Tensor
    kl: Tensor
    regression: Tensor


class CVAERegression(nn.Module):
    """The generator; it sees features, float32 [B, D], never images.

    ``standardise_to`` must have been called with training features before training. ValueError for a config out of range.
    """

    sketch_mean: Tensor
    photo_mean: Tensor
    scale: Tensor
    test_noise: Tensor

    def __init__(self, config: CVAEConfig) -> None:
        super().__init__()
        for name in ("feature_dim", "latent", "hidden", "samples", "clusters"):
            if getattr(config, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
        if config.clusters > config.samples:
            raise ValueError(
                f"clusters must be at most samples={config.samples}, got {config.clusters} clusters"
            )
        self.config = config
        d, hidden, latent = config.feature_dim, config.hidden, config.latent
        self.encoder = nn.Sequential(
            nn.Linear(2 * d, 2 * hidden), nn.ReLU(), nn.BatchNorm1d(2 * hidden), nn.Dropout(config.dropout),
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.BatchNorm1d(hidden),
        )  # fmt: skip
        # Bounded as in the released code: a variance within a factor e of 1 and a mean within 1 of 0.
        self.mu = nn.Sequential(nn.Linear(hidden, latent), nn.Tanh())
        self.log_variance = nn.Sequential(nn.Linear(hidden, latent), nn.Tanh())
        self.decoder = nn.Sequential(nn.Linear(latent + d, hidden), nn.ReLU(), nn.Linear(hidden, d))
        self.regressor = nn.Sequential(nn.Linear(d, hidden), nn.ReLU(), nn.Linear(hidden, d))
        self.register_buffer("sketch_mean", torch.zeros(d))
        self.register_buffer("photo_mean", torch.zeros(d))
        self.register_buffer("scale", torch.ones(2))  # of sketches, of photos
        generator = torch.Generator().manual_seed(_TEST_NOISE_SEED)
        noise = torch.randn(config.samples, latent, generator=generator, device="cpu")
        self.register_buffer("test_noise", noise)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> CVAERegression:
        """The network of a checkpoint's metadata, before its weights are loaded."""
        return cls(CVAEConfig(**metadata["config"]))

    @torch.no_grad()
    def standardise_to(self, sketches: Tensor, photos: Tensor) -> None:
        """Take the means and deviations of training features [N, D] and [P, D]. ValueError for features that do not vary."""
        parts = (("sketches", sketches, self.sketch_mean), ("photos", photos, self.photo_mean))
        for number, (name, values, mean) in enumerate(parts):
            mean.copy_(values.double().mean(dim=0))
            deviation = (values.double() - mean.double().to(values.device)).square().mean().sqrt()
            if not deviation > 0:
                raise ValueError(f"{name}: the features do not vary, their deviation is {deviation:g}")
            self.scale[number] = deviation

    def forward(self, sketches: Tensor, photos: Tensor, noise: Tensor) -> CVAEOutput:
        """Features of B sketches and of their photos [B, D], noise standard normal [B, latent]."""
        s, p = self._sketch(sketches), self._photo(photos)
        hidden = self.encoder(torch.cat([p, s], dim=1))
        mu, log_variance = self.mu(hidden), self.log_variance(hidden)
        z = mu + (log_variance / 2).exp() * noise
        generated = self.decoder(torch.cat([z, s], dim=1))
        return CVAEOutput(generated, self.regressor(generated), mu, log_variance)

    def loss(self, output: CVAEOutput, sketches: Tensor, photos: Tensor) -> CVAETerms:
        """L and its parts, sums over the dimensions and means over the batch."""
        reconstruction = (output.photo - self._photo(photos)).float().square().sum(dim=1).mean()
        regression = (output.sketch - self._sketch(sketches)).float().square().sum(dim=1).mean()
        kl = gaussian_kl(output.mu, output.log_variance)
        c = self.config
        return CVAETerms(
            reconstruction + c.kl_weight * kl + c.regression_weight * regression, reconstruction, kl, regression
        )  # fmt: skip

    @torch.no_grad()
    def generate(self, sketches: Tensor) -> Tensor:
        """Photo features of Q queries, in the scale of the photos': [Q, D] -> [Q, samples, D]."""
        s = self._sketch(sketches)[:, None].expand(-1, len(self.test_noise), -1)
        z = self.test_noise.expand(len(s), -1, -1)
        return self.decoder(torch.cat([z, s], dim=2)) * self.scale[1] + self.photo_mean

    def centres(self, sketches: Tensor) -> Tensor:
        """Centres of k-means among each query's generated features: [Q, D] -> float32 [Q, clusters, D]."""
        generated = self.generate(sketches)
        if self.config.clusters == 1:
            return generated.mean(dim=1, keepdim=True)
        from sklearn.cluster import KMeans

        def clustered(samples: Tensor) -> Tensor:
            fitted = KMeans(self.config.clusters, n_init=1, random_state=0).fit(samples.float().cpu().numpy())
            return torch.from_numpy(fitted.cluster_centers_).to(samples)

        return torch.stack([clustered(samples) for samples in generated])

    def distances(self, sketches: Tensor, photos: Tensor) -> Tensor:
        """1 - cosine to the nearest centre: queries [Q, D] and photos [N, D] -> [Q, N]."""
        similar = (
            F.normalize(self.centres(sketches), dim=2) @ F.normalize(photos, dim=1).T
        )  # [Q, clusters, N]
        return 1 - similar.amax(dim=1)

    def _sketch(self, features: Tensor) -> Tensor:
        return (features - self.sketch_mean) / self.scale[0]

    def _photo(self, features: Tensor) -> Tensor:
        return (features - self.photo_mean) / self.scale[1]


def search_classes(
    model: CVAERegression,
    sketches: NDArray[np.float32],
    photos: NDArray[np.float32],
    pairs: Any,
    block: int = 64,
    progress: bool = True,
) -> list[NDArray[np.float32]]:
    """Distances within each query's own category: one float32 [q_c, n_c] a class in label order, for ``evaluate_instances``.

    sketches [Q, D] and photos [N, D]: frozen features in the order of ``pairs`` (a PairedSet). block: queries at a time.
    """
    device = model.test_noise.device
    found = []
    labels = range(len(pairs.photos.names))
    for label in track(labels, "generating photo features", disable=not progress):
        queries, gallery = pairs.of_class(label)
        searched = torch.from_numpy(photos[gallery]).to(device)
        parts = [
            model.distances(torch.from_numpy(sketches[queries[i : i + block]]).to(device), searched).cpu().numpy()
            for i in range(0, len(queries), block)
        ]  # fmt: skip
        found.append(np.concatenate(parts) if parts else np.empty((0, len(gallery)), np.float32))
    return found
