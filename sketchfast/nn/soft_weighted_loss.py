"""The soft-weighted loss of DeepSSP as a module (Zheng et al., eq. 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sketchfast.ops import soft_weighted_loss
from sketchfast.ops.soft_weighted_loss import background_number, label_number


class SoftWeightedLoss(nn.Module):
    """L_s over a batch, with the weights of the classes in the buffer `class_weights` (float32 [C]).

    forward(logits [N, C, H, W], labels [N, H, W]) -> scalar; arguments, dtypes and errors as `sketchfast.ops.soft_weighted_loss`.

    The four losses of the paper's table IV: all weights 1 and soft=False is CE; median_frequency_weights and soft=False is
    weighted CE; the same weights and soft=True is L_s; with background_gain=2 in the weights, L*_s.

    Raises:
        TypeError: class_weights are no numbers, ignore_index or background is no integer.
        ValueError: background is no class, None or -1; class_weights are not one-dimensional, or one of them is negative,
            infinite or NaN. Checked here, once, because on CUDA the loss itself cannot look at them without waiting for
            the device.
    """

    class_weights: Tensor

    def __init__(
        self,
        class_weights: Tensor | Sequence[float],
        ignore_index: int = 255,
        background: int | None = 0,
        soft: bool = True,
    ) -> None:
        super().__init__()
        try:
            weights = torch.as_tensor(class_weights, dtype=torch.float32).detach().clone()
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"SoftWeightedLoss: class_weights must be a tensor or sequence of numbers, found {class_weights!r}"
            ) from error
        if weights.ndim != 1 or weights.numel() == 0:
            raise ValueError(
                f"SoftWeightedLoss: class_weights must have shape [C], found {list(weights.shape)}"
            )
        if not (weights.isfinite() & (weights >= 0)).all():
            raise ValueError(
                f"SoftWeightedLoss: class_weights must be finite and not negative, found {weights.tolist()}"
            )
        label_number("SoftWeightedLoss", "ignore_index", ignore_index)
        if not -1 <= background_number("SoftWeightedLoss", background) < weights.numel():
            raise ValueError(
                f"SoftWeightedLoss: background must be a class, 0 to {weights.numel() - 1}, None or -1, found {background}"
            )
        self.register_buffer("class_weights", weights)
        self.ignore_index = ignore_index
        self.background = background
        self.soft = soft

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        # A module moved to a 16-bit type took its buffers along.
        weights = self.class_weights.to(torch.float64 if logits.dtype == torch.float64 else torch.float32)
        return soft_weighted_loss(logits, labels, weights, self.ignore_index, self.background, self.soft)

    def extra_repr(self) -> str:
        return (
            f"classes={self.class_weights.numel()}, ignore_index={self.ignore_index}, "
            f"background={self.background}, soft={self.soft}"
        )
