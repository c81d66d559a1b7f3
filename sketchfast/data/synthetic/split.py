"""The synthetic world as image sets, as a zero-shot retrieval task and as a classification task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sketchfast.data.classification import ClassificationSplit
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.image_set import ImageSet
from sketchfast.data.splits import ZeroShotSplit
from sketchfast.runtime.strokes import Strokes

from .catalogue import CATEGORIES, category
from .parameters import mix
from .semantics import semantic_vector
from .world import Instance

# Each has relatives among the seen: cow and dog for horse, bicycle for motorbike, cup for teapot, apple for pear...
DEFAULT_UNSEEN: tuple[str, ...] = (
    "horse", "rabbit", "bus", "motorbike", "helicopter", "teapot", "chair", "pear",
)  # fmt: skip
TRAINING_DRAWERS = 48
# Numbered after the training drawers: held-out and query sketches come from hands not trained on.
OTHER_DRAWERS = 24
VALIDATION_DRAWERS = 12  # of classification, after the others: they draw neither training nor test sketches
# First instance of each part of `classification`: a test set stays the same whatever the training set's size.
_VALIDATION, _TEST, _GALLERY = 100_000, 200_000, 300_000


class SyntheticImageSet(ImageSet):
    """Renders on the fly. The ids are those of the instances; a sketch's drawer is appended ("cat/0-000012-d5").

    instances: one per item, whose category is in `names`. drawers: one per item for sketches, None for
    photos. size: side of the images that `load` returns, in pixels.
    """

    def __init__(
        self,
        names: Sequence[str],
        instances: Sequence[Instance],
        drawers: Sequence[int] | None = None,
        size: int = 96,
    ) -> None:
        if drawers is not None and len(drawers) != len(instances):
            raise ValueError(
                f"drawers and instances must have one length, got {len(drawers)} and {len(instances)}"
            )
        ids = [
            thing.id if drawers is None else f"{thing.id}-d{drawers[i]}" for i, thing in enumerate(instances)
        ]
        labels = [list(names).index(thing.category) for thing in instances]
        super().__init__(names, labels, ids, "photo" if drawers is None else "sketch")
        self.instances, self.drawers, self.size = list(instances), drawers, size

    def load(self, i: int) -> NDArray[np.uint8]:
        if self.drawers is None:
            return self.instances[i].photo(self.size)
        return self.instances[i].sketch(self.drawers[i], self.size)

    @property
    def has_strokes(self) -> bool:
        return self.drawers is not None

    def strokes(self, i: int) -> Strokes:
        """The strokes that `load(i)` shows, in units of the sheet's side."""
        if self.drawers is None:
            return super().strokes(i)
        return self.instances[i].strokes(self.drawers[i])

    def part_mask(self, i: int, size: int | None = None) -> NDArray[np.uint8]:
        """The part mask of item i, aligned to what `load(i)` shows. Ids are per category, see PART_NAMES."""
        style = None if self.drawers is None else self.drawers[i]
        return self.instances[i].part_mask(size or self.size, style)


def unseen_of(unseen: Sequence[str]) -> list[str]:
    """The unseen categories, checked: ValueError unless they are different ones, at least one, and leave one seen."""
    names = list(unseen)
    unknown = [name for name in names if name not in CATEGORIES]
    if unknown:
        raise ValueError(f"unseen: expected categories among {', '.join(CATEGORIES)}; found {unknown[0]!r}")
    if not names or len(set(names)) < len(names) or len(names) >= len(CATEGORIES):
        raise ValueError(f"unseen: expected 1..{len(CATEGORIES) - 1} different categories, found {names!r}")
    return names


def instances_of(names: Sequence[str], start: int, count: int, seed: int) -> list[Instance]:
    return [Instance(name, index, seed) for name in names for index in range(start, start + count)]


def _drawers(instances: Sequence[Instance], first: int, count: int) -> list[int]:
    return [first + mix(thing.seed, "who draws", thing.category, thing.index) % count for thing in instances]


