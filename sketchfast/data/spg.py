"""SPG (Li et al. 2018): QuickDraw drawings with a part label on every point, drawn as sketches with part masks.

`<category>_raw.ndjson` holds one object a line, `{"key_id", "drawing": [[xs, ys, labels], ...]}`; `<category>.txt` names
the labels, line number = label, and `splits.json` lists the published key_ids: category -> {"train", "valid", "test"}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sketchfast.canvas import MARGIN
from sketchfast.data.part_set import IGNORE, PartSet, PartSplit
from sketchfast.runtime.pictures import check_file
from sketchfast.runtime.strokes import MAX_LINE_BYTES, MAX_POINTS

SUFFIX = "_raw.ndjson"
SPLITS = ("train", "valid", "test")
#: Drawings a category in each published split.
PUBLISHED = {"train": 650, "valid": 50, "test": 100}


@dataclass(frozen=True)
class LabelledDrawing:
    """key_id; strokes: float32 [n, 2] of (x, y), y down; labels: int64 [n] per stroke, one a point, from 0."""

    key_id: str
    strokes: list[np.ndarray]
    labels: list[np.ndarray]

    def stroke_labels(self) -> np.ndarray:
        """int64 [strokes]: the label of most of a stroke's points, the lowest of several."""
        return np.array([int(np.bincount(labels).argmax()) for labels in self.labels], np.int64)


def read_spg(path: str | os.PathLike[str], labels: int) -> list[LabelledDrawing]:
    """Every drawing of a `<category>_raw.ndjson` file; labels: how many there are.

    Strokes without points are left out. Raises FileNotFoundError, or ValueError naming the file, the line and the
    stroke: not JSON, no key_id or drawing, lists of different lengths, a label out of range, no stroke at all.
    """
    drawings = []
    for where, found in scan_spg(path, labels):
        if isinstance(found, ValueError):
            raise ValueError(f"{path}, {where}{found}")
        drawings.append(found)
    if not drawings:
        raise ValueError(f"{path} holds no drawings")
    return drawings


def scan_spg(path: str | os.PathLike[str], labels: int) -> Iterator[tuple[str, LabelledDrawing | ValueError]]:
    """("line 7", its drawing, or what is wrong with it) for every line that is not empty: see `read_spg`."""
    with check_file(path).open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield f"line {number}", ValueError(f": longer than {MAX_LINE_BYTES:,} bytes")
            elif line.strip():
                try:
                    drawing: LabelledDrawing | ValueError = _parse(line, labels)
                except ValueError as error:
                    drawing = error
                yield f"line {number}", drawing


