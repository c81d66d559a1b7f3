"""Answers to a sketch: photos in the order of their scores, and what a score is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.sketches import SketchImage
from .weighted_rows import weighted_row


@dataclass(frozen=True)
class Hit:
    """One answer: ``rank`` from 1, the photo's ``path``, and its ``score``, in the unit of its :class:`Answer`."""

    rank: int
    path: str
    score: float


@dataclass(frozen=True)
class Unit:
    """What a score is: its ``name``, a ``short`` one for pictures, and the ``digits`` printed after the point.

    Of similarities the highest is nearest, of distances the lowest.
    """

    name: str
    short: str
    digits: int = 4

    def text(self, score: float) -> str:
        """The score as it is printed."""
        return f"{score:.{self.digits}f}"


_TINY = float(np.finfo(np.float32).tiny)
_UNITS = {
    "cosine": Unit("cosine similarity", "cosine"),
    "euclidean": Unit("squared distance", "distance"),
    "weighted": Unit("weighted squared distance", "distance"),
    "hamming": Unit("Hamming distance, bits", "bits", digits=0),
}


@dataclass(frozen=True)
class Answer:
    """The hits of one sketch, nearest first, the sketch as it was read, and what the scores are."""

    sketch: SketchImage
    hits: list[Hit]
    by: str
    unit: Unit


def unit_of(distance: str, by: str = "embedding") -> Unit:
    """The unit of scores by "code", or by "embedding" under an export's ``distance``."""
    return _UNITS["hamming" if by == "code" else distance]


def distance_of(model: Any) -> str:
    """What ranks a retrieval model's embeddings, "cosine", "euclidean" or "weighted": what it was trained with."""
    if getattr(model, "test_noise", None) is not None:
        return "weighted"
    unit_length = getattr(getattr(model, "config", None), "unit_features", True)
    return "cosine" if unit_length else "euclidean"


def rank_photos(
    query: NDArray[np.float32],
    photos: NDArray[np.float32],
    k: int,
    distance: str,
    weights: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k photos nearest to one sketch, nearest first, and their scores; of equal ones the earlier photo comes first.

    Args:
        query: the sketch's embedding, float32 [D].
        photos: float32 [N, D]; of unit length for "cosine".
        k: 1 to N.
        distance: "cosine" (similarity), "euclidean" (squared), "weighted" (squared, smallest over the samples of weights).
        weights: float32 [S, D], for "weighted".
    """
    if distance == "cosine":
        similarity = photos @ (query / max(float(np.linalg.norm(query)), _TINY))
        order = np.argsort(-similarity, kind="stable")[:k]
        return order, similarity[order]
    if distance == "euclidean":
        weights = np.ones((1, len(query)), np.float32)
    assert weights is not None
    row = weighted_row(query, photos, weights)
    order = np.argsort(row, kind="stable")[:k]
    return order, row[order]


def as_searched(embeddings: NDArray[np.float32], distance: str) -> NDArray[np.float32]:
    """Embeddings [N, D] as :func:`rank_photos` wants them: of unit length for cosine similarity, else as the model made them."""
    if distance != "cosine":
        return embeddings
    norms: NDArray[np.float32] = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / np.maximum(norms, _TINY)).astype(np.float32)


def hits_of(paths: Sequence[str], order: NDArray[Any], scores: NDArray[Any]) -> list[Hit]:
    """The hits for the photos number ``order`` with their ``scores``, ranked from 1."""
    return [
        Hit(rank, paths[photo], float(score))
        for rank, (photo, score) in enumerate(zip(order, scores, strict=True), 1)
    ]
