"""`data check`: planted faults are each found and named; a clean data set is clean; the real subset is told truly."""

import json
import os
import shutil
import struct
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from sketchfast.data.check import check

SKETCHES = "256x256/sketch/tx_000000000000_ready"
PHOTOS = "256x256/photo/tx_000000000000_ready"
TRAIN = "zeroshot1/sketch_tx_000000000000_ready_filelist_train.txt"
ZERO = "zeroshot1/sketch_tx_000000000000_ready_filelist_zero.txt"
PHOTO_TRAIN = "zeroshot1/all_photo_filelist_train.txt"
PHOTO_ZERO = "zeroshot1/all_photo_filelist_zero.txt"


def run(root, **options):
    return check("Sketchy", root, progress=False, **options)


def append(path, *lines):
    return lambda world: world.edit(path, lambda old: [*old, *lines])


def replace_label(path, change):
    return lambda world: world.edit(
        path,
        lambda old: [f"{line.rpartition(' ')[0]} {change(int(line.rpartition(' ')[2]))}" for line in old],
    )


def listed_sketch(world, name="cat"):
    return world.root / world.sketches[name][0]


def truncate(world):
    path = listed_sketch(world)
    path.write_bytes(path.read_bytes()[:70])


def bomb(world):
    """A PNG header of 60,000 x 60,000 pixels with next to nothing behind it."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 99))
        + chunk(b"IEND", b"")
    )
    listed_sketch(world).write_bytes(content)


def empty_class_folder(world):
    for path in (world.root / PHOTOS / "dog").iterdir():
        path.unlink()


def crlf(world):
    path = world.root / TRAIN
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def latin1(world):
    path = world.root / TRAIN
    path.write_bytes(path.read_bytes() + "256x256/café/x.png 0\n".encode("latin1"))


def byte_order_mark(world):
    path = world.root / TRAIN
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def seen_class_also_unseen(world):
    append("zeroshot1/cname_cid_zero.txt", "cat 2")(world)
    append(ZERO, f"{world.sketches['cat'][-1]} 2")(world)
    append(PHOTO_ZERO, f"{world.photos['cat'][0]} 2")(world)


def held_out_also_trained(world):
    world.write(TRAIN.replace("train", "test"), [f"{world.sketches['cat'][0]} 2"])


def leaked_photo(world):
    shutil.copy(world.root / world.photos["cat"][0], world.root / world.photos["dog"][0])


def same_picture_in_two_seen_classes(world):
    shutil.copy(world.root / world.photos["cat"][0], world.root / world.photos["alarm clock"][0])


def same_picture_twice_in_a_class(world):
    shutil.copy(world.root / world.photos["cat"][0], world.root / world.photos["cat"][1])


def inverted(world):
    path = listed_sketch(world)
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)


def with_alpha(world):
    path = listed_sketch(world)
    Image.open(path).convert("RGBA").save(path)


def jpeg_called_png(world):
    path = listed_sketch(world)
    Image.open(path).save(path, "JPEG")


def photo_of_a_sketch_gone(world):
    path = world.root / world.photos["cat"][0]
    path.unlink()
    world.edit(PHOTO_TRAIN, lambda lines: [line for line in lines if "cat/n00002_0" not in line])


def broken_link(world):
    os.symlink(world.root / "gone.png", world.root / SKETCHES / "cat" / "link.png")


# (what is planted, level and kind of the finding, what its text must name)
FAULTS = {
    "missing file": (lambda w: listed_sketch(w).unlink(), "error", "missing files", "cat/n00002_0-1.png"),
    "truncated picture": (truncate, "error", "undecodable", "cat/n00002_0-1.png"),
    "text called png": (
        lambda w: listed_sketch(w).write_text("not a picture at all"),
        "error",
        "undecodable",
        "cat/n00002_0-1.png",
    ),
    "decompression bomb": (bomb, "error", "undecodable", "cat/n00002_0-1.png"),
    "empty file": (lambda w: listed_sketch(w).write_bytes(b""), "error", "empty file", "cat/n00002_0-1.png"),
    "empty class folder": (empty_class_folder, "error", "empty class folder", f"{PHOTOS}/dog"),
    "class without photos": (
        lambda w: shutil.rmtree(w.root / PHOTOS / "dog"),
        "error",
        "class without photos",
        "dog",
    ),
    "class without sketches": (
        lambda w: shutil.rmtree(w.root / SKETCHES / "dog"),
        "error",
        "class without sketches",
        "dog",
    ),
    "list line without a label": (
        append(TRAIN, "a/cat/b.png"),
        "error",
        "list line without a label",
        "line 10",
    ),
    "label that is no number": (
        append(TRAIN, "a/cat/b.png cat"),
        "error",
        "list line without a label",
        "b.png cat",
    ),
    "label out of range": (
        append(TRAIN, "a/cat/b.png 9"),
        "error",
        "label out of range",
        "line 10: a/cat/b.png 9",
    ),
    "unseen labels go on after the seen": (
        replace_label("zeroshot1/cname_cid_zero.txt", lambda n: n + 3),
        "error",
        "labels",
        "does not restart at 0",
    ),
    "listed labels go on after the seen": (
        replace_label(ZERO, lambda n: n + 3),
        "error",
        "labels",
        "restart at 0",
    ),
    "label of another class": (
        lambda w: w.edit(TRAIN, lambda old: [old[0][:-1] + "2", *old[1:]]),
        "error",
        "label and class folder differ",
        "is 'cat'",
    ),
    "one file, two labels": (
        lambda w: append(TRAIN, f"{w.sketches['cat'][0]} 1")(w),
        "error",
        "conflicting labels",
        "cat/n00002_0-1.png",
    ),
    "repeated line": (
        lambda w: append(TRAIN, f"{w.sketches['cat'][0]} 2")(w),
        "warning",
        "repeated lines",
        "(lines 7, 10)",
    ),
    "class seen and unseen": (
        seen_class_also_unseen,
        "error",
        "split overlap",
        "classes both seen and unseen: cat",
    ),
    "file trained on and held out": (held_out_also_trained, "error", "split overlap", "cat/n00002_0-1.png"),
    "same picture seen and unseen": (
        leaked_photo,
        "error",
        "repeated content across the split",
        "dog/n00003_0.jpg",
    ),
    "same picture in two classes": (
        same_picture_in_two_seen_classes,
        "warning",
        "repeated content",
        "alarm clock/n00000_0.jpg",
    ),
    "same picture twice in a class": (
        same_picture_twice_in_a_class,
        "warning",
        "repeated content",
        "n00002_1.jpg",
    ),
    "path outside the root": (
        append(TRAIN, "../../etc/cat/b.png 2"),
        "error",
        "path outside the root",
        "../etc",
    ),
    "absolute path": (append(TRAIN, "/data/cat/b.png 2"), "error", "path outside the root", "/data/cat"),
    "CRLF": (crlf, "warning", "line endings", "carriage returns"),
    "not UTF-8": (latin1, "error", "encoding", "line 10"),
    "byte-order mark": (byte_order_mark, "warning", "encoding", "byte-order mark"),
    "missing list": (lambda w: (w.root / ZERO).unlink(), "error", "missing list", "zero list of sketch"),
    "empty list": (lambda w: (w.root / ZERO).write_text("\n"), "error", "empty list", "filelist_zero.txt"),
    "class that no list names": (
        append("zeroshot1/cname_cid.txt", "zebra 3"),
        "error",
        "class without files",
        "zebra",
    ),
    "class named twice": (append("zeroshot1/cname_cid.txt", "cat 3"), "error", "repeated names", "cat"),
    "stranger in a class folder": (
        lambda w: (w.root / SKETCHES / "cat" / "notes.txt").write_text("x"),
        "warning",
        "unexpected file",
        "cat/notes.txt",
    ),
    "broken link": (broken_link, "error", "broken link", "cat/link.png"),
    "JPEG called png": (jpeg_called_png, "warning", "extension and content differ", "n00002_0-1.png is JPEG"),
    "white on black": (
        inverted,
        "info",
        "polarity guessed",
        "cat/n00002_0-1.png (light ink on a dark ground",
    ),
    "alpha": (with_alpha, "info", "unusual mode", "cat/n00002_0-1.png (RGBA)"),
    "blank sketch": (
        lambda w: Image.new("L", (32, 32), 255).save(listed_sketch(w)),
        "warning",
        "blank",
        "cat/n00002_0-1.png",
    ),
    "not square": (
        lambda w: Image.open(listed_sketch(w)).resize((40, 32)).save(listed_sketch(w)),
        "info",
        "not square",
        "cat/n00002_0-1.png (40 x 32)",
    ),
    "photo of a sketch gone": (
        photo_of_a_sketch_gone,
        "warning",
        "sketch without its photo",
        "cat/n00002_0-1.png",
    ),
}


def test_clean_data_set_has_no_finding_but_facts(sketchy):
    report = run(sketchy.root)
    assert report.ok and report.exit_code == 0 and not report.of("error")
    assert [finding.kind for finding in report.of("warning")] == ["counts"]
    assert "subset" in report.of("warning")[0].message
    assert "unseen sketches 8 of published 15,229" in report.of("warning")[0].items
    assert {finding.kind for finding in report.of("info")} == {"unlisted files", "sizes", "pairs"}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found_and_named(sketchy, fault):
    plant, level, kind, named = FAULTS[fault]
    before = set(run(sketchy.root).findings)
    plant(sketchy)
    report = run(sketchy.root)
    new = [finding for finding in report.findings if finding not in before]
    hits = [finding for finding in new if finding.level == level and finding.kind == kind]
    assert hits, f"found only {[finding.text() for finding in new]}"
    assert any(named in finding.text() for finding in hits), [finding.text() for finding in hits]
    assert report.exit_code == (1 if level == "error" else 0), [
        finding.text() for finding in report.of("error")
    ]
    assert any(named in line for line in report.lines)
    assert any(finding["kind"] == kind for finding in json.loads(report.to_json())["findings"])


def test_there_are_at_least_twenty_kinds():
    assert len({kind for _, _, kind, _ in FAULTS.values()}) >= 20


def test_wrong_path_and_wrong_layout(tmp_path):
    for root, named in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "found an empty folder")):
        report = run(root)
        assert report.exit_code == 1 and report.findings[0].kind == "wrong path or layout"
        assert named in report.findings[0].message


def test_unknown_name_is_refused(tmp_path):
    with pytest.raises(ValueError, match="mnist"):
        check("mnist", tmp_path)


def test_strict_makes_warnings_fail(sketchy):
    assert run(sketchy.root).exit_code == 0
    report = run(sketchy.root, strict=True)
    assert report.exit_code == 1 and "strict" in report.verdict


def test_published_counts_are_recognised(sketchy, monkeypatch):
    from sketchfast.data import published

    counts = {"seen classes": 3, "unseen classes": 2, "unseen sketches": 8, "unseen photos": 6}
    monkeypatch.setitem(published.COUNTS, ("sketchy", "zeroshot1"), counts)
    report = run(sketchy.root, strict=True)
    assert report.ok and any("as published" in finding.message for finding in report.findings)
    monkeypatch.setitem(published.COUNTS, ("sketchy", "zeroshot1"), counts | {"unseen photos": 5})
    report = run(sketchy.root)
    assert any("not as published" in f.message and "6 of published 5" in f.text() for f in report.findings)


def test_photos_named_twice_through_extend_are_expected(sketchy):
    for label, name in enumerate(("dog", "hot-air_balloon")):
        for path in sketchy.photos[name]:
            copy = path.replace(PHOTOS, "256x256/EXTEND_image_sketchy_ready")
            (sketchy.root / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(sketchy.root / path, sketchy.root / copy)
            append(PHOTO_ZERO, f"{copy} {label}")(sketchy)
    report = run(sketchy.root)
    hits = [finding for finding in report.findings if finding.kind == "repeated photos"]
    assert report.ok and len(hits) == 1 and "6 photos twice" in hits[0].message
    assert not [finding for finding in report.findings if finding.kind == "repeated content"]


def test_names_only(sketchy):
    truncate(sketchy)
    report = run(sketchy.root, decode=False)
    assert report.ok and any(finding.kind == "not decoded" for finding in report.findings)


def test_folder_layout(world):
    world.fill("sketch", "photo")
    report = check("folder", world.root, progress=False)
    assert report.ok and not report.of("warning")
    assert report.counts["sketches on disk"] == {
        "files": 20,
        "classes": dict.fromkeys(["alarm clock", "car_(sedan)", "cat", "dog", "hot-air_balloon"], 4),
    }


def test_printing(sketchy, capsys):
    from rich.console import Console

    report = run(sketchy.root)
    report.print(Console(width=400), per_class=True)
    printed = capsys.readouterr().out
    assert all(line in printed for line in report.lines) and "car_(sedan) 4" in printed


def test_real_sketchy_subset_is_told_truly(data_root):
    """Against an independent count of the folders and lists."""
    root = data_root / "Sketchy"
    report = run(root)
    assert report.exit_code == 0 and not report.of("error"), report.lines
    for modality, plural in (("sketch", "sketches"), ("photo", "photos")):
        on_disk = Counter(path.parent.name for path in root.glob(f"256x256/{modality}/*/*/*"))
        assert report.counts[f"{plural} on disk"]["classes"] == dict(on_disk) and len(on_disk) == 125
    for split, seen, unseen in (("zeroshot1", 100, 25), ("zeroshot0", 104, 21)):
        for what, role, modality in (
            ("train sketches", "train", "sketch_tx_000000000000_ready"),
            ("unseen sketches", "zero", "sketch_tx_000000000000_ready"),
            ("unseen photos", "zero", "all_photo"),
        ):
            text = (root / split / f"{modality}_filelist_{role}.txt").read_text()
            entry = report.counts[f"{split} / {what}"]
            assert entry["files"] == text.count("\n") and len(entry["classes"]) == (
                unseen if role == "zero" else seen
            )
    drawn = {
        (path.parent.name, path.stem.rsplit("-", 1)[0]) for path in root.glob("256x256/sketch/*/*/*.png")
    }
    photos = {(path.parent.name, path.stem) for path in root.glob("256x256/photo/*/*/*.jpg")}
    assert drawn <= photos
    text = "\n".join(report.lines)
    assert f"{len(drawn):,} of {len(photos):,} photos have sketches drawn from them" in text
    assert "zeroshot1: subset: unseen sketches 500 of published 15,229" in text
    assert "160 of 2,500 sketches on disk are in no list of zeroshot1" in text
