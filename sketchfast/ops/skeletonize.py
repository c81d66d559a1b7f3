"""Thinning of drawings to centrelines one pixel wide, and the homogeneous transformation of sketches.

CPU and CUDA give the same bits. Results are boolean or gray values, so nothing here carries a gradient. Arithmetic:
csrc/math/skeletonize.h; kernels: skeletonize* in csrc/cpu and csrc/cuda; definitions: sketchfast/reference/skeletonize.py.
"""

import operator
from typing import Any

import torch
from torch import Tensor

from sketchfast._native import explain_missing_cuda, load_torch_ops

load_torch_ops()
explain_missing_cuda("skeletonize", "homogeneous_transform")

METHODS = ("skel", "thin", "zhang")
UNTIL_STABLE = -1  # the operator's max_iter
THRESHOLD = "threshold must be an integer 0 to 256"


def skeletonize(images: Tensor, method: str = "skel", max_iter: int | None = None) -> Tensor:
    """The centrelines of drawings: strokes thinned until a whole iteration deletes nothing.

    Args:
        images: bool or uint8 [H, W] or [N, H, W], non-zero = stroke; outside an image is background. H, W and N may be 0.
            Need not be contiguous.
        method: "skel", MATLAB's bwmorph(images, 'skel', Inf), eight deletions an iteration; "thin", Guo and Hall 1989, equal to
            skimage.morphology.thin and bwmorph 'thin'; "zhang", Zhang and Suen 1984 as skimage.morphology.skeletonize has it.
        max_iter: at most so many iterations, at least 1; None for until nothing changes.

    Returns:
        bool, the shape of `images`: the strokes' pixels that are left.

    Raises:
        TypeError: images is no tensor, or neither bool nor uint8; max_iter is no integer.
        ValueError: a wrong rank, an unknown method, max_iter below 1.
        NativeCodeMissing: a CUDA tensor, and sketchfast was built without CUDA kernels.
    """
    _check_images("skeletonize", images, (torch.bool, torch.uint8))
    _check_method(method)
    if max_iter is None:
        return torch.ops.sketchfast.skeletonize(images, method, UNTIL_STABLE)
    wanted = "max_iter must be an integer of at least 1, or None for until nothing changes"
    rounds = _integer("skeletonize", wanted, max_iter)
    if rounds < 1:
        raise ValueError(f"skeletonize: {wanted}, found {max_iter}")
    return torch.ops.sketchfast.skeletonize(images, method, min(rounds, 2**62))


def homogeneous_transform(images: Tensor, threshold: int = 128) -> Tensor:
    """Sketches of any line width as lines one pixel wide: 0 on the "skel" centreline of value < threshold, 255 elsewhere.

    Algorithm 1 of Zheng, Yao and Sun, "Deep Semantic Parsing of Freehand Sketches with Homogeneous Transformation,
    Soft-Weighted Loss, and Staged Learning".

    Args:
        images: uint8 gray [H, W] or [N, H, W], dark ink on a light ground. H, W and N may be 0. Need not be contiguous.
        threshold: 0 (nothing is ink) to 256 (everything is).

    Returns:
        uint8, the shape of `images`.

    Raises:
        TypeError: images is no tensor, or not uint8; threshold is no integer.
        ValueError: a wrong rank, threshold out of 0..256.
        NativeCodeMissing: a CUDA tensor, and sketchfast was built without CUDA kernels.
    """
    _check_images("homogeneous_transform", images, (torch.uint8,))
    threshold = _integer("homogeneous_transform", THRESHOLD, threshold)
    _check_threshold(threshold)
    return torch.ops.sketchfast.homogeneous_transform(images, threshold)


def _check_images(op: str, images: Tensor, dtypes: tuple[torch.dtype, ...]) -> None:
    if not isinstance(images, Tensor):
        found = type(images).__name__
        raise TypeError(
            f"{op}: images must be a torch.Tensor, found {found} (sketchfast.numpy_ops takes numpy arrays)"
        )
    if images.dtype not in dtypes:
        names = " or ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
        raise TypeError(f"{op}: images must be {names}, found {images.dtype}")
    if images.ndim not in (2, 3):
        raise ValueError(f"{op}: images must have shape [H, W] or [N, H, W], found {list(images.shape)}")


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"skeletonize: method must be 'skel', 'thin' or 'zhang', found {method!r}")


def _check_threshold(threshold: int) -> None:
    if threshold < 0 or threshold > 256:
        raise ValueError(f"homogeneous_transform: {THRESHOLD}, found {threshold}")


def _integer(op: str, wanted: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {wanted}, found {value!r}") from None


@torch.library.register_fake("sketchfast::skeletonize")
def _skeletonize_fake(images: Tensor, method: str, max_iter: int) -> Tensor:
    _check_images("skeletonize", images, (torch.bool, torch.uint8))
    _check_method(method)
    return torch.empty(images.shape, dtype=torch.bool, device=images.device)


@torch.library.register_fake("sketchfast::homogeneous_transform")
def _homogeneous_transform_fake(images: Tensor, threshold: int) -> Tensor:
    _check_images("homogeneous_transform", images, (torch.uint8,))
    _check_threshold(threshold)
    return torch.empty(images.shape, dtype=torch.uint8, device=images.device)
