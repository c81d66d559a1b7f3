"""Which way the objects of SketchParse's training photos face (its `Pose_all_label.txt`), for the auxiliary task of MM'17."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

NUM_POSES = 8
#: The pose of the mirror image, by pose (SketchParse's own table).
MIRRORED_POSE = (0, 5, 3, 2, 4, 1, 7, 6)


def read_pose_labels(path: str | os.PathLike[str], names: Iterable[str]) -> np.ndarray:
    """int64 [N]: the pose 0..7 of each item; names are those of a SketchParse training set (`.../2008_003094-3(r,p0).png`).

    Lines of the file are `2008_003094_3.jpg 5`. Raises FileNotFoundError; ValueError for another form or an item without a pose.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; expected SketchParse's Pose_all_label.txt")
    poses: dict[str, int] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        name, _, pose = line.strip().rpartition(" ")
        if not name or pose not in set("01234567"):
            raise ValueError(f"{file}, line {number}: expected '<photo> <pose 0..7>', found {line!r}")
        photo = Path(name).stem
        if photo.startswith(
            "2"
        ):  # a PASCAL photo: its object's number follows the last "_" here, "-" in the lists
            photo = "-".join(photo.rsplit("_", 1))
        poses[photo] = int(pose)
    items = [Path(name).name.split("(")[0] for name in names]
    if lacking := [item for item in items if item not in poses]:
        raise ValueError(
            f"{file} has no pose of {len(lacking):,} of {len(items):,} training sketches, such as {lacking[0]!r}"
        )
    return np.array([poses[item] for item in items], np.int64)
