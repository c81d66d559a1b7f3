"""QMUL Shoe-V2 and Chair-V2: three layouts, strokes, and the sub-categories of table 2."""

import csv
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from sketchfast.data import InstanceSplit, PairedSet, load_instances
from sketchfast.data.qmul_groups import COLUMNS, GROUPS
from sketchfast.data.qmul_strokes import StrokeSketches, read_coordinates
from sketchfast.runtime.strokes import draw

# Names as they occur: blanks of all kinds in a photo's, and k that is no number.
PHOTOS = {"train": ["1031000079", "CHA-UK_v1_Grey", "3.5-oak"], "test": ["2429245009", "finbo"]}
OF = {photo: [f"{photo}_{k}" for k in ("1", "12", "A1YX")] for half in PHOTOS.values() for photo in half}


def stem(item: str) -> str:
    name = item.rpartition("/")[2]
    return name.removesuffix(".png")


def of(pairs: PairedSet) -> dict[str, list[str]]:
    """Photo -> its sketches, both by name."""
    result: dict[str, list[str]] = {stem(item): [] for item in pairs.photos.ids}
    for sketch, photo in zip(pairs.sketches.ids, pairs.photo_of, strict=True):
        result[stem(pairs.photos.ids[photo])].append(stem(sketch))
    return {photo: sorted(sketches) for photo, sketches in result.items()}


def assert_published(split: InstanceSplit, category: str) -> None:
    assert split.seen_names == split.unseen_names == [category] and split.shared_classes
    for half, pairs in (("train", split.train), ("test", split.test)):
        assert of(pairs) == {photo: sorted(OF[photo]) for photo in PHOTOS[half]}
        assert pairs.sketches.load(0).shape[2] == pairs.photos.load(0).shape[2] == 3


def with_lists(world, kind: str = "ShoeV2", sketches: str = "ShoeV2_sketch_png") -> Path:
    for half, photos in PHOTOS.items():
        for photo in photos:
            world.photo(world.root / f"{kind}_photo/{photo}.png")
            for sketch in OF[photo]:
                world.sketch(world.root / f"{sketches}/{sketch}.png")
        world.write(f"photo_{half}.txt", [f"{photo}.png" for photo in photos])
        # Published lists of sketches name SVG files; Windows line ends and repetitions occur.
        world.write(
            f"sketch_{half}.txt", [f"{s}.svg\r" for photo in photos for s in [*OF[photo], OF[photo][0]]]
        )
    return world.root


def with_strokes(world, seed: int, kind: str = "ShoeV2") -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    content = {}
    for half, photos in PHOTOS.items():
        for photo in photos:
            world.photo(world.root / f"photo/{photo}.png")
            for sketch in OF[photo]:
                drawing = np.column_stack([random.uniform(0, 256, (9, 2)), [0, 0, 1, 0, 0, 0, 1, 1, 0]])
                content[f"/{half}/{sketch}"] = drawing
    (world.root / f"{kind}_Coordinate").write_bytes(pickle.dumps(content))
    return content


@pytest.mark.parametrize(
    ("kind", "sketches", "category"),
    [("ShoeV2", "ShoeV2_sketch_png", "shoe"), ("ShoeV2", "ShoeV2_sketch", "shoe"), ("ChairV2", "ChairV2_sketch", "chair")],
)  # fmt: skip
def test_lists(world, kind: str, sketches: str, category: str) -> None:
    root = with_lists(world, kind, sketches)
    world.photo(root / f"{kind}_photo/nobody.png")
    world.sketch(root / f"{sketches}/nobody_1.png")
    (root / f"{sketches}/finbo_1.svg").write_text("the .png beside it counts")
    split = load_instances("QMUL", root, seed=3)
    assert_published(split, category)
    assert all(item.endswith(".png") for item in split.test.sketches.ids)
    assert split.name == f"qmul/{category}, instances" and split.held_out is None
    assert "unseen" not in split.summary()
    assert "1 photo files in no list left out" in split.notes
    assert "1 sketch files in no list left out" in split.notes
    assert load_instances("qmul", root.parent).train.photos.ids == split.train.photos.ids


