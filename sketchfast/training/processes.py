"""What the processes of one run tell each other. Every function must be called in every process."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor

T = TypeVar("T")


def mean_over(fabric: Fabric, value: Tensor) -> float:
    """Mean of a scalar over processes; the tensor itself is left alone (Fabric's reduction works in place)."""
    return float(cast(Tensor, fabric.all_reduce(value.detach().clone(), reduce_op="mean")))


def any_of(fabric: Fabric, value: bool) -> bool:
    return mean_over(fabric, torch.tensor(float(value), device=fabric.device)) > 0


def gather_int(fabric: Fabric, value: int) -> list[int]:
    """Every process's number, in order of rank."""
    gathered = fabric.all_gather(torch.tensor(value, device=fabric.device))
    return [int(number) for number in cast(Tensor, gathered).flatten()]


def on_main(fabric: Fabric, action: Callable[[], T]) -> T:
    """Run on rank 0 and give every process its result. If it fails, every process raises, instead of waiting
    for ever for one that is gone."""
    result: Any = None
    error: Exception | None = None
    if fabric.is_global_zero:
        try:
            result = action()
        except Exception as caught:
            error = caught
    result, failed = fabric.broadcast((result, None if error is None else str(error)))
    if error is not None:
        raise error
    if failed is not None:
        raise RuntimeError(f"the process of rank 0 failed: {failed}")
    return cast(T, result)
