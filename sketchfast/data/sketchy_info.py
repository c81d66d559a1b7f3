"""What Sketchy's own `info` folder says: its test photos, and the sketches that people found invalid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sketchfast.data.layouts import FoundLayout, class_key

_ENDINGS = (".png", ".svg", ".jpg")


def original_test_photos(found: FoundLayout) -> set[tuple[str, str]]:
    """(`class_key`, photo stem) of Sketchy's own test photos: lines `<class>/<photo>.jpg` of info/testset.txt."""
    folder = info_folder(found)
    if folder is None or not (folder / "testset.txt").is_file():
        return set()
    photos = (PurePosixPath(line) for _, line in _lines(folder / "testset.txt") if "/" in line)
    return {(class_key(photo.parent.name), photo.stem) for photo in photos}


def invalid_sketches(found: FoundLayout) -> dict[str, set[tuple[str | None, str]]]:
    """Name of each info/invalid-*.txt -> its sketches as (`class_key` or None, file stem).

    One sketch a line: `<photo>-<k>` as published, of whatever class; a class folder before it and an extension after it are
    understood. ValueError naming the line that is neither.
    """
    folder = info_folder(found)
    lists: dict[str, set[tuple[str | None, str]]] = {}
    for path in sorted(folder.glob("invalid-*.txt")) if folder is not None else []:
        lists[path.name] = set()
        for number, line in _lines(path):
            place, _, name = line.replace("\\", "/").rpartition("/")
            stem = name[:-4] if name.lower().endswith(_ENDINGS) else name
            photo, dash, count = stem.rpartition("-")
            if not (photo and dash and count.isdecimal()):
                raise ValueError(
                    f"{path}, line {number}: expected a sketch `<photo>-<k>` or `<class>/<photo>-<k>`, found {line[:80]!r}"
                )
            lists[path.name].add((class_key(PurePosixPath(place).name) if place else None, stem))
    return lists


def info_folder(found: FoundLayout) -> Path | None:
    """Where the info folder lies: in the root of the layout, or beside it as the archives unpack."""
    if found.dataset != "sketchy":
        return None
    folders = (found.root / "info", found.root.parent / "info")
    return next((folder for folder in folders if folder.is_dir()), None)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank; a byte-order mark and Windows line ends are read over."""
    for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
        if line.strip():
            yield number, line.strip()
