"""Sketches with the very photo each was drawn from, and the task of finding that photo in unseen classes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sketchfast.data.classification import renamed
from sketchfast.data.image_set import ImageSet
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.layouts import class_key

Rows = Sequence[int] | np.ndarray


@dataclass(eq=False)
class PairedSet:
    """Sketches, photos, and whose photo is whose; photos that nobody drew are among the photos too.

    sketches [N] and photos [P]: the same class names. photo_of: int64 [N], each sketch's own photo, a position in `photos`.
    Raises ValueError when lengths, class names or positions do not fit, or a sketch and its photo are of different classes;
    TypeError for positions that are not integers.
    """

    sketches: ImageSet
    photos: ImageSet
    photo_of: np.ndarray

    def __post_init__(self) -> None:
        given = np.asarray(self.photo_of)
        if given.size and given.dtype.kind not in "iu":
            raise TypeError(f"photo_of must be whole numbers, positions in photos, got {given.dtype}")
        self.photo_of = given.astype(np.int64).reshape(-1)
        for what, images in (("sketch", self.sketches), ("photo", self.photos)):
            if images.modality != what:
                raise ValueError(f"{what} side must be {what} images, got modality {images.modality!r}")
        if self.sketches.names != self.photos.names:
            raise ValueError(
                "sketches and photos must have the same class names, "
                f"got {self.sketches.names[:3]}... and {self.photos.names[:3]}..."
            )
        if len(self.photo_of) != len(self.sketches):
            raise ValueError(
                f"photo_of must have one entry a sketch, got {len(self.photo_of)} for {len(self.sketches)} sketches"
            )
        lacking = sorted(set(self.sketches.labels.tolist()) - set(self.photos.labels.tolist()))
        if lacking:
            named = ", ".join(self.names[label] for label in lacking[:5])
            raise ValueError(f"{len(lacking)} classes have sketches, but no photo to search: {named}")
        outside = np.flatnonzero((self.photo_of < 0) | (self.photo_of >= len(self.photos)))
        if len(outside):
            row = int(outside[0])
            raise ValueError(
                f"photo_of must be 0..{len(self.photos) - 1} for {len(self.photos)} photos, "
                f"got {self.photo_of[row]} for sketch {self.sketches.ids[row]}"
            )
        apart = np.flatnonzero(self.photos.labels[self.photo_of] != self.sketches.labels)
        if len(apart):
            row = int(apart[0])
            photo = int(self.photo_of[row])
            raise ValueError(
                f"{len(apart)} sketches are of another class than their photo: {self.sketches.ids[row]} is "
                f"{self.names[self.sketches.labels[row]]!r}, {self.photos.ids[photo]} is "
                f"{self.names[self.photos.labels[photo]]!r}"
            )

    def __len__(self) -> int:
        return len(self.sketches)

    @property
    def names(self) -> list[str]:
        return self.sketches.names

    @property
    def drawn(self) -> np.ndarray:
        """Positions of the photos that have a sketch, int64, ascending."""
        return np.unique(self.photo_of)

    def of_class(self, label: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions of the sketches and of the photos of a class, ascending."""
        return np.flatnonzero(self.sketches.labels == label), np.flatnonzero(self.photos.labels == label)

    def subset(self, rows: Rows) -> PairedSet:
        """These sketches, in this order; all photos stay."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        return PairedSet(self.sketches.subset(rows), self.photos, self.photo_of[rows])

    def of_photos(self, rows: Rows) -> PairedSet:
        """These photos, in this order, and the sketches of them. ValueError for a photo twice."""
        rows = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(np.unique(rows)) < len(rows):
            raise ValueError("rows must be different photos, got one twice")
        photos = self.photos.subset(rows)
        place = np.full(len(self.photos), -1, np.int64)
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[self.photo_of] >= 0)
        return PairedSet(self.sketches.subset(kept), photos, place[self.photo_of[kept]])

    def of_classes(self, labels: Rows) -> PairedSet:
        """The sketches and photos of these classes; class names and labels stay as they are."""
        return self.of_photos(np.flatnonzero(np.isin(self.photos.labels, np.asarray(labels, dtype=np.int64))))

    def joined(self, other: PairedSet) -> PairedSet:
        """This set and then the other; class names that only the other has come after these."""
        names = self.names + [name for name in other.names if name not in set(self.names)]
        return PairedSet(
            JoinedSet([renamed(self.sketches, names), renamed(other.sketches, names)]),
            JoinedSet([renamed(self.photos, names), renamed(other.photos, names)]),
            np.concatenate([self.photo_of, other.photo_of + len(self.photos)]),
        )


@dataclass
class InstanceSplit:
    """Seen classes are trained on; each sketch of `test` is searched for among the photos of its own, unseen class.

    held_out: other photos of the seen classes and their sketches, never trained on; None where there are none.
    semantic: class name -> float32 [D] of seen and unseen classes, if there are vectors.
    shared_classes: train and test are of the same classes, and only their photos differ (one-category data sets).
    notes: what a reader of the results should know; settings: what the split was made with, for records.

    Raises ValueError when a class is both seen and unseen (unless shared_classes), `held_out` names other classes than
    `train`, there is no sketch to train on or none of an unseen class, or an id of a sketch or photo is in two parts.
    """

    name: str
    dataset: str
    train: PairedSet
    test: PairedSet
    held_out: PairedSet | None = None
    semantic: Mapping[str, np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    shared_classes: bool = False

    def __post_init__(self) -> None:
        both = sorted(set(self.seen_names) & set(self.unseen_names))
        if both and not self.shared_classes:
            raise ValueError(
                f"{self.name}: {len(both)} classes are both seen and unseen: {', '.join(both[:10])}"
            )
        if self.held_out is not None and self.held_out.names != self.train.names:
            raise ValueError(
                f"{self.name}: held_out must have the class names {self.seen_names[:3]}..., "
                f"got {self.held_out.names[:3]}..."
            )
        idle = sorted(set(range(len(self.unseen_names))) - set(self.test.sketches.labels.tolist()))
        if idle and len(self.test):
            raise ValueError(
                f"{self.name}: {len(idle)} unseen classes have no sketch to search with: "
                f"{', '.join(self.unseen_names[label] for label in idle[:10])}"
            )
        owner: dict[tuple[str, str], str] = {}
        for part, pairs in self.parts().items():
            if part != "held_out" and not len(pairs):
                raise ValueError(f"{self.name}: {part} has no sketches, expected at least one")
            for images in (pairs.sketches, pairs.photos):
                for item in images.ids:
                    key = (images.modality, item)
                    if key in owner:
                        where = f"twice in {part}" if owner[key] == part else f"in {owner[key]} and in {part}"
                        raise ValueError(f"{self.name}: {images.modality} {item} is {where}")
                    owner[key] = part

    @property
    def seen_names(self) -> list[str]:
        return self.train.names

    @property
    def unseen_names(self) -> list[str]:
        return self.test.names

    def parts(self) -> dict[str, PairedSet]:
        """Name -> pairs, for the parts that there are."""
        found = {"train": self.train, "held_out": self.held_out, "test": self.test}
        return {part: pairs for part, pairs in found.items() if pairs is not None}

    def summary(self) -> str:
        """Counts and notes, one line each."""
        titles = {"train": "training", "held_out": "held out", "test": "unseen"}
        told = f"{len(self.seen_names)} seen and {len(self.unseen_names)} unseen classes"
        if self.shared_classes:
            titles["test"] = "test"
            told = f"{', '.join(self.seen_names)}, other photos of the same classes to test on"
        lines = [f"{self.name}: {told}"]
        for part, pairs in self.parts().items():
            counts = np.bincount(pairs.photos.labels, minlength=len(pairs.names))
            each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
            lines.append(
                f"  {titles[part]:<9}{len(pairs):>7,} sketches of {len(pairs.drawn):>6,} photos, "
                f"{len(pairs.photos):>7,} photos in all, {each} a class"
            )
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def target_half(self, seed: int = 0) -> PairedSet:
        """Half of the test photos of each class, with their sketches: what the upper bound is trained on as well.

        Its score is then an overestimate, as the paper notes of its own: it is tested on all sketches, also on these
        (Pang et al. 2019, section 4.2). Photos that somebody drew and photos that nobody drew are halved apart: of an odd
        number the smaller half, at least one drawn photo; a class is drawn by (seed, its name).
        """
        pairs, chosen = self.test, [np.zeros(0, np.int64)]
        is_drawn = np.isin(np.arange(len(pairs.photos)), pairs.drawn)
        for label, name in enumerate(pairs.names):
            random = np.random.default_rng([seed, zlib.crc32(class_key(name).encode())])
            own = pairs.photos.labels == label
            for rows, least in ((np.flatnonzero(own & is_drawn), 1), (np.flatnonzero(own & ~is_drawn), 0)):
                chosen.append(np.sort(random.permutation(rows)[: max(least, len(rows) // 2)]))
        return pairs.of_photos(np.concatenate(chosen))
