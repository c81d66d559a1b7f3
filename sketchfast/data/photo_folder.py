"""A folder of photos that nobody drew, as it lies on somebody's disk."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sketchfast.data.image_set import FileImageSet, ImageSet, run_threads
from sketchfast.data.layouts import is_readable
from sketchfast.runtime.pictures import FORMATS, MAX_PIXELS


def read_photo_folder(
    root: str | os.PathLike[str],
    name: str,
    known: Iterable[ImageSet] = (),
    notes: list[str] | None = None,
    progress: bool = True,
) -> FileImageSet:
    """Every picture below `root`, in any sub-folders, as photos of one class; ids are paths below it, sorted.

    name: of the class. known: photos of labelled and test sets; those of the folder with the same bytes are left out, and of
    several with the same bytes all but the first. notes: gets what was left out. Files with a name that is not a picture's, and
    hidden ones, are not looked at.
    Raises FileNotFoundError for a wrong path or a folder without pictures, and ValueError naming the files (up to 20) that are
    empty, no picture by their first bytes, or too large. Damage further in is named when they are decoded.
    """
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"unlabelled {top} {kind}; expected a folder of photos")
    paths = _pictures_below(top)
    if not paths:
        raise FileNotFoundError(f"unlabelled {top} holds no pictures, in it or in its sub-folders")
    told = run_threads(lambda i: _problem(top / paths[i]), len(paths), "looking at photos", progress)
    problems = [f"{path}: {problem}" for path, problem in zip(paths, told, strict=True) if problem]
    if problems:
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise ValueError(
            f"unlabelled {top}: {len(problems):,} of {len(paths):,} files cannot be read:\n  "
            + "\n  ".join(problems[:20])
            + more
        )
    taken = [path for images in known if isinstance(images, FileImageSet) for path in images.paths]
    labelled, repeated = _same_bytes([top / path for path in paths], taken)
    said = notes if notes is not None else []
    for rows, why in ((labelled, "are labelled or test photos too"), (repeated, "repeat an earlier one")):
        if rows:
            said.append(
                f"{len(rows):,} of {len(paths):,} unlabelled photos left out, whose bytes {why}: {paths[rows[0]]}"
                + (", ..." if len(rows) > 1 else "")
            )
    left_out = set(labelled) | set(repeated)
    kept = [path for i, path in enumerate(paths) if i not in left_out]
    return FileImageSet(top, kept, np.zeros(len(kept), np.int64), [name], "photo")


def _pictures_below(top: Path) -> list[str]:
    found: list[str] = []
    for folder, folders, files in os.walk(top, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(folder).relative_to(top)
        found += [
            (place / name).as_posix()
            for name in files
            if not name.startswith(".") and is_readable(name, "photo")
        ]
    return sorted(found)


def _problem(path: Path) -> str | None:
    """What the start of a file tells against it; decoding all of it comes later."""
    try:
        if path.stat().st_size == 0:
            return "empty (0 bytes)"
        with Image.open(path, formats=FORMATS) as picture:
            width, height = picture.size
    except Exception as error:  # decoders raise nearly anything on a damaged header
        return f"no {', '.join(FORMATS)} picture, or damaged ({type(error).__name__})"
    if width * height > MAX_PIXELS:
        return f"{width} x {height} pixels, more than the limit of {MAX_PIXELS:,}"
    return None


def _same_bytes(paths: Sequence[Path], taken: Sequence[Path]) -> tuple[list[int], list[int]]:
    """Positions of the paths whose content one of `taken` has, and of those whose content an earlier path has.

    Only files of equal size are read: of a large folder, few.
    """
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in (*taken, *paths):
        by_size[path.stat().st_size].append(path)
    known = set(taken)
    digest_of: dict[Path, bytes] = {}
    for same in by_size.values():
        if len(same) > 1 and not known.issuperset(same):
            digest_of |= {path: hashlib.blake2b(path.read_bytes(), digest_size=16).digest() for path in same}
    labelled_digests = {digest_of[path] for path in taken if path in digest_of}
    seen: set[bytes] = set()
    labelled: list[int] = []
    repeated: list[int] = []
    for i, path in enumerate(paths):
        digest = digest_of.get(path)
        if path in known or digest in labelled_digests:  # the very file, or a copy of one
            labelled.append(i)
        elif digest in seen:
            repeated.append(i)
        elif digest is not None:
            seen.add(digest)
    return labelled, repeated
