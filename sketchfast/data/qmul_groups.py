"""Transfer between sub-categories of QMUL Shoe-V2 (Pang et al. 2019, table 2), for those who have attributes of its photos.

Neither the paper nor the data set says how its attributes are stored. Here they are a file of our own form, attributes.csv (D).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sketchfast.runtime.pictures import EXTENSIONS

FILE = "attributes.csv"


class Group(NamedTuple):
    """Values of an attribute that are trained on and tested on; sketches: how many of each the paper counts.

    The paper does not say what it counts. It must be sketches (D): topline has 5,015 and 1,543, and there are 2,000 photos.
    """

    train: str
    test: str
    sketches: tuple[int, int]


GROUPS = {
    "sandal": Group("flat", "wedge", (560, 227)),
    "toe-shape": Group("closed", "fish-mouth", (400, 351)),
    "shoe-height": Group("ankle", "knee", (2010, 245)),
    "heel-shape": Group("thick", "thin", (828, 411)),
    "topline": Group("small", "big", (5015, 1543)),
}
COLUMNS = {group: group.replace("-", "_") for group in GROUPS}


def read_group(folder: Path, group: str, photos: Iterable[str]) -> tuple[set[str], set[str]]:
    """The photos to train on and those to test on, of `photos` (names without extension).

    folder: where attributes.csv lies: a header "photo,sandal,toe_shape,shoe_height,heel_shape,topline", in any order, other
        columns ignored; a row a photo, named with or without its extension; cells hold one of the attribute's two values of
        table 2, upper or lower case, or nothing for a photo that is of neither kind. Photos without a row are of neither.

    Raises FileNotFoundError that says what the file must hold; ValueError naming missing columns, photos that are not in
    `photos` or come twice, values other than the two with their line, and a value that no photo has.
    """
    if group not in GROUPS:
        raise ValueError(f"group must be one of {', '.join(GROUPS)}, got {group!r}")
    path = folder / FILE
    if not path.is_file():
        raise FileNotFoundError(f"group {group!r} needs {path}, which does not exist. {_expected()}")
    known = set(photos)
    found: dict[str, dict[str, str]] = {}
    strangers: list[str] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        header = [name.strip() for name in rows.fieldnames or []]
        missing = [name for name in ("photo", *COLUMNS.values()) if name not in header]
        if missing:
            raise ValueError(
                f"{path} lacks the columns {', '.join(missing)}; found {', '.join(header) or 'nothing'}. {_expected()}"
            )
        rows.fieldnames = header
        for row in rows:
            where = f"{path}, line {rows.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where}: expected {len(header)} cells, as in the header")
            photo = without_extension(row["photo"].strip())
            if photo in found:
                raise ValueError(f"{where}: photo {photo!r} has an earlier row too")
            if photo not in known:
                strangers.append(f"{photo!r} (line {rows.line_num})")
            found[photo] = {name: _value(row[COLUMNS[name]], name, where) for name in GROUPS}
    if strangers:
        more = ", ..." if len(strangers) > 5 else ""
        raise ValueError(
            f"{path}: {len(strangers):,} photos are not in the data set: {', '.join(strangers[:5])}{more}"
        )
    values = GROUPS[group][:2]
    parts = [{photo for photo, of in found.items() if of[group] == value} for value in values]
    for part, value in zip(parts, values, strict=True):
        if not part:
            raise ValueError(
                f"{path}: no photo has the value {value!r} in column {COLUMNS[group]}, which group {group!r} needs"
            )
    return parts[0], parts[1]


def without_extension(name: str) -> str:
    """The name without the ending of a picture; names of chairs may hold other dots."""
    head, dot, ending = name.rpartition(".")
    return head if head and dot + ending.lower() in (*EXTENSIONS, ".svg") else name


def _value(cell: str, group: str, where: str) -> str:
    value = cell.strip().lower()
    if value and value not in GROUPS[group][:2]:
        raise ValueError(
            f"{where}, column {COLUMNS[group]}: expected {GROUPS[group].train!r}, {GROUPS[group].test!r} or nothing, "
            f"found {cell!r}"
        )
    return value


def _expected() -> str:
    header = ",".join(("photo", *COLUMNS.values()))
    values = "; ".join(f"{COLUMNS[name]}: {of.train} or {of.test}" for name, of in GROUPS.items())
    return f"Expected the header {header} and a row for each photo; values, or nothing: {values}"
