"""The settings by which a recipe that searches for the very photo of a sketch names its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sketchfast.data.instances import InstanceSplit
from sketchfast.data.load_instances import load_instances
from sketchfast.data.qmul_groups import GROUPS
from sketchfast.training.recipe_command import check_dataset

DATA_SETS = ("synthetic", "sketchy", "qmul", "folder")
# synthetic: field of Data -> option of load_instances
SIZES = {
    "drawn_size": "size", "train_per_class": "train_per_class", "sketches_per_photo": "sketches_per_photo",
    "queries_per_class": "queries_per_class", "gallery_per_class": "gallery_per_class",
    "held_out_per_class": "held_out_per_class",
}  # fmt: skip


@dataclass
class Data:
    """What is learnt from and tested on."""

    root: str | None = None  # folder of the data set; none: the synthetic world
    dataset: str = "sketchy"  # one of DATA_SETS: synthetic, sketchy, qmul, folder
    group: str | None = None  # qmul: sandal, toe-shape, shoe-height, heel-shape or topline
    gallery: Literal["all", "drawn"] = "all"  # photos that are searched: all, or those that somebody drew
    size: int = 299  # side of the retrieval network's input in pixels
    word_vectors: str | None = None  # of the categories' names, for word-vector: pickle, npz or text
    extra_drawings: str | None = None
    """Folder of QuickDraw's <class>.ndjson: more sketches for stage 1, without those of unseen categories."""
    memory_gib: float = 4.0  # decode a set once into memory when it fits this
    seed: int = 0  # of the split where it is random, of the upper bound's half, and of the synthetic world
    drawn_size: int | None = None  # the sizes of the synthetic world: side of its pictures in pixels
    train_per_class: int | None = None
    sketches_per_photo: int | None = None
    queries_per_class: int | None = None
    gallery_per_class: int | None = None
    held_out_per_class: int | None = None
    unseen: tuple[str, ...] = ()  # names of the unseen categories; none: those published for the data set
    held_out_share: float | None = None  # of seen categories' photos; none: Sketchy's testset.txt


def check_data(data: Data) -> None:
    """ValueError for settings that belong to another data set, and for a data set without its folder."""
    check_dataset(data.dataset, DATA_SETS)
    if data.dataset == "qmul" and (data.word_vectors or data.unseen or data.held_out_share is not None):
        raise ValueError(
            "--data.word-vectors, .unseen and .held-out-share are not for data set qmul, whose --data.group says what is unseen"
        )
    if data.dataset == "synthetic" and (data.root or data.word_vectors or data.held_out_share):
        raise ValueError(
            "--data.root, --data.word-vectors and --data.held-out-share belong to a data set, but --data.dataset is "
            f"synthetic; name {', '.join(DATA_SETS[1:-1])} or {DATA_SETS[-1]}"
        )
    if data.dataset != "synthetic" and data.root is None:
        raise ValueError(f"data set {data.dataset!r} needs its folder: --data.root DIR")
    if (data.dataset == "qmul") != (data.group in GROUPS) or (data.dataset != "qmul" and data.group):
        raise ValueError(
            f"--data.group: expected one of {', '.join(GROUPS)} with data set qmul and none with others; "
            f"found {data.group!r} with {data.dataset!r}"
        )
    for name in SIZES if data.dataset != "synthetic" else ():
        if getattr(data, name) is not None:
            flag = f"--data.{name.replace('_', '-')}"
            raise ValueError(f"{flag} is a size of the synthetic world, not of data set {data.dataset!r}")


def load_split(data: Data) -> InstanceSplit:
    """What the settings name; raises as `load_instances` does."""
    options: dict[str, Any] = {"gallery": data.gallery, "seed": data.seed}
    if data.dataset == "synthetic":
        options |= {option: getattr(data, name) for name, option in SIZES.items()}
    options |= {name: getattr(data, name) for name in ("group", "word_vectors", "held_out_share")}
    options["unseen"] = data.unseen or None
    given = {name: value for name, value in options.items() if value is not None}
    return load_instances(data.dataset, data.root, **given)
