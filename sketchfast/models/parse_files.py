"""Parsing many sketch files: which files a command line means, and what the pictures of each are called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sketchfast.runtime.pictures import EXTENSIONS
from sketchfast.runtime.strokes import split_index

_SKETCH_EXTENSIONS = EXTENSIONS | {".svg", ".ndjson"}
_PICTURE, _MASK = "-parts.png", "-mask.png"


@dataclass(frozen=True)
class ParseJob:
    """A sketch to read (a path, or `file.ndjson:7`) and the files to write; ``mask`` None where none is wanted."""

    sketch: str
    picture: Path
    mask: Path | None


def parse_jobs(sketches: Sequence[str], out: Path | None, masks: bool) -> list[ParseJob]:
    """One job for each sketch; folders stand for the sketches below them.

    out: a .png file for a single sketch, else a folder (made when needed, the current one by default), in which the
    pictures of a folder keep its sub-folders. A sketch.png gives sketch-parts.png and sketch-mask.png; names that would
    meet get the sketch's extension, then a number. Pictures that this command wrote are no sketches.

    Raises FileNotFoundError, or ValueError for a folder without sketches or one file for several sketches.
    """
    found: list[tuple[str, Path]] = []  # what to read, its name below the output folder
    for item in sketches:
        found += _below(Path(item)) if Path(item).is_dir() else [(item, Path(_named(item)))]
    if not found:
        raise ValueError("no sketch given: name at least one file or folder")
    if out is not None and out.suffix.lower() == ".png" and not out.is_dir():
        if len(found) > 1:
            raise ValueError(f"--out {out} is one file for {len(found)} sketches: give a folder")
        stem = out.with_name(out.stem.removesuffix(_PICTURE[: -len(".png")]))
        return [ParseJob(found[0][0], out, Path(f"{stem}{_MASK}") if masks else None)]
    if out is not None and out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out {out} is a file that is no .png, expected a folder or a .png file")
    jobs: list[ParseJob] = []
    taken: set[Path] = set()
    stems = [name.with_suffix("") for _, name in found]
    for (sketch, name), plain in zip(found, stems):
        stem = plain if stems.count(plain) == 1 else name.with_name(name.name.replace(".", "-"))
        unique, number = stem, 2
        while unique in taken:
            unique, number = stem.with_name(f"{stem.name}-{number}"), number + 1
        taken.add(unique)
        place = (out or Path()) / unique
        jobs.append(ParseJob(sketch, Path(f"{place}{_PICTURE}"), Path(f"{place}{_MASK}") if masks else None))
    return jobs


def _named(item: str) -> str:
    """The file's name; `file.ndjson:7` counts as file-7.ndjson."""
    file, number = split_index(item)
    return file.name if number is None else f"{file.stem}-{number}{file.suffix}"


def _below(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in _SKETCH_EXTENSIONS and not name.endswith((_PICTURE, _MASK)):
                path = Path(parent) / name
                found.append((str(path), path.relative_to(folder)))
    if not found:
        raise ValueError(f"{folder}: no sketch in it (looked for {', '.join(sorted(_SKETCH_EXTENSIONS))})")
    return found
