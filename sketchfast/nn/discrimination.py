"""Discrimination loss: TCN (Wang et al., TPAMI 2023), eq. 8 and 9.

    L_DIS = 1/N sum_i -Y_i^C log P_i^C  +  1/N sum_i -Y_i^T log P_i^T

The first term is classification on both modalities; the second distils a frozen ImageNet teacher into the
photo branch, at temperature 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


class DiscriminationTerms(NamedTuple):
    """Scalars; ``total`` is L_DIS and the others its parts, for the log."""

    total: Tensor
    sketch_classification: Tensor
    photo_classification: Tensor
    distillation: Tensor | None


def discrimination_loss(
    sketch_logits: Tensor,
    photo_logits: Tensor,
    labels: Tensor,
    distilled_logits: Tensor | None = None,
    teacher_logits: Tensor | None = None,
    sketch_weight: float = 1.0,
) -> DiscriminationTerms:
    """L_DIS of a batch of B pairs, a sketch and a photo of the same class.

    sketch_logits, photo_logits: O^C of each modality, [B, classes]. labels: int64 [B].
    distilled_logits: O^T of the photos, [B, teacher classes]; teacher_logits: the frozen teacher's logits
    for the same photos. Both or neither; without them the second term is left out.
    sketch_weight: weight of the sketches' classification against the photos' (table 4's ratios 0.1:1, 1:1, 10:1).

    The mean of eq. 9 is taken within each modality and the two means are added, as the released code does.
    """
    if (distilled_logits is None) != (teacher_logits is None):
        missing = "distilled_logits" if distilled_logits is None else "teacher_logits"
        raise ValueError(f"distillation needs distilled_logits and teacher_logits; {missing} is None")
    if len(labels) != len(sketch_logits) or len(labels) != len(photo_logits):
        raise ValueError(
            f"labels has {len(labels)} entries for {len(sketch_logits)} sketches, {len(photo_logits)} photos"
        )
    sketch_term = F.cross_entropy(sketch_logits.float(), labels)
    photo_term = F.cross_entropy(photo_logits.float(), labels)
    total = sketch_weight * sketch_term + photo_term
    distillation = None
    if distilled_logits is not None and teacher_logits is not None:
        if distilled_logits.shape != teacher_logits.shape:
            raise ValueError(
                f"distilled_logits is {tuple(distilled_logits.shape)}, "
                f"teacher_logits {tuple(teacher_logits.shape)}"
            )
        # Y^T are the teacher's probabilities: targets, so no gradient reaches the teacher.
        distillation = F.cross_entropy(
            distilled_logits.float(), teacher_logits.detach().float().softmax(dim=1)
        )
        total = total + distillation
    return DiscriminationTerms(total, sketch_term, photo_term, distillation)
