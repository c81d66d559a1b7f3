"""LSTM that draws point after point: the decoder of Bhunia et al., CVPR 2021, section 3.1, after sketch-rnn (Ha and Eck).

    s_t = LSTM(s_{t-1}; [context_t, P_{t-1}]),   y_t = W_y h_t + b_y,   [h_0; c_0] = tanh(W_z z + b_z)

P is the last point in stroke-5 (dx, dy, touching, lifted, end), P_0 = (0, 0, 1, 0, 0); y_t describes the next one
(`sketchfast.nn.sketch_mixture`). context_t is a glimpse of the photo (`sketchfast.nn.photo_attention`), a vector that stays
the same (Pix2Seq), or nothing. What does not depend on h is computed for all t at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sketchfast.models.sketch_samples import SketchSamples
from sketchfast.nn.photo_attention import AttendedPhoto
from sketchfast.nn.sketch_mixture import SketchMixture

State = tuple[Tensor, Tensor]  # h, c: [B, H]
_ASK_EVERY = 8  # steps on CUDA between two looks at whether all have ended: each look waits for the device


@dataclass
class StrokeDecoderConfig:
    """The decoder alone; what it is trained with lives in train/more_photos.py."""

    hidden: int = 512
    mixtures: int = 20  # M
    max_points: int = 100  # a sample without an end is cut there
    offset_scale: float = 1.0  # standard deviation of the training set's offsets, in canvas units


class RandomNumbers(NamedTuple):
    """What sampling uses, made on the CPU up front: the same on every device."""

    latent: Tensor  # standard normal [B, N_z]
    normal: Tensor  # standard normal [B, T, 2]
    uniform: Tensor  # [B, T, 2] in [0, 1)


def random_numbers(
    count: int, points: int, generator: torch.Generator | None, latent: int = 0
) -> RandomNumbers:
    """Numbers for `count` sketches of at most `points` points, row after row.

    A row takes its numbers from the (CPU) generator in one go, so a batch draws what its rows would draw one by one.
    """
    normal, uniform = torch.empty(count, latent + 2 * points), torch.empty(count, 2 * points)
    for row in range(count):
        normal[row].normal_(generator=generator)
        uniform[row].uniform_(generator=generator)
    return RandomNumbers(
        normal[:, :latent], normal[:, latent:].unflatten(1, (points, 2)), uniform.unflatten(1, (points, 2))
    )


class StrokeDecoder(nn.Module):
    """The LSTM, its start [h_0; c_0] from a latent vector, and `output` = W_y, b_y. Runs in its parameters' precision.

    latent: N_z, length of z; 0: the state starts at 0. context: length of what enters each step beside the point.
    Raises ValueError naming the setting for counts below 1 (latent and context: 0) and an offset_scale that is not above 0.
    """

    def __init__(self, config: StrokeDecoderConfig, latent: int = 0, context: int = 0) -> None:
        super().__init__()
        for name in ("hidden", "mixtures", "max_points"):
            if getattr(config, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")
        if not 0 < config.offset_scale < float("inf"):
            raise ValueError(f"offset_scale must be a number above 0, got {config.offset_scale}")
        self.config, self.latent, self.context = config, latent, context
        self.start = nn.Linear(latent, 2 * config.hidden) if latent else None  # W_z, b_z
        self.rnn = nn.LSTM(context + 5, config.hidden, batch_first=True)
        self.output = nn.Linear(config.hidden, 6 * config.mixtures + 3)
        with torch.no_grad():  # forget gates begin open, as in sketch-rnn
            _, _, bias, second_bias = self.rnn.all_weights[0]
            bias[config.hidden : 2 * config.hidden].fill_(1.0)
            second_bias[config.hidden : 2 * config.hidden].zero_()

    def initial(self, z: Tensor | int) -> State:
        """(h_0, c_0) [B, H] each: of latent vectors [B, N_z], or zeros for a number of sketches where latent is 0."""
        if self.start is None:
            count = z if isinstance(z, int) else len(z)
            return (zeros := self.output.weight.new_zeros(count, self.config.hidden)), zeros
        if isinstance(z, int) or z.ndim != 2 or z.shape[1] != self.latent:
            found = z if isinstance(z, int) else list(z.shape)
            raise ValueError(f"z must have the shape [B, {self.latent}], got {found}")
        h, c = self.start(z.to(self.start.weight)).tanh().chunk(2, dim=1)
        return h, c

    def unroll(
        self,
        stroke5: Tensor,
        state: State,
        context: Tensor | None = None,
        photo: AttendedPhoto | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: (hidden [B, R, H] = h_1..h_R, alpha [B, R, h, w] with a photo to attend to).

        stroke5: floating [B, R, 5], the rows to be predicted; row t is predicted after row t - 1. state: h_0, c_0.
        context: [B, context], the same at every step, or photo, whose glimpses have that length, or neither.

        Raises ValueError naming the argument for other shapes.
        """
        if stroke5.ndim != 3 or stroke5.shape[2] != 5 or len(stroke5) != len(state[0]):
            raise ValueError(
                f"stroke5 must have the shape [{len(state[0])}, R, 5], got {list(stroke5.shape)}"
            )
        self._check(len(stroke5), context, photo)
        with torch.autocast(stroke5.device.type, enabled=False):
            first = start_token(len(stroke5), self.output.weight)[:, None]
            points = torch.cat([first, stroke5[:, :-1].to(first)], dim=1)
            if photo is not None:
                return self._attend(points, state, photo)
            if context is not None:
                points = torch.cat(
                    [context.to(first)[:, None].expand(-1, points.shape[1], -1), points], dim=2
                )
            return self.rnn(points, (state[0][None], state[1][None]))[0], None

    def _attend(self, points: Tensor, state: State, photo: AttendedPhoto) -> tuple[Tensor, Tensor]:
        h, c = state
        weight, of_point, bias = self._gate_weights()
        hidden, alphas = [], []
        for row in (points @ of_point + bias).unbind(1):
            glimpse, alpha = photo.attention(photo, h)
            h, c = _lstm_cell(torch.addmm(row, torch.cat([glimpse, h], dim=1), weight), c)
            hidden.append(h)
            alphas.append(alpha)
        return torch.stack(hidden, dim=1), torch.stack(alphas, dim=1)

    def _gate_weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the LSTM's gates: what multiplies [g, h] [context + H, 4H], the point [5, 4H], and the bias [4H]."""
        of_input, of_state, bias, second_bias = self.rnn.all_weights[0]
        of_context, of_point = of_input.split([self.context, 5], dim=1)
        return torch.cat([of_context, of_state], dim=1).T, of_point.T, bias + second_bias

    def _check(self, batch: int, context: Tensor | None, photo: AttendedPhoto | None) -> None:
        if context is not None and photo is not None:
            raise ValueError("context must be None where a photo is attended to, got both")
        if photo is not None:
            found = [len(photo.cells), photo.cells.shape[2]]
        else:
            found = [batch, 0] if context is None else list(context.shape)
        if found != [batch, self.context]:
            name = "context" if photo is None else "photo"
            raise ValueError(
                f"{name} must give {self.context} numbers a step to {batch} sketches, got {found}"
            )

    @torch.no_grad()
    def sample(
        self,
        state: State,
        numbers: RandomNumbers | None,
        context: Tensor | None = None,
        photo: AttendedPhoto | None = None,
        temperature: float = 1.0,
        max_points: int | None = None,
    ) -> SketchSamples:
        """Draw, until every sequence has ended or has `max_points` points (the config's by default).

        state, context, photo: as `unroll`. numbers: for at least `max_points` points, or None for greedy drawing: the mean
            of the most likely component and the most likely pen state. temperature: see `SketchMixture.sample`.

        Raises ValueError naming the argument.
        """
        (h, c), limit = state, self.config.max_points if max_points is None else max_points
        batch, device = len(h), h.device
        if limit < 1:
            raise ValueError(f"max_points must be at least 1, got {limit}")
        if numbers is not None:
            for name, values in (("normal", numbers.normal), ("uniform", numbers.uniform)):
                if len(values) != batch or values.shape[1] < limit:
                    raise ValueError(
                        f"numbers.{name} must have the shape [{batch}, {limit} or more, 2], got {list(values.shape)}"
                    )
            normal, uniform = (values.to(device).unbind(1) for values in numbers[1:])
        self._check(batch, context, photo)
        with torch.autocast(device.type, enabled=False):
            weight, of_point, bias = self._gate_weights()
            weight = torch.cat([weight, of_point])
            point = start_token(batch, self.output.weight)
            alive = torch.ones(batch, dtype=torch.bool, device=device)
            states = torch.eye(3, dtype=point.dtype, device=device)
            steps, pens, hidden, alphas = [], [], [], []
            for t in range(limit):
                parts = [h, point]
                if photo is not None:
                    glimpse, alpha = photo.attention(photo, h)
                    parts.insert(0, glimpse)
                    alphas.append(alpha)
                elif context is not None:
                    parts.insert(0, context.to(h))
                h, c = _lstm_cell(torch.addmm(bias, torch.cat(parts, dim=1), weight), c)
                mixture = SketchMixture(self.output(h))
                if numbers is None:
                    step, pen = mixture.greedy()
                else:
                    step, pen = mixture.sample(uniform[t].to(h), normal[t].to(h), temperature)
                pen = pen.where(alive, 2)  # after the end: the end again
                alive = pen != 2
                step = step.where(alive[:, None], 0.0)
                point = torch.cat([step, states[pen]], dim=1)
                steps.append(step)
                pens.append(pen)
                hidden.append(h)
                if (device.type != "cuda" or t % _ASK_EVERY == _ASK_EVERY - 1) and not alive.any():
                    break
            pen = torch.stack(pens, dim=1)
            lengths = (pen != 2).sum(dim=1)
            # CUDA goes on for some steps after the last end; they are cut off, so that the shape does not depend on it.
            t = min(int(lengths.max()) + 1, limit) if batch else 0
            drawn = torch.stack(steps, dim=1)[:, :t]
            return SketchSamples(
                offsets=drawn * self.config.offset_scale,
                pen=pen[:, :t],
                lengths=lengths,
                steps=drawn,
                hidden=torch.stack(hidden, dim=1)[:, :t],
                attention=torch.stack(alphas, dim=1)[:, :t] if alphas else None,
            )


