"""A classification task: sketches to learn from, to choose by and to test on, photos to be searched; and its saved form."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sketchfast import atomic
from sketchfast.data.image_set import ImageSet
from sketchfast.runtime.pictures import check_file
from sketchfast.runtime.preprocess import INK_BELOW, Preprocess
from sketchfast.runtime.strokes import Strokes

PARTS = ("train", "validation", "test", "photos", "train_photos")
_KIND = "sketchfast classification split 1"
_TITLES = {"train": "training", "photos": "to search", "train_photos": "training"}


@dataclass
class ClassificationSplit:
    """Sketches of the same classes in three parts, and photos of these classes where a data set has them.

    name: for people. dataset: the name that `load_classification` reads it by.
    train, validation, test: sketches; no item is in two of them. validation may be empty.
    photos: edge maps of the photos to be searched, all of them; None without photos.
    train_photos: edge maps that may be trained on; they may be in `photos` too (the notes say).
    seed, settings: what the split was drawn with. notes: what a reader of the results should know.

    Raises ValueError when the parts name different classes or share sketches, or there is nothing to train on or to test on.
    """

    name: str
    dataset: str
    train: ImageSet
    validation: ImageSet
    test: ImageSet
    photos: ImageSet | None = None
    train_photos: ImageSet | None = None
    seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        for part, images in self.parts().items():
            if images.names != self.names:
                raise ValueError(
                    f"{self.name}: {part} must have the class names {self.names[:3]}..., got {images.names[:3]}..."
                )
            if images.modality != "sketch":
                raise ValueError(f"{self.name}: {part} must be sketches or edge maps, got photos")
            if part in ("train", "test") and not len(images):
                raise ValueError(f"{self.name}: {part} has no sketches, expected at least one")
            if part in ("photos", "train_photos"):
                continue
            for item in images.ids:
                if item in owner:
                    where = f"twice in {part}" if owner[item] == part else f"in {owner[item]} and in {part}"
                    raise ValueError(f"{self.name}: {item} is {where}")
                owner[item] = part

    @property
    def names(self) -> list[str]:
        return self.train.names

    def parts(self) -> dict[str, ImageSet]:
        """Name -> set, for the parts that there are."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: images for part, images in found.items() if images is not None}

    def count_blank(self, size: int = 128, preprocess: Preprocess | None = None) -> dict[str, list[str]]:
        """Part -> ids of the items without ink, those parts only that have any; a note says how many.

        They stay in the split: a person may hand one in too. Decodes everything (`ImageSet.resized`, whose memory training
        shares at the same size and preprocess).
        """
        blank = {}
        for part, images in self.parts().items():
            pixels = images.resized(size, preprocess)
            empty = np.flatnonzero((pixels >= INK_BELOW).all(axis=(1, 2, 3)))
            if len(empty):
                blank[part] = [images.ids[i] for i in empty]
                note = f"{part}: {len(empty):,} of {len(images):,} are blank, e.g. {blank[part][0]}"
                self.notes += [note] if note not in self.notes else []
        return blank

    def summary(self) -> str:
        """Counts and notes, one line each."""
        lines = [f"{self.name}: {len(self.names)} classes"]
        for part, images in self.parts().items():
            counts = np.bincount(images.labels, minlength=len(self.names))
            each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
            kind = "photos" if part in ("photos", "train_photos") else "sketches"
            lines.append(f"  {_TITLES.get(part, part):<11}{len(images):>7,} {kind:<8} {each} a class")
        return "\n".join(lines + [f"  {note}" for note in self.notes])

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: names, seed, settings, and the ids of each part by class; what `save` writes."""
        members: dict[str, dict[str, list[str]]] = {}
        for part, images in self.parts().items():
            members[part] = {name: [] for name in self.names}
            for item, label in zip(images.ids, images.labels.tolist(), strict=True):
                members[part][self.names[label]].append(item)
        return {
            "kind": _KIND,
            "dataset": self.dataset,
            "name": self.name,
            "seed": self.seed,
            "settings": self.settings,
            "sizes": {part: len(images) for part, images in self.parts().items()},
            "notes": self.notes,
            "names": self.names,
            "parts": members,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the split as JSON, whole or not at all; `load_classification(..., split_file=path)` reads it back."""
        atomic.write_json(path, self.to_dict())


