"""Arrays of what callers have: numpy arrays, lists, tensors of any device. Does not import torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_array(values: Any) -> NDArray[Any]:
    """The values without their gradient; 16-bit floats of tensors become float32, since numpy has no bfloat16."""
    if not hasattr(values, "detach"):
        return np.asarray(values)
    there = values.detach().cpu()
    half = there.is_floating_point() and there.element_size() == 2
    found: NDArray[Any] = (there.float() if half else there).numpy()
    return found
