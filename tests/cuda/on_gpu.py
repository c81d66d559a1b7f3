"""What the GPU tests share: the marks that skip them, with the reason, where there is no GPU, and poisoned memory."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch

from sketchfast.info import build_info

Test = TypeVar("Test", bound=Callable[..., object])

CUDA_BUILT = bool(build_info()["cuda"]["build"])
WHY_NOT = (
    f"sketchfast was built without CUDA kernels: {build_info()['cuda']['reason']}"
    if not CUDA_BUILT
    else "no CUDA device: the kernels are compiled here, not executed"
)
needs_module = pytest.mark.skipif(not CUDA_BUILT, reason=WHY_NOT)


def gpu(test: Test) -> Test:
    skip = pytest.mark.skipif(not (CUDA_BUILT and torch.cuda.is_available()), reason=WHY_NOT)
    marked: Test = pytest.mark.gpu(skip(test))
    return marked


def poison(byte: int = 0xAB) -> None:
    """Leave a pattern in the memory that the allocator will hand out next, so that what is not written shows."""
    held = [
        torch.full((size,), byte, dtype=torch.uint8, device="cuda")
        for size in (1 << 9, 1 << 14, 1 << 20, 1 << 24)
    ]
    held += [torch.full((1 << 9,), byte, dtype=torch.uint8, device="cuda") for _ in range(64)]
    del held
