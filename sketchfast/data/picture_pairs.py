"""Batches of photos with pictures of the sketches drawn from them, for translation from image to image.

Everything random follows from (seed, epoch, position in the epoch). Uses torch; `sketchfast.data` itself does not import this
module.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.batches_ahead import ShuffledEpoch, check_sizes, check_world
from sketchfast.data.instances import PairedSet
from sketchfast.data.pixels import Pixels
from sketchfast.runtime.preprocess import Preprocess


class PicturePairs:
    """Every sketch with its photo once an epoch (``repeats`` times), or with ``together`` every drawn photo with its sketches.

    batch_size counts sketches, with ``together`` photos, of the global batch; what fills no batch is dropped. flip: half of
    the photos are mirrored, with their sketches. memory: bytes of decoded sketches, and of photos, to keep.
    Raises ValueError naming the argument: sizes below 1, less than one batch.
    """

    def __init__(
        self,
        pairs: PairedSet,
        preprocess: Preprocess,
        batch_size: int = 16,
        seed: int = 0,
        repeats: int = 1,
        *,
        together: bool = False,
        flip: bool = True,
        memory: int = 4 << 30,
    ) -> None:
        self.seed, self.repeats, self.batch_size, self.flip = seed, repeats, batch_size, flip
        order = np.argsort(pairs.photo_of, kind="stable")
        #: Sketches that are served together, and their photo.
        self.sets = (
            np.split(order, np.flatnonzero(np.diff(pairs.photo_of[order])) + 1)
            if together
            else [np.array([row]) for row in range(len(pairs))]
        )
        self.photo_of = np.array([pairs.photo_of[rows[0]] for rows in self.sets], np.int64)
        self.count = len(self.sets)
        check_sizes(batch_size, repeats, self.count, "drawn photos" if together else "sketches")
        self.sketches = Pixels(pairs.sketches, preprocess, memory)
        self.photos = Pixels(pairs.photos, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        """This process's part of the epoch's batches from start_step on.

        A batch: {"photo": uint8 [B, S, S, 3], "sketch": uint8 [K, S, S], "owner": int64 [K], whose sketch each is, "mirrored":
        bool [B]}."""
        check_world(self.batch_size, world)
        return _Epoch(self, epoch, rank, world, start_step)

    def take(self, items: np.ndarray) -> dict[str, Tensor]:
        """A batch of these of the `count` sketches, or photos with all of theirs; none is mirrored."""
        sets = [self.sets[item] for item in items]
        return {
            "photo": self.photos.take(self.photo_of[items]),
            "sketch": self.sketches.take(np.concatenate(sets))[..., 0].contiguous(),
            "owner": torch.from_numpy(np.repeat(np.arange(len(sets)), [len(rows) for rows in sets])),
            "mirrored": torch.zeros(len(sets), dtype=torch.bool),
        }


class _Epoch(ShuffledEpoch):
    def __init__(self, source: PicturePairs, *place: int) -> None:
        super().__init__(source.count, source.repeats, source.batch_size, source.seed, *place)
        self.source = source
        self.mirrored = (self.random.random(self.count) < 0.5) & source.flip

    def batch(self, rows: slice) -> dict[str, Tensor]:
        return self.source.take(self.order[rows]) | {"mirrored": torch.from_numpy(self.mirrored[rows])}


def picture_inputs(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Photos [B, 3, S, S] and sketches [K, 1, S, S] of a batch, mirrored together, values -1..1, on the batch's device."""
    photos = batch["photo"].permute(0, 3, 1, 2).float() / 127.5 - 1
    sketches = batch["sketch"][:, None].float() / 127.5 - 1
    mirrored = batch["mirrored"][:, None, None, None]
    photos = torch.where(mirrored, photos.flip(3), photos)
    return photos, torch.where(mirrored[batch["owner"]], sketches.flip(3), sketches)
