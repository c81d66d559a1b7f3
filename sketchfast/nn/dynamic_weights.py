"""Weights of a feature's dimensions made from a descriptor: Pang et al., CVPR 2019, section 3.2, equations 8 to 11.

    mu = W_mu phi(s) + b_mu,   sigma = exp((W_sigma phi(s) + b_sigma) / 2),   eta = mu + sigma N(0, 1)       (10)
    psi = (1 + eta) F                                                                                       (8)
    L_tri = max(0, margin + |psi(s) - psi(p+)|^2 - |psi(s) - psi(p-)|^2)                                    (9)
    L = L_tri + lambda KL(N(mu, sigma^2) || N(0, 1))                                                        (11)

A photo is weighted by the sketch it is compared with, so d(s, p) = sum_d w_d^2 (F_s,d - F_p,d)^2 with w = 1 + eta of s.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32

Negatives = Literal["random", "hard", "all"]


class DynamicWeights(nn.Module):
    """eta, eq. 10: a Gaussian over the D dimensions of the feature for each descriptor.

    descriptor_dim: M, length of phi(s). feature_dim: D. unit_length: eta is divided by its Euclidean length (section 4.1);
        the Gaussian that the regularisation sees is the one before that (D).

    Raises ValueError for a length below 1.
    """

    def __init__(self, descriptor_dim: int, feature_dim: int, unit_length: bool = True) -> None:
        super().__init__()
        for name, value in (("descriptor_dim", descriptor_dim), ("feature_dim", feature_dim)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.mu = nn.Linear(descriptor_dim, feature_dim)
        self.log_variance = nn.Linear(descriptor_dim, feature_dim)
        self.unit_length = unit_length

    def forward(self, descriptors: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(eta [B, S, D], mu [B, D], log_variance [B, D] = log sigma^2), S samples a descriptor.

        descriptors: floating [B, M]. noise: standard normal, [S, D] (the same for every descriptor) or [B, S, D].

        float32, or float64 for float64 parameters; autocast does not apply. Raises ValueError for other shapes.
        """
        m, d = self.mu.in_features, self.mu.out_features
        if descriptors.ndim != 2 or descriptors.shape[1] != m:
            raise ValueError(f"descriptors must have the shape [B, {m}], got {list(descriptors.shape)}")
        batch = descriptors.shape[0]  # not len(), which fixes the batch size of an exported graph
        if noise.ndim not in (2, 3) or noise.shape[-1] != d or (noise.ndim == 3 and noise.shape[0] != batch):
            raise ValueError(
                f"noise must have the shape [S, {d}] or [{batch}, S, {d}], got {list(noise.shape)}"
            )
        with torch.autocast(descriptors.device.type, enabled=False):
            dtype = self.mu.weight.dtype
            mu, log_variance = self.mu(descriptors.to(dtype)), self.log_variance(descriptors.to(dtype))
            eta = mu[:, None] + (log_variance / 2).exp()[:, None] * noise.to(dtype)
            return F.normalize(eta, dim=2) if self.unit_length else eta, mu, log_variance


def gaussian_kl(mu: Tensor, log_variance: Tensor) -> Tensor:
    """L_con of eq. 11, D_KL(N(mu, sigma^2) || N(0, I)): summed over the dimensions, mean over the batch (D); a scalar.

    mu, log_variance: floating [B, D], log_variance = log sigma^2. float32, or float64 for float64; autocast does not apply.
    Raises ValueError for other shapes.
    """
    if mu.ndim != 2 or mu.shape != log_variance.shape or 0 in mu.shape:
        raise ValueError(
            f"mu and log_variance must both have one shape [B, D] with no side of 0, "
            f"got {list(mu.shape)} and {list(log_variance.shape)}"
        )
    with torch.autocast(mu.device.type, enabled=False):
        mu, log_variance = at_least_float32(mu), at_least_float32(log_variance)
        # expm1(x) - x and not exp(x) - x - 1, which loses what is left of it near the unit Gaussian.
        each = mu.square() + torch.expm1(log_variance) - log_variance
        return each.sum(dim=1).mean() / 2


