"""Training batches of class pairs (a sketch and a photo of the same class) and their augmentation.

Everything random about a pair follows from (seed, epoch, position in the epoch): not from the number of
processes, of threads, or of batches already served. Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.augmentation import NUM_UNIFORMS, Augmentation, augmented_photos, augmented_sketches
from sketchfast.data.batches_ahead import ShuffledEpoch
from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels
from sketchfast.runtime.preprocess import Preprocess

__all__ = ["NUM_UNIFORMS", "Augmentation", "ClassPairs", "augment_pairs"]


class ClassPairs:
    """Every photo once an epoch (``repeats`` times), each with a random sketch of its class, as the released code.

    ``batch_size`` counts the pairs of the global batch, over all processes. Batches do not depend on how many processes
    there are; training does where batch normalisation takes its statistics from each process's part of a batch. The rest
    of an epoch that fills no batch is dropped.
    Raises ValueError when a class has photos but no sketch, or the data is smaller than one batch.
    """

    def __init__(
        self,
        sketches: ImageSet,
        photos: ImageSet,
        preprocess: Preprocess,
        batch_size: int = 32,
        seed: int = 0,
        repeats: int = 1,
        memory: int = 4 << 30,
    ) -> None:
        if batch_size < 2:
            raise ValueError(f"batch_size must be at least 2 pairs (batch statistics), got {batch_size}")
        self.labels, self.batch_size, self.seed, self.repeats = photos.labels, batch_size, seed, repeats
        self.sketches_of = [np.flatnonzero(sketches.labels == label) for label in range(len(photos.names))]
        for label in np.unique(photos.labels):
            if len(self.sketches_of[label]) == 0:
                raise ValueError(f"class {photos.names[label]!r} has training photos but no training sketch")
        if len(photos) * repeats < batch_size:
            raise ValueError(f"batch_size is {batch_size}, but there are only {len(photos) * repeats} pairs")
        self.sketches, self.photos = Pixels(sketches, preprocess, memory), Pixels(photos, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        if self.batch_size % world:
            raise ValueError(f"batch_size={self.batch_size} pairs do not divide over {world} processes")
        return _Epoch(self, epoch, rank, world, start_step)


class _Epoch(ShuffledEpoch):
    def __init__(self, pairs: ClassPairs, *place: int) -> None:
        super().__init__(len(pairs.labels), pairs.repeats, pairs.batch_size, pairs.seed, *place)
        self.pairs = pairs
        self.choice = self.random.random(self.count)
        self.uniforms = self.random.random((self.count, 2, NUM_UNIFORMS), dtype=np.float32)

    def batch(self, rows: slice) -> dict[str, Tensor]:
        photos = self.order[rows]
        labels = self.pairs.labels[photos]
        choices = zip(labels, self.choice[rows])
        sketches = np.array(
            [own[int(u * len(own))] for own, u in ((self.pairs.sketches_of[y], u) for y, u in choices)]
        )
        return {
            "sketch": self.pairs.sketches.take(sketches),
            "photo": self.pairs.photos.take(photos),
            "label": torch.from_numpy(labels),
            "uniforms": torch.from_numpy(self.uniforms[rows]),
        }


def augment_pairs(
    batch: dict[str, Tensor], how: Augmentation, preprocess: Preprocess
) -> tuple[Tensor, Tensor]:
    """Sketches and photos of a ``ClassPairs`` batch, on any device, as network input: two float32 [B, 3, S, S]."""
    sketch_numbers, photo_numbers = batch["uniforms"].unbind(1)
    motion = sketch_numbers if how.pair_together else photo_numbers
    return (
        augmented_sketches(batch["sketch"], how, sketch_numbers, preprocess),
        augmented_photos(batch["photo"], how, motion, photo_numbers, preprocess),
    )
