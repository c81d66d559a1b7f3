"""The settings by which a recipe that learns from photos without sketches names its data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sketchfast.data.classification import ClassificationSplit
from sketchfast.data.load_classification import load_classification
from sketchfast.data.load_semi_supervised import load_semi_supervised
from sketchfast.data.semi_supervised import SemiSupervisedSplit
from sketchfast.training.recipe_command import check_dataset

DATA_SETS = ("synthetic", "qmul", "folder")
# synthetic: field of Data -> option of load_semi_supervised
SIZES = {
    "drawn_size": "size", "train_photos": "train_photos", "sketches_per_photo": "sketches_per_photo",
    "unlabelled_photos": "unlabelled_photos", "test_photos": "test_photos", "held_out_photos": "held_out_photos",
    "sketches_per_test_photo": "sketches_per_test_photo",
}  # fmt: skip


@dataclass
class Data:
    """What is learnt from and tested on."""

    root: str | None = None  # folder of the data set; none: the synthetic world
    unlabelled: str | None = None  # folder with photos that nobody drew, in any sub-folders
    tu_berlin: str | None = None  # folder of TU-Berlin, to learn to recognise sketches from
    dataset: str = "qmul"  # one of DATA_SETS: synthetic, qmul, folder
    labelled_shares: tuple[float, ...] = (1.0,)
    """Of the labelled photos (figure 4b); the others are not used. Everything is done for each share."""
    held_out_share: float | None = None  # of the labelled photos, not trained on; none: no photos
    memory_gib: float = 4.0  # decode a set once into memory when it fits this
    seed: int = 0  # of all shares, and of the synthetic world
    category: str | None = None  # of the synthetic world (chair), or of a folder with several
    drawn_size: int | None = None  # the sizes of the synthetic world: side of its pictures in pixels
    train_photos: int | None = None
    sketches_per_photo: int | None = None
    unlabelled_photos: int | None = None
    test_photos: int | None = None
    held_out_photos: int | None = None
    sketches_per_test_photo: int | None = None
    epsilon: float | None = None  # tolerance by which all sketches are first simplified, in canvas sides
    sketches_per_class: int = 30  # of the synthetic world, to learn to recognise sketches from


def check_data(data: Data, needs_unlabelled: bool) -> None:
    """ValueError or OSError for settings of another data set, a data set without its folder, and a share out of range."""
    check_dataset(data.dataset, DATA_SETS)
    shares = data.labelled_shares
    if not shares or len(set(shares)) < len(shares) or not all(0 < share <= 1 for share in shares):
        raise ValueError(
            f"--data.labelled-shares: expected shares above 0 and up to 1, each once; found {shares}"
        )
    folders = {"root": data.root, "unlabelled": data.unlabelled, "tu-berlin": data.tu_berlin}
    if data.dataset == "synthetic":
        given = folders | {"held-out-share": data.held_out_share}
        if named := [flag for flag, value in given.items() if value is not None]:
            raise ValueError(
                f"--data.{named[0]} belongs to a data set, but --data.dataset is synthetic; name {' or '.join(DATA_SETS[1:])}"
            )
        if needs_unlabelled and data.unlabelled_photos == 0:
            raise ValueError("--data.unlabelled-photos: these methods need some, found 0")
        return
    for name in SIZES:
        if getattr(data, name) is not None:
            flag = f"--data.{name.replace('_', '-')}"
            raise ValueError(f"{flag} is a size of the synthetic world, not of data set {data.dataset!r}")
    if data.category is not None and data.dataset != "folder":
        raise ValueError(
            f"--data.category is not for data set {data.dataset!r}, which is of one; found {data.category!r}"
        )
    if data.root is None:
        raise ValueError(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    if needs_unlabelled and data.unlabelled is None:
        raise ValueError(
            "these methods learn from photos that nobody drew: --data.unlabelled DIR, a folder of them"
        )
    for flag, folder in folders.items():
        if folder is not None and not Path(folder).is_dir():
            raise NotADirectoryError(f"--data.{flag}: expected a folder, found {folder}, which is none")


def load_split(data: Data) -> SemiSupervisedSplit:
    """What the settings name, all labelled photos; raises as `load_semi_supervised` does."""
    options: dict[str, Any] = {"unlabelled": data.unlabelled, "held_out_share": data.held_out_share}
    options |= {"category": data.category} | {option: getattr(data, name) for name, option in SIZES.items()}
    given = {name: value for name, value in options.items() if value is not None}
    return load_semi_supervised(data.dataset, data.root, seed=data.seed, **given)


def load_classes(data: Data) -> ClassificationSplit | None:
    """Sketches of many categories that a classifier learns to recognise; None where no data set for it is named."""
    if data.dataset == "synthetic":
        # 128 pixels is what its drawings are shown at; they are drawn anew from their strokes.
        sizes: dict[str, Any] = {
            "train_per_class": data.sketches_per_class,
            "validation_per_class": 0,
            "test_per_class": 4,
        }
        return load_classification("synthetic", seed=data.seed, **sizes)
    return (
        None if data.tu_berlin is None else load_classification("tu_berlin", data.tu_berlin, seed=data.seed)
    )
