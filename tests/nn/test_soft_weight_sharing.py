"""L_SWS, eq. 2, against loops in float64 that know the layers by hand."""

import pytest
import torch
from torch import nn

from sketchfast.nn import soft_weight_sharing_loss, weight_pairs


def tower() -> nn.Module:
    block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    downsample = nn.Sequential(nn.Conv2d(4, 5, 1, bias=False), nn.BatchNorm2d(5))
    return nn.Sequential(
        block, downsample, nn.Flatten(), nn.Linear(5, 2), nn.BatchNorm1d(2), nn.GroupNorm(1, 2)
    )


def test_pairs_hold_everything_but_batch_norm() -> None:
    names = [name for name, _, _ in weight_pairs(tower(), tower())]
    assert names == ["0.0.weight", "0.0.bias", "1.0.weight", "3.weight", "3.bias", "5.weight", "5.bias"]


@pytest.mark.parametrize("compat", ["paper", "code"])
def test_value_and_gradient(compat: str, seed: int) -> None:
    torch.manual_seed(seed)
    sketch, photo = tower().double(), tower().double()
    soft_weight_sharing_loss(weight_pairs(sketch, photo), compat).backward()
    expected = 0.0
    for k, bias in ((0, True), (1, False), (3, True), (5, True)):
        own, other = ((t[k][0] if k < 2 else t[k]) for t in (sketch, photo))
        for name in ("weight", "bias") if bias else ("weight",):
            s, i = getattr(own, name), getattr(other, name)
            difference = (s - i).detach()
            total = sum(value * value for value in difference.flatten().tolist())
            norm = total**0.5
            expected += total if compat == "paper" else norm
            if norm == 0:
                gradient = torch.zeros_like(difference)
            else:
                gradient = 2 * difference if compat == "paper" else difference / norm
            torch.testing.assert_close(s.grad, gradient)
            torch.testing.assert_close(i.grad, -gradient)
    value = soft_weight_sharing_loss(weight_pairs(sketch, photo), compat)
    assert value.item() == pytest.approx(expected, rel=1e-12)
    assert sketch[0][1].weight.grad is None


@pytest.mark.parametrize("compat", ["paper", "code"])
def test_equal_towers_give_zero_and_a_finite_gradient(compat: str) -> None:
    sketch, photo = tower(), tower()
    photo.load_state_dict(sketch.state_dict())
    loss = soft_weight_sharing_loss(weight_pairs(sketch, photo), compat)
    loss.backward()
    assert loss.item() == 0.0
    assert all(torch.equal(s.grad, torch.zeros_like(s)) for _, s, _ in weight_pairs(sketch, photo))


def test_errors_name_what_differs() -> None:
    with pytest.raises(ValueError, match=r"'3'.*Linear.*Identity"):
        other = tower()
        other[3] = nn.Identity()
        weight_pairs(tower(), other)
    with pytest.raises(ValueError, match=r"'3.weight'.*\(2, 5\).*\(2, 6\)"):
        other = tower()
        other[3] = nn.Linear(6, 2)
        weight_pairs(tower(), other)
    with pytest.raises(ValueError, match="compat"):
        soft_weight_sharing_loss(weight_pairs(tower(), tower()), "squared")
    with pytest.raises(ValueError, match="empty"):
        soft_weight_sharing_loss([])
