"""How well sketches were named: accuracy in the best k, average precision of each class, and what is taken for what.

The rank of a sketch's own class counts ties against the model: 1 + the number of other classes with at least its score
(a network that gives every class the same score is right nowhere, not everywhere).

Average precision of a class, its sketches against the rest, ranked by the class's score s_i, with P sketches of its own:

    AP = 1/P  sum over own i of  |own j: s_j >= s_i| / |all j: s_j >= s_i|

This is scikit-learn's definition, without interpolation. Sketches with one score share one threshold, so it does not
depend on the order of the sketches; softmax scores in float32 do tie, and test sets are sorted by class. (Retrieval ranks
ties by gallery index instead, see `ranking`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sketchfast.arrays import as_array
from sketchfast.metrics.bootstrap import Mean, bootstrap_interval


@dataclass(frozen=True)
class ClassificationScores:
    """What `evaluate_classification` found, for N sketches and K classes.

    names [K]: the classes. labels int64 [N]: class of each sketch. at: the k of accuracy, ascending, 1 always among them.
    rank int64 [N]: place of the own class among the scores, from 1, ties against the model.
    predicted int64 [N]: the class with the highest score; of several the first, and never the own one unless rank is 1.
    ap float64 [K]: average precision, NaN for a class that no sketch has.
    notes: what a reader of the numbers should know, such as classes that are left out.
    """

    names: list[str]
    labels: NDArray[np.int64]
    at: tuple[int, ...]
    rank: NDArray[np.int64]
    predicted: NDArray[np.int64]
    ap: NDArray[np.float64]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def right(self) -> NDArray[np.bool_]:
        """[N]: whether the own class has the highest score, alone."""
        return self.rank == 1

    @cached_property
    def accuracy(self) -> dict[int, Mean]:
        """k -> share of the sketches whose class is among the best k, with its interval over sketches."""
        return {k: Mean.over(self.rank <= k) for k in self.at}

    @cached_property
    def class_accuracy(self) -> dict[str, Mean]:
        """Class -> accuracy at 1 over its sketches, for the classes that have some."""
        present = np.unique(self.labels)
        return {self.names[k]: Mean.over(self.right[self.labels == k]) for k in present}

    @property
    def class_ap(self) -> dict[str, float]:
        """Class -> average precision, for the classes that have sketches."""
        return {name: float(ap) for name, ap in zip(self.names, self.ap) if not np.isnan(ap)}

    @property
    def mean_ap(self) -> float:
        """Mean of the average precision over the classes that have sketches."""
        return float(np.nanmean(self.ap))

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """[K, K]: how many sketches of the class of the row were taken for the class of the column."""
        cells, size = self.labels * len(self.names) + self.predicted, len(self.names)
        return np.bincount(cells, minlength=size * size).reshape(size, size)

    def confused_pairs(self, count: int = 20) -> list[tuple[str, str, int, float]]:
        """(true, predicted, how many, share of the true class's sketches), the most frequent mistakes first.

        At most `count` of them; of equally frequent ones the larger share, then the order of `names`.
        """
        mistakes = self.confusion - np.diag(np.diag(self.confusion))
        true, predicted = np.nonzero(mistakes)
        times = mistakes[true, predicted]
        share = times / self.confusion.sum(axis=1)[true]
        order = np.lexsort((predicted, true, -share, -times))[: max(count, 0)]
        return [
            (self.names[true[i]], self.names[predicted[i]], int(times[i]), float(share[i])) for i in order
        ]

    def summary(self) -> str:
        """Accuracy with intervals and mAP, for a log."""
        return "  ".join(
            [*(f"accuracy@{k} {mean}" for k, mean in self.accuracy.items()), f"mAP {self.mean_ap:.3f}"]
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: count, accuracy and intervals by k (as text), mAP, every class, the mistakes made most, notes."""
        classes = {
            name: {
                "accuracy": mean.value,
                "interval": [mean.low, mean.high],
                "count": mean.count,
                "ap": self.class_ap[name],
            }
            for name, mean in self.class_accuracy.items()
        }
        keys = ("true", "predicted", "count", "share")
        return {
            "count": len(self),
            "accuracy": {str(k): mean.value for k, mean in self.accuracy.items()},
            "intervals": {str(k): [mean.low, mean.high] for k, mean in self.accuracy.items()},
            "mAP": self.mean_ap,
            "classes": classes,
            "confused": [dict(zip(keys, pair)) for pair in self.confused_pairs()],
            "notes": list(self.notes),
        }


def evaluate_classification(
    scores: ArrayLike, labels: ArrayLike, names: Sequence[str], *, at: Iterable[int] | None = None
) -> ClassificationScores:
    """Score the classes given to N sketches.

    scores: real [N, K], one for each class, higher = more likely; compared exactly as given. Infinite ones are allowed.
    labels: integers [N], index into names, the K names. at: the k of accuracy; 1 is added where it is missing. None: 1, and 5
        where there are more classes than that.
    A class that no sketch has gets no AP (NaN), is left out of the mean, and is named in `notes`.

    Raises ValueError naming the argument: shapes that do not fit, no sketch, names that repeat, NaN, labels outside
    0..K - 1, k outside 1..K. Raises TypeError for scores that are not real, labels that are not integers.
    """
    values, own, cuts = _checked(scores, labels, names, at)
    rows, num_classes = np.arange(len(own)), len(names)
    mine = values[rows, own]
    rank = (values >= mine[:, None]).sum(axis=1)  # the own class is one of these
    others = values.copy()
    others[rows, own] = -np.inf
    first = others.argmax(axis=1)
    # Only where all the others are -inf does the maximum fall on the own class again, and then on class 0.
    first[first == own] = min(1, num_classes - 1)
    predicted = np.where(rank == 1, own, first)
    ap = np.array([_average_precision(values[:, k], own == k) for k in range(num_classes)])
    absent = [name for name, value in zip(names, ap) if np.isnan(value)]
    notes = []
    if absent:
        shown = ", ".join(absent[:10]) + (", ..." if len(absent) > 10 else "")
        notes.append(
            f"{len(absent)} of {num_classes} classes have no sketch here and no average precision: {shown}"
        )
    return ClassificationScores(
        list(names), own, cuts, rank.astype(np.int64), predicted.astype(np.int64), ap, notes
    )


def accuracy_difference(right_a: ArrayLike, right_b: ArrayLike) -> tuple[float, float, float]:
    """(difference, low, high): how much more often a is right than b on the same sketches, paired bootstrap, 95 %.

    right_a, right_b: bool [N], `ClassificationScores.right` of the two. The two share their hard sketches, so this interval
    is narrower than their own ones suggest. Raises ValueError when they are of different or no sketches.
    """
    a, b = np.asarray(right_a), np.asarray(right_b)
    for name, right in (("right_a", a), ("right_b", b)):
        if right.ndim != 1 or right.dtype != np.bool_ or len(right) == 0:
            raise ValueError(
                f"{name}: expected bool [N] with N >= 1; found {right.dtype} {list(right.shape)}"
            )
    if len(a) != len(b):
        raise ValueError(f"right_b: expected {len(a)} sketches, those of right_a; found {len(b)}")
    difference = a.astype(np.float64) - b
    low, high = bootstrap_interval(difference)
    return float(difference.mean()), low, high


def format_classification_rows(methods: Mapping[str, ClassificationScores]) -> str:
    """A plain table: method, accuracy at each k with its interval, mAP, number of sketches; then the notes."""
    width = max((len(name) for name in methods), default=0)
    lines = [f"{name:<{width}}  {scores.summary()}  ({len(scores):,})" for name, scores in methods.items()]
    return "\n".join([*lines, *dict.fromkeys(note for scores in methods.values() for note in scores.notes)])


def _average_precision(scores: NDArray[Any], own: NDArray[np.bool_]) -> float:
    """The formula above for one class, scores [N]; NaN without a sketch of its own."""
    mine = np.sort(scores[own])
    if len(mine) == 0:
        return float("nan")
    # s_j >= s_i: all that stand from the first place of s_i on.
    own_above = len(mine) - np.searchsorted(mine, mine, side="left")
    all_above = len(scores) - np.searchsorted(np.sort(scores), mine, side="left")
    return float(np.mean(own_above / all_above))


def _checked(
    scores: ArrayLike, labels: ArrayLike, names: Sequence[str], at: Iterable[int] | None
) -> tuple[NDArray[Any], NDArray[np.int64], tuple[int, ...]]:
    values, own = as_array(scores), as_array(labels)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"scores: expected real numbers; found {values.dtype}")
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"scores: expected shape [N, K] with N, K >= 1; found {list(values.shape)}")
    if values.dtype.kind != "f":
        values = values.astype(np.float64)
    count, num_classes = values.shape
    if isinstance(names, str) or len(names) != num_classes:
        raise ValueError(
            f"names: expected {num_classes} of them, one per column of scores; found {len(names)}"
        )
    if len(set(names)) != num_classes:
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f"names: expected different names; found {twice!r} twice")
    if own.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers; found {own.dtype}")
    if own.shape != (count,):
        raise ValueError(f"labels: expected {count}, one per row of scores; found shape {list(own.shape)}")
    outside = (own < 0) | (own >= num_classes)
    if outside.any():
        raise ValueError(
            f"labels: expected 0..{num_classes - 1}; found {own[outside][0]} for sketch {outside.argmax()}"
        )
    missing = np.isnan(values).any(axis=1)
    if missing.any():
        raise ValueError(f"scores: expected numbers; found NaN for sketch {missing.argmax()}")
    if at is None:
        at = [k for k in (1, 5) if k < num_classes]
    cuts = {1, *at}
    for k in cuts:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= num_classes:
            raise ValueError(
                f"at: expected whole numbers from 1 to the number of classes, {num_classes}; found {k!r}"
            )
    return values, own.astype(np.int64), tuple(sorted(int(k) for k in cuts))
