"""Sketches with part masks: a collection, a split, and the checks that every pair passes when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sketchfast.data.part_tables import used_ids

#: Mask value of pixels that neither train nor count.
IGNORE = 255


class PartSet:
    """Items that each have a category, a sketch and a part mask.

    name: of the set. parts: category -> part names, id = position + 1; its order is that of `categories`.
    labels: int64 [N], index into categories. ids: one string per item, shown in reports and errors.

    A subclass provides `read`. Raises ValueError when these do not fit together.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, tuple[str, ...]],
        labels: Sequence[int] | np.ndarray,
        ids: Sequence[str],
    ):
        self.name = name
        self.parts: dict[str, tuple[str, ...]] = dict(parts)
        self.categories: tuple[str, ...] = tuple(parts)
        self.categories_index = np.asarray(labels, dtype=np.int64).reshape(-1)
        self.ids = list(ids)
        if len(self.categories_index) != len(self.ids):
            raise ValueError(
                f"labels and ids must have one length, got {len(self.categories_index)} and {len(self.ids)}"
            )
        outside = (self.categories_index < 0) | (self.categories_index >= len(self.categories))
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"labels must be 0..{len(self.categories) - 1} for {len(self.categories)} categories, "
                f"got {self.categories_index[first]} for {self.ids[first]}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def category_of(self, i: int) -> str:
        return self.categories[self.categories_index[i]]

    def name_of(self, i: int) -> str:
        """The id shown in reports: a path relative to the data set or a synthetic id."""
        return self.ids[i]

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Item i as it is stored; what `load` checks."""
        raise NotImplementedError(f"{type(self).__name__} must define read(i)")

    def load(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """(sketch uint8 [H, W], ink dark on white; mask uint8 [H, W] of part ids, 255 = ignored).

        Raises FileNotFoundError or ValueError naming the file: missing, undecodable, a mask of another size than
        the sketch, ids that the category does not have.
        """
        image, mask = self.read(i)
        check_pair(image, mask, self.parts[self.category_of(i)], f"{self.ids[i]} ({self.category_of(i)})")
        return image, mask

    def subset(self, indices: Sequence[int] | np.ndarray) -> PartSet:
        """The items at these positions (in this order, repeats allowed) with the same categories."""
        return _Subset(self, np.asarray(indices, dtype=np.int64).reshape(-1))

    def of_categories(self, categories: Sequence[str]) -> PartSet:
        """The items of these categories, in order. ValueError for a category that the set does not have."""
        unknown = [name for name in categories if name not in self.categories]
        if unknown:
            raise ValueError(f"categories: expected some of {', '.join(self.categories)}; found {unknown}")
        wanted = [self.categories.index(name) for name in categories]
        return self.subset(np.flatnonzero(np.isin(self.categories_index, wanted)))

    def counts(self) -> dict[str, int]:
        """category -> number of items."""
        numbers = np.bincount(self.categories_index, minlength=len(self.categories))
        return dict(zip(self.categories, numbers.tolist(), strict=True))


class _Subset(PartSet):
    def __init__(self, parent: PartSet, indices: np.ndarray):
        if len(indices) and (indices.min() < 0 or indices.max() >= len(parent)):
            raise ValueError(f"indices must be 0..{len(parent) - 1}, got {indices.min()}..{indices.max()}")
        super().__init__(
            parent.name, parent.parts, parent.categories_index[indices], [parent.ids[i] for i in indices]
        )
        self.parent, self.indices = parent, indices

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self.parent.read(int(self.indices[i]))


class MissingPartSet(PartSet):
    """A half of a data set that is not on disk: says so as soon as it is used."""

    def __init__(self, name: str, parts: Mapping[str, tuple[str, ...]], reason: str):
        super().__init__(name, parts, [], [])
        self.reason = reason

    def __len__(self) -> int:
        raise FileNotFoundError(self.reason)

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        raise FileNotFoundError(self.reason)

    def subset(self, indices: Sequence[int] | np.ndarray) -> PartSet:
        raise FileNotFoundError(self.reason)

    def counts(self) -> dict[str, int]:
        raise FileNotFoundError(self.reason)


@dataclass
class PartSplit:
    """What a parser learns from and what it is scored on.

    held_out: items of the training side that are not trained on, for choosing a checkpoint; None where the data
    set has none. notes: what a reader of the results should know.
    """

    name: str
    train: PartSet
    test: PartSet
    held_out: PartSet | None = None
    notes: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """Counts per side and the notes, one line each."""
        lines = [f"{self.name}: {len(self.test.categories)} categories"]
        for title, items in (("training", self.train), ("held out", self.held_out), ("test", self.test)):
            if isinstance(items, MissingPartSet):
                lines.append(f"  {title:<9} not available: {items.reason}")
            elif items is not None:
                counts = ", ".join(f"{name} {n}" for name, n in items.counts().items() if n)
                lines.append(f"  {title:<9} {len(items):>7,} sketches ({counts})")
        return "\n".join(lines + [f"  {note}" for note in self.notes])


def check_pair(image: np.ndarray, mask: np.ndarray, names: tuple[str, ...], where: str) -> None:
    """TypeError or ValueError, naming `where`, unless image and mask are uint8 [H, W] with ids of these parts."""
    for title, array in (("sketch", image), ("mask", mask)):
        if array.dtype != np.uint8 or array.ndim != 2 or 0 in array.shape:
            raise ValueError(
                f"{where}: the {title} must be uint8 [H, W] with H, W >= 1, "
                f"found {array.dtype} {list(array.shape)}"
            )
    if image.shape != mask.shape:
        raise ValueError(
            f"{where}: the mask must have the sketch's {image.shape[1]} x {image.shape[0]} pixels, "
            f"found {mask.shape[1]} x {mask.shape[0]}"
        )
    found = np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256))
    unknown = [int(k) for k in found if k > len(names) and k != IGNORE]
    if unknown:
        listed = ", ".join(f"{k} {name}" for k, name in enumerate(names, 1))
        raise ValueError(
            f"{where}: mask ids must be 0 (background), {listed} or {IGNORE} (ignored); found {unknown}"
        )


def mask_ids(mask: np.ndarray) -> list[int]:
    """The ids in a mask uint8 [H, W], sorted, 255 included."""
    return [int(k) for k in np.flatnonzero(np.bincount(mask.reshape(-1), minlength=256))]


def unused_ids(mask: np.ndarray, names: tuple[str, ...]) -> list[int]:
    """Ids in the mask that are in range but belong to a "dont care" entry."""
    allowed = set(used_ids(names)) | {IGNORE}
    return [k for k in mask_ids(mask) if k <= len(names) and k not in allowed]
