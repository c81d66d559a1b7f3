"""SketchParse (Sarvadevabhatla et al. 2017) as published, and the aligned pairs.

Test set, one folder a category: `test_GT/<category>/<name>.png` holds the part masks, 321 x 321, and
`PNG_untouched/<category>/<name>.png` the sketches (two archives). Training set: sketchified photos and their masks,
`train_sketches/<item>.png` and `train_sketch_GT/<item>.png` with items `<id>(r,[m,]{n30..p30})` (m: mirrored, n30: turned
by -30 degrees), named in five lists, one a super branch: `train_cow_horse.txt` and so on.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sketchfast.data.layouts import list_class_folders, list_files
from sketchfast.data.part_set import MissingPartSet, PartSet, PartSplit
from sketchfast.data.part_tables import PARTS, part_category
from sketchfast.runtime.pictures import open_picture
from sketchfast.runtime.sketches import read_sketch

MASK_FOLDERS = ("test_GT",)
SKETCH_FOLDERS = ("PNG_untouched", "test_sketches", "sketches")
TRAIN_IMAGE_FOLDERS = ("train_sketches", "data/im", "im")
TRAIN_MASK_FOLDERS = ("train_sketch_GT", "data/gt", "gt")
LIST_FOLDERS = ("lists", "data/lists", ".")
#: list file -> its categories, in the order in which its lines are grouped.
LISTS: dict[str, tuple[str, ...]] = {
    "train_cow_horse.txt": ("cow", "horse"),
    "train_cat_dog_sheep.txt": ("cat", "dog", "sheep"),
    "train_bus_car.txt": ("bus", "car"),
    "train_bicycle_motorbike.txt": ("bicycle", "motorbike"),
    "train_aeroplane_bird.txt": ("airplane", "bird"),
}
#: Published numbers: test sketches (DeepSSP, section IV-A; the archive holds 987 masks), photos behind the training set.
TEST_SKETCHES = 1008
TRAIN_PHOTOS = 1532

_ITEM = re.compile(r"(?P<id>.+)\(r,(?P<mirror>m,)?(?P<sign>[np])(?P<degrees>\d+)\)")
_ASK_ANNOTATIONS = "give annotations=<Pascal-Part's Annotations_Part folder>"
# ImageNet synsets of the items that come from CORE.
_SYNSETS = {
    "n01579028": "bird",
    "n02084071": "dog",
    "n02121620": "cat",
    "n02403454": "cow",
    "n02691156": "airplane",
    "n02834778": "bicycle",
    "n02924116": "bus",
    "n02958343": "car",
    "n03790512": "motorbike",
    "n04166281": "car",
}


def read_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A part mask file as uint8 [H, W]: grey levels or palette indices, which are the ids. ValueError naming the file."""
    picture = open_picture(path)
    if picture.mode == "1":
        return np.array(picture.convert("L")) // 255
    if picture.mode not in ("L", "P"):
        # Three equal channels are a grey picture saved as colour; anything else is a picture, not a mask.
        channels = np.array(picture)
        if (
            channels.ndim == 3
            and channels.dtype == np.uint8
            and (channels[..., :3] == channels[..., :1]).all()
        ):
            return np.ascontiguousarray(channels[..., 0])
        raise ValueError(
            f"{path}: expected a mask of part ids (8-bit grey or palette), found mode {picture.mode}"
        )
    return np.array(picture)


class FilePartSet(PartSet):
    """Sketch and mask files under one root; pairs: (sketch, mask) paths relative to it. The ids are the masks' paths."""

    def __init__(self, name: str, root: Path, labels: Sequence[int], pairs: Sequence[tuple[str, str]]):
        super().__init__(name, PARTS, labels, [mask for _, mask in pairs])
        self.root, self.pairs = root, list(pairs)

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        sketch, mask = (self.root / path for path in self.pairs[i])
        grey = np.ascontiguousarray(read_sketch(sketch, allow_blank=True).image[..., 0])
        return grey, read_mask(mask)


@dataclass
class TestFiles:
    """What a SketchParse test folder holds. pairs: category -> (sketch, mask) paths relative to root."""

    root: Path
    pairs: dict[str, list[tuple[str, str]]]
    masks_without_sketch: list[str]
    sketches_without_mask: list[str]


def find_test_files(root: str | os.PathLike[str]) -> TestFiles:
    """The test set under root (or one folder below); FileNotFoundError when there is no folder of masks."""
    base, masks = _find(root, MASK_FOLDERS, "SketchParse test masks, one folder a category")
    sketches = next((base / name for name in SKETCH_FOLDERS if (base / name).is_dir()), None)
    files = TestFiles(base, {name: [] for name in PARTS}, [], [])
    sketch_folders = {} if sketches is None else _categories(sketches)
    for category, folder in _categories(masks).items():
        drawn = sketch_folders.get(category)
        by_stem = {} if drawn is None else {Path(name).stem: name for name in list_files(drawn)}
        for name in list_files(folder):
            mask = (folder / name).relative_to(base).as_posix()
            sketch = by_stem.pop(Path(name).stem, None)
            if sketch is None or drawn is None:
                files.masks_without_sketch.append(mask)
            else:
                files.pairs[category].append(((drawn / sketch).relative_to(base).as_posix(), mask))
        if drawn is not None:
            files.sketches_without_mask += [
                (drawn / name).relative_to(base).as_posix() for name in by_stem.values()
            ]
    return files


