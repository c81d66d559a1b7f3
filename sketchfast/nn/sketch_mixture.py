"""Distribution of the next point of a drawing: Bhunia et al., CVPR 2021, equations 1 and 3, after sketch-rnn (Ha and Eck).

    p(dx, dy) = sum_j Pi_j N(dx, dy | lambda_j),   lambda = {mu_x, mu_y, sigma_x, sigma_y, rho_xy}             (1)
    L_R = -1/T [sum_i log p(dz_i | lambda_i) + log p(pen_i)]                                                  (3, first part)

A decoder's output of 6M + 3 numbers holds, in this order: 3 pen logits (touching, lifted after this point, end), then M each
of mixture logits, mu_x, mu_y, log sigma_x, log sigma_y and artanh rho.
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.nn.precision import at_least_float32

# (D) Points that repeat would draw log sigma to minus infinity, and rho to 1; offsets have a deviation of 1.
LOG_STD_RANGE = (-6.0, 6.0)
MAX_CORRELATION = 0.999


class SketchMixture:
    """Eq. 1 and the pen of one or many steps, from outputs y: floating [..., 6M + 3]; leading axes are kept throughout.

    Computed in float32, or float64 for float64; autocast does not apply. log sigma is held to LOG_STD_RANGE, |rho| to
    MAX_CORRELATION (D). Raises ValueError for a last axis that is no 6M + 3 with M >= 1.
    """

    def __init__(self, y: Tensor) -> None:
        width = y.shape[-1] if y.ndim else 0
        if width < 9 or (width - 3) % 6:
            raise ValueError(f"y must have a last axis of 6M + 3 numbers with M >= 1, got {list(y.shape)}")
        y = at_least_float32(y)
        self.mixtures = (width - 3) // 6
        self.pen_logits = y[..., :3]  # [..., 3]
        self.logits = y[..., 3 : 3 + self.mixtures]  # of Pi, [..., M]
        self._parameters = y[..., 3 + self.mixtures :].unflatten(-1, (5, self.mixtures))  # [..., 5, M]

    @cached_property
    def log_weights(self) -> Tensor:
        """log Pi, [..., M]."""
        return F.log_softmax(self.logits, dim=-1)

    @cached_property
    def mean(self) -> Tensor:
        """(mu_x, mu_y), [..., M, 2]."""
        return self._parameters[..., :2, :].mT

    @cached_property
    def std(self) -> Tensor:
        """(sigma_x, sigma_y), [..., M, 2]."""
        return _log_std(self._parameters[..., 2:4, :]).exp().mT

    @cached_property
    def correlation(self) -> Tensor:
        """rho_xy, [..., M]."""
        return _correlation(self._parameters[..., 4, :])

    def log_density(self, offsets: Tensor) -> Tensor:
        """log p(dx, dy), eq. 1: offsets floating [..., 2] -> [...]. ValueError for another shape."""
        lead = self.logits.shape[:-1]
        if offsets.shape != (*lead, 2):
            raise ValueError(f"offsets must have the shape {[*lead, 2]}, got {list(offsets.shape)}")
        with torch.autocast(offsets.device.type, enabled=False):
            parameters = self._parameters
            log_std = _log_std(parameters[..., 2:4, :])
            away = (offsets.to(parameters)[..., None] - parameters[..., :2, :]) * (-log_std).exp()
            x, y = away.unbind(-2)
            rho = self.correlation
            rest = (1 - rho) * (1 + rho)
            # x^2 + y^2 - 2 rho x y as a sum of squares, which cannot come out negative
            squared = y.square() + (x - rho * y).square() / rest
            normal = -0.5 * (squared + rest.log()) - log_std.sum(-2) - math.log(2 * math.pi)
            return torch.logsumexp(self.log_weights + normal, dim=-1)

    def pen_log_prob(self, pen: Tensor) -> Tensor:
        """log p of pen states, int64 [...] in 0..2 -> [...]. ValueError for another shape."""
        lead = self.logits.shape[:-1]
        if pen.shape != lead:
            raise ValueError(f"pen must have the shape {list(lead)}, got {list(pen.shape)}")
        return F.log_softmax(self.pen_logits, dim=-1).gather(-1, pen[..., None]).squeeze(-1)

    def sample(self, uniform: Tensor, normal: Tensor, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """(offset [..., 2], pen int64 [...]) from given random numbers, without gradient.

        uniform: [..., 2] in [0, 1): which component, which pen state (smallest number whose cumulated probability is above
            it). normal: standard normal [..., 2]. temperature, above 0: logits are divided by it, sigma is multiplied by its
            square root, as in sketch-rnn.

        Raises ValueError naming the argument.
        """
        if not 0 < temperature < math.inf:
            raise ValueError(f"temperature must be a number above 0, got {temperature}")
        shape = (*self.logits.shape[:-1], 2)
        for name, numbers in (("uniform", uniform), ("normal", normal)):
            if numbers.shape != shape:
                raise ValueError(f"{name} must have the shape {list(shape)}, got {list(numbers.shape)}")
        with torch.no_grad():
            component = _choose(self.logits, uniform[..., :1], temperature)
            chosen = self._of(component)
            first, second = normal[..., 0], normal[..., 1]
            std = _log_std(chosen[..., 2:4]).exp() * math.sqrt(temperature)
            rho = _correlation(chosen[..., 4])
            second = rho * first + ((1 - rho) * (1 + rho)).sqrt() * second
            offset = chosen[..., :2] + std * torch.stack([first, second], dim=-1)
            return offset, _choose(self.pen_logits, uniform[..., 1:], temperature)

    def greedy(self) -> tuple[Tensor, Tensor]:
        """(mean of the most likely component [..., 2], most likely pen state int64 [...])."""
        return self._of(self.logits.argmax(-1))[..., :2], self.pen_logits.argmax(-1)

    def _of(self, component: Tensor) -> Tensor:
        """The five numbers of one component each: int64 [...] -> [..., 5]."""
        index = component[..., None, None].expand(*component.shape, 5, 1)
        return self._parameters.gather(-1, index).squeeze(-1)


def _log_std(raw: Tensor) -> Tensor:
    return raw.clamp(*LOG_STD_RANGE)


def _correlation(raw: Tensor) -> Tensor:
    return MAX_CORRELATION * raw.tanh()


def _choose(logits: Tensor, uniform: Tensor, temperature: float) -> Tensor:
    """int64 [...]: inverse of the cumulated softmax(logits / temperature) [..., n] at uniform [..., 1]."""
    cumulated = (logits / temperature).softmax(-1).cumsum(-1)
    return (uniform >= cumulated[..., :-1]).sum(-1)  # rounding in the last sum cannot choose beyond the end


def stroke_nll(y: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """L_R of eq. 3 for each sequence, in its two parts: (offset_nll [B], pen_nll [B]).

    y: outputs [B, R, 6M + 3]. target: stroke-5 [B, R, 5], row t what y_t predicts; after the first row with p3 = 1 there is
        padding. Both are means over T, the rows up to and including that one; it counts for the pen only (D).

    float32, or float64 for float64; autocast does not apply. Raises ValueError for other shapes.
    """
    if target.ndim != 3 or target.shape[-1] != 5 or y.ndim != 3 or y.shape[:2] != target.shape[:2]:
        raise ValueError(
            f"y and target must have the shapes [B, R, 6M + 3] and [B, R, 5], got {list(y.shape)} and {list(target.shape)}"
        )
    mixture = SketchMixture(y)
    ended = target[..., 4].cumsum(1)  # 0 in rows of points, 1 in the end row, more after it
    points = ended < 0.5
    rows = points | ((ended < 1.5) & (target[..., 4] > 0.5))
    t = rows.sum(1)
    offset_nll = mixture.log_density(target[..., :2]).where(points, 0.0).sum(1)
    pen_nll = mixture.pen_log_prob(target[..., 2:].argmax(-1)).where(rows, 0.0).sum(1)
    return -offset_nll / t, -pen_nll / t
