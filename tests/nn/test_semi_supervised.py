"""Equations 4 to 8 of More Photos are All You Need, written out pair by pair, and where their gradients end."""

import math

import pytest
import torch
from torch import Tensor

from sketchfast.nn import (
    absolute_teacher,
    discriminator_loss,
    in_batch_negatives,
    in_batch_triplet_losses,
    relative_teacher,
    retrieval_loss,
    reward,
    triplet_losses,
)


def rows(count: int, batch: int, dim: int, seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return list(torch.randn(count, batch, dim, generator=random, dtype=torch.float64))


def distance(a: Tensor, b: Tensor) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a.tolist(), b.tolist())))


def hinge(sketch: Tensor, positive: Tensor, negative: Tensor, margin: float) -> float:
    return max(0.0, margin + distance(sketch, positive) - distance(sketch, negative))


# -- eq. 4


def test_triplet_is_eq_4(seed: int) -> None:
    s, p, n = rows(3, 40, 3, seed)
    found = triplet_losses(s, p, n, 0.3)
    expected = [hinge(*each, 0.3) for each in zip(s, p, n)]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert 0.0 in expected and max(expected) > 0.3  # both sides of the hinge


def test_triplet_by_hand() -> None:
    s, p, n = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 4.5]])
    assert triplet_losses(s, p, n, 0.3).item() == pytest.approx(0.3 + 5.0 - 4.5)  # squared: 0.3 + 25 - 20.25
    assert triplet_losses(s, n, p, 0.3).item() == 0.0


def test_triplet_gradient_where_a_sketch_is_its_photo(seed: int) -> None:
    # A distance of 0 has no gradient; a NaN there would end the training.
    s, n = (row.requires_grad_() for row in rows(2, 4, 5, seed))
    triplet_losses(s, s.detach(), n, 100.0).sum().backward()
    away = (s - n).detach()
    torch.testing.assert_close(s.grad, -away / away.norm(dim=1, keepdim=True))


# -- negatives of the batch


