"""Commands on many sketch files: which files a command line means, and what the pictures of each are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sketchfast.runtime.sketch_files import (
    SKETCH_EXTENSIONS,
    SketchFile,
    check_writable,
    named_as_file,
    sketches_of,
)
from sketchfast.runtime.strokes import split_index

PARTS, MASK, LANDMARKS = "-parts.png", "-mask.png", "-landmarks.png"  # ends of the names of what we write


@dataclass(frozen=True)
class SketchJob:
    """A sketch to read and the files to write; ``mask`` None where none is wanted.

    shown: what to call it in text: its file name, or its whole name where several sketches of the call share that.
    """

    sketch: SketchFile
    picture: Path
    mask: Path | None
    shown: str


def sketch_jobs(
    sketches: Sequence[str],
    out: str | None,
    picture: str,
    check: Callable[[Path], None],
    *,
    masks: bool = False,
) -> list[SketchJob]:
    """One job for each sketch; folders stand for the sketches below them, ndjson files for all their drawings.

    out: a .png file for a single sketch, else a folder (made when needed, the current one by default; one with a slash at
    its end is a folder whatever its name), in which the pictures of a folder keep its sub-folders. picture: the end of the
    pictures' names; with "-parts.png" a sketch.png gives sketch-parts.png (and sketch-mask.png with masks), drawing 7 of
    file.ndjson file-7-parts.png; names that would meet get the sketch's extension, then a number. Pictures with names as
    ours, and names that start with a dot, are no sketches of a folder. check: raises where a file is not ours to write.

    Raises FileNotFoundError, or ValueError for a folder without sketches, one file for several sketches, or an output that
    is named as another kind of picture; OSError where nothing can be written, FileExistsError where a file is in the way.
    """
    found: list[SketchFile] = []
    for item in sketches:
        below = list(sketches_of(item))
        if Path(item).is_dir():
            below = [one for one in below if not one.place.name.endswith((PARTS, MASK, LANDMARKS))]
            if not below:
                looked_for = ", ".join(sorted(SKETCH_EXTENSIONS))
                raise ValueError(f"{item}: no sketch in it (looked for {looked_for})")
        found += below
    if not found:
        raise ValueError("no sketch given: name at least one file or folder")
    jobs = _jobs(found, out, picture, masks)
    files = [file for job in jobs for file in (job.picture, job.mask) if file is not None]
    for file in files:
        check(file)
    check_writable(files)
    return jobs


def _jobs(found: list[SketchFile], out: str | None, picture: str, masks: bool) -> list[SketchJob]:
    folder = Path(out or "")
    if out is not None and named_as_file(out):
        if len(found) > 1:
            files = {split_index(one.name)[0] for one in found}
            hint = f", or name one drawing: {files.pop()}:N" if len(files) == 1 else ""
            raise ValueError(f"--out {out} is one file for {len(found)} sketches: give a folder{hint}")
        if folder.suffix.lower() != ".png":
            what = "is a file that is no .png" if folder.exists() else "is the name of a file that is no .png"
            raise ValueError(f"--out {out} {what}, expected a folder or a .png file")
        stem = folder.with_name(folder.stem.removesuffix(picture[: -len(".png")]))
        return [SketchJob(found[0], folder, Path(f"{stem}{MASK}") if masks else None, _file_name(found[0]))]
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"--out {out} is a file that is no .png, expected a folder or a .png file")
    shown = [_file_name(one) for one in found]
    shared = Counter(shown)
    jobs: list[SketchJob] = []
    for one, short, stem in zip(found, shown, unique_stems([one.place for one in found])):
        mask = folder / f"{stem}{MASK}" if masks else None
        name = short if shared[short] == 1 else one.name
        jobs.append(SketchJob(one, folder / f"{stem}{picture}", mask, name))
    return jobs


def unique_stems(places: Sequence[Path]) -> list[Path]:
    """The paths without their extensions; of those that would meet, with it after a dash (a-png), then a number (a-png-2)."""
    result: list[Path] = []
    taken: set[Path] = set()
    plain = [place.with_suffix("") for place in places]
    shared = Counter(plain)
    for place, short in zip(places, plain):
        stem = short if shared[short] == 1 else place.with_name(place.name.replace(".", "-"))
        unique, number = stem, 2
        while unique in taken:
            unique, number = stem.with_name(f"{stem.name}-{number}"), number + 1
        taken.add(unique)
        result.append(unique)
    return result


def _file_name(sketch: SketchFile) -> str:
    """The last part of what was named: `file.png`, `file.ndjson:7`."""
    return Path(sketch.name).name
