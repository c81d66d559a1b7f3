"""CrossGrad against its definition: moves by finite differences, losses and gradients written out."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.nn.crossgrad import CrossGradNet, cross_gradient_loss


def networks(labels: int = 5, domains: int = 3) -> tuple[nn.Module, nn.Module]:
    def net(classes: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, classes)).double()

    return net(labels), net(domains)


def test_moves_are_epsilon_times_each_images_own_gradient(seed: int) -> None:
    torch.manual_seed(seed)
    label_net, domain_net = networks()
    x = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    y, d = torch.randint(5, (4,)), torch.randint(3, (4,))
    terms = cross_gradient_loss(x, y, d, label_net, domain_net, epsilon=0.7)
    h = 1e-6
    for net, target, moved in ((domain_net, d, terms.images_d), (label_net, y, terms.images_l)):
        assert not moved.requires_grad
        for i in range(len(x)):
            for place in range(12):
                step = torch.zeros(12, dtype=torch.float64)
                step[place] = h
                above, below = (
                    F.cross_entropy(net((x[i] + sign * step.view(3, 2, 2))[None]), target[i : i + 1]).item()
                    for sign in (1, -1)
                )
                expected = x[i].flatten()[place] + 0.7 * (above - below) / (2 * h)
                assert moved[i].flatten()[place].item() == pytest.approx(expected.item(), abs=1e-7)


def test_losses_and_their_gradients(seed: int) -> None:
    """Each network learns from its own loss alone, and nothing flows through the moves."""
    torch.manual_seed(seed)
    label_net, domain_net = networks()
    x = torch.randn(6, 3, 2, 2, dtype=torch.float64)
    y, d = torch.randint(5, (6,)), torch.randint(3, (6,))
    alpha = 0.3
    terms = cross_gradient_loss(x, y, d, label_net, domain_net, 0.5, alpha)
    for net, target, moved, loss, clean in (
        (label_net, y, terms.images_d, terms.label, terms.label_clean),
        (domain_net, d, terms.images_l, terms.domain, terms.domain_clean),
    ):
        expected = (1 - alpha) * F.cross_entropy(net(x), target) + alpha * F.cross_entropy(net(moved), target)
        torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(clean, F.cross_entropy(net(x), target), rtol=1e-12, atol=1e-12)
        parameters = list(net.parameters())
        found = torch.autograd.grad(loss, parameters, retain_graph=True)
        for one, other in zip(found, torch.autograd.grad(expected, parameters)):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    crossed = torch.autograd.grad(terms.label, list(domain_net.parameters()), allow_unused=True)
    assert all(gradient is None for gradient in crossed)
    for name, value in (("alpha", 1.2), ("epsilon", -1.0), ("epsilon", math.nan)):
        with pytest.raises(ValueError, match=f"{name} must be"):
            cross_gradient_loss(x, y, d, label_net, domain_net, **{name: value})


class Features(nn.Module):
    num_features = 7

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(12, 7)

    def features(self, images: Tensor) -> Tensor:
        return F.normalize(self.linear(images.flatten(1)), dim=1)

    forward = features


def test_network_gives_features_of_the_images_as_they_are(seed: int) -> None:
    torch.manual_seed(seed)
    retrieval = Features()
    net = CrossGradNet(retrieval, 7, Features(), num_labels=4, num_domains=3)
    sketches, photos = torch.randn(2, 3, 2, 2), torch.randn(5, 3, 2, 2)
    out = net(sketches, photos, torch.randint(4, (7,)), torch.randint(3, (7,)))
    assert torch.allclose(out.sketch, retrieval.features(sketches)) and out.photo.shape == (5, 7)
    (out.terms.label + out.terms.domain + out.sketch.square().sum()).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    # What the label classifier reads does not depend on the length of F.
    longer = CrossGradNet(retrieval, 7, net.domain, 4, 3)
    longer.load_state_dict(net.state_dict())
    retrieval.features = lambda images: 3 * Features.features(retrieval, images)  # type: ignore[method-assign]
    labels, domains = torch.randint(4, (7,)), torch.randint(3, (7,))
    again = longer(sketches, photos, labels, domains).terms.label_clean
    del retrieval.features
    torch.testing.assert_close(again, net(sketches, photos, labels, domains).terms.label_clean)
    with pytest.raises(ValueError, match="num_labels must be at least 2 for a classifier, got 1"):
        CrossGradNet(retrieval, 7, Features(), 1, 3)
