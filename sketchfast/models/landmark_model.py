"""What the network for several n and the ensemble of networks answer alike: fused scores, descriptors, fusion weights."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32


class LandmarkModel(nn.Module, ABC):
    """A member for each number of landmarks: a subclass says how one pass scores (`_scores`) and describes (`descriptors`)."""

    landmarks: tuple[int, ...]
    """The numbers n, one for each member of the fusion; empty with pooling="global"."""
    config: Any
    """Has ``fusion``: a weight for each member, or none for equal ones."""

    def member_scores(self, images: Tensor, mirrored: bool = True) -> Tensor:
        """Softmax scores of each n: [B, 3, S, S] -> [B, len(landmarks), K] (one member with pooling="global").

        mirrored: the mean over the image and its mirror image, whose contour points are found anew.
        """
        scores = self._scores(images)
        return (scores + self._scores(images.flip(3))) / 2 if mirrored else scores

    def classify(self, images: Tensor, mirrored: bool = True) -> Tensor:
        """Scores fused over n with ``config.fusion`` (D: the weights apply to softmax scores): [B, K], rows of sum 1."""
        return fuse(self.member_scores(images, mirrored), self.config.fusion)

    def describe(self, images: Tensor, n: int | None = None, mirrored: bool = True) -> Tensor:
        """Retrieval descriptor of unit length, compared by cosine: [B, C + h w], or [B, C] without the category-aware branch.

        f for n landmarks (None: the first of ``landmarks``) beside f_s, the largest response at each cell over the
        categories (D). mirrored: the descriptors of an image and its mirror image are added (D).
        """
        return self.descriptors(images, n, mirrored)[-1]

    @abstractmethod
    def descriptors(self, images: Tensor, n: int | None = None, mirrored: bool = True) -> list[Tensor]:
        """[f alone [B, C], ``describe``] from one pass, each of unit length; without the category-aware branch only the first."""

    def encode_sketch(self, images: Tensor) -> Tensor:
        """``describe``: sketches and edge maps of photos go through the same network."""
        return self.describe(images)

    def encode_photo(self, images: Tensor) -> Tensor:
        """``describe`` of the edge maps of photos."""
        return self.describe(images)

    def set_fusion(self, weights: Sequence[float], landmarks: Sequence[int]) -> None:
        """Keep the weights that ``fit_fusion`` found for these n; ValueError when they are another set of n."""
        self.config.fusion = checked_fusion(weights, landmarks, self.landmarks)

    @abstractmethod
    def _scores(self, images: Tensor) -> Tensor:
        """``member_scores`` of the images as they are."""


def softmax(logits: Tensor) -> Tensor:
    return at_least_float32(logits).softmax(dim=1)


def fuse(scores: Tensor, weights: Sequence[float]) -> Tensor:
    """[B, M, K] -> [B, K]; no weights: the mean."""
    if not weights:
        return scores.mean(dim=1)
    return torch.einsum("bmk,m->bk", scores, scores.new_tensor(weights))


def member_of(n: int, landmarks: Sequence[int]) -> int:
    if n not in landmarks:
        raise ValueError(f"n={n} is not among the numbers of landmarks of this model, {tuple(landmarks)}")
    return tuple(landmarks).index(n)


def checked_fusion(
    weights: Sequence[float], landmarks: Sequence[int], own: tuple[int, ...]
) -> tuple[float, ...]:
    """The weights as a tuple of floats; ValueError for another set of n, and for weights that are no shares of 1."""
    if tuple(landmarks) != own:
        raise ValueError(
            f"a fusion fitted on another set of n: on landmarks {tuple(landmarks)}, this model has {own}"
        )
    found = tuple(float(weight) for weight in weights)
    sane = all(math.isfinite(weight) and weight >= 0 for weight in found)
    if len(found) != max(1, len(own)) or not sane or abs(sum(found) - 1) > 1e-4:
        raise ValueError(
            f"fusion must be {max(1, len(own))} weights of at least 0 with sum 1, one for each n, got {found}"
        )
    return found
