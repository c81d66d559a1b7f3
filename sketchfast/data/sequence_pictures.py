"""Pictures of real sketches drawn the way generated ones are, so that pens do not tell the two apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast.canvas import MARGIN
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.strokes import Strokes


class SequencePictures(ImageSet):
    """Sequences as sketches, drawn by the rasterize op at the size asked for, never resized.

    They fill the picture but for the preprocessing's `ink_margin` a side, or 1/16 where it names none. names: class names.
    thickness: of lines, pixels at every size. canvas: side of what `load` returns, pixels.
    """

    def __init__(
        self, sequences: SketchSequences, names: Sequence[str], thickness: int = 1, canvas: int = 256
    ) -> None:
        super().__init__(names, sequences.labels, sequences.ids, "sketch")
        self.sequences, self.thickness, self.canvas = sequences, thickness, canvas

    def load(self, i: int) -> np.ndarray:
        return _three_channels(self.sequences.subset([i]).images(self.canvas, self.thickness))[0]

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        return (
            super().picture(i, spec) if spec.homogeneous else self._drawn(self.sequences.subset([i]), spec)[0]
        )

    @property
    def has_strokes(self) -> bool:
        return True

    def strokes(self, i: int) -> Strokes:
        return self.sequences.strokes(i)

    def subset(self, indices: Sequence[int] | np.ndarray) -> SequencePictures:
        return SequencePictures(self.sequences.subset(indices), self.names, self.thickness, self.canvas)

    def _decode_all(self, spec: Preprocess, progress: bool, threads: int | None) -> np.ndarray:
        if spec.homogeneous:
            return super()._decode_all(spec, progress, threads)
        return self._drawn(self.sequences, spec)

    def _drawn(self, sequences: SketchSequences, spec: Preprocess) -> np.ndarray:
        margin = MARGIN if spec.ink_margin is None else spec.ink_margin
        return _three_channels(sequences.images(spec.size, self.thickness, margin=margin))


def with_sequences(pairs: PairedSet, sequences: SketchSequences, thickness: int = 1) -> PairedSet:
    """The pairs with their sketches drawn from `sequences`, made of `pairs.sketches`; what those left out is left out."""
    if [pairs.sketches.ids[row] for row in sequences.rows if row < len(pairs)] != sequences.ids:
        raise ValueError(f"sequences must be of the pairs' own {len(pairs):,} sketches, got other ids")
    pictures = SequencePictures(sequences, pairs.names, thickness)
    return PairedSet(pictures, pairs.photos, pairs.photo_of[sequences.rows])


def _three_channels(pictures: np.ndarray) -> np.ndarray:
    return np.repeat(pictures[..., None], 3, axis=-1)
