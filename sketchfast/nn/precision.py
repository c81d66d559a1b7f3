"""The precision losses are computed in: 16-bit floats have too few digits for sums, norms and differences."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """float64 as it is, every other type as float32."""
    return values if values.dtype == torch.float64 else values.float()
