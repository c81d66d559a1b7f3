"""SketchParse and SPG in their published layouts, made here; and the real ones where they are."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sketchfast.data import load_parts
from sketchfast.data.check import check
from sketchfast.data.part_tables import PARTS
from sketchfast.data.sketchparse import LISTS, load_aligned, read_mask, read_training_lists
from sketchfast.data.spg import draw_stroke_map, read_part_names, read_spg

ROTATIONS = ("n30", "n20", "n10", "p0", "p10", "p20", "p30")


def _pair(sketch: Path, mask: Path, ids: int, size: int = 33) -> None:
    rng = np.random.default_rng(ids + len(mask.name))
    for path in (sketch, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size, size), 255, np.uint8)
    row = int(rng.integers(5, 25))
    image[row : row + 2, 3:30] = 0
    Image.fromarray(image).save(sketch)
    labels = np.zeros((33, 33), np.uint8)
    labels[row : row + 5, 3:30] = ids
    Image.fromarray(labels).save(mask)


def _items(source: str) -> list[str]:
    return [f"{source}(r,{m}{r})" for r in ROTATIONS for m in ("", "m,")]


@pytest.fixture
def sketchparse(tmp_path: Path) -> Path:
    for category in PARTS:
        for name in ("39.png", "n01_5-2.png"):
            _pair(tmp_path / "PNG_untouched" / category / name, tmp_path / "test_GT" / category / name, 1)
    (tmp_path / "lists").mkdir()
    for number, (file, categories) in enumerate(LISTS.items()):
        sources = [f"{year}_0000{number}{k}-1" for k, _ in enumerate(categories) for year in (2008, 2010)]
        if file == "train_bus_car.txt":
            sources.append("n02924116_77")
        lines = [line for source in sources for line in _items(source)]
        (tmp_path / "lists" / file).write_text(
            "\n".join(lines + lines[:14]) + "\n"
        )  # as published, some twice
        for line in lines:
            _pair(
                tmp_path / "train_sketches" / f"{line}.png", tmp_path / "train_sketch_GT" / f"{line}.png", 1
            )
    return tmp_path


def test_sketchparse_as_published(sketchparse: Path) -> None:
    split = load_parts("SketchParse", sketchparse)
    assert len(split.test) == 22 and split.test.counts()["bus"] == 2
    # Two objects a category, each once: the file that is neither turned nor mirrored.
    assert split.train.counts() == {name: 2 + (name == "bus") for name in PARTS}
    assert all(split.train.name_of(i).endswith("(r,p0).png") for i in range(len(split.train)))
    image, mask = split.train.load(0)
    assert image.shape == mask.shape == (33, 33) and (mask[image == 0] == 1).all()
    assert len(load_parts("sketchparse", sketchparse, augmented=True).train) == 14 * len(split.train)
    items = read_training_lists(sketchparse)
    assert {(item.rotation, item.mirror) for item in items} == {
        (r, m) for r in range(-30, 31, 10) for m in (0, 1)
    }
    report = check("sketchparse", sketchparse, progress=False)
    assert report.ok and report.counts["test pairs"]["files"] == 22, str(report)


def test_sketchparse_trouble_is_named(sketchparse: Path) -> None:
    (sketchparse / "PNG_untouched" / "cow" / "39.png").unlink()
    Image.fromarray(np.full((33, 33), 255, np.uint8)).save(sketchparse / "PNG_untouched" / "dog" / "39.png")
    _pair(sketchparse / "PNG_untouched/cat/39.png", sketchparse / "test_GT/cat/39.png", 1, size=40)
    _pair(sketchparse / "PNG_untouched/bird/39.png", sketchparse / "test_GT/bird/39.png", 4)
    _pair(sketchparse / "PNG_untouched/car/39.png", sketchparse / "test_GT/car/39.png", 9)
    (sketchparse / "test_GT" / "bus" / "39.png").write_bytes(b"\x89PNG nonsense")
    split = load_parts("sketchparse", sketchparse)
    with pytest.raises(FileNotFoundError, match=r"1 of 22 masks have no sketch .*test_GT/cow/39.png"):
        len(split.test)
    assert len(split.train) == 23
    text = str(check("sketchparse", sketchparse, progress=False))
    for line in (
        "error: mask without sketch: 1 of 22 test masks: test_GT/cow/39.png",
        "warning: blank: test sketches without ink: test_GT/dog/39.png",
        "warning: unused ids: test masks with ids of no part: test_GT/bird/39.png (ids [4])",
        "test_GT/cat/39.png (cat): the mask must have the sketch's 40 x 40 pixels, found 33 x 33",
        "test_GT/car/39.png (car): mask ids must be 0 (background), 1 body, 2 mirror",
    ):
        assert line in text, text
    assert "bus/39.png" in text
    with pytest.raises(FileNotFoundError, match=r"no SketchParse data: .*does not exist"):
        load_parts("sketchparse", sketchparse / "nowhere")
    (sketchparse / "test_GT" / "fish").mkdir()
    with pytest.raises(ValueError, match="fish: category: expected one of airplane"):
        load_parts("sketchparse", sketchparse)


def test_training_lists_trouble_is_named(sketchparse: Path) -> None:
    path = sketchparse / "lists" / "train_cow_horse.txt"
    lines = path.read_text()
    path.write_text(lines + "2008_000009-1\n")
    with pytest.raises(ValueError, match=r"train_cow_horse.txt, line 71: expected <id>\(r,"):
        read_training_lists(sketchparse)
    path.write_text(lines + "2008_000109-1(r,p0)\n2010_000109-1(r,p0)\n2008_000108-1(r,p0)\n")
    with pytest.raises(ValueError, match=r"cannot tell which of cow, horse .*give annotations="):
        read_training_lists(sketchparse)
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"train_cow_horse.txt does not exist; expected the five lists"
    ):
        read_training_lists(sketchparse)


def test_masks_are_read_as_ids(tmp_path: Path) -> None:
    ids = np.arange(9, dtype=np.uint8).reshape(3, 3)
    path = tmp_path / "mask.png"
    Image.fromarray(ids).save(path)
    assert np.array_equal(read_mask(path), ids)
    palette = Image.fromarray(ids)
    palette.putpalette(list(range(255, -1, -1)) * 3)
    palette.save(path)
    assert np.array_equal(read_mask(path), ids)
    Image.fromarray(np.repeat(ids[..., None], 3, 2)).save(path)
    assert np.array_equal(read_mask(path), ids)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (3, 3, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"mask.png: expected a mask of part ids .*found mode RGB"):
        read_mask(path)


def test_the_real_aligned_pairs(data_root: Path) -> None:
    pairs = load_aligned(data_root / "SketchParse")
    assert len(pairs) == 107 and pairs.counts()["dog"] == 50
    assert len(load_aligned(data_root / "SketchParse" / "aligned", strict=True)) == 88
    assert all(pairs.load(i)[1].shape == (321, 321) for i in range(0, 107, 9))
    split = load_parts("aligned", data_root / "SketchParse")
    with pytest.raises(FileNotFoundError, match="there is nothing to train on"):
        len(split.train)


def test_aligned_pairs_are_checked_without_the_rest(tmp_path: Path) -> None:
    aligned = tmp_path / "aligned"
    entries = []
    for name in ("cow_1.png", "dog_2.png"):
        _pair(aligned / "image" / name, aligned / "label" / name, 1)
        entries.append({"name": name, "cls": name[:3], "boundary_px": 0.5})
    (aligned / "index.json").write_text(json.dumps(entries))
    for root in (tmp_path, aligned):
        report = check("sketchparse", root, progress=False)
        assert report.ok and report.counts["aligned pairs"]["classes"] == {"cow": 1, "dog": 1}, str(report)
        assert {finding.kind for finding in report.of("warning")} == {"no test set", "no training set"}
    _pair(aligned / "image" / "cow_1.png", aligned / "label" / "cow_1.png", 9)
    for root in (tmp_path, aligned):
        text = str(check("sketchparse", root, progress=False))
        assert "error: cannot be loaded: aligned: label/cow_1.png (cow): mask ids must be" in text, text
    (aligned / "label" / "dog_2.png").unlink()
    assert "1 listed files are missing: label/dog_2.png" in str(
        check("sketchparse", tmp_path, progress=False)
    )
    (aligned / "index.json").unlink()
    assert not check("sketchparse", tmp_path, progress=False).ok


def _drawing(key: str, label: int = 0) -> dict:
    first = [[0, 10, 20], [0, 5, 0], [label] * 3]
    # 264 of the published strokes carry their labels twice.
    return {"i": 0, "key_id": key, "drawing": [first, [[5, 5], [0, 10], [2, 2], [2, 2]], [[], [], []]]}


@pytest.fixture
def spg(tmp_path: Path) -> Path:
    keys = [f"k{i}" for i in range(8)]
    text = "\n".join(json.dumps(_drawing(key, i % 2)) for i, key in enumerate(keys))
    (tmp_path / "duck_raw.ndjson").write_text(text + "\n")
    (tmp_path / "duck.txt").write_text("head\n\nlegs\n\n")
    splits = {"duck": {"train": keys[:5], "valid": keys[5:6], "test": [*keys[6:], "gone"]}}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    return tmp_path


def test_spg_as_published(spg: Path) -> None:
    split = load_parts("spg", spg, size=64, thickness=3)
    assert split.held_out is not None
    assert (len(split.train), len(split.held_out), len(split.test)) == (5, 1, 2)
    assert split.train.parts == {"duck": ("head", "dont care 2", "legs")}
    assert "duck: test has 2 drawings of published 100" in split.summary()
    image, mask = split.train.load(1)
    assert set(np.unique(mask)) == {2, 3, 255} and np.array_equal(mask == 255, image == 255)
    strokes = split.train.stroke_map(1)
    assert np.array_equal(strokes >= 0, image == 0) and set(np.unique(strokes)) == {-1, 0, 1}
    assert np.array_equal(split.train.stroke_ids(1), [2, 3]) and (mask[strokes == 1] == 3).all()
    text = str(check("SPG", spg, progress=False))
    assert "error: missing drawing: duck: listed in test, not in the file: gone" in text
    assert "warning: counts: duck: valid lists 1 of published 50" in text


def test_strokes_are_centred_and_thick_as_asked() -> None:
    line = [np.array([[0, 0], [100, 0]], np.float32)]
    drawn = draw_stroke_map(line, 64, 3) == 0
    y, x = np.nonzero(drawn)
    assert (
        len(set(y)) == 3
        and abs(y.mean() - 31.5) <= 0.5
        and abs(x.mean() - 31.5) <= 1
        and abs(np.ptp(x) - 56) <= 1
    )
    dot = draw_stroke_map([np.array([[7, 7]], np.float32)], 64, 3) == 0
    assert dot.sum() == 9


def test_spg_trouble_is_named(spg: Path) -> None:
    file = spg / "duck_raw.ndjson"
    good = file.read_text()
    for change, message in (
        ('{"key_id": "a"}', r"line 9: expected an object with \"key_id\" and a list \"drawing\""),
        (
            '{"key_id": "a", "drawing": [[[0], [0], [3]]]}',
            r"line 9, stroke 0: labels must be whole numbers 0..2",
        ),
        ('{"key_id": "a", "drawing": [[[0, 1], [0], [1]]]}', r"one length, found \[2, 1, 1\]"),
        ('{"key_id": "a", "drawing": [[[0], [0]]]}', r"expected \[xs, ys, labels\]"),
        ('{"key_id": "a", "drawing": []}', "the drawing holds no strokes"),
        ('{"key_id": "a", "drawing": [[[0], [0], ["x"]]]}', r"line 9, stroke 0: labels must be .* found x"),
        ('{"key_id": "a", "drawing": [[[[0]], [[0]], [1]]]}', "line 9, stroke 0: coordinates must be"),
        ('{"key_id": "a", "drawing": [[[0], [0], [[1]]]]}', "line 9, stroke 0: labels must be"),
        (f'{{"key_id": "a", "drawing": [[[1{"0" * 400}], [0], [1]]]}}', "must be numbers"),
        ("not json", "line 9: not JSON"),
    ):
        file.write_text(good + change + "\n")
        with pytest.raises(ValueError, match=message):
            read_spg(file, 3)
        assert not check("spg", spg, progress=False).ok
    with pytest.raises(ValueError, match=r"categories: expected different ones of duck; found \['cow'\]"):
        load_parts("spg", spg, categories=["cow"])
    with pytest.raises(ValueError, match="thickness must be"):
        load_parts("spg", spg, thickness=0)
    (spg / "splits.json").write_text("[]")
    with pytest.raises(ValueError, match=r"splits.json: expected category"):
        load_parts("spg", spg)
    (spg / "duck.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="names no part"):
        read_part_names(spg / "duck.txt")


def test_spg_check_goes_on_after_a_bad_line(spg: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = spg / "duck_raw.ndjson"
    lines = file.read_text().splitlines()
    monkeypatch.setattr("sketchfast.data.spg.MAX_LINE_BYTES", 200)
    bad = ["not json"] * 9 + ["[" * 500]
    file.write_text("\n".join([lines[0], *bad, *lines[1:], lines[3]]) + "\n")
    report = check("spg", spg, progress=False)
    assert report.counts["drawings"]["classes"] == {"duck": 9}
    text = str(report)
    for line in (
        "error: cannot be loaded: duck_raw.ndjson: 10 of 19 drawings: line 2: not JSON",
        "... (10 in all)",
        "warning: repeated key_id: duck: k3",
        "error: missing drawing: duck: listed in test, not in the file: gone",
    ):
        assert line in text, text
    (found,) = [finding for finding in report.of("error") if finding.kind == "cannot be loaded"]
    assert found.items[-1] == "line 11: longer than 200 bytes"


def test_the_real_spg_split(data_root: Path) -> None:
    split = load_parts("spg", data_root / "SPG", categories=["duck", "face"], size=48)
    assert (len(split.train), len(split.test)) == (1300, 200)
    for i in range(0, 200, 20):
        assert (split.test.load(i)[0] == 0).any()
