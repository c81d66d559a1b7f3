"""Usage of trait descriptors: counts by a loop, a small case by hand, bad input."""

import json

import numpy as np
import pytest

from sketchfast.metrics.trait_usage import TraitUsage

NAMES = ("ant", "bee", "cat")
#        descriptors 0 1 2 3: ant 2 1 0 0, bee 0 0 2 0, cat 0 2 0 0
ASSIGNED = [0, 1, 0, 2, 2, 1, 1]
LABELS = [0, 0, 0, 1, 1, 2, 2]


def test_by_hand() -> None:
    usage = TraitUsage.of(ASSIGNED, LABELS, NAMES, 4)
    assert usage.counts.tolist() == [[2, 1, 0, 0], [0, 0, 2, 0], [0, 2, 0, 0]]
    assert usage.counts.dtype == np.int64
    assert usage.share_used == 0.75
    assert usage.per_category.tolist() == [2, 1, 1]
    ant_cat = 1 / np.sqrt(5)  # (1 x 2) / (sqrt(2^2 + 1) x 2)
    np.testing.assert_allclose(usage.visual_similarity(), [[1, 0, ant_cat], [0, 1, 0], [ant_cat, 0, 1]])
    assert usage.top_categories(1) == [("cat", 2), ("ant", 1)]
    assert usage.top_categories(1, most=1) == [("cat", 2)]
    assert usage.top_categories(3) == []
    summary = json.loads(json.dumps(usage.to_dict()))
    assert summary == {
        "descriptors": 4,
        "share_used": 0.75,
        "per_category_mean": pytest.approx(4 / 3),
        "per_category_std": pytest.approx(np.sqrt(2) / 3),
        "sketches": 7,
    }


def test_counts_as_a_loop_counts(seed: int) -> None:
    random = np.random.default_rng(seed)
    assigned, labels = random.integers(0, 9, 500), random.integers(0, 4, 500).astype(np.uint8)
    expected = np.zeros((4, 9), int)
    for i, c in zip(assigned, labels, strict=True):
        expected[c, i] += 1
    usage = TraitUsage.of(assigned, labels, list("abcd"), 9)
    np.testing.assert_array_equal(usage.counts, expected)
    similarity = usage.visual_similarity()
    for a in range(4):
        for b in range(4):
            lengths = np.sqrt((expected[a] ** 2).sum() * (expected[b] ** 2).sum())
            assert similarity[a, b] == pytest.approx((expected[a] * expected[b]).sum() / lengths)
    for i in range(9):
        top = usage.top_categories(i, 3)
        order = sorted(range(4), key=lambda c: (-expected[c, i], c))[:3]
        assert top == [("abcd"[c], expected[c, i]) for c in order if expected[c, i]]


def test_a_category_without_sketches() -> None:
    usage = TraitUsage.of([0, 1], [0, 2], NAMES, 2)
    assert usage.per_category.tolist() == [1, 0, 1]
    assert usage.visual_similarity()[1].tolist() == [0, 0, 0]
    assert usage.to_dict()["per_category_mean"] == 1


@pytest.mark.parametrize(
    ("assigned", "labels", "k", "message"),
    [
        ([0, 4], [0, 1], 4, "assignments: expected 0 to 3; found 0 to 4"),
        ([0, -1], [0, 1], 4, "assignments: expected 0 to 3; found -1 to 0"),
        ([0, 1], [0, 3], 4, "labels: expected 0 to 2; found 0 to 3"),
        ([0, 1], [0], 4, "labels: expected 2, one a sketch; found 1"),
        ([0.0, 1.0], [0, 1], 4, "assignments: expected a whole number .*float64"),
        ([[0, 1]], [0, 1], 4, r"assignments: expected a whole number .*\(1, 2\)"),
        ([], [], 4, "assignments: expected a whole number for each of one sketch or more"),
        ([0, 0], [0, 1], 1, "descriptors: expected at least 2; found 1"),
    ],
)
def test_bad_input(assigned: list, labels: list, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TraitUsage.of(assigned, labels, NAMES, k)
