"""Pascal-Part (Chen et al. 2014) with VOC2010 photos, sketchified: `Annotations_Part/<id>.mat` and `JPEGImages/<id>.jpg`.

Each object of SketchParse's 11 categories is one item: its photo cropped to its box plus a margin, drawn by `sketchify`,
with the mask that `part_tables` gives. Later objects of a photo lie in front of earlier ones and hide them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sketchfast.data.layouts import list_class_folders, list_files
from sketchfast.data.part_set import PartSet, PartSplit
from sketchfast.data.part_tables import PARTS, REST_PART, part_category, pascal_part_id
from sketchfast.data.sketchify import sketchify
from sketchfast.runtime.pictures import check_file, read_photo

ANNOTATION_FOLDER = "Annotations_Part"
PHOTO_FOLDER = "JPEGImages"
_MARGIN = 0.05
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class PascalObject:
    """category: as the file spells it. mask: bool [H, W]. parts: (part name, bool [H, W]) in the file's order."""

    category: str
    mask: np.ndarray
    parts: tuple[tuple[str, np.ndarray], ...]


def read_objects(path: str | os.PathLike[str]) -> list[PascalObject]:
    """The objects of one annotation file, in its order. FileNotFoundError, or ValueError naming the file."""
    from scipy.io import loadmat

    path = check_file(path)
    try:
        content = loadmat(str(path), squeeze_me=True, struct_as_record=False, variable_names=["anno"])
        objects = [_object(one) for one in np.atleast_1d(content["anno"].objects)]
    except (
        Exception
    ) as error:  # scipy raises many types on a damaged file, and so does a struct of other fields
        raise ValueError(
            f"{path}: expected a MATLAB file with anno.objects(k).class, .mask and .parts(j).part_name, .mask; "
            f"{type(error).__name__}: {error}"
        ) from error
    for one in objects:
        for name, mask in (("object", one.mask), *one.parts):
            if mask.ndim != 2 or mask.shape != objects[0].mask.shape:
                raise ValueError(
                    f"{path}: masks must be [H, W] of one size, {list(objects[0].mask.shape)}; "
                    f"{one.category} {name} has {list(mask.shape)}"
                )
    return objects


def _object(one: object) -> PascalObject:
    fields = vars(one)
    parts: Sequence[Any] = list(np.atleast_1d(fields["parts"])) if np.size(fields["parts"]) else []
    return PascalObject(
        str(fields["class"]),
        np.atleast_2d(fields["mask"]) > 0,
        tuple((str(part.part_name), np.atleast_2d(part.mask) > 0) for part in parts),
    )


def part_mask(one: PascalObject) -> np.ndarray:
    """uint8 [H, W] of our ids; object pixels in no part count as body. ValueError for a part name that is not known."""
    category = part_category(one.category)
    result = np.where(one.mask, np.uint8(PARTS[category].index(REST_PART) + 1), np.uint8(0))
    # Small parts lie on large ones (a door holds its window, a head its eyes): the larger are laid first.
    for name, mask in sorted(one.parts, key=lambda part: -int(np.count_nonzero(part[1]))):
        result[mask & one.mask] = pascal_part_id(category, name)
    return result