def load_test(root: str | os.PathLike[str]) -> PartSet:
    """The test sketches with their masks; FileNotFoundError naming what lacks when a mask has no sketch."""
    files = find_test_files(root)
    lacking = files.masks_without_sketch
    if lacking:
        total = len(lacking) + sum(map(len, files.pairs.values()))
        places = " or ".join(f"{name}/<category>/" for name in SKETCH_FOLDERS)
        raise FileNotFoundError(
            f"{files.root}: {len(lacking):,} of {total:,} masks have no sketch of the same name in {places} "
            f"(the archive PNG_untouched.zip), for example {', '.join(lacking[:3])}"
        )
    pairs = [pair for each in files.pairs.values() for pair in each]
    labels = [k for k, each in enumerate(files.pairs.values()) for _ in each]
    return FilePartSet("SketchParse test", files.root, labels, pairs)


@dataclass(frozen=True)
class TrainItem:
    """One line of a training list. source: the photo's object, `2008_003094-3` or `n02691156_10000`."""

    name: str
    source: str
    rotation: int
    mirror: bool
    category: str
    branch_list: str


def read_training_lists(
    root: str | os.PathLike[str], annotations: str | os.PathLike[str] | None = None
) -> list[TrainItem]:
    """The items of the five lists, each once, in order of appearance.

    The lists name no category. Items with an ImageNet synset in their id have that of the synset. The PASCAL items
    of a list are grouped by category and run from 2008 to 2010 in each group, so that a year which falls starts the
    next category; annotations (Pascal-Part's Annotations_Part folder), where given, decide instead.
    FileNotFoundError for a missing list; ValueError for a line of another form or groups that cannot be told apart.
    """
    folder = _find_lists(root)
    items: dict[str, TrainItem] = {}
    for file, categories in LISTS.items():
        path = folder / file
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; expected the five lists {', '.join(LISTS)}")
        group, last_year = 0, 0
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            line = line.strip()
            if not line or line in items:  # the published lists name some objects twice
                continue
            match = _ITEM.fullmatch(line)
            if match is None:
                raise ValueError(
                    f"{path}, line {number}: expected <id>(r,[m,]n30..p30) as in '2008_003094-3(r,m,n30)', found {line!r}"
                )
            source = match["id"]
            category = _SYNSETS.get(source.split("_")[0])
            if category is None:
                year = int(source[:4]) if source[:4].isdecimal() else 0
                group += year < last_year
                last_year = year
                if annotations is not None:
                    category = _annotated_category(Path(annotations), source)
                elif group < len(categories):
                    category = categories[group]
            if category not in categories:
                raise ValueError(
                    f"{path}, line {number}: cannot tell which of {', '.join(categories)} {source!r} shows "
                    f"(found {category}); {_ASK_ANNOTATIONS}"
                )
            degrees = int(match["degrees"]) * (-1 if match["sign"] == "n" else 1)
            items[line] = TrainItem(line, source, degrees, bool(match["mirror"]), category, file)
        if annotations is None and last_year and group != len(categories) - 1:
            raise ValueError(
                f"{path}: expected {len(categories)} groups of PASCAL objects, each from 2008 to 2010, one for each of "
                f"{', '.join(categories)}; found {group + 1}; {_ASK_ANNOTATIONS}"
            )
    return list(items.values())


def load_train(
    root: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    augmented: bool = False,
) -> PartSet:
    """The sketchified training set. augmented: all 14 files of each photo, else only the one neither turned nor mirrored.

    The files on disk are already turned and mirrored; `PartAugmentation` does the same from the plain ones and
    without resampling twice. FileNotFoundError or ValueError naming what lacks.
    """
    base, images = _find(root, TRAIN_IMAGE_FOLDERS, "sketchified training images")
    masks = next((base / name for name in TRAIN_MASK_FOLDERS if (base / name).is_dir()), None)
    if masks is None:
        raise FileNotFoundError(
            f"{base} holds {images.name}/ but no masks; expected one of {', '.join(TRAIN_MASK_FOLDERS)}"
        )
    items = read_training_lists(root, annotations)
    if not augmented:
        items = [item for item in items if item.rotation == 0 and not item.mirror]
    pairs = [
        tuple((folder / f"{item.name}.png").relative_to(base).as_posix() for folder in (images, masks))
        for item in items
    ]
    lacking = [path for pair in pairs for path in pair if not (base / path).is_file()]
    if lacking:
        raise FileNotFoundError(
            f"{base}: {len(lacking):,} of {2 * len(pairs):,} listed files are missing, for example {', '.join(lacking[:3])}"
        )
    labels = [list(PARTS).index(item.category) for item in items]
    return FilePartSet("SketchParse training", base, labels, [(a, b) for a, b in pairs])


