"""QMUL Shoe-V2 and Chair-V2: sketches and photos of one category, in the three layouts that users have."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from sketchfast.data.image_set import FileImageSet, ImageSet
from sketchfast.data.instances import InstanceSplit, PairedSet
from sketchfast.data.layouts import is_readable, list_files
from sketchfast.data.qmul_groups import GROUPS, read_group, without_extension
from sketchfast.data.qmul_strokes import HALVES, StrokeSketches, read_coordinates

CATEGORIES = ("shoe", "chair")
_A_AND_B = tuple(f"{half}{side}" for half in HALVES for side in "AB")
_EXPECTED = (
    "Expected one of: {Shoe,Chair}V2_photo/ with {Shoe,Chair}V2_sketch[_png]/ and {photo,sketch}_{train,test}.txt; "
    "photo/ with {Shoe,Chair}V2_Coordinate; trainA/, trainB/, testA/ and testB/"
)


def load_qmul(root: str | os.PathLike[str], group: str | None = None, strokes: bool = False) -> InstanceSplit:
    """Shoe-V2 or Chair-V2: whichever of the two `root`, or the one folder in it that holds such data, is.

    A sketch belongs to the photo of its name, or of its name without `_<k>`; k need not be a number.
    * strokes, `photo/<id>.png` and a pickle `{Shoe,Chair}V2_Coordinate`: the sketches are a `StrokeSketches`, whose
      `strokes(i)` are the strokes. It comes before the other layouts where a folder holds several.
    * lists, `{Shoe,Chair}V2_photo/`, `{Shoe,Chair}V2_sketch_png/` or `_sketch/`, `{photo,sketch}_{train,test}.txt`: one file
      name a line; the extension does not count, because published lists name the .svg.
    * `trainA/`, `trainB/`, `testA/` and `testB/`: names tell which of A and B are sketches. Where all names are equal, A (D).

    group: None for the published halves: `train` and `test` are of one class, "shoe" or "chair" (of the third layout the
        folder's name, where it names neither), and have different photos. Else a key of `qmul_groups.GROUPS`: `train` has the
        shoes of one sub-category and `test` those of another, from both halves together (D); see `qmul_groups.read_group`.
    strokes: of the second layout take a sketch's .svg, whose strokes are known, where there is one, not its .png.

    Raises FileNotFoundError (wrong path, layout, no lists, no attributes) and ValueError: files that lists name and are not
    there, sketches without their photo, a photo in both halves, a sketch in another half than its photo, a group of chairs.
    """
    folder, category = _find(Path(root))
    coordinates, listed = folder / f"{category.title()}V2_Coordinate", folder / f"{category.title()}V2_photo"
    if coordinates.is_file():
        items = _read_strokes(folder, coordinates, listed)
    else:
        items = _read_lists(folder, listed, strokes) if listed.is_dir() else _read_a_and_b(folder)
    photo_of = items.pair()
    name, notes = f"qmul/{category}, instances", items.notes
    if group is None:
        train, test = (
            items.part(np.flatnonzero(np.array(items.photo_halves) == half), photo_of, category)
            for half in HALVES
        )
    else:
        if category == "chair":
            raise ValueError(f"group {group!r} is of shoes, but {folder} holds chairs")
        names = [_stem(path) for path in items.photos]
        chosen, values = read_group(folder, group, names), GROUPS[group][:2]
        name = f"qmul/{category}/{group}, instances"
        train, test = (
            items.part(
                np.array([i for i, photo in enumerate(names) if photo in part]), photo_of, f"{group} {of}"
            )
            for part, of in zip(chosen, values, strict=True)
        )
        counts = GROUPS[group].sketches
        notes.append(
            f"trained on {values[0]}, tested on {values[1]}, from both published halves; "
            f"the paper's table 2 counts {counts[0]:,} and {counts[1]:,} sketches"
        )
    return InstanceSplit(
        name=name,
        dataset="qmul",
        train=train,
        test=test,
        notes=notes,
        settings={"category": category, "group": group},
        shared_classes=group is None,
    )


@dataclass
class _Items:
    """Photos (paths below the folder) and sketches (paths, or ids of drawings), each with its half."""

    folder: Path
    photos: list[str]
    photo_halves: list[str]
    sketches: list[str]
    sketch_halves: list[str]
    drawings: dict[str, np.ndarray] | None = None
    notes: list[str] = field(default_factory=list)

    def pair(self) -> np.ndarray:
        """int64 [N]: the photo of each sketch."""
        photo_at: dict[str, int] = {}
        for row, path in enumerate(self.photos):
            first = photo_at.setdefault(_stem(path), row)
            if first != row:
                raise ValueError(
                    f"{self.folder}: {self.photos[first]} and {path} have one name: which of them a sketch belongs to "
                    "cannot be told, and a photo must be in one half only"
                )
        photo_of = [_photo_of(sketch, photo_at) for sketch in self.sketches]
        _refuse(
            self.folder,
            "sketches have no photo of their name, with or without `_<k>`",
            [sketch for sketch, photo in zip(self.sketches, photo_of, strict=True) if photo is None],
        )
        found = np.array([photo for photo in photo_of if photo is not None], np.int64)
        _refuse(
            self.folder,
            "sketches are in another half than their photo",
            [
                f"{sketch} ({half}) of {self.photos[photo]} ({self.photo_halves[photo]})"
                for sketch, half, photo in zip(self.sketches, self.sketch_halves, found, strict=True)
                if half != self.photo_halves[photo]
            ],
        )
        return found

    def part(self, rows: np.ndarray, photo_of: np.ndarray, name: str) -> PairedSet:
        """These photos and the sketches of them, as one class."""
        place = np.full(len(self.photos), -1, np.int64)
        place[rows] = np.arange(len(rows))
        kept = np.flatnonzero(place[photo_of] >= 0)
        ids, labels = [self.sketches[i] for i in kept], np.zeros(len(kept), np.int64)
        sketches: ImageSet
        if self.drawings is not None:
            sketches = StrokeSketches([self.drawings[item] for item in ids], ids, labels, [name])
        else:
            sketches = FileImageSet(self.folder, ids, labels, [name], "sketch")
        paths = [self.photos[row] for row in rows]
        photos = FileImageSet(self.folder, paths, np.zeros(len(paths), np.int64), [name], "photo")
        return PairedSet(sketches, photos, place[photo_of[kept]])


def _find(top: Path) -> tuple[Path, str]:
    """The folder with data, and its category."""
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"root {top} {kind}; expected a folder with QMUL Shoe-V2 or Chair-V2")
    found = [(top, category) for category in _categories(top)]
    inside = sorted(path for path in top.iterdir() if not path.name.startswith("."))
    if not found:
        found = [(path, category) for path in inside if path.is_dir() for category in _categories(path)]
    if not found:
        present = ", ".join(path.name + "/" * path.is_dir() for path in inside[:12]) or "an empty folder"
        raise FileNotFoundError(
            f"{top} holds no QMUL Shoe-V2 or Chair-V2 layout. {_EXPECTED}; found {present}"
        )
    if len(found) > 1:
        raise ValueError(
            f"{top} holds {len(found)} data sets, expected one: "
            f"{', '.join(f'{category}s in {folder}' for folder, category in found)}"
        )
    return found[0]


def _categories(folder: Path) -> list[str]:
    named = [
        category
        for category in CATEGORIES
        if (folder / f"{category.title()}V2_photo").is_dir()
        or (folder / f"{category.title()}V2_Coordinate").is_file()
    ]
    if not named and all((folder / name).is_dir() for name in _A_AND_B):
        own = folder.resolve().name.lower()
        named = [next((category for category in CATEGORIES if category in own), own)]
    return named


def _read_strokes(folder: Path, pickle: Path, listed: Path) -> _Items:
    photo_folder = next((place for place in (folder / "photo", listed) if place.is_dir()), None)
    if photo_folder is None:
        raise FileNotFoundError(f"{folder} has {pickle.name}, but no photos: expected photo/<id>.png")
    drawings = read_coordinates(pickle)
    ids, halves = list(drawings), [item.partition("/")[0] for item in drawings]
    photos = _pictures(folder, photo_folder, "photo")
    at = {_stem(path): row for row, path in enumerate(photos)}
    # The pickle alone says which half a photo is in.
    half_of: dict[int, str] = {}
    for item, half in zip(ids, halves, strict=True):
        row = _photo_of(item, at)
        if row is not None:
            half_of.setdefault(row, half)
    kept = [row for row in range(len(photos)) if row in half_of]
    notes = [f"sketches drawn from the strokes of {pickle.name}, photos in {photo_folder.name}"]
    if len(kept) < len(photos):
        notes.append(
            f"{len(photos) - len(kept):,} photos left out: nobody drew them, and nothing tells their half"
        )
    return _Items(
        folder, [photos[row] for row in kept], [half_of[row] for row in kept], ids, halves, drawings, notes
    )


def _read_lists(folder: Path, photo_folder: Path, strokes: bool) -> _Items:
    kind = photo_folder.name.removesuffix("_photo")
    places = [folder / f"{kind}_sketch_png", folder / f"{kind}_sketch"]
    sketch_folders = [place for place in places if place.is_dir()]
    if not sketch_folders:
        raise FileNotFoundError(
            f"{folder} has {photo_folder.name}, but no sketches: expected {places[0].name}/ or {places[1].name}/"
        )
    listed: dict[str, tuple[list[str], list[str]]] = {}
    sources = {"photo": [photo_folder], "sketch": sketch_folders if strokes else sketch_folders[:1]}
    notes = [
        f"{photo_folder.name} and {' and '.join(place.name for place in sources['sketch'])}, halves of the published lists"
    ]
    for modality, folders in sources.items():
        files = [path for place in folders for path in _pictures(folder, place, modality)]
        if strokes:
            files.sort(key=lambda path: not path.lower().endswith(".svg"))
        pictures: dict[str, str] = {}
        for path in files:
            pictures.setdefault(_stem(path), path)  # else a .png comes before the .svg of its name
        paths: list[str] = []
        halves: list[str] = []
        absent: list[str] = []
        for half in HALVES:
            file = folder / f"{modality}_{half}.txt"
            for name in dict.fromkeys(_names(file)):
                if name in pictures:
                    paths.append(pictures[name])
                    halves.append(half)
                else:
                    absent.append(f"{name} of {file.name}")
        _refuse(
            folder, f"files that lists name are not in {' or '.join(place.name for place in folders)}", absent
        )
        if len(paths) < len(pictures):
            notes.append(f"{len(pictures) - len(paths):,} {modality} files in no list left out")
        listed[modality] = paths, halves
    return _Items(folder, *listed["photo"], *listed["sketch"], notes=notes)


def _read_a_and_b(folder: Path) -> _Items:
    sides: dict[str, tuple[list[str], list[str]]] = {}
    for side in "AB":
        paths: list[str] = []
        halves: list[str] = []
        for half in HALVES:
            new = _pictures(folder, folder / f"{half}{side}", "sketch")
            paths += new
            halves += [half] * len(new)
        sides[side] = paths, halves

    def matched(these: str, those: str) -> int:
        at = {_stem(path): row for row, path in enumerate(sides[those][0])}
        return sum(_photo_of(path, at) is not None for path in sides[these][0])

    a_in_b, b_in_a = matched("A", "B"), matched("B", "A")
    sketch, photo = ("A", "B") if a_in_b >= b_in_a else ("B", "A")
    told = "names do not tell, taken" if a_in_b == b_in_a else "by their names"
    notes = [f"trainA to testB: {sketch} are sketches ({told}), {photo} photos"]
    return _Items(folder, *sides[photo], *sides[sketch], notes=notes)


def _pictures(folder: Path, place: Path, modality: str) -> list[str]:
    """Paths below `folder` of the pictures in a folder, sorted."""
    return [
        f"{place.relative_to(folder).as_posix()}/{name}"
        for name in list_files(place)
        if is_readable(name, modality)
    ]


def _names(file: Path) -> list[str]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; expected a list of file names, one a line")
    lines = [line.strip().replace("\\", "/") for line in file.read_text("utf-8-sig").splitlines()]
    return [_stem(line) for line in lines if line]


def _stem(path: str) -> str:
    return without_extension(PurePosixPath(path).name)


def _photo_of(sketch: str, photo_at: dict[str, int]) -> int | None:
    stem = _stem(sketch)
    own = photo_at.get(stem)
    return photo_at.get(stem.rpartition("_")[0]) if own is None else own


def _refuse(folder: Path, what: str, items: Iterable[str]) -> None:
    found = list(items)
    if found:
        more = ", ..." if len(found) > 5 else ""
        raise ValueError(f"{folder}: {len(found):,} {what}: {', '.join(found[:5])}{more}")
