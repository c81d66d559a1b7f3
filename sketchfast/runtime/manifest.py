"""The manifest of an export: what is in the folder, what made it, and whether it is still what was verified.

Torch-free. An export is a folder with ``manifest.json`` beside the files it names; every file's SHA-256 and size
stand in the manifest, so a truncated, edited or swapped file is found before any of it is run.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

FORMAT = "sketchfast-export"
FORMAT_VERSION = 1
MANIFEST_NAME = "manifest.json"


#: What every manifest holds; "bits" is null in an export without codes. A model that weighs the dimensions for each query
#: has a third encoder, "trait", and _TRAIT_KEYS as well.
_KEYS = {
    "kind": str,
    "encoders": dict,
    "files": dict,
    "preprocess": dict,
    "dims": dict,
    "dim": int,
    "bits": int | None,
}
#: What may rank embeddings; an export without the key ranks by cosine similarity.
DISTANCES = ("cosine", "euclidean", "weighted")
_TRAIT_KEYS = {"trait_preprocess": dict, "samples": int}


class ManifestError(ValueError):
    """An export folder is not what its manifest says; the message names the file and what to do."""


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_files(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of each named file of ``folder``, as the manifest keeps them."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)} for name in names
    }


def read_manifest(folder: str | Path, *, verify: bool = True) -> dict[str, Any]:
    """Reads and checks an export's manifest.

    Args:
        folder: the export folder, as written by :func:`sketchfast.export`.
        verify: also compare every file's size and SHA-256 with the manifest.

    Returns:
        The manifest as a dictionary.

    Raises:
        FileNotFoundError: ``folder`` does not exist, or has no manifest.
        ManifestError: the manifest is unreadable, of another kind or version, or a file differs from it.
    """
    folder = Path(folder)
    path = folder / MANIFEST_NAME
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such export folder (expected a folder written by sketchfast.export)"
        )
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: no {MANIFEST_NAME} in it, so it is not an export of sketchfast")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: not readable as JSON ({error}); export the model again") from error
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise ManifestError(f"{path}: expected format {FORMAT!r}, found {found!r}")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise ManifestError(
            f"{path}: expected format_version {FORMAT_VERSION}, found {version!r}; export the model again with this version"
        )
    encoders = manifest.get("encoders")
    traits = isinstance(encoders, dict) and "trait" in encoders
    keys = {**_KEYS, **(_TRAIT_KEYS if traits else {})}
    wrong = [key for key, kind in keys.items() if not isinstance(manifest.get(key), kind)]
    if wrong:
        raise ManifestError(
            f"{path}: keys missing or of another type: {', '.join(wrong)}; export the model again"
        )
    distance = manifest.get("distance", {}).get("embedding", "cosine")
    if distance not in DISTANCES or (distance == "weighted") != traits:
        with_traits = "with" if traits else "without"
        raise ManifestError(
            f"{path}: distance: expected one of {', '.join(DISTANCES)}, weighted exactly where there is a trait encoder, "
            f"found {distance!r} {with_traits} one; export the model again with this version"
        )
    if set(manifest["encoders"]) - {"trait"} != {"sketch", "photo"} or not all(
        {"file", "outputs"} <= set(entry) for entry in manifest["encoders"].values()
    ):
        raise ManifestError(
            f"{path}: encoders: expected sketch and photo, for some models trait, each with file and outputs; "
            "export the model again"
        )
    if verify:
        verify_files(folder, manifest["files"])
    return manifest


def verify_files(
    folder: Path,
    files: dict[str, dict[str, Any]],
    record: str = MANIFEST_NAME,
    remedy: str = "export the model again",
) -> None:
    """Raises :class:`ManifestError` for the first file that is absent or differs from its entry in ``files``.

    ``record`` is the file that holds the entries and ``remedy`` what to do; both only word the message.
    """
    for name, entry in files.items():
        path = folder / name
        if Path(name).name != name:
            raise ManifestError(f"{folder / record}: file name {name!r} leaves the folder")
        if not path.is_file():
            raise ManifestError(f"{path}: named in {record} but missing; {remedy}")
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise ManifestError(
                f"{path}: {size} bytes where {record} says {entry['bytes']}; truncated or replaced, {remedy}"
            )
        if sha256_of(path) != entry["sha256"]:
            raise ManifestError(
                f"{path}: contents differ from what {record} recorded; edited or damaged, {remedy}"
            )


def is_export(folder: Path) -> bool:
    """True for a folder that :func:`sketchfast.export` wrote: the only kind that an export may replace."""
    try:
        return json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False
