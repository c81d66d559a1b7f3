"""Several methods, each trained with several seeds, on the same sketches: their means, and how much better than a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sketchfast.metrics.bootstrap import bootstrap_interval
from sketchfast.metrics.instance_retrieval import InstanceScores
from sketchfast.training.report_sections import TableSection


@dataclass(frozen=True)
class MethodMeans:
    """accuracy: k -> mean Acc@k of the seeds. gain: k -> (difference to the baseline, low, high), empty for the baseline itself.

    The interval of the gain is over sketches, each with the mean of the seeds; the seeds are not resampled. trivial: the k at
    which every order finds every photo.
    """

    method: str
    accuracy: dict[int, float]
    gain: dict[int, tuple[float, float, float]]
    trivial: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, k as text."""
        return {
            "method": self.method,
            "accuracy": {str(k): value for k, value in self.accuracy.items()},
            "gain": {str(k): list(values) for k, values in self.gain.items()},
        }

    def __str__(self) -> str:
        cells = [
            f"Acc@{k} {value:.3f}"
            + (" ({:+.3f} [{:+.3f}, {:+.3f}])".format(*self.gain[k]) if k in self.gain else "")
            for k, value in self.accuracy.items()
        ]
        return f"{self.method:<14} {'  '.join(cells)}"


def mean_of_seeds(methods: Mapping[str, Sequence[InstanceScores]], baseline: str) -> list[MethodMeans]:
    """methods: name -> its scores, one for each seed. baseline: whose gain is not given; where it is no method, no gain is."""
    right = {
        name: {k: np.mean([scores.right(k) for scores in seeds], axis=0) for k in seeds[0].at}
        for name, seeds in methods.items()
    }
    rows = []
    for name, own in right.items():
        others = right.get(baseline, {}) if name != baseline else {}
        gains = {k: own[k] - others[k] for k in own if k in others}
        rows.append(
            MethodMeans(
                name,
                {k: float(values.mean()) for k, values in own.items()},
                {k: (float(values.mean()), *bootstrap_interval(values)) for k, values in gains.items()},
                methods[name][0].trivial,
            )
        )
    return rows


def means_table(rows: Sequence[MethodMeans], baseline: str, seeds: Sequence[int], title: str) -> TableSection:
    trivial = rows[0].trivial
    cells: list[list[Any]] = []
    for row in rows:
        means = [None if k in trivial else f"{value:.1%}" for k, value in row.accuracy.items()]
        gain = "{:+.1%} [{:+.1%}, {:+.1%}]".format(*row.gain[1]) if 1 in row.gain else None
        cells.append([row.method, *means, gain])
    columns = ["method", *(f"Acc@{k}" for k in rows[0].accuracy), f"Acc@1, difference to {baseline}"]
    note = (
        f"Seeds {', '.join(map(str, seeds))} of training. 95 % bootstrap intervals over sketches, each with the mean of the "
        "seeds; the difference is paired, in percentage points."
    )
    if trivial:
        note += f" {' and '.join(f'Acc@{k}' for k in trivial)}: no category has more photos than that, chance is 100%."
    return TableSection(f"{title}: mean of the seeds", columns, cells, note)
