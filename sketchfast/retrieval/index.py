"""A gallery index on disk: photos embedded once, searched with sketches, without torch.

The folder holds ``index.json`` (what it is, hashes), ``paths.json``, ``embeddings.npy`` (float32 [N, dim], unit length),
``codes.npy`` (uint8 [N, bits/8]; only when the export has codes) and ``encoder/``, the export itself, so that an index
keeps answering when the run it came from is gone. It is built whole and never changed; adding and removing comes with the
binary index.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import atomic
from ..runtime.load import RetrievalEncoders, load
from ..runtime.manifest import describe_files, read_manifest, verify_files
from ..runtime.pictures import EXTENSIONS, read_photo
from ..runtime.sketches import SketchImage, read_sketch

FORMAT = "sketchfast-gallery"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Hit:
    """One answer: ``rank`` from 1, the photo's ``path``, and its ``score``.

    ``score`` is the cosine similarity (higher is better) for embeddings, the Hamming distance in bits (lower is better)
    for codes.
    """

    rank: int
    path: str
    score: float


@dataclass(frozen=True)
class Answer:
    """The hits of one sketch, and the sketch as it was read."""

    sketch: SketchImage
    hits: list[Hit]
    by: str


def list_photos(folder: str | Path) -> list[Path]:
    """Every picture file below ``folder``, sorted by path.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no picture below it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "it is a file" if folder.exists() else "it does not exist"
        raise FileNotFoundError(f"photo folder {folder}: expected a folder with photos, {what}")
    found = []
    seen: set[Path] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        # Linked folders count, but none twice: a link upwards would never end.
        folders[:] = [name for name in folders if (Path(parent) / name).resolve() not in seen]
        seen.update((Path(parent) / name).resolve() for name in folders)
        # A link to nowhere is kept: reading it names it.
        found += [Path(parent) / name for name in names if Path(name).suffix.lower() in EXTENSIONS]
    found.sort()
    if not found:
        raise ValueError(
            f"photo folder {folder}: no picture in it (looked for {', '.join(sorted(EXTENSIONS))})"
        )
    return found


def build_index(
    export: str | Path,
    photos: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    batch_size: int = 32,
    skip_unreadable: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> GalleryIndex:
    """Embeds every photo and writes an index.

    Args:
        export: folder written by :func:`sketchfast.export`.
        photos: a folder, searched recursively, or a list of files.
        output: the index folder to write; published only when complete.
        batch_size: photos a call of the encoder.
        skip_unreadable: leave out files that cannot be decoded (listed in ``index.json``) instead of stopping.
        overwrite: replace an existing index.
        progress: show a progress bar.

    Raises:
        FileExistsError: ``output`` exists and ``overwrite`` is False.
        FileNotFoundError, ValueError: no photo, or a photo that cannot be read (named).
    """
    output = Path(output)
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; pass --overwrite (overwrite=True) to replace it")
    if output.exists() and not (output / "index.json").is_file():
        raise FileExistsError(f"{output} exists and is not an index of sketchfast, so it is not overwritten")
    paths = list_photos(photos) if isinstance(photos, str | Path) else [Path(path) for path in photos]
    if not paths:
        raise ValueError("photos: expected at least one file, found an empty list")
    encoders = load(export)
    outputs = encoders.manifest["encoders"]["photo"]["outputs"]
    kept: list[str] = []
    skipped: list[str] = []
    rows: list[NDArray[np.float32]] = []
    codes: list[NDArray[np.uint8]] = []
    batch: list[NDArray[np.float32]] = []

    def flush() -> None:
        if not batch:
            return
        encoded = encoders.encode("photo", np.stack(batch), outputs)
        rows.append(encoded["embedding"])
        if "code" in encoded:
            codes.append(encoded["code"])
        batch.clear()

    for path in _track(paths, "Embedding photos", progress):
        try:
            image = read_photo(path)
        except (ValueError, OSError) as error:
            if not skip_unreadable:
                raise ValueError(f"{error} (--skip-unreadable leaves such files out)") from error
            skipped.append(str(path.absolute()))
            continue
        batch.append(encoders.preprocess(image, sketch=False))
        kept.append(str(path.absolute()))
        if len(batch) == batch_size:
            flush()
    flush()
    if not kept:
        raise ValueError(f"photos: none of the {len(paths)} files could be read, the first was {paths[0]}")

    embeddings = np.concatenate(rows)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings = (embeddings / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)
    with atomic.directory(output, overwrite=overwrite) as folder:
        np.save(folder / "embeddings.npy", embeddings)
        names = ["embeddings.npy", "paths.json"]
        if codes:
            np.save(folder / "codes.npy", np.concatenate(codes))
            names.append("codes.npy")
        atomic.write_json(folder / "paths.json", kept)
        _copy_export(encoders.folder, folder / "encoder", encoders.manifest)
        description = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "count": len(kept),
            "dim": encoders.dim,
            "bits": encoders.bits,
            "skipped": skipped,
            "files": describe_files(folder, names),
        }
        atomic.write_json(folder / "index.json", description)
    return GalleryIndex.open(output)


