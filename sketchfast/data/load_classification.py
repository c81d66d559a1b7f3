"""load_classification: from a data set on disk, or the synthetic world, to a ClassificationSplit."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sketchfast.data import classification_sources as sources
from sketchfast.data import synthetic
from sketchfast.data.classification import ClassificationSplit, SavedSplit, read_split
from sketchfast.data.classification_sources import Found
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.image_set import ImageSet
from sketchfast.data.layouts import dataset_name

_Root = str | os.PathLike[str]
_READERS: dict[str, Callable[..., Any]] = {
    "synthetic": synthetic.classification,
    "tu_berlin": sources.read_tu_berlin,
    "sketchy": sources.read_sketchy,
    "quickdraw": sources.read_quickdraw,
    "spg": sources.read_spg,
    "folder": sources.read_folder,
}
CLASSIFICATION_DATA_SETS = tuple(_READERS)
# Options that say how items look, not which belong to a split.
_LOOKS = ("photos", "canvas")


def load_classification(
    dataset: str,
    root: _Root | None = None,
    *,
    seed: int = 0,
    split_file: _Root | None = None,
    **options: Any,
) -> ClassificationSplit:
    """Sketches to classify: "synthetic", "tu_berlin", "sketchy", "quickdraw", "spg" or "folder".

    root: the data set's folder (not for "synthetic"). seed: of every random choice.
    split_file: a split that `ClassificationSplit.save` wrote, instead of drawing one; of the options below, those that
        say which items belong to it are then refused. Every item of it must be there.
    Options; None means the default:
        classes: names, in this order; all classes by default.
        tu_berlin, folder, quickdraw: train_per_class (paper 2: 8 to 64 of TU-Berlin's 80; the rest tests), test_per_class
            (default without either: a fifth of each class), validation_share (0.2) of the training sketches.
        sketchy: query_per_class (200), validation_per_class (50), train_per_class (the rest).
        spg: the published split by key_id; train_per_class takes some of its training drawings.
        quickdraw: drawings_per_class (1,000), the first of each file. quickdraw, spg: canvas (256), pixels of a side.
        synthetic: those of `sketchfast.data.synthetic.classification`.
        photos (tu_berlin, folder, sketchy, synthetic): None; "canny"; or a folder of edge maps, see `EdgeMaps`.

    Raises FileNotFoundError (wrong path or layout, listed items that are missing) and ValueError (an option that the data
    set does not have, classes that are unknown, empty or too small for the sizes, ...), each naming the thing.
    """
    key = classification_data_set(dataset)
    options = {name: value for name, value in options.items() if value is not None}
    parameters = inspect.signature(_READERS[key]).parameters
    defaults = {name: one.default for name, one in parameters.items() if name not in ("root", "seed")}
    unknown = [name for name in options if name not in defaults]
    if unknown:
        raise ValueError(f"{key} takes the options {', '.join(defaults)}; got {', '.join(unknown)}")
    saved = None if split_file is None else read_split(split_file, key)
    if saved is not None:
        fixed = sorted(set(options) - set(_LOOKS))
        if fixed:
            raise ValueError(f"{saved.path} says which items are whose: leave out {', '.join(fixed)}")
        foreign = sorted(set(saved.settings) - set(defaults))
        if foreign:
            raise ValueError(
                f"{saved.path} is a damaged split: {key} has no settings {', '.join(foreign)}, expected some of "
                f"{', '.join(defaults)}"
            )
        options = {**saved.settings, **options, "classes": saved.names}
        seed = saved.seed
    if key == "synthetic":
        if root is not None:
            raise ValueError(f"the synthetic world is made on the fly: it takes no root, got {root}")
        return _synthetic(seed, options, saved)
    if root is None:
        raise ValueError(f"root must be the folder with {key} data, got None")
    settings = {
        name: value
        for name, value in {**defaults, **options}.items()
        if name not in ("classes", "photos") and value is not None
    }
    return _split(key, _READERS[key](root, seed=seed, **options), settings, seed, saved)


def options_of(dataset: str) -> tuple[str, ...]:
    """The options that `load_classification` takes for a data set."""
    parameters = inspect.signature(_READERS[classification_data_set(dataset)]).parameters
    return tuple(name for name in parameters if name not in ("root", "seed"))


def classification_data_set(name: str) -> str:
    """The canonical name; "TU-Berlin" and the like are understood. ValueError for any other."""
    key = name.strip().lower()
    if key in _READERS:
        return key
    try:
        key = dataset_name(name)
    except ValueError:
        raise ValueError(f"data set must be one of {', '.join(_READERS)}, got {name!r}") from None
    return key


def _split(
    key: str, found: Found, settings: dict[str, Any], seed: int, saved: SavedSplit | None
) -> ClassificationSplit:
    if saved is None:
        sketches = {part: found.sketches.subset(indices) for part, indices in found.members().items()}
        notes = list(found.notes)
    else:
        sketches = {part: saved.pick(part, found.sketches) for part in ("train", "validation", "test")}
        notes = [*saved.notes, f"split read from {saved.path.name}"]
    return ClassificationSplit(
        name=found.title,
        dataset=key,
        **sketches,
        **_photos(found, sketches, notes, saved),
        seed=seed,
        settings=settings,
        notes=notes,
    )


def _photos(
    found: Found, sketches: dict[str, ImageSet], notes: list[str], saved: SavedSplit | None
) -> dict[str, ImageSet]:
    """Edge maps to be searched and to train on; nothing where no photos were asked for."""
    if found.photos is None:
        return {}
    files: ImageSet = found.photos
    said = [f"edge maps of photos: {'Canny' if found.photo_maps is None else 'read from a folder'}"]
    said.append("all photos are searched, those to train on too")
    if saved is not None and "photos" in saved.members:
        files = saved.pick("photos", files)
        at = {item: i for i, item in enumerate(files.ids)}
        training = [at[item] for item in saved.pick("train_photos", files).ids]
    elif found.pairs:
        drawn = {
            (images.names[label], Path(item).stem.rpartition("-")[0])
            for images in (sketches["validation"], sketches["test"])
            for item, label in zip(images.ids, images.labels.tolist(), strict=True)
        }
        items = zip(files.ids, files.labels.tolist(), strict=True)
        keys = [(files.names[label], Path(item).stem) for item, label in items]
        training = [i for i, key in enumerate(keys) if key not in drawn]
        said.append("photos to train on: those that no validation or test sketch was drawn from")
    else:
        training = list(range(len(files)))
    notes += [note for note in said if note not in notes]
    maps = EdgeMaps(files, found.photo_maps)
    return {"photos": maps, "train_photos": maps.subset(training)}


def _synthetic(seed: int, options: dict[str, Any], saved: SavedSplit | None) -> ClassificationSplit:
    split = synthetic.classification(seed, **options)
    if saved is not None:
        for part in ("train", "validation", "test"):
            made = split.parts()[part]
            listed = saved.pick(part, made)
            if len(listed) != len(made):
                raise ValueError(
                    f"{saved.path}: its settings make {len(made)} items of {part}, but it lists {len(listed)}"
                )
    return split
