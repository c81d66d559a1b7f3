"""Calls of `torch.ops.sketchfast` whose native checks speak to users."""

from typing import Any

import torch


def call(op: str, *arguments: Any) -> Any:
    """`torch.ops.sketchfast.<op>(*arguments)`; the RuntimeError of a native check begins with the operator's name."""
    operator = getattr(torch.ops.sketchfast, op)
    if torch.compiler.is_compiling():
        return operator(*arguments)
    try:
        return operator(*arguments)
    except RuntimeError as error:
        # A STD_TORCH_CHECK begins with the place in the C++ source; a user needs what follows it.
        place, named, message = str(error).partition(f"{op}: ")
        if type(error) is not RuntimeError or not place or not named:
            raise
        raise RuntimeError(named + message) from None