def start_token(batch: int, like: Tensor) -> Tensor:
    """P_0 [B, 5], of the dtype and on the device of `like`."""
    return like.new_tensor([0.0, 0.0, 1.0, 0.0, 0.0]).expand(batch, 5)


def _lstm_cell(gates: Tensor, c: Tensor) -> State:
    """(h, c) from the gates before their nonlinearity [B, 4H], in torch's order (input, forget, cell, output)."""
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
    return o.sigmoid() * c.tanh(), c


class SketchDecoder(nn.Module):
    """The decoder without a photo: draws what the strokes it was trained on have in common (sketch-rnn, unconditional)."""

    def __init__(self, config: StrokeDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.decoder = StrokeDecoder(config)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> SketchDecoder:
        """The network of a checkpoint's metadata, before its weights are loaded."""
        return cls(StrokeDecoderConfig(**metadata["config"]))

    def forward(self, stroke5: Tensor) -> Tensor:
        """Teacher forcing: floating [B, R, 5] -> y [B, R, 6M + 3], y_t of row t given the rows before it."""
        hidden, _ = self.decoder.unroll(stroke5, self.decoder.initial(len(stroke5)))
        return self.decoder.output(hidden)

    def sample(
        self,
        count: int,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        greedy: bool = False,
        max_points: int | None = None,
    ) -> SketchSamples:
        """`count` drawings; generator: on the CPU, torch's global one by default. Errors as `StrokeDecoder.sample`."""
        limit = self.config.max_points if max_points is None else max_points
        numbers = None if greedy else random_numbers(count, limit, generator)
        return self.decoder.sample(
            self.decoder.initial(count), numbers, temperature=temperature, max_points=max_points
        )
