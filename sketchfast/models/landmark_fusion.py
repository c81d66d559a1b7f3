"""Fusing the predictions for several numbers of landmarks n: the weights, and the ensemble of one network for each n.

    P = sum_m w_m P_m,  w >= 0, sum w = 1,  w = argmin -1/N sum_i log P(y_i) on validation data

The paper's fusion layer gives each n a weight "computed by using the validation set" and says no more; the objective is
ours (D). It is convex in w, and its minimum needs no learning rate: w_m <- w_m mean_i P_m(y_i) / P(y_i) lowers it at every
step, and max_m mean_i P_m(y_i) / P(y_i) - 1 bounds how far it is from the minimum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sketchfast.arrays import as_array
from sketchfast.models.landmark import LandmarkNet, LandmarkNetConfig
from sketchfast.models.landmark_model import LandmarkModel, member_of, softmax
from sketchfast.models.landmark_points import check_images, contour_points_of
from sketchfast.runtime.preprocess import Preprocess

ENOUGH = 1e-7  # nats above the minimum
MOST_STEPS = 20_000


def fit_fusion(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Weights [M] of at least 0 and sum 1 that minimise the negative log-likelihood of the fused scores; deterministic.

    scores: softmax scores [N, M, K] of M members for N validation sketches, as ``member_scores`` gives them.
    labels: whole numbers [N] in 0..K-1.

    Raises ValueError for other shapes, labels outside 0..K-1, and scores that are negative or not finite.
    """
    found, classes = as_array(scores).astype(np.float64), as_array(labels)
    if found.ndim != 3 or 0 in found.shape or classes.shape != found.shape[:1]:
        raise ValueError(
            "scores must be [N, M, K] with N, M, K >= 1 and labels [N], "
            f"got {list(found.shape)} and {list(classes.shape)}"
        )
    if classes.dtype.kind not in "iu" or classes.min() < 0 or classes.max() >= found.shape[2]:
        raise ValueError(
            f"labels must be whole numbers in 0..{found.shape[2] - 1}, "
            f"got {classes.dtype} in {classes.min()}..{classes.max()}"
        )
    if not np.isfinite(found).all() or found.min() < 0:
        raise ValueError("scores must be softmax scores, finite and at least 0")
    # A score that float32 has rounded to 0 must not make the logarithm infinite for every choice of weights.
    right = np.maximum(found[np.arange(len(found)), :, classes], 1e-30)
    weights = np.full(found.shape[1], 1 / found.shape[1])
    for _ in range(MOST_STEPS):
        gain = (right / (right @ weights)[:, None]).mean(axis=0)
        if gain.max() - 1 < ENOUGH:
            break
        weights = weights * gain
        weights /= weights.sum()
    return weights


@dataclass
class LandmarkEnsembleConfig:
    """The configs of the members, in the order of ``LandmarkEnsemble.landmarks``, and one weight for each (empty: equal)."""

    members: list[LandmarkNetConfig]
    fusion: tuple[float, ...] = ()


class LandmarkEnsemble(LandmarkModel):
    """The paper's ensemble: one network for each n, each trained alone.

    Raises ValueError unless every member has one n of its own and all have the same class names and preprocessing.
    """

    def __init__(self, members: Sequence[LandmarkNet], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members:
            raise ValueError("members must be at least one LandmarkNet, got none")
        for member in members:
            if len(member.landmarks) != 1:
                raise ValueError(
                    f"each member must serve one number of landmarks, one serves {member.landmarks}"
                )
        self.landmarks = tuple(member.landmarks[0] for member in members)
        if len(set(self.landmarks)) < len(members):
            raise ValueError(f"members must have different numbers of landmarks, got {self.landmarks}")
        first = members[0]
        for member in members:
            if member.class_names != first.class_names or member.preprocess != first.preprocess:
                raise ValueError(
                    f"members must share class names and preprocessing; those for n={first.landmarks[0]} "
                    f"and n={member.landmarks[0]} differ"
                )
            if member.config.num_classes != first.config.num_classes:
                raise ValueError(
                    f"members must share num_classes, got {first.config.num_classes} and {member.config.num_classes}"
                )
        self.members = nn.ModuleList(members)
        self.class_names, self.preprocess = first.class_names, first.preprocess
        self.config = LandmarkEnsembleConfig([member.config for member in members])
        if weights is not None and len(weights):
            self.set_fusion(weights, self.landmarks)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> LandmarkEnsemble:
        """The networks of a checkpoint's metadata, before their weights are loaded; pretrained ones are not fetched."""
        names = metadata.get("class_names") or None
        preprocess = metadata.get("preprocess")
        shared = None if preprocess is None else Preprocess.from_dict(preprocess)
        config = metadata["config"]
        members = [LandmarkNet.from_fields(fields, names, shared) for fields in config["members"]]
        return cls(members, config["fusion"])

    def _scores(self, images: Tensor) -> Tensor:
        check_images(images)
        points, _ = contour_points_of(images, self.preprocess, max(self.landmarks))  # once for all members
        members: Any = self.members
        return torch.stack([softmax(member.logits_of(images, points)[0]) for member in members], dim=1)

    def descriptors(self, images: Tensor, n: int | None = None, mirrored: bool = True) -> list[Tensor]:
        """Of the member for n landmarks (None: the first), as ``LandmarkNet.descriptors``."""
        member: Any = self.members[0 if n is None else member_of(n, self.landmarks)]
        found: list[Tensor] = member.descriptors(images, None, mirrored)
        return found
