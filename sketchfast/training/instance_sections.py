"""Report sections for finding the very photo of a sketch within its category: methods side by side, categories, grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchfast.metrics.classification import accuracy_difference
from sketchfast.training.report_sections import (
    Interval,
    NumbersSection,
    RetrievalGridSection,
    RetrievalRow,
    TableSection,
)

if TYPE_CHECKING:
    from sketchfast.data.instances import PairedSet
    from sketchfast.metrics.instance_retrieval import InstanceScores

SHOWN_RESULTS, SHOWN_FOUND, SHOWN_FAILURES = 8, 8, 8
Methods = Mapping[str, "InstanceScores"]


def instance_numbers(methods: Methods, main: str, baseline: str, title: str) -> NumbersSection:
    """Acc@k of `main` against chance, its paired gain over `baseline`, and the hardest and easiest category."""
    _check(methods, main=main, baseline=baseline)
    scores = methods[main]
    numbers = [
        (f"Acc@{k}", f"{mean.value:.1%}",
         f"[{mean.low:.3f}, {mean.high:.3f}]; chance {scores.chance[k]:.1%}")
        for k, mean in scores.accuracy.items()
    ]  # fmt: skip
    if main != baseline:
        first = methods[baseline].right(1).mean()
        numbers.append((f"{baseline}, Acc@1", f"{first:.1%}", f"{main}: {_gain(scores, methods[baseline])}"))
    per_class = _found_first(scores)
    if len(per_class) > 1:
        worst, best = min(per_class, key=per_class.__getitem__), max(per_class, key=per_class.__getitem__)
        beside = f"{per_class[worst]:.0%} found first; easiest {best}, {per_class[best]:.0%}"
        numbers.append(("hardest category", worst, beside))
    return NumbersSection(f"{title}: {main}, in short", numbers, f"{len(scores):,} sketches.")


def instance_methods_table(
    methods: Methods, main: str, baseline: str, title: str, note: str = ""
) -> TableSection:
    """A row for each method, and one for chance: Acc@k with intervals, and the paired difference at 1 to `baseline`.

    Raises ValueError when `main` or `baseline` is no method, or a method scores another number of sketches.
    """
    _check(methods, main=main, baseline=baseline)
    at = list(methods[main].at)
    rows: list[list[Any]] = []
    for name, scores in methods.items():
        means = [_interval(scores, k) if k in scores.at else None for k in at]
        rows.append([name, *means, None if name == baseline else _gain(scores, methods[baseline])])
    rows.append(["chance", *(methods[main].chance[k] for k in at), None])
    said = (
        f"{len(methods[main]):,} sketches, each searched for among the photos of its own category. 95 % bootstrap intervals over "
        "sketches; the difference is paired, in Acc@1: both search with the same sketches."
    )
    columns = ["method", *(f"Acc@{k}" for k in at), f"difference to {baseline}"]
    place = [list(methods).index(main)]
    return TableSection(f"{title}: methods side by side", columns, rows, f"{said} {note}".strip(), place, 1.0)


def instance_categories_table(methods: Methods, main: str, baseline: str, title: str) -> TableSection:
    """A row for each category, hardest first: sketches, photos, Acc@k of `main`, Acc@1 of `baseline` and the difference."""
    _check(methods, main=main, baseline=baseline)
    scores = methods[main]
    found, compared = _found_first(scores), _found_first(methods[baseline])
    rows: list[list[Any]] = []
    for name, accuracy in scores.per_class.items():
        c = scores.names.index(name)
        own = scores.labels == c
        cells = [
            name,
            int(own.sum()),
            int(scores.gallery[c]),
            *(f"{value:.1%}" for value in accuracy.values()),
        ]
        if main != baseline:
            cells += [f"{compared[name]:.1%}", f"{found[name] - compared[name]:+.1%}"]
        rows.append(cells)
    rows.sort(key=lambda row: (found[row[0]], row[0]))
    columns = ["category", "sketches", "photos", *(f"Acc@{k}" for k in scores.at)]
    columns += [f"{baseline}, Acc@1", "difference"] if main != baseline else []
    return TableSection(f"{title}: each category, hardest first ({main})", columns, rows)


def instance_grids(
    pairs: PairedSet, distances: Sequence[np.ndarray], scores: InstanceScores, title: str
) -> list[RetrievalGridSection]:
    """One sketch of a category with the nearest photos of it, and the sketches whose photo came last.

    distances: [q_c, n_c] of each category, as `scores` was made of. Where the own photo is not among those shown, it is the last
    of its row, with its place. ValueError when distances, scores and pairs are of different sketches.
    """
    if len(scores) != len(pairs) or len(distances) != len(pairs.names):
        raise ValueError(
            f"scores and distances must be of the {len(pairs)} sketches of {len(pairs.names)} categories of pairs, "
            f"got {len(scores)} sketches and {len(distances)} categories"
        )
    middle = [
        int(rows[np.argsort(scores.ranks[rows], kind="stable")[(len(rows) - 1) // 2]])
        for rows in (pairs.of_class(label)[0] for label in range(len(pairs.names)))
        if len(rows)
    ]
    step = max(1, len(middle) // SHOWN_FOUND)
    place = (
        scores.ranks / scores.gallery[scores.labels]
    )  # a last place among many photos is worse than one among few
    worst = [int(row) for row in np.argsort(-place, kind="stable")[:SHOWN_FAILURES] if scores.ranks[row] > 1]

    def row(q: int) -> RetrievalRow:
        label = int(pairs.sketches.labels[q])
        sketches, photos = pairs.of_class(label)
        own, far = int(pairs.photo_of[q]), np.asarray(distances[label][np.searchsorted(sketches, q)])
        order = np.argsort(far, kind="stable")[:SHOWN_RESULTS]
        shown = [(int(photos[p]), f"{far[p]:.3g}") for p in order]
        if own not in [p for p, _ in shown]:
            beside = f"{far[np.searchsorted(photos, own)]:.3g}\nplace {scores.ranks[q]} of {len(photos)}"
            shown = [*shown[: SHOWN_RESULTS - 1], (own, beside)]
        return RetrievalRow(
            query=pairs.sketches.load(q),
            caption=f"{pairs.names[label]}\nplace {scores.ranks[q]} of {len(photos)}",
            results=[pairs.photos.load(p) for p, _ in shown],
            right=[p == own for p, _ in shown],
            captions=[text for _, text in shown],
        )

    note = "Nearest photos of the category, with their distances. Where the own photo is not among them, it is shown last."
    key = ("own photo", "")
    sections = [
        RetrievalGridSection(
            f"{title}: the middle sketch of a category",
            [row(q) for q in middle[::step][:SHOWN_FOUND]],
            f"Of each category the sketch whose photo has the median place. {note}",
            key,
        )
    ]
    if worst:
        sections.append(RetrievalGridSection(f"{title}: found last", [row(q) for q in worst], note, key))
    return sections


def _check(methods: Methods, **named: str) -> None:
    for what, name in named.items():
        if name not in methods:
            raise ValueError(f"{what} must be one of the methods {list(methods)}, got {name!r}")
    count = len(methods[named["main"]])
    for name, scores in methods.items():
        if len(scores) != count:
            raise ValueError(
                f"methods: {name!r} scores {len(scores)} sketches, {named['main']!r} {count}; they cannot be compared"
            )


def _found_first(scores: InstanceScores) -> dict[str, float]:
    """Category -> Acc@1, also where `scores.at` leaves 1 out."""
    right = scores.right(1)
    return {scores.names[c]: float(right[scores.labels == c].mean()) for c in np.unique(scores.labels)}


def _gain(scores: InstanceScores, other: InstanceScores) -> str:
    value, low, high = accuracy_difference(scores.right(1), other.right(1))
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _interval(scores: InstanceScores, k: int) -> Interval:
    mean = scores.accuracy[k]
    return Interval(mean.value, mean.low, mean.high)
