"""Report sections of a trait network: how categories use the descriptors, what these stand for, and where they direct a match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from sketchfast.training.attention_map import attention_rows
from sketchfast.training.chart import Curve
from sketchfast.training.report_sections import (
    CardSection,
    Chart,
    CurveSection,
    NumbersSection,
    PictureRowsSection,
    Section,
)
from sketchfast.training.trait_pictures import (
    CategoryPair,
    DescribedSketches,
    descriptor_cards,
    pair_cards,
    reconstruction_rows,
)

if TYPE_CHECKING:
    from sketchfast.data.instances import PairedSet
    from sketchfast.models.traits import TraitNetwork
    from sketchfast.models.vtd import VTD

__all__ = [
    "DescribedSketches",
    "attention_section",
    "descriptor_cards",
    "pair_section",
    "reconstruction_rows",
    "trait_sections",
    "usage_sections",
]

SHOWN_RECONSTRUCTIONS, SHOWN_DESCRIPTORS, SHOWN_MATCHES = 8, 5, 6
# Categories with fewer sketches are not paired: their histograms hardly overlap with any, whatever they look like.
FEWEST_SKETCHES = 10
Histories = Mapping[str, Sequence[float]]


def trait_sections(
    model: TraitNetwork,
    seen: DescribedSketches,
    unseen: DescribedSketches | None = None,
    histories: Histories | None = None,
    semantic: Mapping[str, np.ndarray] | None = None,
) -> list[Section]:
    """Everything a report says about a trait network; the arguments are those of the sections below.

    Reconstructions and category pairs are of the unseen categories where they are given, which the network was not trained on.
    """
    shown = seen if unseen is None else unseen
    rows = _one_of_each_category(shown)[:SHOWN_RECONSTRUCTIONS]
    return [
        *usage_sections(seen, unseen, histories),
        descriptor_cards(model, seen, unseen),
        reconstruction_rows(model, shown, rows),
        *([pairs] if (pairs := pair_section(model, shown, semantic)).cards else []),
    ]


def usage_sections(
    seen: DescribedSketches, unseen: DescribedSketches | None = None, histories: Histories | None = None
) -> list[Section]:
    """How many descriptors are in use, over all and by category, and how evenly.

    histories: name, such as "with revival" and "without revival" -> share of the descriptors that the training sketches use
        after each epoch, from epoch 1.
    """
    parts = {"training": seen} | ({"unseen": unseen} if unseen is not None else {})
    descriptors = seen.usage.counts.shape[1]
    numbers = []
    for what, part in parts.items():
        summary = part.usage.to_dict()
        used = round(summary["share_used"] * descriptors)
        numbers.append(
            (f"in use, {what} sketches", f"{summary['share_used']:.1%}",
             f"{used} of {descriptors} descriptors, {len(part.images):,} sketches")
        )  # fmt: skip
        each = part.usage.counts.sum(axis=1)
        numbers.append(
            (f"used by each {what} category",
             f"{summary['per_category_mean']:.1f} ± {summary['per_category_std']:.1f}",
             f"different descriptors, mean and standard deviation over {int((each > 0).sum())} categories of "
             f"{int(np.median(each[each > 0]))} sketches (median)")
        )  # fmt: skip
    for name, shares in (histories or {}).items():
        if len(shares):
            numbers.append((f"in use, {name}", f"{shares[-1]:.1%}", f"after epoch {len(shares)}"))
    charts = [_histogram_of_use(parts, descriptors)]
    if histories:
        curves = [
            Curve(name, [epoch + 1.0 for epoch in range(len(shares))], list(shares))
            for name, shares in histories.items()
        ]
        charts.append(Chart("share of the descriptors in use", curves, "epoch", y_range=(0.0, 1.0)))
    note = "A descriptor that is used evenly by all sketches would lie on the line of even use."
    return [NumbersSection("Use of the descriptors", numbers), CurveSection("How evenly", charts, note)]


def pair_section(
    model: TraitNetwork,
    sketches: DescribedSketches,
    semantic: Mapping[str, np.ndarray] | None = None,
    each: int = 2,
    title: str = "Category pairs",
) -> CardSection:
    """Figure 4: pairs visually close and semantically far, semantically close and visually far, and close in both.

    Vis-Sim is the cosine of the categories' descriptor histograms, Sem-Sim that of their word vectors. As the two have different
    scales, their ranks over all pairs are compared: the largest difference of ranks either way, and the largest smaller rank
    (D). semantic: name -> word vector; None: the visually closest and farthest pairs. each: pairs of each kind. Categories
    with fewer than FEWEST_SKETCHES sketches, or without a word vector where there are some, are left out.
    """
    usage = sketches.usage
    kept = [
        c
        for c, name in enumerate(usage.names)
        if usage.counts[c].sum() >= FEWEST_SKETCHES and (semantic is None or name in semantic)
    ]
    first, second = (np.array(kept, np.int64)[places] for places in np.triu_indices(len(kept), 1))
    visual = usage.visual_similarity()[first, second]
    if semantic is None:
        kinds = [("visually closest", visual, True), ("visually farthest", -visual, False)]
        meaning = np.full(len(first), np.nan)
    else:
        vectors = np.array([np.asarray(semantic[usage.names[c]], np.float64) for c in kept])
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if kept else vectors
        meaning = (vectors @ vectors.T)[np.triu_indices(len(kept), 1)] if kept else visual
        near, related = _ranks(visual), _ranks(meaning)
        kinds = [
            ("visually close, semantically far", near - related, True),
            ("semantically close, visually far", related - near, False),
            ("close in both", np.minimum(near, related), True),
        ]
    pairs, taken = [], set()
    for kind, value, alike in kinds:
        free = [int(k) for k in np.argsort(-value, kind="stable") if int(k) not in taken][:each]
        taken.update(free)
        for k in free:
            said = f"{kind}: Vis-Sim {visual[k]:.3f}" + (
                "" if semantic is None else f", Sem-Sim {meaning[k]:.3f}"
            )
            pairs.append(CategoryPair(int(first[k]), int(second[k]), alike, said))
    note = (
        "Share of each category's sketches that has the descriptor: the ten that both share most, or, of pairs that are visually "
        "far, the ten in which they differ most. Vis-Sim: cosine of the histograms over all descriptors."
    )
    if semantic is not None:
        note += " Sem-Sim: cosine of the word vectors."
    return pair_cards(model, sketches, pairs, title, note)


def attention_section(
    model: VTD, pairs: PairedSet, assignments: np.ndarray, ranks: np.ndarray
) -> PictureRowsSection:
    """Figure 3 for sketches whose photo was found first, under five descriptors, each of them the own one of some sketch.

    model: with a trait network as its describer. assignments, ranks: int64 [N], descriptor of each sketch of `pairs` and place
    of its own photo. The five descriptors are those that most of the found sketches have, of every descriptor at least one
    sketch and different categories first. ValueError when lengths do not fit.
    """
    for name, values in (("assignments", assignments), ("ranks", ranks)):
        if len(values) != len(pairs):
            raise ValueError(f"{name} must have one number a sketch, got {len(values)} for {len(pairs)}")
    right = np.flatnonzero(ranks == 1)
    counts = np.bincount(assignments[right], minlength=1)
    chosen = [int(i) for i in np.argsort(-counts, kind="stable")[:SHOWN_DESCRIPTORS] if counts[i]]
    rows: list[int] = []
    own: list[int] = []
    for turn in range(SHOWN_MATCHES):
        for column, i in enumerate(chosen):
            having = right[assignments[right] == i]
            _, of_category = np.unique(pairs.sketches.labels[having], return_index=True)
            if turn < len(of_category) and len(rows) < SHOWN_MATCHES:
                rows.append(int(having[of_category[turn]]))
                own.append(column)
    order = np.argsort(own, kind="stable")  # sketches of one descriptor below one another
    dictionary = model.describer.dictionary[torch.tensor(chosen, dtype=torch.long)]
    names = [f"descriptor {i}" for i in chosen]
    shown, columns = np.array(rows, int)[order], np.array(own, int)[order]
    return attention_rows(model, pairs, shown, columns, dictionary, names)


def _histogram_of_use(parts: Mapping[str, DescribedSketches], descriptors: int) -> Chart:
    places = [float(place) for place in range(1, descriptors + 1)]
    curves = []
    for what, part in parts.items():
        counts = np.sort(part.usage.counts.sum(axis=0))[::-1]
        curves.append(Curve(f"{what} sketches", places, (counts / counts.sum()).tolist()))
    curves.append(Curve("even use", [1.0, float(descriptors)], [1 / descriptors] * 2))
    return Chart(
        "share of the sketches that have a descriptor", curves, "descriptors, from the most used to the least"
    )


def _one_of_each_category(sketches: DescribedSketches) -> list[int]:
    labels, first = np.unique(sketches.images.labels, return_index=True)
    step = max(1, len(labels) // SHOWN_RECONSTRUCTIONS)
    return [int(row) for row in first[::step]]


def _ranks(values: np.ndarray) -> np.ndarray:
    """0 for the smallest, 1 for the largest; equal values get the mean of theirs."""
    if len(values) < 2:
        return np.ones(len(values))
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    result: np.ndarray = (below + up_to - 1) / 2 / (len(values) - 1)
    return result
