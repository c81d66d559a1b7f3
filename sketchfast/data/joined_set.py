"""Several sets of the same classes as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast.data.image_set import ImageSet
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.strokes import Strokes


class JoinedSet(ImageSet):
    """The items of several sets, one set after the other; each set keeps its own decoding.

    Raises ValueError when there is no set, or their class names or modalities differ.
    """

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        if not sets:
            raise ValueError("sets must be at least one ImageSet, got none")
        first = sets[0]
        for images in sets[1:]:
            if (images.names, images.modality) != (first.names, first.modality):
                raise ValueError(
                    f"sets must have the same class names and modality, got {first.names[:3]}... ({first.modality}) "
                    f"and {images.names[:3]}... ({images.modality})"
                )
        labels = np.concatenate([images.labels for images in sets])
        super().__init__(
            first.names, labels, [name for images in sets for name in images.ids], first.modality
        )
        self.sets = list(sets)
        self._starts = np.cumsum([0, *(len(images) for images in sets)])

    def load(self, i: int) -> np.ndarray:
        images, place = self._locate(i)
        return images.load(place)

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        images, place = self._locate(i)
        return images.picture(place, spec)

    @property
    def has_strokes(self) -> bool:
        return all(images.has_strokes for images in self.sets)

    def strokes(self, i: int) -> Strokes:
        images, place = self._locate(i)
        return images.strokes(place)

    def _locate(self, i: int) -> tuple[ImageSet, int]:
        if not 0 <= i < len(self):
            raise IndexError(f"item {i} of {len(self)}")
        which = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self.sets[which], i - int(self._starts[which])

    def _decode_all(self, spec: Preprocess, progress: bool, threads: int | None) -> np.ndarray:
        # What a set has decoded already is not decoded again.
        return np.concatenate([images.resized(spec.size, spec, progress, threads) for images in self.sets])