def _parse(line: bytes, count: int) -> LabelledDrawing:
    """Messages of its ValueErrors continue the name of the line."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f": not JSON: {error}") from None
    if not isinstance(record, dict) or "key_id" not in record or not isinstance(record.get("drawing"), list):
        raise ValueError(': expected an object with "key_id" and a list "drawing"')
    strokes, labels = [], []
    for k, stroke in enumerate(record["drawing"]):
        if not (
            isinstance(stroke, list) and len(stroke) >= 3 and all(isinstance(row, list) for row in stroke)
        ):
            raise ValueError(f", stroke {k}: expected [xs, ys, labels], found {str(stroke)[:60]}")
        stroke = stroke[:3]  # 264 published strokes carry a second row of labels
        lengths = [len(row) for row in stroke]
        if len(set(lengths)) > 1:
            raise ValueError(f", stroke {k}: xs, ys and labels must be of one length, found {lengths}")
        if not lengths[0]:
            continue
        try:
            points = np.array(stroke[:2], np.float64).T
            marks = np.array(stroke[2])
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f", stroke {k}: xs, ys and labels must be numbers") from None
        if points.ndim != 2 or not (np.abs(points) < 1e7).all():  # false for NaN too
            raise ValueError(f", stroke {k}: coordinates must be finite and below 1e7 in size")
        if marks.ndim != 1 or marks.dtype.kind not in "iu" or marks.min() < 0 or marks.max() >= count:
            shown = ", ".join(str(mark)[:20] for mark in dict.fromkeys(map(str, stroke[2])))[:60]
            raise ValueError(f", stroke {k}: labels must be whole numbers 0..{count - 1}, found {shown}")
        strokes.append(points.astype(np.float32))
        labels.append(marks.astype(np.int64))
    if not strokes:
        raise ValueError(": the drawing holds no strokes")
    if sum(map(len, strokes)) > MAX_POINTS:
        raise ValueError(f": more than {MAX_POINTS:,} points")
    return LabelledDrawing(str(record["key_id"]), strokes, labels)


def read_part_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """`<category>.txt`: line k (from 0) names label k. Empty lines at the end name nothing; one between is an unused label."""
    lines = [line.strip() for line in check_file(path).read_text("utf-8").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise ValueError(f"{path} names no part")
    return tuple(name or f"dont care {k}" for k, name in enumerate(lines, 1))


def spg_categories(root: str | os.PathLike[str]) -> list[str]:
    """The categories with drawings under root, sorted; FileNotFoundError when there are none."""
    top = Path(root)
    if not top.is_dir():
        raise FileNotFoundError(
            f"root {top} does not exist or is no folder; expected one with <category>{SUFFIX} files"
        )
    names = sorted(path.name.removesuffix(SUFFIX) for path in top.glob("*" + SUFFIX))
    if not names:
        raise FileNotFoundError(f"{top} holds no <category>{SUFFIX} files")
    return names


def read_splits(root: str | os.PathLike[str]) -> dict[str, dict[str, list[str]]]:
    """splits.json: category -> {"train", "valid", "test"} -> key_ids."""
    path = check_file(Path(root) / "splits.json")
    try:
        content = json.loads(path.read_text("utf-8"))
        return {
            category: {split: [str(key) for key in parts[split]] for split in SPLITS}
            for category, parts in content.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected category -> {{{', '.join(SPLITS)}}} -> key_ids: {error!r}"
        ) from None


class SpgSet(PartSet):
    """Labelled drawings, rendered when first asked for and then kept (2 x size^2 bytes each).

    The mask holds label + 1 on the pixels of a stroke and 255 elsewhere: there is no background, only strokes
    are labelled. size: side of sketch and mask; thickness: line width in pixels.
    """

    def __init__(
        self,
        name: str,
        parts: Mapping[str, tuple[str, ...]],
        labels: Sequence[int],
        drawings: Sequence[LabelledDrawing],
        size: int,
        thickness: int,
    ):
        categories = list(parts)
        ids = [f"{categories[k]}/{one.key_id}" for k, one in zip(labels, drawings, strict=True)]
        super().__init__(name, parts, labels, ids)
        self.drawings, self.size, self.thickness = list(drawings), size, thickness
        self._rendered: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if i not in self._rendered:
            strokes = self.stroke_map(i)
            ids = np.append(self.drawings[i].stroke_labels() + 1, IGNORE).astype(np.uint8)
            pair = np.where(strokes >= 0, np.uint8(0), np.uint8(255)), ids[strokes]
            for array in pair:
                array.flags.writeable = False
            self._rendered[i] = pair
        return self._rendered[i]

    def stroke_map(self, i: int) -> np.ndarray:
        """int32 [size, size]: the number of the stroke on each pixel, the later one where two cross; -1 elsewhere."""
        return draw_stroke_map(self.drawings[i].strokes, self.size, self.thickness)

    def stroke_ids(self, i: int) -> np.ndarray:
        """uint8 [strokes]: the part id (label + 1) of each stroke, in the numbering of `stroke_map`."""
        return (self.drawings[i].stroke_labels() + 1).astype(np.uint8)


def draw_stroke_map(strokes: Sequence[np.ndarray], size: int, thickness: int = 2) -> np.ndarray:
    """Strokes drawn with their number: int32 [size, size], -1 where there is none.

    The drawing's box is scaled, aspect kept, to fill the picture but for 1/16 a side, and centred. A stroke that
    later ones cover entirely has no pixels.
    """
    points = np.concatenate(strokes).astype(np.float64)
    low, high = points.min(0), points.max(0)
    extent = float((high - low).max())
    scale = size * (1 - 2 * MARGIN) / extent if extent > 0 else 1.0
    picture = Image.new("I", (size, size), -1)
    pen = ImageDraw.Draw(picture)
    for number, stroke in enumerate(strokes):
        moved = (stroke.astype(np.float64) - (low + high) / 2) * scale + size / 2 - 0.5
        if len(moved) == 1 or np.ptp(moved, axis=0).max() < 0.5:
            x, y = moved.mean(0)
            half = max(thickness - 1, 0) / 2
            pen.rectangle((round(x - half), round(y - half), round(x + half), round(y + half)), fill=number)
        else:
            pen.line([tuple(p) for p in moved.tolist()], fill=number, width=thickness)
    return np.array(picture, np.int32)


def load_spg(
    root: str | os.PathLike[str],
    *,
    categories: Sequence[str] | None = None,
    size: int = 256,
    thickness: int = 2,
) -> PartSplit:
    """The published splits by key_id; "valid" is held out. categories: all that are there when None.

    Raises FileNotFoundError for missing files, ValueError for what `read_spg` refuses, an unknown category, or a
    category without a split. Listed drawings that the file lacks are counted in the notes.
    """
    if not 8 <= size <= 2048:
        raise ValueError(f"size must be 8..2048 pixels, got {size}")
    if not 1 <= thickness <= size // 4:
        raise ValueError(f"thickness must be 1..{size // 4} pixels at size {size}, got {thickness}")
    present = spg_categories(root)
    names = list(categories) if categories is not None else present
    unknown = [name for name in names if name not in present]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(f"categories: expected different ones of {', '.join(present)}; found {names}")
    splits = read_splits(root)
    parts: dict[str, tuple[str, ...]] = {}
    chosen: dict[str, list[tuple[int, LabelledDrawing]]] = {split: [] for split in SPLITS}
    notes = [f"{size} pixels, lines {thickness} wide; pixels off the strokes are ignored ({IGNORE})"]
    for k, name in enumerate(names):
        if name not in splits:
            raise ValueError(f"{Path(root) / 'splits.json'} has no split of {name!r}")
        parts[name] = read_part_names(Path(root) / f"{name}.txt")
        by_key = {one.key_id: one for one in read_spg(Path(root) / f"{name}{SUFFIX}", len(parts[name]))}
        for split in SPLITS:
            found = [by_key[key] for key in splits[name][split] if key in by_key]
            chosen[split] += [(k, one) for one in found]
            if len(found) != PUBLISHED[split]:
                notes.append(f"{name}: {split} has {len(found)} drawings of published {PUBLISHED[split]}")
    train, valid, test = (
        SpgSet(f"SPG {split}", parts, [k for k, _ in rows], [one for _, one in rows], size, thickness)
        for split, rows in chosen.items()
    )
    return PartSplit("SPG", train, test, valid, notes)
