"""Every layout of docs/data.md is read as it is."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from sketchfast.data import load_zero_shot, published

SEEN = ["alarm clock", "car_(sedan)", "cat"]
UNSEEN = ["dog", "hot-air_balloon"]


def check_split(split, held_out, train_sketches):
    assert split.seen_names == SEEN and split.unseen_names == UNSEEN
    assert len(split.held_out_sketches) == held_out
    assert len(split.train_sketches) == train_sketches
    for part in (split.train_sketches, split.train_photos, split.query_sketches, split.gallery_photos):
        assert sorted(set(part.labels.tolist())) == list(range(len(part.names)))
        for path, label in zip(part.ids, part.labels, strict=True):
            assert f"/{part.names[label]}/" in path.replace("alarm_clock", "alarm clock")
        assert part.load(0).dtype == np.uint8
    assert len(split.query_sketches) == 8 and not set(split.train_sketches.ids) & set(
        split.held_out_sketches.ids
    )


def test_sketchy_extended_with_lists(sketchy):
    split = load_zero_shot("sketchy", sketchy.root, "zeroshot1")
    check_split(split, held_out=3, train_sketches=9)
    assert len(split.train_photos) == 9 and len(split.gallery_photos) == 6
    assert split.seen_photos_gallery is split.train_photos
    assert "3 of 12 on disk" in split.summary()
    # The list says which; the last sketch of each class was left out of it.
    assert split.held_out_sketches.ids == sorted(sketchy.sketches[name][-1] for name in SEEN)


def test_sketchy_test_list_wins(sketchy):
    path = sketchy.sketches["cat"][-1]
    sketchy.write("zeroshot1/sketch_tx_000000000000_ready_filelist_test.txt", [f"{path} 2"])
    split = load_zero_shot("sketchy", sketchy.root)
    check_split(split, held_out=1, train_sketches=9)
    assert split.held_out_sketches.ids == [path] and split.held_out_sketches.labels.tolist() == [2]


def test_sketchy_held_out_falls_back_to_a_share(world):
    world.fill("256x256/sketch/tx_000000000000_ready", "256x256/photo/tx_000000000000_ready").lists(
        held_out=0
    )
    split = load_zero_shot("sketchy", world.root)
    check_split(split, held_out=3, train_sketches=9)
    assert any("share of 0.1" in note and "seed 0" in note for note in split.notes)
    again = load_zero_shot("sketchy", world.root)
    assert again.held_out_sketches.ids == split.held_out_sketches.ids
    half = load_zero_shot("sketchy", world.root, held_out_share=0.5, seed=3)
    check_split(half, held_out=6, train_sketches=6)


def test_sketchy_without_ready_and_lists_that_say_ready(sketchy):
    base = sketchy.root / "256x256"
    for modality in ("sketch", "photo"):
        (base / modality / "tx_000000000000_ready").rename(base / modality / "tx_000000000000")
    split = load_zero_shot("sketchy", sketchy.root)
    check_split(split, held_out=3, train_sketches=9)
    assert any("not the folder listed" in note for note in split.notes)


@pytest.mark.parametrize("name", ["zeroshot0", "zeroshot2"])
def test_sketchy_split_two_under_either_name(world, name):
    world.fill("256x256/sketch/tx_000000000000_ready", "256x256/photo/tx_000000000000_ready").lists(name)
    for asked in ("zeroshot0", "zeroshot2", None):
        assert load_zero_shot("sketchy", world.root, asked).name == "sketchy/zeroshot0"


@pytest.mark.parametrize("nested", ["", "256x256/"])
def test_sketchy_extend_folder_and_repeated_gallery(sketchy, nested):
    extend = f"{nested}EXTEND_image_sketchy_ready"
    lists = "zeroshot1/all_photo_filelist_zero.txt"
    for name in SEEN + UNSEEN:
        for path in sketchy.photos[name]:  # EXTEND holds the originals as well
            (sketchy.root / extend / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(sketchy.root / path, sketchy.root / extend / name)
        sketchy.photo(sketchy.root / extend / name / "n9_new.jpg")
    for label, name in enumerate(UNSEEN):
        added = sorted(path.name for path in (sketchy.root / extend / name).iterdir())
        sketchy.edit(
            lists, lambda lines, a=added, n=name, k=label: lines + [f"{extend}/{n}/{x} {k}" for x in a]
        )
    split = load_zero_shot("sketchy", sketchy.root)
    assert len(split.gallery_photos) == 6 + 8 and any("6 photos twice" in note for note in split.notes)
    once = load_zero_shot("sketchy", sketchy.root, dedupe_gallery=True)
    assert len(once.gallery_photos) == 8
    stems = [path.rsplit("/", 1)[1] for path in once.gallery_photos.ids]
    assert sorted(set(zip(once.gallery_photos.labels.tolist(), stems, strict=True))) == sorted(
        zip(once.gallery_photos.labels.tolist(), stems, strict=True)
    )


@pytest.mark.parametrize(
    ("sketches", "photos", "nested"),
    [
        ("256x256/sketch/tx_000000000000", "256x256/photo/tx_000000000000", ""),
        (
            "rendered_256x256/256x256/sketch/tx_000000000000",
            "rendered_256x256/256x256/photo/tx_000000000000",
            "",
        ),
        ("Sketchy/sketch", "Sketchy/photo", ""),
        ("sketch", "photo", ""),
    ],
)
def test_sketchy_without_lists(world, sketches, photos, nested):
    world.fill(sketches, photos)
    split = load_zero_shot("sketchy", world.root, unseen=UNSEEN)
    check_split(split, held_out=3, train_sketches=9)
    assert any("2 given by name" in note for note in split.notes)


def test_sketchy_original_holds_out_its_own_test_photos(world):
    world.fill("256x256/sketch/tx_000000000000", "256x256/photo/tx_000000000000")
    world.write("info/testset.txt", ["cat/n00002_1.jpg", "alarm clock/n00000_0.jpg"])
    split = load_zero_shot("sketchy", world.root, unseen=UNSEEN)
    check_split(split, held_out=4, train_sketches=8)
    assert {path.rsplit("-", 1)[0].rsplit("/", 1)[1] for path in split.held_out_sketches.ids} == {
        "n00002_1",
        "n00000_0",
    }


@pytest.mark.parametrize("sketches", ["png_ready", "png"])
@pytest.mark.parametrize("photos", ["ImageResized_ready", "ImageResized"])
def test_tu_berlin(world, sketches, photos):
    world.fill(sketches, photos, photo_suffix=".JPEG")
    world.write(f"{sketches}/filelist.txt", ["not a class"])
    check_split(load_zero_shot("TU-Berlin", world.root, unseen=UNSEEN), held_out=3, train_sketches=9)
    world.lists("zeroshot", f"{sketches}_filelist_{{}}.txt", f"{photos}_filelist_{{}}.txt")
    split = load_zero_shot("tu_berlin", world.root)
    check_split(split, held_out=3, train_sketches=9)
    assert split.name == "tu_berlin/zeroshot"


@pytest.mark.parametrize(
    ("sketches", "photos"), [("sketches", "images"), ("QuickDraw_sketches_final", "QuickDraw_images_final")]
)
@pytest.mark.parametrize(
    ("sketch_list", "photo_list"),
    [("sketch_{}.txt", "all_photo_{}.txt"), ("sketch_filelist_{}.txt", "photo_filelist_{}.txt")],
)
def test_quickdraw(world, sketches, photos, sketch_list, photo_list):
    world.fill(sketches, photos).lists("zeroshot", sketch_list, photo_list)
    check_split(load_zero_shot("quickdraw", world.root), held_out=3, train_sketches=9)
    shutil.rmtree(world.root / "zeroshot")
    check_split(load_zero_shot("QuickDraw", world.root, unseen=UNSEEN), held_out=3, train_sketches=9)


def test_folder_draws_unseen_classes_and_says_which(world):
    world.fill("sketch", "photo")
    first = load_zero_shot("folder", world.root, unseen_share=0.4, seed=5)
    assert len(first.unseen_names) == 2 and len(first.seen_names) == 3
    assert any("2 of 5, drawn with seed 5" in note and first.unseen_names[0] in note for note in first.notes)
    assert load_zero_shot("folder", world.root, unseen_share=0.4, seed=5).unseen_names == first.unseen_names
    picked = {tuple(load_zero_shot("folder", world.root, seed=s).unseen_names) for s in range(12)}
    assert len(picked) > 1


def classes(count):
    return tuple(f"class {number:03d}" for number in range(count))


def empty_files(root, sketches, photos, photos_of):
    """Names are all that a split looks at; the files hold nothing."""
    for name, count in photos_of.items():
        for folder, file, number in ((sketches, "s{}.png", 2), (photos, "p{}.jpg", count)):
            (root / folder / name).mkdir(parents=True)
            for i in range(number):
                (root / folder / name / file.format(i)).touch()


def test_tu_berlin_without_lists_draws_30_classes_with_400_photos(tmp_path):
    large = set(classes(250)[::5])
    empty_files(tmp_path, "png", "images", {name: 400 if name in large else 2 for name in classes(250)})
    split = load_zero_shot("tu_berlin", tmp_path)
    assert len(split.unseen_names) == 30 and set(split.unseen_names) <= large and len(split.seen_names) == 220
    assert any("30 of 250" in note and "50 classes with at least 400" in note for note in split.notes)
    assert load_zero_shot("tu_berlin", tmp_path, seed=1).unseen_names != split.unseen_names
    assert len(load_zero_shot("tu_berlin", tmp_path, unseen_share=0.5).unseen_names) == 125
    assert load_zero_shot("tu_berlin", tmp_path, unseen=["class 001"]).unseen_names == ["class 001"]


def test_tu_berlin_subset_draws_the_same_proportion_and_says_so(tmp_path):
    empty_files(tmp_path, "png", "images", dict.fromkeys(classes(25), 2))
    split = load_zero_shot("tu_berlin", tmp_path)
    assert len(split.unseen_names) == 3
    note = next(note for note in split.notes if note.startswith("unseen classes"))
    assert "3 of 25" in note and "published: 30 of 250" in note and "only 0 have at least 400 photos" in note


@pytest.mark.parametrize(("count", "unseen"), [(110, 30), (11, 3), (2, 1)])
def test_quickdraw_without_lists_draws_30_of_110(tmp_path, count, unseen):
    empty_files(tmp_path, "sketches", "images", dict.fromkeys(classes(count), 2))
    assert len(load_zero_shot("quickdraw", tmp_path).unseen_names) == unseen


def test_sketchy_split_is_never_replaced_by_a_draw(world):
    published_names = published.UNSEEN["sketchy", "zeroshot0"]
    empty_files(world.root, "sketch", "photo", dict.fromkeys((*published_names[1:], "ant", "bee"), 2))
    with pytest.raises(ValueError, match=r"lacks 1 of its 21 .*unseen classes: bat;"):
        load_zero_shot("sketchy", world.root, "zeroshot2")
    drawn = load_zero_shot("sketchy", world.root)
    assert drawn.name == "sketchy" and any("not the split zeroshot1" in note for note in drawn.notes)
    assert len(load_zero_shot("sketchy", world.root, "zeroshot0", unseen_share=0.5).unseen_names) == 11
    assert load_zero_shot("sketchy", world.root, "zeroshot0", unseen=["ant"]).unseen_names == ["ant"]
    empty_files(world.root, "sketch", "photo", {"bat": 2})
    whole = load_zero_shot("sketchy", world.root, "zeroshot0")
    assert whole.name == "sketchy/zeroshot0" and whole.unseen_names == sorted(published_names)


def test_class_spelled_differently_for_sketches_and_photos(world):
    world.fill("sketch", "photo")
    (world.root / "photo/alarm clock").rename(world.root / "photo/Alarm_Clock")
    split = load_zero_shot("folder", world.root, unseen=["dog", "hot air balloon"])
    assert split.seen_names == SEEN
    assert sum("Alarm_Clock" in path for path in split.train_photos.ids) == 3


def test_word_vectors_become_semantic(sketchy, tmp_path):
    names = SEEN + UNSEEN
    np.savez(tmp_path / "vectors.npz", names=np.array(names), vectors=np.eye(5, 8, dtype=np.float32))
    split = load_zero_shot("sketchy", sketchy.root, word_vectors=tmp_path / "vectors.npz")
    assert list(split.semantic) == names and split.semantic["cat"].argmax() == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sketchy", None), "root must be"),
        (("sketchy", "nowhere"), "does not exist"),
        (("mnist", "."), "data set must be one of sketchy"),
        (("sketchy", ".", "zeroshot9"), "split must be one of zeroshot1, zeroshot0"),
        (("folder", ".", "zeroshot1"), "no lists"),
    ],
)
def test_wrong_arguments(world, monkeypatch, arguments, message):
    world.fill("sketch", "photo")
    monkeypatch.chdir(world.root)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_zero_shot(*arguments)


def test_wrong_layout_names_expected_and_found(tmp_path):
    (tmp_path / "Bilder").mkdir()
    with pytest.raises(FileNotFoundError, match=r"Expected sketches in one of .*png_ready.*found Bilder/"):
        load_zero_shot("tu_berlin", tmp_path)


@pytest.mark.parametrize(
    ("plant", "error", "message"),
    [
        (
            lambda w: (w.root / w.photos["cat"][0]).unlink(),
            FileNotFoundError,
            r"lists 1 of 9 files.*cat/n00002_0",
        ),
        (lambda w: w.edit(LIST, lambda lines: [*lines, "a/cat/b.png"]), ValueError, "line 10: no label"),
        (
            lambda w: w.edit(LIST, lambda lines: [*lines, "a/cat/b.png 7"]),
            ValueError,
            r"label 7 is not in 0\.\.2",
        ),
        (
            lambda w: w.edit(LIST, lambda lines: [*lines, "a/cat/b.png 0"]),
            ValueError,
            "label 0 is 'alarm clock'",
        ),
        (lambda w: w.edit(LIST, lambda lines: [*lines, "../cat/b.png 2"]), ValueError, "outside the root"),
        (lambda w: (w.root / LIST).write_text(""), ValueError, "lists nothing"),
        (lambda w: (w.root / LIST).unlink(), FileNotFoundError, "no train list of sketch files"),
    ],
)
def test_bad_lists_are_named(sketchy, plant, error, message):
    plant(sketchy)
    with pytest.raises(error, match=message):
        load_zero_shot("sketchy", sketchy.root)


LIST = "zeroshot1/sketch_tx_000000000000_ready_filelist_train.txt"


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (lambda root: shutil.rmtree(root / "photo/cat"), "1 classes have no folder of photos: cat"),
        (lambda root: [p.unlink() for p in (root / "sketch/cat").iterdir()], "class 'cat' has no sketch"),
    ],
)
def test_bad_folders_are_named(world, plant, message):
    world.fill("sketch", "photo")
    plant(world.root)
    with pytest.raises(ValueError, match=message):
        load_zero_shot("folder", world.root, unseen=UNSEEN)


def test_unknown_unseen_class_is_named(world):
    world.fill("sketch", "photo")
    with pytest.raises(ValueError, match="unicorn"):
        load_zero_shot("folder", world.root, unseen=["dog", "unicorn"])


def test_data_and_runtime_import_no_torch():
    code = "import sys, sketchfast.data.check, sketchfast.runtime.sketches; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("split", "counts"),
    [("zeroshot1", (100, 25, 1840, 160, 500, 625)), ("zeroshot0", (104, 21, 1908, 172, 420, 525))],
)
def test_real_sketchy(data_root, split, counts):
    loaded = load_zero_shot("sketchy", data_root / "Sketchy", split)
    found = (
        len(loaded.seen_names),
        len(loaded.unseen_names),
        len(loaded.train_sketches),
        len(loaded.held_out_sketches),
        len(loaded.query_sketches),
        len(loaded.gallery_photos),
    )
    assert found == counts
    assert loaded.query_sketches.subset([0, 1]).resized(48, progress=False).shape == (2, 48, 48, 3)
