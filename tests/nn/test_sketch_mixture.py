"""Eq. 1 against torch.distributions, what is sampled against the mixture, the reconstruction loss against a double loop."""

import math

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from sketchfast.nn import SketchMixture, stroke_nll

M = 5
P_VALUE = 1e-9  # below it a sample does not come from the mixture


def outputs(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, 6 * M + 3, generator=generator, dtype=torch.float64).to(dtype)


def distribution(y: Tensor) -> MixtureSameFamily:
    """Eq. 1 from the documented order of the numbers."""
    logits, mx, my, sx, sy, r = y[..., 3:].split(M, dim=-1)
    sx, sy, rho = sx.exp(), sy.exp(), 0.999 * r.tanh()
    mixed = rho * sx * sy
    rows = [torch.stack([sx**2, mixed], -1), torch.stack([mixed, sy**2], -1)]
    normal = MultivariateNormal(torch.stack([mx, my], -1), torch.stack(rows, -2))
    return MixtureSameFamily(Categorical(logits=logits), normal)


def test_likelihood_against_torch_distributions(seed: int) -> None:
    y = outputs(4, 7, seed=seed)
    offsets = 2 * torch.randn(4, 7, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = SketchMixture(y).log_density(offsets)
    torch.testing.assert_close(found, distribution(y).log_prob(offsets), rtol=1e-8, atol=1e-8)
    pen = torch.randint(3, (4, 7), generator=torch.Generator().manual_seed(seed))
    expected = Categorical(logits=y[..., :3]).log_prob(pen)
    torch.testing.assert_close(SketchMixture(y).pen_log_prob(pen), expected, rtol=1e-10, atol=1e-10)
    single = SketchMixture(y.float()).log_density(offsets.float())
    torch.testing.assert_close(single.double(), found, rtol=1e-3, atol=1e-3)


def test_parameters_are_those_of_the_density(seed: int) -> None:
    y = outputs(3, seed=seed)
    mixture = SketchMixture(y)
    assert mixture.mean.shape == mixture.std.shape == (3, M, 2)
    torch.testing.assert_close(mixture.log_weights.exp().sum(-1), torch.ones(3, dtype=torch.float64))
    sx, sy = mixture.std.unbind(-1)
    mixed = mixture.correlation * sx * sy
    covariance = torch.stack([torch.stack([sx**2, mixed], -1), torch.stack([mixed, sy**2], -1)], -2)
    expected = distribution(y).component_distribution
    torch.testing.assert_close(mixture.mean, expected.mean)
    torch.testing.assert_close(covariance, expected.covariance_matrix)


def test_extreme_outputs_stay_finite() -> None:
    y = torch.zeros(2, 9, requires_grad=True)
    with torch.no_grad():
        y[0, 6:] = 200.0
        y[1, 6:] = -200.0
    mixture = SketchMixture(y)
    density = mixture.log_density(torch.tensor([[0.0, 0.0], [3.0, -3.0]]))
    density.sum().backward()
    assert density.isfinite().all() and y.grad is not None and y.grad.isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 0.4, 2.0])
