"""Pictures of a landmark network for a report: landmarks for several n, responses of the category-aware filters, confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sketchfast.models.sketch_classifier import landmarks_of, member, shown_landmarks
from sketchfast.runtime.landmark_picture import LANDMARK, POINT, drawn_landmarks, score_text
from sketchfast.runtime.preprocess import INK_BELOW
from sketchfast.training.report import PictureRow, PictureRowsSection

if TYPE_CHECKING:
    from sketchfast.data.image_set import ImageSet
    from sketchfast.metrics.classification import ClassificationScores
    from sketchfast.models.landmark import LandmarkNet
    from sketchfast.models.landmark_fusion import LandmarkEnsemble

MOST_COLUMNS = 5  # of pictures that a page shows side by side
# Arrows of landmarks are fine: pictures this large, where no more columns than this share the page.
_LARGE, _LARGE_COLUMNS = 224, 3
_HEAT_PIXELS = 240
# White to dark red, through yellow: even in lightness, so that it is read with any colour vision and in grey.
_HEAT = ((0.0, (255, 255, 255)), (0.3, (255, 224, 130)), (0.65, (240, 120, 50)), (1.0, (178, 20, 45)))


def landmark_rows(
    model: LandmarkNet | LandmarkEnsemble,
    images: ImageSet,
    indices: Sequence[int] | np.ndarray,
    counts: Sequence[int] | None = None,
    title: str = "Landmarks",
) -> PictureRowsSection:
    """Figure 5: a row for each sketch, a column for each n: contour points, and where the offsets move them.

    counts: which n of the model are drawn; by default all, or five of them, evenly spread.
    ValueError for an n that the model does not have, and for a network without landmarks.
    """
    if not model.landmarks:
        raise ValueError("model has no landmarks: pooling='global'")
    shown = _spread(sorted(model.landmarks)) if counts is None else list(counts)
    batch, scores = _scored(model, images, indices)
    found = [landmarks_of(model, batch, n) for n in shown]
    rows = []
    for row, i in enumerate(map(int, indices)):
        page = images.load(i)
        sketch, corner = _around_ink(page[:, :, 0])
        pictures = []
        for one in found:
            n = one.points.shape[1] if one.valid[row] else 0
            points, moved = (
                model.preprocess.to_image_pixels(places[row, :n], page) - corner
                for places in (one.points, one.moved)
            )
            pictures.append(drawn_landmarks(sketch, points, moved, dots=2.4))
        rows.append(PictureRow(_caption(images, i, scores[row]), pictures))
    legend = [("contour point", _hex(POINT)), ("after its offset", _hex(LANDMARK))]
    note = "Contour points spread along the strokes, and where the network moves each before it reads its features there."
    side = _LARGE if len(shown) <= _LARGE_COLUMNS else PictureRowsSection.side
    return PictureRowsSection(title, [f"n = {n}" for n in shown], rows, note, legend, side)


def heat_rows(
    model: LandmarkNet | LandmarkEnsemble,
    images: ImageSet,
    indices: Sequence[int] | np.ndarray,
    title: str = "Responses of the category-aware filters",
) -> PictureRowsSection:
    """Figure 6: psi softmaxed over the categories at each place, enlarged over the sketch as the network gets it.

    The columns are the true class and the predicted one; where that is right, the second best beside it. The network of an
    ensemble is that with the largest weight. ValueError where it has no category-aware branch.
    """
    batch, scores = _scored(model, images, indices)
    net, _ = member(model, shown_landmarks(model))
    with torch.no_grad():
        psi = net(batch).responses
    if psi is None:
        raise ValueError("model has no category-aware branch: class_aware=False")
    heat = psi.double().softmax(dim=1).cpu().numpy()
    rows = []
    for row, i in enumerate(map(int, indices)):
        own = int(images.labels[i])
        other = next(int(k) for k in np.argsort(-scores[row], kind="stable") if k != own)
        top = float(heat[row, [own, other]].max())
        sketch = model.preprocess.resize_image(images.load(i), sketch=True)[:, :, 0]
        pictures = [np.repeat(_enlarged(sketch)[:, :, None], 3, axis=2)]
        pictures += [heat_picture(sketch, heat[row, k] / top) for k in (own, other)]
        legend = [(f"{name} {heat[row, k].max():.2f} at most", _hex(heat_colour(heat[row, k].max() / top)))
                  for name, k in ((images.names[own], own), (images.names[other], other))]  # fmt: skip
        rows.append(PictureRow(_caption(images, i, scores[row]), pictures, legend))
    note = (
        "Softmax over the categories at each place. White is 0; the darkest red is the largest value of the row, so the two maps "
        f"of a row compare. Evenly shared it would be {1 / heat.shape[1]:.3f} everywhere."
    )
    columns = ["network's input", "its class", "predicted, or second best"]
    return PictureRowsSection(title, columns, rows, note)


def confusion_rows(
    scores: ClassificationScores, images: ImageSet, count: int = 12, title: str = "What is confused"
) -> PictureRowsSection:
    """The pairs of classes that are confused most: sketches of the one that were mistaken, and of the other as it is drawn.

    images: the sketches that were scored, in the order of the scores.
    """
    rows = []
    for true, predicted, times, share in scores.confused_pairs(count):
        own, other = (scores.names.index(name) for name in (true, predicted))
        mistaken = np.flatnonzero((scores.labels == own) & (scores.predicted == other))[:3]
        meant = np.flatnonzero((scores.labels == other) & (scores.predicted == other))
        if not len(meant):
            meant = np.flatnonzero(scores.labels == other)
        pictures = [*_pictures(images, mistaken, 3), *_pictures(images, meant[:2], 2)]
        caption = f"{true}\ntaken for {predicted}\n{times} of {round(times / share)} ({share:.0%})"
        rows.append(PictureRow(caption, pictures))
    columns = ["mistaken", "", "", "what it was taken for", ""]
    note = "" if rows else "No sketch was mistaken."
    return PictureRowsSection(title, columns, rows, note)


def heat_picture(sketch: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """heat [h, w] in 0..1, enlarged under the ink of sketch uint8 [S, S]: uint8 [240, 240, 3]."""
    ink = _enlarged(sketch).astype(np.float32) / 255
    values = Image.fromarray(np.asarray(heat, np.float32)).resize(ink.shape[::-1], Image.Resampling.BILINEAR)
    levels = np.clip(np.asarray(values), 0, 1)
    stops = [stop for stop, _ in _HEAT]
    paint = np.stack(
        [np.interp(levels, stops, [colour[channel] for _, colour in _HEAT]) for channel in range(3)], axis=2
    )
    return np.rint(paint * ink[:, :, None]).astype(np.uint8)


def heat_colour(value: float) -> tuple[int, int, int]:
    """The colour of a value 0..1 in `heat_picture`."""
    red, green, blue = heat_picture(np.full((1, 1), 255, np.uint8), np.full((1, 1), value))[0, 0].tolist()
    return red, green, blue


def _scored(
    model: LandmarkNet | LandmarkEnsemble, images: ImageSet, indices: Sequence[int] | np.ndarray
) -> tuple[Tensor, np.ndarray]:
    """The network's inputs [B, 3, S, S] and its scores [B, K]. The model is put into evaluation mode."""
    values = np.stack([model.preprocess(images.load(int(i)), sketch=True) for i in indices])
    batch = torch.from_numpy(values).to(next(model.parameters()).device)
    with torch.no_grad():
        return batch, model.eval().classify(batch).float().cpu().numpy()


