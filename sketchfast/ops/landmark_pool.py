"""Landmark pooling of landmark networks for sketches (eqs. 1-4): features read at points between pixels, and their mean.

Kernels: csrc/cpu/landmark_pool*, csrc/cuda/landmark_pool*; the taps of a point: csrc/math/landmark_pool.h; definition:
sketchfast/reference/landmark_pool.py.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from sketchfast._native import explain_missing_cuda, load_torch_ops
from sketchfast.ops.operator_call import call

load_torch_ops()
explain_missing_cuda("landmark_pool", "landmark_pool_backward")

FEATURES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
POINTS = (torch.float32, torch.float64)
MOST_PIXELS = 2**31 - 1  # of a map; kMostMapPixels of csrc/math/landmark_pool.h


def landmark_pool(features: Tensor, points: Tensor, reduce: str = "mean") -> Tensor:
    """Bilinear interpolation of feature maps at landmarks, and the mean over the landmarks of an image.

    A point (x, y) reads sum_q max(0, 1 - |x - q_x|) max(0, 1 - |y - q_y|) F[q] over the pixels q, with F = 0 outside the map, so
    a point wholly outside reads 0 and gets no gradient. Equals the mean of F.grid_sample(..., align_corners=True,
    padding_mode="zeros") in values and both gradients; at integer coordinates the gradient of a point is the slope to its right
    (below it), as grid_sample's is. Sums are float32, float64 for float64 features, and rounded once. Deterministic, gradients
    included: the same bits in every run, on the CPU from any number of threads.

    Autocast: features keep their dtype; 16-bit points, which no other place accepts, are read as float32. Second derivatives and
    forward-mode AD are refused.

    Args:
        features: float32, float64, bfloat16 or float16 [N, C, H, W], H and W at least 1, N and C may be 0. Contiguous and
            channels_last memory are used as they are, and the gradient has the same; other strides cost a copy.
        points: float32 or float64 [N, L, 2] on the same device, L at least 1, as (x, y) in pixels of the map, whose centres are
            at integers; the place within a pixel is rounded to the type of the sums. Infinite ones are outside.
        reduce: "mean", or "none" for a vector of each point.

    Returns:
        [N, C] ("mean") or [N, L, C] ("none"), contiguous, in the dtype of `features`.

    Raises:
        TypeError: features or points are no tensors or have another dtype.
        ValueError: wrong shapes, an empty map or one of more than 2**31 - 1 pixels, different devices, an unknown reduce.
        RuntimeError: on the CPU, a NaN among the points (with its place); on CUDA, where a check would wait for the device, such
            a point counts as outside.
        NativeCodeMissing: CUDA tensors, and sketchfast was built without CUDA kernels.
    """
    if (
        isinstance(points, Tensor)
        and points.dtype in (torch.bfloat16, torch.float16)
        and points.device.type in ("cpu", "cuda")  # of others, such as meta, torch refuses to answer
        and torch.is_autocast_enabled(points.device.type)
    ):
        points = points.float()
    _check("landmark_pool", features, points, reduce)
    if not torch.compiler.is_compiling():
        _refuse_tangents(features, points)
    return call("landmark_pool", features, points, reduce)


def _check(op: str, features: Tensor, points: Tensor, reduce: str) -> None:
    for name, value, dtypes, rank, shape in (
        ("features", features, FEATURES, 4, "[N, C, H, W]"),
        ("points", points, POINTS, 3, "[N, L, 2]"),
    ):
        if not isinstance(value, Tensor):
            raise TypeError(f"{op}: {name} must be a torch.Tensor, found {type(value).__name__}")
        if value.dtype not in dtypes:
            names = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise TypeError(f"{op}: {name} must be one of {names}, found {value.dtype}")
        if value.ndim != rank:
            raise ValueError(f"{op}: {name} must have shape {shape}, found {list(value.shape)}")
    n, _, height, width = features.shape
    if points.shape[0] != n or points.shape[1] < 1 or points.shape[2] != 2:
        raise ValueError(
            f"{op}: points must have shape [{n}, L, 2] with L >= 1 for features {list(features.shape)}, "
            f"found {list(points.shape)}"
        )
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise ValueError(
            f"{op}: features must have maps of 1 to {MOST_PIXELS} pixels, found {list(features.shape)}"
        )
    if reduce not in ("mean", "none"):
        raise ValueError(f"{op}: reduce must be 'mean' or 'none', found {reduce!r}")
    if points.device != features.device:
        raise ValueError(
            f"{op}: points must be on the device of features, {features.device}, found {points.device}"
        )


def _refuse_tangents(*tensors: Tensor) -> None:
    """An operator without a forward-mode rule would drop them without a word."""
    if any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors):
        raise RuntimeError("landmark_pool has no forward-mode derivative")


@torch.library.register_fake("sketchfast::landmark_pool")
def _landmark_pool_fake(features: Tensor, points: Tensor, reduce: str) -> Tensor:
    _check("landmark_pool", features, points, reduce)
    n, channels = features.shape[:2]
    return features.new_empty((n, channels) if reduce == "mean" else (n, points.shape[1], channels))


@torch.library.register_fake("sketchfast::landmark_pool_backward")
def _landmark_pool_backward_fake(
    grad: Tensor,
    features: Tensor,
    points: Tensor,
    reduce: str,
    features_gradient: bool,
    points_gradient: bool,
) -> tuple[Tensor, Tensor]:
    _check("landmark_pool_backward", features, points, reduce)
    laid_out = features.is_contiguous() or features.is_contiguous(memory_format=torch.channels_last)
    like = features if laid_out else features.contiguous()
    return (
        torch.empty_like(like) if features_gradient else features.new_empty(0),
        points.new_empty(points.shape if points_gradient else (0,)),
    )


def _setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, str], output: Tensor) -> None:
    features, points, ctx.reduce = inputs
    ctx.save_for_backward(features, points)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:2]
    gradients = torch.ops.sketchfast.landmark_pool_backward(grad, *ctx.saved_tensors, ctx.reduce, *wanted)
    return *(gradient if asked else None for gradient, asked in zip(gradients, wanted, strict=True)), None


def _second_backward(ctx: Any, *grads: Tensor | None) -> Any:
    raise RuntimeError("landmark_pool has no second derivative: its gradient cannot be differentiated")


torch.library.register_autograd("sketchfast::landmark_pool", _backward, setup_context=_setup_context)
torch.library.register_autograd("sketchfast::landmark_pool_backward", _second_backward)
