"""L_DIS, eq. 8 and 9, written out sample by sample."""

import math

import pytest
import torch

from sketchfast.nn import discrimination_loss


def softmax(row: list[float]) -> list[float]:
    exponentials = [math.exp(value - max(row)) for value in row]
    return [value / sum(exponentials) for value in exponentials]


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_is_eq_9(weight: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    batch, classes, teacher_classes = 5, 4, 7
    sketch, photo = torch.randn(2, batch, classes, generator=random, dtype=torch.float64).unbind()
    distilled, teacher = torch.randn(
        2, batch, teacher_classes, generator=random, dtype=torch.float64
    ).unbind()
    labels = torch.randint(classes, (batch,), generator=random)
    terms = discrimination_loss(sketch, photo, labels, distilled, teacher, weight)
    by_hand = [0.0, 0.0, 0.0]
    for i in range(batch):
        by_hand[0] -= math.log(softmax(sketch[i].tolist())[labels[i]]) / batch
        by_hand[1] -= math.log(softmax(photo[i].tolist())[labels[i]]) / batch
        p, y = softmax(distilled[i].tolist()), softmax(teacher[i].tolist())
        by_hand[2] -= sum(y_k * math.log(p_k) for y_k, p_k in zip(y, p)) / batch
    assert [t.item() for t in terms[1:]] == pytest.approx(by_hand, rel=1e-5)
    assert terms.total.item() == pytest.approx(weight * by_hand[0] + by_hand[1] + by_hand[2], rel=1e-5)


def test_gradients_reach_the_student_only() -> None:
    distilled, teacher = torch.randn(3, 6, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    logits = torch.randn(3, 2, requires_grad=True)
    discrimination_loss(logits, logits, torch.tensor([0, 1, 1]), distilled, teacher).total.backward()
    assert teacher.grad is None
    torch.testing.assert_close(distilled.grad, (distilled.softmax(1) - teacher.softmax(1)).detach() / 3)


def test_a_hand_worked_case() -> None:
    # Two classes at log-odds ln 3: probabilities 1/4 and 3/4.
    logits = torch.tensor([[0.0, math.log(3.0)]])
    terms = discrimination_loss(logits, -logits, torch.tensor([1]))
    assert terms.sketch_classification.item() == pytest.approx(math.log(4 / 3), rel=1e-5)
    assert terms.photo_classification.item() == pytest.approx(math.log(4), rel=1e-5)
    assert terms.distillation is None


def test_errors() -> None:
    logits, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="teacher_logits is None"):
        discrimination_loss(logits, logits, labels, logits)
    with pytest.raises(ValueError, match="labels has 1 entries for 2 sketches"):
        discrimination_loss(logits, logits, labels[:1])
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        discrimination_loss(logits, logits, labels, logits, torch.zeros(2, 4))
