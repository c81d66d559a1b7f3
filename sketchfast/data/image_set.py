"""A collection of sketches or photos with class labels, decoded when asked for."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sketchfast.runtime.pictures import read_photo
from sketchfast.runtime.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from sketchfast.runtime.sketches import read_sketch
from sketchfast.runtime.strokes import Strokes, read_svg

MODALITIES = ("sketch", "photo")
_SEVERAL = {"sketch": "sketches", "photo": "photos"}
Result = TypeVar("Result")


class ImageSet:
    """Items of one modality, each with a class.

    names: class names; labels: int64 [N], index into names; ids: one string per item, a path relative to the
    data set or a synthetic id; modality: "sketch" or "photo".

    A subclass provides `load`. Raises ValueError when the parts do not fit together.
    """

    def __init__(
        self, names: Sequence[str], labels: Sequence[int] | np.ndarray, ids: Sequence[str], modality: str
    ):
        if modality not in MODALITIES:
            raise ValueError(f"modality must be one of {MODALITIES}, got {modality!r}")
        self.names = list(names)
        self.labels = np.asarray(labels, dtype=np.int64).reshape(-1)
        self.ids = list(ids)
        self.modality = modality
        self._resized: dict[Preprocess, np.ndarray] = {}
        if len(self.labels) != len(self.ids):
            raise ValueError(
                f"labels and ids must have one length, got {len(self.labels)} and {len(self.ids)}"
            )
        outside = (self.labels < 0) | (self.labels >= len(self.names))
        if outside.any():
            first = int(np.flatnonzero(outside)[0])
            raise ValueError(
                f"labels must be 0..{len(self.names) - 1} for {len(self.names)} class names, "
                f"got {self.labels[first]} for {self.ids[first]}"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, i: int) -> np.ndarray:
        """Item i as uint8 [H, W, 3]: RGB for a photo, black ink on white for a sketch."""
        raise NotImplementedError(f"{type(self).__name__} must define load(i)")

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        """Item i as a network sees it, uint8 [S, S, 3]: resized, unless the set can draw at any size. An item of `resized`."""
        return spec.resize_image(self.load(i), sketch=self.modality == "sketch")

    @property
    def has_strokes(self) -> bool:
        """Whether `strokes` tells how every item was drawn."""
        return False

    def strokes(self, i: int) -> Strokes:
        """The strokes of item i in the order drawn, each float32 [n, 2]: x, y in the set's own units, y down.

        ValueError naming the item where only its picture is known.
        """
        raise ValueError(f"{self.ids[i]}: this {self.modality} is a picture; its strokes are not known")

    def subset(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """The items at these positions (in this order, repeats allowed) with the same class names."""
        return _Subset(self, np.asarray(indices, dtype=np.int64).reshape(-1))

    def resized(
        self,
        size: int,
        preprocess: Preprocess | None = None,
        progress: bool = True,
        threads: int | None = None,
    ) -> np.ndarray:
        """Every item as uint8 [N, S, S, 3], decoded once by a pool of threads and kept in memory.

        size: S; it replaces the size of `preprocess`, whose resize, interpolation and, for sketches, homogeneous
            and ink_margin apply.
        Raises ValueError naming the files that cannot be decoded (up to 20, and how many there are in all),
        and MemoryError before any work when the result would not fit into memory.
        """
        spec = dataclasses.replace(preprocess or Preprocess(), size=size)
        key = _key(spec)
        if key not in self._resized:
            self._resized[key] = self._decode_all(spec, progress, threads)
        return self._resized[key]

    def _decode_all(self, spec: Preprocess, progress: bool, threads: int | None) -> np.ndarray:
        _require_memory(
            len(self) * spec.size * spec.size * 3,
            f"{len(self):,} {_SEVERAL[self.modality]} of {spec.size} pixels",
        )
        result = np.empty((len(self), spec.size, spec.size, 3), np.uint8)

        def decode(i: int) -> str | None:
            try:
                result[i] = self.picture(i, spec)
            except (OSError, ValueError) as error:
                return f"{self.ids[i]}: {error}"
            return None

        problems = run_threads(decode, len(self), f"decoding {_SEVERAL[self.modality]}", progress, threads)
        failures = [problem for problem in problems if problem is not None]
        if failures:
            more = f"\n  and {len(failures) - 20} more" if len(failures) > 20 else ""
            listed = "\n  ".join(failures[:20])
            raise ValueError(
                f"{len(failures)} of {len(self)} {_SEVERAL[self.modality]} cannot be decoded:\n  {listed}{more}"
            )
        return result


def _key(spec: Preprocess) -> Preprocess:
    """What decides about the pixels: all but mean and std."""
    return dataclasses.replace(spec, mean=IMAGENET_MEAN, std=IMAGENET_STD)


class _Subset(ImageSet):
    def __init__(self, parent: ImageSet, indices: np.ndarray):
        if len(indices) and (indices.min() < 0 or indices.max() >= len(parent)):
            raise ValueError(f"indices must be 0..{len(parent) - 1}, got {indices.min()}..{indices.max()}")
        super().__init__(
            parent.names, parent.labels[indices], [parent.ids[i] for i in indices], parent.modality
        )
        self._parent, self._indices = parent, indices

    def load(self, i: int) -> np.ndarray:
        return self._parent.load(int(self._indices[i]))

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        return self._parent.picture(int(self._indices[i]), spec)

    @property
    def has_strokes(self) -> bool:
        return self._parent.has_strokes

    def strokes(self, i: int) -> Strokes:
        return self._parent.strokes(int(self._indices[i]))

    def _decode_all(self, spec: Preprocess, progress: bool, threads: int | None) -> np.ndarray:
        known = self._parent._resized.get(_key(spec))
        return known[self._indices] if known is not None else super()._decode_all(spec, progress, threads)


class FileImageSet(ImageSet):
    """Picture files under one root; ids are paths relative to it, with forward slashes."""

    def __init__(
        self,
        root: str | os.PathLike[str],
        ids: Sequence[str],
        labels: Sequence[int] | np.ndarray,
        names: Sequence[str],
        modality: str,
    ):
        super().__init__(names, labels, ids, modality)
        self.root = Path(root)

    @property
    def paths(self) -> list[Path]:
        return [self.root / name for name in self.ids]

    def load(self, i: int) -> np.ndarray:
        path = self.root / self.ids[i]
        return read_photo(path) if self.modality == "photo" else read_sketch(path, allow_blank=True).image

    @property
    def has_strokes(self) -> bool:
        return self.modality == "sketch" and all(name.lower().endswith(".svg") for name in self.ids)

    def strokes(self, i: int) -> Strokes:
        if not (self.modality == "sketch" and self.ids[i].lower().endswith(".svg")):
            return super().strokes(i)
        return read_svg(self.root / self.ids[i])

    def subset(self, indices: Sequence[int] | np.ndarray) -> FileImageSet:
        view = _Subset(self, np.asarray(indices, dtype=np.int64).reshape(-1))
        result = FileImageSet(self.root, view.ids, view.labels, self.names, self.modality)
        result._resized = {key: value[view._indices] for key, value in self._resized.items()}
        return result


def run_threads(
    work: Callable[[int], Result], count: int, title: str, progress: bool, threads: int | None = None
) -> list[Result]:
    """[work(0), ..., work(count - 1)] by a pool of threads, with a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    results: list[Result] = []
    with Progress(*columns, disable=not progress, transient=True) as bar, ThreadPoolExecutor(threads) as pool:
        task = bar.add_task(title, total=count)
        for result in pool.map(work, range(count)):
            results.append(result)
            bar.advance(task)
    return results


def _require_memory(needed: int, what: str) -> None:
    try:
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        # The page cache gives way; Linux tells how much of it can.
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    available = int(line.split()[1]) * 1024
    except (OSError, ValueError, AttributeError):
        return
    if needed > available:
        raise MemoryError(
            f"{what} need {needed / 2**30:.1f} GiB, {available / 2**30:.1f} GiB are free: use a smaller size"
        )
