"""Checks of the files themselves: class folders, decoding, repeated content, Sketchy's sketch-photo pairs."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from sketchfast.data.image_set import run_threads
from sketchfast.data.layouts import FoundLayout, class_key, is_readable, list_class_folders, namesakes
from sketchfast.data.report import Report
from sketchfast.runtime.pictures import FORMATS, read_photo
from sketchfast.runtime.sketches import read_sketch

_FORMAT_OF = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".gif": "GIF", ".webp": "WEBP", ".bmp": "BMP"}
_ORDINARY_MODES = ("L", "RGB")


@dataclass(frozen=True)
class _Picture:
    """What decoding one file told; problem: why it failed, None if it did not."""

    path: str
    problem: str | None = None
    digest: bytes = b""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    format: str = ""
    guessed: str | None = None
    blank: bool = False


def check_files(
    found: FoundLayout,
    report: Report,
    sides: dict[str, set[str]],
    *,
    decode: bool = True,
    progress: bool = True,
    threads: int | None = None,
) -> None:
    """Adds counts and findings; sides: "<split>/seen" and "<split>/unseen" -> the paths that lists name."""
    files = {modality: _scan(found, modality, report) for modality in ("sketch", "photo")}
    _check_both_modalities(found, report)
    for modality, paths in files.items():
        plural = "sketches" if modality == "sketch" else "photos"
        report.count(f"{plural} on disk", dict(Counter(PurePosixPath(path).parent.name for path in paths)))
        for split in sorted({side.split("/")[0] for side in sides}):
            listed = sides[f"{split}/seen"] | sides[f"{split}/unseen"]
            unlisted = [path for path in paths if path not in listed]
            if unlisted:
                text = f"{len(unlisted):,} of {len(paths):,} {plural} on disk are in no list of {split}"
                report.add("info", "unlisted files", text)
    if not decode:
        report.add("info", "not decoded", "pictures were not decoded (names, sizes and lists only)")
        return
    check_pictures(found.root, files, sides, report, progress=progress, threads=threads)


def check_pictures(
    root: Path,
    files: dict[str, list[str]],
    sides: dict[str, set[str]],
    report: Report,
    *,
    progress: bool = True,
    threads: int | None = None,
) -> None:
    """Decodes and hashes pictures and adds findings; files: modality -> paths below root; sides as in `check_files`."""
    digests: dict[bytes, list[str]] = defaultdict(list)
    for modality, paths in files.items():

        def examine(i: int, modality: str = modality, paths: list[str] = paths) -> _Picture:
            return _examine(root, paths[i], modality)

        pictures = run_threads(examine, len(paths), f"checking {modality} files", progress, threads)
        _report_pictures(modality, pictures, report)
        for picture in pictures:
            if picture.digest:
                digests[picture.digest].append(picture.path)
    _check_repeated_content([paths for paths in digests.values() if len(paths) > 1], sides, report)


def _scan(found: FoundLayout, modality: str, report: Report) -> list[str]:
    """Paths (relative to the root) of the pictures; reports empty folders, empty files and strangers."""
    paths: list[str] = []
    empty, zero, strange, broken = [], [], [], []
    for top in found.folders(modality):
        for folder in list_class_folders(top).values():
            count = 0
            with os.scandir(folder) as items:
                for item in sorted(items, key=lambda item: item.name):
                    path = Path(item.path).relative_to(found.root).as_posix()
                    if item.is_symlink() and not os.path.exists(item.path):
                        broken.append(path)
                    elif item.name.startswith(".") or item.name == "Thumbs.db":
                        continue
                    elif item.is_dir() or not is_readable(item.name, modality):
                        strange.append(path)
                    elif item.stat().st_size == 0:
                        zero.append(path)
                        count += 1
                    else:
                        paths.append(path)
                        count += 1
            if count == 0:
                empty.append(folder.relative_to(found.root).as_posix())
    plural = "sketches" if modality == "sketch" else "photos"
    for level, kind, text, listed in (
        ("error", "empty class folder", f"folders of {plural} without a picture", empty),
        ("error", "empty file", f"{plural} of 0 bytes", zero),
        ("error", "broken link", f"{plural} that are links to nothing", broken),
        ("warning", "unexpected file", f"not a picture by its name, among the {plural}; left out", strange),
    ):
        if listed:
            report.add(level, kind, text, listed)
    return paths


def _check_both_modalities(found: FoundLayout, report: Report) -> None:
    spelled: dict[str, dict[str, str]] = {"sketch": {}, "photo": {}}
    for modality, names in spelled.items():
        for top in found.folders(modality):
            for same in namesakes(top):
                text = f"{modality} class folders that differ only in case, '_', '-', blanks or how accents are stored"
                report.add("error", "classes with one name", text, same)
            names |= {class_key(name): name for name in list_class_folders(top)}
    for modality, other in (("sketch", "photo"), ("photo", "sketch")):
        lacking = [spelled[other][key] for key in sorted(set(spelled[other]) - set(spelled[modality]))]
        if lacking:
            plural = "sketches" if modality == "sketch" else "photos"
            report.add("error", f"class without {plural}", f"classes with {other} files only", lacking)
    differing = [
        f"{name} / {spelled['photo'][key]}"
        for key, name in spelled["sketch"].items()
        if spelled["photo"].get(key, name) != name
    ]
    if differing:
        report.add("info", "spelling", "class folders spelled differently for sketches and photos", differing)


def _examine(root: Path, path: str, modality: str) -> _Picture:
    file = root / path
    try:
        digest = hashlib.blake2b(file.read_bytes(), digest_size=16).digest()
        if file.suffix.lower() == ".svg":
            read_sketch(file)
            return _Picture(path, digest=digest, format="SVG")
        if modality == "photo":
            read_photo(file)
            guessed, blank = None, False
        else:
            sketch = read_sketch(file, allow_blank=True)
            guessed, blank = sketch.guessed, bool(sketch.image.min() == 255)
        with Image.open(file, formats=FORMATS) as picture:
            return _Picture(
                path, None, digest, picture.size, picture.mode, picture.format or "", guessed, blank
            )
    except (OSError, ValueError, MemoryError) as error:
        return _Picture(path, problem=str(error).replace(str(file), path))


def _report_pictures(modality: str, pictures: list[_Picture], report: Report) -> None:
    plural = "sketches" if modality == "sketch" else "photos"
    failed = [picture.problem for picture in pictures if picture.problem is not None]
    if failed:
        report.add("error", "undecodable", f"{len(failed):,} of {len(pictures):,} {plural}", failed)
    good = [picture for picture in pictures if picture.problem is None and picture.format != "SVG"]
    renamed = [
        f"{picture.path} is {picture.format}"
        for picture in good
        if _FORMAT_OF.get(PurePosixPath(picture.path).suffix.lower(), picture.format)
        != picture.format.replace("MPO", "JPEG")
    ]
    if renamed:
        report.add("warning", "extension and content differ", f"{plural}; read by their content", renamed)
    sizes = Counter(picture.size for picture in good)
    if sizes:
        shown = [f"{width} x {height}: {n:,}" for (width, height), n in sizes.most_common()]
        report.add("info", "sizes", f"{plural}, width x height", shown)
    odd = [f"{p.path} ({p.size[0]} x {p.size[1]})" for p in good if p.size[0] != p.size[1]]
    if odd and modality == "sketch":
        report.add("info", "not square", f"{len(odd):,} of {len(good):,} {plural}", odd)
    if modality == "sketch":
        modes = [
            f"{picture.path} ({picture.mode})" for picture in good if picture.mode not in _ORDINARY_MODES
        ]
        if modes:
            report.add("info", "unusual mode", f"{len(modes):,} of {len(good):,} sketches", modes)
        guesses = [f"{picture.path} ({picture.guessed})" for picture in good if picture.guessed]
        if guesses:
            report.add("info", "polarity guessed", f"{len(guesses):,} of {len(good):,} sketches", guesses)
        blank = [picture.path for picture in good if picture.blank]
        if blank:
            report.add("warning", "blank", f"{len(blank):,} of {len(good):,} sketches show no ink", blank)


def _check_repeated_content(groups: list[list[str]], sides: dict[str, set[str]], report: Report) -> None:
    crossing: dict[str, list[str]] = defaultdict(list)
    across_classes, within = [], []
    for group in groups:
        text = " = ".join(group)
        for split in sorted({side.split("/")[0] for side in sides}):
            if not sides[f"{split}/seen"].isdisjoint(group) and not sides[f"{split}/unseen"].isdisjoint(
                group
            ):
                crossing[split].append(text)
        if len({PurePosixPath(path).parent.name for path in group}) > 1:
            across_classes.append(text)
        elif not any("EXTEND" in path for path in group):
            within.append(text)
    for split, texts in crossing.items():
        text = f"{split}: the same picture on the seen and the unseen side"
        report.add("error", "repeated content across the split", text, texts)
    if across_classes:
        report.add("warning", "repeated content", "the same picture in different classes", across_classes)
    if within:
        report.add("warning", "repeated content", "the same picture under several names of one class", within)


def check_instances(found: FoundLayout, report: Report) -> None:
    """Sketchy's naming rule: sketch `<photo>-<k>.png` was drawn from `<photo>.jpg` of the same class."""
    photos = {
        (folder.name, os.path.splitext(name)[0])
        for top in found.photo_folders
        for folder in list_class_folders(top).values()
        for name in os.listdir(folder)
    }
    named: set[tuple[str, str]] = set()
    orphans, unnamed = [], []
    for folder in list_class_folders(found.sketch_folder).values():
        for name in sorted(os.listdir(folder)):
            if not is_readable(name, "sketch") or name.startswith("."):
                continue
            photo, dash, number = os.path.splitext(name)[0].rpartition("-")
            if not dash or not number.isdecimal():
                unnamed.append(f"{folder.name}/{name}")
            elif (folder.name, photo) in photos:
                named.add((folder.name, photo))
            else:
                orphans.append(f"{folder.name}/{name} (photo {photo})")
    if orphans:
        report.add("warning", "sketch without its photo", f"{len(orphans):,} sketches", orphans)
    if unnamed:
        report.add("info", "no photo named", f"{len(unnamed):,} sketch names are not <photo>-<k>", unnamed)
    report.add("info", "pairs", f"{len(named):,} of {len(photos):,} photos have sketches drawn from them")
