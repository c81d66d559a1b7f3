"""Arrays of what callers have: numpy arrays, lists, tensors of any device, and whole numbers. Does not import torch."""

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


def real_array(name: str, values: Any) -> NDArray[Any]:
    """The values as an array of integers or floats, not copied where they are one. TypeError naming the argument for others."""
    try:
        found = as_array(values)
    except (TypeError, ValueError) as error:  # rows of different lengths, or what cannot be on the CPU
        raise TypeError(
            f"{name}: expected an array of real numbers; found {type(values).__name__}: {error}"
        ) from None
    if found.dtype.kind not in "iuf":
        what = found.dtype if found.dtype.kind in "bc" else f"{type(values).__name__} of {found.dtype}"
        raise TypeError(f"{name}: expected real numbers; found {what}")
    return found


def check_whole(name: str, value: Any, highest: int | None = None, of: str = "") -> None:
    """ValueError unless the value is a whole number, of Python or numpy, from 1 to `highest`. of: what there are so many of."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1 or (highest is not None and value > highest):
        wanted = "a positive whole number" if highest is None else f"a whole number from 1 to {highest}{of}"
        raise ValueError(f"{name}: expected {wanted}; found {value!r}")
