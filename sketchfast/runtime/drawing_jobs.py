"""Which photos a command line means to be drawn, and what the files of their drawings are called."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from sketchfast.retrieval.gallery_photos import list_photos
from sketchfast.runtime.drawing_picture import ANIMATIONS
from sketchfast.runtime.pictures import check_file
from sketchfast.runtime.sketch_files import check_writable
from sketchfast.runtime.sketch_jobs import unique_stems

DRAWING_EXTENSIONS = (".svg", ".png", ".npy")  # of files with one drawing


@dataclass(frozen=True)
class DrawingJob:
    """A photo, and the files for its drawings: one each, or none where all go into one ndjson file.

    key: what the photo's drawings are called there.
    """

    photo: Path
    key: str
    files: list[Path]
    animations: list[Path]


def drawing_jobs(
    photos: Sequence[str], out: str, animation: str | None, count: int, overwrite: bool = False
) -> tuple[list[DrawingJob], Path | None]:
    """A job for each photo, folders standing for the photos below them; and the ndjson file for all, where that is wanted.

    out, animation: a file, whose extension says what is written, for one photo (k.svg gives k-1.svg, k-2.svg, ... for several
    drawings), else a folder for SVG or GIF files named as the photos. Raises FileNotFoundError; ValueError for a folder without
    photos, one file for several photos, and other extensions; FileExistsError for a file that is there, unless `overwrite`;
    OSError where nothing can be written.
    """
    found: list[tuple[Path, Path]] = []  # a photo, and its place below what was named
    for name in photos:
        path = Path(name)
        if path.is_dir():
            found += [(photo, photo.relative_to(path)) for photo in list_photos(path)]
        else:
            found.append((check_file(path), Path(path.name)))
    if not found:
        raise ValueError("no photo given: name at least one file or folder")
    stems = unique_stems([place for _, place in found])
    together = Path(out) if Path(out).suffix.lower() == ".ndjson" and not _is_folder(out) else None
    files: list[list[Path]] = [[] for _ in stems]
    animations: list[list[Path]] = [[] for _ in stems]
    if together is None:
        files = _targets(
            "--out", out, stems, count, DRAWING_EXTENSIONS, ".svg", " or .ndjson for all drawings in one"
        )
    if animation is not None:
        animations = _targets("--animation", animation, stems, count, ANIMATIONS, ".gif")
    jobs = [
        DrawingJob(photo, stem.as_posix(), own, moving)
        for (photo, _), stem, own, moving in zip(found, stems, files, animations)
    ]
    written = [file for job in jobs for file in (*job.files, *job.animations)]
    written += [together] if together else []
    _check_files(written, {job.photo.resolve() for job in jobs}, overwrite)
    return jobs, together


def _targets(
    option: str,
    out: str,
    stems: Sequence[Path],
    count: int,
    allowed: Collection[str],
    extension: str,
    more: str = "",
) -> list[list[Path]]:
    """The files of each photo's drawings."""
    folder = Path(out)
    if _is_folder(out):
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{option} {out} is a file, expected a folder")
        bases = [folder / f"{stem}{extension}" for stem in stems]
    elif len(stems) > 1:
        raise ValueError(f"{option} {out} is one file for {len(stems)} photos: give a folder{more}")
    elif folder.suffix.lower() not in allowed:
        raise ValueError(f"{option} {out}: expected a folder, or a file named {', '.join(allowed)}{more}")
    else:
        bases = [folder]
    if count == 1:
        return [[base] for base in bases]
    return [[base.with_name(f"{base.stem}-{k}{base.suffix}") for k in range(1, count + 1)] for base in bases]


def _is_folder(out: str) -> bool:
    return out.endswith("/") or Path(out).is_dir() or not Path(out).suffix


def _check_files(files: Sequence[Path], photos: set[Path], overwrite: bool) -> None:
    taken: set[Path] = set()
    for file in files:
        if file in taken:
            raise ValueError(
                f"{file} is the name of two files to write: give --out and --animation other ones"
            )
        taken.add(file)
        if file.resolve() in photos:
            raise ValueError(f"{file} is one of the photos: give --out and --animation other names")
        if file.is_dir():
            raise IsADirectoryError(f"{file} is a folder, expected a name for a file")
        if file.exists() and not overwrite:
            raise FileExistsError(f"{file} exists already; choose another name, or allow it with --overwrite")
    check_writable(files)
