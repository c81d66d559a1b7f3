"""REINFORCE (Williams, 1992) with one reward for a whole sequence: Bhunia et al., More Photos are All You Need, CVPR 2021, second
term of equation 9.

    grad E[R] = E[grad log p(sequence) (R - b)]

b may be anything that does not depend on the sequence: it leaves the expectation as it is and lowers the variance. The paper
names none; ours is a moving average of past rewards (D).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32


class MovingAverageBaseline(nn.Module):
    """b = an exponential moving average of the batches' mean rewards; a module, so that checkpoints and devices have it too.

    forward(reward [B]) -> b, a scalar, as it was before this batch, which is then counted in (in training mode only). With no
    batch before, b is this batch's own mean: such a gradient is the expected one times 1 - 1/B. momentum: 0 to below 1, the share
    of the past. ValueError for another momentum, and for rewards that are not [B].
    """

    value: Tensor
    batches: Tensor

    def __init__(self, momentum: float = 0.9) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, got {momentum}")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, reward: Tensor) -> Tensor:
        _check_rewards(reward)
        mean = reward.to(self.value).mean()
        # Without a look at the counter, which on CUDA would wait for the device.
        baseline = torch.where(self.batches > 0, self.value, mean)
        if self.training:
            self.value.copy_(self.momentum * baseline + (1 - self.momentum) * mean)
            self.batches.add_(1)
        return baseline

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}"


def reinforce_loss(
    log_probability: Tensor, reward: Tensor, baseline: MovingAverageBaseline | None = None
) -> Tensor:
    """A scalar whose gradient is an estimate of -grad E[R]: -mean over B of log p (R - b); its value means nothing.

    log_probability: [B], the sum over a drawn sequence's steps, with gradient; the draw itself has none. reward: [B], taken
    without gradient. baseline: the one to subtract, which counts this batch in; None: b = 0. Eq. 9 has it times lambda_G.
    ValueError for other shapes.
    """
    _check_rewards(reward)
    if log_probability.shape != reward.shape:
        raise ValueError(
            f"log_probability must have the shape of reward, {list(reward.shape)}, got {list(log_probability.shape)}"
        )
    log_probability = at_least_float32(log_probability)
    advantage = reward.detach().to(log_probability)
    if baseline is not None:
        advantage = advantage - baseline(advantage).to(advantage)
    return -(log_probability * advantage).mean()


def _check_rewards(reward: Tensor) -> None:
    if reward.ndim != 1 or len(reward) == 0:
        raise ValueError(f"reward must have the shape [B], one a sequence, got {list(reward.shape)}")
