"""The CPU kernels over numpy arrays, for programs that do not import torch. The same code as `sketchfast.ops` on the CPU.

Each call releases the GIL while it computes. `threads` of 0 means every core. Raises NativeCodeMissing at import where the
package was not built.
"""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchfast._native import load_core
from sketchfast.canvas import canvas_size, fit_margin, pen_thickness

_core = load_core()


def hamming_topk(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], k: int, threads: int = 0, path: str = "auto"
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The k nearest database codes of each query by (distance, id): of equal distances the smallest ids win.

    Args:
        queries: uint8 [Q, bits/8], 8 to 1024 bits, the first bit lowest in the first byte; Q may be 0.
        database: uint8 [N, bits/8].
        k: 1 to N.
        threads: 0 for every core.
        path: one of `hamming_paths()` to force an instruction set, for tests and measurements; the result does not depend on it.

    Returns:
        distances int32 [Q, k] in bits, ids int64 [Q, k].

    Raises:
        TypeError: an argument is no numpy array, or not uint8.
        ValueError: a wrong rank, different code lengths, a length out of 8..1024 bits, k out of 1..N, an unknown path.
    """
    return _core.hamming_topk(queries, database, k, threads, path)


def hamming_cdist(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], threads: int = 0, path: str = "auto"
) -> NDArray[np.uint8] | NDArray[np.int16]:
    """Every distance: [Q, N], uint8 for codes up to 255 bits and int16 above. Arguments and errors as `hamming_topk`."""
    return _core.hamming_cdist(queries, database, threads, path)


def pack_bits(values: NDArray, threads: int = 0) -> NDArray[np.uint8]:
    """Pack signs: [..., bits] -> uint8 [..., bits/8], as np.packbits(values > 0, axis=-1, bitorder="little"); NaN gives 0.

    Args:
        values: float32, float64, float16, int8, uint8 or bool; the last axis 8 to 1024 long, a multiple of 8.

    Raises:
        TypeError: no numpy array, or of another dtype.
        ValueError: a scalar, or a last axis of another length.
    """
    return _core.pack_bits(values, threads)


def hamming_paths() -> list[str]:
    """Names of the instruction sets that this processor can run the search with."""
    return _core.hamming_paths()


def skeletonize(
    images: NDArray[np.bool_] | NDArray[np.uint8],
    method: str = "skel",
    max_iter: int | None = None,
    threads: int = 0,
    path: str = "auto",
) -> NDArray[np.bool_]:
    """The centrelines of drawings: strokes thinned until a whole iteration deletes nothing, as `sketchfast.ops.skeletonize`.

    Args:
        images: bool or uint8 [H, W] or [N, H, W], non-zero = stroke; outside an image is background. H, W and N may be 0.
        method: "skel" (MATLAB's bwmorph 'skel'), "thin" (skimage.morphology.thin) or "zhang" (skimage.morphology.skeletonize).
        max_iter: at most so many iterations, at least 1; None for until nothing changes.
        threads: 0 for every core; each image is one thread's.
        path: one of `skeletonize_paths()` to force an instruction set, for tests and measurements; the result is the same.

    Returns:
        bool, the shape of `images`.

    Raises:
        TypeError: images is no numpy array, or neither bool nor uint8; max_iter is no integer.
        ValueError: a wrong rank, an unknown method or path, max_iter below 1.
    """
    if max_iter is not None:
        wanted = "max_iter must be an integer of at least 1, or None for until nothing changes"
        max_iter = min(_integer("skeletonize", wanted, max_iter), 2**62)
        if max_iter < 1:
            raise ValueError(f"skeletonize: {wanted}, found {max_iter}")
    return _core.skeletonize(images, method, max_iter, threads, path)


def homogeneous_transform(
    images: NDArray[np.uint8], threshold: int = 128, threads: int = 0, path: str = "auto"
) -> NDArray[np.uint8]:
    """0 on the "skel" centreline of value < threshold, 255 elsewhere, as `sketchfast.ops.homogeneous_transform`.

    Args:
        images: uint8 gray [H, W] or [N, H, W], dark ink on a light ground. H, W and N may be 0.
        threshold: 0 (nothing is ink) to 256 (everything is).
        threads, path: as `skeletonize`.

    Returns:
        uint8, the shape of `images`.

    Raises:
        TypeError: images is no numpy array, or not uint8; threshold is no integer.
        ValueError: a wrong rank, threshold out of 0..256, an unknown path.
    """
    wanted = "threshold must be an integer 0 to 256"
    threshold = _integer("homogeneous_transform", wanted, threshold)
    if threshold < 0 or threshold > 256:
        raise ValueError(f"homogeneous_transform: {wanted}, found {threshold}")
    return _core.homogeneous_transform(images, threshold, threads, path)


def contour_points(
    images: NDArray[np.bool_] | NDArray[np.uint8], n: int, threads: int = 0, path: str = "auto"
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """n roughly uniformly spaced points of each drawing's "skel" centreline, as `sketchfast.ops.contour_points`.

    Farthest-point sampling from the topmost, leftmost pixel: the points for a smaller n are the first ones for a larger.

    Args:
        images: bool or uint8 [H, W] or [N, H, W], non-zero = stroke, sides of 1 to 32767 pixels; N may be 0.
        n: 1 to 4096. Where the centreline has fewer pixels, all of them come in order, again and again.
        threads: 0 for every core; each image is one thread's.
        path: one of `skeletonize_paths()` to force an instruction set, for tests and measurements; the result is the same.

    Returns:
        points int32 [N, n, 2] as (x, y) in pixels, pixel centres at integers, and valid bool [N]; [n, 2] and [] of one image.
        A blank image is not valid, and its points are all (W // 2, H // 2).

    Raises:
        TypeError: images is no numpy array, or neither bool nor uint8; n is no integer.
        ValueError: a wrong rank, a side out of 1..32767, n out of 1..4096, an unknown path.
    """
    wanted = "n must be an integer 1 to 4096"
    if isinstance(n, bool):
        raise TypeError(f"contour_points: {wanted}, found {n!r}")
    number = _integer("contour_points", wanted, n)
    if number < 1 or number > 4096:
        raise ValueError(f"contour_points: {wanted}, found {n}")
    return _core.contour_points(images, number, threads, path)


def rasterize(
    points: NDArray[np.floating],
    pen: NDArray,
    size: int | tuple[int, int],
    thickness: int = 1,
    antialias: bool = False,
    *,
    lengths: NDArray[np.integer] | None = None,
    fit: float | None = None,
    threads: int = 0,
    path: str = "auto",
) -> NDArray[np.uint8]:
    """Draw stroke sequences: paper 255, ink 0, as `sketchfast.ops.rasterize`.

    Args:
        points: floating [N, T, 2] as (x, y), y down, in pixels, pixel centres at integers; used as float32.
        pen: bool, integer or floating [N, T], non-zero: the pen lifts after this point.
        size: side, or (height, width), 1 to 4096.
        thickness: diameter of the pen in pixels, 1 to 64.
        antialias: gray pixels by coverage.
        lengths: integer [N], the points of each sequence, 0 to T; None for T.
        fit: None, or the margin a side as a share of the shorter side, 0 to below 0.5, around each sequence's bounding box.
        threads: 0 for every core; each image is one thread's.
        path: one of `rasterize_paths()` to force an instruction set, for tests and measurements; the result is the same, with
            antialiasing to one level.

    Returns:
        uint8 [N, height, width].

    Raises:
        TypeError: an argument is no array or number of the kinds above.
        ValueError: wrong shapes, numbers out of range, a point that is NaN or above 2**22 in size (2**100 with `fit`), an
            unknown path.
    """
    height, width = canvas_size("rasterize", size)
    number, margin = pen_thickness("rasterize", thickness), fit_margin("rasterize", fit)
    for name, value, kinds in (("points", points, "f"), ("pen", pen, "biuf"), ("lengths", lengths, "iu")):
        if name == "lengths" and value is None:
            continue
        if not isinstance(value, np.ndarray) or value.dtype.kind not in kinds:
            wanted = {"points": "floating", "pen": "bool, integer or floating", "lengths": "integer"}[name]
            found = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"rasterize: {name} must be a numpy array, {wanted}, found {found}")
    if points.ndim != 3 or points.shape[2] != 2:
        raise ValueError(f"rasterize: points must have shape (N, T, 2), found {points.shape}")
    for name, value, shape in (("pen", pen, points.shape[:2]), ("lengths", lengths, points.shape[:1])):
        if value is not None and value.shape != shape:
            raise ValueError(
                f"rasterize: {name} must have shape {shape} for points {points.shape}, found {value.shape}"
            )
    with np.errstate(over="ignore"):  # infinite as float32: named by the kernel
        places = np.ascontiguousarray(points, np.float32)
    lifts = np.ascontiguousarray(pen if pen.dtype == np.uint8 else pen != 0).view(np.uint8)
    ends = None if lengths is None else lengths.astype(np.int64)
    return _core.rasterize(places, lifts, ends, height, width, number, bool(antialias), margin, threads, path)


def rasterize_paths() -> list[str]:
    """Names of the instruction sets that this processor can draw sequences with."""
    return _core.rasterize_paths()


def skeletonize_paths() -> list[str]:
    """Names of the instruction sets that this processor can thin images and sample their lines with."""
    return _core.skeletonize_paths()


def _integer(op: str, wanted: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {wanted}, found {value!r}") from None
