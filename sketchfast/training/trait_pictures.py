"""Pictures of a trait network for a report: who shares a descriptor, what it stands for, and how two categories compare.

Figures 1 and 4 of Pang et al., CVPR 2019, and reconstructions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from sketchfast.data.pixels import Pixels, normalize
from sketchfast.metrics.trait_usage import TraitUsage
from sketchfast.training.bar_chart import Bar, BarChart, BarPart
from sketchfast.training.report_sections import Card, CardSection, PictureRow, PictureRowsSection, Strip

if TYPE_CHECKING:
    from sketchfast.data.image_set import ImageSet
    from sketchfast.models.traits import TraitNetwork

SEEN, UNSEEN = 0, 1  # colours of the charts
_EXEMPLARS, _SIDE = 3, 128
_TOP = 10  # categories or descriptors in a chart


@dataclass
class DescribedSketches:
    """Sketches with the descriptor that each is assigned to, int64 [N], and how their categories use the descriptors."""

    images: ImageSet
    assignments: np.ndarray
    usage: TraitUsage

    def __post_init__(self) -> None:
        if len(self.assignments) != len(self.images):
            raise ValueError(
                f"assignments must have one descriptor a sketch, got {len(self.assignments)} for {len(self.images)}"
            )

    @classmethod
    def of(cls, model: TraitNetwork, images: ImageSet, memory: int = 4 << 30) -> DescribedSketches:
        """By the network, which is put into evaluation mode. memory: bytes that the decoded images may take."""
        pixels, model = Pixels(images, model.preprocess, memory), model.eval()
        device, found = model.dictionary.device, []
        for first in range(0, len(images), 256):
            block = pixels.take(np.arange(first, min(first + 256, len(images)))).to(device)
            found.append(model.assign(normalize(block, model.preprocess)).cpu())
        assignments = torch.cat(found).numpy()
        usage = TraitUsage.of(assignments, images.labels, images.names, model.config.descriptors)
        return cls(images, assignments, usage)

    def having(self, descriptor: int, category: int) -> np.ndarray:
        """Positions of the category's sketches with this descriptor."""
        return np.flatnonzero((self.assignments == descriptor) & (self.images.labels == category))

    def shares(self) -> np.ndarray:
        """[C, K]: of a category's sketches, the share that has the descriptor; 0 for a category without sketches."""
        return self.usage.counts / np.maximum(self.usage.counts.sum(axis=1, keepdims=True), 1)


def descriptor_cards(
    model: TraitNetwork,
    seen: DescribedSketches,
    unseen: DescribedSketches | None = None,
    descriptors: Sequence[int] | None = None,
    title: str = "Descriptors shared by categories",
) -> CardSection:
    """Figure 1: for each descriptor the ten categories that use it most, and sketches of some, seen and unseen apart.

    descriptors: which; None: `shared_descriptors`. Bars are the share of a category's sketches, since categories differ in size.
    """
    chosen = shared_descriptors(seen, unseen) if descriptors is None else list(descriptors)
    drawn = _pictures_of(model)
    parts = [(seen, SEEN, "seen")] + ([(unseen, UNSEEN, "unseen")] if unseen is not None else [])
    cards = []
    for i in chosen:
        users = [
            (float(share), part.images.names[c], group, int(part.usage.counts[c, i]))
            for part, group, _ in parts
            for c, share in enumerate(part.shares()[:, i])
            if share > 0
        ]
        users.sort(key=lambda user: (-user[0], user[1]))
        bars = [Bar(name, [BarPart(share, group, f"{share:.1%} ({count})")])
                for share, name, group, count in users[:_TOP]]  # fmt: skip
        strips = [Strip("the descriptor alone, R(D)", [drawn[i]])]
        for part, group, what in parts:
            order = np.argsort(-part.shares()[:, i], kind="stable")[:_EXEMPLARS]
            for c in order[part.usage.counts[order, i] > 0]:
                rows = part.having(i, c)
                pictures = [_picture(model, part.images, row) for row in _spread(rows)]
                strips.append(Strip(f"{part.images.names[c]}, {what}", pictures, group))
        used = [f"{int(part.usage.counts[:, i].sum()):,} sketches of {int((part.usage.counts[:, i] > 0).sum())} "
                f"{what} categories" for part, _, what in parts]  # fmt: skip
        series = [(f"{what} category", group) for _, group, what in parts]
        cards.append(
            Card(f"Descriptor {i}", BarChart(f"Descriptor {i}", bars, series), strips, ", ".join(used))
        )
    note = (
        "At the left the categories that use the descriptor most: the share of the category's sketches, and how many they are. "
        "At the right sketches of the first three, spread over the data set rather than chosen by eye."
    )
    if descriptors is None:
        note += " Shown are descriptors that several categories share, from the most used of them to the least used."
    return CardSection(title, cards, note if cards else "No descriptor is shared by two categories.")


def shared_descriptors(
    seen: DescribedSketches, unseen: DescribedSketches | None = None, count: int = 6
) -> list[int]:
    """At most `count` descriptors, evenly spread from the most to the least used of those that categories share.

    Shared: at least three sketches each of two seen categories and of one unseen one; where no descriptor is, one sketch each.
    """
    total = seen.usage.counts.sum(axis=0)
    for fewest in (_EXEMPLARS, 1):
        shared = (seen.usage.counts >= fewest).sum(axis=0) >= 2
        if unseen is not None:
            shared &= (unseen.usage.counts >= fewest).any(axis=0)
        if shared.any():
            break
    by_use = [int(i) for i in np.argsort(-total, kind="stable") if shared[i]]
    return _spread(by_use, count)


