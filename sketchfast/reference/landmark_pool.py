"""Definition of landmark pooling (eqs. 1-4 of the landmark paper): every pixel weighted by its distance to every point."""

import torch
from torch import Tensor


def landmark_pool(features: Tensor, points: Tensor, reduce: str = "mean") -> Tensor:
    """sum_q max(0, 1 - |x - q_x|) max(0, 1 - |y - q_y|) F[q], and its mean over the points, in float64.

    Differentiable; at integer coordinates, where the weights have a kink, torch's subgradient there differs from the operator's.
    Takes N L H W weights. Returns the dtype of `features`.
    """
    height, width = features.shape[2:]
    x, y = points.double().unbind(-1)
    columns = torch.arange(width, dtype=torch.float64, device=points.device)
    rows = torch.arange(height, dtype=torch.float64, device=points.device)
    across = (1 - (x[..., None] - columns).abs()).clamp(min=0)  # [N, L, W]
    down = (1 - (y[..., None] - rows).abs()).clamp(min=0)  # [N, L, H]
    pooled = torch.einsum("nlh,nlw,nchw->nlc", down, across, features.double())
    if reduce == "mean":
        pooled = pooled.mean(dim=1)
    return pooled.to(features.dtype)
