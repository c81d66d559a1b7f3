"""load_instances: Sketchy and folders on disk, and the synthetic world."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from sketchfast.data import PairedSet, load_instances, published, synthetic
from sketchfast.data.check import check
from tests.data.conftest import SEEN, UNSEEN

SKETCHES, PHOTOS = "256x256/sketch/tx_000000000000", "256x256/photo/tx_000000000000"


def assert_own_photos(pairs: PairedSet) -> None:
    """By the rule of the names: `<photo>-<k>.png` in the class folder of `<photo>.jpg`."""
    for sketch, photo in zip(pairs.sketches.ids, pairs.photo_of, strict=True):
        name = Path(pairs.photos.ids[photo])
        assert Path(sketch).parent.name == name.parent.name
        assert Path(sketch).stem.rpartition("-")[0] == name.stem


def test_sketchy_as_it_unpacks(world) -> None:
    world.fill(SKETCHES, PHOTOS)
    world.photo(world.root / "256x256/EXTEND_image_sketchy/cat/ext_1.jpg")
    split = load_instances("sketchy", world.root, unseen=UNSEEN)
    assert (split.seen_names, split.unseen_names) == (list(SEEN), list(UNSEEN))
    assert (len(split.train), len(split.train.photos), len(split.train.drawn)) == (12, 9, 6)
    assert (len(split.test), len(split.test.photos), len(split.test.drawn)) == (8, 6, 4)
    assert split.held_out is None
    for pairs in (split.train, split.test):
        assert_own_photos(pairs)
    drawn = load_instances("sketchy", world.root, unseen=UNSEEN, gallery="drawn")
    assert (len(drawn.test), len(drawn.test.photos), len(drawn.train.photos)) == (8, 4, 9)
    assert_own_photos(drawn.test)


def test_invalid_sketches_are_left_out_and_test_photos_held_out(world) -> None:
    world.fill(f"{SKETCHES}_ready", f"{PHOTOS}_ready")
    # Published lists name the sketch alone; people's own ones name class folder or file. Windows line ends occur.
    world.write("info/invalid-error.txt", ["n00000_0-1\r", "n00004_1-3.png", ""])
    world.write("info/invalid-pose.txt", ["cat/n00002_0-1.svg", "cat/n00000_1-1", "n00000_0-1", "n99999_9-9"])
    world.write("info/testset.txt", ["cat/n00002_1.jpg", "alarm_clock/n00000_2.jpg", "dog/n00003_0.jpg"])
    split = load_instances("sketchy", world.root, unseen=UNSEEN)
    left = {Path(path).stem for pairs in split.parts().values() for path in pairs.sketches.ids}
    assert len(left) == 20 - 3 and not left & {"n00000_0-1", "n00004_1-3", "n00002_0-1"}
    assert any(
        "3 of 20 sketches left out as invalid: 2 by invalid-error.txt, 2 by invalid-pose.txt" in note
        for note in split.notes
    )
    assert split.held_out is not None
    assert [Path(path).stem for path in split.held_out.photos.ids] == ["n00000_2", "n00002_1"]
    assert [Path(path).stem for path in split.held_out.sketches.ids] == ["n00002_1-1", "n00002_1-3"]
    assert not set(split.held_out.photos.ids) & set(split.train.photos.ids)
    assert len(split.test.photos) == 6  # a test photo of an unseen class is one like all others
    lines = {f.message for f in check("sketchy", world.root, progress=False).findings}
    assert "info/invalid-pose.txt: 2 of 4 listed sketches are here; load_instances leaves them out" in lines
    assert "info/testset.txt: 3 of 3 listed photos are here" in lines
    world.write("info/invalid-context.txt", ["n00000_0-1", "a duck on water"])
    message = (
        "invalid-context.txt, line 2: expected a sketch `<photo>-<k>` or `<class>/<photo>-<k>`, found 'a duck"
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        load_instances("sketchy", world.root, unseen=UNSEEN)
    report = check("sketchy", world.root, progress=False)
    assert not report.ok and any(message in f.message for f in report.findings)


def test_held_out_share_takes_photos_drawn_and_not(world, seed: int) -> None:
    world.fill("sketch", "photo", photos_each=6)
    split = load_instances("folder", world.root, unseen=["cat"], held_out_share=0.5, seed=seed)
    again = load_instances("folder", world.root, unseen=["cat"], held_out_share=0.5, seed=seed)
    assert split.held_out is not None and again.held_out is not None
    assert np.bincount(split.held_out.photos.labels).tolist() == [3] * 4
    assert np.bincount(split.held_out.photos.labels[split.held_out.drawn]).tolist() == [1] * 4
    assert np.bincount(split.train.photos.labels[split.train.drawn]).tolist() == [1] * 4
    assert split.held_out.photos.ids == again.held_out.photos.ids
    assert_own_photos(split.held_out)


def test_a_folder_of_ones_own(world) -> None:
    for name in ("red shoe", "boot"):
        for photo in ("a", "a-1", "b"):
            world.photo(world.root / f"photo/{name}/{photo}.png")
        for sketch in ("a", "a-1", "a-2", "a-1-7"):
            world.sketch(world.root / f"sketch/{name}/{sketch}.png")
    split = load_instances("folder", world.root, unseen=["red shoe"])
    of = {
        Path(s).stem: Path(split.train.photos.ids[p]).stem
        for s, p in zip(split.train.sketches.ids, split.train.photo_of, strict=True)
    }
    # A photo of exactly the sketch's name comes before one whose name with a number it is.
    assert of == {"a": "a", "a-1": "a-1", "a-2": "a", "a-1-7": "a-1"}
    (note,) = [note for note in split.notes if "of two photos" in note]
    assert (
        note.startswith("2 sketches, such as sketch/boot/a-1.png, could be") and "exactly their name" in note
    )
    world.photo(world.root / "photo/boot/b.jpg")
    with pytest.raises(ValueError, match=r"boot/b.jpg and photo/boot/b.png have one name"):
        load_instances("folder", world.root, unseen=["red shoe"])


def test_accents_are_compared_however_they_are_stored(world) -> None:
    for name in ("p\u00eache", "caf\u00e9"):
        world.photo(world.root / f"photo/{unicodedata.normalize('NFC', name)}/\u00e9.png")
        world.sketch(world.root / f"sketch/{unicodedata.normalize('NFD', name)}/e\u0301-1.png")
    split = load_instances("folder", world.root, unseen=["caf\u00e9"])
    assert len(split.train) == len(split.test) == 1
    assert check("folder", world.root, progress=False).ok


def test_one_class_alone_says_what_to_do(world) -> None:
    world.fill("sketch", "photo", classes=("cat",))
    with pytest.raises(
        ValueError, match=re.escape(f"{world.root}: a split needs") + ".* only 'cat': add sketches"
    ):
        load_instances("folder", world.root)


def test_sketches_without_their_photo_are_named(world) -> None:
    world.fill("sketch", "photo")
    for photo in world.photos["cat"][:1] + world.photos["dog"][:2]:
        (world.root / photo).unlink()
    message = "in their class under photo: sketch/cat/n00002_0-1.png, sketch/cat/n00002_0-3.png"
    with pytest.raises(ValueError, match=re.escape(message)):
        load_instances("folder", world.root, unseen=UNSEEN)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ["unicorn"]}, "does not hold: unicorn"),
        ({"unseen": SEEN + UNSEEN}, "5 of 5 are unseen"),
        ({"unseen": []}, "0 of 5 are unseen"),
        ({"gallery": "some"}, "gallery must be one of all, drawn, got 'some'"),
        ({"held_out_share": 1.0}, "held_out_share must lie between 0 and 1"),
        ({"held_out_share": "x"}, "held_out_share must lie between 0 and 1, got 'x'"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"seed": "a"}, "seed must be .* got 'a'"),
        ({"unseen": "cat"}, "unseen must be a list of class names, got 'cat'"),
        ({"size": 64}, "size: an option of the synthetic world, not of 'sketchy'"),
        ({}, "lacks 21 of its 21 published unseen classes"),
    ],
)
def test_options_that_do_not_fit_are_refused(sketchy, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        load_instances("sketchy", sketchy.root, **options)


def test_a_gallery_category_without_photos_is_named(sketchy) -> None:
    for photo in sketchy.photos["dog"]:
        (sketchy.root / photo).unlink()
    with pytest.raises(ValueError, match="class 'dog' has no photo"):
        load_instances("sketchy", sketchy.root, unseen=UNSEEN)


def test_data_sets_without_instances_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="tu_berlin does not say which photo a sketch is of"):
        load_instances("TU-Berlin", tmp_path)
    with pytest.raises(ValueError, match="data set must be sketchy, qmul, folder or synthetic, got 'flickr'"):
        load_instances("flickr", tmp_path)
    with pytest.raises(ValueError, match="root must be the folder"):
        load_instances("sketchy")
    with pytest.raises(ValueError, match="it takes no split"):
        load_instances("synthetic", split="zeroshot0")


def test_synthetic_objects_and_drawers(seed: int) -> None:
    counts = {"train_per_class": 3, "sketches_per_photo": 4, "queries_per_class": 2, "gallery_per_class": 5}
    split = load_instances(
        "synthetic", seed=seed % 1000, size=32, unseen=["horse", "cup"], held_out_per_class=2, **counts
    )
    assert split.unseen_names == ["horse", "cup"] and len(split.seen_names) == len(synthetic.CATEGORIES) - 2
    assert split.held_out is not None and split.semantic is not None
    assert set(split.semantic) == set(synthetic.CATEGORIES)
    for pairs, drawn, photos, each in (
        (split.train, 3, 3, 4),
        (split.test, 2, 5, 1),
        (split.held_out, 2, 2, 1),
    ):
        assert np.bincount(pairs.photos.labels).tolist() == [photos] * len(pairs.names)
        assert np.bincount(pairs.photo_of).max() == each
        for label in range(len(pairs.names)):
            gallery = pairs.of_class(label)[1]
            assert np.isin(gallery, pairs.drawn).tolist() == [True] * drawn + [False] * (photos - drawn)
        for i, photo in enumerate(pairs.photo_of):
            assert pairs.sketches.instances[i] == pairs.photos.instances[photo]
        assert len(set(pairs.sketches.ids)) == len(pairs)  # never one drawer twice
    hands = {name: set(pairs.sketches.drawers) for name, pairs in split.parts().items()}
    assert not hands["train"] & (hands["test"] | hands["held_out"])
    # The same objects whatever the counts, and the same pictures.
    fewer = synthetic.instances(seed % 1000, 32, 2, 1, 1, 3, 1, ["horse", "cup"])
    assert fewer.held_out is not None
    for part in ("train", "test", "held_out"):
        small, large = fewer.parts()[part], split.parts()[part]
        assert set(small.sketches.ids) <= set(large.sketches.ids)
        assert set(small.photos.ids) <= set(large.photos.ids)
    np.testing.assert_array_equal(
        fewer.test.sketches.load(0),
        split.test.sketches.load(split.test.sketches.ids.index(fewer.test.sketches.ids[0])),
    )
    assert load_instances("synthetic", held_out_per_class=0).held_out is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unseen": ("unicorn",)}, "unseen: expected categories among airplane.*; found 'unicorn'"),
        ({"unseen": synthetic.CATEGORIES}, "expected 1..41 different categories"),
        (
            {"gallery_per_class": 3, "queries_per_class": 4},
            "gallery_per_class: expected at least queries_per_class=4",
        ),
        ({"sketches_per_photo": 49}, "at most 48"),
        ({"train_per_class": 0}, "train_per_class: expected 1"),
        ({"held_out_per_class": -1}, "held_out_per_class: expected 0"),
    ],
)
def test_synthetic_options_out_of_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        load_instances("synthetic", **options)


def test_real_sketchy(data_root) -> None:
    if not (data_root / "Sketchy").is_dir():
        pytest.skip(f"no Sketchy in {data_root}")
    split = load_instances("sketchy", data_root / "Sketchy")
    assert split.name == "sketchy/zeroshot0, instances"
    assert (
        tuple(split.unseen_names) == published.UNSEEN["sketchy", "zeroshot0"] and len(split.seen_names) == 104
    )
    assert_own_photos(split.test)
    assert_own_photos(split.train)
    assert (
        split.test.sketches.load(0).shape
        == split.test.photos.load(int(split.test.photo_of[0])).shape
        == (256, 256, 3)
    )
    upper = split.train.joined(split.target_half(0))
    assert len(upper.names) == 125
    assert_own_photos(upper)
