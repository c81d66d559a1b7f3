"""A gallery index on disk: photos embedded once, searched with sketches, without torch.

The folder holds ``index.json`` (what it is, hashes), ``paths.json``, ``embeddings.npy`` (float32 [N, dim], of unit length where
cosine similarity ranks), ``codes.npy`` (uint8 [N, bits/8]; only when the export has codes) and ``encoder/``, the export itself,
so that an index keeps answering when the run it came from is gone. It is built whole and never changed; adding and removing
comes with the binary index.

An export that weighs the dimensions for each query (VTD) needs nothing more: photos are encoded once, and a query's own weights
enter its distances.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic
from ..arrays import check_whole
from ..runtime.load import RetrievalEncoders, load
from ..runtime.manifest import describe_files, read_manifest, verify_files
from ..runtime.sketch_or_photo import read_query
from .answers import Answer, as_searched, hits_of, rank_photos, unit_of
from .gallery_photos import encode_photos, files_of

FORMAT = "sketchfast-gallery"
FORMAT_VERSION = 1


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
    if output.exists() and not overwrite:
        raise FileExistsError(f"{output} exists; pass --overwrite (overwrite=True) to replace it")
    if output.exists() and not (output / "index.json").is_file():
        raise FileExistsError(f"{output} exists and is not an index of sketchfast, so it is not overwritten")
    paths = files_of(photos)
    encoders = load(export)
    outputs = encoders.manifest["encoders"]["photo"]["outputs"]
    found = encode_photos(
        paths,
        encoders.preprocess,
        lambda batch: encoders.encode("photo", batch, outputs),
        batch_size=batch_size,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    embeddings = as_searched(found.outputs["embedding"], encoders.distance)
    with atomic.directory(output, overwrite=overwrite) as folder:
        np.save(folder / "embeddings.npy", embeddings)
        names = ["embeddings.npy", "paths.json"]
        if "code" in found.outputs:
            np.save(folder / "codes.npy", found.outputs["code"])
            names.append("codes.npy")
        atomic.write_json(folder / "paths.json", found.paths)
        _copy_export(encoders.folder, folder / "encoder", encoders.manifest)
        description = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "count": len(found.paths),
            "dim": encoders.dim,
            "bits": encoders.bits,
            "skipped": found.skipped,
            "files": describe_files(folder, names),
        }
        atomic.write_json(folder / "index.json", description)
    return GalleryIndex.open(output)


class GalleryIndex:
    """A gallery opened for searching.

    Attributes:
        folder: where it lies.
        paths: absolute path of every photo as it was when indexed, [N].
        embeddings: float32 [N, dim], of unit length where cosine similarity ranks.
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

    def search(
        self, sketch: str | Path, k: int = 10, *, by: str = "embedding", allow_photo: bool = False
    ) -> Answer:
        """Finds the photos nearest to a sketch.

        Args:
            sketch: PNG or JPEG of any size and polarity, SVG strokes, or QuickDraw ``.ndjson`` (``file.ndjson:7``
                for its eighth drawing).
            k: answers wanted, 1 to the size of the index.
            by: "embedding" ranks by the export's own distance (cosine similarity, or a squared distance whose weights the
                sketch sets), "code" by Hamming distance; ties go to the earlier photo.
            allow_photo: take any picture for a sketch, also what looks like a photo.

        Raises:
            ValueError: k out of range, an unknown ``by``, codes asked of an index without, a blank sketch, or a photo.
        """
        check_whole("k", k, len(self), f", the photos in {self.folder}")
        if by not in ("embedding", "code"):
            raise ValueError(f"by: expected 'embedding' or 'code', found {by!r}")
        codes = self.codes
        if by == "code" and codes is None:
            raise ValueError(f"by: {self.folder} holds no codes (its export has only embeddings)")
        drawn = read_query(sketch, allow_photo=allow_photo)
        encoders, distance = self.encoders, self.encoders.distance
        batch = encoders.preprocess(drawn.image, sketch=True)[None]
        if by == "code":
            assert codes is not None
            from ..numpy_ops import hamming_topk

            distances, ids = hamming_topk(encoders.encode_sketch(batch, "code"), codes, k)
            scores, order = distances[0], ids[0]
        else:
            query = encoders.encode_sketch(batch)[0]
            weights = encoders.weights_of(drawn.image) if distance == "weighted" else None
            order, scores = rank_photos(query, self.embeddings, k, distance, weights)
        return Answer(drawn, hits_of(self.paths, order, scores), by, unit_of(distance, by))


def _copy_export(source: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Copies, not links: an index outlives its export, whatever is done to that one's files."""
    target.mkdir()
    for name in ["manifest.json", *manifest["files"]]:
        shutil.copy2(source / name, target / name)
    read_manifest(target)
