"""The synthetic world as files, in the layout of anyone's own data: photo/CLASS/, sketch/CLASS/."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import track

from sketchfast import atomic

from .catalogue import CATEGORIES
from .split import DEFAULT_UNSEEN
from .world import instance

MARKER = "synthetic.json"  # in every folder written here; nothing without it is overwritten
GENERATOR = "sketchfast synthetic world"


def write_folder(
    out: str | Path,
    photos_per_class: int,
    sketches_per_class: int,
    size: int = 256,
    seed: int = 0,
    unseen_only: bool = False,
    *,
    overwrite: bool = False,
) -> int:
    """Writes PNG files and returns how many; the folder appears only when it is complete.

    Photos show objects 0, 1, ...; sketches show the objects after those, each by another drawer.
    synthetic.json beside them says what they were made with.

    Raises:
        FileExistsError: ``out`` exists and ``overwrite`` is False, or it was not written by this function.
        ValueError: a count or the size is out of range.
    """
    out = Path(out)
    for name, value, least in (
        ("photos_per_class", photos_per_class, 1),
        ("sketches_per_class", sketches_per_class, 1),
        ("size", size, 16),
    ):
        if value < least:
            raise ValueError(f"{name}: expected at least {least}, found {value}")
    if overwrite and out.is_dir():
        _require_own(out)
    categories: Sequence[str] = DEFAULT_UNSEEN if unseen_only else CATEGORIES
    made_with = {
        "generator": GENERATOR,
        "seed": seed,
        "size": size,
        "classes": len(categories),
        "photos_per_class": photos_per_class,
        "sketches_per_class": sketches_per_class,
    }
    with atomic.directory(out, overwrite=overwrite) as folder:
        atomic.write_json(folder / MARKER, made_with)
        for category in track(categories, "Drawing", transient=True):
            for modality in ("photo", "sketch"):
                (folder / modality / category).mkdir(parents=True)
            for i in range(photos_per_class):
                picture = instance(category, i, seed).photo(size=size)
                Image.fromarray(picture).save(folder / "photo" / category / f"{i}.png")
            for i in range(sketches_per_class):
                picture = instance(category, photos_per_class + i, seed).sketch(i, size=size)
                Image.fromarray(picture).save(folder / "sketch" / category / f"{i}.png")
    return len(categories) * (photos_per_class + sketches_per_class)


def _require_own(out: Path) -> None:
    """FileExistsError unless the folder is empty or holds the marker and nothing beside what was written with it."""
    names = {path.name for path in out.iterdir()}
    if not names:
        return
    made_with: Any = None
    with suppress(OSError, ValueError):
        made_with = json.loads((out / MARKER).read_text(encoding="utf-8"))
    if not isinstance(made_with, dict) or made_with.get("generator") != GENERATOR:
        raise FileExistsError(
            f"{out} has no {MARKER} of the synthetic world: its pictures may be yours, so it is not overwritten"
        )
    if names - {"photo", "sketch", MARKER}:
        raise FileExistsError(f"{out} holds more than photo/, sketch/ and {MARKER}, so it is not overwritten")
