"""Drawings written as SVG and QuickDraw ndjson (runtime.strokes reads them), and sketch-rnn's npz files both ways."""

from __future__ import annotations

import errno
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from json import dumps
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike

from sketchfast import atomic
from sketchfast.data import safe_pickle
from sketchfast.data.stroke_formats import check_sequence
from sketchfast.runtime.pictures import check_file

#: Of one array of an npz, unpacked. The largest of QuickDraw's has about 30 MB.
MAX_ARRAY_BYTES = 1024**3
_MAX_HEADER_BYTES = 10_000


def write_svg(
    strokes: Sequence[np.ndarray], path: str | os.PathLike[str], canvas: float, thickness: float
) -> None:
    """Strokes [n, 2] as an SVG with one path each, in the order drawn: black on white, round ends and joints.

    canvas: side of the square picture; coordinates are written as they are, 0..canvas is visible. thickness: of the lines, in
    the same unit. `read_svg` gives the same float32 coordinates back; a stroke of one point, drawn as a dot, comes back as two.
    A drawing without strokes is a blank page. ValueError for sizes that are not above 0, and for coordinates not finite.
    """
    for name, value in (("canvas", canvas), ("thickness", thickness)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {value}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{canvas:g}" height="{canvas:g}" '
        f'viewBox="0 0 {canvas:g} {canvas:g}">',
        f'<g fill="none" stroke="black" stroke-width="{thickness:g}" stroke-linecap="round" stroke-linejoin="round">',
    ]
    for stroke in _finite(strokes, path):
        points = [f"{x!r} {y!r}" for x, y in _numbers(stroke)]
        # A path without length still has its round ends.
        rest = " L".join(points[1:] or points)
        lines.append(f'<path d="M{points[0]} L{rest}"/>')
    atomic.write_text(path, "\n".join([*lines, "</g>", "</svg>", ""]))


def write_ndjson(
    drawings: Sequence[Sequence[np.ndarray]],
    path: str | os.PathLike[str],
    word: str | None = None,
    key_ids: Sequence[str] | None = None,
) -> None:
    """Drawings, each a list of strokes [n, 2], as a QuickDraw file: one JSON object a line, `"drawing"` [[xs, ys], ...].

    word: what all of them show, left out where None. key_ids: a name for each, its number from 0 by default. Coordinates are
    written as they are; `read_ndjson` gives the same float32 back. ValueError for coordinates that are not finite, another
    number of key_ids, or one that is there twice.
    """
    names = [str(number) for number in range(len(drawings))] if key_ids is None else list(key_ids)
    if len(names) != len(drawings) or len(set(names)) < len(names):
        raise ValueError(
            f"key_ids must be {len(drawings)} different names, one for each drawing, got {len(names)} with "
            f"{len(set(names))} different"
        )
    lines = []
    for name, drawing in zip(names, drawings):
        record: dict[str, Any] = {} if word is None else {"word": word}
        record["key_id"] = name
        record["drawing"] = [
            list(map(list, zip(*_numbers(stroke)))) for stroke in _finite(drawing, f"{path}, drawing {name}")
        ]
        lines.append(dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
    atomic.write_text(path, "".join(lines))


def read_sketch_rnn(path: str | os.PathLike[str]) -> dict[str, list[np.ndarray]]:
    """The drawings of a sketch-rnn npz, each float32 [T, 3] (stroke-3), by split: "train", "valid" and "test" as a rule.

    The arrays of objects in such files are pickles; they are read by `safe_pickle`, which runs nothing they name. Raises
    FileNotFoundError; `safe_pickle.ForbiddenGlobal`, a ValueError; ValueError for another kind of file, one that unpacks
    to more than MAX_ARRAY_BYTES an array, and for a drawing that `check_sequence` refuses, naming split and number.
    """
    path = check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            if not members:
                raise ValueError(f"{path}: holds no arrays, expected .npy members such as train.npy")
            result: dict[str, list[np.ndarray]] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in result:
                    raise ValueError(f"{path}: holds {name} twice")
                if member.file_size > MAX_ARRAY_BYTES:
                    raise ValueError(
                        f"{path}, {name}: unpacks to {member.file_size:,} bytes, more than the limit of {MAX_ARRAY_BYTES:,}"
                    )
                with archive.open(member) as file:
                    drawings = _array(file, f"{path}, {name}")
                result[name] = [
                    _stroke3(drawing, f"{path}, {name} {i}") for i, drawing in enumerate(drawings)
                ]
    # Other compressions and passwords raise NotImplementedError and RuntimeError, damaged offsets a bare OSError.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise ValueError(f"{path}: not a readable npz: {error}") from error
    return result


def write_sketch_rnn(path: str | os.PathLike[str], splits: Mapping[str, Sequence[ArrayLike]]) -> None:
    """Stroke-3 drawings [T, 3] by split as an npz that sketch-rnn's own code reads.

    int16, as in its files, where every number of a split is whole and fits, else float32. ValueError as `read_sketch_rnn`.
    """
    arrays: dict[str, Any] = {}
    for name, drawings in splits.items():
        every = [
            _stroke3(np.asarray(drawing), f"{path}, {name} {number}")
            for number, drawing in enumerate(drawings)
        ]
        whole = all((drawing == np.clip(np.rint(drawing), -32768, 32767)).all() for drawing in every)
        objects = np.empty(len(every), dtype=object)  # np.array would stack drawings of one length
        for number, drawing in enumerate(every):
            objects[number] = drawing.astype(np.int16) if whole else drawing
        arrays[name] = objects
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)  # older numpy would take allow_pickle for an array
    atomic.write_bytes(path, buffer.getbuffer())


