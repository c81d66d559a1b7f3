"""Intervals that cover, and chance levels that random rankings do reach."""

import numpy as np
import pytest

from sketchfast.metrics import PROTOCOLS, bootstrap_interval, chance_level, evaluate_scores


def test_interval_of_a_mean_is_the_normal_one_for_many_queries(seed):
    rng = np.random.default_rng(seed)
    values = rng.random(4000)
    low, high = bootstrap_interval(values, resamples=1000)
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(half, rel=0.15)
    assert bootstrap_interval(values, resamples=1000) == (low, high)
    narrow = bootstrap_interval(values, confidence=0.5, resamples=1000)
    assert low < narrow[0] < narrow[1] < high


def test_interval_of_class_means_keeps_every_class(seed):
    """Constant inside each class: resampling inside classes moves nothing; ignoring classes would."""
    labels = np.array([0] * 90 + [1] * 10)
    values = labels.astype(float)
    assert bootstrap_interval(values, labels) == pytest.approx((0.5, 0.5))
    low, high = bootstrap_interval(values)
    assert low < 0.1 < high < 0.5


def test_result_interval_uses_the_protocols_average(seed):
    rng = np.random.default_rng(seed)
    scores, queries, gallery = rng.random((60, 40)), np.arange(60) % 3, np.arange(40) % 3
    for protocol in PROTOCOLS:
        result = evaluate_scores(scores, queries, gallery, protocol=protocol, at=(10,))
        low, high = result.interval("mAP@all")
        assert low < result.values["mAP@all"] < high
    with pytest.raises(ValueError, match=r"name: expected one of mAP@all, Prec@10; found 'mAP'"):
        result.interval("mAP")


def test_missing_values_are_dropped():
    assert bootstrap_interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_query": np.array([])}, "per_query: expected at least one"),
        ({"per_query": np.array([np.nan])}, "per_query: expected at least one"),
        ({"per_query": np.ones((2, 2))}, "per_query: .*one dimension"),
        ({"per_query": np.ones(3), "labels": np.ones(2)}, "labels: expected 3"),
        ({"per_query": np.ones(3), "confidence": 95}, "confidence: expected a number between 0 and 1"),
        ({"per_query": np.ones(3), "resamples": 0}, "resamples: expected at least 1"),
    ],
)
def test_bad_bootstrap_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(**arguments)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chance_is_the_mean_of_random_rankings(protocol, seed):
    rng = np.random.default_rng(seed)
    gallery = np.repeat([0, 1, 2], [3, 12, 25])  # uneven classes
    queries = np.repeat([0, 1, 2], [10, 5, 5])
    at, ap_at = (1, 8, 40), ("all", 1, 8)
    runs = [
        evaluate_scores(rng.random((20, 40)), queries, gallery, protocol=protocol, at=at, ap_at=ap_at).values
        for _ in range(800)
    ]
    chance = chance_level(queries, gallery, protocol, at=at, ap_at=ap_at, simulations=4000)
    assert set(chance) == set(runs[0])
    for name, expected in chance.items():
        sample = np.array([run[name] for run in runs])
        # five standard errors of the sample, and the noise of the simulated protocols
        tolerance = 5 * sample.std() / np.sqrt(len(sample)) + (
            0.012 if PROTOCOLS[protocol].interpolated else 0
        )
        assert expected == pytest.approx(sample.mean(), abs=tolerance + 1e-12), name


def test_chance_of_one_class_is_one():
    for protocol in PROTOCOLS:
        chance = chance_level([0, 0], [0, 0, 0], protocol, at=(2,), ap_at=("all", 2))
        # the sklearn protocol divides by all three positives, of which two are in the top 2
        expected = 2 / 3 if protocol == "sklearn" else 1.0
        assert chance["mAP@2"] == pytest.approx(expected)
        assert chance["mAP@all"] == pytest.approx(1.0) and chance["Prec@2"] == pytest.approx(1.0)


def test_chance_names_bad_labels():
    with pytest.raises(ValueError, match="gallery_labels: expected at least one"):
        chance_level([0], np.array([], np.int64))
    with pytest.raises(ValueError, match="at: k = 100 is larger than the gallery"):
        chance_level([0], [0, 1])
