"""Sketch files to pictures of their centrelines, one file or a folder with all below it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from sketchfast import atomic
from sketchfast.runtime.pictures import EXTENSIONS
from sketchfast.runtime.sketches import SketchImage, read_sketch
from sketchfast.runtime.strokes import draw, ndjson_lines, parse_drawing, split_index

Method = Literal["skel", "thin", "zhang"]
SKETCH_EXTENSIONS = EXTENSIONS | {".svg", ".ndjson"}


@dataclass
class Skeletonized:
    """written: the files written. failed: (source, why) of those that could not be read. guessed: (source, what) where ink
    and ground had to be guessed."""

    written: list[Path] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    guessed: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Sketch:
    """One sketch to read and the PNG to write. line: the drawing itself, when it is one of an ndjson file."""

    name: str
    target: Path
    line: bytes | None = None

    def read(self) -> SketchImage:
        if self.line is None:
            return read_sketch(self.name, allow_blank=True)
        return SketchImage(draw(parse_drawing(self.line, self.name)))


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
        out: for one picture the PNG to write, or a folder that exists; for a folder or a whole ndjson file the folder to
            write. Folders below `source` are kept; drawing n of an ndjson file becomes <name>-<n>.png.
        method, homogeneous, threshold: as `centreline`; threshold 1 to 255.
        recursive: take the folders below `source` as well.
        suffix: put between name and .png.
        overwrite: replace files that exist. Without it nothing is written when one exists.
        progress: show a progress bar.

    A file that cannot be read is noted in `failed`, and the others are still written; each appears whole or not at all.

    Raises:
        FileNotFoundError: no such source.
        FileExistsError: a target exists.
        ValueError: no sketch in the folder, out inside source or source inside out, two sketches with one target, a
            threshold outside 1..255, homogeneous with another method than "skel".
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
    sketches = list(_sketches(str(source), Path(out), recursive, suffix, result))
    _check_targets(sketches, overwrite)
    for sketch in _track(sketches, progress):
        try:
            read = sketch.read()
        except (ValueError, OSError) as error:
            result.failed.append((sketch.name, str(error)))
            continue
        grey = np.ascontiguousarray(read.image[:, :, 0])
        picture = centreline(grey, method=method, homogeneous=homogeneous, threshold=threshold)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "PNG", optimize=True)
        sketch.target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_bytes(sketch.target, buffer.getvalue())
        result.written.append(sketch.target)
        if read.guessed:
            result.guessed.append((sketch.name, read.guessed))
    return result


def _sketches(
    source: str, out: Path, recursive: bool, suffix: str, result: Skeletonized
) -> Iterator[_Sketch]:
    """Everything that `source` stands for."""
    file, number = split_index(source)
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist; expected a sketch or a folder of sketches")
    if not file.is_dir():
        if file.suffix.lower() == ".ndjson" and number is None:
            if out.exists() and not out.is_dir():
                raise ValueError(f"{out} is a file; expected a folder for the drawings of {file}")
            yield from _drawings(file, out, suffix, result)
            return
        name = file.stem + ("" if number is None else f"-{number}") + suffix + ".png"
        if not out.is_dir() and out.suffix.lower() != ".png":
            raise ValueError(f"{out}: expected a .png file to write, or a folder that exists")
        yield _Sketch(source, out / name if out.is_dir() else out)
        return
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; expected a folder, since {file} is one")
    inner, outer = out.resolve(), file.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ValueError(f"{out} and {file}: neither folder may be inside the other")
    found = sorted(
        path
        for path in (file.rglob("*") if recursive else file.glob("*"))
        if path.suffix.lower() in SKETCH_EXTENSIONS and not path.is_dir()
    )
    if not found:
        looked_for = ", ".join(sorted(SKETCH_EXTENSIONS))
        raise ValueError(f"{file}: no sketch {'below' if recursive else 'in'} it (looked for {looked_for})")
    for path in found:
        folder = out / path.parent.relative_to(file)
        if path.suffix.lower() == ".ndjson":
            yield from _drawings(path, folder, suffix, result)
        else:
            yield _Sketch(str(path), folder / f"{path.stem}{suffix}.png")


def _drawings(file: Path, folder: Path, suffix: str, result: Skeletonized) -> Iterator[_Sketch]:
    try:
        for number, line in enumerate(ndjson_lines(file)):
            yield _Sketch(f"{file}:{number}", folder / f"{file.stem}-{number}{suffix}.png", line)
    except (ValueError, OSError) as error:
        result.failed.append((str(file), str(error)))


def _check_targets(sketches: list[_Sketch], overwrite: bool) -> None:
    """Before anything is written: no two sketches with one target, no source among the targets, nothing in the way."""
    taken: dict[Path, str] = {}
    sources = {split_index(sketch.name)[0].resolve() for sketch in sketches}
    existing = []
    for sketch in sketches:
        target = sketch.target
        if target in taken:
            raise ValueError(
                f"{taken[target]} and {sketch.name} would both become {target}; rename one of them"
            )
        taken[target] = sketch.name
        if target.resolve() in sources:
            raise ValueError(f"{target} is one of the sketches to read; choose another name or a suffix")
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder; expected a file to write")
        if target.exists():
            existing.append(target)
    if existing and not overwrite:
        more = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise FileExistsError(
            f"{existing[0]}{more} exist already; pass --overwrite (overwrite=True) to replace"
        )


def _track(sketches: list[_Sketch], show: bool) -> Iterable[_Sketch]:
    if not show:
        return sketches
    from rich.progress import track

    return track(sketches, "Thinning sketches", transient=True)
