"""Recognition scored by hand, against scikit-learn, and in the cases that have no number."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, confusion_matrix, top_k_accuracy_score

from sketchfast.metrics import (
    accuracy_difference,
    bootstrap_interval,
    evaluate_classification,
    evaluate_scores,
)
from sketchfast.metrics.classification import format_classification_rows

ABC = ["ant", "bat", "cat"]


def random_scores(seed: int, count: int = 300, classes: int = 8) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores float32 that are often right and never tie, labels of which each occurs, names."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, count - classes)])
    scores = random.permutation(count * classes).reshape(count, classes) / (count * classes)
    scores[np.arange(count), labels] += random.random(count) * 0.8
    return scores.astype(np.float32), labels, [f"class {k}" for k in range(classes)]


def test_worked_by_hand():
    scores = [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.4, 0.3, 0.3], [0.5, 0.1, 0.4], [0.0, 0.8, 0.2]]
    result = evaluate_classification(scores, [0, 1, 1, 2, 2], ABC, at=(1, 2))
    assert result.rank.tolist() == [1, 1, 3, 2, 2]  # the third ties with "cat" and stands behind it
    assert result.right.tolist() == [True, True, False, False, False]
    assert result.predicted.tolist() == [0, 1, 0, 0, 1]
    assert {k: mean.value for k, mean in result.accuracy.items()} == {1: 2 / 5, 2: 4 / 5}
    assert result.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 0]]
    assert result.confused_pairs() == [
        ("bat", "ant", 1, 0.5),
        ("cat", "ant", 1, 0.5),
        ("cat", "bat", 1, 0.5),
    ]
    assert result.confused_pairs(1) == [("bat", "ant", 1, 0.5)]
    # "ant": its only sketch is first. "bat": 0.5 stands second and 0.3 third. "cat": 0.4 is first, 0.2 fourth.
    assert result.class_ap == pytest.approx({"ant": 1.0, "bat": (1 / 2 + 2 / 3) / 2, "cat": (1 + 2 / 4) / 2})
    assert result.mean_ap == pytest.approx((1 + 7 / 12 + 3 / 4) / 3)
    assert {name: (mean.value, mean.count) for name, mean in result.class_accuracy.items()} == {
        "ant": (1.0, 1),
        "bat": (0.5, 2),
        "cat": (0.0, 2),
    }
    assert result.notes == [] and len(result) == 5


def test_against_scikit_learn(seed):
    scores, labels, names = random_scores(seed)
    result = evaluate_classification(scores, labels, names, at=(1, 3, 5))
    for k, mean in result.accuracy.items():
        assert mean.value == pytest.approx(top_k_accuracy_score(labels, scores, k=k, labels=range(8)))
        assert (mean.low, mean.high) == bootstrap_interval((result.rank <= k).astype(float))
    assert np.array_equal(result.confusion, confusion_matrix(labels, scores.argmax(axis=1), labels=range(8)))
    expected = [average_precision_score(labels == k, scores[:, k]) for k in range(8)]
    np.testing.assert_allclose(result.ap, expected, rtol=1e-12)
    # Without ties it is also the retrieval of a class's sketches by its name.
    ranked = evaluate_scores(scores.T, np.arange(8), labels, at=(1,))
    np.testing.assert_allclose(result.ap, ranked.per_query["mAP@all"], rtol=1e-12)


def test_average_precision_of_scores_that_tie_is_scikit_learn_s_and_needs_no_order(seed):
    random = np.random.default_rng(seed)
    scores, labels = random.integers(0, 4, (200, 5)) / 3, random.integers(0, 5, 200)
    labels[:5] = np.arange(5)
    result = evaluate_classification(scores, labels, list("abcde"))
    expected = [average_precision_score(labels == k, scores[:, k]) for k in range(5)]
    np.testing.assert_allclose(result.ap, expected, rtol=1e-12)
    order = random.permutation(200)
    assert np.array_equal(evaluate_classification(scores[order], labels[order], list("abcde")).ap, result.ap)


def test_ties_count_against_the_model():
    same = evaluate_classification(np.full((6, 3), 0.3), [0, 0, 1, 1, 2, 2], ABC, at=(1, 2, 3))
    assert [mean.value for mean in same.accuracy.values()] == [0.0, 0.0, 1.0]
    assert np.trace(same.confusion) == 0 and same.mean_ap == pytest.approx(1 / 3)
    nothing = evaluate_classification(np.full((3, 3), -np.inf), [0, 1, 2], ABC, at=(1,))
    assert not nothing.right.any() and nothing.predicted.tolist() == [1, 0, 0]
    one = evaluate_classification([[0.5], [-np.inf]], [0, 0], ["ant"], at=())
    assert one.right.all() and one.predicted.tolist() == [0, 0] and one.mean_ap == 1.0


def test_a_class_without_sketches_is_left_out_and_named(seed):
    scores, labels, names = random_scores(seed)
    here = labels != 3
    result = evaluate_classification(scores[here], labels[here], names)
    assert np.isnan(result.ap[3]) and "class 3" not in result.class_ap | result.class_accuracy
    assert result.mean_ap == pytest.approx(np.mean(list(result.class_ap.values())))
    assert result.notes == ["1 of 8 classes have no sketch here and no average precision: class 3"]
    assert result.confusion[3].sum() == 0
    table = format_classification_rows({"ours": result, "another method": result})
    assert len(table.splitlines()) == 3 and table.endswith(result.notes[0])
    written = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert written["accuracy"]["5"] == result.accuracy[5].value and written["mAP"] == result.mean_ap
    assert written["intervals"]["1"] == [result.accuracy[1].low, result.accuracy[1].high]
    assert written["count"] == len(result) == int(here.sum()) and len(written["classes"]) == 7


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_tensors_are_scored_as_they_are(seed, dtype):
    scores, labels, names = random_scores(seed, classes=4)
    given = torch.tensor(scores, dtype=dtype, requires_grad=True)
    result = evaluate_classification(given, torch.tensor(labels), names)
    assert result.at == (1,)  # 5 of 4 classes would always be right
    expected = evaluate_classification(given.detach().double().numpy(), labels, names)
    assert (result.rank == expected.rank).all() and (result.ap == expected.ap).all()


def test_mistakes_add_up_and_the_most_frequent_come_first(seed):
    scores, labels, names = random_scores(seed)
    result = evaluate_classification(scores, labels, names)
    pairs = result.confused_pairs(1000)
    counts = [times for _, _, times, _ in pairs]
    assert sum(counts) == int((~result.right).sum()) and counts == sorted(counts, reverse=True)
    for true, predicted, times, share in pairs:
        mine = labels == names.index(true)
        assert times == (result.predicted[mine] == names.index(predicted)).sum() and true != predicted
        assert share == pytest.approx(times / mine.sum())


def test_difference_of_two_models_on_the_same_sketches(seed):
    random = np.random.default_rng(seed)
    a = random.random(400) < 0.7
    b = a & (random.random(400) < 0.9)
    value, low, high = accuracy_difference(a, b)
    assert value == pytest.approx(a.mean() - b.mean()) and 0 < low < value < high
    apart = np.subtract(*bootstrap_interval(a.astype(float))[::-1])
    assert high - low < apart  # paired: narrower than one model's own interval
    assert accuracy_difference(a, a) == (0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="right_b: expected 400 sketches"):
        accuracy_difference(a, b[1:])
    with pytest.raises(ValueError, match="right_a: expected bool"):
        accuracy_difference(a.astype(float), b)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"scores": [[0.1, np.nan, 0.2]] * 2},
            ValueError,
            "scores: expected numbers; found NaN for sketch 0",
        ),
        ({"scores": [0.1, 0.2]}, ValueError, r"scores: expected shape \[N, K\].*\[2\]"),
        ({"scores": np.zeros((0, 3)), "labels": np.zeros(0, int)}, ValueError, r"N, K >= 1; found \[0, 3\]"),
        ({"scores": [["a", "b", "c"]] * 2}, TypeError, "scores: expected real numbers"),
        ({"labels": [0, 3]}, ValueError, r"labels: expected 0\.\.2; found 3 for sketch 1"),
        ({"labels": [0, -1]}, ValueError, "found -1 for sketch 1"),
        ({"labels": [0, 1, 2]}, ValueError, "labels: expected 2, one per row"),
        ({"labels": [0.0, 1.0]}, TypeError, "labels: expected integers"),
        ({"names": ["ant", "bat"]}, ValueError, "names: expected 3 of them"),
        ({"names": ["ant", "bat", "ant"]}, ValueError, "names: expected different names; found 'ant' twice"),
        (
            {"at": (1, 4)},
            ValueError,
            "at: expected whole numbers from 1 to the number of classes, 3; found 4",
        ),
        ({"at": (0,)}, ValueError, "found 0"),
    ],
)
def test_what_cannot_be_scored_is_said(change, error, message):
    given = {
        "scores": [[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]],
        "labels": [0, 1],
        "names": ABC,
        "at": (1,),
        **change,
    }
    with pytest.raises(error, match=message):
        evaluate_classification(given["scores"], given["labels"], given["names"], at=given["at"])
