"""Diversity of the category-aware filters: landmark-aware network (Zhang et al., TIP 2019), eq. 6 and 7.

    L_f = sum_{i != j} | sum_p <F_i^p, F_j^p> / (||F_i^p|| ||F_j^p||) |      filters, p a position in the kernel
    L_r = sum_{i != j} | <psi_i, psi_j> / (||psi_i|| ||psi_j||) |           responses of one image

Once the vectors have unit length, all K^2 inner products are one matrix product Z Z^T: K^2 C kh kw multiplications for the
filters, K^2 h w an image for the responses, and no loop over pairs.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sketchfast.nn.precision import at_least_float32

Reduction = Literal["sum", "mean"]


def filter_diversity(weight: Tensor, reduction: Reduction = "sum") -> Tensor:
    """L_f, eq. 6, of the weight of a convolution with one filter for each category: a scalar.

    weight: floating [K, C, kh, kw]. A filter's C numbers at one position are one vector; where they are all zero it counts
        as orthogonal to every other and gets no gradient.
    reduction: "sum" over the ordered pairs, as written, or "mean" over them (divided by K (K - 1)).

    float32, or float64 for float64; autocast does not apply. Raises ValueError for another shape or reduction.
    """
    _check(weight, "weight", "[K, C, kh, kw]", reduction)
    with torch.autocast(weight.device.type, enabled=False):
        # Channels last: no copy for a weight in that memory format, and norms over neighbouring numbers.
        vectors = _unit(at_least_float32(weight).permute(0, 2, 3, 1))
        return _off_diagonal(vectors.reshape(1, len(weight), -1), reduction)


def response_diversity(psi: Tensor, reduction: Reduction = "sum") -> Tensor:
    """L_r, eq. 7, averaged over the batch (D): a scalar.

    psi: floating [N, K, h, w], the responses of K filters to N images. A response that is zero everywhere counts as
        orthogonal to every other and gets no gradient.
    reduction: of the pairs of one image, as in ``filter_diversity``.

    float32, or float64 for float64; autocast does not apply. Raises ValueError for another shape or reduction.
    """
    _check(psi, "psi", "[N, K, h, w]", reduction)
    with torch.autocast(psi.device.type, enabled=False):
        return _off_diagonal(_unit(at_least_float32(psi).flatten(2)), reduction)


def _unit(vectors: Tensor) -> Tensor:
    """Along the last dimension; zero vectors stay zero. F.normalize would multiply their gradient by 1e12."""
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    there = norm > torch.finfo(norm.dtype).tiny
    return vectors * torch.where(there, 1 / torch.where(there, norm, 1), 0)


def _off_diagonal(vectors: Tensor, reduction: Reduction) -> Tensor:
    """[N, K, D] -> mean over N of sum_{i != j} |<v_i, v_j>|."""
    count = vectors.shape[1]
    pairs = 1 if reduction == "sum" else max(1, count * (count - 1))
    return _SumOfPairs.apply(vectors) / (len(vectors) * pairs)


class _SumOfPairs(torch.autograd.Function):
    """[N, K, D] -> sum over N and i != j of |<v_i, v_j>|, with the gradient 2 sign(Z Z^T) Z.

    Autograd would keep three [N, K, K] tensors and multiply twice, since it does not know that Z Z^T is symmetric.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor) -> Tensor:
        products = vectors @ vectors.transpose(1, 2)
        # Set to zero, not subtracted from the sum: the diagonal is far larger than what is left, and would cost digits.
        products.diagonal(dim1=1, dim2=2).zero_()
        total = torch.linalg.vector_norm(products, ord=1)
        ctx.save_for_backward(vectors, products.sign_())
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        vectors, signs = ctx.saved_tensors
        # Nothing keeps the backward pass from being run inside an autocast of its own.
        with torch.autocast(vectors.device.type, enabled=False):
            return (signs @ vectors).mul_(2 * grad)


def _check(values: Tensor, name: str, shape: str, reduction: str) -> None:
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction must be 'sum' or 'mean', got {reduction!r}")
    if values.ndim != 4 or 0 in values.shape or not values.is_floating_point():
        raise ValueError(
            f"{name} must be floating {shape} with no side of 0, got {values.dtype} {list(values.shape)}"
        )
