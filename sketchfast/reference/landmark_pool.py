"""Definition of landmark pooling (eqs. 1-4 of the landmark paper): every pixel weighted by its distance to every point."""

import torch
from torch import Tensor


def landmark_pool(features: Tensor, points: Tensor, reduce: str = "mean") -> Tensor:
    """sum_q max(0, 1 - |x - q_x|) max(0, 1 - |y - q_y|) F[q], and its mean over the points, in float64.

    Differentiable; at integer coordinates, where the weights have a kink, a point's gradient is the slope to its right (below
    it), as the operator's is. Takes N L H W weights. Returns the dtype of `features`.
    """
    height, width = features.shape[2:]
    x, y = points.double().unbind(-1)
    columns = torch.arange(width, dtype=torch.float64, device=points.device)
    rows = torch.arange(height, dtype=torch.float64, device=points.device)
    across, down = _tent(x[..., None] - columns), _tent(y[..., None] - rows)  # [N, L, W], [N, L, H]
    pooled = torch.einsum("nlh,nlw,nchw->nlc", down, across, features.double())
    if reduce == "mean":
        pooled = pooled.mean(dim=1)
    return pooled.to(features.dtype)


def _tent(distance: Tensor) -> Tensor:
    """max(0, 1 - |distance|), of two straight pieces: torch's own slope is 0 at 0, and one of either at -1 and 1."""
    rising, falling = (distance >= -1) & (distance < 0), (distance >= 0) & (distance < 1)
    return torch.where(rising, 1 + distance, torch.where(falling, 1 - distance, 0))
