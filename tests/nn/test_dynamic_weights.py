"""Weights made from a descriptor: equations 8 to 11 worked out in float64 by numpy, one number at a time."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

from sketchfast.nn import DynamicWeights, gaussian_kl, group_triplet_loss


def double(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def eq_10(
    layer: DynamicWeights, phi: np.ndarray, noise: np.ndarray
) -> tuple[list[float], list[float], list[float]]:
    """(eta, mu, sigma) of one descriptor [M] and one sample of noise [D]."""
    eta, mus, sigmas = [], [], []
    for d in range(len(noise)):
        mu, half = (
            head.bias[d].item() + sum(head.weight[d, m].item() * phi[m] for m in range(len(phi)))
            for head in (layer.mu, layer.log_variance)
        )
        sigma = math.exp(half / 2)
        eta.append(mu + sigma * noise[d])
        mus.append(mu)
        sigmas.append(sigma)
    if layer.unit_length:
        length = math.sqrt(sum(value * value for value in eta))
        eta = [value / length for value in eta]
    return eta, mus, sigmas


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("own_noise", [True, False])
def test_eta_as_in_eq_10(unit_length: bool, own_noise: bool, seed: int) -> None:
    torch.manual_seed(seed)
    layer = DynamicWeights(3, 5, unit_length).double()
    descriptors, noise = double(4, 3), double(4, 2, 5) if own_noise else double(2, 5)
    eta, mu, log_variance = layer(descriptors, noise)
    assert eta.shape == (4, 2, 5)
    for row in range(4):
        for sample in range(2):
            drawn = noise[row, sample] if own_noise else noise[sample]
            values, mus, sigmas = eq_10(layer, descriptors[row].numpy(), drawn.numpy())
            np.testing.assert_allclose(eta[row, sample].detach(), values, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(mu[row].detach(), mus, rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose((log_variance[row] / 2).exp().detach(), sigmas, rtol=1e-12)


def test_kl_as_torch_computes_it(seed: int) -> None:
    torch.manual_seed(seed)
    mu, log_variance = double(6, 7), double(6, 7)
    drawn = Independent(Normal(mu, (log_variance / 2).exp()), 1)
    unit = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    expected = kl_divergence(drawn, unit).mean()
    torch.testing.assert_close(gaussian_kl(mu, log_variance), expected, rtol=1e-12, atol=0)
    single = gaussian_kl(mu.float(), log_variance.float())
    torch.testing.assert_close(single, expected.float())
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


def test_kl_keeps_its_digits_near_the_unit_gaussian() -> None:
    """sigma^2 = exp(x): the divergence is x^2 / 4 + x^3 / 12 + ..., far below the rounding of exp(x) - 1 - x in float32."""
    x = 1e-3
    expected = (x**2 / 2 + x**3 / 6 + x**4 / 24) / 2
    assert gaussian_kl(torch.zeros(1, 1), torch.full((1, 1), x)).item() == pytest.approx(expected, rel=1e-3)


def psi(weights: list[float], features: list[float]) -> list[float]:
    """Eq. 8 with w = 1 + eta: eta F + F."""
    return [(w - 1) * f + f for w, f in zip(weights, features, strict=True)]


def distance(weights: list[float], sketch: list[float], photo: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(psi(weights, sketch), psi(weights, photo), strict=True))


def eq_9(sketches, photos, weights, margin: float, negatives: str, uniform) -> float:
    """Sketch by sketch and photo by photo; everything lists of numbers."""
    losses = []
    g = len(sketches) // len(photos)
    for row, sketch in enumerate(sketches):
        group, own = divmod(row, g)
        w = weights[row]
        near = distance(w, sketch, photos[group][own])
        far = [distance(w, sketch, p) for number, p in enumerate(photos[group]) if number != own]
        if negatives == "random":
            far = [far[math.floor(uniform[row] * len(far))]]
        elif negatives == "hard":
            far = [min(far)]
        hinges = [max(0.0, margin + near - value) for value in far]
        losses.append(sum(hinges) / len(hinges))
    return sum(losses) / len(losses)


SHAPES = [(3, 2, 2, 4), (2, 3, 5, 3), (1, 1, 2, 1), (2, 1, 4, 2)]  # groups, sketches and photos in each, D


@pytest.mark.parametrize("negatives", ["random", "hard", "all"])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_triplets_as_in_eq_9(shape: tuple[int, ...], weighted: bool, negatives: str, seed: int) -> None:
    torch.manual_seed(seed)
    groups, g, n, d = shape
    sketches, photos = double(groups * g, d), double(groups, n, d)
    weights = 1 + 0.5 * double(groups * g, d) if weighted else None
    ones = torch.ones(groups * g, d)
    uniform = torch.rand(groups * g)
    found = group_triplet_loss(sketches, photos, weights, 0.5, negatives, uniform)
    lists = (values.tolist() for values in (sketches, photos, ones if weights is None else weights))
    expected = eq_9(*lists, 0.5, negatives, uniform.tolist())
    assert found.item() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    single = [None if values is None else values.float() for values in (sketches, photos, weights)]
    assert group_triplet_loss(*single, 0.5, negatives, uniform).item() == pytest.approx(
        expected, rel=1e-4, abs=1e-5
    )


def test_random_negatives_are_every_other_photo_and_never_the_own() -> None:
    """Photo k is at the squared distance 10^k of every sketch, and no hinge is at 0: the loss says which was drawn."""
    n, g = 5, 3
    sketches, photos = torch.zeros(g, 1, dtype=torch.float64), torch.arange(n).view(1, n, 1)
    photos = -(10.0**photos).double().sqrt()
    margin = 1e6
    for number in range(n - 1):
        for u in (number / (n - 1), (number + 0.99) / (n - 1)):
            for row in range(g):
                expected = [k for k in range(n) if k != row][number]
                uniform = torch.zeros(g)
                uniform[row] = u
                losses = [
                    margin + 10.0**i - 10.0 ** (expected if i == row else (1 if i == 0 else 0))
                    for i in range(g)
                ]
                found = group_triplet_loss(sketches, photos, None, margin, "random", uniform)
                assert found.item() == pytest.approx(sum(losses) / g, rel=1e-12)
    # The end of the interval, which float32 rounding can reach, stands for the last one.
    last = group_triplet_loss(sketches, photos, None, margin, "random", torch.ones(g))
    assert last.item() == pytest.approx(sum(margin + 10.0**i - 10.0**4 for i in range(g)) / g, rel=1e-12)


def test_the_mean_over_random_negatives_is_all(seed: int) -> None:
    torch.manual_seed(seed)
    groups, g, n, d = 3, 2, 6, 4
    sketches, photos, weights = double(groups * g, d), double(groups, n, d), double(groups * g, d)
    drawn = [
        group_triplet_loss(
            sketches, photos, weights, 0.3, "random", torch.full((groups * g,), (k + 0.5) / (n - 1))
        )
        for k in range(n - 1)
    ]
    every = group_triplet_loss(sketches, photos, weights, 0.3, "all")
    torch.testing.assert_close(torch.stack(drawn).mean(), every, rtol=1e-12, atol=1e-14)
    assert group_triplet_loss(sketches, photos, weights, 0.3, "hard") >= every


@pytest.mark.parametrize("negatives", ["random", "hard", "all"])
def test_gradients_of_eq_11_through_eta(negatives: str, seed: int) -> None:
    """With respect to both features and to the heads: finite differences, in float64, with and without unit length."""
    torch.manual_seed(seed)
    groups, g, n, d, m = 2, 2, 3, 3, 2
    uniform, noise, descriptors = torch.rand(groups * g), double(groups * g, 1, d), double(groups * g, m)
    for unit_length in (True, False):
        layer = DynamicWeights(m, d, unit_length).double()
        names = [name for name, _ in layer.named_parameters()]

        def loss(sketches: Tensor, photos: Tensor, *values: Tensor, layer=layer, names=names) -> Tensor:
            eta, mu, log_variance = torch.func.functional_call(
                layer, dict(zip(names, values, strict=True)), (descriptors, noise)
            )
            triplets = group_triplet_loss(sketches, photos, 1 + eta[:, 0], 1.0, negatives, uniform)
            return triplets + 0.1 * gaussian_kl(mu, log_variance)

        inputs = [double(groups * g, d), double(groups, n, d), *layer.parameters()]
        assert torch.autograd.gradcheck(loss, [value.detach().requires_grad_() for value in inputs])


def test_gradient_of_the_mean_by_hand(seed: int) -> None:
    """One triplet that violates the margin: dL / d mu_d = 2 w_d ((s - p+)_d^2 - (s - p-)_d^2), W_mu's is that times phi."""
    torch.manual_seed(seed)
    layer = DynamicWeights(3, 4, unit_length=False).double()
    phi, noise, sketch, photos = double(1, 3), double(1, 4), double(1, 4), double(1, 2, 4)
    eta, _, log_variance = layer(phi, noise)
    group_triplet_loss(sketch, photos, 1 + eta[:, 0], 1e3, "hard").backward()
    s, p, q = (values.numpy() for values in (sketch[0], photos[0, 0], photos[0, 1]))
    by_mu = 2 * (1 + eta[0, 0].detach().numpy()) * ((s - p) ** 2 - (s - q) ** 2)
    by_sigma = (
        by_mu * noise[0].numpy() * np.exp(log_variance[0].detach().numpy() / 2) / 2
    )  # d eta / d log sigma^2
    for head, expected in ((layer.mu, by_mu), (layer.log_variance, by_sigma)):
        np.testing.assert_allclose(head.bias.grad, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(
            head.weight.grad, np.outer(expected, phi[0].numpy()), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("negatives", ["random", "hard", "all"])
def test_nothing_is_computed_in_sixteen_bits(negatives: str, seed: int) -> None:
    torch.manual_seed(seed)
    layer, phi, noise = DynamicWeights(3, 8), torch.randn(4, 3), torch.randn(4, 1, 8)
    sketches, photos, uniform = torch.randn(4, 8).bfloat16(), torch.randn(2, 3, 8).bfloat16(), torch.rand(4)

    def both() -> list[Tensor]:
        eta, mu, log_variance = layer(phi, noise)
        loss = group_triplet_loss(sketches, photos, 1 + eta[:, 0], 0.1, negatives, uniform)
        return [eta, loss, gaussian_kl(mu, log_variance)]

    plain = both()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = both()
    for a, b in zip(plain, cast, strict=True):
        assert a.dtype == b.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_errors_name_the_argument() -> None:
    s, p, u = torch.zeros(4, 3), torch.zeros(2, 2, 3), torch.zeros(4)
    with pytest.raises(ValueError, match=r"photos must.*n >= 2.*\[2, 1, 3\]"):
        group_triplet_loss(s[:2], p[:, :1], None, 0.1, "all")
    for sketches in (s[:3], s[:, :2], s[:0], torch.zeros(6, 3)):  # six: three sketches for two photos
        with pytest.raises(ValueError, match="sketches must have the shape"):
            group_triplet_loss(sketches, p, None, 0.1, "all")
    with pytest.raises(ValueError, match=r"weights must.*\[4, 3\].*\[1, 3\]"):
        group_triplet_loss(s, p, torch.ones(1, 3), 0.1, "all")
    with pytest.raises(ValueError, match=r"margin.*nan"):
        group_triplet_loss(s, p, None, float("nan"), "all")
    with pytest.raises(ValueError, match=r"negatives.*'any'"):
        group_triplet_loss(s, p, None, 0.1, "any")  # type: ignore[arg-type]
    for uniform in (None, u[:2]):
        with pytest.raises(ValueError, match=r"uniform must be given as \[4\]"):
            group_triplet_loss(s, p, None, 0.1, "random", uniform)
    layer = DynamicWeights(3, 5)
    with pytest.raises(ValueError, match=r"descriptors.*\[B, 3\].*\[2, 4\]"):
        layer(torch.zeros(2, 4), torch.zeros(1, 5))
    for noise in (torch.zeros(5), torch.zeros(1, 4), torch.zeros(3, 1, 5)):
        with pytest.raises(ValueError, match=r"noise must have the shape \[S, 5\] or \[2, S, 5\]"):
            layer(torch.zeros(2, 3), noise)
    with pytest.raises(ValueError, match="feature_dim must be at least 1, got 0"):
        DynamicWeights(3, 0)
    with pytest.raises(ValueError, match=r"mu and log_variance.*\[2, 3\] and \[2, 4\]"):
        gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 4))
