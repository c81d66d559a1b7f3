"""SoftWeightedLoss: the module around the operator."""

import math

import pytest
import torch

from sketchfast import ops
from sketchfast.nn import SoftWeightedLoss


def test_equals_the_operator_and_moves_with_its_model(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, labels = (
        torch.randn(2, 4, 9, 8, generator=generator),
        torch.randint(0, 4, (2, 9, 8), generator=generator),
    )
    weights = torch.tensor([0.5, 1.0, 2.0, 0.0])
    for soft in (True, False):
        module = SoftWeightedLoss(weights.tolist(), ignore_index=3, background=1, soft=soft)
        expected = ops.soft_weighted_loss(logits, labels, weights, 3, 1, soft)
        assert torch.equal(module(logits, labels), expected)
        assert torch.equal(module.bfloat16()(logits, labels), expected)  # these weights are exact in 16 bits
        torch.testing.assert_close(module.double()(logits.double(), labels).float(), expected)
    assert list(module.state_dict()) == ["class_weights"]
    assert not list(module.parameters())
    assert "classes=4" in repr(module)


def test_does_not_follow_the_weights_it_was_given() -> None:
    weights = torch.ones(2)
    module = SoftWeightedLoss(weights)
    weights.zero_()
    assert torch.equal(module.class_weights, torch.ones(2))


@pytest.mark.parametrize("weights", [[1.0, -1.0], [math.nan, 1.0], [math.inf, 1.0]])
def test_bad_weights(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="class_weights must be finite and not negative"):
        SoftWeightedLoss(weights)


@pytest.mark.parametrize("weights", ["abc", None, [1.0, "a"], [[1.0], [1.0, 2.0]]])
def test_weights_that_are_no_numbers(weights: object) -> None:
    with pytest.raises(TypeError, match="class_weights must be a tensor or sequence of numbers"):
        SoftWeightedLoss(weights)  # type: ignore[arg-type]


def test_bad_rule() -> None:
    for background in (3, -2):
        with pytest.raises(ValueError, match=f"background must be .*found {background}"):
            SoftWeightedLoss(torch.ones(3), background=background)
    with pytest.raises(TypeError, match="ignore_index must be an integer, found None"):
        SoftWeightedLoss(torch.ones(3), ignore_index=None)  # type: ignore[arg-type]
    for background in (None, -1, 2):
        SoftWeightedLoss(torch.ones(3), background=background)


@pytest.mark.parametrize("weights", [torch.ones(2, 2), torch.ones(()), torch.ones(0)])
def test_bad_shape(weights: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"class_weights must have shape \[C\]"):
        SoftWeightedLoss(weights)