def zero_shot(
    seed: int = 0,
    size: int = 96,
    train_per_class: int = 40,
    held_out_per_class: int = 8,
    query_per_class: int = 20,
    gallery_per_class: int = 120,
    unseen: Sequence[str] = DEFAULT_UNSEEN,
) -> ZeroShotSplit:
    """A zero-shot retrieval task; every category that is not in `unseen` is seen.

    Seen classes: instances 0..train_per_class-1 give one photo and one sketch each (the pair share an
    index, so item i of train_photos and of train_sketches show the same object); the following
    held_out_per_class instances give held-out sketches. Unseen classes: query_per_class instances give
    one query sketch each, the following gallery_per_class other instances one gallery photo each, so no
    query's own photo is in the gallery. Held-out and query sketches come from drawers that drew no
    training sketch. Raises ValueError for an unknown category, repeats, no seen class left, or a count below 1.
    """
    for option, value in (
        ("train_per_class", train_per_class), ("held_out_per_class", held_out_per_class),
        ("query_per_class", query_per_class), ("gallery_per_class", gallery_per_class),
    ):  # fmt: skip
        if value < 1:
            raise ValueError(f"{option}: expected at least 1, found {value}")
    unseen = unseen_of(unseen)
    seen = [name for name in CATEGORIES if name not in unseen]
    train = instances_of(seen, 0, train_per_class, seed)
    held_out = instances_of(seen, train_per_class, held_out_per_class, seed)
    query = instances_of(unseen, 0, query_per_class, seed)
    gallery = instances_of(unseen, query_per_class, gallery_per_class, seed)
    return ZeroShotSplit(
        name=f"synthetic world, seed {seed}",
        train_sketches=SyntheticImageSet(seen, train, _drawers(train, 0, TRAINING_DRAWERS), size),
        train_photos=SyntheticImageSet(seen, train, None, size),
        held_out_sketches=SyntheticImageSet(
            seen, held_out, _drawers(held_out, TRAINING_DRAWERS, OTHER_DRAWERS), size
        ),
        query_sketches=SyntheticImageSet(
            unseen, query, _drawers(query, TRAINING_DRAWERS, OTHER_DRAWERS), size
        ),
        gallery_photos=SyntheticImageSet(unseen, gallery, None, size),
        semantic={name: semantic_vector(name) for name in CATEGORIES},
        notes=[
            f"{size} pixels; drawers of held-out and query sketches drew no training sketch",
            f"unseen: {', '.join(unseen)}",
        ],
    )


def classification(
    seed: int = 0,
    size: int = 128,
    train_per_class: int = 64,
    validation_per_class: int = 16,
    test_per_class: int = 16,
    photos_per_class: int = 20,
    classes: Sequence[str] = CATEGORIES,
    photos: str | None = None,
) -> ClassificationSplit:
    """A classification task; every part has its own instances, and its size changes no other part.

    Validation and test sketches come from drawers that drew no training sketch, nor those of each other.
    photos: None, or "canny" for edge maps: photos_per_class of further instances to search, and for training the photos of
    the training instances. ValueError for an unknown category, repeats, one class alone, or a count out of range.
    """
    for option, value, least in (
        ("train_per_class", train_per_class, 1), ("validation_per_class", validation_per_class, 0),
        ("test_per_class", test_per_class, 1), ("photos_per_class", photos_per_class, 1),
    ):  # fmt: skip
        if not least <= value <= _VALIDATION:
            raise ValueError(f"{option}: expected {least} to {_VALIDATION:,}, found {value}")
    names = [category(name).name for name in classes]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes: expected at least two different categories, found {list(classes)!r}")
    if photos not in (None, "canny"):
        raise ValueError(f'photos of the synthetic world must be None or "canny", got {photos!r}')
    train = instances_of(names, 0, train_per_class, seed)

    def sketches(things: list[Instance], first: int, count: int) -> SyntheticImageSet:
        return SyntheticImageSet(names, things, _drawers(things, first, count), size)

    def edges(things: list[Instance]) -> EdgeMaps | None:
        return EdgeMaps(SyntheticImageSet(names, things, None, size)) if photos else None

    return ClassificationSplit(
        name=f"synthetic world, seed {seed}",
        dataset="synthetic",
        train=sketches(train, 0, TRAINING_DRAWERS),
        validation=sketches(
            instances_of(names, _VALIDATION, validation_per_class, seed),
            TRAINING_DRAWERS + OTHER_DRAWERS,
            VALIDATION_DRAWERS,
        ),
        test=sketches(instances_of(names, _TEST, test_per_class, seed), TRAINING_DRAWERS, OTHER_DRAWERS),
        photos=edges(instances_of(names, _GALLERY, photos_per_class, seed)),
        train_photos=edges(train),
        seed=seed,
        settings={
            "size": size,
            "train_per_class": train_per_class,
            "validation_per_class": validation_per_class,
            "test_per_class": test_per_class,
            "photos_per_class": photos_per_class,
        },
        notes=[f"{size} pixels; drawers of validation and test sketches drew no training sketch"]
        + (["photos as Canny edges; those to search are of instances not trained on"] if photos else []),
    )
