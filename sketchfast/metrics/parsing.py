"""How well parts were labelled: IoU of the parts a sketch shows, mean over its parts, mean over sketches.

DeepSSP (paper 1), section IV-A. With n_ij the number of pixels of class i that were given to class j,

    P_i = n_ii / (sum_j n_ij + sum_j n_ji - n_ii)        (12)   of each label i in the ground truth
    I   = sum_i P_i / n_p                                (13)   n_p labels in this sketch's ground truth
    A   = sum I / n_s                                    (14)   n_s sketches

The background counts as a label (D). A label that is predicted but not in the truth adds no term of its own; its
pixels count in the union of the labels they were taken from. Pixels of 255 in the truth are left out throughout.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sketchfast.metrics.bootstrap import Mean

IGNORE = 255  # label of pixels that are not scored
STROKE_SHARE = 0.75  # of a stroke's pixels that must be right (Huang, Fu and Lau, 2014)
OUTLINE_GAP = (
    24  # pixels of gap that `filled_outline` closes: where it does best on real sketches of 321 pixels
)

Mask = NDArray[np.integer]


@dataclass
class ParsingScores:
    """What `evaluate_parsing` found.

    names [n]: what the sketches are called; categories [n]: category of each.
    parts: for each category the names of its parts, part k at position k - 1.
    iou float64 [n]: eq. 13. pixel_accuracy float64 [n]: share of the scored pixels that are right. Both are NaN for a
        sketch whose pixels are all left out.
    label_iou float64 [n, labels]: eq. 12, column 0 the background, NaN for a label that is not in the sketch.
    """

    names: list[str]
    categories: list[str]
    parts: dict[str, tuple[str, ...]]
    iou: NDArray[np.float64]
    pixel_accuracy: NDArray[np.float64]
    label_iou: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.iou)

    @property
    def overall(self) -> Mean:
        """Eq. 14: the mean over sketches (not over categories), and its interval over sketches."""
        return Mean.over(self.iou)

    @property
    def pixels(self) -> Mean:
        """Pixel accuracy, mean over sketches."""
        return Mean.over(self.pixel_accuracy)

    def by_category(self) -> dict[str, Mean]:
        """Eq. 14 inside each category that has a scored sketch, in the order of `parts`."""
        rows = {name: self.iou[self._rows(name)] for name in self.parts}
        return {name: Mean.over(values) for name, values in rows.items() if not np.isnan(values).all()}

    def by_part(self) -> dict[str, dict[str, Mean]]:
        """Table IX: category -> part -> mean of eq. 12 over the sketches that contain the part, background first.

        A part that no sketch of the category contains is left out.
        """
        table: dict[str, dict[str, Mean]] = {}
        for category, parts in self.parts.items():
            values = self.label_iou[self._rows(category)]
            found = {
                name: Mean.over(values[:, label])
                for label, name in enumerate(("background", *parts))
                if not np.isnan(values[:, label]).all()
            }
            if found:
                table[category] = found
        return table

    def worst_first(self) -> NDArray[np.int64]:
        """Positions of the scored sketches, lowest IoU first; of equal ones the first stays first."""
        order = np.argsort(self.iou, kind="stable")
        return order[~np.isnan(self.iou[order])]

    def summary(self) -> str:
        """The overall value, pixel accuracy and each category, for a log."""
        lines = [
            f"mean IoU {self.overall} over {self.overall.count} sketches, pixel accuracy {self.pixels.value:.3f}"
        ]
        lines += [f"  {name:<12} {mean}  ({mean.count})" for name, mean in self.by_category().items()]
        return "\n".join(lines)

    def to_dict(self, sketches: bool = True) -> dict[str, Any]:
        """JSON-able: overall, pixel_accuracy, categories, parts, and with `sketches` the values of each sketch."""
        overall = self.overall
        result: dict[str, Any] = {
            "mean_iou": overall.value,
            "interval": [overall.low, overall.high],
            "count": overall.count,
            "pixel_accuracy": self.pixels.value,
            "categories": {name: _json(mean) for name, mean in self.by_category().items()},
            "parts": {
                category: {name: _json(mean) for name, mean in parts.items()}
                for category, parts in self.by_part().items()
            },
        }
        if sketches:
            result["sketches"] = [
                {"name": name, "category": category, "iou": None if np.isnan(iou) else float(iou)}
                for name, category, iou in zip(self.names, self.categories, self.iou)
            ]
        return result

    def _rows(self, category: str) -> NDArray[np.bool_]:
        return np.array([name == category for name in self.categories], bool)


def confusion(pred: Mask, truth: Mask, num_labels: int, ignore: int | None = IGNORE) -> NDArray[np.int64]:
    """n_ij: how many pixels of label i in the truth were given label j. int64 [num_labels, num_labels].

    pred, truth: integer masks of one shape. Pixels where the truth is `ignore` are left out, whatever pred says there.
    Raises TypeError for masks that are not integer, ValueError for different shapes or a label outside 0..num_labels - 1.
    """
    if num_labels < 1:
        raise ValueError(f"num_labels: expected at least 1; found {num_labels}")
    pred, truth = _scored(pred, truth, ignore)
    for name, labels in (("pred", pred), ("truth", truth)):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_labels:
            bad = labels[(labels < 0) | (labels >= num_labels)][0]
            raise ValueError(f"{name}: expected labels 0..{num_labels - 1}; found {bad}")
    cells = truth.astype(np.int64) * num_labels + pred
    return np.bincount(cells, minlength=num_labels * num_labels).reshape(num_labels, num_labels)


def label_ious(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """Eq. 12 from a confusion matrix [L, L] (rows are the truth): float64 [L], NaN where the truth has no pixel."""
    right = np.diag(counts).astype(np.float64)
    present = counts.sum(axis=1)
    union = present + counts.sum(axis=0) - right
    return np.where(present > 0, right / np.maximum(union, 1), np.nan)


def sketch_iou(pred: Mask, truth: Mask, ignore: int | None = IGNORE) -> float:
    """Eq. 12 and 13: the mean IoU of the labels in the truth, background included; NaN where no pixel is scored.

    Arguments and errors as `confusion`; the labels may be any integers from 0.
    """
    kept_pred, kept_truth = _scored(pred, truth, ignore)
    if len(kept_truth) == 0:
        return float("nan")
    num_labels = int(max(kept_pred.max(), kept_truth.max())) + 1
    return float(np.nanmean(label_ious(confusion(pred, truth, num_labels, ignore))))


def evaluate_parsing(
    predictions: Iterable[Mask],
    truths: Iterable[Mask],
    categories: Sequence[str],
    parts: Mapping[str, Sequence[str]],
    *,
    names: Sequence[str] | None = None,
    ignore: int | None = IGNORE,
) -> ParsingScores:
    """Score part masks sketch by sketch.

    predictions, truths: integer masks [H, W], a pair of one shape for each sketch; any iterables, taken one at a time.
    categories: the category of each sketch. parts: category -> names of its parts; label 0 is the background, k the k-th part.
    names: what the sketches are called in reports; "sketch 0", "sketch 1", ... by default.

    Raises ValueError naming the sketch and the argument: other shapes, a label its category does not have, an unknown
    category, more or fewer masks than categories, or no sketch at all.
    """
    table = {category: tuple(own) for category, own in parts.items()}
    labels = list(names) if names is not None else [f"sketch {i}" for i in range(len(categories))]
    if len(labels) != len(categories):
        raise ValueError(f"names: expected {len(categories)}, one per category; found {len(labels)}")
    if len(categories) == 0:
        raise ValueError("categories: expected at least one sketch; found none")
    if unknown := [name for name in categories if name not in table]:
        raise ValueError(f"categories: expected one of {', '.join(table)}; found {unknown[0]!r}")
    width = 1 + max(len(own) for own in table.values())
    label_iou = np.full((len(categories), width), np.nan)
    accuracy = np.full(len(categories), np.nan)
    pairs = _paired(predictions, truths, len(categories))
    for i, (pred, truth) in enumerate(pairs):
        num_labels = len(table[categories[i]]) + 1
        try:
            counts = confusion(pred, truth, num_labels, ignore)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{labels[i]} ({categories[i]}): {error}") from None
        if total := counts.sum():
            label_iou[i, :num_labels] = label_ious(counts)
            accuracy[i] = np.trace(counts) / total
    scored = ~np.isnan(accuracy)
    if not scored.any():
        raise ValueError(f"truths: expected a pixel to score; every pixel is {ignore}")
    iou = np.full(len(categories), np.nan)
    iou[scored] = np.nanmean(label_iou[scored], axis=1)
    return ParsingScores(labels, list(categories), table, iou, accuracy, label_iou)


def component_accuracy(
    pred: Mask, truth: Mask, strokes: Mask, *, share: float = STROKE_SHARE, ignore: int | None = IGNORE
) -> float:
    """Share of the strokes that are labelled right: at least `share` of a stroke's scored pixels are.

    strokes: integer map of the shape of truth, 0 where no stroke is and k on the k-th stroke. A pixel that several strokes
        cross belongs to the one the map names. Strokes without a scored pixel are left out; NaN when none is left.
    """
    strokes = np.asarray(strokes)
    if strokes.shape != np.shape(truth):
        raise ValueError(f"strokes: expected the shape of truth, {np.shape(truth)}; found {strokes.shape}")
    if strokes.dtype.kind not in "iu":
        raise TypeError(f"strokes: expected integers; found {strokes.dtype}")
    if not 0.0 < share <= 1.0:
        raise ValueError(f"share: expected a number above 0 and up to 1; found {share}")
    _scored(pred, truth, ignore)
    kept = (strokes > 0) if ignore is None else (strokes > 0) & (np.asarray(truth) != ignore)
    ids = strokes[kept].astype(np.int64)
    if len(ids) == 0:
        return float("nan")
    pixels = np.bincount(ids)
    right = np.bincount(ids, weights=(np.asarray(pred) == np.asarray(truth))[kept])
    drawn = pixels > 0
    return float(np.mean(right[drawn] >= share * pixels[drawn] - 1e-9))


def largest_parts(truths: Iterable[Mask], categories: Sequence[str]) -> dict[str, int]:
    """For each category the part id with the most pixels in the masks (background and 255 left out): its torso or body.

    Raises ValueError for a category in whose masks no part occurs, or other than one mask per category.
    """
    counts: dict[str, NDArray[np.int64]] = {}
    for category, truth in _paired(categories, truths, len(categories)):
        found = np.bincount(np.asarray(truth).ravel(), minlength=256)
        counts[category] = counts.get(category, np.zeros(256, np.int64)) + found[:256]
    result = {}
    for category, pixels in counts.items():
        if not pixels[1:IGNORE].any():
            raise ValueError(f"truths: expected a part in the masks of {category!r}; found none")
        result[category] = 1 + int(pixels[1:IGNORE].argmax())
    return result


def filled_outline(
    image: NDArray[np.uint8], part: int, *, threshold: int = 128, gap: int | None = None
) -> NDArray[np.uint8]:
    """The answer without learning: everything inside the filled outline, ink included, is `part`. uint8 [H, W].

    image: uint8 [H, W], ink below `threshold`. gap: the outline's gaps up to this many pixels are closed first (dilated by
    half of it, holes filled, eroded back), so that a drawing that is not quite closed is filled as well; by default
    OUTLINE_GAP at 321 pixels and in proportion at other sizes.
    """
    image = np.asarray(image)
    if gap is None:
        gap = round(OUTLINE_GAP * max(image.shape[:2], default=0) / 321)
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"image: expected uint8 [H, W]; found {image.dtype} {list(image.shape)}")
    if gap < 0:
        raise ValueError(f"gap: expected 0 or more pixels; found {gap}")
    ink = image < threshold
    radius = (gap + 1) // 2
    # The frame keeps ground around the sketch: without it ink at the border would erode, or enclose the ground.
    inside = np.pad(ink, radius + 1)
    if radius:
        inside = ndimage.distance_transform_edt(~inside) <= radius if ink.any() else inside
    inside = ndimage.binary_fill_holes(inside)
    if radius:
        inside = ndimage.distance_transform_edt(inside) > radius
    inside = inside[radius + 1 : -(radius + 1), radius + 1 : -(radius + 1)] | ink
    return np.where(inside, part, 0).astype(np.uint8)


def filled_outline_baseline(
    images: Iterable[NDArray[np.uint8]], largest_part_id: int | Sequence[int], **options: Any
) -> list[NDArray[np.uint8]]:
    """`filled_outline` of every image. largest_part_id: one id for all of them, or one for each (`largest_parts`)."""
    if isinstance(largest_part_id, int | np.integer):
        return [filled_outline(image, int(largest_part_id), **options) for image in images]
    pairs = _paired(images, largest_part_id, len(largest_part_id))
    return [filled_outline(image, int(part), **options) for image, part in pairs]


def background_baseline(images: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """No part anywhere: what a network that has learned nothing but the majority of the pixels answers."""
    return [np.zeros(np.shape(image)[:2], np.uint8) for image in images]


def _scored(pred: Mask, truth: Mask, ignore: int | None) -> tuple[Mask, Mask]:
    """The labels of the pixels that count, flat."""
    pred, truth = np.asarray(pred), np.asarray(truth)
    for name, mask in (("pred", pred), ("truth", truth)):
        if mask.dtype.kind not in "iu":
            raise TypeError(f"{name}: expected integer labels; found {mask.dtype}")
    if pred.shape != truth.shape:
        raise ValueError(f"pred: expected the shape of truth, {truth.shape}; found {pred.shape}")
    if ignore is None:
        return pred.ravel(), truth.ravel()
    kept = truth != ignore
    return pred[kept], truth[kept]


def _paired(first: Iterable[Any], second: Iterable[Any], count: int) -> Iterable[tuple[Any, Any]]:
    done = 0
    a, b = iter(first), iter(second)
    end = object()
    while True:
        left, right = next(a, end), next(b, end)
        if left is end and right is end and done == count:
            return
        if left is end or right is end or done == count:
            raise ValueError(f"expected {count} masks, as many as categories; found another number")
        yield left, right
        done += 1


def _json(mean: Mean) -> dict[str, Any]:
    return {"iou": mean.value, "interval": [mean.low, mean.high], "count": mean.count}
