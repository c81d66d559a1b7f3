"""Sketches and photos in one folder a class, for classification: no lists are needed, and photos may be absent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sketchfast.data.image_set import FileImageSet
from sketchfast.data.layouts import (
    LAYOUTS,
    class_key,
    first_with_classes,
    is_readable,
    list_class_folders,
    list_files,
    namesakes,
)


def find_sketches(
    dataset: str, root: str | os.PathLike[str], classes: Sequence[str] | None = None
) -> tuple[FileImageSet, str]:
    """Every sketch of the classes (all when None), sorted by name, and where they were found, for the notes.

    Looked for in the folders that the layout names, in `svg/` for TU-Berlin, and then in `root` itself.
    Raises FileNotFoundError with what was expected and found; ValueError for classes without a picture, unknown ones, and
    folders whose names differ only in case, "_", "-", blanks or how accents are stored.
    """
    layout = LAYOUTS[dataset]
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"root {top} {kind}; expected a folder with {layout.title} data")
    places = layout.sketches + (("svg",) if dataset == "tu_berlin" else ())
    for base in (top, *(top / name for name in layout.nested)):
        folder = first_with_classes(base, places) if base.is_dir() else None
        if folder is None and base == top and _holds_classes(base):
            folder = base
        if folder is not None:
            where = folder.relative_to(base).as_posix() if folder != base else "<class>/"
            return _read(base, folder, "sketch", classes), f"{layout.title}, sketches in {where}"
    present = sorted(path.name + ("/" if path.is_dir() else "") for path in top.iterdir())
    raise FileNotFoundError(
        f"{top} holds no sketches of {layout.title}: expected <class>/<file> in one of {', '.join(places)} or in the folder "
        f"itself, found {', '.join(present[:12]) or 'an empty folder'}"
        + (", ..." if len(present) > 12 else "")
    )


def find_photos(dataset: str, sketches: FileImageSet) -> FileImageSet:
    """Every photo of the classes of `sketches`, beside them under one root. Errors as `find_sketches`."""
    layout = LAYOUTS[dataset]
    # EXTEND holds the original photos too: with both, they would be searched twice.
    for places in (layout.photos, layout.more_photos):
        folder = first_with_classes(sketches.root, places)
        if folder is not None:
            return _read(sketches.root, folder, "photo", sketches.names, sketches.names)
    raise FileNotFoundError(
        f"{sketches.root} holds no photos of {layout.title}: expected <class>/<file> in one of "
        f"{', '.join(layout.photos + layout.more_photos)}"
    )


def choose_classes(present: Sequence[str], wanted: Sequence[str] | None, source: str) -> list[str]:
    """The wanted classes as `present` spells them, in the order wanted; all when None. ValueError for others or repeats."""
    if wanted is None:
        return list(present)
    spelled = {class_key(name): name for name in present}
    unknown = [name for name in wanted if class_key(name) not in spelled]
    if unknown:
        known = ", ".join(list(present)[:10]) + (
            f", ... ({len(present)} in all)" if len(present) > 10 else ""
        )
        raise ValueError(f"classes: {source} does not have {', '.join(unknown[:10])}; it has {known}")
    names = [spelled[class_key(name)] for name in wanted]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"classes must be different names, at least one, got {list(wanted)[:10]}")
    return names


def _holds_classes(folder: Path) -> bool:
    return any(
        is_readable(name, "sketch")
        for path in list_class_folders(folder).values()
        for name in list_files(path)
    )


def _read(
    base: Path,
    folder: Path,
    modality: str,
    classes: Sequence[str] | None,
    names: Sequence[str] | None = None,
) -> FileImageSet:
    """names: how the classes are to be called, when not as the folders spell them."""
    for same in namesakes(folder):
        raise ValueError(
            f"{folder}: the class folders {', '.join(map(repr, same))} differ only in case, '_', '-', blanks "
            "or how accents are stored; rename or join them"
        )
    present = list_class_folders(folder)
    chosen = choose_classes(list(present), classes, str(folder))
    ids: list[str] = []
    labels: list[int] = []
    empty = []
    for label, name in enumerate(chosen):
        files = [file for file in list_files(present[name]) if is_readable(file, modality)]
        if not files:
            empty.append(name)
        place = present[name].relative_to(base).as_posix()
        ids += [f"{place}/{file}" for file in files]
        labels += [label] * len(files)
    if empty:
        more = ", ..." if len(empty) > 10 else ""
        raise ValueError(
            f"{folder}: {len(empty)} of {len(chosen)} class folders hold no {modality}: {', '.join(empty[:10])}{more}"
        )
    return FileImageSet(base, ids, labels, list(names or chosen), modality)
