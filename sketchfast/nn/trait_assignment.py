"""Assigning sketches to trait descriptors: Pang et al., Generalising Fine-Grained Sketch-Based Image Retrieval, CVPR 2019.

With p [B, K] the logits of a batch and p_s = softmax(p):

    p_hg = onehot(argmax((p + g) / tau)),  g from Gumbel(0, 1)          (3)   hard assignment
    D_KL(p_s || q_y) = 1/B sum_i sum_j p_s,ij log(p_s,ij K)             (4)   its prior: every sketch open to all descriptors
    H_row = -1/B sum_i sum_j p_s,ij log p_s,ij                          (5)   soft assignment: one descriptor for each sketch
    H_col = -sum_j p_c,j log p_c,j,  p_c = 1/B sum_i p_s,i              (6)   and all of them used alike
    L_rec + lambda_KL D_KL   or   L_rec + lambda_row H_row - lambda_col H_col                             (7)   hard, soft

Entropies are in nats, so H_col is at most log K (D; the paper gives 1 as its maximum).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sketchfast.nn.precision import at_least_float32

Backward = Literal["gumbel", "softmax"]
BACKWARDS = ("gumbel", "softmax")


def straight_through_gumbel(
    logits: Tensor, uniform: Tensor, tau: float = 1.0, backward: Backward = "gumbel"
) -> Tensor:
    """p_hg, eq. 3: one-hot rows [B, K], whose gradient is that of a softmax (straight-through).

    logits: p, floating [B, K]. uniform: [B, K], in (0, 1); g = -log(-log(uniform)). A 0 or 1, which generators of float32
        numbers give now and then, is taken to the nearest number inside.
    backward: whose gradient: "gumbel", softmax((p + g) / tau) as in eq. 3, or "softmax", softmax(p) as in footnote 1.

    float32, or float64 for float64. Raises ValueError naming the argument for another shape, a tau that is not above 0, another
    `backward`, and on the CPU for numbers outside 0..1 (finding them on a GPU would stop it at every step).
    """
    if not tau > 0:
        raise ValueError(f"tau must be above 0, got {tau}")
    if backward not in BACKWARDS:
        raise ValueError(f"backward must be 'gumbel' or 'softmax', got {backward!r}")
    _check(logits)
    if uniform.shape != logits.shape or not uniform.is_floating_point():
        raise ValueError(
            f"uniform must be floating {list(logits.shape)}, as the logits, got {uniform.dtype} {list(uniform.shape)}"
        )
    if uniform.device.type == "cpu" and not ((uniform >= 0) & (uniform <= 1)).all():
        raise ValueError("uniform must be numbers from 0 to 1, some are not")
    logits = at_least_float32(logits)
    limits = torch.finfo(logits.dtype)
    uniform = uniform.to(logits.dtype).clamp(limits.tiny, 1 - limits.eps)
    perturbed = (logits - (-uniform.log()).log()) / tau
    hard = torch.zeros_like(perturbed).scatter_(1, perturbed.argmax(dim=1, keepdim=True), 1)
    soft = (perturbed if backward == "gumbel" else logits).softmax(dim=1)
    return hard + (soft - soft.detach())  # the brackets are 0 exactly: the result stays one-hot


def kl_to_uniform(logits: Tensor) -> Tensor:
    """D_KL(p_s || q_y), eq. 4, a scalar: logits floating [B, K]. float32, or float64 for float64. ValueError: other shapes."""
    log_p = _log_probabilities(logits)
    return (log_p.exp() * (log_p + math.log(logits.shape[1]))).sum(dim=1).mean()


def row_entropy(logits: Tensor) -> Tensor:
    """H_row, eq. 5, in nats, a scalar: logits floating [B, K]. float32, or float64 for float64. ValueError: other shapes."""
    log_p = _log_probabilities(logits)
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def column_entropy(logits: Tensor) -> Tensor:
    """H_col, eq. 6, in nats, a scalar: logits floating [B, K], of the whole batch over all processes.

    float32, or float64 for float64. Raises ValueError for other shapes.
    """
    log_p = _log_probabilities(logits)
    # the logarithm of a mean that underflows would be -inf
    log_p_c = log_p.logsumexp(dim=0) - math.log(len(logits))
    return -(log_p_c.exp() * log_p_c).sum()


def squared_errors(reconstruction: Tensor, images: Tensor) -> Tensor:
    """||s - s^||^2 of each sketch, [B], summed over pixels.

    reconstruction: [B, 1, S, S]. images: [B, 3, S, S] as the network was given them, of which channel 0 is drawn again.
    float32, or float64 for float64. Raises ValueError for shapes that do not fit.
    """
    if reconstruction.ndim != 4 or images.ndim != 4 or reconstruction.shape != images[:, :1].shape:
        raise ValueError(
            "reconstruction must be [B, 1, S, S] of images [B, 3, S, S], "
            f"got {list(reconstruction.shape)} and {list(images.shape)}"
        )
    difference = at_least_float32(reconstruction) - at_least_float32(images[:, :1])
    return difference.square().sum(dim=(1, 2, 3))


def reconstruction_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """L_rec of eq. 7, a scalar: the mean of ``squared_errors`` over the batch (D); its arguments and errors."""
    return squared_errors(reconstruction, images).mean()


def _log_probabilities(logits: Tensor) -> Tensor:
    _check(logits)
    return at_least_float32(logits).log_softmax(dim=1)


def _check(logits: Tensor) -> None:
    if logits.ndim != 2 or 0 in logits.shape or not logits.is_floating_point():
        raise ValueError(
            f"logits must be floating [B, K] with B, K >= 1, got {logits.dtype} {list(logits.shape)}"
        )
