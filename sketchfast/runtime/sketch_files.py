"""Which sketches a command line means by a file or folder, and whether its output can be written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sketchfast.runtime.pictures import EXTENSIONS
from sketchfast.runtime.sketches import SketchImage, read_sketch
from sketchfast.runtime.strokes import draw, ndjson_lines, parse_drawing, split_index

SKETCH_EXTENSIONS = EXTENSIONS | {".svg", ".ndjson"}


@dataclass(frozen=True)
class SketchFile:
    """One sketch to read.

    name: its path, or `file.ndjson:7` for a drawing. place: its path below the folder that was named, else its file name;
    drawing 7 of file.ndjson has file-7.ndjson there. line: the drawing itself, where a whole ndjson file was meant.
    error: why there is nothing to read.
    """

    name: str
    place: Path
    line: bytes | None = None
    error: Exception | None = None

    def read(self, canvas: int = 256) -> SketchImage:
        """As `read_sketch` with blank sketches allowed; raises what it raises, and `error`."""
        if self.error is not None:
            raise self.error
        if self.line is None:
            return read_sketch(self.name, canvas=canvas, allow_blank=True)
        return SketchImage(draw(parse_drawing(self.line, self.name), canvas))


def sketches_of(source: str, recursive: bool = True) -> Iterator[SketchFile]:
    """The sketch itself; every drawing of an ndjson file; every sketch of a folder, and of those below it.

    In folders, files and folders whose name starts with a dot are left out: copies of other programs, not sketches.
    An ndjson file or folder that cannot be read is one SketchFile with its error. The source need not exist.
    """
    file, number = split_index(source)
    if not file.is_dir():
        if number is not None:
            yield SketchFile(source, Path(f"{file.stem}-{number}{file.suffix}"))
        elif file.suffix.lower() == ".ndjson":
            yield from _drawings(file, Path(file.name))
        else:
            yield SketchFile(source, Path(file.name))
        return
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(file, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for name in sorted(names):
            path = Path(parent) / name
            if name.startswith(".") or path.suffix.lower() not in SKETCH_EXTENSIONS:
                continue
            place = path.relative_to(file)
            if path.suffix.lower() == ".ndjson":
                yield from _drawings(path, place)
            else:
                yield SketchFile(str(path), place)
    for error in unreadable:
        yield SketchFile(str(error.filename), Path(os.path.relpath(error.filename, file)), error=error)


def _drawings(file: Path, place: Path) -> Iterator[SketchFile]:
    count = 0
    try:
        for line in ndjson_lines(file):
            yield SketchFile(f"{file}:{count}", place.with_name(f"{place.stem}-{count}{place.suffix}"), line)
            count += 1
        if not count:
            raise ValueError(f"{file} holds no drawing")
    except (ValueError, OSError) as error:
        yield SketchFile(str(file), place, error=error)


def named_as_file(out: str | os.PathLike[str]) -> bool:
    """Whether an output is named as a sketch or picture: it has such an extension, no slash at its end, and is no folder."""
    text = os.fspath(out)
    return (
        not text.endswith(("/", os.sep))
        and Path(text).suffix.lower() in SKETCH_EXTENSIONS
        and not Path(text).is_dir()
    )


def check_writable(files: Iterable[Path]) -> None:
    """OSError ("cannot write to ...") where a file cannot be made in its folder. Missing folders count as their nearest
    parent; nothing stays behind."""
    tried: set[Path] = set()
    for folder in {file.parent for file in files}:
        place = folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        if place in tried:
            continue
        tried.add(place)
        if not place.is_dir():
            raise NotADirectoryError(f"cannot write to {folder}: {place} is a file, expected a folder")
        try:
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            # Of /proc and the like the system says "no such file", which misleads: the folder is there.
            why = "no file can be made in it" if error.errno == errno.ENOENT else error.strerror
            where = "" if place == folder.absolute() else f" ({place})"
            raise type(error)(f"cannot write to {folder}{where}: {why}") from error
