"""Definition of the soft-weighted loss (Zheng et al., DeepSSP, eqs. 5-11) and of median frequency weights, in plain torch."""

from collections.abc import Iterable

import torch
from torch import Tensor


def soft_labels(
    labels: Tensor, num_classes: int, ignore_index: int = 255, background: int | None = 0, soft: bool = True
) -> Tensor:
    """lambda of eq. 7: float64 [N, C, H, W]; zero where a pixel is ignored."""
    labels = labels.long()
    valid = labels != ignore_index
    own = torch.zeros(
        labels.shape[0], num_classes, *labels.shape[1:], dtype=torch.float64, device=labels.device
    )
    own.scatter_(1, torch.where(valid, labels, 0)[:, None], valid[:, None].double())
    if not soft:
        return own
    counted = own.clone()
    is_background = torch.zeros_like(valid)
    if background is not None and background >= 0:
        counted[:, background] = 0  # f_0 = 0
        is_background = valid & (labels == background)
    padded = torch.nn.functional.pad(counted, (1, 1, 1, 1))
    height, width = labels.shape[1:]
    windows = [padded[:, :, dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)]
    counts = torch.stack(windows).sum(dim=0)  # f_j
    shares = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(is_background[:, None], own, shares) * valid[:, None]


def soft_weighted_loss(
    logits: Tensor,
    labels: Tensor,
    class_weights: Tensor,
    ignore_index: int = 255,
    background: int | None = 0,
    soft: bool = True,
) -> Tensor:
    """L_s of eq. 11, computed in float64, differentiable; memory is several times that of float64 logits.

    Returns float32, float64 for float64 logits; 0 where no labelled pixel has a weight above 0.
    """
    num_classes = logits.shape[1]
    lam = soft_labels(labels, num_classes, ignore_index, background, soft)
    valid = labels != ignore_index
    alpha = class_weights.double()[torch.where(valid, labels.long(), 0)] * valid
    x = logits.double()
    # An ignored pixel counts for nothing, whatever its logits are.
    x = torch.where(valid[:, None], x, 0.0)
    # eq. 6; where() because 0 * infinity is no 0.
    expected = torch.where(lam > 0, lam * x, 0.0).sum(dim=1)
    losses = alpha * (torch.logsumexp(x, dim=1) - expected)
    total = alpha.sum()
    loss = losses.sum() / total if total > 0 else losses.sum() * 0
    return loss.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)


def median_frequency_weights(
    label_maps: Iterable[Tensor],
    num_classes: int,
    ignore_index: int = 255,
    background: int | None = 0,
    background_gain: float = 1.0,
) -> Tensor:
    """alpha of eqs. 9-10 over label maps [H, W], one class and one pixel at a time: float32 [num_classes]."""
    pixels = [0] * num_classes  # t_i
    images = [0] * num_classes  # n_i
    for labels in label_maps:
        found = [label for label in labels.flatten().tolist() if label != ignore_index]
        for label in found:
            pixels[label] += 1
        for label in set(found):
            images[label] += 1
    phi = {i: pixels[i] / images[i] for i in range(num_classes) if images[i]}
    weights = torch.zeros(num_classes, dtype=torch.float64)
    ordered = sorted(phi.values())
    middle = len(ordered) // 2
    median = (ordered[middle] + ordered[~middle]) / 2 if ordered else 0.0
    for i, value in phi.items():
        weights[i] = median / value * (background_gain if i == background else 1.0)
    return weights.float()
