"""Sketch files to pictures of their centrelines, one file or a folder with all below it."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from sketchfast import atomic
from sketchfast.runtime.sketch_files import (
    SKETCH_EXTENSIONS,
    SketchFile,
    check_writable,
    named_as_file,
    sketches_of,
)
from sketchfast.runtime.strokes import split_index

Method = Literal["skel", "thin", "zhang"]


@dataclass
class Skeletonized:
    """written: the files written. failed: (source, why) of those that could not be read. guessed: (source, what) where ink
    and ground had to be guessed."""

    written: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    guessed: list[tuple[str, str]] = field(default_factory=list)


_Job = tuple[SketchFile, Path]  # the sketch, and the PNG to write


def centreline(
    grey: np.ndarray, *, method: Method = "skel", homogeneous: bool = False, threshold: int = 128
) -> np.ndarray:
    """The centreline of a sketch, uint8 [H, W] with dark ink: uint8 [H, W], 0 on 255.

    threshold: levels below it are ink. homogeneous: `homogeneous_transform` (paper 1, Algorithm 1); it always thins as
    "skel" does.
    """
    from sketchfast.numpy_ops import homogeneous_transform, skeletonize

    if homogeneous:
        return homogeneous_transform(grey, threshold)
    return np.where(skeletonize(grey < threshold, method), 0, 255).astype(np.uint8)


def skeletonize_files(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    method: Method = "skel",
    homogeneous: bool = False,
    threshold: int = 128,
    recursive: bool = True,
    suffix: str = "",
    overwrite: bool = False,
    progress: bool = False,
) -> Skeletonized:
    """Write the centreline of each sketch, black on white, as a PNG of one channel.

    Args:
        source: a sketch (PNG, JPEG, ..., SVG, QuickDraw ndjson; `file.ndjson:7` for one drawing), or a folder of them.
        out: for one picture the PNG to write, or a folder, which exists or is written with a slash at its end; for a
            folder or a whole ndjson file the folder to write. Folders below `source` are kept, names that start with a dot
            left out; drawing n of an ndjson file becomes <name>-<n>.png.
        method, homogeneous, threshold: as `centreline`; threshold 1 to 255.
        recursive: take the folders below `source` as well.
        suffix: put between name and .png.
        overwrite: replace files that exist. Without it nothing is written when one exists.
        progress: show a progress bar.

    A file that cannot be read is noted in `failed`, and the others are still written; each appears whole or not at all.

    Raises:
        FileNotFoundError: no such source.
        FileExistsError: a target exists.
        OSError: the output cannot be written.
        ValueError: no sketch in the folder, out inside source or source inside out, two sketches with one target, one file
            for several sketches, a threshold outside 1..255, homogeneous with another method than "skel".
    """
    if method not in ("skel", "thin", "zhang"):
        raise ValueError(f"method: expected 'skel', 'thin' or 'zhang', found {method!r}")
    if homogeneous and method != "skel":
        raise ValueError(f"homogeneous: the transformation is defined with method 'skel', found {method!r}")
    if not 1 <= threshold <= 255:
        raise ValueError(f"threshold: expected 1 to 255, found {threshold}")
    if "/" in suffix or os.sep in suffix:
        raise ValueError(f"suffix: expected a part of a file name, found {suffix!r}")
    result = Skeletonized()
    jobs = _jobs(str(source), os.fspath(out), recursive, suffix)
    _check_targets(jobs, overwrite)
    for sketch, target in _track(jobs, progress):
        try:
            read = sketch.read()
        except (ValueError, OSError) as error:
            result.failed.append((sketch.name, str(error)))
            continue
        grey = np.ascontiguousarray(read.image[:, :, 0])
        picture = centreline(grey, method=method, homogeneous=homogeneous, threshold=threshold)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", optimize=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(target, buffer.getvalue())
        result.written.append(target)
        if read.guessed:
            result.guessed.append((sketch.name, read.guessed))
    return result


def _jobs(source: str, out: str, recursive: bool, suffix: str) -> list[_Job]:
    """Everything that `source` stands for."""
    (file, number), folder = split_index(source), Path(out)
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected a sketch or a folder of sketches")
    is_folder = folder.is_dir() or (out.endswith(("/", os.sep)) and not folder.exists())
    found = list(sketches_of(source, recursive))
    drawings = file.suffix.lower() == ".ndjson" and number is None
    if not file.is_dir() and len(found) == 1 and not is_folder and folder.suffix.lower() == ".png":
        return [(found[0], folder)]
    if not file.is_dir() and not drawings and not is_folder:
        raise ValueError(
            f"{folder}: expected a .png file to write, or a folder (that exists, or with / at its end)"
        )
    why = f"since {file} is one" if file.is_dir() else f"for the {len(found)} drawings of {file}"
    if folder.exists() and not is_folder:
        raise ValueError(f"{folder} is a file; expected a folder, {why}")
    if not is_folder and named_as_file(out):
        hint = f"; or take one as {file}:0, {file}:1, ..." if drawings else ""
        raise ValueError(f"{folder} is the name of a file; expected a folder, {why}{hint}")
    if file.is_dir():
        inner, outer = folder.resolve(), file.resolve()
        if inner.is_relative_to(outer) or outer.is_relative_to(inner):
            raise ValueError(f"{folder} and {file}: neither folder may be inside the other")
        if not found:
            looked_for = ", ".join(sorted(SKETCH_EXTENSIONS))
            raise ValueError(
                f"{file}: no sketch {'below' if recursive else 'in'} it (looked for {looked_for})"
            )
    return [(one, folder / one.place.with_name(f"{one.place.stem}{suffix}.png")) for one in found]


def _check_targets(jobs: list[_Job], overwrite: bool) -> None:
    """Before anything is written: no two sketches with one target, no source among the targets, nothing in the way."""
    jobs = [job for job in jobs if job[0].error is None]
    names: defaultdict[Path, list[str]] = defaultdict(list)
    for sketch, target in jobs:
        names[target].append(sketch.name)
    clashes = [(sources, target) for target, sources in names.items() if len(sources) > 1]
    if clashes:
        told = [
            f"{', '.join(sources[:-1])} and {sources[-1]} would {'both' if len(sources) == 2 else 'all'} become {target}"
            for sources, target in clashes
        ]
        if len(told) == 1:
            raise ValueError(f"{told[0]}; rename one of them")
        raise ValueError(
            "\n  ".join([f"{len(told)} names are wanted by several sketches; rename these:", *told])
        )
    originals = {split_index(sketch.name)[0].resolve() for sketch, _ in jobs}
    existing = []
    for target in names:
        if target.resolve() in originals:
            raise ValueError(f"{target} is one of the sketches to read; choose another name or a suffix")
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; expected a file to write")
        if target.exists():
            existing.append(target)
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more exist" if len(existing) > 1 else " exists"
        raise FileExistsError(f"{existing[0]}{more} already; pass --overwrite (overwrite=True) to replace")
    check_writable(names)


def _track(jobs: list[_Job], show: bool) -> Iterable[_Job]:
    if not show:
        return jobs
    from rich.progress import track

    return track(jobs, "Thinning sketches", transient=True)
