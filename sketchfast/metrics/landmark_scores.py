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
Scored = dict[str, ClassificationScores]  # name of a method -> its scores
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


def validate(
    model: Model, split: ClassificationSplit, at: Sequence[int] = (1, 5), memory: int = 4 << 30
) -> Scored:
    """Scores of the validation sketches for each n, and with several n the weights of their fusion are set in the model.

    Their fusion is not scored, since the weights are fitted to these very sketches. Nothing without such sketches, for which
    several n raise ValueError.
    """
    images = split.validation
    if not len(images):
        if len(model.landmarks) > 1:
            raise ValueError(f"{split.name} has no validation sketches: the fusion over n cannot be fitted")
        return {}
    scores = through(model.member_scores, model, images, memory)
    if len(model.landmarks) > 1:
        model.set_fusion(fit_fusion(scores, images.labels).tolist(), model.landmarks)
    return _each_n(model, scores, images, at)


def recognise(
    model: Model,
    split: ClassificationSplit,
    validated: Scored,
    at: Sequence[int] = (1, 5),
    memory: int = 4 << 30,
) -> tuple[Scored, Fusion | None]:
    """Scores of the test sketches: of each n, then of their fusion with the weights that `validate` has set in the model.

    validated: what `validate` gave; the best n, with which the fusion is compared, comes from it alone.
    """
    scores, landmarks = through(model.member_scores, model, split.test, memory), model.landmarks
    methods = _each_n(model, scores, split.test, at)
    if len(landmarks) < 2:
        return methods, None
    weights = model.config.fusion
    fused = np.einsum("imk,m->ik", scores, np.array(weights))
    accuracy = tuple(validated[_of(n)].accuracy[1].value for n in landmarks)
    best = landmarks[int(np.argmax(accuracy))]
    methods[FUSED] = evaluate_classification(fused, split.test.labels, split.names, at=at)
    gain, low, high = accuracy_difference(methods[FUSED].right, methods[_of(best)].right)
    return methods, Fusion(landmarks, weights, accuracy, best, gain, (low, high))


def _of(n: int) -> str:
    """The network, or head, with n landmarks among the methods."""
    return f"n = {n}"


def _each_n(model: Model, scores: NDArray[Any], images: ImageSet, at: Sequence[int]) -> Scored:
    """From what `member_scores` gives for images: [N, M, K]."""
    names = [_of(n) for n in model.landmarks] or [GLOBAL]
    return {
        name: evaluate_classification(scores[:, m], images.labels, images.names, at=at)
        for m, name in enumerate(names)
    }


def recognise_cross_set(
    model: Model, images: ImageSet, at: Sequence[int] = (1, 5), memory: int = 4 << 30
) -> Scored:
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
        method = GLOBAL if n is None else _of(n)
        q, g = (
            through(partial(_descriptors, model, n), model, images, memory) for images in (queries, photos)
        )
        single: Any = model if isinstance(model, LandmarkNet) else model.members[0]
        f, width = single.classifiers[0].in_features, q.shape[1]
        codes = {"f": slice(0, f)} | ({"f and f_s": slice(f, width)} if width > f else {})
        own = list(codes.values())[-1]
        searches[method] = Search(f"all photos, {method}", queries, shown, q[:, own], g[:, own])
        for code, of in codes.items():
            for protocol in protocols:
                found = evaluate_retrieval(
                    q[:, of], g[:, of], *labels, metric="cosine", protocol=protocol, at=(1,)
                )
                intervals = {name: found.interval(name) for name in found.values}
                rows.append(
                    Row(
                        "all",
                        method,
                        f"{code}, {of.stop - of.start}-d",
                        protocol,
                        dict(found.values),
                        intervals,
                    )
                )
    rows += [Row("all", "chance", "-", p, chance_level(*labels, p, at=(1,))) for p in protocols]
    return searches, rows


def _descriptors(model: Model, n: int | None, images: Tensor) -> Tensor:
    """f, and beside it the joint descriptor of networks with a category-aware branch."""
    return torch.cat(model.descriptors(images, n), dim=1)