def load_sketchparse(
    root: str | os.PathLike[str],
    *,
    augmented: bool = False,
    annotations: str | os.PathLike[str] | None = None,
) -> PartSplit:
    """Training and test half of SketchParse; a half that is not there raises when it is used.

    augmented, annotations: see `load_train`. FileNotFoundError when neither half is there.
    """
    notes: list[str] = []
    halves: list[PartSet] = []
    for title, load in (
        ("training", lambda: load_train(root, annotations, augmented)),
        ("test", lambda: load_test(root)),
    ):
        try:
            halves.append(load())
        except FileNotFoundError as error:
            halves.append(MissingPartSet(f"SketchParse {title}", PARTS, f"SketchParse {title} set: {error}"))
    train, test = halves
    if isinstance(train, MissingPartSet) and isinstance(test, MissingPartSet):
        raise FileNotFoundError(f"no SketchParse data: {train.reason}; {test.reason}")
    if isinstance(test, FilePartSet) and len(test) != TEST_SKETCHES:
        notes.append(f"{len(test):,} test sketches; the paper counts {TEST_SKETCHES:,}")
    return PartSplit("SketchParse", train, test, None, notes)


def find_aligned(root: str | os.PathLike[str]) -> Path:
    """The folder of the aligned pairs: root, root/aligned, or either one folder below; FileNotFoundError for none."""
    base, found = _find(root, ("aligned", "image"), "aligned SketchParse pairs")
    return found if found.name == "aligned" else base


def load_aligned(root: str | os.PathLike[str], strict: bool = False) -> PartSet:
    """Freehand sketches with masks fitted to them: `image/`, `label/` and `index.json`, in root or root/aligned.

    strict: only pairs whose mask edge lies less than a pixel from ink on average (`boundary_px` in the index).
    """
    base = find_aligned(root)
    index = base / "index.json"
    try:
        entries = json.loads(index.read_text("utf-8"))
        rows = [(str(e["name"]), part_category(e["cls"]), float(e["boundary_px"])) for e in entries]
    except FileNotFoundError:
        raise FileNotFoundError(f"{index} does not exist; expected the list of the pairs") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{index}: expected a list of objects with name, cls and boundary_px: {error!r}"
        ) from None
    rows = [row for row in rows if not strict or row[2] < 1.0]
    pairs = [(f"image/{name}", f"label/{name}") for name, _, _ in rows]
    lacking = [path for pair in pairs for path in pair if not (base / path).is_file()]
    if lacking:
        raise FileNotFoundError(f"{base}: {len(lacking)} listed files are missing: {', '.join(lacking[:5])}")
    labels = [list(PARTS).index(category) for _, category, _ in rows]
    return FilePartSet("SketchParse aligned" + (", strict" if strict else ""), base, labels, pairs)


def aligned_split(root: str | os.PathLike[str], *, strict: bool = False) -> PartSplit:
    """`load_aligned` as a split without a training half."""
    test = load_aligned(root, strict)
    reason = "the aligned SketchParse pairs are a test set: there is nothing to train on"
    note = "a subset of SketchParse's test set, mostly dog and horse: not comparable with published results"
    return PartSplit(test.name, MissingPartSet(test.name, PARTS, reason), test, None, [note])


def _categories(folder: Path) -> dict[str, Path]:
    """category -> folder. ValueError for a folder that names none of the 11."""
    result = {}
    for name, path in list_class_folders(folder).items():
        try:
            result[part_category(name)] = path
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return result


def _find(root: str | os.PathLike[str], names: Sequence[str], what: str) -> tuple[Path, Path]:
    """(the folder that holds one of `names`, that one): root itself, or a folder in it that an archive unpacked into."""
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"root {top} {kind}; expected a folder with {what}")
    for base in (top, *list_class_folders(top).values()):
        for name in names:
            if (base / name).is_dir():
                return base, base / name
    present = sorted(path.name + ("/" if path.is_dir() else "") for path in top.iterdir())
    shown = ", ".join(present[:12]) + (f", ... ({len(present)} in all)" if len(present) > 12 else "")
    raise FileNotFoundError(
        f"{top} holds no {what}: expected {' or '.join(name + '/' for name in names)}, found {shown or 'an empty folder'}"
    )


def _find_lists(root: str | os.PathLike[str]) -> Path:
    top = Path(root)
    for base in (top, *(list_class_folders(top).values() if top.is_dir() else ())):
        for name in LIST_FOLDERS:
            if any((base / name / file).is_file() for file in LISTS):
                return base / name
    raise FileNotFoundError(f"{top} holds no training lists: expected {', '.join(LISTS)} in it or in lists/")


def _annotated_category(annotations: Path, source: str) -> str | None:
    from sketchfast.data.pascal_part import read_objects

    image, _, number = source.rpartition("-")
    path = annotations / f"{image}.mat"
    objects = read_objects(path)
    if not number.isdecimal() or not 1 <= int(number) <= len(objects):
        raise ValueError(f"{path} holds {len(objects)} objects, there is no {source!r}")
    try:
        return part_category(objects[int(number) - 1].category)
    except ValueError:
        return None