def _array(file: IO[bytes], source: str) -> np.ndarray:
    """An array of objects [N], or of numbers [N, T, 3], from an npy stream."""
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the format, expected 1.0 or 2.0")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file, max_header_size=_MAX_HEADER_BYTES)
    # numpy lets through what Python's own parser says of a header: not ended, too deep (MemoryError).
    except (ValueError, SyntaxError, TokenError, MemoryError) as error:
        raise ValueError(f"{source}: not a readable npy array: {error}") from None
    if dtype.kind == "O":
        array = safe_pickle.loads(file.read(), source)
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.shape != shape:
            found = f"shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise ValueError(f"{source}: expected an array of drawings [N], found {found}")
        return array
    if dtype.kind not in "fiu" or len(shape) != 3 or shape[2] != 3 or min(shape) < 0:
        raise ValueError(
            f"{source}: expected an array of drawings (T, 3), found numbers of shape {shape}, {dtype}"
        )
    content = file.read()
    if len(content) != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"{source}: an array of shape {shape}, {dtype} cannot have {len(content):,} bytes")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _stroke3(drawing: Any, source: str) -> np.ndarray:
    if not isinstance(drawing, np.ndarray) or drawing.dtype.kind not in "fiu" or drawing.shape[1:] != (3,):
        found = (
            f"shape {drawing.shape}, {drawing.dtype}"
            if isinstance(drawing, np.ndarray)
            else type(drawing).__name__
        )
        raise ValueError(f"{source}: expected an array of numbers (T, 3), found {found}")
    check_sequence(drawing[:, :2], drawing[:, 2], source)
    return drawing.astype(np.float32)


def _finite(strokes: Sequence[np.ndarray], source: object) -> list[np.ndarray]:
    """The strokes as float32, those without points left out; ValueError for other shapes and what is not finite."""
    every = []
    for number, stroke in enumerate(strokes):
        points = np.asarray(stroke, dtype=np.float32)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise ValueError(
                f"{source}, stroke {number}: expected finite coordinates [n, 2], found the shape {list(points.shape)}"
                + ("" if np.isfinite(points).all() else " with NaN or infinite ones")
            )
        if len(points):
            every.append(points)
    return every


def _numbers(stroke: np.ndarray) -> list[tuple[float, float]]:
    """x, y of each point: the shortest decimals that are the same float32, whole ones without a fraction."""
    values = [float(text) for text in stroke.reshape(-1).astype(str)]
    short = [int(value) if value.is_integer() else value for value in values]
    return list(zip(short[::2], short[1::2]))