def test_lists_and_files_that_do_not_fit(world) -> None:
    root = with_lists(world)
    (root / "ShoeV2_sketch_png/finbo_12.png").unlink()
    message = "1 files that lists name are not in ShoeV2_sketch_png: finbo_12 of sketch_test.txt"
    with pytest.raises(ValueError, match=message):
        load_instances("qmul", root)
    world.write("sketch_test.txt", ["finbo_1", "2429245009_1.png", "1031000079_1.svg"])
    world.write("sketch_train.txt", ["1031000079_12.svg"])
    message = "1 sketches are in another half than their photo: ShoeV2_sketch_png/1031000079_1.png (test) of ShoeV2_photo"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_instances("qmul", root)
    world.write("photo_train.txt", ["finbo.png", "1031000079.png"])
    with pytest.raises(
        ValueError, match=r"finbo.png and ShoeV2_photo/finbo.png have one name.*one half only"
    ):
        load_instances("qmul", root)
    world.write("photo_train.txt", ["CHA-UK_v1_Grey.png"])
    message = "2 sketches have no photo of their name, with or without `_<k>`: ShoeV2_sketch_png/1031000079_12.png, "
    with pytest.raises(ValueError, match=re.escape(message)):
        load_instances("qmul", root)
    (root / "photo_test.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"photo_test.txt does not exist; expected a list of file names"
    ):
        load_instances("qmul", root)


def test_strokes(world, seed: int) -> None:
    content = with_strokes(world, seed, "ChairV2")
    world.photo(world.root / "photo/nobody.png")
    (world.root / "ChairV2_photo").mkdir()  # where there are strokes, they count
    split = load_instances("qmul", world.root)
    assert_published(split, "chair")
    assert any("1 photos left out: nobody drew them" in note for note in split.notes)
    sketches = split.test.subset(np.random.default_rng(seed).permutation(len(split.test))).sketches
    assert isinstance(sketches, StrokeSketches)
    for i, item in enumerate(sketches.ids):
        points = content["/" + item][:, :2].astype(np.float32)
        expected = [points[:3], points[3:7], points[7:8], points[8:]]  # the end ends the last stroke too
        for found, stroke in zip(sketches.strokes(i), expected, strict=True):
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, stroke)
        np.testing.assert_array_equal(sketches.load(i), draw(expected))
    (world.root / "ChairV2_photo").rmdir()
    (world.root / "photo").rename(world.root / "ChairV2_photo")
    assert_published(load_instances("qmul", world.root), "chair")
    small = sketches.resized(32, progress=False)
    np.testing.assert_array_equal(sketches.subset([2, 0]).resized(32, progress=False), small[[2, 0]])


def test_strokes_that_do_not_fit(world, seed: int) -> None:
    content = with_strokes(world, seed)
    (world.root / "photo/finbo.png").unlink()
    with pytest.raises(
        ValueError, match=r"3 sketches have no photo.*test/finbo_1, test/finbo_12, test/finbo_A1YX"
    ):
        load_instances("qmul", world.root)
    world.photo(world.root / "photo/finbo.png")
    path, good = world.root / "ShoeV2_Coordinate", np.array([[1.0, 2, 0], [3, 4, 1]])
    for key, value, message in (
        ("/test/1031000079_3", good, "1 sketches are in another half than their photo: test/1031000079_3 (test) of"),
        ("/val/finbo_3", good, "found '/val/finbo_3'"),
        ("test/finbo_1", good, "holds test/finbo_1 twice"),
        ("/test/finbo_3", good[:, :2], "test/finbo_3: expected an array of numbers (n, 3), found shape (2, 2)"),
        ("/test/finbo_3", [[1, 2, 1]], "test/finbo_3: expected an array of numbers (n, 3), found list"),
        ("/test/finbo_3", good[:0], "test/finbo_3: expected 1..1,000,000 points, found 0"),
        ("/test/finbo_3", good * np.nan, "test/finbo_3: coordinates must be finite"),
        ("/test/finbo_3", good * 2, "test/finbo_3: the third column must be 1 at a stroke's last point and 0 elsewhere, found 2"),
    ):  # fmt: skip
        path.write_bytes(pickle.dumps(content | {key: value}))
        with pytest.raises(ValueError, match=re.escape(message)):
            load_instances("qmul", world.root)
    path.write_bytes(pickle.dumps([good]))
    with pytest.raises(ValueError, match=r"expected a dict of '/train/<photo>_<k>'.*found list"):
        load_instances("qmul", world.root)


