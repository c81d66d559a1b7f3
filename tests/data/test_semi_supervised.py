"""Labelled pairs with unlabelled photos: every layout, shares, photos left out, and bad input that is named."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sketchfast.data import load_semi_supervised
from sketchfast.data.check import check
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.data.synthetic import semi_supervised
from tests.data.test_safe_pickle import HOSTILE

PHOTOS = {"train": ["a", "b", "c", "d"], "test": ["e", "f"]}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0 L 4 8 L 3 1 M 9 9 L 8 8"/></svg>'


def with_photos(world, seed: int, folder: str, names: list[str]) -> None:
    """Pictures of which no two are equal."""
    random = np.random.default_rng([seed, len(folder)])
    for name in names:
        path = world.root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)


def listed(world, seed: int, svg: bool) -> Path:
    with_photos(world, seed, "ChairV2_photo", [f"{photo}.png" for half in PHOTOS.values() for photo in half])
    for half, photos in PHOTOS.items():
        for sketch in (names := [f"{photo}_{k}" for photo in photos for k in (1, 2)]):
            world.sketch(world.root / f"ChairV2_sketch_png/{sketch}.png")
            if svg:
                (world.root / "ChairV2_sketch").mkdir(exist_ok=True)
                (world.root / f"ChairV2_sketch/{sketch}.svg").write_text(SVG)
        world.write(f"photo_{half}.txt", photos)
        world.write(f"sketch_{half}.txt", [f"{name}.svg" for name in names])
    return world.root


def strokes(world, seed: int, _: bool) -> Path:
    with_photos(world, seed, "photo", [f"{photo}.png" for half in PHOTOS.values() for photo in half])
    random = np.random.default_rng(seed)
    content = {
        f"/{half}/{photo}_{k}": np.column_stack([random.uniform(0, 256, (6, 2)), [0, 0, 1, 0, 0, 1]])
        for half, photos in PHOTOS.items()
        for photo in photos
        for k in (1, 2)
    }
    (world.root / "ChairV2_Coordinate").write_bytes(pickle.dumps(content))
    return world.root


def a_and_b(world, seed: int, svg: bool) -> Path:
    for half, photos in PHOTOS.items():
        with_photos(world, seed, f"{half}B", [f"{photo}.png" for photo in photos])
        for photo in photos:
            for k in (1, 2):
                if svg:
                    (world.root / f"{half}A").mkdir(exist_ok=True)
                    (world.root / f"{half}A/{photo}_{k}.svg").write_text(SVG)
                else:
                    world.sketch(world.root / f"{half}A/{photo}_{k}.png")
    return world.root


@pytest.mark.parametrize("layout", [listed, strokes, a_and_b])
@pytest.mark.parametrize("svg", [False, True])
def test_qmul_layouts(world, seed: int, layout, svg: bool) -> None:
    root = layout(world, seed, svg)
    with_photos(world, seed, "more/below", ["x.jpg", "y.png"])
    (world.root / "more/readme.txt").write_text("not a picture")
    split = load_semi_supervised("qmul", root, unlabelled=root / "more", progress=False)
    assert (len(split.train), len(split.test), split.unlabelled.ids) == (8, 4, ["below/x.jpg", "below/y.png"])
    assert split.unlabelled.names == split.train.names == split.test.names
    assert split.unlabelled.load(0).shape == (6, 6, 3) and "unlabelled: 2 photos" in split.summary()
    assert split.train.sketches.has_strokes == (svg or layout is strokes)
    if split.train.sketches.has_strokes:
        sequences = SketchSequences(split.train.sketches, max_points=6, progress=False)
        assert sequences.lifts.sum(1).tolist() == [2] * 8
    else:
        assert "no generator can be trained on them" in split.summary()
        with pytest.raises(
            ValueError, match=r"must have strokes to learn drawing from. .*a_1.png: this sketch"
        ):
            SketchSequences(split.train.sketches)
    assert len(load_semi_supervised("qmul", root).unlabelled) == 0


def test_shares_are_nested_and_held_out_photos_stay(world, seed: int) -> None:
    with_photos(world, seed, "photo/cup", [f"p{photo}.png" for photo in range(20)])
    for photo in range(20):
        for k in range(2):
            world.sketch(world.root / f"sketch/cup/p{photo}-{k}.png")
    options = {"held_out_share": 0.25, "test_share": 0.2, "seed": seed % 1000}
    whole = load_semi_supervised("folder", world.root, **options)
    assert [len(part.photos) for part in whole.pairs.parts().values()] == [12, 4, 4]
    assert whole.held_out is not None and len(whole.held_out) == 8
    ids = set(whole.train.photos.ids)
    for share, count in ((0.75, 9), (0.5, 6), (0.1, 2)):
        part = load_semi_supervised("folder", world.root, labelled_share=share, **options)
        assert len(part.train.photos) == count and len(part.train) == 2 * count
        assert ids >= set(part.train.photos.ids)
        ids = set(part.train.photos.ids)
        assert part.held_out is not None and part.held_out.photos.ids == whole.held_out.photos.ids
        assert part.test.photos.ids == whole.test.photos.ids and part.settings["labelled_share"] == share
        assert f"labelled: {count} of 12 photos" in part.summary()
    again = load_semi_supervised("folder", world.root, **options | {"seed": seed % 1000 + 1})
    assert (
        set(again.test.photos.ids) != set(whole.test.photos.ids)
        or again.train.photos.ids != whole.train.photos.ids
    )


def test_labelled_folders_that_do_not_fit(world, seed: int) -> None:
    with_photos(world, seed, "photo/cup", [f"p{i}.png" for i in range(6)])
    for i in range(6):
        world.sketch(world.root / f"sketch/cup/p{i}-1.png")
    with_photos(world, seed, "photo/cup", ["nobody.png"])
    message = r"1 labelled photos have no sketch: photo/cup/nobody.png. Photos that nobody drew belong to the unlabelled"
    with pytest.raises(ValueError, match=message):
        load_semi_supervised("folder", world.root)
    (world.root / "photo/cup/nobody.png").rename(world.root / "photo/cup/q1.png")
    world.sketch(world.root / "sketch/cup/q2-1.png")
    with pytest.raises(ValueError, match=r"1 sketches have no photo of their name .*: sketch/cup/q2-1.png"):
        load_semi_supervised("folder", world.root)
    with pytest.raises(ValueError, match=r"category 'hat' is not in .*, which holds cup"):
        load_semi_supervised("folder", world.root, category="hat")
    root = a_and_b(world, seed, False)
    (root / "trainA/b_1.png").unlink()
    (root / "trainA/b_2.png").unlink()
    with pytest.raises(ValueError, match=r"1 labelled photos have no sketch: trainB/b.png"):
        load_semi_supervised("qmul", root)
    report = check("qmul", root, progress=False)
    assert report.ok and "warning: photo without sketch: 1 of 4 train photos: trainB/b.png" in str(report)
    world.sketch(root / "trainA/zz_1.png")
    with pytest.raises(ValueError, match=r"1 sketches have no photo of their name.*: trainA/zz_1.png"):
        load_semi_supervised("qmul", root)


def test_unlabelled_photos(world, seed: int) -> None:
    root = listed(world, seed, False)
    with_photos(world, seed, "more", [f"{i}.png" for i in range(4)])
    shutil.copy(root / "ChairV2_photo/a.png", root / "more/from train.png")
    shutil.copy(root / "ChairV2_photo/f.png", root / "more/from test.png")
    shutil.copy(root / "more/2.png", root / "more/second.png")
    split = load_semi_supervised("qmul", root, unlabelled=root / "more", progress=False)
    assert split.unlabelled.ids == [f"{i}.png" for i in range(4)]
    said = split.summary()
    assert (
        "2 of 7 unlabelled photos left out, whose bytes are labelled or test photos too: from test.png, ..."
        in said
    )
    assert "1 of 7 unlabelled photos left out, whose bytes repeat an earlier one: second.png" in said
    split = load_semi_supervised("qmul", root, unlabelled=root / "ChairV2_photo", progress=False)
    assert not len(split.unlabelled) and "6 of 6 unlabelled photos left out" in split.summary()
    (root / "more/empty.jpg").touch()
    (root / "more/text.png").write_text("not a picture")
    with pytest.raises(
        ValueError, match=r"2 of 9 files cannot be read:\n  empty.jpg: empty \(0 bytes\)\n  text.png: no"
    ):
        load_semi_supervised("qmul", root, unlabelled=root / "more", progress=False)
    (root / "nothing").mkdir()
    for folder, message in (
        ("nothing", "holds no pictures"),
        ("nowhere", "does not exist; expected a folder"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            load_semi_supervised("qmul", root, unlabelled=root / folder)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tu_berlin", {}, "data set must be qmul, folder or synthetic, got 'tu_berlin'"),
        ("qmul", {}, "root must be the folder with qmul data, got None"),
        ("qmul", {"root": ".", "size": 3}, "takes no size"),
        ("folder", {"root": ".", "size": 3}, "folder takes category and test_share, not size"),
        ("synthetic", {"root": "."}, "takes no root, got '.'"),
        ("synthetic", {"unlabelled": "."}, "takes no unlabelled, got '.'"),
        ("synthetic", {"photos": 3}, "the synthetic world has no option photos"),
        ("synthetic", {"train_photos": 0}, "train_photos: expected 1 to 100,000, found 0"),
        ("synthetic", {"sketches_per_photo": 25}, "sketches_per_photo: expected 1 to 24, found 25"),
        ("synthetic", {"labelled_share": 0}, "labelled_share must be above 0 and at most 1, got 0"),
        ("synthetic", {"seed": -1}, "seed must be a whole number of at least 0, got -1"),
    ],
)
def test_options_that_do_not_fit(kind: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_semi_supervised(kind, **options)


def test_the_synthetic_world(seed: int) -> None:
    seed %= 1000
    split = semi_supervised(
        seed,
        32,
        "cup",
        6,
        2,
        unlabelled_photos=5,
        test_photos=4,
        held_out_photos=3,
        sketches_per_test_photo=2,
    )
    assert split.held_out is not None and split.category == "cup"
    assert [len(part) for part in split.pairs.parts().values()] == [12, 6, 8]
    shown = [thing.index for photos in (split.train.photos, split.held_out.photos, split.test.photos, split.unlabelled)
             for thing in photos.instances]  # fmt: skip
    assert len(set(shown)) == len(shown) == 18
    trained = set(split.train.sketches.drawers)
    assert not trained & {*split.test.sketches.drawers, *split.held_out.sketches.drawers}
    for pairs in split.pairs.parts().values():
        for row, photo in enumerate(pairs.photo_of):
            assert pairs.sketches.instances[row] == pairs.photos.instances[photo]
    # Other sizes leave what is there as it is.
    larger = semi_supervised(seed, 32, "cup", 9, 2, unlabelled_photos=8, test_photos=5)
    assert larger.train.sketches.ids[:12] == split.train.sketches.ids
    assert (
        larger.unlabelled.ids[:5] == split.unlabelled.ids
        and larger.test.photos.ids[:4] == split.test.photos.ids
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_strokes_are_refused_and_run_nothing(world, seed: int, monkeypatch, name: str) -> None:
    root = strokes(world, seed, False)
    (root / "ChairV2_Coordinate").write_bytes(HOSTILE[name][0])
    before = sorted(root.iterdir())
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match=r"ChairV2_Coordinate is (refused|not a readable pickle)"):
        load_semi_supervised("qmul", root)
    assert sorted(root.iterdir()) == before
    report = check("qmul", root, progress=False)
    assert not report.ok and "ChairV2_Coordinate is" in str(report)


def test_check_of_qmul(world, seed: int) -> None:
    root = listed(world, seed, True)
    shutil.copy(root / "ChairV2_photo/a.png", root / "ChairV2_photo/e.png")  # a of train, e of test
    (root / "ChairV2_photo/b.png").write_bytes((root / "ChairV2_photo/b.png").read_bytes()[:60])
    report = check("qmul", root, progress=False)
    told = str(report)
    assert report.exit_code == 1 and "train sketches: 8 files" in told
    assert "error: undecodable: 1 of 6 photos: ChairV2_photo/b.png" in told
    assert "repeated content across the split" in told and "ChairV2_photo/a.png = ChairV2_photo/e.png" in told
    assert "warning: counts: subset: train sketches 8 of published 952" in told
    assert check("qmul", strokes(world, seed, False), decode=False).ok
    with pytest.raises(ValueError, match="split: qmul has published halves only"):
        check("qmul", root, "zeroshot1")
    (root / "ChairV2_Coordinate").rename(root.parent / "ChairV2_Coordinate")
    shutil.rmtree(root)
    alone = check("qmul", root.parent, progress=False)
    assert not alone.ok and "12 drawings of 6 to 6 points, median 6, in 2 to 2 strokes" in str(alone)
