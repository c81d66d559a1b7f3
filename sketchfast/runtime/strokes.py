"""Reading drawings kept as strokes (SVG, QuickDraw ndjson) and drawing them as pictures.

Strokes are a list of float32 [n, 2] arrays of x, y with y pointing down, in the units of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sketchfast.canvas import MARGIN
from sketchfast.runtime.pictures import check_file

MAX_POINTS = 1_000_000
MAX_SVG_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024

Strokes = list[np.ndarray]


def read_svg(path: str | os.PathLike[str]) -> Strokes:
    """Every path, line, polyline, polygon, rectangle, circle and ellipse of an SVG file; curves are sampled.

    Transforms are applied; fills, colours and text are ignored. Raises ValueError for a file that is not SVG,
    is larger than 16 MB, uses `<use>` (nested ones can unpack without bound) or draws nothing.
    """
    import svgelements

    path = check_file(path)
    if path.stat().st_size > MAX_SVG_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, more than the limit of {MAX_SVG_BYTES:,} for SVG"
        )
    content = path.read_bytes()
    if b"<svg" not in content and b":svg" not in content:
        raise ValueError(f"{path} holds no <svg> element; it starts with the bytes {content[:16]!r}")
    if b"<use" in content or b":use" in content:
        raise ValueError(f"{path} uses <use>, which is not read; expand clones into paths before saving")
    try:
        document = svgelements.SVG.parse(str(path), reify=True)
        shapes = [
            svgelements.Path(item) for item in document.elements() if isinstance(item, svgelements.Shape)
        ]
        strokes: Strokes = []
        total = 0
        for shape in shapes:
            for subpath in shape.as_subpaths():
                points = _sample_svg(subpath)
                total += len(points)
                if total > MAX_POINTS:
                    raise ValueError(f"more than {MAX_POINTS:,} points")
                if points:
                    strokes.append(np.asarray(points, dtype=np.float64))
    except Exception as error:  # the XML and path parsers raise many types; the file is what the caller knows
        raise ValueError(f"{path} cannot be read as SVG: {error}") from error
    return _checked(strokes, f"{path}")


def _sample_svg(segments: Sequence[object]) -> list[tuple[float, float]]:
    import svgelements

    points: list[tuple[float, float]] = []
    for segment in segments:
        if isinstance(segment, svgelements.Move | svgelements.Line | svgelements.Close):
            if segment.end is not None:
                points.append((segment.end.x, segment.end.y))
        elif isinstance(segment, svgelements.PathSegment):
            steps = 48 if isinstance(segment, svgelements.Arc) else 16
            for step in range(1, steps + 1):
                point = segment.point(step / steps)
                points.append((point.x, point.y))
    return points


def read_ndjson(path: str | os.PathLike[str], index: int = 0) -> Strokes:
    """Drawing number `index` (from 0) of a QuickDraw file, one JSON object a line, simplified or raw.

    `"drawing"` is a list of strokes, each `[xs, ys, ...]`; further rows (time, part labels) are not read.
    """
    if index < 0:
        raise ValueError(f"index must be 0 or more, got {index}")
    count = 0
    for line in ndjson_lines(path):
        if count == index:
            return parse_drawing(line, f"{path}, drawing {index}")
        count += 1
    raise ValueError(f"{path} holds {count} drawings (0..{count - 1}), there is no drawing {index}")


def ndjson_lines(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """The lines of a QuickDraw file that are not blank, one drawing each (`parse_drawing`), read one at a time."""
    path = check_file(path)
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES + 1):
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"{path} has a line longer than {MAX_LINE_BYTES:,} bytes")
            if line.strip():
                yield line


def parse_drawing(line: bytes | str, source: str) -> Strokes:
    """One line of a QuickDraw ndjson file; `source` names it in errors (ValueError)."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: not JSON: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("drawing"), list):
        found = sorted(islice(record, 8)) if isinstance(record, dict) else type(record).__name__
        raise ValueError(f'{source}: expected an object with a list "drawing", found {found}')
    strokes: Strokes = []
    for number, stroke in enumerate(record["drawing"]):
        where = f"{source}, stroke {number}"
        if not isinstance(stroke, list) or len(stroke) < 2:
            raise ValueError(f"{where}: expected [xs, ys, ...], found {str(stroke)[:60]}")
        xs, ys = stroke[:2]
        if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
            raise ValueError(f"{where}: xs and ys must be lists of one length")
        try:
            points = np.array([xs, ys], dtype=np.float64).T
        except (TypeError, ValueError):
            raise ValueError(f"{where}: xs and ys must be numbers") from None
        if len(points):
            strokes.append(points)
    return _checked(strokes, source)


def _checked(strokes: Strokes, source: str) -> Strokes:
    if not strokes:
        raise ValueError(f"{source}: holds no strokes")
    total = sum(len(stroke) for stroke in strokes)
    if total > MAX_POINTS:
        raise ValueError(f"{source}: has {total:,} points, more than the limit of {MAX_POINTS:,}")
    for number, stroke in enumerate(strokes):
        if not (np.abs(stroke) < 1e7).all():  # false for NaN too
            raise ValueError(f"{source}, stroke {number}: coordinates must be finite and below 1e7 in size")
    return [stroke.astype(np.float32) for stroke in strokes]


def draw(strokes: Sequence[np.ndarray], canvas: int = 256) -> np.ndarray:
    """Strokes as uint8 [canvas, canvas, 3], antialiased black on white.

    The drawing's bounding box is scaled, aspect ratio kept, to fill the canvas but for a margin of 1/16 a
    side. Lines are canvas / 100 wide, about the pen of Sketchy's 256-pixel sketches.
    """
    if not 8 <= canvas <= 4096:
        raise ValueError(f"canvas must be 8..4096 pixels, got {canvas}")
    oversampling = 4
    side = canvas * oversampling
    points = np.concatenate([np.asarray(stroke, np.float64).reshape(-1, 2) for stroke in strokes])
    low, high = points.min(0), points.max(0)
    extent = float((high - low).max())
    scale = side * (1 - 2 * MARGIN) / extent if extent > 0 else 1.0
    centre = (low + high) / 2
    radius = max(side / 200, 0.5 * oversampling)
    picture = Image.new("L", (side, side), 255)
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        path = [
            tuple(point) for point in ((np.asarray(stroke, np.float64) - centre) * scale + side / 2).tolist()
        ]
        pen.line(path, fill=0, width=round(2 * radius))
        for x, y in path:  # round joints and caps, and a dot for a stroke of one point
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    grey = np.array(picture.reduce(oversampling))
    return np.repeat(grey[:, :, None], 3, axis=2)


def split_index(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """`drawings.ndjson:7` -> (`drawings.ndjson`, 7); any other path is returned with None."""
    text = os.fspath(path)
    head, colon, tail = text.rpartition(":")
    if colon and tail.isdecimal() and head.lower().endswith(".ndjson") and not Path(text).exists():
        return Path(head), int(tail)
    return Path(text), None
