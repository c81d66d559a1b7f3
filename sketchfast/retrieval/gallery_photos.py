"""The photos of a gallery: found below a folder, read, and encoded in batches, without torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..runtime.pictures import EXTENSIONS, read_photo
from ..runtime.preprocess import Preprocess

Outputs = dict[str, NDArray[Any]]


class EncodedPhotos(NamedTuple):
    """``paths``: absolute, of the N photos encoded; ``skipped``: of those left out; ``outputs``: arrays of N rows by name."""

    paths: list[str]
    skipped: list[str]
    outputs: Outputs


def files_of(photos: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files of a folder (see :func:`list_photos`) or of a list, which must not be empty (ValueError)."""
    paths = list_photos(photos) if isinstance(photos, str | Path) else [Path(path) for path in photos]
    if not paths:
        raise ValueError("photos: expected at least one file, found an empty list")
    return paths


def list_photos(folder: str | Path) -> list[Path]:
    """Every picture file below ``folder``, sorted by path.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no picture below it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "it does not exist"
        raise FileNotFoundError(f"photo folder {folder}: expected a folder with photos, {what}")
    found = []
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # Linked folders count, but none twice: a link upwards would never end.
        folders[:] = [name for name in folders if (Path(parent) / name).resolve() not in seen]
        seen.update((Path(parent) / name).resolve() for name in folders)
        # A link to nowhere is kept: reading it names it.
        found += [Path(parent) / name for name in names if Path(name).suffix.lower() in EXTENSIONS]
    found.sort()
    if not found:
        raise ValueError(
            f"photo folder {folder}: no picture in it (looked for {', '.join(sorted(EXTENSIONS))})"
        )
    return found


def encode_photos(
    paths: Sequence[Path],
    preprocess: Preprocess,
    encode: Callable[[NDArray[np.float32]], Outputs],
    *,
    batch_size: int = 32,
    skip_unreadable: bool = False,
    progress: bool = True,
) -> EncodedPhotos:
    """Reads, preprocesses and encodes photos, in order.

    Args:
        paths: files.
        preprocess: what the encoder was trained with.
        encode: float32 [B, 3, S, S] to arrays of B rows by name.
        batch_size: photos a call of ``encode``.
        skip_unreadable: leave out files that cannot be decoded instead of stopping.
        progress: show a progress bar.

    Raises:
        ValueError: batch_size below 1, a photo that cannot be read (named), or none that can.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    kept: list[str] = []
    skipped: list[str] = []
    parts: list[Outputs] = []
    batch: list[NDArray[np.float32]] = []
    for path in _track(paths, "Embedding photos", progress):
        try:
            image = read_photo(path)
        except (ValueError, OSError) as error:
            if not skip_unreadable:
                raise ValueError(
                    f"{error} (--skip-unreadable, in Python skip_unreadable=True, leaves such files out)"
                ) from error
            skipped.append(str(path.absolute()))
            continue
        batch.append(preprocess(image, sketch=False))
        kept.append(str(path.absolute()))
        if len(batch) == batch_size:
            parts.append(encode(np.stack(batch)))
            batch.clear()
    if batch:
        parts.append(encode(np.stack(batch)))
    if not kept:
        raise ValueError(f"photos: none of the {len(paths)} files could be read, the first was {paths[0]}")
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return EncodedPhotos(kept, skipped, outputs)


def _track(paths: Sequence[Path], label: str, show: bool) -> Any:
    if not show:
        return paths
    from rich.progress import track

    return track(paths, label, transient=True)
