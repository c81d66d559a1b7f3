"""Semantic metric: TCN (Wang et al., TPAMI 2023), eq. 10 and 11, and the variants of table 4.

    R^SA_j = G_A(Y^S_j)                                   semantic embedding of the class
    A_j    = alpha R^SA_j + (1 - alpha) R_j,  alpha ~ U(0, 1)
    R^P_j  = farthest R_k of the same class,  R^N_j = nearest R_k of another class
    L_SEM  = sum_j softplus(|A_j - R^P_j| - |A_j - R^N_j|)

Sketches and photos are not told apart: anchors and candidates are the 2B features of a batch. With several
processes the anchors are this process's own and the candidates are gathered from all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32

MetricVariant = Literal["none", "bht", "bht+sr", "sbht"]
METRIC_VARIANTS: tuple[MetricVariant, ...] = ("none", "bht", "bht+sr", "sbht")


def hardest_example_loss(
    anchors: Tensor, anchor_labels: Tensor, features: Tensor, labels: Tensor, own: Tensor | None = None
) -> Tensor:
    """softplus(d_pos - d_neg) per anchor, eq. 10 and 11: float32 [A].

    anchors [A, dim] with anchor_labels int64 [A]; features [N, dim] with labels int64 [N].
    own: int64 [A], the row of ``features`` each anchor was made from, never taken as its positive (the
    released code); None follows eq. 10, whose arg max runs over every k of the class.
    Distances are Euclidean, in float32 whatever the input. An anchor with no negative in the batch gives zero.
    """
    with torch.autocast(device_type=anchors.device.type, enabled=False):
        # The matrix-product form of the distance loses the small distances that decide who is hardest.
        distances = torch.cdist(
            at_least_float32(anchors),
            at_least_float32(features),
            compute_mode="donot_use_mm_for_euclid_dist",
        )
    same_class = anchor_labels[:, None] == labels[None, :]
    positive = same_class
    if own is not None:
        positive = same_class.scatter(1, own[:, None], False)
    d_pos = distances.masked_fill(~positive, 0.0).amax(dim=1)
    d_neg = distances.masked_fill(same_class, torch.inf).amin(dim=1)
    return F.softplus(d_pos - d_neg)


class SemanticMetric(nn.Module):
    """L_SEM and its ablations, with the one linear layer each of them needs.

    variant: "none", "bht" (batch-hard triplet, anchors are the features), "bht+sr" (plus semantic regression
    of the feature to its class's vector, mean squared error times ``regression_weight``) or "sbht" (eq. 10).
    reduction: "mean" over anchors, or "sum" as eq. 11 is printed.
    exclude_self: see ``hardest_example_loss``.
    unit_length: the semantic embedding R^SA is scaled to length 1, for features that are, too.
    entropy_weight: the released code's factor 1 + exp(-H) per anchor, H the entropy of the anchor's class
    probabilities in nats; needs ``classifier`` in the call.
    """

    def __init__(
        self,
        variant: MetricVariant,
        dim: int,
        semantic_dim: int = 0,
        regression_weight: float = 1.0,
        reduction: Literal["mean", "sum"] = "mean",
        exclude_self: bool = False,
        entropy_weight: bool = False,
        unit_length: bool = False,
    ) -> None:
        super().__init__()
        if variant not in METRIC_VARIANTS:
            raise ValueError(f"variant must be one of {METRIC_VARIANTS}, got {variant!r}")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        if variant in ("bht+sr", "sbht") and semantic_dim < 1:
            raise ValueError(f"metric {variant!r} needs semantic vectors, but semantic_dim is {semantic_dim}")
        self.variant, self.regression_weight = variant, regression_weight
        self.reduction, self.exclude_self, self.entropy_weight = reduction, exclude_self, entropy_weight
        self.unit_length = unit_length
        # theta_A (eq. 10) maps a word vector to the embedding; the regression of BHT+SR maps the other way.
        self.project = nn.Linear(semantic_dim, dim) if variant == "sbht" else None
        self.regress = nn.Linear(dim, semantic_dim) if variant == "bht+sr" else None

    def forward(
        self,
        anchor_features: Tensor,
        anchor_labels: Tensor,
        features: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        semantic: Tensor | None = None,
        alpha: Tensor | None = None,
        own: Tensor | None = None,
        classifier: Callable[[Tensor], Tensor] | None = None,
        processes: int = 1,
    ) -> Tensor:
        """A scalar.

        anchor_features [A, dim], anchor_labels int64 [A]: this process's 2B features.
        features [N, dim], labels int64 [N]: the candidates; None means the anchors' own features.
        semantic: Y^S of each anchor's class, [A, semantic_dim] ("bht+sr" and "sbht").
        alpha: [A] in [0, 1), drawn from U(0, 1) by the caller ("sbht").
        own: row of ``features`` for each anchor; needed with exclude_self when candidates are gathered.
        classifier: G_C, for entropy_weight.
        processes: their number, when gradients are averaged over them afterwards: the sum of reduction="sum" is then
            multiplied by it, so that the average is the sum over the global batch. Means need no such factor.
        """
        if self.variant == "none":
            return anchor_features.new_zeros(())
        if (features is None) != (labels is None):
            raise ValueError("features and labels come together: both or neither")
        if features is None or labels is None:
            features, labels = anchor_features, anchor_labels
            own = torch.arange(len(anchor_features), device=anchor_features.device)
        if semantic is None and self.variant in ("bht+sr", "sbht"):
            raise ValueError(f"metric {self.variant!r} needs semantic, the class vector of every anchor")
        if self.exclude_self and own is None:
            raise ValueError(
                "exclude_self with gathered features needs own, the row of each anchor's feature"
            )

        anchors = anchor_features
        if self.project is not None and semantic is not None:
            if alpha is None:
                raise ValueError("metric 'sbht' needs alpha, one number in [0, 1) for every anchor")
            semantic_anchor = self.project(semantic).to(anchor_features.dtype)
            if self.unit_length:
                semantic_anchor = F.normalize(semantic_anchor, dim=1)
            anchors = torch.lerp(anchor_features, semantic_anchor, alpha.to(anchor_features.dtype)[:, None])
        loss = hardest_example_loss(
            anchors, anchor_labels, features, labels, own if self.exclude_self else None
        )
        if self.entropy_weight:
            if classifier is None:
                raise ValueError("entropy_weight needs classifier, the layer G_C")
            log_p = classifier(anchors).float().log_softmax(dim=1)
            entropy = -(log_p.exp() * log_p).sum(dim=1)
            loss = loss * (1 + torch.exp(-entropy))
        total = loss.mean() if self.reduction == "mean" else loss.sum() * processes
        if self.regress is not None and semantic is not None:
            regression = F.mse_loss(self.regress(anchor_features).float(), semantic.float())
            total = total + self.regression_weight * regression
        return total
