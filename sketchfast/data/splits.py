"""A zero-shot retrieval task: what is trained on, what is searched for, in what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sketchfast.data.image_set import ImageSet


@dataclass
class ZeroShotSplit:
    """Seen classes are trained on, unseen ones are queried; the labels of both start at 0.

    train_sketches, train_photos: seen classes.
    held_out_sketches: sketches of seen classes that are not trained on (labels index the seen names).
    seen_photos_gallery: what held-out sketches are searched in; train_photos unless given.
    query_sketches, gallery_photos: unseen classes.
    semantic: class name -> float32 [D], if the data set brings its own vectors.
    notes: what a reader of the results should know (layout, lists, what was chosen and how).

    Raises ValueError when sets of one side name different classes, or a class is both seen and unseen.
    """

    name: str
    train_sketches: ImageSet
    train_photos: ImageSet
    held_out_sketches: ImageSet
    query_sketches: ImageSet
    gallery_photos: ImageSet
    seen_photos_gallery: ImageSet | None = None
    semantic: Mapping[str, np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.seen_photos_gallery is None:
            self.seen_photos_gallery = self.train_photos
        seen, unseen = self.train_sketches.names, self.query_sketches.names
        for what, names, expected in (
            ("train_photos", self.train_photos.names, seen),
            ("held_out_sketches", self.held_out_sketches.names, seen),
            ("seen_photos_gallery", self.seen_photos_gallery.names, seen),
            ("gallery_photos", self.gallery_photos.names, unseen),
        ):
            if list(names) != list(expected):
                raise ValueError(
                    f"{self.name}: {what} must have the class names {expected[:3]}..., got {names[:3]}..."
                )
        both = sorted(set(seen) & set(unseen))
        if both:
            raise ValueError(
                f"{self.name}: {len(both)} classes are both seen and unseen: {', '.join(both[:10])}"
            )

    @property
    def seen_names(self) -> list[str]:
        return self.train_sketches.names

    @property
    def unseen_names(self) -> list[str]:
        return self.query_sketches.names

    def summary(self) -> str:
        """Counts and notes, one line each."""
        lines = [
            f"{self.name}: {len(self.seen_names)} seen and {len(self.unseen_names)} unseen classes",
            f"  training   {len(self.train_sketches):>7,} sketches {len(self.train_photos):>7,} photos",
            f"  held out   {len(self.held_out_sketches):>7,} sketches",
            f"  unseen     {len(self.query_sketches):>7,} sketches {len(self.gallery_photos):>7,} photos",
        ]
        return "\n".join(lines + [f"  {note}" for note in self.notes])