@pytest.mark.parametrize(("sketch", "photo"), ["AB", "BA"])
def test_folders_a_and_b(world, sketch: str, photo: str) -> None:
    world.root = world.root / "ShoeV2"
    for half, photos in PHOTOS.items():
        for name in photos:
            world.photo(world.root / f"{half}{photo}/{name}.png")
            for of_it in OF[name]:
                world.sketch(world.root / f"{half}{sketch}/{of_it}.png")
    split = load_instances("qmul", world.root)
    assert_published(split, "shoe")
    assert split.notes == [f"trainA to testB: {sketch} are sketches (by their names), {photo} photos"]
    world.photo(world.root / f"test{photo}/1031000079.png")
    with pytest.raises(ValueError, match=r"have one name.*one half only"):
        load_instances("qmul", world.root)


def test_folders_of_equal_names(world) -> None:
    for half, photos in PHOTOS.items():
        for name in photos:
            world.photo(world.root / f"{half}B/{name}.png")
            world.sketch(world.root / f"{half}A/{name}.png")
    split = load_instances("qmul", world.root, gallery="drawn")
    assert split.notes[0] == "trainA to testB: A are sketches (names do not tell, taken), B photos"
    assert split.seen_names == [world.root.name.lower()]
    assert of(split.train) == {name: [name] for name in PHOTOS["train"]}


def attributes(path: Path, rows: dict[str, dict[str, str]], columns: tuple[str, ...] = ()) -> None:
    names = columns or ("colour", *reversed(COLUMNS.values()), "photo")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows({"photo": photo, "colour": "red"} | row for photo, row in rows.items())


@pytest.mark.parametrize("strokes", [False, True])
@pytest.mark.parametrize("group", GROUPS)
def test_groups(world, seed: int, group: str, strokes: bool) -> None:
    if strokes:
        with_strokes(world, seed)
    else:
        with_lists(world)
    first, second = GROUPS[group][:2]
    # From both halves; a row with the extension, one in capitals, one of neither kind, and a photo without a row.
    values = {"1031000079": first, "finbo.png": first.upper(), "3.5-oak": "", "CHA-UK_v1_Grey": second}
    attributes(world.root / "attributes.csv", {photo: {COLUMNS[group]: v} for photo, v in values.items()})
    split = load_instances("qmul", world.root, group=group)
    assert split.name == f"qmul/shoe/{group}, instances" and not split.shared_classes
    assert (split.seen_names, split.unseen_names) == ([f"{group} {first}"], [f"{group} {second}"])
    assert of(split.train) == {photo: sorted(OF[photo]) for photo in ("1031000079", "finbo")}
    assert of(split.test) == {"CHA-UK_v1_Grey": sorted(OF["CHA-UK_v1_Grey"])}
    assert isinstance(split.test.sketches, StrokeSketches) == strokes
    upper = split.train.joined(split.target_half(seed))
    assert upper.names == split.seen_names + split.unseen_names
    assert of(upper) == {photo: sorted(OF[photo]) for photo in ("1031000079", "finbo", "CHA-UK_v1_Grey")}
    assert f"{GROUPS[group].sketches[0]:,} and {GROUPS[group].sketches[1]:,} sketches" in split.summary()


