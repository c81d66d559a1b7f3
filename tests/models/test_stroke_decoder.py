"""The decoder: stepping against teacher forcing, batched sampling against one by one, the end, drawings and their likelihood."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sketchfast.models import SketchDecoder, SketchSamples, StrokeDecoder, StrokeDecoderConfig, load_run
from sketchfast.models.sketch_samples import log_probability
from sketchfast.models.stroke_decoder import RandomNumbers, random_numbers
from sketchfast.nn import PhotoAttention
from sketchfast.training import save_model

SMALL = StrokeDecoderConfig(hidden=12, mixtures=3, max_points=9, offset_scale=0.25)


def drawing(pen: list[list[int]], seed: int = 0) -> SketchSamples:
    """Samples with these pen states: 2 and what follows it is the end."""
    states = torch.tensor(pen)
    lengths = (states != 2).sum(1)
    steps = torch.randn(*states.shape, 2, generator=torch.Generator().manual_seed(seed)).double()
    steps *= (states != 2)[..., None]
    hidden = torch.zeros(*states.shape, 1).double()
    return SketchSamples(0.25 * steps, states, lengths, steps, hidden)


def rows(samples: SketchSamples) -> Tensor:
    """Stroke-5 of what was drawn."""
    return torch.cat([samples.steps, torch.eye(3, dtype=samples.steps.dtype)[samples.pen]], dim=2)


@pytest.mark.parametrize("kind", ["photo", "context", "alone"])
def test_teacher_forcing_is_stepping(kind: str, seed: int) -> None:
    """Hidden states and attention of a drawing are found again when its points are given; so are the LSTM's equations."""
    torch.manual_seed(seed)
    context = {"photo": 4, "context": 6, "alone": 0}[kind]
    decoder = StrokeDecoder(SMALL, 5, context).double()
    with torch.no_grad():
        decoder.output.bias[2] = -1.0
    state = decoder.initial(torch.randn(6, 5).double())
    beside = torch.randn(6, 6).double() if kind == "context" else None
    attention = PhotoAttention(4, 12, 7).double()
    photo = attention.prepare(torch.randn(6, 4, 2, 3).double()) if kind == "photo" else None
    samples = decoder.sample(state, random_numbers(6, 9, None), beside, photo)
    hidden, alpha = decoder.unroll(rows(samples), state, beside, photo)
    drawn = torch.arange(hidden.shape[1]) <= samples.lengths[:, None]
    torch.testing.assert_close(hidden[drawn], samples.hidden[drawn])
    assert (alpha is None) == (samples.attention is None) == (kind != "photo")
    if alpha is not None:
        torch.testing.assert_close(alpha[drawn], samples.attention[drawn])
    # by the book, with torch's own cell
    cell = torch.nn.LSTMCell(context + 5, 12).double()
    cell.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in decoder.rnn.state_dict().items()}
    )
    h, c = state
    point = torch.tensor([0.0, 0, 1, 0, 0]).double().expand(6, 5)
    for t in range(hidden.shape[1]):
        before = [] if kind == "alone" else [beside if photo is None else attention(photo, h)[0]]
        h, c = cell(torch.cat([*before, point], dim=1), (h, c))
        torch.testing.assert_close(hidden[:, t], h)
        point = rows(samples)[:, t]


def test_start_of_the_state(seed: int) -> None:
    torch.manual_seed(seed)
    decoder, z = StrokeDecoder(SMALL, 5), torch.randn(2, 5)
    h, c = decoder.initial(z)
    both = torch.tanh(z @ decoder.start.weight.T + decoder.start.bias)
    torch.testing.assert_close(torch.cat([h, c], dim=1), both)
    h, c = StrokeDecoder(SMALL).initial(3)
    assert h.shape == c.shape == (3, 12) and not h.any() and not c.any()


@pytest.mark.parametrize("greedy", [False, True])
def test_a_batch_draws_what_its_rows_draw_one_by_one(greedy: bool, seed: int) -> None:
    """From one generator, whatever the batch; in float64, so that rounding decides nothing."""
    torch.manual_seed(seed)
    decoder = StrokeDecoder(SMALL, 5).double()
    z = 3 * torch.randn(8, 5).double()
    together = torch.Generator().manual_seed(seed)
    single = torch.Generator().manual_seed(seed)
    numbers = None if greedy else random_numbers(8, 9, together, latent=5)
    batch = decoder.sample(decoder.initial(z), numbers)
    for row in range(8):
        numbers = None if greedy else random_numbers(1, 9, single, latent=5)
        one = decoder.sample(decoder.initial(z[row : row + 1]), numbers)
        assert torch.equal(one.lengths[0], batch.lengths[row])
        steps = one.pen.shape[1]
        assert steps == min(int(one.lengths) + 1, 9)
        assert torch.equal(one.pen[0], batch.pen[row, :steps]) and (batch.pen[row, steps:] == 2).all()
        torch.testing.assert_close(one.offsets[0], batch.offsets[row, :steps])
        assert not batch.offsets[row, int(one.lengths) :].any()


