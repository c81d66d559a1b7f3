"""QuickDraw's drawings, and any kept in its form, as sketches: <class>.ndjson, one drawing a line, drawn when asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sketchfast.data.image_set import ImageSet
from sketchfast.runtime.pictures import check_file
from sketchfast.runtime.strokes import MAX_LINE_BYTES, Strokes, draw, parse_drawing

# Much faster than parsing a line, of which a full data set has millions; what is wrong with one shows when it is drawn.
_KEY_ID = re.compile(rb'"key_id"\s*:\s*"?([^",}\s]+)')
# Official files carry these where they were fetched by their address.
_PREFIXES = ("full_simplified_", "full_raw_")


class DrawingSet(ImageSet):
    """Drawings of ndjson files; ids are "<class>/<key_id>". Only where each drawing starts is kept in memory.

    files: class name -> file. limit: the first drawings of each file, all when None. canvas: side of the sketches, pixels.
    Raises FileNotFoundError; ValueError naming the file and the line without a key_id, or with one that an earlier line has.
    """

    def __init__(
        self, files: Mapping[str, str | os.PathLike[str]], limit: int | None = None, canvas: int = 256
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"drawings_per_class must be at least 1 or None for all, got {limit}")
        if not 8 <= canvas <= 4096:
            raise ValueError(f"canvas must be 8..4096 pixels, got {canvas}")
        self.files, self.canvas = [Path(path) for path in files.values()], canvas
        ids: list[str] = []
        labels: list[int] = []
        starts: list[int] = []
        self.truncated = 0  # files that hold more than the limit
        for label, name in enumerate(files):
            found, more = _scan(self.files[label], limit)
            self.truncated += more
            ids += [f"{name}/{key}" for key in found]
            labels += [label] * len(found)
            starts += found.values()
        super().__init__(list(files), labels, ids, "sketch")
        self.starts = np.array(starts, np.int64)

    def load(self, i: int) -> np.ndarray:
        return draw(self.strokes(i), self.canvas)

    @property
    def has_strokes(self) -> bool:
        return True

    def strokes(self, i: int) -> Strokes:
        path = self.files[self.labels[i]]
        with path.open("rb") as file:
            file.seek(int(self.starts[i]))
            line = file.readline(MAX_LINE_BYTES + 1)
        return parse_drawing(line, f"{path}, drawing {self.ids[i].rpartition('/')[2]}")


def drawing_files(root: str | os.PathLike[str]) -> dict[str, Path]:
    """Class name -> ndjson file of a folder, sorted by name; FileNotFoundError when there are none."""
    top = Path(root)
    if not top.is_dir():
        kind = "is a file" if top.exists() else "does not exist"
        raise FileNotFoundError(f"root {top} {kind}; expected a folder of QuickDraw's <class>.ndjson files")
    files: dict[str, Path] = {}
    for path in sorted(top.glob("*.ndjson")):
        name = path.stem
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        if name in files:
            raise ValueError(f"{top} holds class {name!r} twice: {files[name].name} and {path.name}")
        files[name] = path
    if not files:
        present = sorted(path.name for path in top.iterdir())
        raise FileNotFoundError(
            f"{top} holds no <class>.ndjson files; found {', '.join(present[:12]) or 'an empty folder'}"
        )
    return dict(sorted(files.items()))


def _scan(path: Path, limit: int | None) -> tuple[dict[str, int], bool]:
    """key_id -> where its line starts, in bytes, and whether more follow the limit."""
    found: dict[str, int] = {}
    with check_file(path).open("rb") as file:
        number = start = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"{path}, line {number}: longer than {MAX_LINE_BYTES:,} bytes")
            if line.strip():
                if len(found) == limit:
                    return found, True
                key = _KEY_ID.search(line)
                if key is None:
                    raise ValueError(f'{path}, line {number}: no "key_id"; the line starts {line[:40]!r}')
                if (name := key[1].decode("utf-8", "replace")) in found:
                    raise ValueError(
                        f"{path}, line {number}: key_id {name} is that of an earlier drawing too"
                    )
                found[name] = start
            start += len(line)
    if not found:
        raise ValueError(f"{path} holds no drawings")
    return found, False
