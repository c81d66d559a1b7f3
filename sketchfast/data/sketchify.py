"""A photo with a part mask becomes a sketch-like picture: SketchParse's training images (Sarvadevabhatla et al. 2017)."""

from __future__ import annotations

import numpy as np

from sketchfast.data.part_set import IGNORE


def sketchify(
    photo: np.ndarray,
    parts: np.ndarray,
    sigma: float = 2.0,
    low: float = 0.1,
    high: float = 0.2,
) -> np.ndarray:
    """Canny edges of the photo inside the object, plus the contours of its parts: uint8 [H, W], 0 on 255, one pixel wide.

    photo: uint8 [H, W] or [H, W, 3]. parts: uint8 [H, W], the object is where it is neither 0 nor 255; an object
    without part labels can be given as any one id. sigma: of Canny's Gaussian, in pixels. low, high: its
    thresholds, on grey levels in 0..1 (skimage.feature.canny).

    The contour of two regions is drawn on the side of the larger id (inside the object against the background), so
    that it is not doubled; edges beside a contour are left out. The sketch of an empty mask is white.
    Raises ImportError without scikit-image, TypeError or ValueError for other arrays.
    """
    for name, array, wanted in (("photo", photo, (2, 3)), ("parts", parts, (2,))):
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"{name} must be a numpy array of uint8, got {found}")
        if array.ndim not in wanted or 0 in array.shape or (array.ndim == 3 and array.shape[2] != 3):
            shape = "[H, W]" if wanted == (2,) else "[H, W] or [H, W, 3]"
            raise ValueError(f"{name} must have the shape {shape}, got {list(array.shape)}")
    if photo.shape[:2] != parts.shape:
        raise ValueError(
            f"parts must have the photo's {photo.shape[1]} x {photo.shape[0]} pixels, "
            f"got {parts.shape[1]} x {parts.shape[0]}"
        )
    if sigma < 0 or not 0 <= low <= high <= 1:
        raise ValueError(
            f"expected sigma >= 0 and 0 <= low <= high <= 1, got sigma={sigma}, low={low}, high={high}"
        )
    labels = np.where(parts == IGNORE, np.uint8(0), parts)
    inside = labels > 0
    if not inside.any():
        return np.full(parts.shape, 255, np.uint8)
    lines = part_contours(labels)
    grey = photo / 255.0 if photo.ndim == 2 else photo @ (np.array([0.299, 0.587, 0.114]) / 255.0)
    edges = canny_edges(grey, sigma, low, high, inside) & ~_grow(lines)
    return np.where(lines | edges, np.uint8(0), np.uint8(255))


def part_contours(labels: np.ndarray) -> np.ndarray:
    """bool [H, W]: pixels of uint8 [H, W] with a smaller id, or the picture's edge, above, below, left or right."""
    padded = np.pad(labels, 1)
    lowest = np.minimum.reduce([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    result: np.ndarray = lowest < labels
    return result


def canny_edges(
    grey: np.ndarray, sigma: float, low: float, high: float, inside: np.ndarray | None = None
) -> np.ndarray:
    """bool [H, W]: skimage.feature.canny of grey levels in 0..1, within `inside` if given. ImportError without scikit-image."""
    try:
        from skimage.feature import canny
    except ImportError as error:
        raise ImportError(
            "Canny edges need scikit-image, which is not installed: pip install sketchfast[train]"
        ) from error
    # Canny's own mask keeps the object's edge against the ground from answering: the contour draws that.
    result: np.ndarray = canny(grey, sigma=sigma, low_threshold=low, high_threshold=high, mask=inside)
    return result


def _grow(lines: np.ndarray) -> np.ndarray:
    """Each pixel and its eight neighbours."""
    padded = np.pad(lines, 1)
    height, width = lines.shape
    result: np.ndarray = np.logical_or.reduce(
        [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    )
    return result
