"""load_classification: who is in which part, the saved form, and what is said about data that does not fit."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchfast.data import ClassificationSplit, load_classification
from sketchfast.data.classification import Relabelled, read_split
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.strokes import draw, read_ndjson

CLASSES = ("alarm clock", "car (sedan)", "cat")
SKETCHES = ("train", "validation", "test")


def scribble(random):
    picture = Image.new("L", (40, 36), 255)
    ImageDraw.Draw(picture).line(random.integers(2, 34, 8).tolist(), fill=0, width=2)
    return picture


def folders(root, place="png", count=10, classes=CLASSES, seed=0):
    random = np.random.default_rng(seed)
    for name in classes:
        (root / place / name).mkdir(parents=True)
        for k in range(count):
            scribble(random).save(root / place / name / f"{k}.png")
    return root


def ids(split):
    return {part: set(split.parts()[part].ids) for part in SKETCHES}


def drawings(path, count, seed=0, labelled=False, first=0):
    random = np.random.default_rng(seed)
    lines = []
    for k in range(count):
        strokes = [
            random.integers(0, 255, (2, 5)).tolist() + ([[0] * 5] if labelled else []) for _ in range(2)
        ]
        lines.append(json.dumps({"key_id": str(first + k), "drawing": strokes}))
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def tu_berlin(tmp_path, seed):
    return folders(tmp_path / "TU", count=20, seed=seed)


def test_sizes_are_as_asked_and_parts_are_disjoint(tu_berlin, seed):
    for train in (5, 10, 19):
        split = load_classification("TU-Berlin", tu_berlin, train_per_class=train, seed=seed)
        assert split.names == sorted(CLASSES) and split.dataset == "tu_berlin"
        counts = {part: np.bincount(images.labels).tolist() for part, images in split.parts().items()}
        held = round(0.2 * train)
        assert counts == {"train": [train - held] * 3, "validation": [held] * 3, "test": [20 - train] * 3}
        assert len(set.union(*ids(split).values())) == 60
        assert all(split.names[k] in item for k, item in zip(split.test.labels, split.test.ids, strict=True))
    default = load_classification("tu_berlin", tu_berlin)
    assert [len(part) for part in default.parts().values()] == [39, 9, 12]
    plain = load_classification(
        "tu_berlin", tu_berlin, validation_share=0, train_per_class=4, test_per_class=6
    )
    assert [len(part) for part in plain.parts().values()] == [12, 0, 18]


def test_draws_are_nested_repeatable_and_each_class_its_own(tu_berlin, seed):
    def load(**options):
        return ids(load_classification("tu_berlin", tu_berlin, seed=seed, **options))

    small, large = load(train_per_class=5, test_per_class=4), load(train_per_class=15, test_per_class=4)
    assert small == load(train_per_class=5, test_per_class=4)
    assert small["train"] | small["validation"] < large["train"] | large["validation"]
    assert small["test"] == large["test"]
    alone = load(train_per_class=5, test_per_class=4, classes=["cat"])
    assert alone["train"] == {item for item in small["train"] if "/cat/" in item}
    other = ids(
        load_classification("tu_berlin", tu_berlin, train_per_class=5, test_per_class=4, seed=seed + 1)
    )
    assert other["train"] != small["train"]


def test_classes_come_in_the_order_asked(tu_berlin):
    split = load_classification("tu_berlin", tu_berlin, classes=["Cat", "alarm_clock"])
    assert split.names == ["cat", "alarm clock"]
    assert all(f"/{split.names[k]}/" in i for i, k in zip(split.train.ids, split.train.labels, strict=True))
    with pytest.raises(ValueError, match="does not have dog; it has alarm clock"):
        load_classification("tu_berlin", tu_berlin, classes=["cat", "dog"])
    with pytest.raises(ValueError, match="classes must be different names"):
        load_classification("tu_berlin", tu_berlin, classes=["cat", "Cat"])


@pytest.mark.parametrize(
    ("dataset", "place"),
    [("tu_berlin", "png_ready"), ("tu_berlin", "TUBerlin/png"), ("tu_berlin", "."), ("folder", "."), ("folder", "sketch"),
     ("sketchy", "256x256/sketch/tx_000000000000_ready")],
)  # fmt: skip
def test_layouts(tmp_path, dataset, place):
    folders(tmp_path, place)
    options = {"query_per_class": 3, "validation_per_class": 2} if dataset == "sketchy" else {}
    split = load_classification(dataset, tmp_path, **options)
    assert sum(len(part) for part in split.parts().values()) == 30
    pixels = split.train.resized(16, progress=False)
    assert pixels.shape == (len(split.train), 16, 16, 3)
    if options:
        assert [len(part) for part in split.parts().values()] == [15, 6, 9]


def test_svg_strokes_are_drawn(tmp_path):
    for name in CLASSES:
        (tmp_path / "svg" / name).mkdir(parents=True)
        for k in range(5):
            (tmp_path / "svg" / name / f"{k}.svg").write_text(
                f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="800"><g fill="none" transform="scale(2)">'
                f'<path d="M 10 20 C 40 {k * 30} 200 5 {300 + k} 200"/></g></svg>'
            )
    split = load_classification("tu_berlin", tmp_path)
    image = split.test.load(0)
    assert image.shape == (256, 256, 3) and 0 < (image[:, :, 0] < 128).mean() < 0.1


def test_too_few_sketches_are_told_with_what_would_fit(tmp_path):
    folders(tmp_path, "256x256/sketch/tx_000000000000_ready", 10)
    for k in range(4):
        (tmp_path / "256x256/sketch/tx_000000000000_ready/cat" / f"{k}.png").unlink()
    with pytest.raises(
        ValueError, match=r"3 of 3 classes have fewer than the 251 .* cat 6, alarm clock 10"
    ) as error:
        load_classification("sketchy", tmp_path)
    assert "validation_per_class + query_per_class of at most 5 would fit" in str(error.value)
    with pytest.raises(ValueError, match=r"1 of 3 classes .* the 8 sketches .* cat 6\."):
        load_classification("sketchy", tmp_path, query_per_class=5, validation_per_class=2)
    load_classification("sketchy", tmp_path, query_per_class=4, validation_per_class=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train_per_class": 0}, "train_per_class must be a whole number of at least 1, got 0"),
        ({"train_per_class": 2.5}, "train_per_class must be a whole number"),
        ({"train_per_class": 1}, "train_per_class=1 leaves nothing"),
        ({"validation_share": 1.0}, "validation_share must be from 0 to below 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"query_per_class": 3}, "tu_berlin takes the options train_per_class, .*; got query_per_class"),
        ({"photos": "canny"}, "holds no photos of TU-Berlin"),
    ],
)
def test_bad_options_are_named(tu_berlin, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_classification("tu_berlin", tu_berlin, **options)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_classification("folder", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="found an empty folder"):
        load_classification("folder", tmp_path)
    with pytest.raises(ValueError, match="data set must be one of synthetic, tu_berlin"):
        load_classification("mnist", tmp_path)
    with pytest.raises(ValueError, match="takes no root"):
        load_classification("synthetic", tmp_path)
    with pytest.raises(ValueError, match="root must be the folder"):
        load_classification("spg")
    root = folders(tmp_path, "sketch", 5)
    for name in ("dog", "owl"):
        (root / "sketch" / name).mkdir()
    (root / "sketch/owl/notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match="2 of 5 class folders hold no sketch: dog, owl"):
        load_classification("folder", root)
    (root / "sketch/Cat").mkdir()
    with pytest.raises(ValueError, match="'Cat', 'cat' differ only in case"):
        load_classification("folder", root)


def test_blank_sketches_stay_and_broken_ones_are_named(tmp_path, seed):
    root = folders(tmp_path, count=5, seed=seed)
    for k in range(5):
        Image.new("L", (30, 30), 255).save(root / "png/cat" / f"{k}.png")
    split = load_classification("tu_berlin", root)
    blank = split.count_blank(32, Preprocess(ink_margin=0.1))
    assert {part: len(found) for part, found in blank.items()} == {"train": 3, "validation": 1, "test": 1}
    split.count_blank(32)
    assert sum("are blank" in note for note in split.notes) == 3 and "1 of 3 are blank" in split.summary()
    (root / "png/cat/0.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(ValueError, match=r"1 of \d+ sketches cannot be decoded:\n .*cat/0\.png"):
        load_classification("tu_berlin", root).count_blank(32)


def test_a_saved_split_comes_back(tu_berlin, tmp_path, seed):
    split = load_classification(
        "tu_berlin", tu_berlin, train_per_class=10, seed=seed, classes=["cat", "alarm clock"]
    )
    path = tmp_path / "split.json"
    split.save(path)
    again = load_classification("tu_berlin", tu_berlin, split_file=path)
    assert again.names == split.names and again.seed == seed and again.settings == split.settings
    for part in SKETCHES:
        one, two = again.parts()[part], split.parts()[part]
        assert one.ids == two.ids and np.array_equal(one.labels, two.labels)
    again.save(tmp_path / "again.json")
    stored = [json.loads((tmp_path / name).read_text()) for name in ("split.json", "again.json")]
    assert stored[0]["parts"] == stored[1]["parts"]
    assert stored[0]["sizes"] == {"train": 16, "validation": 4, "test": 20}
    saved = read_split(path, "tu_berlin")
    assert saved.differences(split) == saved.differences(again) == []
    other = load_classification("tu_berlin", tu_berlin, train_per_class=8, seed=seed + 1)
    assert saved.differences(other) == [
        f"seed: {seed} there, {seed + 1} now",
        "train_per_class: 10 there, 8 now",
        "classes: 2 there, 3 now, or in another order",
        "other images in test, train, validation",
    ]


def test_saved_splits_that_do_not_fit(tu_berlin, tmp_path):
    path = tmp_path / "split.json"
    load_classification("tu_berlin", tu_berlin).save(path)
    content = json.loads(path.read_text())

    def load(**changes):
        path.write_text(json.dumps({**content, **changes}))
        return load_classification("tu_berlin", tu_berlin, split_file=path)

    with pytest.raises(ValueError, match="says which items are whose: leave out train_per_class"):
        load_classification("tu_berlin", tu_berlin, split_file=path, train_per_class=8)
    with pytest.raises(ValueError, match="is a split of 'tu_berlin', not of 'folder'"):
        load_classification("folder", tu_berlin, split_file=path)
    with pytest.raises(ValueError, match="expected the kind"):
        load(kind="something else")
    with pytest.raises(ValueError, match="damaged split: 'parts'"):
        load_classification("tu_berlin", tu_berlin, split_file=_without(path, content, "parts"))
    parts = content["parts"]
    with pytest.raises(ValueError, match="test lists classes that `names` does not: dog"):
        load(parts={**parts, "test": {"dog": ["png/dog/1.png"]}})
    with pytest.raises(ValueError, match="does not have dog"):
        load(names=["alarm clock", "car (sedan)", "cat", "dog"])
    with pytest.raises(
        ValueError, match=r"png/cat/\d+.png is listed under 'alarm clock', but its class is 'cat'"
    ):
        load(parts={**parts, "test": {"alarm clock": parts["test"]["cat"]}})
    with pytest.raises(ValueError, match=r"is in train and in test"):
        load(parts={**parts, "test": parts["train"]})
    with pytest.raises(ValueError, match=r"split.json is a damaged split: tu_berlin has no settings colour"):
        load(settings={"colour": "red"})
    for part in ("train", "test"):
        with pytest.raises(ValueError, match=f"split.json is a damaged split: {part} lists no sketches"):
            load(parts={**parts, part: {"cat": []}})
    load()
    (tu_berlin / parts["test"]["cat"][0]).unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 of 12 items of test are not in the data set, e\.g\. png/cat"
    ):
        load()
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_classification("tu_berlin", tu_berlin, split_file=tmp_path / "none.json")
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_classification("tu_berlin", tu_berlin, split_file=path)


def _without(path, content, key):
    path.write_text(json.dumps({name: value for name, value in content.items() if name != key}))
    return path


def test_quickdraw_files(tmp_path, seed):
    for k, name in enumerate(("t-shirt", "cell phone", "cat")):
        drawings(tmp_path / f"{'full_simplified_' if k else ''}{name}.ndjson", 30, seed + k, first=100 * k)
    split = load_classification("quickdraw", tmp_path, train_per_class=10, canvas=64, drawings_per_class=20)
    assert split.names == ["cat", "cell phone", "t-shirt"] and "of 3 classes the first 20" in split.summary()
    assert [len(part) for part in split.parts().values()] == [24, 6, 30]
    for i in (0, 29):
        name, key = split.test.ids[i].split("/")
        prefix = "" if name == "t-shirt" else "full_simplified_"
        strokes = read_ndjson(tmp_path / f"{prefix}{name}.ndjson", int(key) % 100)
        assert np.array_equal(split.test.load(i), draw(strokes, 64))
    split.save(tmp_path / "split.json")
    again = load_classification("quickdraw", tmp_path, split_file=tmp_path / "split.json")
    assert again.test.ids == split.test.ids and np.array_equal(again.test.load(3), split.test.load(3))
    with pytest.raises(FileNotFoundError, match=r"holds no <class>\.ndjson files; found x"):
        (tmp_path / "other/x").mkdir(parents=True)
        load_classification("quickdraw", tmp_path / "other")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"drawing": []}', 'line 6: no "key_id"'),
        (b'{"key_id": "3", "drawing": [[[1, 2], [3, 4]]]}', "line 6: key_id 3 is that of an earlier"),
        (b'{"key_id": "77", "drawing": [[[1, 2], [3]]]}', "77: .*drawing 77, stroke 0: xs and ys"),
        (b'{"key_id": "77", "drawing": [', "77: .*not JSON"),
    ],
)
def test_broken_drawings_are_named(tmp_path, line, message):
    for name in ("cat", "dog"):
        drawings(tmp_path / f"{name}.ndjson", 5)
    with (tmp_path / "dog.ndjson").open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(ValueError, match=message):
        split = load_classification("quickdraw", tmp_path)
        for part in split.parts().values():
            part.resized(16, progress=False)


def test_spg_keeps_the_published_split(tmp_path, seed):
    splits = {}
    for k, name in enumerate(("crab", "ant")):
        drawings(tmp_path / f"{name}_raw.ndjson", 12, seed + k, labelled=True)
        order = np.random.default_rng(seed + k).permutation(12).astype(str).tolist()
        splits[name] = {"train": order[:6], "valid": order[6:8], "test": order[8:]}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    split = load_classification("spg", tmp_path)
    for part, name in zip(SKETCHES, ("train", "valid", "test"), strict=True):
        assert ids(split)[part] == {f"{c}/{key}" for c in splits for key in splits[c][name]}
    assert "ant: train has 6 drawings of published 650" in split.notes
    some = load_classification("spg", tmp_path, train_per_class=3, seed=seed)
    assert ids(some)["test"] == ids(split)["test"] and ids(some)["train"] < ids(split)["train"]
    assert np.bincount(some.train.labels).tolist() == [3, 3]
    with pytest.raises(
        ValueError, match="2 of 2 classes have fewer than train_per_class=7: ant 6, crab 6; at most 6"
    ):
        load_classification("spg", tmp_path, train_per_class=7)


def test_synthetic_parts_share_neither_instances_nor_drawers(seed, tmp_path):
    options = {
        "train_per_class": 6,
        "validation_per_class": 3,
        "test_per_class": 2,
        "size": 32,
        "classes": ("cat", "key", "bus"),
    }
    split = load_classification("synthetic", seed=seed, photos="canny", photos_per_class=2, **options)
    drawers = {part: set(split.parts()[part].drawers) for part in SKETCHES}
    things = {part: {item.rpartition("-d")[0] for item in split.parts()[part].ids} for part in SKETCHES}
    for one, two in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not drawers[one] & drawers[two] and not things[one] & things[two]
    assert split.names == ["cat", "key", "bus"] and len(split.photos) == 6
    assert set(split.train_photos.ids) == things["train"] and not set(split.photos.ids) & set.union(
        *things.values()
    )
    other = load_classification("synthetic", seed=seed, **{**options, "train_per_class": 2})
    assert other.test.ids == split.test.ids and other.validation.ids == split.validation.ids
    assert other.photos is None and len(load_classification("synthetic", train_per_class=2).names) == 42
    split.save(tmp_path / "s.json")
    again = load_classification("synthetic", split_file=tmp_path / "s.json")
    assert again.to_dict()["parts"] == {part: split.to_dict()["parts"][part] for part in SKETCHES}
    assert np.array_equal(again.train.load(4), split.train.load(4))
    with pytest.raises(ValueError, match='must be None or "canny"'):
        load_classification("synthetic", photos="maps")
    with pytest.raises(ValueError, match="test_per_class: expected 1 to"):
        load_classification("synthetic", test_per_class=0)


def test_a_split_that_does_not_fit_together(tu_berlin):
    split = load_classification("tu_berlin", tu_berlin)
    fields = {"name": "x", "dataset": "x", "train": split.train, "validation": split.validation}
    with pytest.raises(ValueError, match="is in train and in test"):
        ClassificationSplit(**fields, test=split.train.subset([3]))
    with pytest.raises(ValueError, match="is twice in test"):
        ClassificationSplit(**fields, test=split.test.subset([3, 3]))
    with pytest.raises(ValueError, match="x: test has no sketches"):
        ClassificationSplit(**fields, test=split.test.subset([]))
    with pytest.raises(ValueError, match="test must have the class names"):
        ClassificationSplit(**fields, test=Relabelled(split.test, ["a", "b", "c"], split.test.labels))


def test_real_sets(data_root):
    if not (data_root / "Sketchy").is_dir():
        pytest.skip(f"no Sketchy in {data_root}")
    split = load_classification(
        "sketchy", data_root / "Sketchy", query_per_class=5, validation_per_class=3, photos="canny"
    )
    assert len(split.names) == 125 and min(len(part) for part in split.parts().values()) >= 375
    ink = (split.photos.load(0) == 0).mean()
    assert 0.005 < ink < 0.2 and split.train.load(0).shape == (256, 256, 3)
    for name, classes in (("quickdraw", "QuickDraw"), ("spg", "SPG")):
        if (data_root / classes).is_dir():
            drawn = load_classification(name, data_root / classes)
            assert 0.005 < (drawn.test.load(7) < 128).mean() < 0.3
