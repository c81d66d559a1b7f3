"""More sketches to learn traits from, beside those of a data set: drawings of QuickDraw, without categories to be tested on."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from sketchfast.data.classification import Relabelled, renamed
from sketchfast.data.cross_set import matched_names
from sketchfast.data.drawing_set import DrawingSet, drawing_files
from sketchfast.data.image_set import ImageSet
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.layouts import class_key

# Classes of QuickDraw that show what an unseen category is a kind of, or the reverse, under a name that is no other spelling.
_KINDS = {"seagull": ("bird",), "songbird": ("bird",), "tree": ("palm tree",), "cabin": ("house",)}


def with_drawings(
    sketches: ImageSet,
    folder: str | os.PathLike[str],
    unseen: Sequence[str],
    limit: int | None = None,
    canvas: int = 256,
) -> JoinedSet:
    """The sketches, then the drawings of a folder's <class>.ndjson files but those of unseen categories, under whatever name.

    Categories that both have become one; class names of the drawings that the sketches lack come after theirs. limit: the first
    drawings of each file, all when None. canvas: side at which they are drawn, pixels; drawn larger than they are used, their
    thin lines fade when they are shrunk. FileNotFoundError without such files, ValueError when nothing is left.
    """
    files = drawing_files(folder)
    # One unseen name at a time: of two that mean the same class, each must find it.
    barred = [other for name in unseen for other in (name, *_KINDS.get(class_key(name), ()))]
    dropped = {name for other in barred for name in matched_names(list(files), [other])}
    kept = {name: path for name, path in files.items() if name not in dropped}
    if not kept:
        raise ValueError(f"{folder}: every class of its drawings is an unseen category: {', '.join(files)}")
    drawings = DrawingSet(kept, limit, canvas)
    known = matched_names(drawings.names, sketches.names)
    names = sketches.names + [name for name in drawings.names if name not in known]
    label_of = np.array([names.index(known.get(name, name)) for name in drawings.names], np.int64)
    return JoinedSet([renamed(sketches, names), Relabelled(drawings, names, label_of[drawings.labels])])
