"""The synthetic world as a task of finding the very object that a sketch shows, in unseen categories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast.data.instances import InstanceSplit, PairedSet

from .catalogue import CATEGORIES
from .parameters import mix
from .semantics import semantic_vector
from .split import DEFAULT_UNSEEN, OTHER_DRAWERS, TRAINING_DRAWERS, SyntheticImageSet, instances_of, unseen_of
from .world import Instance

_HELD_OUT = (
    100_000  # first held-out object of a seen category: they stay the same whatever the training set's size
)
# From one drawer of an object to the next: coprime to both numbers of drawers, so that none comes twice, and to the number of
# temperaments, so that they differ.
_NEXT_DRAWER = 5


def instances(
    seed: int = 0,
    size: int = 96,
    train_per_class: int = 40,
    sketches_per_photo: int = 2,
    queries_per_class: int = 20,
    gallery_per_class: int = 60,
    held_out_per_class: int = 8,
    unseen: Sequence[str] = DEFAULT_UNSEEN,
) -> InstanceSplit:
    """Photos and sketches of the same objects; every category that is not in `unseen` is seen. Rendered when asked for.

    train_per_class: objects of each seen category, one photo each and sketches_per_photo sketches by as many drawers.
    held_out_per_class: further objects of each seen category, one photo and one sketch each; 0 for none.
    queries_per_class: objects of each unseen category with a sketch.
    gallery_per_class: photos of each unseen category in all. The first queries_per_class show the objects of the sketches, the
        rest objects that nobody drew. Object i is the same whatever the counts.
    Held-out and query sketches come from drawers that drew no training sketch.
    Raises ValueError for an unknown category, repeats, no seen class left, more sketches a photo than drawers, a gallery
    smaller than the queries, or a count below 1.
    """
    counts = {
        "train_per_class": train_per_class,
        "sketches_per_photo": sketches_per_photo,
        "queries_per_class": queries_per_class,
        "gallery_per_class": gallery_per_class,
        "held_out_per_class": held_out_per_class,
    }
    for option, value in counts.items():
        least = 0 if option == "held_out_per_class" else 1
        if not least <= value <= _HELD_OUT:
            raise ValueError(f"{option}: expected {least} to {_HELD_OUT:,}, found {value}")
    if sketches_per_photo > TRAINING_DRAWERS:
        raise ValueError(
            f"sketches_per_photo: expected at most {TRAINING_DRAWERS}, the drawers there are, found {sketches_per_photo}"
        )
    if gallery_per_class < queries_per_class:
        raise ValueError(
            f"gallery_per_class: expected at least queries_per_class={queries_per_class}, whose own photos are in it, "
            f"found {gallery_per_class}"
        )
    unseen = unseen_of(unseen)
    seen = [name for name in CATEGORIES if name not in unseen]

    def pairs(
        names: list[str], start: int, drawn: int, photos: int, each: int, drawers: tuple[int, int]
    ) -> PairedSet:
        shown = instances_of(names, start, photos, seed)
        rows = [row for row in range(len(shown)) if row % photos < drawn]
        hands = [drawers_of(shown[row], each, *drawers) for row in rows]
        sketches = SyntheticImageSet(
            names,
            [shown[row] for row in rows for _ in range(each)],
            [hand for own in hands for hand in own],
            size,
        )
        return PairedSet(sketches, SyntheticImageSet(names, shown, None, size), np.repeat(rows, each))

    training, others = (0, TRAINING_DRAWERS), (TRAINING_DRAWERS, OTHER_DRAWERS)
    held_out = None
    if held_out_per_class:
        held_out = pairs(seen, _HELD_OUT, held_out_per_class, held_out_per_class, 1, others)
    return InstanceSplit(
        name=f"synthetic world, seed {seed}, instances",
        dataset="synthetic",
        train=pairs(seen, 0, train_per_class, train_per_class, sketches_per_photo, training),
        test=pairs(unseen, 0, queries_per_class, gallery_per_class, 1, others),
        held_out=held_out,
        semantic={name: semantic_vector(name) for name in CATEGORIES},
        notes=[
            f"{size} pixels; drawers of held-out and query sketches drew no training sketch",
            f"unseen: {', '.join(unseen)}",
        ],
        settings={"seed": seed, "size": size, "unseen": unseen, **counts},
    )


def drawers_of(thing: Instance, count: int, first: int, among: int) -> list[int]:
    """`count` different ones of the `among` drawers from `first` on."""
    start = mix(thing.seed, "who draws", thing.category, thing.index)
    return [first + (start + _NEXT_DRAWER * k) % among for k in range(count)]