def test_attributes_that_do_not_fit(world) -> None:
    root = with_lists(world)
    path = root / "attributes.csv"
    with pytest.raises(FileNotFoundError) as missing:
        load_instances("qmul", root, group="toe-shape")
    for part in (
        str(path),
        "photo,sandal,toe_shape,shoe_height,heel_shape,topline",
        "toe_shape: closed or fish-mouth",
    ):
        assert part in str(missing.value)
    both = {"1031000079": {"toe_shape": "closed"}, "finbo": {"toe_shape": "fish-mouth"}}
    for rows, columns, message in (
        (both, ("photo", "sandal", "toe_shape", "topline"), "lacks the columns shoe_height, heel_shape"),
        (both | {"abc": {}, "x.png": {}}, (), "2 photos are not in the data set: 'abc' (line 4), 'x' (line 5)"),
        (both | {"finbo.png": {}}, (), "line 4: photo 'finbo' has an earlier row too"),
        (both | {"3.5-oak": {"topline": "huge"}}, (), "line 4, column topline: expected 'small', 'big' or nothing, found 'huge'"),
        ({"finbo": both["finbo"]}, (), "no photo has the value 'closed' in column toe_shape"),
    ):  # fmt: skip
        attributes(path, rows, columns)
        with pytest.raises(ValueError, match=re.escape(message)):
            load_instances("qmul", root, group="toe-shape")
    path.write_text("photo," + ",".join(COLUMNS.values()) + "\nfinbo,flat\n")
    with pytest.raises(ValueError, match="line 2: expected 6 cells"):
        load_instances("qmul", root, group="toe-shape")
    with pytest.raises(ValueError, match=r"group must be one of sandal, .*got 'laces'"):
        load_instances("qmul", root, group="laces")


def test_roots_and_options_that_do_not_fit(world, tmp_path, seed: int) -> None:
    with pytest.raises(FileNotFoundError, match="does not exist; expected a folder with QMUL"):
        load_instances("qmul", tmp_path / "nowhere")
    world.write("photo_train.txt", [])
    with pytest.raises(
        FileNotFoundError, match=r"no QMUL.*Expected one of: .*trainA/.*; found photo_train.txt"
    ):
        load_instances("qmul", world.root)
    (world.root / "ShoeV2_photo").mkdir()
    with pytest.raises(
        FileNotFoundError, match="has ShoeV2_photo, but no sketches: expected ShoeV2_sketch_png/ or"
    ):
        load_instances("qmul", world.root)
    with_strokes(world, seed, "ChairV2")
    with pytest.raises(ValueError, match=r"holds 2 data sets, expected one: shoes in .*, chairs in"):
        load_instances("qmul", world.root)
    (world.root / "ShoeV2_photo").rmdir()
    with pytest.raises(ValueError, match=r"group 'topline' is of shoes, but .* holds chairs"):
        load_instances("qmul", world.root, group="topline")
    with pytest.raises(
        ValueError, match="qmul, whose halves are published, takes no split, held_out_share, size"
    ):
        load_instances("qmul", world.root, split="zeroshot0", held_out_share=0.1, size=64)
    with pytest.raises(ValueError, match="group is an option of qmul, not of 'folder', got 'topline'"):
        load_instances("folder", world.root, group="topline")
    with pytest.raises(ValueError, match="root must be the folder with qmul data, got None"):
        load_instances("qmul")


def test_real_chairs(data_root) -> None:
    path = data_root / "ChairV2" / "ChairV2_Coordinate"
    if not path.is_file():
        pytest.skip(f"no {path}")
    drawings = read_coordinates(path)
    halves = [item.partition("/")[0] for item in drawings]
    assert (halves.count("train"), halves.count("test")) == (952, 323)
    sketches = StrokeSketches(list(drawings.values()), list(drawings), [0] * len(drawings), ["chair"])
    counts = [len(sketches.strokes(i)) for i in range(len(sketches))]
    assert (min(counts), max(counts), sum(counts)) == (
        1,
        15,
        sum(int(d[:, 2].sum()) for d in drawings.values()),
    )
    for i in range(0, len(sketches), 40):
        points = np.concatenate(sketches.strokes(i))
        assert len(points) == len(drawings[sketches.ids[i]]) and 33 <= points.min() <= points.max() <= 223
        # A pen that never lifted, or lifted at every point, would cover another share of the picture.
        assert 0.01 < (sketches.load(i) < 128).mean() < 0.25
    with pytest.raises(
        FileNotFoundError, match=r"has ChairV2_Coordinate, but no photos: expected photo/<id>.png"
    ):
        load_instances("qmul", path.parent)
