"""Word vectors of class names, from the files in which people keep them.

Read: a pickle or .npz of name -> vector, an .npz with `names` and `vectors`, and the text form of word2vec
and GloVe (`word v1 ... vD` a line, with or without a first line `count D`). Class names are spelled
differently everywhere, so a name matches, in this order: exactly; with `_` and `-` as blanks; without regard
to case; without regard to separators; without a suffix in parentheses (`car_(sedan)` finds `car`). Where only
the single words of a name are there, their mean is taken. Whatever was not exact is said.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import wrap_file

from sketchfast.data import safe_pickle
from sketchfast.data.layouts import class_key
from sketchfast.runtime.pictures import check_file

_PROGRESS_BYTES = 64 * 1024 * 1024


def _blanks(name: str) -> str:
    return re.sub(r"[_\-\s]+", " ", name).strip()


def _bare(name: str) -> str:
    return re.sub(r"[_\-\s]*\([^)]*\)\s*$", "", name)


_MATCHES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("exact", lambda name: name),
    ("separators", _blanks),
    ("case", lambda name: _blanks(name).casefold()),
    ("separators", class_key),
    ("the suffix in parentheses", lambda name: class_key(_bare(name))),
)


def load_word_vectors(
    path: str | os.PathLike[str], names: Sequence[str], dim: int | None = None
) -> np.ndarray:
    """float32 [len(names), D] in the order of `names`; warns (UserWarning) when a match was not exact.

    dim: the D expected; any one length when None.

    Raises ValueError naming the file and the trouble: names that are missing, vectors of the wrong length,
    values that are not finite numbers, names that several entries match, a file that is none of the formats,
    a pickle with a forbidden global. FileNotFoundError for a wrong path.
    """
    vectors, notes = match_word_vectors(path, names, dim)
    if notes:
        warnings.warn("; ".join(notes), stacklevel=2)
    return vectors


def match_word_vectors(
    path: str | os.PathLike[str], names: Sequence[str], dim: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """As `load_word_vectors`, and what to say about inexact matches instead of a warning."""
    path = check_file(path)
    names = list(names)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if not names or repeated:
        raise ValueError(
            f"names must be one or more different class names, got {repeated[:5]} more than once"
        )
    entries = _read_entries(path, names, dim)
    chosen: list[list[str]] = []
    inexact: list[str] = []
    missing: list[str] = []
    indices = [_index(entries, match) for _, match in _MATCHES]
    for name in names:
        for (what, match), index in zip(_MATCHES, indices, strict=True):
            keys = index.get(match(name), [])
            if len(keys) > 1 and any(not np.array_equal(entries[keys[0]], entries[key]) for key in keys[1:]):
                raise ValueError(
                    f"{path}: {name!r} matches several entries but for {what}: {', '.join(keys[:5])}"
                )
            if keys:
                chosen.append([keys[0]])
                if keys[0] != name:
                    inexact.append(f"{name!r} -> {keys[0]!r}")
                break
        else:
            words = _blanks(_bare(name)).split(" ")
            found = [indices[2].get(word.casefold(), [""])[0] for word in words]
            if len(words) > 1 and all(found):
                chosen.append(found)
                inexact.append(f"{name!r} -> the mean of {', '.join(found)}")
            else:
                missing.append(name)
    if missing:
        more = ", ..." if len(missing) > 10 else ""
        raise ValueError(
            f"{path} has no vector for {len(missing)} of {len(names)} names: {', '.join(missing[:10])}{more}"
        )
    vectors = _checked_vectors(path, entries, chosen, dim)
    notes = []
    if inexact:
        more = f" and {len(inexact) - 8} more" if len(inexact) > 8 else ""
        notes.append(f"{path.name}: {len(inexact)} names matched inexactly: {', '.join(inexact[:8])}{more}")
    return vectors, notes


def _index(entries: Mapping[str, Any], match: Callable[[str], str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = {}
    for key in entries:
        index.setdefault(match(key), []).append(key)
    return index


def _checked_vectors(
    path: Path, entries: Mapping[str, Any], chosen: list[list[str]], dim: int | None
) -> np.ndarray:
    rows: list[np.ndarray] = []
    for keys in chosen:
        parts = []
        for key in keys:
            try:
                vector = np.asarray(entries[key], dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"{path}: the vector of {key!r} does not consist of numbers") from None
            if vector.ndim == 2 and 1 in vector.shape:
                vector = vector.reshape(-1)
            if vector.ndim != 1 or vector.size == 0:
                raise ValueError(
                    f"{path}: {key!r} must have one vector, got an array of shape {vector.shape}"
                )
            expected = dim if dim is not None else (rows[0].size if rows else vector.size)
            if vector.size != expected:
                raise ValueError(
                    f"{path}: the vector of {key!r} must have {expected} numbers, got {vector.size}"
                )
            if not np.isfinite(vector).all() or np.abs(vector).max() > np.finfo(np.float32).max:
                raise ValueError(f"{path}: the vector of {key!r} holds NaN or infinite values")
            parts.append(vector)
        rows.append(np.mean(parts, axis=0))
    return np.asarray(rows, dtype=np.float32)


def _read_entries(path: Path, names: Sequence[str], dim: int | None) -> Mapping[str, Any]:
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        start = file.read(4)
    if suffix == ".npz" or start == b"PK\x03\x04":
        return _from_npz(path)
    if suffix in (".pkl", ".pickle", ".p") or start[:1] == b"\x80":
        return _from_pickle(path)
    if suffix == ".bin":
        raise ValueError(
            f"{path} looks like binary word2vec, which is not read; save it as text (`word v1 ... vD`)"
        )
    return _from_text(path, names, dim)


def _from_pickle(path: Path) -> dict[str, Any]:
    content = safe_pickle.load(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"{path} must hold a dict of name -> vector, found {type(content).__name__}")
    return _named(path, ((_text(path, key), value) for key, value in content.items()))


def _from_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {key: archive[key] for key in archive.files}
    except Exception as error:  # zipfile, zlib and numpy raise many types on a damaged archive
        raise ValueError(f"{path} is not a readable .npz: {error}") from None
    if set(content) == {"names", "vectors"}:
        if content["vectors"].ndim != 2 or content["names"].shape != content["vectors"].shape[:1]:
            shapes = content["names"].shape, content["vectors"].shape
            raise ValueError(
                f"{path}: names [N] and vectors [N, D] must agree, got {shapes[0]} and {shapes[1]}"
            )
        pairs = zip(content["names"].tolist(), content["vectors"], strict=True)
        return _named(path, ((_text(path, key), value) for key, value in pairs))
    return content


def _from_text(path: Path, names: Sequence[str], dim: int | None) -> dict[str, Any]:
    """Only the lines that may be wanted are parsed: the files have millions."""
    wanted = {class_key(name) for name in names} | {class_key(_bare(name)) for name in names}
    wanted |= {class_key(word) for name in names for word in _blanks(name).split(" ")}
    wanted |= {class_key(word) for name in names for word in _blanks(_bare(name)).split(" ")}
    found: list[tuple[str, Any]] = []
    size = path.stat().st_size
    length: int | None = None
    with (
        path.open("rb") as raw,
        wrap_file(
            raw,
            size,
            description=f"reading {path.name}",
            disable=size < _PROGRESS_BYTES,
            transient=True,
            console=Console(file=sys.stderr),
        ) as file,
    ):
        for number, line in enumerate(file, 1):
            fields = line.split(b" ", 1)[0].split(b"\t", 1)[0]
            if length is not None and class_key(_bare(fields.decode("utf-8", "replace"))) not in wanted:
                continue
            parts = line.decode("utf-8", "replace").split()
            if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
                length = int(parts[1])
                continue
            if not parts:
                continue
            if length is None:
                length = min(_trailing_numbers(parts), len(parts) - 1)
                if length < 1:
                    raise ValueError(f"{path}, line {number}: expected `word v1 ... vD`, found {line[:60]!r}")
            # A line too short for the file's length is kept as it is: the length check names it.
            width = min(length, min(_trailing_numbers(parts), len(parts) - 1))
            if width < 1:
                raise ValueError(f"{path}, line {number}: expected `word v1 ... vD`, found {line[:60]!r}")
            key = " ".join(parts[:-width])
            if class_key(key) in wanted or class_key(_bare(key)) in wanted:
                found.append((key, parts[-width:]))
    if length is None:
        raise ValueError(f"{path} holds no word vectors; expected lines of `word v1 ... vD`")
    return _named(path, found)


def _trailing_numbers(parts: Sequence[str]) -> int:
    count = 0
    for part in reversed(parts):
        try:
            float(part)
        except ValueError:
            break
        count += 1
    return count


def _text(path: Path, key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    if not isinstance(key, str):
        raise ValueError(f"{path}: names must be text, got {key!r}")
    return key


def _named(path: Path, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise ValueError(f"{path} has more than one vector for {key!r}")
        entries[key] = value
    return entries