def reconstruction_rows(
    model: TraitNetwork,
    sketches: DescribedSketches,
    rows: Sequence[int] | np.ndarray,
    others: int = 3,
    title: str = "Reconstructions",
) -> PictureRowsSection:
    """A row for each sketch: itself, its reconstruction, its descriptor alone, and sketches of other categories with it.

    The reconstruction is R(Z) with the descriptor of the arg-max and the details of the skip connection (eq. 2), R(D) is what
    the descriptor stands for without them. The model is put into evaluation mode. others: how many, of as many categories.
    """
    model.eval()
    device = model.dictionary.device
    indices = [int(row) for row in rows]
    inputs = np.stack([model.preprocess(sketches.images.load(i), sketch=True) for i in indices])
    with torch.no_grad():
        again = model(torch.from_numpy(inputs).to(device)).reconstruction.float().cpu().numpy()
    alone = _pictures_of(model)
    shown = []
    for place, i in enumerate(indices):
        descriptor, own = int(sketches.assignments[i]), int(sketches.images.labels[i])
        same = np.flatnonzero((sketches.assignments == descriptor) & (sketches.images.labels != own))
        _, first = np.unique(sketches.images.labels[same], return_index=True)
        beside = _spread(same[first], others)
        pictures = [_picture(model, sketches.images, i), _grey_picture(again[place, 0]), alone[descriptor]]
        pictures += [_picture(model, sketches.images, j) for j in beside]
        blanks = others - len(beside)
        pictures += [np.full((8, 8, 3), 255, np.uint8)] * blanks
        names = [sketches.images.names[sketches.images.labels[j]] for j in beside]
        captions = ["", "", f"descriptor {descriptor}", *names, *[""] * blanks]
        shown.append(
            PictureRow(f"{sketches.images.names[own]}\n{sketches.images.ids[i]}", pictures, captions=captions)
        )
    columns = [
        "sketch",
        "its reconstruction",
        "descriptor alone",
        *["same descriptor", *[""] * others][:others],
    ]
    note = (
        "The sketch as the network gets it; drawn again from its descriptor and the details of the skip connection; drawn from "
        "the descriptor alone; and sketches of other categories with the same descriptor."
    )
    return PictureRowsSection(title, columns, shown, note, side=128)


@dataclass
class CategoryPair:
    """Two categories, positions in ``names``. alike: whether the chart shows what they share or where they differ."""

    first: int
    second: int
    alike: bool
    note: str = ""


def pair_cards(
    model: TraitNetwork,
    sketches: DescribedSketches,
    pairs: Sequence[CategoryPair],
    title: str,
    note: str = "",
) -> CardSection:
    """Figure 4: how the two categories of each pair use ten descriptors, with sketches of both.

    Of a pair that is alike the descriptors that they jointly share most: the smaller of the two shares is largest. Of another
    pair those in which the shares differ most.
    """
    names, drawn, cards = sketches.images.names, _pictures_of(model), []
    for pair in pairs:
        both = (pair.first, pair.second)
        shares = sketches.shares()[list(both)]
        weight = shares.min(axis=0) if pair.alike else np.abs(shares[0] - shares[1])
        top = [int(i) for i in np.argsort(-weight, kind="stable")[:_TOP] if weight[i] > 0]
        bars, strips = [], []
        for i in top:
            parts = [BarPart(float(share), group, f"{share:.1%}") for group, share in enumerate(shares[:, i])]
            bars.append(Bar(f"descriptor {i}", parts))
        for i in top[:_EXEMPLARS]:
            strips.append(Strip(f"descriptor {i} alone", [drawn[i]]))
            for group, c in enumerate(both):
                pictures = [_picture(model, sketches.images, row) for row in _spread(sketches.having(i, c))]
                if pictures:
                    strips.append(Strip(f"{names[c]}, descriptor {i}", pictures, group))
        series = [(names[c], group) for group, c in enumerate(both)]
        heading = " and ".join(names[c] for c in both)
        cards.append(Card(heading, BarChart(heading, bars, series), strips, pair.note))
    return CardSection(title, cards, note)


def _pictures_of(model: TraitNetwork) -> list[np.ndarray]:
    return [_grey_picture(one) for one in model.eval().traits()[:, 0].float().cpu().numpy()]


def _picture(model: TraitNetwork, images: ImageSet, i: int) -> np.ndarray:
    """A sketch scaled and centred as for the network, but larger."""
    larger = dataclasses.replace(model.preprocess, size=_SIDE)
    return larger.resize_image(images.load(int(i)), sketch=True)


def _grey_picture(values: np.ndarray) -> np.ndarray:
    """[S, S] in -1..1 -> uint8 [128, 128, 3]."""
    levels = np.rint((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8)
    large = Image.fromarray(levels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    return np.repeat(np.array(large)[:, :, None], 3, axis=2)


def _spread(rows: Sequence[int] | np.ndarray, count: int = _EXEMPLARS) -> list[int]:
    if not len(rows):
        return []
    places = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int))
    return [int(rows[place]) for place in places]
