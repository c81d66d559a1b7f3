"""Trait assignment, eq. 3 to 7: values and gradients against float64 numpy, and numbers worked by hand."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sketchfast.nn.trait_assignment import (
    column_entropy,
    kl_to_uniform,
    reconstruction_error,
    row_entropy,
    straight_through_gumbel,
)

Array = NDArray[np.float64]


def softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def through_softmax(p_s: Array, gradient: Array) -> Array:
    """Row by row (diag(p) - p p^T) gradient: from the gradient with respect to softmax(x) to that with respect to x."""
    return np.stack([(np.diag(p) - np.outer(p, p)) @ v for p, v in zip(p_s, gradient, strict=True)])


def numbers(seed: int, b: int = 7, k: int = 5) -> tuple[Tensor, Tensor, Array]:
    """(logits that want a gradient, uniform numbers, a gradient to send back), float64."""
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=(b, k)) * 2).requires_grad_()
    return logits, torch.from_numpy(random.uniform(1e-6, 1, (b, k))), random.normal(size=(b, k))


@pytest.mark.parametrize("backward", ["gumbel", "softmax"])
@pytest.mark.parametrize("tau", [1.0, 0.3])
def test_hard_assignment_as_in_eq_3(tau: float, backward: str, seed: int) -> None:
    logits, uniform, sent_back = numbers(seed)
    p, u = logits.detach().numpy(), uniform.numpy()
    g = -np.log(-np.log(u))
    p_hg = straight_through_gumbel(logits, uniform, tau, backward)
    assert torch.equal(p_hg, torch.from_numpy(np.eye(5)[((p + g) / tau).argmax(axis=1)]))
    (p_hg * torch.from_numpy(sent_back)).sum().backward()
    # straight-through: as if the result had been the softmax itself
    of_gumbel = through_softmax(softmax((p + g) / tau), sent_back) / tau
    expected = of_gumbel if backward == "gumbel" else through_softmax(softmax(p), sent_back)
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_hard_assignment_by_hand() -> None:
    logits = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    p_hg = straight_through_gumbel(logits, torch.tensor([[0.25, 0.75]], dtype=torch.float64))
    assert p_hg.tolist() == [[0, 1]]
    p_hg[0, 1].backward()
    # exp(g) = 1 / -log u = 0.721348, 3.476059, so softmax(g) = 0.171857, 0.828143, and their product is the gradient
    assert logits.grad.tolist()[0] == pytest.approx([-0.142322, 0.142322], abs=1e-6)


def test_a_descriptor_is_drawn_as_often_as_its_probability_says(seed: int) -> None:
    torch.manual_seed(seed)
    draws, p_s = 20_000, torch.tensor([0.5, 0.3, 0.15, 0.05])
    logits = (p_s.log() + 3).expand(draws, 4)
    share = straight_through_gumbel(logits, torch.rand(draws, 4), tau=0.5).mean(dim=0)
    assert ((share - p_s).abs() < 6 * (p_s * (1 - p_s) / draws).sqrt()).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_ends_of_the_interval_and_short_floats(dtype: torch.dtype) -> None:
    logits = torch.tensor([[0, 1, 2], [60, -60, 0]], dtype=dtype, requires_grad=True)
    result = straight_through_gumbel(logits, torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    assert result.tolist() == [[1, 0, 0], [1, 0, 0]]
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    (result * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.isfinite().all()


def test_prior_and_entropies_as_in_eq_4_to_6(seed: int) -> None:
    logits, _, _ = numbers(seed)
    (b, k), p = logits.shape, softmax(logits.detach().numpy())
    kl = row = column = 0.0
    for i in range(b):
        for j in range(k):
            kl += p[i, j] * math.log(p[i, j] / (1 / k)) / b
            row -= p[i, j] * math.log(p[i, j]) / b
    p_c = p.mean(axis=0)
    for j in range(k):
        column -= p_c[j] * math.log(p_c[j])
    # derivatives with respect to p, then through the softmax
    cases = [
        (kl_to_uniform, kl, (np.log(p * k) + 1) / b),
        (row_entropy, row, -(np.log(p) + 1) / b),
        (column_entropy, column, np.broadcast_to(-(np.log(p_c) + 1) / b, (b, k))),
    ]
    for term, value, derivative in cases:
        found = term(logits)
        assert found.item() == pytest.approx(value, rel=1e-12)
        gradient = torch.autograd.grad(found, logits)[0].numpy()
        np.testing.assert_allclose(gradient, through_softmax(p, derivative), rtol=1e-9, atol=1e-14)


def test_prior_and_entropies_by_hand() -> None:
    logits = torch.tensor([[0.75, 0.25], [0.25, 0.75]], dtype=torch.float64).log()
    # 3/4 log 3/2 + 1/4 log 1/2; log 2 less that; and both descriptors are used alike
    assert kl_to_uniform(logits).item() == pytest.approx(0.130812, abs=1e-6)
    assert row_entropy(logits).item() == pytest.approx(0.562335, abs=1e-6)
    assert column_entropy(logits).item() == pytest.approx(math.log(2))
    assert column_entropy(logits[:1]).item() == pytest.approx(0.562335, abs=1e-6)


def test_certain_assignments(seed: int) -> None:
    """Probabilities that underflow neither become NaN nor stop the gradient of the others."""
    torch.manual_seed(seed)
    logits = (1e4 * torch.eye(6)[torch.randperm(6)]).requires_grad_()
    kl, row, column = kl_to_uniform(logits), row_entropy(logits), column_entropy(logits)
    assert (kl.item(), row.item(), column.item()) == pytest.approx((math.log(6), 0, math.log(6)), abs=1e-5)
    (kl + row + column).backward()
    assert logits.grad.isfinite().all()
    one = torch.zeros(6, 6)
    one[:, 2] = 1e4
    assert column_entropy(one).item() == row_entropy(one).item() == 0
    for dtype in (torch.bfloat16, torch.float16):
        assert column_entropy(one.to(dtype)).dtype == torch.float32


def test_reconstruction_error_of_eq_7(seed: int) -> None:
    random = np.random.default_rng(seed)
    drawn, images = random.normal(size=(3, 1, 4, 4)), random.normal(size=(3, 3, 4, 4))
    error, gradient = 0.0, np.zeros_like(drawn)
    for i in range(3):
        for y in range(4):
            for x in range(4):
                difference = drawn[i, 0, y, x] - images[i, 0, y, x]
                error += difference**2 / 3
                gradient[i, 0, y, x] = 2 * difference / 3
    reconstruction = torch.from_numpy(drawn).requires_grad_()
    found = reconstruction_error(reconstruction, torch.from_numpy(images))
    assert found.item() == pytest.approx(error, rel=1e-12)
    found.backward()
    np.testing.assert_allclose(reconstruction.grad.numpy(), gradient, rtol=1e-12)
    assert reconstruction_error(torch.ones(2, 1, 8, 8).bfloat16(), -torch.ones(2, 3, 8, 8)).item() == 4 * 64


def test_bad_input() -> None:
    logits, uniform = torch.zeros(3, 4), torch.full((3, 4), 0.5)
    for tau in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match=f"tau must be above 0, got {tau}"):
            straight_through_gumbel(logits, uniform, tau)
    with pytest.raises(ValueError, match="backward must be 'gumbel' or 'softmax', got 'hard'"):
        straight_through_gumbel(logits, uniform, backward="hard")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"uniform must be floating \[3, 4\].*got torch.float32 \[3, 5\]"):
        straight_through_gumbel(logits, torch.rand(3, 5))
    for outside in (-0.5, 1.5, math.nan):
        with pytest.raises(ValueError, match="uniform must be numbers from 0 to 1"):
            straight_through_gumbel(logits, torch.full((3, 4), outside))
    for wrong in (torch.zeros(3), torch.zeros(0, 4), torch.zeros(3, 4, dtype=torch.int64)):
        for term in (kl_to_uniform, row_entropy, column_entropy):
            with pytest.raises(ValueError, match=r"logits must be floating \[B, K\] with B, K >= 1, got"):
                term(wrong)
    with pytest.raises(ValueError, match=r"reconstruction must be \[B, 1, S, S\].*\[2, 3, 8, 8\]"):
        reconstruction_error(torch.zeros(2, 3, 8, 8), torch.zeros(2, 3, 8, 8))
