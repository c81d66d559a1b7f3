"""The synthetic world as files, in the layout of anyone's own data: photo/CLASS/, sketch/CLASS/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.progress import track

from sketchfast import atomic

from .catalogue import CATEGORIES
from .split import DEFAULT_UNSEEN
from .world import instance


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

    Raises:
        FileExistsError: ``out`` exists and ``overwrite`` is False, or is a folder of something else.
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
    if out.exists() and overwrite and {path.name for path in out.iterdir()} - {"photo", "sketch"}:
        raise FileExistsError(f"{out} holds more than photo/ and sketch/, so it is not overwritten")
    categories: Sequence[str] = DEFAULT_UNSEEN if unseen_only else CATEGORIES
    with atomic.directory(out, overwrite=overwrite) as folder:
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