def test_sampling_frequencies(temperature: float, seed: int) -> None:
    """Chi-squared: pen states, and offsets along four directions in 21 cells, against the mixture's own probabilities."""
    count = 40_000
    y = outputs(seed=seed)
    y[:3] *= 0.3  # no pen state so rare that chi-squared does not hold
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    normal = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    offsets, pen = SketchMixture(y.expand(count, -1)).sample(uniform, normal, temperature)
    hot = y.clone()  # the mixture at this temperature: sketch-rnn divides logits and multiplies variances
    hot[: 3 + M] /= temperature
    hot[3 + 3 * M : 3 + 5 * M] += 0.5 * math.log(temperature)
    seen = torch.bincount(pen, minlength=3)
    expected = hot[:3].softmax(0) * count
    statistic = float(((seen - expected) ** 2 / expected).sum())
    assert chi2.sf(statistic, 2) > P_VALUE, (seed, statistic)
    # Seen along a direction, the mixture is one of normal distributions in one dimension.
    mixture = SketchMixture(hot)
    weights, mean, std, rho = mixture.log_weights.exp(), mixture.mean, mixture.std, mixture.correlation
    for direction in torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]], dtype=torch.float64):
        centre = mean @ direction
        covariance = 2 * rho * std.prod(-1) * direction.prod()
        spread = ((std * direction).square().sum(-1) + covariance).sqrt()
        along = offsets @ direction
        edges = along[:200].sort().values[4::10].contiguous()  # 20 edges, from samples that do not count
        at = (weights * torch.special.ndtr((edges[:, None] - centre) / spread)).sum(-1)
        shares = torch.diff(at, prepend=at.new_zeros(1), append=at.new_ones(1))
        seen = torch.bincount(torch.bucketize(along[200:], edges), minlength=len(edges) + 1)
        expected = shares * (count - 200)
        statistic = float(((seen - expected) ** 2 / expected).sum())
        assert chi2.sf(statistic, len(edges)) > P_VALUE, (seed, temperature, direction, statistic)


def test_greedy_and_temperature_near_0(seed: int) -> None:
    y = outputs(6, seed=seed)
    mixture = SketchMixture(y)
    offset, pen = mixture.greedy()
    for row in range(6):
        best = int(y[row, 3 : 3 + M].argmax())
        assert torch.equal(offset[row], y[row, [3 + M + best, 3 + 2 * M + best]])
        assert int(pen[row]) == int(y[row, :3].argmax())
    uniform = torch.full((6, 2), 0.5, dtype=torch.float64)
    cold, cold_pen = mixture.sample(uniform, torch.randn(6, 2, dtype=torch.float64), 1e-12)
    torch.testing.assert_close(cold, offset, rtol=1e-3, atol=1e-3)
    assert torch.equal(cold_pen, pen)


def test_reconstruction_loss_is_a_double_loop(seed: int) -> None:
    """Rows after the end do not count, the end row counts for the pen only; a sequence without an end counts whole."""
    y = outputs(4, 6, seed=seed)
    target = torch.zeros(4, 6, 5, dtype=torch.float64)
    target[..., :2] = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(seed))
    lengths = [3, 0, 6, 5]
    for row, length in enumerate(lengths):
        target[row, :length, 2] = 1
        target[row, 1:length:2, 2:4] = torch.tensor([0.0, 1.0], dtype=torch.float64)
        target[row, length:, 4] = 1
    offset_nll, pen_nll = stroke_nll(y, target)
    for row, length in enumerate(lengths):
        offsets = pens = 0.0
        rows = min(length + 1, 6)
        for t in range(rows):
            if t < length:
                offsets += float(distribution(y[row, t]).log_prob(target[row, t, :2]))
            pens += float((target[row, t, 2:] * y[row, t, :3].log_softmax(0)).sum())
        assert float(offset_nll[row]) == pytest.approx(-offsets / rows, rel=1e-8, abs=1e-10)
        assert float(pen_nll[row]) == pytest.approx(-pens / rows, rel=1e-8)


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match=r"y must have a last axis of 6M \+ 3.*\[2, 10\]"):
        SketchMixture(torch.zeros(2, 10))
    with pytest.raises(ValueError, match="y must have a last axis"):
        SketchMixture(torch.zeros(2, 3))
    mixture = SketchMixture(torch.zeros(2, 9))
    with pytest.raises(ValueError, match=r"offsets must have the shape \[2, 2\], got \[3, 2\]"):
        mixture.log_density(torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"pen must have the shape \[2\]"):
        mixture.pen_log_prob(torch.zeros(1, dtype=torch.int64))
    pair = torch.zeros(2, 2)
    for temperature in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="temperature must be a number above 0"):
            mixture.sample(pair, pair, temperature)
    with pytest.raises(ValueError, match=r"normal must have the shape \[2, 2\], got \[2, 1\]"):
        mixture.sample(pair, pair[:, :1])
    with pytest.raises(ValueError, match="y and target must have the shapes"):
        stroke_nll(torch.zeros(2, 3, 9), torch.zeros(2, 4, 5))
