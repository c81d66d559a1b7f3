"""How far plain pixels get on a zero-shot task: the floor that a trained network has to beat clearly."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sketchfast.data.image_set import ImageSet
from sketchfast.data.splits import ZeroShotSplit

_CANVAS = 96  # edges are found at this size before shrinking
_BLOCK = 256  # queries compared at a time


def _ink(image: NDArray[np.uint8], modality: str) -> NDArray[np.float32]:
    """Ink of a sketch, or gradient magnitude of a photo, float32 [_CANVAS, _CANVAS]."""
    picture = Image.fromarray(image).convert("L").resize((_CANVAS, _CANVAS), Image.Resampling.BILINEAR)
    gray = np.asarray(picture, dtype=np.float32)
    if modality == "sketch":
        return 255.0 - gray
    down, right = np.gradient(gray)
    return np.hypot(down, right)


def _descriptors(images: ImageSet, size: int, centre: bool) -> NDArray[np.float32]:
    """float32 [N, size * size], each row zero-mean and of unit length."""
    rows = []
    for i in range(len(images)):
        ink = _ink(images.load(i), images.modality)
        if images.modality == "photo":
            ink = np.where(
                ink > np.quantile(ink, 0.8), ink, 0.0
            )  # background noise has small gradients everywhere
        box = (0.0, 0.0, float(_CANVAS), float(_CANVAS))
        if centre:
            box = _ink_box(ink)
        shrunk = Image.fromarray(ink.astype(np.float32)).resize((size, size), Image.Resampling.BOX, box=box)
        row = np.sqrt(np.maximum(np.asarray(shrunk), 0.0))
        # A small blur forgives lines that miss one another by a pixel or two.
        padded = np.pad(row, 1, mode="edge")
        shifts = [padded[a : a + size, b : b + size] for a in range(3) for b in range(3)]
        row = np.sum(shifts, axis=0).ravel()
        row = row - row.mean()
        rows.append(row / max(float(np.linalg.norm(row)), 1e-9))
    return np.stack(rows).astype(np.float32)


def _ink_box(ink: NDArray[np.float32]) -> tuple[float, float, float, float]:
    """Mean plus or minus two standard deviations of the ink, clipped to the canvas."""
    total = max(float(ink.sum()), 1e-9)
    span = np.arange(_CANVAS) + 0.5
    edges = []
    for weights in (ink.sum(axis=0), ink.sum(axis=1)):
        mean = float((weights * span).sum()) / total
        spread = max(4.0, 2.0 * float(np.sqrt((weights * (span - mean) ** 2).sum() / total)))
        edges.append((max(0.0, mean - spread), min(float(_CANVAS), mean + spread)))
    (x0, x1), (y0, y1) = edges
    return x0, y0, x1, y1


def nearest_pixel_baseline(
    split: ZeroShotSplit, size: int = 16, *, centre: bool = True
) -> NDArray[np.float32]:
    """``nearest_pixel_scores`` of the split's queries in its gallery, [Q, G]."""
    return nearest_pixel_scores(split.query_sketches, split.gallery_photos, size, centre=centre)


def nearest_pixel_scores(
    queries: ImageSet, gallery: ImageSet, size: int = 16, *, centre: bool = True
) -> NDArray[np.float32]:
    """Scores [Q, G], higher = nearer: correlation of blurred ink (of a photo: its edges), size x size pixels.

    centre: first crop both to where their ink lies (mean +- 2 standard deviations). The mirror image of
    the query is tried too and the better of the two counts. Nothing is trained.
    """
    return np.concatenate(list(_blocks(queries, _descriptors(gallery, size, centre), size, centre)))


def nearest_pixel_class_scores(
    queries: ImageSet, gallery: ImageSet, size: int = 16, *, centre: bool = True
) -> NDArray[np.float32]:
    """[Q, K]: the best `nearest_pixel_scores` among the items of each class of `gallery`; -inf for a class without items.

    [Q, G] is never held: with 25,000 queries and 50,000 items that would be 5 GB.
    """
    order = np.argsort(gallery.labels, kind="stable")
    there, first = np.unique(gallery.labels[order], return_index=True)
    searched = _descriptors(gallery, size, centre)[order]
    found = np.full((len(queries), len(gallery.names)), -np.inf, np.float32)
    done = 0
    for block in _blocks(queries, searched, size, centre):
        found[done : done + len(block), there] = np.maximum.reduceat(block, first, axis=1)
        done += len(block)
    return found


def _blocks(
    queries: ImageSet, searched: NDArray[np.float32], size: int, centre: bool
) -> Iterator[NDArray[np.float32]]:
    """The rows of `nearest_pixel_scores`, some queries at a time; searched: descriptors of the gallery."""
    found = _descriptors(queries, size, centre)
    for start in range(0, len(found), _BLOCK):
        block = found[start : start + _BLOCK]
        mirrored = block.reshape(-1, size, size)[:, :, ::-1].reshape(block.shape)
        scores = block @ searched.T
        yield np.maximum(scores, mirrored @ searched.T, out=scores)
