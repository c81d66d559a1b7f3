"""`sketchfast skeletonize`: every kind of sketch file, folders kept, nothing half done, every mistake named."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sketchfast import numpy_ops
from sketchfast.cli import main
from sketchfast.runtime.skeletonize_files import centreline, skeletonize_files
from sketchfast.runtime.sketches import read_sketch

NDJSON_DRAWING = {"drawing": [[[0, 200, 200], [0, 10, 150]], [[30, 90], [80, 20]]]}


def drawing(seed, width=7):
    random = np.random.default_rng(seed)
    picture = Image.new("L", (90, 70), 255)
    for _ in range(3):
        ImageDraw.Draw(picture).line(random.integers(10, 60, 4).tolist(), fill=0, width=width)
    return picture


def expected(path, method="skel", threshold=128):
    grey = read_sketch(path, allow_blank=True).image[:, :, 0]
    return np.where(numpy_ops.skeletonize(grey < threshold, method), 0, 255)


@pytest.fixture
def folder(tmp_path, seed):
    """Sketches of every kind, in nested folders, one of them damaged, and a file that is no sketch."""
    root = tmp_path / "in"
    (root / "a cat" / "deep").mkdir(parents=True)
    drawing(seed).save(root / "grey.png")
    Image.eval(drawing(seed + 1), lambda v: 255 - v).save(root / "a cat" / "inverted.png")
    alpha = Image.new("RGBA", (90, 70), (0, 0, 0, 0))
    alpha.putalpha(Image.eval(drawing(seed + 2), lambda v: 255 - v))
    alpha.save(root / "a cat" / "alpha.png")
    drawing(seed + 3).convert("1").save(root / "a cat" / "deep" / "bits.png")
    drawing(seed + 4).save(root / "photo of paper.jpg", quality=95)
    Image.new("L", (8, 5), 255).save(root / "blank.png")
    (root / "lines.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L90 50L20 60"/></svg>'
    )
    (root / "two.ndjson").write_text("\n\n".join([json.dumps(NDJSON_DRAWING)] * 2))
    (root / "a cat" / "broken.png").write_bytes((root / "grey.png").read_bytes()[:60])
    (root / "readme.txt").write_text("no sketch")
    return root


def names(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_folder_keeps_its_structure_and_one_bad_file_stops_nothing(folder, tmp_path):
    out = tmp_path / "out"
    done = skeletonize_files(folder, out)
    assert names(out) == [
        "a cat/alpha.png", "a cat/deep/bits.png", "a cat/inverted.png", "blank.png", "grey.png", "lines.png",
        "photo of paper.png", "two-0.png", "two-1.png",
    ]  # fmt: skip
    assert len(done.written) == 9 and [name for name, _ in done.failed] == [
        str(folder / "a cat" / "broken.png")
    ]
    assert any("inverted.png" in name and "dark ground" in said for name, said in done.guessed)
    for name in ("grey.png", "a cat/inverted.png", "a cat/alpha.png", "a cat/deep/bits.png", "blank.png"):
        picture = Image.open(out / name)
        assert picture.mode == "L" and np.array_equal(picture, expected(folder / name))
    assert np.array_equal(Image.open(out / "two-1.png"), expected(f"{folder / 'two.ndjson'}:1"))
    assert (np.asarray(Image.open(out / "blank.png")) == 255).all()

    shallow = skeletonize_files(folder, tmp_path / "shallow", recursive=False, suffix="_line")
    assert not shallow.failed and "grey_line.png" in names(tmp_path / "shallow") and len(shallow.written) == 6


def test_methods(seed):
    skimage = pytest.importorskip("skimage.morphology")
    grey = np.array(drawing(seed, width=9))
    assert np.array_equal(centreline(grey, method="zhang") == 0, skimage.skeletonize(grey < 128))
    assert np.array_equal(centreline(grey, method="thin") == 0, skimage.thin(grey < 128))
    assert np.array_equal(centreline(grey), centreline(grey, homogeneous=True))
    faint = (255 - (255 - grey) // 4).astype(np.uint8)  # ink at level 192
    assert (centreline(faint) == 255).all()
    assert np.array_equal(centreline(faint, threshold=200), centreline(grey))


def test_single_files(tmp_path, seed):
    drawing(seed).save(tmp_path / "s.png")
    target = tmp_path / "new" / "line.png"
    assert skeletonize_files(tmp_path / "s.png", target).written == [target]
    assert np.array_equal(Image.open(target), expected(tmp_path / "s.png"))
    assert skeletonize_files(tmp_path / "s.png", tmp_path / "new").written == [tmp_path / "new" / "s.png"]
    (tmp_path / "d.ndjson").write_text(json.dumps(NDJSON_DRAWING))
    one = skeletonize_files(f"{tmp_path / 'd.ndjson'}:0", tmp_path / "new")
    assert one.written == [tmp_path / "new" / "d-0.png"]
    everything = skeletonize_files(tmp_path / "d.ndjson", tmp_path / "drawings", homogeneous=True)
    assert everything.written == [tmp_path / "drawings" / "d-0.png"]
    assert one.written[0].read_bytes() == everything.written[0].read_bytes()


def test_nothing_is_overwritten_unasked(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "grey.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"grey\.png exists already"):
        skeletonize_files(folder, out)
    assert names(out) == ["grey.png"] and (out / "grey.png").read_text() == "mine"
    assert len(skeletonize_files(folder, out, overwrite=True).written) == 9
    assert not [name for name in names(out) if name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("in", "in"), ValueError, "inside the other"),
        (("in", "in/out"), ValueError, "inside the other"),
        (("in/a cat", "in"), ValueError, "inside the other"),
        (("in/grey.png", "in/grey.png"), ValueError, r"grey\.png is one of the sketches to read"),
        (("in/grey.png", "in"), ValueError, r"grey\.png is one of the sketches to read"),
        (("in/grey.png", "line.jpg"), ValueError, r"expected a \.png file"),
        (("in/missing.png", "out.png"), FileNotFoundError, r"missing\.png does not exist"),
        (("in", "in/grey.png"), ValueError, "is a file; expected a folder"),
        (("in/two.ndjson", "in/grey.png"), ValueError, "is a file; expected a folder"),
        (("empty", "out"), ValueError, "no sketch below it"),
        (("twins", "out"), ValueError, r"s\.jpg and .*s\.png would both become .*s\.png; rename"),
        (
            ("in/two.ndjson", "lines.png"),
            ValueError,
            r"lines\.png is the name of a file; .* 2 drawings .*two\.ndjson:0",
        ),
        (("in", "lines.png"), ValueError, r"lines\.png is the name of a file; expected a folder"),
        (("in/grey.png", "in/readme.txt/line.png"), OSError, r"cannot write to .*readme\.txt is a file"),
    ],
)
def test_mistaken_paths_are_named_and_write_nothing(folder, tmp_path, arguments, error, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "twins").mkdir()
    for name in ("s.png", "s.jpg"):
        Image.new("L", (4, 4)).save(tmp_path / "twins" / name)
    before = names(tmp_path)
    with pytest.raises(error, match=message):
        skeletonize_files(tmp_path / arguments[0], tmp_path / arguments[1], overwrite=True)
    assert names(tmp_path) == before


def test_all_clashes_are_listed_at_once(tmp_path):
    for name in ("a.png", "a.jpg", "b.png", "b.jpg", "b.bmp", "c.png"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).touch()
    with pytest.raises(
        ValueError, match=r"(?s)2 names .*a\.jpg and .*a\.png .* both .*b\.bmp, .*b\.png would all"
    ):
        skeletonize_files(tmp_path / "in", tmp_path / "out")


def test_hidden_files_and_files_without_drawings(folder, tmp_path):
    for hidden in (folder / ".hidden.png", folder / "a cat" / "._x.png", folder / ".trash" / "old.png"):
        hidden.parent.mkdir(exist_ok=True)
        drawing(0).save(hidden)
    (folder / "blank.ndjson").write_text("\n\n")
    done = skeletonize_files(folder, tmp_path / "out")
    assert len(done.written) == 9 and len(done.failed) == 2
    assert any(why.endswith("blank.ndjson holds no drawing") for _, why in done.failed)


def test_a_slash_at_the_end_names_a_folder_to_make(tmp_path, seed):
    drawing(seed).save(tmp_path / "s.png")
    done = skeletonize_files(tmp_path / "s.png", f"{tmp_path}/new.png/")
    assert done.written == [tmp_path / "new.png" / "s.png"] and done.written[0].is_file()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can make files")
def test_a_folder_that_takes_no_files_is_named(tmp_path, seed):
    drawing(seed).save(tmp_path / "s.png")
    with pytest.raises(OSError, match=r"^cannot write to /proc"):
        skeletonize_files(tmp_path / "s.png", "/proc/s.png")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "medial"}, "method: expected 'skel', 'thin' or 'zhang', found 'medial'"),
        ({"homogeneous": True, "method": "thin"}, "homogeneous: .* found 'thin'"),
        ({"threshold": 0}, "threshold: expected 1 to 255, found 0"),
        ({"threshold": 256}, "threshold: expected 1 to 255"),
        ({"suffix": "../x"}, "suffix: "),
    ],
)
def test_bad_settings_are_named(folder, tmp_path, settings, message):
    with pytest.raises(ValueError, match=message):
        skeletonize_files(folder, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_command_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sketchfast", "skeletonize", str(folder), str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 1 and "wrote 9 files" in said.out and "broken.png is truncated" in said.err
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and "--overwrite" in capsys.readouterr().err


def test_imports_no_torch():
    code = "import sys, sketchfast.runtime.skeletonize_files, sketchfast.numpy_ops; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_nothing_written_is_not_reported_as_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "bad.ndjson").write_text("{")
    monkeypatch.setattr(
        sys, "argv", ["sketchfast", "skeletonize", f"{tmp_path}/bad.ndjson", f"{tmp_path}/x.png"]
    )
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr()
    assert stopped.value.code == 1 and said.out == "" and said.err.count("bad.ndjson") == 1
