"""Stroke sequences to pictures: batched, on CPU and CUDA."""

from torch import Tensor

from sketchfast import reference

MAX_SIDE = 4096
MAX_THICKNESS = 64


def rasterize(
    points: Tensor,
    pen: Tensor,
    size: int | tuple[int, int],
    thickness: int = 1,
    antialias: bool = False,
    *,
    lengths: Tensor | None = None,
    fit: float | None = None,
) -> Tensor:
    """Draw stroke sequences: white paper (255), black ink (0). The slow definition until the kernels are in."""
    return reference.rasterize(points, pen, size, thickness, antialias, lengths=lengths, fit=fit)