class GalleryIndex:
    """A gallery opened for searching.

    Attributes:
        folder: where it lies.
        paths: absolute path of every photo as it was when indexed, [N].
        embeddings: float32 [N, dim], unit length.
        codes: uint8 [N, bits/8], or ``None``.
        encoders: the export that embedded the photos and now embeds the sketches.
    """

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        self.folder = folder
        self.description = description
        self.paths: list[str] = json.loads((folder / "paths.json").read_text(encoding="utf-8"))
        self.embeddings = np.load(folder / "embeddings.npy", mmap_mode="r", allow_pickle=False)
        self.codes = np.load(folder / "codes.npy", allow_pickle=False) if description["bits"] else None
        if not len(self.paths) == len(self.embeddings) == description["count"]:
            raise ValueError(
                f"{folder}: {len(self.paths)} paths and {len(self.embeddings)} embeddings; build the index again"
            )
        self.encoders: RetrievalEncoders = load(folder / "encoder")

    def __len__(self) -> int:
        return len(self.paths)

    @classmethod
    def open(cls, folder: str | Path) -> GalleryIndex:
        """Opens and checks an index.

        Raises:
            FileNotFoundError: no such folder or not an index.
            ValueError: of another version, or a file was truncated or edited (named).
        """
        folder = Path(folder)
        path = folder / "index.json"
        if not path.is_file():
            raise FileNotFoundError(
                f"index {folder}: expected a folder written by 'sketchfast index', found no index.json"
            )
        try:
            description = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: not readable as JSON ({error}); build the index again") from error
        if (
            not isinstance(description, dict)
            or description.get("format") != FORMAT
            or description.get("format_version") != FORMAT_VERSION
        ):
            raise ValueError(
                f"{path}: expected {FORMAT} version {FORMAT_VERSION}; build the index again with this version"
            )
        if not {"count", "dim", "bits", "files", "skipped"} <= description.keys():
            raise ValueError(f"{path}: incomplete; build the index again")
        verify_files(folder, description["files"], "index.json", "build the index again")
        return cls(folder, description)

    def search(self, sketch: str | Path, k: int = 10, *, by: str = "embedding") -> Answer:
        """Finds the photos nearest to a sketch.

        Args:
            sketch: PNG or JPEG of any size and polarity, SVG strokes, or QuickDraw ``.ndjson`` (``file.ndjson:7``
                for its eighth drawing).
            k: answers wanted, 1 to the size of the index.
            by: "embedding" ranks by cosine similarity, "code" by Hamming distance; ties go to the earlier photo.

        Raises:
            ValueError: k out of range, an unknown ``by``, codes asked of an index without, or a blank sketch.
        """
        if not 1 <= k <= len(self):
            raise ValueError(f"k: expected 1 to {len(self)} (the photos in {self.folder}), found {k}")
        if by not in ("embedding", "code"):
            raise ValueError(f"by: expected 'embedding' or 'code', found {by!r}")
        codes = self.codes
        if by == "code" and codes is None:
            raise ValueError(f"by: {self.folder} holds no codes (its export has only embeddings)")
        drawn = read_sketch(sketch)
        batch = self.encoders.preprocess(drawn.image, sketch=True)[None]
        if by == "code":
            assert codes is not None
            from ..numpy_ops import hamming_topk

            distances, ids = hamming_topk(self.encoders.encode_sketch(batch, "code"), codes, k)
            scores, order = distances[0], ids[0]
        else:
            query = self.encoders.encode_sketch(batch)[0]
            similarity = self.embeddings @ (
                query / max(float(np.linalg.norm(query)), np.finfo(np.float32).tiny)
            )
            order = np.argsort(-similarity, kind="stable")[:k]
            scores = similarity[order]
        hits = [
            Hit(rank, self.paths[i], float(s))
            for rank, (i, s) in enumerate(zip(order, scores, strict=True), 1)
        ]
        return Answer(drawn, hits, by)


def _copy_export(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Copies, not links: an index outlives its export, whatever is done to that one's files."""
    target.mkdir()
    for name in ["manifest.json", *manifest["files"]]:
        shutil.copy2(source / name, target / name)
    read_manifest(target)


def _track(paths: Sequence[Path], label: str, show: bool) -> Any:
    if not show:
        return paths
    from rich.progress import track

    return track(paths, label, transient=True)
