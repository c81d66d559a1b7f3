"""Does the discriminator know which generated sketches are good? Bhunia et al., CVPR 2021, section 4.3 [i] and figure 4a.

Certainty is D_C's output for a photo and the sketch generated of it. Quality is the ranking percentile of the photo when the
retrieval network searches with that sketch: (n - rank) / (n - 1) among n photos, 1 where it is found first, 0 where it comes
last, 1/2 on average in a random order (D). Certainty is cut into ten levels of 0.1 each; their mean percentile (ARP) should
rise with the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from sketchfast.arrays import check_whole, real_array
from sketchfast.metrics.bootstrap import Mean


@dataclass(frozen=True)
class CertaintyLevels:
    """Of N generated sketches. certainty float64 [N] in 0..1. percentile float64 [N] in 0..1. levels: how many of equal width.

    Level l holds l / levels <= certainty < (l + 1) / levels; a certainty of 1 belongs to the last.
    """

    certainty: NDArray[np.float64]
    percentile: NDArray[np.float64]
    level: NDArray[np.int64]
    levels: int = 10

    @property
    def edges(self) -> NDArray[np.float64]:
        """[levels + 1], 0 to 1."""
        return np.arange(self.levels + 1) / self.levels

    @property
    def counts(self) -> NDArray[np.int64]:
        """[levels]: sketches of each level."""
        return np.bincount(self.level, minlength=self.levels)

    @cached_property
    def average(self) -> list[Mean | None]:
        """[levels]: average ranking percentile with its bootstrap interval over sketches; None for a level without any."""
        rows = [self.percentile[self.level == level] for level in range(self.levels)]
        return [Mean.over(values) if len(values) else None for values in rows]

    @property
    def correlation(self) -> float | None:
        """Spearman's rank correlation of certainty and percentile; None where either is the same for all."""
        if len(self.level) < 2 or min(np.ptp(self.certainty), np.ptp(self.percentile)) == 0:
            return None
        return float(spearmanr(self.certainty, self.percentile).statistic)

    def joined(self, other: CertaintyLevels) -> CertaintyLevels:
        """The sketches of both, such as those of two seeds. ValueError for another number of levels."""
        if other.levels != self.levels:
            raise ValueError(f"other: expected {self.levels} levels; found {other.levels}")
        return CertaintyLevels(
            np.concatenate([self.certainty, other.certainty]),
            np.concatenate([self.percentile, other.percentile]),
            np.concatenate([self.level, other.level]),
            self.levels,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "levels": self.levels,
            "counts": self.counts.tolist(),
            "average_ranking_percentile": [None if mean is None else mean.value for mean in self.average],
            "spearman": self.correlation,
        }

    def __str__(self) -> str:
        cells = [
            f"{low:.1f}-{high:.1f}: {mean.value:.2f} ({mean.count})"
            for low, high, mean in zip(self.edges, self.edges[1:], self.average)
            if mean is not None
        ]
        correlation = "none" if self.correlation is None else f"{self.correlation:+.2f}"
        return f"ranking percentile by certainty (sketches)  {'  '.join(cells)}  Spearman {correlation}"


def certainty_levels(
    certainty: ArrayLike, ranks: ArrayLike, gallery: ArrayLike, levels: int = 10
) -> CertaintyLevels:
    """From certainties real [N] in 0..1 and ranks int [N], from 1, of each sketch's photo among `gallery` photos, int or [N].

    Raises ValueError naming the argument: lengths that differ, no sketch, NaN, numbers out of range, fewer than 2 photos.
    """
    check_whole("levels", levels)
    given, places = real_array("certainty", certainty), real_array("ranks", ranks)
    if given.ndim != 1 or not len(given):
        raise ValueError(
            f"certainty: expected one number a sketch, of at least one; found {list(given.shape)}"
        )
    if outside := [i for i, value in enumerate(given.tolist()) if not 0 <= value <= 1]:
        raise ValueError(f"certainty: expected 0 to 1; found {given[outside[0]]} for sketch {outside[0]}")
    if places.shape != given.shape or places.dtype.kind not in "iu":
        raise ValueError(
            f"ranks: expected {len(given)} whole numbers, one a sketch; found {places.dtype} {list(places.shape)}"
        )
    sizes = real_array("gallery", gallery)
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), given.shape) or (sizes < 2).any():
        raise ValueError(
            f"gallery: expected at least 2 photos, one number or {len(given)}; found {sizes.dtype} {sizes.tolist()!r:.60}"
        )
    if ((places < 1) | (places > sizes)).any():
        row = int(((places < 1) | (places > sizes)).argmax())
        raise ValueError(f"ranks: expected 1 to the number of photos; found {places[row]} for sketch {row}")
    percentile = (sizes - places.astype(np.float64)) / (sizes - 1)
    # Edges in the precision of the certainty: float32 0.7 is below 0.7, but meant as the edge of its level.
    inner = (np.arange(1, levels) / levels).astype(given.dtype if given.dtype.kind == "f" else np.float64)
    level = np.searchsorted(inner, given, side="right")
    return CertaintyLevels(given.astype(np.float64), percentile, level.astype(np.int64), levels)
