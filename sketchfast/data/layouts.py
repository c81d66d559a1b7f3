"""Where each data set keeps its class folders and file lists, in every layout that users have on disk."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from sketchfast.runtime.pictures import EXTENSIONS

# Suffixes that the lists have on disk: seen for training, seen held out, unseen.
ROLES = ("train", "test", "zero")


@dataclass(frozen=True)
class Layout:
    """Relative places, in order of preference.

    nested: folders that archives unpack into; sketches, photos: parents of the class folders, the first that
    exists counts; more_photos: read besides; list_folders: split -> folders; *_lists: names with {role}.
    """

    title: str
    sketches: tuple[str, ...]
    photos: tuple[str, ...]
    nested: tuple[str, ...] = ()
    more_photos: tuple[str, ...] = ()
    list_folders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sketch_lists: tuple[str, ...] = ()
    photo_lists: tuple[str, ...] = ()


_TX = "tx_000000000000"
LAYOUTS: dict[str, Layout] = {
    "sketchy": Layout(
        title="Sketchy",
        nested=("Sketchy", "rendered_256x256"),
        sketches=(
            *(f"{top}sketch/{_TX}{ready}" for top in ("256x256/", "") for ready in ("_ready", "")),
            "256x256/sketch",
            "sketch",
        ),
        photos=(
            *(f"{top}photo/{_TX}{ready}" for top in ("256x256/", "") for ready in ("_ready", "")),
            "256x256/photo",
            "photo",
        ),
        more_photos=tuple(
            f"{top}EXTEND_image_sketchy{ready}" for top in ("256x256/", "") for ready in ("_ready", "")
        ),
        list_folders={
            "zeroshot1": ("zeroshot1",),
            "zeroshot0": ("zeroshot0", "zeroshot2"),
        },
        sketch_lists=tuple(f"sketch_{_TX}{ready}_filelist_{{role}}.txt" for ready in ("_ready", "")),
        photo_lists=(
            "all_photo_filelist_{role}.txt",
            *(f"photo_{_TX}{ready}_filelist_{{role}}.txt" for ready in ("_ready", "")),
        ),
    ),
    "tu_berlin": Layout(
        title="TU-Berlin",
        nested=("TUBerlin", "TU-Berlin", "TU_Berlin", "tu_berlin"),
        sketches=("png_ready", "png", "sketches"),
        photos=("ImageResized_ready", "ImageResized", "images"),
        list_folders={"zeroshot": ("zeroshot",)},
        sketch_lists=("png_ready_filelist_{role}.txt", "png_filelist_{role}.txt"),
        photo_lists=("ImageResized_ready_filelist_{role}.txt", "ImageResized_filelist_{role}.txt"),
    ),
    "quickdraw": Layout(
        title="QuickDraw-Extended",
        nested=("QuickDraw", "QuickDraw-Extended", "QuickDraw_Extended", "Quickdraw"),
        sketches=("sketches", "QuickDraw_sketches_final", "sketch"),
        photos=("images", "QuickDraw_images_final", "photo"),
        list_folders={"zeroshot": ("zeroshot",)},
        sketch_lists=("sketch_filelist_{role}.txt", "sketch_{role}.txt"),
        photo_lists=("photo_filelist_{role}.txt", "all_photo_{role}.txt"),
    ),
    "folder": Layout(
        title="folder",
        sketches=("sketch", "sketches"),
        photos=("photo", "photos"),
    ),
}
_ALIASES = {
    "sketchy_extended": "sketchy",
    "tuberlin": "tu_berlin",
    "tu_berlin_ext": "tu_berlin",
    "quickdraw_ext": "quickdraw",
    "quickdraw_extended": "quickdraw",
}
_SPLIT_ALIASES = {"zeroshot2": "zeroshot0"}


def dataset_name(name: str) -> str:
    """The canonical name; "Sketchy", "TU-Berlin" and the like are understood. ValueError for any other."""
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    key = _ALIASES.get(key, key)
    if key not in LAYOUTS:
        raise ValueError(f"data set must be one of {', '.join(LAYOUTS)}, got {name!r}")
    return key


@dataclass
class FoundLayout:
    """What is on disk: the parents of the class folders; lists: (modality, role) -> file."""

    dataset: str
    root: Path
    sketch_folder: Path
    photo_folders: list[Path]
    split: str | None = None
    list_folder: Path | None = None
    lists: dict[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def title(self) -> str:
        places = [
            folder.relative_to(self.root).as_posix() for folder in (self.sketch_folder, *self.photo_folders)
        ]
        return f"{LAYOUTS[self.dataset].title} in {' + '.join(places)}" + (
            f", lists in {self.list_folder.name}/" if self.list_folder is not None else ", no lists"
        )

    def folders(self, modality: str) -> list[Path]:
        return [self.sketch_folder] if modality == "sketch" else self.photo_folders


def find_layout(dataset: str, root: str | os.PathLike[str], split: str | None = None) -> FoundLayout:
    """The layout under `root`; FileNotFoundError naming what was expected and what was found there.

    split: for Sketchy "zeroshot1" (100/25 classes) or "zeroshot0", also written "zeroshot2" (104/21); the
    first one with lists when None.
    """
    dataset = dataset_name(dataset)
    layout = LAYOUTS[dataset]
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"root {top} {kind}; expected a folder with {layout.title} data")
    for base in (top, *(top / name for name in layout.nested)):
        sketches = first_with_classes(base, layout.sketches)
        photos = first_with_classes(base, layout.photos)
        extra = first_with_classes(base, layout.more_photos)
        photo_folders = [folder for folder in (photos, extra) if folder is not None]
        if sketches is None or not photo_folders:
            continue
        found = FoundLayout(dataset, base, sketches, photo_folders)
        _find_lists(found, layout, split)
        return found
    raise FileNotFoundError(_not_found(top, layout))


def _find_lists(found: FoundLayout, layout: Layout, split: str | None) -> None:
    wanted = _SPLIT_ALIASES.get(split, split) if split is not None else None
    if wanted is not None and wanted not in layout.list_folders:
        known = ", ".join(layout.list_folders) or "none: this layout has no lists"
        raise ValueError(f"split must be one of {known}; got {split!r}")
    for name, folders in layout.list_folders.items():
        if wanted is not None and name != wanted:
            continue
        # The folder the caller names comes first: zeroshot0 and zeroshot2 may both be there.
        for folder in sorted(folders, key=lambda folder: folder != split):
            path = found.root / folder
            if path.is_dir():
                found.split, found.list_folder = name, path
                for modality, patterns in (("sketch", layout.sketch_lists), ("photo", layout.photo_lists)):
                    for role in ROLES:
                        for pattern in patterns:
                            file = path / pattern.format(role=role)
                            if file.is_file():
                                found.lists.setdefault((modality, role), file)
                return
    found.split = wanted


def list_class_folders(folder: Path) -> dict[str, Path]:
    """Class name -> folder, sorted by name; hidden folders are left out."""
    with os.scandir(folder) as items:
        names = sorted(item.name for item in items if item.is_dir() and not item.name.startswith("."))
    return {name: folder / name for name in names}


def list_files(folder: Path) -> list[str]:
    """Names of the files in a class folder, sorted; hidden files and Thumbs.db are left out."""
    with os.scandir(folder) as items:
        return sorted(
            item.name
            for item in items
            if item.is_file() and not item.name.startswith(".") and item.name != "Thumbs.db"
        )


def is_readable(name: str, modality: str) -> bool:
    """Whether the extension is one that `FileImageSet` decodes."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in EXTENSIONS or (modality == "sketch" and suffix == ".svg")


