"""Part tables, PartSet and the synthetic parts."""

import numpy as np
import pytest

from sketchfast.data import load_parts
from sketchfast.data.part_set import MissingPartSet, PartSet, PartSplit, check_pair
from sketchfast.data.part_tables import (
    CORE_TO_PARTS,
    PARTS,
    PASCAL_PART_TO_PARTS,
    SUPER_CATEGORIES,
    SUPER_OF,
    core_part_id,
    num_labels,
    part_category,
    pascal_part_id,
    used_ids,
)
from sketchfast.data.synthetic import PART_NAMES, SKETCHPARSE


def test_ids_are_those_of_the_synthetic_world_and_of_cls2part() -> None:
    assert tuple(PARTS) == SKETCHPARSE
    assert {name: PART_NAMES[name] for name in SKETCHPARSE} == PARTS
    assert used_ids(PARTS["bird"]) == (0, 1, 3, 6, 7, 8)
    assert sorted(SUPER_OF) == sorted(PARTS)
    assert [num_labels(branch) for branch in SUPER_CATEGORIES] == [5, 5, 7, 5, 9]
    with pytest.raises(ValueError, match="branch: expected one of large_animals"):
        num_labels("fish")


def test_the_published_table_agrees(data_root) -> None:
    text = (data_root / "SketchParse" / "Cls2Part.m").read_text("latin-1")
    for category, names in PARTS.items():
        after = text.split(f"case '{category}'")[1].split("}")[0].split("{")[1]
        published = [name.strip().strip("'") for name in after.split(",")]
        assert [name.split(" 2")[0].split(" 4")[0].split(" 5")[0] for name in names] == published


def test_part_names_of_other_data_sets_lead_to_parts_of_the_category() -> None:
    for tables in (PASCAL_PART_TO_PARTS, CORE_TO_PARTS):
        for category, table in tables.items():
            assert set(table.values()) <= set(PARTS[category])
    assert pascal_part_id("horse", "lfuleg") == 3
    assert pascal_part_id("bus", "window_12") == 3
    assert pascal_part_id("aeroplane", "engine_2") == 4
    assert pascal_part_id("bird", "beak") == 6
    assert core_part_id("car", "row of windows") == 3
    with pytest.raises(ValueError, match=r"part_name: expected one of cat's parts head.*found 'lhorn'"):
        pascal_part_id("cat", "lhorn")
    with pytest.raises(ValueError, match=r"category: expected one of airplane.*found 'fish'"):
        part_category("fish")


class _Given(PartSet):
    def __init__(self, image: np.ndarray, mask: np.ndarray):
        super().__init__("given", {"cat": PARTS["cat"]}, [0], ["cat/1.png"])
        self.pair = image, mask

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self.pair


def test_load_refuses_what_does_not_fit() -> None:
    image = np.full((6, 5), 255, np.uint8)
    mask = np.zeros((6, 5), np.uint8)
    mask[0, 0], mask[1, 1] = 4, 255
    assert _Given(image, mask).load(0)[1] is mask
    with pytest.raises(
        ValueError, match=r"cat/1.png \(cat\): the mask must have the sketch's 5 x 6 pixels, found 6 x 5"
    ):
        _Given(image, mask.T.copy()).load(0)
    mask[2, 2] = 5
    with pytest.raises(
        ValueError, match=r"cat/1.png \(cat\): mask ids must be 0 .*4 tail or 255 .*found \[5\]"
    ):
        _Given(image, mask).load(0)
    with pytest.raises(ValueError, match=r"the sketch must be uint8 \[H, W\] .*found float64 \[6, 5\]"):
        check_pair(image / 1.0, mask, PARTS["cat"], "x")


def test_positions_and_labels_are_checked() -> None:
    items = _Given(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8))
    assert len(items.subset([0, 0])) == 2 and items.subset([0]).load(0)[0].shape == (2, 2)
    with pytest.raises(ValueError, match=r"indices must be 0..0, got 1..1"):
        items.subset([1])
    with pytest.raises(ValueError, match="categories: expected some of cat; found"):
        items.of_categories(["dog"])
    with pytest.raises(ValueError, match=r"labels must be 0..0 for 1 categories, got 3 for a"):
        PartSet("x", {"cat": PARTS["cat"]}, [3], ["a"])


def test_a_missing_half_speaks_when_used() -> None:
    missing = MissingPartSet("x", PARTS, "no sketches in there")
    split = PartSplit("x", missing, _Given(np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint8)))
    assert "training  not available: no sketches in there" in split.summary()
    for use in (lambda: len(missing), lambda: missing.load(0), lambda: missing.subset([0])):
        with pytest.raises(FileNotFoundError, match="no sketches in there"):
            use()


def test_synthetic_parts(seed: int) -> None:
    split = load_parts(
        "Synthetic", seed=seed, size=64, train_per_category=3, test_per_category=2, held_out_per_category=1
    )
    assert split.held_out is not None
    assert [len(split.train), len(split.held_out), len(split.test)] == [33, 11, 22]
    sides = [split.train, split.held_out, split.test]
    names = [{items.name_of(i).rsplit("-d")[0] for i in range(len(items))} for items in sides]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
    drawers = [{int(items.name_of(i).rsplit("-d")[1]) for i in range(len(items))} for items in sides]
    assert max(drawers[0]) < 48 <= min(drawers[1] | drawers[2])
    for i in range(len(split.test)):
        image, mask = split.test.load(i)
        assert image.shape == mask.shape == (64, 64) and image.min() < 128 < image.max()
        assert set(np.unique(mask)) <= set(used_ids(PARTS[split.test.category_of(i)]))
    again = load_parts("synthetic", seed=seed, size=64, train_per_category=3, held_out_per_category=1)
    assert np.array_equal(again.train.load(7)[0], split.train.load(7)[0])
    assert split.test.of_categories(["cow", "bird"]).counts()["cow"] == 2


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match="data set must be one of synthetic, sketchparse"):
        load_parts("ade20k")
    with pytest.raises(ValueError, match="root must be the folder with spg data, got None"):
        load_parts("spg")
    with pytest.raises(ValueError, match="takes no root"):
        load_parts("synthetic", "somewhere")
    with pytest.raises(ValueError, match="train_per_category: expected at least 1, found 0"):
        load_parts("synthetic", train_per_category=0)
    with pytest.raises(ValueError, match="categories: expected different ones of"):
        load_parts("synthetic", categories=["unicorn"])
