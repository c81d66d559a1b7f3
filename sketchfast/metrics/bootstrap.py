"""How far a mean over queries could move had other queries been drawn: percentile bootstrap (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

CHUNK_VALUES = 1 << 22  # resampled values held at once


@dataclass(frozen=True)
class Mean:
    """A mean over `count` sketches with its 95 % bootstrap interval; one sketch has the interval [value, value]."""

    value: float
    low: float
    high: float
    count: int

    @classmethod
    def over(cls, per_sketch: ArrayLike) -> Mean:
        """Of values [N]; NaN values (sketches left out) do not count. ValueError when there is none."""
        values = np.asarray(per_sketch, np.float64)
        low, high = bootstrap_interval(values)
        kept = values[~np.isnan(values)]
        return cls(float(kept.mean()), low, high, len(kept))

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_interval(
    per_query: np.ndarray,
    labels: np.ndarray | None = None,
    confidence: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """(low, high) of the mean of per_query [Q] under resampling of the queries.

    labels [Q]: given, the statistic is the mean of the class means and queries are resampled inside their class
        (the classes of a split are fixed, its queries a sample). Without labels it is the mean over queries.
    NaN values (queries left out) are dropped. Two methods on the same queries are compared by the interval of
    their difference, `bootstrap_interval(a - b)`, which is much narrower than the two intervals apart.

    Raises ValueError naming the argument: no value, labels of the wrong length, confidence outside (0, 1).
    """
    values = np.asarray(per_query, np.float64)
    if values.ndim != 1:
        raise ValueError(
            f"per_query: expected one value per query (one dimension); found shape {values.shape}"
        )
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence: expected a number between 0 and 1; found {confidence}")
    if resamples < 1:
        raise ValueError(f"resamples: expected at least 1; found {resamples}")
    kept = ~np.isnan(values)
    if not kept.any():
        raise ValueError("per_query: expected at least one value; found none that is not NaN")
    if labels is None:
        strata = [values[kept]]
    else:
        labels = np.asarray(labels)
        if labels.shape != values.shape:
            raise ValueError(f"labels: expected {len(values)}, one per query; found shape {labels.shape}")
        strata = [values[kept & (labels == label)] for label in np.unique(labels[kept])]

    random = np.random.default_rng(seed)
    means = np.zeros(resamples)
    for stratum in strata:
        step = max(1, CHUNK_VALUES // len(stratum))
        for first in range(0, resamples, step):
            last = min(first + step, resamples)
            drawn = random.integers(0, len(stratum), (last - first, len(stratum)), dtype=np.int32)
            means[first:last] += stratum[drawn].mean(axis=1) / len(strata)
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)
