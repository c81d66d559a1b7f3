"""load_semi_supervised: labelled pairs of one category and photos that nobody drew, from disk or from the synthetic world."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from sketchfast.data.image_set import FileImageSet, ImageSet
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.layouts import class_key, find_layout
from sketchfast.data.load_instances import paired_files
from sketchfast.data.photo_folder import read_photo_folder
from sketchfast.data.qmul import load_qmul
from sketchfast.data.semi_supervised import SemiSupervisedSplit, refuse_undrawn
from sketchfast.data.unseen_classes import shared_classes

# Kept apart from the seed's other uses.
_TEST, _HELD_OUT = 5, 6


def load_semi_supervised(
    dataset: str,
    root: str | os.PathLike[str] | None = None,
    *,
    unlabelled: str | os.PathLike[str] | None = None,
    labelled_share: float = 1.0,
    held_out_share: float | None = None,
    seed: int = 0,
    progress: bool = True,
    **options: Any,
) -> SemiSupervisedSplit:
    """Photos of one category with sketches, in a training and a test part, and photos that nobody drew.

    dataset: "qmul", Shoe-V2 or Chair-V2 in any layout of docs/data.md, by the published halves. "folder", your own:
        `<root>/photo/<class>/<name>.*` and `<root>/sketch/<class>/<name>-<k>.*`. "synthetic".
    root: folder of the data set (not for "synthetic").
    unlabelled: folder of photos, in any sub-folders, for the first two; none for no such photos. See `read_photo_folder`.
    labelled_share: of the labelled training photos (`SemiSupervisedSplit.of_share`). held_out_share: of them, taken away first as
        `held_out`; not for "synthetic". Both are drawn with `seed`.
    Options of "folder": category, the class where there are several; test_share (0.2) of its photos, drawn with the seed, to test
    on. Of "synthetic": those of `synthetic.semi_supervised`.

    Sketches have strokes (`.train.sketches.has_strokes`) where the data set does: qmul's V2_Coordinate, .svg files, the synthetic
    world. With pictures alone the retrieval model can be trained, a generator cannot.
    Raises FileNotFoundError (wrong path or layout) and ValueError naming the item: a labelled photo without a sketch, a sketch
    without its photo, unreadable unlabelled photos; or naming the option that is unknown or out of range.
    """
    kind = dataset.strip().lower()
    if kind not in ("qmul", "folder", "synthetic"):
        raise ValueError(f"data set must be qmul, folder or synthetic, got {dataset!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    if held_out_share is not None and not 0 < held_out_share < 1:
        raise ValueError(f"held_out_share must be between 0 and 1, got {held_out_share}")
    if kind == "synthetic":
        return _synthetic(root, unlabelled, held_out_share, seed, options).of_share(labelled_share, seed)
    if root is None:
        raise ValueError(f"root must be the folder with {kind} data, got None")
    if kind == "qmul":
        if options:
            raise ValueError(f"qmul, whose halves are published, takes no {', '.join(options)}")
        pairs = load_qmul(root, strokes=True)
        refuse_undrawn(pairs.train, pairs.name)
    else:
        pairs = _folder(root, seed, **options)
    if held_out_share is not None:
        pairs = _hold_out(pairs, held_out_share, seed)
    if not pairs.train.sketches.has_strokes:
        pairs.notes.append("sketches are pictures without strokes: no generator can be trained on them")
    photos: ImageSet = FileImageSet(".", [], [], pairs.train.names, "photo")
    if unlabelled is not None:
        known = [part.photos for part in pairs.parts().values()]
        photos = read_photo_folder(unlabelled, pairs.train.names[0], known, pairs.notes, progress)
    pairs.settings |= {"seed": int(seed), "held_out_share": held_out_share}
    return SemiSupervisedSplit(pairs, photos).of_share(labelled_share, seed)


def _synthetic(
    root: Any, unlabelled: Any, held_out_share: float | None, seed: int, options: dict[str, Any]
) -> SemiSupervisedSplit:
    from sketchfast.data import synthetic

    for name, value in (("root", root), ("unlabelled", unlabelled), ("held_out_share", held_out_share)):
        if value is not None:
            raise ValueError(f"the synthetic world is made on the fly: it takes no {name}, got {value!r}")
    unknown = sorted(set(options) - set(synthetic.semi_supervised.__annotations__))
    if unknown:
        raise ValueError(f"the synthetic world has no option {', '.join(unknown)}")
    return synthetic.semi_supervised(seed=int(seed), **options)


def _folder(
    root: str | os.PathLike[str],
    seed: int,
    category: str | None = None,
    test_share: float = 0.2,
    **unknown: Any,
) -> InstanceSplit:
    if unknown:
        raise ValueError(f"folder takes category and test_share, not {', '.join(unknown)}")
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must be between 0 and 1, got {test_share}")
    found = find_layout("folder", root)
    classes = shared_classes(found)
    if category is None and len(classes) > 1:
        raise ValueError(
            f"{found.root} holds {len(classes)} classes, expected one: name it with category. There are "
            f"{', '.join(sorted(classes.values())[:10])}"
        )
    key = class_key(category) if category is not None else next(iter(classes))
    if key not in classes:
        raise ValueError(
            f"category {category!r} is not in {found.root}, which holds {', '.join(sorted(classes.values())[:10])}"
        )
    pairs, name = paired_files(found, [classes[key]]), f"folder/{classes[key]}, instances"
    refuse_undrawn(pairs, name)
    train, test = _two_parts(pairs, test_share, [seed, _TEST], f"{name}: test_share={test_share}")
    return InstanceSplit(
        name=name,
        dataset="folder",
        train=train,
        test=test,
        notes=[f"{found.title}; a share of {test_share:g} of its photos, drawn with seed {seed}, to test on"],
        settings={"category": classes[key], "test_share": test_share},
        shared_classes=True,
    )


def _hold_out(pairs: InstanceSplit, share: float, seed: int) -> InstanceSplit:
    train, held_out = _two_parts(
        pairs.train, share, [seed, _HELD_OUT], f"{pairs.name}: held_out_share={share}"
    )
    note = f"held out: {len(held_out.photos):,} training photos with their sketches, drawn with seed {seed}"
    return dataclasses.replace(pairs, train=train, held_out=held_out, notes=[*pairs.notes, note])


def _two_parts(pairs: PairedSet, share: float, seed: list[int], what: str) -> tuple[PairedSet, PairedSet]:
    """All but a random share of the photos, and that share, with their sketches."""
    count = len(pairs.photos)
    apart = max(round(share * count), 1)
    if count - apart < 2:
        raise ValueError(f"{what} of {count} photos leaves {count - apart} to train on, expected at least 2")
    order = np.random.default_rng(seed).permutation(count)
    return pairs.of_photos(np.sort(order[apart:])), pairs.of_photos(np.sort(order[:apart]))
