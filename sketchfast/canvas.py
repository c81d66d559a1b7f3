"""What a drawing is drawn on: size, pen and margin as callers give them, checked. Imports no torch."""

import operator
from typing import Any

MAX_SIDE = 4096
MAX_THICKNESS = 64
MARGIN = 1 / 16
"""White on each side of a drawing that fills its canvas, as a share of the side; the same for drawn and generated sketches."""
NO_FIT = -1.0  # the kernels' number

SIZE = f"size must be an integer or (height, width), 1 to {MAX_SIDE}"
THICKNESS = f"thickness must be an integer 1 to {MAX_THICKNESS}"
FIT = "fit must be None or a margin of 0 to below 0.5"


def canvas_size(op: str, size: Any) -> tuple[int, int]:
    """(height, width) of a side or a pair of them. TypeError or ValueError naming the argument."""
    sides = size if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2:
        raise ValueError(f"{op}: {SIZE}, found {size!r}")
    height, width = (_integer(op, SIZE, side) for side in sides)
    if height < 1 or height > MAX_SIDE or width < 1 or width > MAX_SIDE:
        raise ValueError(f"{op}: {SIZE}, found {size!r}")
    return height, width


def pen_thickness(op: str, thickness: Any) -> int:
    number = _integer(op, THICKNESS, thickness)
    if number < 1 or number > MAX_THICKNESS:
        raise ValueError(f"{op}: {THICKNESS}, found {thickness}")
    return number


def fit_margin(op: str, fit: Any) -> float:
    """The margin, or NO_FIT for None."""
    if fit is None:
        return NO_FIT
    if isinstance(fit, bool) or not isinstance(fit, int | float):
        raise TypeError(f"{op}: {FIT}, found {fit!r}")
    if not (fit >= 0 and fit < 0.5):  # false for NaN too
        raise ValueError(f"{op}: {FIT}, found {fit}")
    return float(fit)


def _integer(op: str, wanted: str, value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{op}: {wanted}, found {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {wanted}, found {value!r}") from None
