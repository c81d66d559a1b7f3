"""Load the native modules, or say how to get them; slow code never takes their place."""

from functools import cache
from importlib import import_module
from types import ModuleType

INSTALL_COMMAND = "pip install --no-build-isolation --force-reinstall --no-deps ."


class NativeCodeMissing(ImportError):
    """A compiled part of sketchfast is absent or cannot be loaded; the message holds the command that builds it."""


def _load(module: str, what: str) -> ModuleType:
    try:
        return import_module(f"sketchfast.{module}")
    except ImportError as error:
        raise NativeCodeMissing(
            f"sketchfast.{module} ({what}) cannot be loaded: {error}. Build it from a checkout of sketchfast with\n"
            f"    {INSTALL_COMMAND}\n"
            f"or, to work in the checkout itself,\n"
            f"    python setup.py build_ext --inplace\n"
            f"`sketchfast info` says what was built and why."
        ) from error


@cache
def load_core() -> ModuleType:
    """`sketchfast._core`, the numpy faces of the CPU kernels. Imports no torch. Raises NativeCodeMissing."""
    return _load("_core", "CPU kernels for numpy")


@cache
def load_torch_ops() -> None:
    """Register every `torch.ops.sketchfast.*` for CPU and, where torch has CUDA and the kernels were built, for CUDA.

    Raises NativeCodeMissing where the CPU module is absent, or where the CUDA module was built and does not load. A build
    without CUDA kernels is no error here: using an op on a CUDA tensor then is (see `explain_missing_cuda`).
    """
    import torch  # the modules link against its libraries, so these have to be in the process first

    _load("_C", "torch operators")
    if torch.version.cuda is not None and _cuda_was_built():
        _load("_C_cuda", "torch operators for CUDA")


def explain_missing_cuda(*ops: str) -> None:
    """Where the CUDA kernels were not built, let these torch.ops.sketchfast operators say so when they meet a CUDA tensor."""
    import torch

    from sketchfast.info import build_info

    if _cuda_was_built() or torch.version.cuda is None:
        return
    reason = build_info()["cuda"]["reason"]

    def refuse(*arguments: object) -> None:
        raise NativeCodeMissing(
            f"sketchfast was built without CUDA kernels ({reason}). Build them with\n"
            f"    SKETCHFAST_CUDA=1 {INSTALL_COMMAND}\n"
            "which says what is missing where it cannot."
        )

    for op in ops:
        torch.library.impl(f"sketchfast::{op}", "CUDA", refuse)


def _cuda_was_built() -> bool:
    from sketchfast.info import build_info

    return bool(build_info()["cuda"]["build"])
