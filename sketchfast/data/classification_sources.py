"""What `load_classification` finds in each data set: all its sketches, which part takes which, and photos."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from sketchfast.data import spg
from sketchfast.data.class_folders import choose_classes, find_photos, find_sketches
from sketchfast.data.draw_split import Sizes, drawn_first
from sketchfast.data.drawing_set import DrawingSet, drawing_files
from sketchfast.data.image_set import FileImageSet, ImageSet

_Root = str | os.PathLike[str]
_Photos = str | os.PathLike[str] | None


@dataclass
class Found:
    """title: of the data set. members: part -> positions in sketches; called where a split is to be drawn, and may add notes."""

    title: str
    sketches: ImageSet
    members: Callable[[], dict[str, np.ndarray]]
    notes: list[str]
    photos: FileImageSet | None = None
    photo_maps: _Root | None = None  # None: Canny
    pairs: bool = False  # sketch X-1.png was drawn from photo X.jpg


def _folders(
    title: str, key: str, root: _Root, classes: Sequence[str] | None, photos: _Photos, seed: int, sizes: Sizes
) -> Found:
    sketches, where = find_sketches(key, root, classes)
    drawn = f"drawn with seed {seed}, each class by itself"
    return Found(
        title,
        sketches,
        lambda: sizes.draw(sketches, seed, str(root)),
        [where, drawn],
        photos=None if photos is None else find_photos(key, sketches),
        photo_maps=None if photos == "canny" else photos,
        pairs=key == "sketchy",
    )


def _read_classes(
    title: str,
    key: str,
    root: _Root,
    seed: int,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    validation_share: float = 0.2,
    classes: Sequence[str] | None = None,
    photos: _Photos = None,
) -> Found:
    sizes = Sizes(train_per_class, None, test_per_class, validation_share)
    return _folders(title, key, root, classes, photos, seed, sizes)


read_tu_berlin = partial(_read_classes, "TU-Berlin", "tu_berlin")
read_folder = partial(_read_classes, "folder", "folder")


def read_sketchy(
    root: _Root,
    seed: int,
    query_per_class: int = 200,
    validation_per_class: int = 50,
    train_per_class: int | None = None,
    classes: Sequence[str] | None = None,
    photos: _Photos = None,
) -> Found:
    names = ("train_per_class", "validation_per_class", "query_per_class")
    sizes = Sizes(train_per_class, validation_per_class, query_per_class, names=names)
    return _folders("Sketchy", "sketchy", root, classes, photos, seed, sizes)


def read_quickdraw(
    root: _Root,
    seed: int,
    train_per_class: int | None = None,
    test_per_class: int | None = None,
    validation_share: float = 0.2,
    drawings_per_class: int = 1000,
    classes: Sequence[str] | None = None,
    canvas: int = 256,
) -> Found:
    files = drawing_files(root)
    names = choose_classes(list(files), classes, str(root))
    sketches = DrawingSet({name: files[name] for name in names}, drawings_per_class, canvas)
    notes = [f"drawn with seed {seed}, each class by itself", f"strokes drawn on {canvas} pixels"]
    if sketches.truncated:
        notes.append(f"of {sketches.truncated} classes the first {drawings_per_class:,} drawings of the file")
    sizes = Sizes(train_per_class, None, test_per_class, validation_share)
    return Found("QuickDraw", sketches, lambda: sizes.draw(sketches, seed, str(root)), notes)


def read_spg(
    root: _Root,
    seed: int,
    train_per_class: int | None = None,
    classes: Sequence[str] | None = None,
    canvas: int = 256,
) -> Found:
    names = choose_classes(spg.spg_categories(root), classes, str(root))
    sketches = DrawingSet({name: Path(root) / f"{name}{spg.SUFFIX}" for name in names}, None, canvas)
    notes = [f"published splits by key_id; strokes drawn on {canvas} pixels"]
    if train_per_class is not None:
        notes.append(f"{train_per_class} of the training drawings of each class, drawn with seed {seed}")

    def members() -> dict[str, np.ndarray]:
        published = spg.read_splits(root)
        at = {item: i for i, item in enumerate(sketches.ids)}
        parts: dict[str, list[int]] = {split: [] for split in spg.SPLITS}
        for name in names:
            if name not in published:
                raise ValueError(f"{Path(root) / 'splits.json'} has no split of {name!r}")
            for split in spg.SPLITS:
                here = [at[f"{name}/{k}"] for k in published[name][split] if f"{name}/{k}" in at]
                if len(here) != spg.PUBLISHED[split]:
                    notes.append(
                        f"{name}: {split} has {len(here)} drawings of published {spg.PUBLISHED[split]}"
                    )
                parts[split] += here
        if train_per_class is not None:
            pool = sketches.subset(parts["train"])
            chosen = drawn_first(
                pool, train_per_class, seed, "train_per_class", f"{root}, published training drawings"
            )
            parts["train"] = [parts["train"][i] for i in chosen]
        return {
            part: np.array(parts[split], np.int64)
            for part, split in zip(("train", "validation", "test"), spg.SPLITS, strict=True)
        }

    return Found("SPG", sketches, members, notes)