@dataclass(frozen=True)
class SavedSplit:
    """A split file as read: which items, not their pictures. members: part -> class -> ids."""

    path: Path
    dataset: str
    name: str
    seed: int
    settings: dict[str, Any]
    notes: list[str]
    names: list[str]
    members: dict[str, dict[str, list[str]]]

    def differences(self, split: ClassificationSplit) -> list[str]:
        """What another split has otherwise, one text each: data set, seed, settings, classes, and items of the parts."""
        other = json.loads(json.dumps(split.to_dict()))
        keys = sorted(self.settings.keys() | other["settings"].keys())
        pairs: list[tuple[str, Any, Any]] = [
            ("data set", self.dataset, other["dataset"]),
            ("seed", self.seed, other["seed"]),
            *((key, self.settings.get(key), other["settings"].get(key)) for key in keys),
        ]
        found = [f"{what}: {here!r} there, {there!r} now" for what, here, there in pairs if here != there]
        if self.names != other["names"]:
            found.append(f"classes: {len(self.names)} there, {len(other['names'])} now, or in another order")
        parts = sorted(self.members.keys() | other["parts"].keys())
        changed = [part for part in parts if self.members.get(part) != other["parts"].get(part)]
        return [*found, f"other images in {', '.join(changed)}"] if changed else found

    def pick(self, part: str, pool: ImageSet) -> ImageSet:
        """The items of a part, taken from all that the data set has; FileNotFoundError or ValueError naming what is not there."""
        listed = [(item, name) for name in self.names for item in self.members[part].get(name, [])]
        at = {item: i for i, item in enumerate(pool.ids)}
        missing = [item for item, _ in listed if item not in at]
        if missing:
            raise FileNotFoundError(
                f"{self.path}: {len(missing):,} of {len(listed):,} items of {part} are not in the data set, "
                f"e.g. {', '.join(missing[:3])}"
            )
        for item, name in listed:
            found = pool.names[pool.labels[at[item]]]
            if found != name:
                raise ValueError(f"{self.path}: {item} is listed under {name!r}, but its class is {found!r}")
        return renamed(pool.subset([at[item] for item, _ in listed]), self.names)


def read_split(path: str | os.PathLike[str], dataset: str) -> SavedSplit:
    """What `ClassificationSplit.save` wrote. FileNotFoundError; ValueError for another file or another data set."""
    path = check_file(path)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a split: not JSON: {error}") from None
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        found = content.get("kind") if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} is not a split: expected the kind {_KIND!r}, found {found!r}")
    if content.get("dataset") != dataset:
        raise ValueError(f"{path} is a split of {content.get('dataset')!r}, not of {dataset!r}")
    try:
        names, members = content["names"], content["parts"]
        for part in ("train", "validation", "test"):
            members[part]
        for part, classes in members.items():
            if part not in PARTS:
                raise ValueError(f"unknown part {part!r}")
            unknown = sorted(set(classes) - set(names))
            if unknown:
                raise ValueError(f"{part} lists classes that `names` does not: {', '.join(unknown[:5])}")
        for part in ("train", "test"):
            if not any(members[part].values()):
                raise ValueError(f"{part} lists no sketches")
        return SavedSplit(
            path,
            dataset,
            str(content["name"]),
            int(content["seed"]),
            dict(content["settings"]),
            [str(note) for note in content["notes"]],
            [str(name) for name in names],
            {
                part: {name: [str(item) for item in ids] for name, ids in classes.items()}
                for part, classes in members.items()
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is a damaged split: {error}") from None


def renamed(images: ImageSet, names: Sequence[str]) -> ImageSet:
    """The same items with labels that index `names`, which must hold every class that has items."""
    if images.names == list(names):
        return images
    position = {name: i for i, name in enumerate(names)}
    lacking = sorted({images.names[label] for label in images.labels} - set(position))
    if lacking:
        raise ValueError(f"names must hold the classes of every item, but lacks {', '.join(lacking[:10])}")
    return Relabelled(images, names, [position[images.names[label]] for label in images.labels])


class Relabelled(ImageSet):
    """The items of a set under other class names. labels: one for each item, index into names."""

    def __init__(self, images: ImageSet, names: Sequence[str], labels: Sequence[int] | np.ndarray):
        super().__init__(names, labels, images.ids, images.modality)
        self.images = images

    def load(self, i: int) -> np.ndarray:
        return self.images.load(i)

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        return self.images.picture(i, spec)

    @property
    def has_strokes(self) -> bool:
        return self.images.has_strokes

    def strokes(self, i: int) -> Strokes:
        return self.images.strokes(i)

    def _decode_all(self, spec: Preprocess, progress: bool, threads: int | None) -> np.ndarray:
        return self.images.resized(spec.size, spec, progress, threads)
