"""The task of paper 4: photos of one category with sketches, and many more of it that nobody drew."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from sketchfast.data.image_set import FileImageSet, ImageSet
from sketchfast.data.instances import InstanceSplit, PairedSet

# Kept apart from the seeds' other uses.
_SHARE = 4


@dataclass
class SemiSupervisedSplit:
    """D_L and D_U of Bhunia et al. 2021, section 3: labelled pairs, and photos without sketches.

    pairs: `train` is D_L, `test` and `held_out` other photos of the same one category. unlabelled: D_U, photos of that category,
    maybe none.

    Raises ValueError when there is more than one category, a photo of `train` that nobody drew, or an unlabelled photo that
    is in a part of `pairs`.
    """

    pairs: InstanceSplit
    unlabelled: ImageSet

    def __post_init__(self) -> None:
        if len(self.train.names) != 1 or self.test.names != self.train.names:
            raise ValueError(
                f"{self.name}: train and test must be of one category, got {', '.join(self.train.names)} and "
                f"{', '.join(self.test.names)}"
            )
        if self.unlabelled.modality != "photo" or self.unlabelled.names != self.train.names:
            raise ValueError(
                f"{self.name}: unlabelled must be photos of {self.train.names[0]!r}, got {self.unlabelled.modality} images of "
                f"{', '.join(self.unlabelled.names)}"
            )
        refuse_undrawn(self.train, self.name)
        unlabelled = set(_identities(self.unlabelled))
        if len(unlabelled) < len(self.unlabelled):
            raise ValueError(f"{self.name}: an unlabelled photo is there twice")
        for part, own in self.pairs.parts().items():
            both = [item for item in _identities(own.photos) if item in unlabelled]
            if both:
                raise ValueError(
                    f"{self.name}: {len(both):,} unlabelled photos are in {part} too: {', '.join(both[:5])}"
                )

    @property
    def name(self) -> str:
        return self.pairs.name

    @property
    def category(self) -> str:
        return self.train.names[0]

    @property
    def train(self) -> PairedSet:
        return self.pairs.train

    @property
    def held_out(self) -> PairedSet | None:
        return self.pairs.held_out

    @property
    def test(self) -> PairedSet:
        return self.pairs.test

    @property
    def notes(self) -> list[str]:
        return self.pairs.notes

    @property
    def settings(self) -> dict[str, Any]:
        return self.pairs.settings

    def of_share(self, share: float, seed: int = 0) -> SemiSupervisedSplit:
        """A random share of the labelled photos, at least two, with their sketches (figure 4b); all else stays.

        The photos of a smaller share are among those of a larger one. The photos left out are not used at all (D).
        """
        if not 0 < share <= 1:
            raise ValueError(f"labelled_share must be above 0 and at most 1, got {share}")
        if share == 1:
            return self
        count = len(self.train.photos)
        kept = np.random.default_rng([seed, _SHARE]).permutation(count)[: max(round(share * count), 2)]
        train = self.train.of_photos(np.sort(kept))
        note = f"labelled: {len(train.photos):,} of {count:,} photos, drawn with seed {seed}"
        settings = self.settings | {"labelled_share": share, "labelled_seed": seed}
        pairs = dataclasses.replace(self.pairs, train=train, notes=[*self.notes, note], settings=settings)
        return SemiSupervisedSplit(pairs, self.unlabelled)

    def summary(self) -> str:
        """Counts and notes, one line each."""
        lines = self.pairs.summary().splitlines()
        at = 1 + len(self.pairs.parts())
        return "\n".join([*lines[:at], f"  unlabelled: {len(self.unlabelled):,} photos", *lines[at:]])


def refuse_undrawn(pairs: PairedSet, name: str) -> None:
    """ValueError naming the photos (up to 5) without a sketch; name: of the data."""
    undrawn = np.setdiff1d(np.arange(len(pairs.photos)), pairs.drawn)
    if len(undrawn):
        named = ", ".join(pairs.photos.ids[row] for row in undrawn[:5]) + (
            ", ..." if len(undrawn) > 5 else ""
        )
        raise ValueError(
            f"{name}: {len(undrawn):,} labelled photos have no sketch: {named}. Photos that nobody drew belong to the unlabelled "
            "ones"
        )


def _identities(photos: ImageSet) -> list[str]:
    """What tells photos of several sets apart: relative paths may be equal in two folders."""
    return [str(path) for path in photos.paths] if isinstance(photos, FileImageSet) else photos.ids