class PascalPartSet(PartSet):
    """Objects of annotation files under one root; objects: (image id, object number from 1), read when asked for."""

    def __init__(self, name: str, root: Path, labels: Sequence[int], objects: Sequence[tuple[str, int]]):
        super().__init__(name, PARTS, labels, [f"{image}-{number}" for image, number in objects])
        self.root, self.objects = root, list(objects)

    def read_photo_and_mask(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The cropped photo uint8 [h, w, 3] and its mask uint8 [h, w], before `sketchify`."""
        image, number = self.objects[i]
        path = self.root / ANNOTATION_FOLDER / f"{image}.mat"
        objects = read_objects(path)
        if not 1 <= number <= len(objects):
            raise ValueError(f"{path} holds {len(objects)} objects, there is no {number}")
        photo = read_photo(self.root / PHOTO_FOLDER / f"{image}.jpg")
        mask = part_mask(objects[number - 1])
        if photo.shape[:2] != mask.shape:
            raise ValueError(
                f"{path}: masks must have the photo's {photo.shape[1]} x {photo.shape[0]} pixels, "
                f"found {mask.shape[1]} x {mask.shape[0]}"
            )
        for front in objects[number:]:
            mask[front.mask] = 0
        y, x = np.nonzero(mask)
        if len(y) == 0:
            return photo, mask
        margin = round(_MARGIN * max(np.ptp(x), np.ptp(y))) + 1
        top, left = max(0, int(y.min()) - margin), max(0, int(x.min()) - margin)
        box = np.s_[top : int(y.max()) + margin + 1, left : int(x.max()) + margin + 1]
        return photo[box], mask[box]

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        photo, mask = self.read_photo_and_mask(i)
        return sketchify(photo, mask), mask


def find_pascal_part(root: str | os.PathLike[str]) -> Path:
    """The folder with Annotations_Part and JPEGImages: root, or one or two folders below (`VOCdevkit/VOC2010`)."""
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(
            f"root {top} {kind}; expected a folder with {ANNOTATION_FOLDER} and {PHOTO_FOLDER}"
        )
    below = list(list_class_folders(top).values())
    for base in (top, *below, *(inner for path in below for inner in list_class_folders(path).values())):
        if (base / ANNOTATION_FOLDER).is_dir() and (base / PHOTO_FOLDER).is_dir():
            return base
    found = ", ".join(sorted(path.name for path in top.iterdir())[:12]) or "an empty folder"
    raise FileNotFoundError(f"{top} holds no {ANNOTATION_FOLDER}/ beside {PHOTO_FOLDER}/; found {found}")


def load_pascal_part(
    root: str | os.PathLike[str],
    *,
    categories: Sequence[str] | None = None,
    min_pixels: int = 1000,
    test_share: float = _HELD_OUT_SHARE,
    seed: int = 0,
) -> PartSplit:
    """Every annotated object of the 11 categories; a share of the photos, drawn with `seed`, is the test half.

    categories: all 11 when None. min_pixels: smaller objects are left out, as are those without any part.
    All annotation files are read once to find the objects. FileNotFoundError for a wrong layout or a missing photo,
    ValueError for what `read_objects` refuses.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie between 0 and 1, got {test_share!r}")
    base = find_pascal_part(root)
    wanted = {part_category(name) for name in categories} if categories is not None else set(PARTS)
    objects: list[tuple[str, int]] = []
    labels: list[int] = []
    skipped = 0
    for file in list_files(base / ANNOTATION_FOLDER):
        if not file.endswith(".mat"):
            continue
        image = file.removesuffix(".mat")
        for number, one in enumerate(read_objects(base / ANNOTATION_FOLDER / file), 1):
            category = {"aeroplane": "airplane"}.get(one.category, one.category)
            if category not in wanted:
                continue
            if not one.parts or np.count_nonzero(one.mask) < min_pixels:
                skipped += 1
                continue
            objects.append((image, number))
            labels.append(list(PARTS).index(category))
    if not objects:
        raise ValueError(
            f"{base}: no object of {', '.join(sorted(wanted))} with parts and {min_pixels:,} pixels"
        )
    lacking = sorted({image for image, _ in objects if not (base / PHOTO_FOLDER / f"{image}.jpg").is_file()})
    if lacking:
        raise FileNotFoundError(
            f"{base / PHOTO_FOLDER}: {len(lacking):,} annotated photos are missing, for example {lacking[0]}.jpg"
        )
    photos = sorted({image for image, _ in objects})
    order = np.random.default_rng([seed, 3]).permutation(len(photos))
    test_photos = {photos[i] for i in order[: max(1, round(test_share * len(photos)))]}
    in_test = np.array([image in test_photos for image, _ in objects])
    everything = PascalPartSet("Pascal-Part", base, labels, objects)
    notes = [
        f"{len(photos):,} photos, {len(test_photos):,} of them the test half, drawn with seed {seed}",
        f"left out: {skipped:,} objects without parts or below {min_pixels:,} pixels",
    ]
    train, test = everything.subset(np.flatnonzero(~in_test)), everything.subset(np.flatnonzero(in_test))
    return PartSplit("Pascal-Part, sketchified", train, test, None, notes)
