"""The synthetic world as photos of one category with sketches, and more photos of it that nobody drew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.semi_supervised import SemiSupervisedSplit

from .catalogue import category as find_category
from .instance_split import drawers_of
from .split import OTHER_DRAWERS, TRAINING_DRAWERS, SyntheticImageSet, instances_of
from .world import Instance

# First object of each part: what a part holds does not depend on the sizes of the others.
_HELD_OUT, _TEST, _UNLABELLED = 100_000, 200_000, 300_000


def semi_supervised(
    seed: int = 0,
    size: int = 96,
    category: str = "chair",
    train_photos: int = 100,
    sketches_per_photo: int = 3,
    unlabelled_photos: int = 400,
    test_photos: int = 100,
    held_out_photos: int = 0,
    sketches_per_test_photo: int = 3,
    studio: bool = True,
    tidy: bool = True,
) -> SemiSupervisedSplit:
    """Photos and sketches of objects of one category; each part has objects of its own. Rendered when asked for.

    Each photo has as many sketches as said, by as many drawers: sketches_per_photo in training, sketches_per_test_photo of test
    and held-out photos, by drawers who drew no training sketch. Object i of a part is the same whatever the counts.
    studio: photos as shops take them, as Shoe-V2's and Chair-V2's are; else before a cluttered background.
    tidy: sketches in the order and directions that most people keep to; else each drawer's own.
    Raises ValueError for an unknown category, more sketches a photo than drawers, or a count out of range.
    """
    counts = {
        "train_photos": train_photos,
        "sketches_per_photo": sketches_per_photo,
        "unlabelled_photos": unlabelled_photos,
        "test_photos": test_photos,
        "held_out_photos": held_out_photos,
        "sketches_per_test_photo": sketches_per_test_photo,
    }
    for option, value in counts.items():
        least = 0 if option in ("unlabelled_photos", "held_out_photos") else 1
        most = OTHER_DRAWERS if option.startswith("sketches") else _HELD_OUT
        if not least <= value <= most:
            raise ValueError(f"{option}: expected {least} to {most:,}, found {value}")
    names = [find_category(category).name]

    def things(start: int, count: int) -> list[Instance]:
        return [replace(thing, studio=studio, tidy=tidy) for thing in instances_of(names, start, count, seed)]

    def pairs(start: int, photos: int, each: int, first: int, among: int) -> PairedSet:
        shown = things(start, photos)
        hands = [drawers_of(thing, each, first, among) for thing in shown]
        sketches = SyntheticImageSet(
            names,
            [thing for thing in shown for _ in range(each)],
            [hand for own in hands for hand in own],
            size,
        )
        return PairedSet(
            sketches,
            SyntheticImageSet(names, shown, None, size),
            np.repeat(np.arange(photos), each),
        )

    others = (sketches_per_test_photo, TRAINING_DRAWERS, OTHER_DRAWERS)
    labelled = InstanceSplit(
        name=f"synthetic world, seed {seed}, {names[0]}s",
        dataset="synthetic",
        train=pairs(0, train_photos, sketches_per_photo, 0, TRAINING_DRAWERS),
        test=pairs(_TEST, test_photos, *others),
        held_out=pairs(_HELD_OUT, held_out_photos, *others) if held_out_photos else None,
        notes=[f"{size} pixels; drawers of held-out and test sketches drew no training sketch"],
        settings={"seed": seed, "size": size, "category": names[0], "studio": studio, "tidy": tidy, **counts},
        shared_classes=True,
    )
    unlabelled = SyntheticImageSet(names, things(_UNLABELLED, unlabelled_photos), None, size)
    return SemiSupervisedSplit(labelled, unlabelled)