@pytest.mark.parametrize("kind", ["random", "hard", "all"])
def test_a_photo_drawn_twice_is_no_negative(kind: str, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    s, p = torch.randn(8, 4, generator=random), torch.randn(11, 4, generator=random)
    ids = torch.randint(4, (11,), generator=random)
    ids[:2] = torch.tensor([7, 9])  # at least two different ones
    uniform = torch.rand(8, generator=random)
    uniform[0], uniform[1] = 0.0, 1.0
    weights = in_batch_negatives(kind, s, p, ids, uniform)
    losses = in_batch_triplet_losses(s.double(), p.double(), ids, 0.5, kind, uniform)
    for i in range(8):
        others = [j for j in range(11) if ids[j] != ids[i]]
        far = [distance(s[i].double(), p[j].double()) for j in others]
        if kind == "random":
            chosen = [others[min(int(uniform[i] * len(others)), len(others) - 1)]]
        elif kind == "hard":
            chosen = [others[far.index(min(far))]]
        else:
            chosen = others
        assert weights[i].nonzero().flatten().tolist() == chosen
        assert weights[i].sum().item() == pytest.approx(1.0)
        by_hand = [hinge(s[i].double(), p[i].double(), p[j].double(), 0.5) for j in chosen]
        assert losses[i].item() == pytest.approx(sum(by_hand) / len(by_hand), abs=1e-6)
    assert not weights.requires_grad


def test_every_other_photo_is_as_likely() -> None:
    count = 600
    ids = torch.tensor([5, 1, 5, 2, 3, 1])
    sketch, photo = torch.zeros(6, 2), torch.zeros(6, 2)
    found = torch.zeros(6, 6)
    for u in (torch.arange(count) + 0.5) / count:
        found += in_batch_negatives("random", sketch, photo, ids, u.expand(6))
    expected = (ids[:, None] != ids).float()
    torch.testing.assert_close(found / count, expected / expected.sum(1, keepdim=True), atol=1e-3, rtol=0)


def test_hard_takes_the_first_of_equal_photos() -> None:
    photo = torch.tensor([[9.0], [1.0], [-1.0], [1.0]])
    assert in_batch_negatives("hard", torch.zeros(1, 1), photo, torch.arange(4))[0].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("kind", ["random", "hard", "all"])
def test_two_sketches_of_one_photo(kind: str) -> None:
    s, photo = torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([[3.0], [3.0], [5.0]])
    losses = in_batch_triplet_losses(s, photo, torch.tensor([4, 4, 8]), 10.0, kind, torch.full((3,), 0.6))
    assert losses.tolist() == [10.0 + 3 - 5, 10.0 + 2 - 4, 10.0 + 1 - 1]
    with pytest.raises(ValueError, match="ids must name at least 2 photos, all 3 are photo 4"):
        in_batch_triplet_losses(s, photo, torch.full((3,), 4), 1.0, kind, torch.ones(3))


# -- eq. 6 and the absolute teacher


def test_teachers_are_eq_6_and_leave_the_teacher_alone(seed: int) -> None:
    p_t, s_t, p, s = (row.requires_grad_() for row in rows(4, 6, 3, seed))
    relative, absolute = relative_teacher(p_t, s_t, p, s), absolute_teacher(p_t, s_t, p, s)
    for i in range(6):
        wanted = abs(distance(p_t[i], s_t[i]) - distance(p[i], s[i]))
        assert relative[i].item() == pytest.approx(wanted, abs=1e-12)
        wanted = distance(p_t[i], p[i]) + distance(s_t[i], s[i])
        assert absolute[i].item() == pytest.approx(wanted, abs=1e-12)
    (relative.sum() + absolute.sum()).backward()
    assert p_t.grad is None and s_t.grad is None
    assert p.grad.abs().min() > 0 and s.grad.abs().min() > 0


def test_a_student_that_is_its_teacher(seed: int) -> None:
    p_t, s_t = rows(2, 6, 3, seed)
    p, s = p_t.clone().requires_grad_(), s_t.clone().requires_grad_()
    for teacher in (relative_teacher, absolute_teacher):
        loss = teacher(p_t, s_t, p, s)
        assert not loss.any()
        loss.sum().backward()  # no NaN at the kink
        assert not p.grad.any() and not s.grad.any()
    # The relative teacher does not mind where the features lie, the absolute one does.
    turned = torch.linalg.qr(rows(1, 3, 3, seed + 1)[0]).Q
    assert relative_teacher(p_t, s_t, p @ turned + 1, s @ turned + 1).abs().max() < 1e-12
    assert absolute_teacher(p_t, s_t, p @ turned + 1, s @ turned + 1).min() > 0.01
    # A teacher of another width: only distances are compared.
    assert relative_teacher(torch.cat([p_t, p_t], 1), torch.cat([s_t, s_t], 1), p, s).shape == (6,)


# -- eq. 5


def test_discriminator_is_eq_5(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    real = torch.randn(3, 1, 4, 4, generator=random, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(5, 1, 4, 4, generator=random, dtype=torch.float64, requires_grad=True)
    loss = discriminator_loss(real, fake)
    by_hand = -sum(math.log(1 / (1 + math.exp(-x))) for x in real.flatten().tolist()) / 48
    by_hand -= sum(math.log(1 - 1 / (1 + math.exp(-x))) for x in fake.flatten().tolist()) / 80
    assert loss.item() == pytest.approx(by_hand, rel=1e-12)
    loss.backward()
    torch.testing.assert_close(real.grad, (real.detach().sigmoid() - 1) / 48)
    torch.testing.assert_close(fake.grad, fake.detach().sigmoid() / 80)


def test_discriminator_by_hand() -> None:
    # At odds of 3 to 1 for "real": 3/4.
    odds = torch.full((1, 1, 1, 1), math.log(3.0))
    assert discriminator_loss(odds, odds).item() == pytest.approx(-math.log(3 / 4) - math.log(1 / 4))
    certain = torch.full((1,), 200.0)
    assert discriminator_loss(certain, certain).item() == pytest.approx(200.0)  # not infinite


# -- eq. 7


def test_retrieval_is_eq_7_and_omega_is_a_weight_only(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    labelled, labelled_kd = torch.rand(2, 4, generator=random, dtype=torch.float64).requires_grad_()
    generated, generated_kd, omega = torch.rand(3, 6, generator=random, dtype=torch.float64).requires_grad_()
    for leaf in (labelled, labelled_kd, generated, generated_kd, omega):
        leaf.retain_grad()
    terms = retrieval_loss(labelled, generated, omega, labelled_kd, generated_kd, 0.1)
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    first, second = mean(labelled.tolist()), mean([o * g for o, g in zip(omega.tolist(), generated.tolist())])
    third = mean(labelled_kd.tolist()) + mean(generated_kd.tolist())
    assert [t.item() for t in terms] == pytest.approx([first + second + 0.1 * third, first, second, third])
    terms.total.backward()
    assert omega.grad is None
    torch.testing.assert_close(generated.grad, omega.detach() / 6)
    torch.testing.assert_close(generated_kd.grad, torch.full((6,), 0.1 / 6, dtype=torch.float64))
    torch.testing.assert_close(labelled.grad, torch.full((4,), 1 / 4, dtype=torch.float64))


def test_ablations_are_parts_of_eq_7() -> None:
    labelled, generated = torch.tensor([1.0, 3.0]), torch.tensor([4.0])
    supervised = retrieval_loss(labelled)
    assert [t.item() for t in supervised] == [2.0, 2.0, 0.0, 0.0]
    assert retrieval_loss(labelled, generated).total.item() == 6.0  # vanilla SSL
    assert retrieval_loss(labelled, generated, torch.tensor([0.25])).total.item() == 3.0  # no teacher
    no_weighting = retrieval_loss(
        labelled, generated, None, torch.tensor([0.0, 2.0]), torch.tensor([4.0]), 0.1
    )
    assert no_weighting.total.item() == pytest.approx(6.5)


# -- eq. 8


def test_reward_is_eq_8_and_carries_no_gradient_unless_asked() -> None:
    triplets = torch.tensor([0.0, 0.5], requires_grad=True)
    certainty = torch.tensor([0.25, 1.0], requires_grad=True)
    found = reward(triplets, certainty, 2.0, 3.0)
    assert found.tolist() == [0.75, 2.0] and not found.requires_grad
    assert reward(triplets, certainty).tolist() == [0.25, 0.5]
    assert reward(triplets, certainty, 1.0, 0.0).tolist() == [0.0, -0.5]
    assert reward(triplets, certainty, 0.0, 1.0).tolist() == [0.25, 1.0]
    # For sketches drawn as pictures, through which the gradient can go.
    reward(triplets, certainty, 2.0, 3.0, differentiable=True).sum().backward()
    assert triplets.grad.tolist() == [-2.0, -2.0] and certainty.grad.tolist() == [3.0, 3.0]


# -- precision, bad input


def test_losses_of_16_bit_features_are_float32(seed: int) -> None:
    s, p, n = (row.bfloat16() for row in rows(3, 5, 64, seed))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = [
            triplet_losses(s, p, n, 0.3),
            in_batch_triplet_losses(s, p, torch.arange(5), 0.3, "all"),
            relative_teacher(p, s, n, s),
            discriminator_loss(s, p),
        ]
    expected = [
        triplet_losses(s.double(), p.double(), n.double(), 0.3),
        in_batch_triplet_losses(s.double(), p.double(), torch.arange(5), 0.3, "all"),
        relative_teacher(p.double(), s.double(), n.double(), s.double()),
        discriminator_loss(s.double(), p.double()),
    ]
    for value, wanted in zip(found, expected):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), wanted, rtol=1e-5, atol=1e-5)


def test_errors_name_the_argument() -> None:
    a, ids = torch.zeros(3, 4), torch.arange(3)
    with pytest.raises(ValueError, match=r"sketch, positive, negative must have one shape.*\[2, 4\]"):
        triplet_losses(a, a, a[:2], 0.3)
    with pytest.raises(ValueError, match=r"one shape \[B, d\]"):
        triplet_losses(a[0], a[0], a[0], 0.3)
    with pytest.raises(ValueError, match="margin must be 0 or more, got nan"):
        triplet_losses(a, a, a, float("nan"))
    with pytest.raises(ValueError, match="margin must be 0 or more, got -1"):
        in_batch_triplet_losses(a, a, ids, -1, "all")
    with pytest.raises(ValueError, match="kind must be 'random', 'hard' or 'all', got 'semi'"):
        in_batch_negatives("semi", a, a, ids)
    with pytest.raises(ValueError, match=r"uniform must be given as \[3\].*got None"):
        in_batch_negatives("random", a, a, ids)
    with pytest.raises(ValueError, match=r"ids must be \[3\], one a photo, got \[2\]"):
        in_batch_negatives("all", a, a, ids[:2])
    with pytest.raises(TypeError, match=r"ids must be integers, got torch\.float32"):
        in_batch_negatives("all", a, a, ids.float())
    with pytest.raises(ValueError, match="photo must begin with the photo of each of 3 sketches, got 2 rows"):
        in_batch_negatives("all", a, a[:2], ids[:2])
    with pytest.raises(ValueError, match=r"must have one d, got \[3, 4\] and \[3, 2\]"):
        in_batch_negatives("all", a, a[:, :2], ids)
    with pytest.raises(ValueError, match="teacher's features are of 2 pairs, photo of 3"):
        relative_teacher(a[:2], a[:2], a, a)
    with pytest.raises(ValueError, match="teacher_photo, photo must have one shape"):
        absolute_teacher(a[:, :2], a[:, :2], a, a)
    with pytest.raises(ValueError, match=r"fake_logits must not be empty, got \[0, 1\]"):
        discriminator_loss(torch.zeros(2), torch.zeros(0, 1))
    with pytest.raises(ValueError, match="generated must be given with certainty"):
        retrieval_loss(torch.zeros(2), certainty=torch.zeros(2))
    with pytest.raises(ValueError, match="certainty must have a value for each of 3 pairs, got 2"):
        retrieval_loss(torch.zeros(2), torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match=r"labelled must have the shape \[B\], one value a pair, got \[\]"):
        retrieval_loss(torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"triplets and certainty must both have one shape \[B\]"):
        reward(torch.zeros(2), torch.zeros(3))
