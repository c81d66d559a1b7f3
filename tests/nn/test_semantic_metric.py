"""L_SEM, eq. 10 and 11, against loops in float64; gradients against finite differences."""

import math

import pytest
import torch

from sketchfast.nn import SemanticMetric, SpatialAttention, hardest_example_loss


def slow_loss(anchors, anchor_labels, features, labels, own=None) -> list[float]:
    losses = []
    for j, anchor in enumerate(anchors.tolist()):
        d_pos, d_neg = 0.0, math.inf
        for k, feature in enumerate(features.tolist()):
            distance = math.dist(anchor, feature)
            if labels[k] != anchor_labels[j]:
                d_neg = min(d_neg, distance)
            elif own is None or own[j] != k:
                d_pos = max(d_pos, distance)
        losses.append(math.log1p(math.exp(d_pos - d_neg)) if d_neg < math.inf else 0.0)
    return losses


def problem(seed: int, count: int = 10, dim: int = 3, semantic_dim: int = 5):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count // 2,), generator=random).repeat(2)  # pairs: sketches, then photos
    features = torch.randn(count, dim, generator=random, dtype=torch.float64)
    words = torch.randn(3, semantic_dim, generator=random, dtype=torch.float64)[labels]
    return features, labels, words, torch.rand(count, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("exclude_self", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_sbht_is_eq_10_and_11(exclude_self: bool, reduction: str, seed: int) -> None:
    torch.manual_seed(seed)
    R, Y, words, alpha = problem(seed)
    metric = SemanticMetric("sbht", 3, 5, reduction=reduction, exclude_self=exclude_self).double()
    W, b = metric.project.weight, metric.project.bias
    anchors = [
        [a * v + (1 - a) * r for v, r in zip((W @ w + b).tolist(), x)]
        for a, w, x in zip(alpha.tolist(), words, R.tolist())
    ]
    own = range(len(R)) if exclude_self else None
    losses = slow_loss(torch.tensor(anchors, dtype=torch.float64), Y, R, Y, own)
    expected = sum(losses) / (len(losses) if reduction == "mean" else 1)
    assert metric(R, Y, semantic=words, alpha=alpha).item() == pytest.approx(expected, rel=1e-10)


def test_alpha_0_is_bht_and_alpha_1_the_class_vector(seed: int) -> None:
    torch.manual_seed(seed)
    R, Y, words, alpha = problem(seed)
    metric, bht = SemanticMetric("sbht", 3, 5).double(), SemanticMetric("bht", 3)
    at_zero = metric(R, Y, semantic=words, alpha=torch.zeros_like(alpha))
    torch.testing.assert_close(at_zero, bht(R, Y))
    at_one = metric(R, Y, semantic=words, alpha=torch.ones_like(alpha))
    torch.testing.assert_close(at_one, hardest_example_loss(metric.project(words), Y, R, Y).mean())


def test_bht_with_regression(seed: int) -> None:
    torch.manual_seed(seed)
    R, Y, words, _ = problem(seed)
    metric = SemanticMetric("bht+sr", 3, 5, regression_weight=10.0).double()
    predicted = R @ metric.regress.weight.T + metric.regress.bias
    regression = (
        sum((p - w) ** 2 for p, w in zip(predicted.flatten().tolist(), words.flatten().tolist()))
        / words.numel()
    )
    expected = sum(slow_loss(R, Y, R, Y)) / len(R) + 10.0 * regression
    assert metric(R, Y, semantic=words).item() == pytest.approx(expected, rel=1e-5)


def test_entropy_weight_of_the_released_code(seed: int) -> None:
    R, Y, _, _ = problem(seed)
    classifier = torch.nn.Linear(3, 4).double()
    metric = SemanticMetric("bht", 3, entropy_weight=True)
    expected = 0.0
    for loss, logits in zip(slow_loss(R, Y, R, Y), classifier(R).tolist()):
        total = sum(math.exp(v) for v in logits)
        entropy = -sum(math.exp(v) / total * math.log(math.exp(v) / total) for v in logits)
        expected += loss * (1 + math.exp(-entropy)) / len(R)
    assert metric(R, Y, classifier=classifier).item() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="classifier"):
        metric(R, Y)


def test_gathered_candidates_give_the_whole_batch(seed: int) -> None:
    torch.manual_seed(seed)
    R, Y, words, alpha = problem(seed, count=12)
    metric = SemanticMetric("sbht", 3, 5, exclude_self=True).double()
    whole = metric(R, Y, semantic=words, alpha=alpha)
    parts = [
        metric(R[rows], Y[rows], R, Y, semantic=words[rows], alpha=alpha[rows], own=torch.arange(12)[rows])
        for rows in (slice(0, 6), slice(6, 12))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_gradcheck(seed: int) -> None:
    torch.manual_seed(seed)
    R, Y, words, alpha = problem(seed)
    metric = SemanticMetric("sbht", 3, 5).double()
    W, b = metric.project.weight.detach(), metric.project.bias.detach()

    def loss(R, W, b):
        parameters = {"project.weight": W, "project.bias": b}
        return torch.func.functional_call(metric, parameters, (R, Y), {"semantic": words, "alpha": alpha})

    inputs = tuple(t.clone().requires_grad_() for t in (R, W, b))
    assert torch.autograd.gradcheck(loss, inputs)


def test_one_class_in_the_batch_gives_zero_and_finite_gradients() -> None:
    R = torch.randn(4, 3, requires_grad=True)
    loss = SemanticMetric("bht", 3)(R, torch.zeros(4, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0 and torch.equal(R.grad, torch.zeros(4, 3))


def test_bfloat16_features_are_compared_in_float32() -> None:
    R = (
        torch.randn(8, 64) * 1e-2 + 10
    ).bfloat16()  # the matrix-product form of the distance would round to 0
    Y = torch.arange(8) % 2
    expected = sum(slow_loss(R.double(), Y, R.double(), Y)) / 8
    with torch.autocast("cpu", torch.bfloat16):
        assert SemanticMetric("bht", 64)(R, Y).item() == pytest.approx(expected, rel=1e-4)


def test_errors() -> None:
    R, Y = torch.zeros(2, 3), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="triplet"):
        SemanticMetric("triplet", 3)
    with pytest.raises(ValueError, match="semantic_dim is 0"):
        SemanticMetric("sbht", 3)
    with pytest.raises(ValueError, match="semantic"):
        SemanticMetric("sbht", 3, 5)(R, Y, alpha=torch.zeros(2))
    with pytest.raises(ValueError, match="alpha"):
        SemanticMetric("sbht", 3, 5)(R, Y, semantic=torch.zeros(2, 5))
    with pytest.raises(ValueError, match="own"):
        SemanticMetric("bht", 3, exclude_self=True)(R, Y, R, Y)
    assert SemanticMetric("none", 3)(R, Y).item() == 0.0


def test_attention_starts_uniform_and_weighs_positions(seed: int) -> None:
    torch.manual_seed(seed)
    attention, features = SpatialAttention(8), torch.randn(2, 8, 3, 4)
    torch.testing.assert_close(attention(features), 2 * features)
    torch.nn.init.normal_(attention.score.weight)
    mask = attention.mask(features)
    torch.testing.assert_close(mask.sum(dim=(2, 3)), torch.ones(2, 1))
    torch.testing.assert_close(attention(features), features * (1 + 12 * mask))


def test_unit_length_scales_the_semantic_embedding(seed: int) -> None:
    torch.manual_seed(seed)
    metric = SemanticMetric("sbht", 4, 6, unit_length=True).double()
    features = torch.nn.functional.normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    semantic = torch.randn(3, 6, dtype=torch.float64)[labels]
    alpha = torch.rand(6, dtype=torch.float64)
    embedded = semantic @ metric.project.weight.T + metric.project.bias
    losses = []
    for j in range(6):
        anchor = alpha[j] * embedded[j] / embedded[j].square().sum().sqrt() + (1 - alpha[j]) * features[j]
        distance = [(anchor - features[k]).square().sum().sqrt() for k in range(6)]
        farthest = max(distance[k] for k in range(6) if labels[k] == labels[j])
        nearest = min(distance[k] for k in range(6) if labels[k] != labels[j])
        losses.append(torch.log1p(torch.exp(farthest - nearest)))
    assert torch.allclose(
        metric(features, labels, semantic=semantic, alpha=alpha), torch.stack(losses).mean()
    )
