"""CrossGrad (Shankar et al., ICLR 2018): two classifiers, each trained on examples that the other's loss gradient has moved.

    x_d = x + epsilon grad_x J_d(x),   x_l = x + epsilon grad_x J_l(x)
    theta_l:  (1 - alpha) J_l(x) + alpha J_l(x_d)        theta_d:  (1 - alpha) J_d(x) + alpha J_d(x_l)

J_l is the cross-entropy of the label, J_d that of the domain. In cross-category retrieval (Pang et al., CVPR 2019, section 4.2)
a domain is a training category and a label the number of the photo within its category, so that the label network has to tell
photos of one category apart.
(D) A gradient is that of the image's own loss, so it does not depend on the size of the batch, and it is not clipped (the
released code clips it to 0.1 a pixel after a mean over the batch). The two networks share no weights, and the label network
does not see the domain network's features, which a photo of the gallery would need as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32


class CrossGradTerms(NamedTuple):
    """Scalars but for the images; ``label`` and ``domain`` are what the two networks minimise."""

    label: Tensor  # (1 - alpha) J_l(x) + alpha J_l(x_d)
    domain: Tensor  # (1 - alpha) J_d(x) + alpha J_d(x_l)
    label_clean: Tensor  # J_l(x)
    domain_clean: Tensor  # J_d(x)
    images_d: Tensor  # x_d, no gradient
    images_l: Tensor  # x_l, no gradient


def cross_gradient_loss(
    images: Tensor,
    labels: Tensor,
    domains: Tensor,
    label_logits: Callable[[Tensor], Tensor],
    domain_logits: Callable[[Tensor], Tensor],
    epsilon: float = 1.0,
    alpha: float = 0.5,
) -> CrossGradTerms:
    """Both losses of a batch: floating images [B, ...], int64 labels [B] and domains [B].

    label_logits, domain_logits: images -> [B, classes]; each is called twice, first with the images as they are.
    epsilon: length of the move in units of the gradient. alpha: weight of the moved images, 0..1.
    The moves are constants: no gradient flows through them. ValueError for an alpha or epsilon out of range.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be 0..1, got {alpha}")
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, got {epsilon}")
    x = images.detach().requires_grad_()
    each_label = F.cross_entropy(at_least_float32(label_logits(x)), labels, reduction="none")
    each_domain = F.cross_entropy(at_least_float32(domain_logits(x)), domains, reduction="none")
    images_d, images_l = _moved(x, each_domain, epsilon), _moved(x, each_label, epsilon)
    label_moved = F.cross_entropy(at_least_float32(label_logits(images_d)), labels)
    domain_moved = F.cross_entropy(at_least_float32(domain_logits(images_l)), domains)
    label_clean, domain_clean = each_label.mean(), each_domain.mean()
    return CrossGradTerms(
        (1 - alpha) * label_clean + alpha * label_moved,
        (1 - alpha) * domain_clean + alpha * domain_moved,
        label_clean, domain_clean, images_d, images_l,
    )  # fmt: skip


def _moved(x: Tensor, losses: Tensor, epsilon: float) -> Tensor:
    # The graph is kept: the same pass gives the gradient of the weights.
    (gradient,) = torch.autograd.grad(losses.sum(), x, retain_graph=True)
    return x.detach() + epsilon * gradient


class CrossGradOutput(NamedTuple):
    terms: CrossGradTerms
    sketch: Tensor  # F_s of the sketches as they are [B, D]
    photo: Tensor  # F_p [P, D]


class CrossGradNet(nn.Module):
    """A retrieval network as the label network, and a domain network beside it; only the first is used for retrieval.

    retrieval: has ``features(images) -> F [B, feature_dim]``. domain: images -> [B, domain.num_features], such as a backbone.
    num_labels: most photos a category has. num_domains: training categories.
    (D) The label classifier reads F scaled to length sqrt(feature_dim): as it should be for a linear layer, whether or not
    the network's own features have unit length.
    """

    def __init__(
        self,
        retrieval: nn.Module,
        feature_dim: int,
        domain: nn.Module,
        num_labels: int,
        num_domains: int,
        epsilon: float = 1.0,
        alpha: float = 0.5,
    ) -> None:
        super().__init__()
        for name, value in (("num_labels", num_labels), ("num_domains", num_domains)):
            if value < 2:
                raise ValueError(f"{name} must be at least 2 for a classifier, got {value}")
        self.retrieval, self.domain = retrieval, domain
        self.label_head = nn.Linear(feature_dim, num_labels)
        self.domain_head = nn.Linear(int(domain.num_features), num_domains)  # type: ignore[arg-type]
        self.epsilon, self.alpha = epsilon, alpha

    def forward(self, sketches: Tensor, photos: Tensor, labels: Tensor, domains: Tensor) -> CrossGradOutput:
        """sketches [B, 3, S, S], photos [P, 3, S, S]; labels and domains int64 [B + P], sketches first."""
        found: list[Tensor] = []

        def label_logits(images: Tensor) -> Tensor:
            features = self.retrieval.features(images)  # type: ignore[operator]
            found.append(features)
            return self.label_head(F.normalize(features, dim=1) * math.sqrt(features.shape[1]))

        terms = cross_gradient_loss(
            torch.cat([sketches, photos]), labels, domains,
            label_logits, lambda images: self.domain_head(self.domain(images)), self.epsilon, self.alpha,
        )  # fmt: skip
        return CrossGradOutput(terms, *found[0].split([len(sketches), len(photos)]))
