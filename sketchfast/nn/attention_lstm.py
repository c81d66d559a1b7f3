"""An LSTM that looks at a photo before every step, over a whole known sequence: forward and backward through time.

    g_t, alpha_t = attend(h_{t-1})  (eq. 2 of Bhunia et al., CVPR 2021),   h_t, c_t = LSTM(h_{t-1}, c_{t-1}; [g_t, P_{t-1}])

What P_{t-1} adds to the gates comes in ready for all t. The backward is written out: gradients of weights and of the photo's
cells are one product over all steps at its end, where autograd would add a small product to a large matrix at each step, and
J [B, h w, dim] is computed again, where autograd would keep one for each step (420 MB for the paper's network and batch).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sketchfast.nn.photo_attention import AttendedPhoto, attend


def attention_lstm(
    from_points: Tensor, state: tuple[Tensor, Tensor], photo: AttendedPhoto, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """(h_1..h_T [B, T, H], alpha [B, T, h, w]); differentiable once, alpha not at all.

    from_points: [B, T, 4H], what the points and biases add to the gates, in torch's order. state: h_0, c_0 [B, H] each.
    weight: [c + H, 4H], what multiplies [g, h]. All of one dtype, float32 or float64.
    """
    attention = photo.attention
    of_state, score = 2 * attention.of_state.weight, 2 * attention.score.weight[0]
    hidden, alpha = _AttentionLSTM.apply(
        from_points, *state, photo.cells, photo.keys, of_state, score, weight
    )
    return hidden, alpha.unflatten(2, photo.sides)


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """(h, c) from the gates before their nonlinearity [B, 4H], which is applied in place; torch's order."""
    i, f, g, o = _gates(gates)
    i.sigmoid_(), f.sigmoid_(), g.tanh_(), o.sigmoid_()
    c = torch.addcmul(f * c, i, g)
    return o * c.tanh(), c


def _gates(gates: Tensor) -> tuple[Tensor, ...]:
    """Input, forget, cell, output [..., H] each."""
    return gates.chunk(4, dim=-1)


class _AttentionLSTM(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        from_points: Tensor,
        h: Tensor,
        c: Tensor,
        cells: Tensor,
        keys: Tensor,
        of_state: Tensor,
        score: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, Tensor]:
        batch, steps, _ = from_points.shape
        inputs = from_points.new_empty(steps, batch, len(weight))  # [g_t, h_{t-1}]
        gates = from_points.new_empty(steps, batch, weight.shape[1])  # after their nonlinearity
        cs = from_points.new_empty(steps + 1, batch, c.shape[1])
        hidden = from_points.new_empty(batch, steps, c.shape[1])
        alphas = from_points.new_empty(batch, steps, keys.shape[1])
        cs[0] = c
        transposed = of_state.T
        for t, row in enumerate(from_points.unbind(1)):
            glimpse, alphas[:, t] = attend(cells, keys, h @ transposed, score)
            torch.cat([glimpse, h], dim=1, out=inputs[t])
            torch.addmm(row, inputs[t], weight, out=gates[t])
            h, cs[t + 1] = lstm_cell(gates[t], cs[t])
            hidden[:, t] = h
        ctx.save_for_backward(cells, keys, of_state, score, weight, inputs, gates, cs, alphas)
        ctx.mark_non_differentiable(alphas)
        return hidden, alphas

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_hidden: Tensor, _: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(d_hidden.device.type, enabled=False):
            return _backward(d_hidden, *ctx.saved_tensors)


def _backward(
    d_hidden: Tensor,
    cells: Tensor,
    keys: Tensor,
    of_state: Tensor,
    score: Tensor,
    weight: Tensor,
    inputs: Tensor,
    gates: Tensor,
    cs: Tensor,
    alphas: Tensor,
) -> tuple[Tensor, ...]:
    steps = len(inputs)
    channels = cells.shape[2]
    i, f, g, o = _gates(gates)
    tanh_c = cs[1:].tanh()
    # Slopes of the gates' nonlinearities, and with them all that d gates is a product of but d h and d c, for all t at once.
    factors = torch.cat([g * i * (1 - i), cs[:-1] * f * (1 - f), i * (1 - g * g)], dim=-1)
    of_output, of_cell = tanh_c * o * (1 - o), o * (1 - tanh_c * tanh_c)
    queries = inputs[:, :, channels:] @ of_state.T
    d_gates, d_inputs, d_queries = (
        torch.empty_like(gates),
        torch.empty_like(inputs),
        torch.empty_like(queries),
    )
    d_keys, d_score = torch.zeros_like(keys), torch.zeros_like(score)
    d_h, d_c = torch.zeros_like(cs[0]), torch.zeros_like(cs[0])
    transposed = weight.T
    for t in reversed(range(steps)):
        d_h = d_h + d_hidden[:, t]
        d_c = torch.addcmul(d_c, d_h, of_cell[t])
        torch.mul(factors[t].unflatten(1, (3, -1)), d_c[:, None], out=d_gates[t].unflatten(1, (4, -1))[:, :3])
        torch.mul(of_output[t], d_h, out=_gates(d_gates[t])[3])
        d_c = d_c * f[t]
        torch.mm(d_gates[t], transposed, out=d_inputs[t])
        d_glimpse, d_h = d_inputs[t].split([channels, d_h.shape[1]], dim=1)
        # eq. 2 backwards, with s = sigmoid(keys + query), alpha = softmax(s score)
        alpha = alphas[:, t]
        d_alpha = torch.bmm(cells, d_glimpse[:, :, None]).squeeze(2)
        d_logits = alpha * (d_alpha - (alpha * d_alpha).sum(dim=1, keepdim=True))
        s = (keys + queries[t][:, None]).sigmoid_()
        d_score += d_logits.reshape(-1) @ s.flatten(0, 1)
        slope = torch.addcmul(s, s, s, value=-1)
        d_keys.addcmul_(d_logits[:, :, None], slope)  # times score, for all t at the end
        torch.mul(torch.bmm(d_logits[:, None], slope).squeeze(1), score, out=d_queries[t])
        d_h = torch.addmm(d_h, d_queries[t], of_state)
    d_cells = torch.bmm(alphas.mT, d_inputs[:, :, :channels].transpose(0, 1))
    d_of_state = d_queries.flatten(0, 1).T @ inputs[:, :, channels:].flatten(0, 1)
    d_weight = inputs.flatten(0, 1).T @ d_gates.flatten(0, 1)
    return d_gates.transpose(0, 1), d_h, d_c, d_cells, d_keys * score, d_of_state, d_score, d_weight
