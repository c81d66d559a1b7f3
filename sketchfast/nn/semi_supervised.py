"""Losses of semi-supervised fine-grained retrieval: Bhunia et al., More Photos are All You Need, CVPR 2021, equations 4 to 8.

    L_trip = max(0, mu + |F(s) - F(p)| - |F(s) - F(n)|)                                                  (4)
    L_D = -E_L[log D(p, s)] - E_U[log(1 - D(p, s))]                                                      (5)
    L_KD = | |F^T(p) - F^T(s)| - |F(p) - F(s)| |                                                         (6)
    L_F = L_trip(D_L) + omega L_trip(D'_U) + lambda_kd L_KD,  omega = D(p, s)                            (7)
    R_G = -lambda_r1 L_trip + lambda_r2 D                                                                (8)

D_L are labelled pairs, D'_U unlabelled photos with the sketches a generator drew of them. Distances are Euclidean, not squared.
Losses of pairs keep the pair: they are [B], so that they can be weighted one by one. float32, or float64 for float64; autocast
does not apply.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.nn.precision import at_least_float32

Negatives = Literal["random", "hard", "all"]


class RetrievalTerms(NamedTuple):
    """Scalars; ``total`` is eq. 7 and the others its parts before their weights: ``generated`` has omega in it."""

    total: Tensor
    labelled: Tensor
    generated: Tensor
    distillation: Tensor


def triplet_losses(sketch: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Eq. 4 of each triplet: features of sketches, of their photos and of other photos, [B, d] each -> [B].

    Raises ValueError naming the argument: other shapes, a margin below 0.
    """
    _check_rows(sketch=sketch, positive=positive, negative=negative)
    _check_margin(margin)
    return (margin + _distance(sketch, positive) - _distance(sketch, negative)).relu()


def in_batch_negatives(
    kind: Negatives, sketch: Tensor, photo: Tensor, ids: Tensor, uniform: Tensor | None = None
) -> Tensor:
    """Which photos of a batch stand for the negative of each sketch: weights [B, P], no gradient.

    A photo with the id of a sketch's own is never its negative, so the same photo drawn twice in a batch, or its two sketches,
    are safe. A row sums to 1.

    kind: "random", the one that ``uniform`` says; "hard", the nearest, the first of equal ones; "all", each with the same
        weight. The paper does not say which; "random" is what a sampled triplet is.
    sketch: [B, d]. photo: [P, d], P >= B, row i the photo of sketch i for i < B, the rest are further negatives.
    ids: integers [P], which photo it is; different photos must have different ids, labelled or not.
    uniform: with "random", [B] in 0..1: floor(u n) counts through the n other photos in their order.

    Raises ValueError naming the argument, also where all photos are one (with ids on CUDA, where looking would mean to wait for
    the device, the weights are 0 then, and so is the loss); TypeError for ids that are not integers.
    """
    count, photos = _check_batch(sketch, photo, ids)
    others = ids[:count, None] != ids[None, :]
    if others.device.type == "cpu" and not others.any():
        raise ValueError(
            f"ids must name at least 2 photos, all {photos} are photo {ids[0].item()}: nothing is a negative"
        )
    others = others.to(sketch.device)
    available = others.sum(dim=1, keepdim=True)
    if kind == "random":
        if uniform is None or uniform.shape != (count,):
            found = None if uniform is None else list(uniform.shape)
            raise ValueError(
                f"uniform must be given as [{count}], one number a sketch, with kind='random', got {found}"
            )
        wanted = (uniform.to(sketch.device)[:, None] * available).long().clamp(min=0)
        wanted = torch.minimum(wanted, (available - 1).clamp(min=0))
        # The wanted-th other photo is where the count of those before it is reached.
        chosen = others & (others.cumsum(dim=1) == wanted + 1)
    elif kind == "hard":
        with torch.no_grad():
            distances = _distance(sketch[:, None], photo[None]).masked_fill(~others, float("inf"))
        nearest = F.one_hot(distances.argmin(dim=1), photos).bool()
        chosen = others & nearest
    elif kind == "all":
        chosen = others
    else:
        raise ValueError(f"kind must be 'random', 'hard' or 'all', got {kind!r}")
    weights = chosen.to(at_least_float32(sketch).dtype)
    return weights / weights.sum(dim=1, keepdim=True).clamp(min=1)


