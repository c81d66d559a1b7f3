"""Classes that two data sets share, under whatever name, and the labels that follow."""

import numpy as np
import pytest

from sketchfast.data import ImageSet
from sketchfast.data.cross_set import ALIASES, matched_names, overlapping
from sketchfast.data.layouts import class_key


class Numbered(ImageSet):
    def load(self, i):
        return np.full((8, 8, 3), i, np.uint8)


def test_names_match_by_spelling_first_then_by_alias():
    theirs = ["motorbike", "car", "teddy-bear", "hot air balloon", "zebra", "tennis racquet"]
    ours = ["car_(sedan)", "hot-air_balloon", "motorcycle", "racket", "teddy_bear", "pistol"]
    assert matched_names(theirs, ours) == {
        "motorbike": "motorcycle",
        "car": "car_(sedan)",
        "teddy-bear": "teddy_bear",
        "hot air balloon": "hot-air_balloon",
        "tennis racquet": "racket",
    }
    assert matched_names(["plane", "airplane"], ["airplane"]) == {"airplane": "airplane"}
    assert matched_names(["plane", "aeroplane"], ["airplane"]) == {"plane": "airplane"}  # each of ours once


def test_no_name_means_two_things():
    keys = [class_key(name) for group in ALIASES for name in group]
    assert len(set(keys)) == len(keys)


def test_labels_index_our_names(seed):
    random = np.random.default_rng(seed)
    theirs = ["bell", "motorbike", "cat"]
    images = Numbered(theirs, random.integers(0, 3, 40), [f"x{i}" for i in range(40)], "sketch")
    ours = ["dog", "cat", "motorcycle", "bus"]
    found = overlapping(images, ours)
    kept = np.flatnonzero(images.labels > 0)
    assert found.names == ours and found.ids == [images.ids[i] for i in kept] and found.modality == "sketch"
    assert found.labels.tolist() == [{1: 2, 2: 1}[int(images.labels[i])] for i in kept]
    assert found.matched == {"motorbike": "motorcycle", "cat": "cat"} and found.unmatched == ["bell"]
    assert found.load(3)[0, 0, 0] == kept[3]
    assert found.resized(4, progress=False)[:, 0, 0, 0].tolist() == kept.tolist()
    assert (
        found.describe() == "2 of 3 classes are among the 4 known; taken for the same: motorbike = motorcycle"
    )
    with pytest.raises(ValueError, match="none of bus, key"):
        overlapping(images, ["bus", "key"])


def test_real_names(data_root):
    quickdraw = [path.stem for path in data_root.glob("QuickDraw/*.ndjson")]
    sketchy = [path.name for path in data_root.glob("Sketchy/256x256/sketch/*/*")]
    spg = [path.name.removesuffix("_raw.ndjson") for path in data_root.glob("SPG/*_raw.ndjson")]
    if not (quickdraw and sketchy and spg):
        pytest.skip(f"no QuickDraw, Sketchy and SPG in {data_root}")
    assert len(matched_names(sketchy, quickdraw)) == 98
    assert len(matched_names(spg, sketchy)) == 10
    assert len(matched_names(spg, quickdraw)) == len(spg) == 20