def class_key(name: str) -> str:
    """A class name as compared between sketch and photo folders: case, `_`, `-` and blanks do not count.

    Nor does how accents are stored: macOS may write an e and its accent as two characters where others write one.
    """
    key = name.casefold()
    if not key.isascii():
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return "".join(character for character in key if character not in "_- ")


def namesakes(folder: Path) -> list[list[str]]:
    """Class folders of one folder whose names `class_key` cannot tell apart: they would silently become one class."""
    groups: dict[str, list[str]] = {}
    for name in list_class_folders(folder):
        groups.setdefault(class_key(name), []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def first_with_classes(base: Path, places: tuple[str, ...]) -> Path | None:
    for place in places:
        folder = base / place
        if folder.is_dir() and list_class_folders(folder):
            return folder
    return None


def _not_found(top: Path, layout: Layout) -> str:
    with os.scandir(top) as items:
        present = sorted(item.name + ("/" if item.is_dir() else "") for item in items)
    inside = ", ".join(present[:12]) + (f", ... ({len(present)} in all)" if len(present) > 12 else "")
    return (
        f"{top} holds no {layout.title} layout. Expected sketches in one of {', '.join(layout.sketches)} "
        f"and photos in one of {', '.join(layout.photos + layout.more_photos)}, one folder a class; "
        f"found {inside or 'an empty folder'}"
    )