def in_batch_triplet_losses(
    sketch: Tensor,
    photo: Tensor,
    ids: Tensor,
    margin: float,
    negatives: Negatives = "random",
    uniform: Tensor | None = None,
) -> Tensor:
    """Eq. 4 with negatives from the batch: [B], the mean over each sketch's negatives; arguments as ``in_batch_negatives``.

    Raises ValueError and TypeError as it does, and ValueError for a margin below 0.
    """
    _check_margin(margin)
    weights = in_batch_negatives(negatives, sketch, photo, ids, uniform)
    distances = _distance(sketch[:, None], photo[None])
    near = distances.diagonal()[:, None]
    return ((margin + near - distances).relu() * weights).sum(dim=1)


def relative_teacher(teacher_photo: Tensor, teacher_sketch: Tensor, photo: Tensor, sketch: Tensor) -> Tensor:
    """Eq. 6 of each pair: by how much its distance differs from the teacher's, [B]. Features [B, d]; the teacher's may have
    another d. No gradient reaches the teacher. ValueError for other shapes."""
    _check_teacher(teacher_photo, teacher_sketch, photo, sketch)
    wanted = _distance(teacher_photo.detach(), teacher_sketch.detach())
    return (wanted - _distance(photo, sketch)).abs()


def absolute_teacher(teacher_photo: Tensor, teacher_sketch: Tensor, photo: Tensor, sketch: Tensor) -> Tensor:
    """The paper's alternative to eq. 6, section 3.3: |F^T(p) - F(p)| + |F^T(s) - F(s)| of each pair, [B] (the sum: D).

    Features [B, d], all of one d. No gradient reaches the teacher. ValueError for other shapes.
    """
    _check_teacher(teacher_photo, teacher_sketch, photo, sketch)
    _check_rows(teacher_photo=teacher_photo, photo=photo)
    return _distance(teacher_photo.detach(), photo) + _distance(teacher_sketch.detach(), sketch)


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Eq. 5 from logits of any shape, those of real pairs (label 1) and of generated ones (label 0): a scalar.

    Each expectation is the mean over its pairs and, with a PatchGAN, over their patches. ValueError when one is empty.
    """
    for name, logits in (("real_logits", real_logits), ("fake_logits", fake_logits)):
        if logits.numel() == 0:
            raise ValueError(f"{name} must not be empty, got {list(logits.shape)}")
    with torch.autocast(real_logits.device.type, enabled=False):
        # -log sigmoid(x) = softplus(-x), -log(1 - sigmoid(x)) = softplus(x)
        real = F.softplus(-at_least_float32(real_logits)).mean()
        return real + F.softplus(at_least_float32(fake_logits)).mean()


def retrieval_loss(
    labelled: Tensor,
    generated: Tensor | None = None,
    certainty: Tensor | None = None,
    labelled_distillation: Tensor | None = None,
    generated_distillation: Tensor | None = None,
    lambda_kd: float = 0.1,
) -> RetrievalTerms:
    """Eq. 7. Each term is the mean over its pairs; what L_KD is of labelled and of generated pairs is added, as L_trip is (D).

    labelled [B], generated [B']: eq. 4 of the pairs. certainty: omega [B'], D's output in 0..1, or None for 1 throughout
        (vanilla SSL, or no instance weighting); no gradient goes through it. The weights are not normalised: a batch that D
        believes in less counts less. labelled_distillation [B], generated_distillation [B']: eq. 6 or the absolute teacher,
        or None.
    Without generated pairs this is supervised training. Raises ValueError naming the argument.
    """
    terms = {"labelled": labelled, "generated": generated, "certainty": certainty,
             "labelled_distillation": labelled_distillation, "generated_distillation": generated_distillation}  # fmt: skip
    for name, values in terms.items():
        if values is not None and (values.ndim != 1 or len(values) == 0):
            raise ValueError(f"{name} must have the shape [B], one value a pair, got {list(values.shape)}")
    if generated is None and (certainty is not None or generated_distillation is not None):
        given = "certainty" if certainty is not None else "generated_distillation"
        raise ValueError(f"generated must be given with {given}, got None")
    for name, values, of in (
        ("certainty", certainty, generated),
        ("generated_distillation", generated_distillation, generated),
        ("labelled_distillation", labelled_distillation, labelled),
    ):
        if values is not None and of is not None and len(values) != len(of):
            raise ValueError(f"{name} must have a value for each of {len(of)} pairs, got {len(values)}")
    nothing = labelled.new_zeros(())
    first = labelled.mean()
    second = nothing
    if generated is not None:
        second = (generated if certainty is None else certainty.detach() * generated).mean()
    third = nothing
    for distillation in (labelled_distillation, generated_distillation):
        if distillation is not None:
            third = third + distillation.mean()
    return RetrievalTerms(first + second + lambda_kd * third, first, second, third)


def reward(
    triplets: Tensor,
    certainty: Tensor,
    lambda_r1: float = 1.0,
    lambda_r2: float = 1.0,
    differentiable: bool = False,
) -> Tensor:
    """Eq. 8, R_G of each generated sketch: eq. 4 of its pair [B] and D's output for it [B] -> [B].

    A lambda of 0 takes its term out. Without gradient unless differentiable, which is for sketches drawn as pictures, through
    which it can go (section 4.2, iv). ValueError for other shapes.
    """
    if triplets.ndim != 1 or triplets.shape != certainty.shape:
        raise ValueError(
            f"triplets and certainty must both have one shape [B], got {list(triplets.shape)} and {list(certainty.shape)}"
        )
    if not differentiable:
        triplets, certainty = triplets.detach(), certainty.detach()
    return -lambda_r1 * triplets + lambda_r2 * certainty


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean, over the last axis. From differences: of matrix products, what two close features differ by is rounding.

    The gradient at distance 0, where there is none, is 0.
    """
    with torch.autocast(a.device.type, enabled=False):
        return torch.linalg.vector_norm(at_least_float32(a) - at_least_float32(b), dim=-1)


def _check_rows(**features: Tensor) -> None:
    shapes = {name: list(rows.shape) for name, rows in features.items()}
    first = next(iter(features.values()))
    if first.ndim != 2 or 0 in first.shape or any(rows.shape != first.shape for rows in features.values()):
        raise ValueError(f"{', '.join(shapes)} must have one shape [B, d], got {list(shapes.values())}")


def _check_teacher(teacher_photo: Tensor, teacher_sketch: Tensor, photo: Tensor, sketch: Tensor) -> None:
    _check_rows(teacher_photo=teacher_photo, teacher_sketch=teacher_sketch)
    _check_rows(photo=photo, sketch=sketch)
    if len(teacher_photo) != len(photo):
        raise ValueError(f"the teacher's features are of {len(teacher_photo)} pairs, photo of {len(photo)}")


def _check_margin(margin: float) -> None:
    if not margin >= 0:
        raise ValueError(f"margin must be 0 or more, got {margin}")


def _check_batch(sketch: Tensor, photo: Tensor, ids: Tensor) -> tuple[int, int]:
    if sketch.ndim != 2 or photo.ndim != 2 or 0 in sketch.shape or sketch.shape[1] != photo.shape[1]:
        raise ValueError(
            f"sketch [B, d] and photo [P, d] must have one d, got {list(sketch.shape)} and {list(photo.shape)}"
        )
    count, photos = len(sketch), len(photo)
    if photos < count:
        raise ValueError(f"photo must begin with the photo of each of {count} sketches, got {photos} rows")
    if ids.shape != (photos,):
        raise ValueError(f"ids must be [{photos}], one a photo, got {list(ids.shape)}")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"ids must be integers, got {ids.dtype}")
    return count, photos