def test_drawing_stops_when_all_have_ended(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pen states by script: sequence 0 ends at once, 1 after three points, 2 after five; 30 would be allowed."""
    torch.manual_seed(seed)
    config = StrokeDecoderConfig(hidden=4, mixtures=2, max_points=30)
    decoder = StrokeDecoder(config)
    ends = torch.tensor([0, 3, 5])
    calls = []
    decoder.output.register_forward_hook(lambda *_: calls.append(1))

    def scripted(mixture, uniform: Tensor, normal: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        t = len(calls) - 1
        # after its end a sequence goes on to say "touching": it must not come back to life
        return torch.ones(3, 2), torch.where(ends == t, 2, 0)

    monkeypatch.setattr("sketchfast.models.stroke_decoder.SketchMixture.sample", scripted)
    samples = decoder.sample(decoder.initial(3), random_numbers(3, 30, None))
    assert len(calls) == 6 and samples.lengths.tolist() == [0, 3, 5]
    assert samples.pen.tolist() == [[2] * 6, [0, 0, 0, 2, 2, 2], [0, 0, 0, 0, 0, 2]]
    assert samples.steps.sum(dim=(1, 2)).tolist() == [0, 6, 10]


def test_a_drawing_without_an_end_is_cut(seed: int) -> None:
    torch.manual_seed(seed)
    model = SketchDecoder(SMALL)
    with torch.no_grad():
        model.decoder.output.bias[2] = -1e4
    samples = model.sample(2)
    assert samples.lengths.tolist() == [9, 9] and samples.pen.shape == (2, 9)
    assert model.sample(2, max_points=4).lengths.tolist() == [4, 4]
    torch.testing.assert_close(samples.offsets, 0.25 * samples.steps)
    with torch.no_grad():
        model.decoder.output.bias[2] = 1e4
    empty = model.sample(2, greedy=True)
    assert empty.lengths.tolist() == [0, 0] and empty.pen.tolist() == [[2], [2]]
    assert empty.strokes(0) == [] and (empty.images(16) == 255).all()


def test_random_numbers_are_the_generators(seed: int) -> None:
    first = random_numbers(3, 4, torch.Generator().manual_seed(seed), latent=2)
    again = random_numbers(2, 4, torch.Generator().manual_seed(seed), latent=2)
    assert first.latent.shape == (3, 2) and first.normal.shape == first.uniform.shape == (3, 4, 2)
    for one, two in zip(first, again, strict=True):
        assert torch.equal(one[:2], two)
    model = SketchDecoder(SMALL)
    with torch.no_grad():
        model.decoder.output.bias[2] = -1e4
    drawn = [model.sample(3, torch.Generator().manual_seed(seed)).offsets for _ in range(2)]
    assert torch.equal(*drawn) and drawn[0].shape == (3, 9, 2)
    other = model.sample(3, torch.Generator().manual_seed(seed), temperature=0.1)
    assert not torch.equal(other.offsets, drawn[0]) and len(other) == 3


def test_points_strokes_and_pictures() -> None:
    samples = drawing([[0, 1, 0, 0, 2], [1, 0, 0, 0, 0], [0, 0, 2, 2, 2], [2, 2, 2, 2, 2]])
    points, lifts = samples.points(), samples.lifts()
    assert points.dtype == torch.float32 and lifts.dtype == torch.bool
    for row, length in enumerate(samples.lengths.tolist()):
        place = np.zeros(2)
        strokes, stroke = [], []
        for t in range(length):
            place = place + samples.offsets[row, t].numpy()
            assert points[row, t].numpy() == pytest.approx(place, rel=1e-5, abs=1e-6)
            stroke.append(place)
            last = t == length - 1
            assert bool(lifts[row, t]) == (int(samples.pen[row, t]) == 1 or last)
            if int(samples.pen[row, t]) == 1 or last:
                strokes.append(stroke)
                stroke = []
        assert not lifts[row, length:].any()
        found = samples.strokes(row)
        assert [len(part) for part in found] == [len(part) for part in strokes]
        for part, expected in zip(found, strokes, strict=True):
            assert part.dtype == np.float32
            np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6)
    images = samples.images(32, thickness=2)
    assert images.shape == (4, 32, 32) and images.dtype == torch.uint8
    ink = (images == 0).flatten(1).sum(1)
    assert (ink[:3] > 4).all() and ink[3] == 0
    # scaled into the picture with a margin of 1/16; and as it is on the canvas, whose centre is the origin
    rows_with_ink = (images[0] == 0).any(1).nonzero()
    columns = (images[0] == 0).any(0).nonzero()
    assert max(int(side[-1] - side[0]) for side in (rows_with_ink, columns)) in (27, 28, 29)
    dot = SketchSamples(
        torch.zeros(1, 1, 2), torch.ones(1, 1).long(), torch.ones(1).long(), *[torch.zeros(1)] * 2
    )
    assert (dot.images(33, fit=None)[0] == 0).nonzero().tolist() == [[16, 16]]


def test_log_probability_is_a_double_loop(seed: int) -> None:
    torch.manual_seed(seed)
    samples = drawing([[0, 1, 0, 0], [0, 2, 2, 2], [2, 2, 2, 2], [1, 0, 1, 2]], seed)
    y = torch.randn(4, 4, 6 * 2 + 3, dtype=torch.float64, requires_grad=True)
    found = log_probability(y, samples)
    for row in range(4):
        expected = 0.0
        for t in range(4):
            numbers = y[row, t].tolist()
            pens = np.exp(numbers[:3]) / np.exp(numbers[:3]).sum()
            weights = np.exp(numbers[3:5]) / np.exp(numbers[3:5]).sum()
            pen = int(samples.pen[row, t])
            expected += np.log(pens[pen])
            if pen == 2:
                break
            density = 0.0
            dx, dy = samples.steps[row, t].tolist()
            for j in range(2):
                mx, my, sx, sy, r = (numbers[5 + 2 * k + j] for k in range(5))
                sx, sy, rho = np.exp(sx), np.exp(sy), 0.999 * np.tanh(r)
                a, b = (dx - mx) / sx, (dy - my) / sy
                exponent = (a * a + b * b - 2 * rho * a * b) / (2 * (1 - rho**2))
                density += weights[j] * np.exp(-exponent) / (2 * np.pi * sx * sy * np.sqrt(1 - rho**2))
            expected += np.log(density)
        assert float(found[row].detach()) == pytest.approx(expected, rel=1e-7)
    (gradient,) = torch.autograd.grad(found.sum(), y)
    assert not gradient[1, 2:].any() and not gradient[2, 1:].any() and gradient[0].abs().sum(1).all()
    assert not gradient[2, 0, 3:].any() and gradient[2, 0, :3].any()  # an end row counts for the pen only


def test_save_and_load(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = SketchDecoder(SMALL).eval()
    save_model(tmp_path / "model", model)
    loaded = load_run(tmp_path)
    assert type(loaded) is SketchDecoder and loaded.config == SMALL
    stroke5 = torch.randn(2, 4, 5)
    assert torch.equal(loaded(stroke5), model(stroke5)) and model(stroke5).shape == (2, 4, 21)


def test_errors_name_the_argument() -> None:
    for field, value in (("hidden", 0), ("mixtures", 0), ("max_points", 0), ("offset_scale", 0.0)):
        with pytest.raises(ValueError, match=rf"{field} must be .*{value}"):
            StrokeDecoder(StrokeDecoderConfig(**{field: value}))
    decoder = StrokeDecoder(SMALL, 5, 4)
    with pytest.raises(ValueError, match=r"z must have the shape \[B, 5\], got 3"):
        decoder.initial(3)
    with pytest.raises(ValueError, match=r"z must have the shape \[B, 5\], got \[2, 4\]"):
        decoder.initial(torch.zeros(2, 4))
    state, context = decoder.initial(torch.zeros(2, 5)), torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"stroke5 must have the shape \[2, R, 5\], got \[3, 2, 5\]"):
        decoder.unroll(torch.zeros(3, 2, 5), state, context)
    with pytest.raises(ValueError, match=r"context must give 4 numbers a step to 2 sketches, got \[2, 0\]"):
        decoder.unroll(torch.zeros(2, 2, 5), state)
    photo = PhotoAttention(3, 12, 4).prepare(torch.zeros(2, 3, 2, 2))
    with pytest.raises(ValueError, match=r"photo must give 4 numbers a step to 2 sketches, got \[2, 3\]"):
        decoder.unroll(torch.zeros(2, 2, 5), state, None, photo)
    with pytest.raises(ValueError, match="context must be None"):
        decoder.unroll(torch.zeros(2, 2, 5), state, context, photo)
    with pytest.raises(ValueError, match=r"numbers.normal must have the shape \[2, 9 or more, 2\]"):
        decoder.sample(state, random_numbers(2, 8, None), context)
    few = random_numbers(2, 9, None)
    with pytest.raises(ValueError, match=r"numbers.uniform must have the shape \[2, 9 or more, 2\]"):
        decoder.sample(state, RandomNumbers(few.latent, few.normal, few.uniform[:1]), context)
    with pytest.raises(ValueError, match="max_points must be at least 1, got 0"):
        decoder.sample(state, None, context, max_points=0)
    with pytest.raises(ValueError, match=r"temperature must be a number above 0, got -1"):
        SketchDecoder(SMALL).sample(2, temperature=-1)
    with pytest.raises(ValueError, match=r"y must have the shape .*got \[1, 2, 9\]"):
        log_probability(torch.zeros(1, 2, 9), drawing([[0, 2, 2]]))