def group_triplet_loss(
    sketches: Tensor,
    photos: Tensor,
    weights: Tensor | None,
    margin: float,
    negatives: Negatives = "random",
    uniform: Tensor | None = None,
) -> Tensor:
    """L_tri, eq. 9, mean over the batch, where sketches and photos come in groups of one category; a scalar.

    sketches: F_s, floating [G * g, D], group after group. photos: F_p, [G, n, D] with n >= g and n >= 2: row i of a group is
        the photo of its sketch i for i < g, the others (distractors) belong to no sketch. weights: w = 1 + eta [G * g, D], one
        row a sketch, or None for w = 1. margin: at least 0, against squared distances.
    negatives: which of the n - 1 other photos of the sketch's group stand for p-: "random", the one that ``uniform`` says;
        "hard", the nearest; "all", each of them, and the mean of their losses.
    uniform: with "random", [G * g] in 0..1: the negative is number floor(u (n - 1)) of the other photos in their order.

    float32, or float64 for float64; autocast does not apply. Raises ValueError naming the argument.
    """
    groups, g = _check_groups(sketches, photos, weights, margin)
    n = photos.shape[1]
    with torch.autocast(sketches.device.type, enabled=False):
        s = at_least_float32(sketches).unflatten(0, (groups, g))
        p = at_least_float32(photos)
        w = None if weights is None else at_least_float32(weights).unflatten(0, (groups, g))
        if negatives == "random":
            chosen = _other_photo(uniform, groups, g, n)
            group = torch.arange(groups, device=chosen.device)[:, None]
            near, far = _distances(s, p[:, :g], w), _distances(s, p[group, chosen], w)
            return (margin + near - far).relu().mean()
        every = _distances(s[:, :, None], p[:, None], None if w is None else w[:, :, None])  # [G, g, n]
        near = every.diagonal(dim1=1, dim2=2)
        own = torch.eye(g, n, dtype=torch.bool, device=every.device)
        if negatives == "hard":
            return (margin + near - every.masked_fill(own, float("inf")).amin(dim=2)).relu().mean()
        if negatives == "all":
            hinges = (margin + near[:, :, None] - every).relu().masked_fill(own, 0.0)
            return hinges.mean() * (n / (n - 1))
    raise ValueError(f"negatives must be 'random', 'hard' or 'all', got {negatives!r}")


def _distances(sketches: Tensor, photos: Tensor, weights: Tensor | None) -> Tensor:
    """From differences: of matrix products, what two close features differ by would be rounding."""
    difference = sketches - photos
    return (difference if weights is None else weights * difference).square().sum(dim=-1)


def _other_photo(uniform: Tensor | None, groups: int, g: int, n: int) -> Tensor:
    """int64 [G, g]: for each sketch the number of a photo of its group that is not its own."""
    if uniform is None or uniform.shape != (groups * g,):
        found = None if uniform is None else list(uniform.shape)
        raise ValueError(
            f"uniform must be given as [{groups * g}], one number a sketch, with negatives='random', got {found}"
        )
    other = (uniform * (n - 1)).long().clamp(0, n - 2).view(groups, g)
    return other + (other >= torch.arange(g, device=other.device))


def _check_groups(sketches: Tensor, photos: Tensor, weights: Tensor | None, margin: float) -> tuple[int, int]:
    if photos.ndim != 3 or photos.shape[1] < 2 or 0 in photos.shape:
        raise ValueError(
            f"photos must have the shape [G, n, D] with n >= 2 (an own photo and a negative), got {list(photos.shape)}"
        )
    groups, n, d = photos.shape
    rows = len(sketches) if sketches.ndim == 2 else 0
    if rows == 0 or sketches.shape[1] != d or rows % groups or rows // groups > n:
        raise ValueError(
            f"sketches must have the shape [{groups} g, {d}] with g from 1 to {n} to go with photos "
            f"{list(photos.shape)}, got {list(sketches.shape)}"
        )
    if weights is not None and weights.shape != sketches.shape:
        raise ValueError(
            f"weights must be None or have the sketches' shape {list(sketches.shape)}, got {list(weights.shape)}"
        )
    if not margin >= 0:
        raise ValueError(f"margin must be 0 or more, got {margin}")
    return groups, rows // groups
