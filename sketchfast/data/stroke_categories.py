"""Sketches of one category with their strokes, and others of it held out: what a decoder without photos is trained on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchfast.data import synthetic
from sketchfast.data.image_set import ImageSet
from sketchfast.data.load_classification import load_classification
from sketchfast.data.qmul_strokes import StrokeSketches, read_coordinates
from sketchfast.data.spg import spg_categories

QMUL = {"chair-v2": "ChairV2_Coordinate", "shoe-v2": "ShoeV2_Coordinate"}


@dataclass(frozen=True)
class StrokeCategory:
    """train and held_out: sketches of one category whose strokes are known (`ImageSet.has_strokes`)."""

    name: str
    train: ImageSet
    held_out: ImageSet

    def summary(self) -> str:
        return f"{self.name}: {len(self.train):,} sketches to learn from, {len(self.held_out):,} held out"


def load_stroke_category(name: str, root: str | os.PathLike[str] | None = None) -> StrokeCategory:
    """name: "chair-v2" or "shoe-v2", the strokes of QMUL's data sets by their published halves; else a category of SPG, of which
    the published test drawings are held out; without `root` a category of the synthetic world.

    root: a folder that is, or that holds, the pickle {Chair,Shoe}V2_Coordinate or SPG's files (docs/data.md).
    Raises FileNotFoundError naming the folder and what was expected there, ValueError for an unknown category.
    """
    if root is None:
        made = synthetic.semi_supervised(category=name, unlabelled_photos=0, held_out_photos=50)
        assert made.held_out is not None
        return StrokeCategory(name, made.train.sketches, made.held_out.sketches)
    top = Path(root)
    if not top.is_dir():
        raise FileNotFoundError(f"root {top}: expected a folder with strokes, found none")
    places = [top, *sorted(path for path in top.iterdir() if path.is_dir())]
    if name in QMUL:
        files = [place / QMUL[name] for place in places if (place / QMUL[name]).is_file()]
        if not files:
            raise FileNotFoundError(
                f"{top}: expected {QMUL[name]}, in it or in a folder of it; found neither"
            )
        drawings, of = read_coordinates(files[0]), name.partition("-")[0]
        halves = [[item for item in drawings if item.startswith(f"{half}/")] for half in ("train", "test")]
        train, test = (
            StrokeSketches([drawings[item] for item in ids], ids, np.zeros(len(ids), np.int64), [of])
            for ids in halves
        )
        return StrokeCategory(name, train, test)
    found = [place for place in places if any(place.glob("*_raw.ndjson"))]
    if not found:
        raise FileNotFoundError(
            f"{top}: expected SPG's <category>_raw.ndjson, in it or in a folder of it; found none. {', '.join(QMUL)} are "
            "the names of QMUL's sketches"
        )
    if name not in (there := list(spg_categories(found[0]))):
        raise ValueError(
            f"{found[0]}: no category {name!r}; there are {', '.join(there)}, and {', '.join(QMUL)}"
        )
    # A split has at least two categories.
    other = next(category for category in there if category != name)
    split = load_classification("spg", found[0], classes=[name, other])
    own = [part.subset(np.flatnonzero(part.labels == 0)) for part in (split.train, split.test)]
    return StrokeCategory(name, *own)
