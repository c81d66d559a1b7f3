"""Training batches of paper 4: photos alone, sketches as sequences with their photos, and both for joint training.

Everything random about an item follows from (seed, epoch, position in the epoch): not from the number of processes, of threads,
or of batches already served. Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.augmentation import (
    NUM_UNIFORMS,
    Augmentation,
    augmented_photos,
    augmented_sketches,
    mirrored,
)
from sketchfast.data.batches_ahead import ShuffledEpoch, batches_ahead, check_sizes, check_world
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.data.pixels import Pixels
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.runtime.preprocess import Preprocess

Batch = dict[str, Tensor]


class PhotoBatches:
    """Every photo `repeats` times an epoch.

    {"photo": uint8 [B, S, S, 3], "row": int64 [B], "uniforms": float32 [B, NUM_UNIFORMS]}.

    batch_size counts the global batch, over all processes; the rest of an epoch that fills none is dropped. memory: bytes of
    decoded photos to keep. ValueError where there are fewer photos than one batch.
    """

    def __init__(
        self,
        photos: ImageSet,
        preprocess: Preprocess,
        batch_size: int = 16,
        seed: int = 0,
        repeats: int = 1,
        memory: int = 4 << 30,
    ) -> None:
        check_sizes(batch_size, repeats, len(photos), "photos")
        self.count, self.batch_size, self.seed, self.repeats = len(photos), batch_size, seed, repeats
        self.photos = Pixels(photos, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        """This process's part of the epoch's batches from start_step on."""
        return _Epoch(self, epoch, rank, world, start_step)

    def take(self, rows: np.ndarray) -> Batch:
        return {"photo": self.photos.take(rows), "row": torch.from_numpy(rows)}


class StrokeBatches:
    """Every sketch `repeats` times an epoch, as a sequence, with its photo where photos are given.

    {"stroke5": float32 [B, T + 1, 5], "row": int64 [B], "uniforms": float32 [B, NUM_UNIFORMS]} and, with photos,
    {"photo": uint8 [B, S, S, 3], "photo_row": int64 [B]}.

    photos, photo_of (int64 [N], a position in `photos` for each sequence) and preprocess: all three or none. batch_size, repeats,
    memory: as PhotoBatches. ValueError where they do not fit together or there are fewer sketches than one batch.
    """

    def __init__(
        self,
        sequences: SketchSequences,
        photos: ImageSet | None = None,
        photo_of: np.ndarray | None = None,
        preprocess: Preprocess | None = None,
        batch_size: int = 64,
        seed: int = 0,
        repeats: int = 1,
        memory: int = 4 << 30,
    ) -> None:
        check_sizes(batch_size, repeats, len(sequences), "sketches")
        self.sequences, self.count = sequences, len(sequences)
        self.batch_size, self.seed, self.repeats = batch_size, seed, repeats
        self.photos: Pixels | None = None
        if photos is not None or photo_of is not None or preprocess is not None:
            if photos is None or photo_of is None or preprocess is None:
                raise ValueError("photos, photo_of and preprocess go together: expected all three or none")
            self.photo_of = _photo_of(photo_of, len(sequences), len(photos))
            self.photos = Pixels(photos, preprocess, memory)

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _Epoch:
        """This process's part of the epoch's batches from start_step on."""
        return _Epoch(self, epoch, rank, world, start_step)

    def take(self, rows: np.ndarray) -> Batch:
        batch = {"stroke5": torch.from_numpy(self.sequences.stroke5[rows]), "row": torch.from_numpy(rows)}
        if self.photos is not None:
            own = self.photo_of[rows]
            batch |= {"photo": self.photos.take(own), "photo_row": torch.from_numpy(own)}
        return batch


class _Epoch(ShuffledEpoch):
    def __init__(self, source: PhotoBatches | StrokeBatches, *place: int) -> None:
        check_world(source.batch_size, place[2])
        super().__init__(source.count, source.repeats, source.batch_size, source.seed, *place)
        self.source = source
        self.uniforms = self.random.random((self.count, NUM_UNIFORMS), dtype=np.float32)

    def batch(self, rows: slice) -> Batch:
        return self.source.take(self.order[rows]) | {"uniforms": torch.from_numpy(self.uniforms[rows])}


class JointBatches:
    """As many labelled photos as unlabelled ones a batch (section 3.4, "on same ratio"), `steps` batches an epoch.

    "labelled": {"sketch" and "photo": uint8 [B, S, S, 3], "row" and "photo_row": int64 [B], positions in the pairs' sketches and
    photos, "uniforms": float32 [B, 2, NUM_UNIFORMS], of sketches and photos} and, with sequences, {"stroke5": float32
    [B, T + 1, 5]}. "unlabelled": {"photo", "photo_row", "uniforms": float32 [B, NUM_UNIFORMS]}.

    Each side goes through its photos in random order, again and again, a labelled photo with any one of its sketches. Photos of
    a batch differ, where there are as many as it takes, so that each is a negative of the others. The number that mirrors,
    column 0, is one for a whole batch (D): which way a thing faces tells its photo from the others.

    batch_size: of each side, over all processes. sequences: of pairs.sketches, one for each, in their order; None leaves out
    "stroke5". Raises ValueError naming the argument.
    """

    def __init__(
        self,
        pairs: PairedSet,
        unlabelled: ImageSet,
        preprocess: Preprocess,
        steps: int,
        batch_size: int = 16,
        seed: int = 0,
        sequences: SketchSequences | None = None,
        memory: int = 4 << 30,
    ) -> None:
        for name, value, least in (("steps", steps, 1), ("batch_size", batch_size, 2)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if len(pairs.drawn) < 2:
            raise ValueError(
                f"pairs must hold at least two photos with sketches, found {len(pairs.drawn)}: there is no negative"
            )
        if len(unlabelled) < 2:
            raise ValueError(f"unlabelled must be at least two photos, got {len(unlabelled)}")
        if sequences is not None and sequences.ids != pairs.sketches.ids:
            raise ValueError(
                f"sequences must be those of the pairs' {len(pairs):,} sketches, got {len(sequences):,} with other ids; "
                "see sequence_pictures.with_sequences"
            )
        self.pairs, self.sequences = pairs, sequences
        self.steps, self.batch_size, self.seed = steps, batch_size, seed
        self.drawn = pairs.drawn
        self.sketches_of = [np.flatnonzero(pairs.photo_of == photo) for photo in self.drawn]
        self.unlabelled_count = len(unlabelled)
        self.sketches, self.photos, self.unlabelled = (
            Pixels(images, preprocess, memory) for images in (pairs.sketches, pairs.photos, unlabelled)
        )

    def epoch(self, epoch: int, rank: int = 0, world: int = 1, start_step: int = 0) -> _JointEpoch:
        """This process's part of the epoch's batches from start_step on."""
        return _JointEpoch(self, epoch, rank, world, start_step)


class _JointEpoch:
    def __init__(self, source: JointBatches, epoch: int, rank: int, world: int, start_step: int) -> None:
        check_world(source.batch_size, world)
        self.source, self.start_step = source, start_step
        local = source.batch_size // world
        self.local = slice(rank * local, (rank + 1) * local)
        random = np.random.default_rng([source.seed, epoch, 4])
        shape = source.steps, source.batch_size
        self.labelled = _in_turn(random, len(source.drawn), *shape)
        self.unlabelled = _in_turn(random, source.unlabelled_count, *shape)
        choice = random.random(shape)
        sketches_of = source.sketches_of
        self.sketches = np.array(
            [
                [sketches_of[i][int(u * len(sketches_of[i]))] for i, u in zip(*step, strict=True)]
                for step in zip(self.labelled, choice, strict=True)
            ],
            np.int64,
        )
        self.uniforms = random.random((*shape, 3, NUM_UNIFORMS), dtype=np.float32)
        self.uniforms[..., 0] = self.uniforms[:, :1, :1, 0]

    def __len__(self) -> int:
        return max(self.source.steps - self.start_step, 0)

    def __iter__(self) -> Iterator[dict[str, Batch]]:
        return batches_ahead(self.batch, range(self.start_step, self.source.steps))

    def batch(self, step: int) -> dict[str, Batch]:
        source = self.source
        sketches, others = self.sketches[step, self.local], self.unlabelled[step, self.local]
        own, numbers = source.pairs.photo_of[sketches], torch.from_numpy(self.uniforms[step, self.local])
        labelled = {
            "sketch": source.sketches.take(sketches),
            "photo": source.photos.take(own),
            "row": torch.from_numpy(sketches),
            "photo_row": torch.from_numpy(own),
            "uniforms": numbers[:, :2],
        }
        if source.sequences is not None:
            labelled["stroke5"] = torch.from_numpy(source.sequences.stroke5[sketches])
        unlabelled = {
            "photo": source.unlabelled.take(others),
            "photo_row": torch.from_numpy(others),
            "uniforms": numbers[:, 2],
        }
        return {"labelled": labelled, "unlabelled": unlabelled}


def augment_strokes(
    batch: Batch, how: Augmentation, preprocess: Preprocess | None
) -> tuple[Tensor | None, Tensor]:
    """A ``StrokeBatches`` batch as network input: photos float32 [B, 3, S, S], None where it has none, and stroke-5.

    A sequence is mirrored where its photo is; nothing else changes it. Without photos `preprocess` may be None.
    """
    numbers, photos = batch["uniforms"], None
    if "photo" in batch:
        if preprocess is None:
            raise ValueError("preprocess must be given for a batch with photos, got None")
        photos = augmented_photos(batch["photo"], how, numbers, numbers, preprocess)
    return photos, mirror_strokes(batch["stroke5"], mirrored(how, numbers))


def augment_labelled(
    batch: Batch, how: Augmentation, preprocess: Preprocess
) -> tuple[Tensor, Tensor, Tensor | None]:
    """The "labelled" part of a ``JointBatches`` batch: sketches and photos float32 [B, 3, S, S], and stroke-5 or None.

    With ``how.pair_together`` a photo moves as its sketch does. A sequence is mirrored where they are.
    """
    of_sketches, of_photos = batch["uniforms"].unbind(1)
    motion = of_sketches if how.pair_together else of_photos
    sketches = augmented_sketches(batch["sketch"], how, of_sketches, preprocess)
    photos = augmented_photos(batch["photo"], how, motion, of_photos, preprocess)
    stroke5 = batch.get("stroke5")
    if stroke5 is not None:
        stroke5 = mirror_strokes(stroke5, mirrored(how, of_sketches))
    return sketches, photos, stroke5


def augment_photos(batch: Batch, how: Augmentation, preprocess: Preprocess) -> Tensor:
    """The photos of a ``PhotoBatches`` batch, or of the "unlabelled" part of a joint one, as float32 [B, 3, S, S]."""
    return augmented_photos(batch["photo"], how, batch["uniforms"], batch["uniforms"], preprocess)


def mirror_strokes(stroke5: Tensor, which: Tensor) -> Tensor:
    """Sequences [B, T + 1, 5] with dx negated where `which`, bool [B], says so."""
    sign = torch.where(which, -1.0, 1.0).to(stroke5)
    return torch.cat([stroke5[..., :1] * sign[:, None, None], stroke5[..., 1:]], dim=-1)


def _in_turn(random: np.random.Generator, items: int, steps: int, batch_size: int) -> np.ndarray:
    """Positions int64 [steps, batch_size], one random order of the items after the other; none is split between two batches."""
    whole = items // batch_size * batch_size or items
    rounds = -(-steps * batch_size // whole)
    order = np.concatenate([random.permutation(items)[:whole] for _ in range(rounds)])
    return order[: steps * batch_size].reshape(steps, batch_size)


def _photo_of(photo_of: Any, count: int, photos: int) -> np.ndarray:
    given = np.asarray(photo_of)
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise ValueError(
            f"photo_of must be whole numbers, one for each of {count} sequences, got {given.dtype} {list(given.shape)}"
        )
    if count and not 0 <= given.min() <= given.max() < photos:
        raise ValueError(f"photo_of must be 0..{photos - 1}, got {given.min()}..{given.max()}")
    return given.astype(np.int64)
