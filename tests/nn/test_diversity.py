"""Diversity of filters and responses: eq. 6 and 7 written as the double sums they are."""

import pytest
import torch
from torch import Tensor

from sketchfast.nn import filter_diversity, response_diversity


def eq_6(weight: Tensor) -> Tensor:
    """Pair by pair, position by position."""
    total = weight.new_zeros(())
    for i in range(len(weight)):
        for j in range(len(weight)):
            if i == j:
                continue
            inner = weight.new_zeros(())
            for y in range(weight.shape[2]):
                for x in range(weight.shape[3]):
                    a, b = weight[i, :, y, x], weight[j, :, y, x]
                    inner = inner + (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())
            total = total + inner.abs()
    return total


def eq_7(psi: Tensor) -> Tensor:
    """Of one image, [K, h, w]."""
    total = psi.new_zeros(())
    for i in range(len(psi)):
        for j in range(len(psi)):
            if i != j:
                norms = psi[i].square().sum().sqrt() * psi[j].square().sum().sqrt()
                total = total + ((psi[i] * psi[j]).sum() / norms).abs()
    return total


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (5, 7, 3, 3), (4, 3, 2, 5), (7, 2, 3, 3)])
def test_filters_as_in_eq_6(shape: tuple[int, ...], memory_format: torch.memory_format, seed: int) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format).requires_grad_()
    for reduction, share in (("sum", 1), ("mean", shape[0] * (shape[0] - 1))):
        expected = eq_6(weight) / share
        torch.testing.assert_close(filter_diversity(weight, reduction), expected, rtol=1e-12, atol=1e-12)
        gradients = [
            torch.autograd.grad(loss, weight)[0] for loss in (filter_diversity(weight, reduction), expected)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (3, 5, 4, 4), (2, 7, 2, 5)])
def test_responses_as_in_eq_7(shape: tuple[int, ...], seed: int) -> None:
    torch.manual_seed(seed)
    psi = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    for reduction, share in (("sum", 1), ("mean", shape[1] * (shape[1] - 1))):
        expected = torch.stack([eq_7(one) for one in psi]).mean() / share
        torch.testing.assert_close(response_diversity(psi, reduction), expected, rtol=1e-12, atol=1e-12)
        gradients = [
            torch.autograd.grad(loss, psi)[0] for loss in (response_diversity(psi, reduction), expected)
        ]
        torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_values_known_beforehand(seed: int) -> None:
    torch.manual_seed(seed)
    orthogonal = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64))[0].reshape(8, 8, 1, 1)
    assert filter_diversity(orthogonal).item() == pytest.approx(0, abs=1e-12)
    equal = torch.randn(1, 4, 3, 3).expand(6, 4, 3, 3) * (
        torch.rand(6, 1, 1, 1) + 0.1
    )  # lengths do not matter
    assert filter_diversity(equal).item() == pytest.approx(6 * 5 * 9, rel=1e-5)
    assert filter_diversity(equal, "mean").item() == pytest.approx(9, rel=1e-5)
    assert response_diversity(equal[None, :, 0]).item() == pytest.approx(6 * 5, rel=1e-5)
    assert filter_diversity(equal[:1]).item() == filter_diversity(equal[:1], "mean").item() == 0


def test_a_zero_vector_is_orthogonal_to_all_and_gets_no_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    weight[1, :, 0, 1] = 0
    weight.requires_grad_()
    loss = filter_diversity(weight)
    loss.backward()
    assert weight.grad is not None and weight.grad.isfinite().all() and not weight.grad[1, :, 0, 1].any()
    assert weight.grad[1, :, 1, 1].any()
    with_any_other = weight.detach().clone()
    with_any_other[1, :, 0, 1] = 1  # counts now
    assert filter_diversity(with_any_other).item() != loss.item()
    psi = torch.randn(2, 5, 3, 3, dtype=torch.float64)
    psi[:, 2] = 0
    without = psi[:, [0, 1, 3, 4]]
    torch.testing.assert_close(response_diversity(psi), response_diversity(without))
    zeros = torch.zeros(2, 5, 3, 3, requires_grad=True)
    response_diversity(zeros).backward()
    assert zeros.grad is not None and not zeros.grad.any()


def test_half_precision_and_autocast_are_computed_in_float32(seed: int) -> None:
    torch.manual_seed(seed)
    psi = torch.randn(2, 6, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        losses = response_diversity(psi), filter_diversity(psi), filter_diversity(psi.double())
    assert [loss.dtype for loss in losses] == [torch.float32, torch.float32, torch.float64]
    torch.testing.assert_close(losses[1].double(), losses[2], rtol=1e-5, atol=1e-5)
    for loss_of in (filter_diversity, response_diversity):
        leaf = psi.float().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            (inside,) = torch.autograd.grad(loss_of(leaf), leaf)
        (outside,) = torch.autograd.grad(loss_of(leaf), leaf)
        assert torch.equal(inside, outside)


def test_errors_name_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"weight must be floating \[K, C, kh, kw\].*\[3, 4, 3\]"):
        filter_diversity(torch.zeros(3, 4, 3))
    with pytest.raises(ValueError, match=r"psi must be floating \[N, K, h, w\].*\[0, 4, 3, 3\]"):
        response_diversity(torch.zeros(0, 4, 3, 3))
    with pytest.raises(ValueError, match="int64"):
        filter_diversity(torch.zeros(3, 4, 3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="'sum' or 'mean', got 'none'"):
        response_diversity(torch.zeros(1, 4, 3, 3), "none")  # type: ignore[arg-type]
