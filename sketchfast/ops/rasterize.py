"""Stroke sequences to pictures: batched, of different lengths, on CPU and CUDA.

CPU and CUDA give the same bits without antialiasing. Results are gray values, so nothing here carries a gradient. Arithmetic:
csrc/math/rasterize.h; kernels: rasterize* in csrc/cpu and csrc/cuda; definition: sketchfast/reference/rasterize.py.
"""

import torch
from torch import Tensor

from sketchfast._native import explain_missing_cuda, load_torch_ops
from sketchfast.canvas import canvas_size, fit_margin, pen_thickness
from sketchfast.ops.operator_call import call

load_torch_ops()
explain_missing_cuda("rasterize")


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
    """Draw stroke sequences: white paper (255), black ink (0), as `homogeneous_transform` has it.

    Without antialiasing, points are rounded to pixels, floor(v + 1/2). Those i and i + 1 between which the pen does not lift are
    joined by Bresenham's line, halves rounded towards the second (skimage.draw.line's pixels); every point is drawn itself, so a
    stroke of one point is a dot. Each pixel of a line is stamped with the disc of that diameter, which for an even one lies half
    a pixel to the right and below. With it, a pixel is round(255 (1 - c)), c = max over lines and dots of
    clamp(1/2 + thickness/2 - distance of its centre, 0, 1); within one level.

    What lies outside the canvas is cut off exactly: it never changes the slope of a line.

    Args:
        points: floating [N, T, 2] as (x, y), y down, in pixels, pixel centres at integers; used as float32. Up to 2**22 in size,
            with `fit` up to 2**100. N and T may be 0. What lies behind a sequence's length is not looked at.
        pen: bool, integer or floating [N, T], non-zero: the pen lifts after this point.
        size: side, or (height, width), 1 to 4096.
        thickness: diameter of the pen in pixels, 1 to 64.
        antialias: gray pixels by coverage.
        lengths: integer [N], the points of each sequence, 0 to T; None for T. A sequence without points is blank paper.
        fit: None, or the margin a side as a share of the shorter side, 0 to below 0.5: each sequence's bounding box (of points,
            without the pen's thickness) is scaled, aspect kept, and centred between the pixel centres that far inside. A box of
            no extent is only centred.

    Returns:
        uint8 [N, height, width].

    Raises:
        TypeError: an argument is no tensor or number of the kinds above.
        ValueError: wrong shapes or devices, numbers out of range; on the CPU also a point that is NaN or too large, with its
            place, and a length out of 0..T. On CUDA, where a check would wait for the device, such points are left out with the
            lines to them, and lengths are cut.
        NativeCodeMissing: CUDA tensors, and sketchfast was built without CUDA kernels.
    """
    height, width = canvas_size("rasterize", size)
    number = pen_thickness("rasterize", thickness)
    margin = fit_margin("rasterize", fit)
    _check(points, pen, lengths)
    lifts = pen if pen.dtype in (torch.bool, torch.uint8) else pen != 0
    ends = None if lengths is None else lengths.to(torch.int64)
    arguments = (
        points.detach().float(),
        lifts.detach(),
        ends,
        height,
        width,
        number,
        bool(antialias),
        margin,
    )
    if torch.compiler.is_compiling():
        return torch.ops.sketchfast.rasterize(*arguments)
    try:
        return call("rasterize", *arguments)
    except RuntimeError as error:
        if type(error) is RuntimeError and str(error).startswith(
            ("rasterize: points[", "rasterize: lengths[")
        ):
            raise ValueError(str(error)) from None
        raise


def _check(points: Tensor, pen: Tensor, lengths: Tensor | None) -> None:
    for name, value in (("points", points), ("pen", pen), ("lengths", lengths)):
        if not isinstance(value, Tensor) and not (name == "lengths" and value is None):
            found = type(value).__name__
            raise TypeError(
                f"rasterize: {name} must be a torch.Tensor, found {found} (sketchfast.numpy_ops takes numpy arrays)"
            )
    if not points.dtype.is_floating_point:
        raise TypeError(f"rasterize: points must be floating, found {points.dtype}")
    if pen.dtype.is_complex:
        raise TypeError(f"rasterize: pen must be bool, integer or floating, found {pen.dtype}")
    _check_shapes(points, pen, lengths)
    for name, value in (("pen", pen), ("lengths", lengths)):
        if value is not None and value.device != points.device:
            raise ValueError(
                f"rasterize: {name} must be on the device of points, {points.device}, found {value.device}"
            )


def _check_shapes(points: Tensor, pen: Tensor, lengths: Tensor | None) -> None:
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"rasterize: points must have shape [N, T, 2], found {list(points.shape)}")
    if pen.ndim != 2 or pen.shape != points.shape[:2]:
        raise ValueError(
            f"rasterize: pen must have shape {list(points.shape[:2])} for points {list(points.shape)}, "
            f"found {list(pen.shape)}"
        )
    if lengths is None:
        return
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex or lengths.dtype == torch.bool:
        raise TypeError(f"rasterize: lengths must be integers, found {lengths.dtype}")
    if lengths.ndim != 1 or lengths.shape[0] != points.shape[0]:
        raise ValueError(
            f"rasterize: lengths must have shape [{points.shape[0]}] for points {list(points.shape)}, "
            f"found {list(lengths.shape)}"
        )


@torch.library.register_fake("sketchfast::rasterize")
def _rasterize_fake(
    points: Tensor,
    pen: Tensor,
    lengths: Tensor | None,
    height: int,
    width: int,
    thickness: int,
    antialias: bool,
    fit: float,
) -> Tensor:
    _check_shapes(points, pen, lengths)
    return torch.empty((points.shape[0], height, width), dtype=torch.uint8, device=points.device)
