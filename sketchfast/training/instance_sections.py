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
    """Acc@k of `main` against chance, its paired gain over `baseline`, and the hardest and easiest category.

    A dash where no category has more than k photos, so that every order finds every photo.
    """
    _check(methods, main=main, baseline=baseline)
    scores = methods[main]
    numbers = [
        (f"Acc@{k}", f"{mean.value:.1%}",
         f"[{mean.low:.1%}, {mean.high:.1%}]; chance {scores.chance[k]:.1%}")
        if k not in scores.trivial else (f"Acc@{k}", "–", f"no category has more than {k} photos: chance is 100%")
        for k, mean in scores.accuracy.items()
    ]  # fmt: skip
    if main != baseline:
        first = methods[baseline].right(1).mean()
        numbers.append((f"{baseline}, Acc@1", f"{first:.1%}", f"{main}: {_gain(scores, methods[baseline])}"))
    per_class = {name: found for name, found in _found_first(scores).items() if _photos_of(scores, name) > 1}
    if len(per_class) > 1:
        worst, best = min(per_class, key=per_class.__getitem__), max(per_class, key=per_class.__getitem__)
        beside = f"{per_class[worst]:.0%} found first; easiest {best}, {per_class[best]:.0%}"
        numbers.append(("hardest category", worst, beside))
    return NumbersSection(f"{title}: {main}, in short", numbers, f"{len(scores):,} sketches.")


def instance_methods_table(
    methods: Methods, main: str, baseline: str, title: str, note: str = ""
) -> TableSection:
    """A row for each method, and one for chance: Acc@k with intervals, and the paired difference at 1 to `baseline`.

    Dashes for a k that no category has more photos than: every order finds every photo among so many.
    Raises ValueError when `main` or `baseline` is no method, or a method scores another number of sketches.
    """
    _check(methods, main=main, baseline=baseline)
    at = list(methods[main].at)
    trivial = methods[main].trivial
    rows: list[list[Any]] = []
    for name, scores in methods.items():
        means = [_interval(scores, k) if k in scores.at and k not in trivial else None for k in at]
        rows.append([name, *means, None if name == baseline else _gain(scores, methods[baseline])])
    chance = methods[main].chance
    rows.append(["chance", *(None if k in trivial else f"{chance[k]:.1%}" for k in at), None])
    said = (
        f"{len(methods[main]):,} sketches, each searched for among the photos of its own category. 95 % bootstrap intervals over "
        "sketches; the difference is paired, in percentage points of Acc@1: both search with the same sketches."
    )
    if trivial:
        said += f" {' and '.join(f'Acc@{k}' for k in trivial)}: no category has more photos than that, chance is 100%."
    columns = ["method", *(f"Acc@{k}" for k in at), f"difference to {baseline}"]
    place = [list(methods).index(main)]
    return TableSection(f"{title}: methods side by side", columns, rows, f"{said} {note}".strip(), place, 1.0)


def instance_categories_table(methods: Methods, main: str, baseline: str, title: str) -> TableSection:
    """A row for each category, hardest first: sketches, photos, Acc@k of `main`, Acc@1 of `baseline` and the difference.

    A dash for a k that the category has no more photos than.
    """
    _check(methods, main=main, baseline=baseline)
    scores = methods[main]
    found, compared = _found_first(scores), _found_first(methods[baseline])
    rows: list[list[Any]] = []
    for name, accuracy in scores.per_class.items():
        c = scores.names.index(name)
        photos = int(scores.gallery[c])
        shown = [f"{value:.1%}" if photos > k else None for k, value in accuracy.items()]
        cells = [name, int((scores.labels == c).sum()), photos, *shown]
        if main != baseline:
            beside = [f"{compared[name]:.1%}", f"{found[name] - compared[name]:+.1%}"]
            cells += beside if photos > 1 else [None, None]
        rows.append(cells)
    rows.sort(key=lambda row: (row[2] == 1, found[row[0]], row[0]))
    dashes = any(None in row for row in rows)
    note = "–: the category has no more photos than that, chance is 100%." if dashes else ""
    columns = ["category", "sketches", "photos", *(f"Acc@{k}" for k in scores.at)]
    columns += [f"{baseline}, Acc@1", "difference"] if main != baseline else []
    return TableSection(f"{title}: each category, hardest first ({main})", columns, rows, note)


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


def _photos_of(scores: InstanceScores, name: str) -> int:
    return int(scores.gallery[scores.names.index(name)])


def _gain(scores: InstanceScores, other: InstanceScores) -> str:
    value, low, high = accuracy_difference(scores.right(1), other.right(1))
    return f"{value:+.1%} [{low:+.1%}, {high:+.1%}]"


def _interval(scores: InstanceScores, k: int) -> Interval:
    mean = scores.accuracy[k]
    return Interval(mean.value, mean.low, mean.high, percent=True)