def _caption(images: ImageSet, i: int, scores: np.ndarray) -> str:
    name, best = images.names[images.labels[i]], int(scores.argmax())
    said = f"{images.names[best]} {score_text(float(scores[best]))}"
    return f"{name}\n{'✓' if best == images.labels[i] else '✗ taken for'} {said}\n{images.ids[i]}"


def _pictures(images: ImageSet, indices: np.ndarray, count: int) -> list[np.ndarray]:
    blank = np.full((8, 8, 3), 255, np.uint8)
    return [images.load(int(i)) for i in indices] + [blank] * (count - len(indices))


def _around_ink(sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The square that holds the ink, in the middle, and its corner (x, y) in the sketch; beyond the sketch it is white."""
    rows, columns = (np.flatnonzero((sketch < INK_BELOW).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.ascontiguousarray(sketch), np.zeros(2)
    side = max(np.ptp(rows), np.ptp(columns)) + 1
    top, left = (int(found[0] + found[-1] + 1 - side) // 2 for found in (rows, columns))
    padded = np.pad(sketch, side, constant_values=255)
    return padded[top + side : top + 2 * side, left + side : left + 2 * side], np.array([left, top])


def _enlarged(sketch: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(sketch).resize((_HEAT_PIXELS, _HEAT_PIXELS), Image.Resampling.BICUBIC))


def _spread(counts: Sequence[int]) -> list[int]:
    places = np.unique(np.linspace(0, len(counts) - 1, MOST_COLUMNS).round().astype(int))
    return [counts[place] for place in places]


def _hex(colour: tuple[int, int, int]) -> str:
    return "#" + bytes(colour).hex()
