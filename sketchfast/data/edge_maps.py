"""Photos as edge maps, black lines on white, so that one network takes sketches and photos (paper 2, section IV-E).

The paper uses HED. Maps of it, or of any other detector, are read from a folder; without one, Canny stands in (D).
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np

from sketchfast.data.image_set import ImageSet
from sketchfast.data.layouts import class_key, is_readable, list_class_folders, list_files
from sketchfast.data.sketchify import canny_edges
from sketchfast.runtime.sketches import read_sketch

_SHARE = 0.92  # of the pixels, the share whose gradient is below the upper threshold
_LOW = 0.4  # the lower threshold as a share of the upper one
_LEAST = 0.05  # grey levels in 0..1: a smaller step is noise or shading, however even the photo
_SIDE = 256  # sigma is meant for photos of this longer side


class EdgeMaps(ImageSet):
    """A set of photos as edge maps: uint8 [H, W, 3], black lines on white; modality "sketch".

    folder: None for Canny (`canny_map`); else <class>/<photo's name without extension>.png (or another picture format),
        dark lines on light or light on dark, of any size.
    Raises ValueError for a set of sketches, FileNotFoundError naming the classes and maps that the folder lacks.
    """

    def __init__(
        self, photos: ImageSet, folder: str | os.PathLike[str] | None = None, sigma: float = 2.0
    ) -> None:
        if photos.modality != "photo":
            raise ValueError("photos must be a set of photos, got sketches")
        if not 0 < sigma < 100:
            raise ValueError(f"sigma must be a number of pixels above 0 and below 100, got {sigma}")
        super().__init__(photos.names, photos.labels, photos.ids, "sketch")
        self.photos, self.sigma = photos, sigma
        self.files = None if folder is None else _find_maps(photos, Path(folder))

    def load(self, i: int) -> np.ndarray:
        if self.files is not None:
            return read_sketch(self.files[i], allow_blank=True).image
        return canny_map(self.photos.load(i), self.sigma)


def canny_map(photo: np.ndarray, sigma: float = 2.0) -> np.ndarray:
    """Canny edges of a photo, uint8 [H, W, 3] of the same size: lines one pixel wide, 0 on 255.

    sigma: of the Gaussian, in pixels of a photo whose longer side is 256. The upper threshold is the gradient that 92 % of
    the photo's pixels stay below, but no less than that of a step of 0.05 in grey levels of 0..1; the lower one is 0.4 of it.
    ImportError without scikit-image, ValueError for another shape.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape or photo.dtype != np.uint8:
        raise ValueError(f"photo must be uint8 [H, W, 3], got {photo.dtype} {list(photo.shape)}")
    from scipy import ndimage

    sigma *= max(photo.shape[:2]) / _SIDE
    grey = photo @ (np.array([0.299, 0.587, 0.114]) / 255.0)
    smooth = ndimage.gaussian_filter(grey, sigma, mode="nearest")
    gradient = np.hypot(ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1))
    # The Gaussian spreads a step: its steepest slope is height / (sigma sqrt(2 pi)), of which Sobel gives eight times.
    least = 8 * _LEAST / (max(sigma, 0.5) * math.sqrt(2 * math.pi))
    high = max(float(np.quantile(gradient, _SHARE)), least)
    edges = canny_edges(grey, sigma, _LOW * high, high)
    return np.repeat(np.where(edges, np.uint8(0), np.uint8(255))[:, :, None], 3, axis=2)


def _find_maps(photos: ImageSet, folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"photos folder {folder} does not exist; expected <class>/<photo>.png edge maps"
        )
    classes = {class_key(name): path for name, path in list_class_folders(folder).items()}
    used: list[int] = np.unique(photos.labels).tolist()
    lacking = [photos.names[label] for label in used if class_key(photos.names[label]) not in classes]
    if lacking:
        raise FileNotFoundError(
            f"{folder} lacks a folder of edge maps for {len(lacking)} of {len(used)} classes: {', '.join(lacking[:10])}"
        )
    maps: dict[int, dict[str, Path]] = {}
    for label in used:
        place = classes[class_key(photos.names[label])]
        maps[label] = {
            Path(name).stem: place / name for name in list_files(place) if is_readable(name, "photo")
        }
    files = [maps[label].get(Path(item).stem) for item, label in zip(photos.ids, photos.labels.tolist())]
    missing = [item for item, file in zip(photos.ids, files, strict=True) if file is None]
    if missing:
        raise FileNotFoundError(
            f"{folder} lacks the edge maps of {len(missing):,} of {len(photos):,} photos, e.g. of {', '.join(missing[:3])}"
        )
    return [file for file in files if file is not None]
