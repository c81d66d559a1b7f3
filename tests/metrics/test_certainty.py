"""Certainty against rank: levels and percentiles by hand, edges, seeds together, bad input."""

import json

import numpy as np
import pytest

from sketchfast.metrics.certainty import certainty_levels


def test_by_hand() -> None:
    # 5 photos: places 1, 2, 5 are percentiles 1, 3/4, 0. 3 photos: place 2 is 1/2.
    found = certainty_levels([0.05, 0.95, 0.91, 0.5], [5, 1, 2, 2], [5, 5, 5, 3])
    assert found.percentile.tolist() == [0, 1, 0.75, 0.5]
    assert found.level.tolist() == [0, 9, 9, 5]
    assert found.counts.tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert [mean and mean.value for mean in found.average] == [0, *[None] * 4, 0.5, *[None] * 3, 0.875]
    assert found.correlation == pytest.approx(1)  # the order of certainty is that of the percentiles
    kept = json.loads(json.dumps(found.to_dict()))
    assert kept["counts"] == found.counts.tolist() and kept["average_ranking_percentile"][9] == 0.875
    assert "0.9-1.0: 0.88 (2)" in str(found) and "Spearman +1.00" in str(found)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edge_belongs_to_the_level_above_it(dtype) -> None:
    edges = (np.arange(11) / 10).astype(dtype)
    found = certainty_levels(edges, [1] * 11, 2)
    assert found.level.tolist() == [*range(10), 9]
    below = np.nextafter(edges[1:], dtype(0))
    assert certainty_levels(below, [1] * 10, 2).level.tolist() == list(range(10))
    assert found.correlation is None  # all at the same place


def test_average_as_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    certainty, ranks = random.random(300), random.integers(1, 41, 300)
    found = certainty_levels(certainty, ranks, 40)
    for level in range(10):
        inside = [(40 - r) / 39 for c, r in zip(certainty, ranks) if level / 10 <= c < (level + 1) / 10]
        assert found.average[level].value == pytest.approx(np.mean(inside))
        assert found.average[level].count == len(inside)
    halves = [certainty_levels(certainty[part], ranks[part], 40) for part in (slice(100), slice(100, 300))]
    assert halves[0].joined(halves[1]).to_dict() == found.to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], [], 5), "certainty: expected one number a sketch, of at least one"),
        (([0.5, 1.5], [1, 1], 5), "certainty: expected 0 to 1; found 1.5 for sketch 1"),
        (([np.nan], [1], 5), "certainty: expected 0 to 1; found nan for sketch 0"),
        (([0.5], [1, 2], 5), "ranks: expected 1 whole numbers"),
        (([0.5], [1.0], 5), "ranks: expected 1 whole numbers, one a sketch; found float64"),
        (([0.5, 0.5], [1, 6], 5), "ranks: expected 1 to the number of photos; found 6 for sketch 1"),
        (([0.5], [1], 1), "gallery: expected at least 2 photos"),
        (([0.5], [1], [5, 5]), "gallery: expected at least 2 photos, one number or 1"),
        (([0.5], [1], 5, 0), "levels: expected a positive whole number"),
    ],
)
def test_bad_input(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        certainty_levels(*arguments)
    with pytest.raises(ValueError, match="other: expected 10 levels; found 5"):
        certainty_levels([0.5], [1], 5).joined(certainty_levels([0.5], [1], 5, 5))
