"""Score a landmark network: recognition for each n and fused over n, on another data set, and retrieval of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchfast.data.classification import ClassificationSplit
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.data.synthetic import nearest_pixel_scores
from sketchfast.metrics.chance import chance_level
from sketchfast.metrics.classification import (
    ClassificationScores,
    accuracy_difference,
    evaluate_classification,
)
from sketchfast.metrics.retrieval import evaluate_retrieval
from sketchfast.metrics.zero_shot import Row, Search
from sketchfast.models.landmark import LandmarkNet
from sketchfast.models.landmark_fusion import LandmarkEnsemble, fit_fusion

Model = LandmarkNet | LandmarkEnsemble
FUSED, GLOBAL = "fused over n", "global pooling"


@torch.no_grad()
def through(
    call: Callable[[Tensor], Tensor],
    model: Model,
    images: ImageSet,
    memory: int = 4 << 30,
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """What `call` makes of network inputs [B, 3, S, S], for all images: float32 [N, ...].

    memory: bytes that the decoded images may take; above that they are decoded batch by batch.
    """
    pixels, device = Pixels(images, model.preprocess, memory), next(model.parameters()).device
    found = []
    for start in range(0, len(images), batch_size):
        batch = pixels.take(np.arange(start, min(start + batch_size, len(images)))).to(device)
        found.append(call(normalize(batch, model.preprocess)).float().cpu())
    return torch.cat(found).numpy()


@dataclass
class Fusion:
    """What the validation sketches have decided, and what it is worth on the test sketches."""

    landmarks: tuple[int, ...]
    weights: tuple[float, ...]
    validation_accuracy: tuple[float, ...]  # of each n
    best: int  # the n with the highest
    gain: float  # test accuracy fused - test accuracy of the best n
    interval: tuple[float, float]  # of the gain, paired bootstrap over sketches

    def summary(self) -> str:
        weights = ", ".join(
            f"{n}: {weight:.2f}" for n, weight in zip(self.landmarks, self.weights, strict=True)
        )
        return (
            f"fused over n - n = {self.best} (best on validation): {self.gain:+.4f} "
            f"[{self.interval[0]:+.4f}, {self.interval[1]:+.4f}]; weights {weights}"
        )


def recognise(
    model: Model, split: ClassificationSplit, at: Sequence[int] = (1, 5), memory: int = 4 << 30
) -> tuple[dict[str, ClassificationScores], Fusion | None]:
    """Scores of the test sketches: of each n, then of their fusion, whose weights are fitted here and set in the model.

    The weights and the best n come from the validation sketches alone. ValueError when there are several n and none of these.
    """

    def scored(scores: NDArray[Any]) -> ClassificationScores:
        return evaluate_classification(scores, split.test.labels, split.names, at=at)

    n, x = model.landmarks, through(model.member_scores, model, split.test, memory)
    if not n:
        return {GLOBAL: scored(x[:, 0])}, None
    methods = {f"n = {n[m]}": scored(x[:, m]) for m in range(len(n))}
    if len(n) == 1:
        return methods, None
    if not len(split.validation):
        raise ValueError(f"{split.name} has no validation sketches: the fusion over n cannot be fitted")
    held_out, y = through(model.member_scores, model, split.validation, memory), split.validation.labels
    w = fit_fusion(held_out, y)
    model.set_fusion(w.tolist(), n)
    accuracy = (held_out.argmax(axis=2) == y[:, None]).mean(axis=0)
    best = n[int(accuracy.argmax())]
    methods[FUSED] = scored(np.einsum("imk,m->ik", x, w))
    gain, low, high = accuracy_difference(methods[FUSED].right, methods[f"n = {best}"].right)
    return methods, Fusion(n, tuple(w.tolist()), tuple(accuracy.tolist()), best, gain, (low, high))


def recognise_cross_set(
    model: Model, images: ImageSet, at: Sequence[int] = (1, 5), memory: int = 4 << 30
) -> dict[str, ClassificationScores]:
    """Drawings of another data set, told apart among all categories of the model, and among those alone that are there.

    images: labels index the model's class names (``data.cross_set.overlapping``).
    """
    scores, there = through(model.classify, model, images, memory), np.unique(images.labels)
    among = scores[:, there], np.searchsorted(there, images.labels), [images.names[k] for k in there]
    return {
        f"among all {len(images.names)} classes": evaluate_classification(
            scores, images.labels, images.names, at=at
        ),
        f"among these {len(there)} classes": evaluate_classification(
            *among, at=[k for k in at if k < len(there)]
        ),
    }


def nearest_pixel(split: ClassificationSplit) -> NDArray[np.float32]:
    """[N, K]: how much a test sketch looks like the training sketch of each class that it looks most like; nothing is trained."""
    alike, labels = nearest_pixel_scores(split.test, split.train), split.train.labels
    return np.stack([alike[:, labels == k].max(axis=1) for k in range(len(split.names))], axis=1)


def retrieve(
    models: Sequence[Model],
    split: ClassificationSplit,
    protocols: Sequence[str] = ("sklearn",),
    memory: int = 4 << 30,
) -> tuple[dict[str, Search], list[Row]]:
    """Table III: test sketches searched in the edge maps of all photos, for each n, by f alone and by f beside f_s.

    Top-1 accuracy is Prec@1: whether the nearest photo is of the sketch's class. The last rows are chance.
    """
    if split.photos is None:
        raise ValueError(f"{split.name} has no photos to search")
    queries, photos, rows = split.test, split.photos, []
    shown = photos.photos if isinstance(photos, EdgeMaps) else photos  # beside the query, in pictures
    labels, searches = (queries.labels, photos.labels), {}
    for model, n in [(each, n) for each in models for n in each.landmarks or (None,)]:
        method = GLOBAL if n is None else f"n = {n}"
        describe = partial(model.describe, n=n)
        q, g = (through(describe, model, images, memory) for images in (queries, photos))
        searches[method] = Search(f"{method}, all", queries, shown, q, g)
        single: Any = model if isinstance(model, LandmarkNet) else model.members[0]
        f = single.classifiers[0].in_features
        for code, length in {"f": f, **({"f and f_s": q.shape[1]} if q.shape[1] > f else {})}.items():
            for protocol in protocols:
                found = evaluate_retrieval(
                    q[:, :length], g[:, :length], *labels, metric="cosine", protocol=protocol, at=(1,)
                )
                intervals = {name: found.interval(name) for name in found.values}
                rows.append(
                    Row("all", method, f"{code}, {length}-d", protocol, dict(found.values), intervals)
                )
    rows += [Row("all", "chance", "-", p, chance_level(*labels, p, at=(1,))) for p in protocols]
    return searches, rows
