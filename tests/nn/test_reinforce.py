"""REINFORCE on sequences that can be enumerated: the estimate is the gradient, and the baseline makes it steadier."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from sketchfast.nn import MovingAverageBaseline, reinforce_loss

STEPS, TOKENS = 3, 3
BATCH, BATCHES = 64, 300


def log_probabilities(logits: Tensor, sequences: Tensor) -> Tensor:
    """Of sequences [B, STEPS] under a policy that looks at the token before: logits [1 + TOKENS, TOKENS], row 0 at the start."""
    before = torch.cat([torch.zeros_like(sequences[:, :1]), sequences[:, :-1] + 1], dim=1)
    return logits.log_softmax(dim=1)[before, sequences].sum(dim=1)


def enumerated_gradient(logits: Tensor, rewards: dict[tuple[int, ...], float]) -> Tensor:
    """d E[R] / d logits by hand: sum over all sequences of R p d log p, where d log softmax_j / d logit_k = (j == k) - p_k."""
    p = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in logits.tolist()]
    gradient = [[0.0] * TOKENS for _ in p]
    for sequence, value in rewards.items():
        probability, before = 1.0, 0
        visited = []
        for token in sequence:
            probability *= p[before][token]
            visited.append((before, token))
            before = token + 1
        for row, token in visited:
            for k in range(TOKENS):
                gradient[row][k] += value * probability * ((k == token) - p[row][k])
    return torch.tensor(gradient, dtype=torch.float64)


def drawn(logits: Tensor, count: int, random: torch.Generator) -> Tensor:
    p = logits.softmax(dim=1)
    before, tokens = torch.zeros(count, dtype=torch.int64), []
    for _ in range(STEPS):
        tokens.append(torch.multinomial(p[before], 1, generator=random)[:, 0])
        before = tokens[-1] + 1
    return torch.stack(tokens, dim=1)


def estimates(
    logits: Tensor,
    rewards: dict[tuple[int, ...], float],
    baseline: MovingAverageBaseline | None,
    random: torch.Generator,
) -> Tensor:
    """Gradients of E[R] as training would see them: [BATCHES, 1 + TOKENS, TOKENS]."""
    value = torch.zeros((TOKENS,) * STEPS, dtype=torch.float64)
    for sequence, r in rewards.items():
        value[sequence] = r
    leaf = logits.clone().requires_grad_()
    found = []
    for _ in range(BATCHES):
        sequences = drawn(logits, BATCH, random)
        loss = reinforce_loss(log_probabilities(leaf, sequences), value[tuple(sequences.T)], baseline)
        found.append(-torch.autograd.grad(loss, leaf)[0])
    return torch.stack(found)


def test_converges_to_the_enumerated_gradient_and_a_baseline_lowers_the_variance(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(1 + TOKENS, TOKENS, generator=random, dtype=torch.float64)
    every = list(itertools.product(range(TOKENS), repeat=STEPS))
    # Rewards far from 0 compared to how they differ, as certainties are.
    values = 4 + torch.randn(len(every), generator=random, dtype=torch.float64)
    rewards = dict(zip(every, values.tolist()))
    expected = enumerated_gradient(logits, rewards)
    variance = []
    for baseline in (None, MovingAverageBaseline(0.9)):
        found = estimates(logits, rewards, baseline, random)
        error = found.std(dim=0) / math.sqrt(BATCHES)
        # 12 numbers: 5.5 standard errors are exceeded by chance once in a few million runs.
        assert ((found.mean(dim=0) - expected).abs() < 5.5 * error + 1e-4).all()
        variance.append(found.var(dim=0).sum().item())
    assert variance[1] < 0.3 * variance[0]


def test_the_loss_is_minus_log_p_times_advantage() -> None:
    log_p = torch.tensor([-1.0, -2.0, -4.0], requires_grad=True)
    rewards = torch.tensor([1.0, 0.0, 2.0], requires_grad=True)
    reinforce_loss(log_p, rewards).backward()
    assert log_p.grad.tolist() == pytest.approx([-1 / 3, 0, -2 / 3]) and rewards.grad is None
    baseline = MovingAverageBaseline(0.5)
    baseline(torch.tensor([3.0]))
    log_p.grad = None
    loss = reinforce_loss(log_p, rewards, baseline)
    assert loss.item() == pytest.approx((1 * -2 + 2 * -3 + 4 * -1) / 3)
    loss.backward()
    assert log_p.grad.tolist() == pytest.approx([2 / 3, 1, 1 / 3]) and rewards.grad is None


def test_moving_average_by_hand() -> None:
    baseline = MovingAverageBaseline(0.75)
    assert baseline(torch.tensor([1.0, 3.0])).item() == 2.0  # nothing before: the batch's own mean
    assert baseline(torch.tensor([6.0])).item() == 2.0
    assert baseline(torch.tensor([0.0])).item() == 3.0  # 0.75 * 2 + 0.25 * 6
    assert baseline.value.item() == 2.25
    baseline.eval()
    assert baseline(torch.tensor([50.0])).item() == 2.25 == baseline.value.item()
    # A checkpoint holds it: a run goes on with the average it had.
    other = MovingAverageBaseline(0.75)
    other.load_state_dict(baseline.state_dict())
    assert other(torch.tensor([1.0])).item() == 2.25
    assert not baseline(torch.ones(2, requires_grad=True)).requires_grad


def test_errors_name_the_argument() -> None:
    for momentum in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="momentum must be from 0 to below 1"):
            MovingAverageBaseline(momentum)
    with pytest.raises(ValueError, match=r"reward must have the shape \[B\], one a sequence, got \[2, 3\]"):
        reinforce_loss(torch.zeros(2, 3), torch.zeros(2, 3))
    with pytest.raises(
        ValueError, match=r"log_probability must have the shape of reward, \[2\], got \[2, 5\]"
    ):
        reinforce_loss(torch.zeros(2, 5), torch.zeros(2))
    with pytest.raises(ValueError, match=r"got \[0\]"):
        MovingAverageBaseline()(torch.zeros(0))
