"""Training batches of sketches with their own photos, in groups of one category, so that negatives are of that category too.

Everything random about a group follows from (seed, epoch, position in the epoch): not from the number of processes, of
threads, or of batches already served. Uses torch; `sketchfast.data` itself does not import this module.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from sketchfast.data.batches_ahead import ShuffledEpoch
from sketchfast.data.instances import PairedSet
from sketchfast.data.pixels import Pixels
from sketchfast.runtime.preprocess import Preprocess


class InstanceBatches:
    """Every sketch about once an epoch (``repeats`` times), in groups of sketches of different photos of one category.

    batch_size: sketches of the global batch, over all processes. Batches do not depend on how many processes there are; training
        does where batch normalisation takes its statistics from each process's part of a batch.
    group: sketches in a group; the photos of the others are a sketch's negatives. distractors: further photos of the category
        for each group, those that nobody drew first. memory: bytes of decoded sketches, and of photos, to keep.
    Of a category, the sketches that fill no group are left out of the epoch, others in each, and so is the rest of the groups
    that fill no batch. The number of batches is the same in all epochs.

    labels: categories that are trained on; left_out: names of those with too few photos for a group.
    Raises ValueError naming the argument: sizes out of range or that do not divide, no category with enough photos, fewer
    groups than one batch.
    """

    def __init__(
        self,
        pairs: PairedSet,
        preprocess: Preprocess,
        batch_size: int = 16,
        seed: int = 0,
        repeats: int = 1,
        group: int = 2,
        distractors: int = 0,
        memory: int = 4 << 30,
    ) -> None:
        for name, value, least in (
            ("group", group, 1), ("distractors", distractors, 0), ("repeats", repeats, 1), ("batch_size", batch_size, 2)
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if group + distractors < 2:
            raise ValueError(
                "group=1 without distractors leaves a sketch no other photo; ask for more of either"
            )
        if batch_size % group:
            raise ValueError(f"batch_size={batch_size} sketches do not divide into groups of {group}")
        self.pairs, self.seed, self.repeats = pairs, seed, repeats
        self.batch_size, self.group, self.distractors = batch_size, group, distractors
        drawn = pairs.drawn
        have = [
            (int((pairs.photos.labels[drawn] == label).sum()), int((pairs.photos.labels == label).sum()))
            for label in range(len(pairs.names))
        ]
        enough = [of >= group and among >= group + distractors for of, among in have]
        self.labels = np.flatnonzero(enough)
        self.left_out = [name for name, kept in zip(pairs.names, enough, strict=True) if not kept]
        if not len(self.labels):
            raise ValueError(
                f"group={group} with distractors={distractors}: no category has {group} drawn photos and {group + distractors} "
                f"in all; the largest has {max((of for of, _ in have), default=0)} drawn and "
                f"{max((among for _, among in have), default=0)} in all"
            )
        self._check_groups(self.groups(0, None)[0], "an epoch")
        self.sketches = Pixels(pairs.sketches, preprocess, memory)
        self.photos = Pixels(pairs.photos, preprocess, memory)

    @property
    def notes(self) -> list[str]:
        """What a reader of the results should know: the categories left out, if there are any."""
        if not self.left_out:
            return []
        more = ", ..." if len(self.left_out) > 10 else ""
        return [
            f"{len(self.left_out)} of {len(self.pairs.names)} categories are not trained on, having fewer than {self.group} "
            f"drawn photos or {self.group + self.distractors} in all: {', '.join(self.left_out[:10])}{more}"
        ]

    def epoch(
        self,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        start_step: int = 0,
        classes: Sequence[int] | np.ndarray | None = None,
    ) -> _Epoch:
        """This process's groups of the epoch's batches from start_step on; classes: labels to keep to, all when None.

        A batch of B sketches in G = B / group groups, with n = group + distractors photos each:
            "sketch": uint8 [B, S, S, 3], "photo": uint8 [G * n, S, S, 3], group after group; photo i of a group is sketch i's
            own, for i < group, and the rest are distractors. "row": int64 [B] and "photo_row": int64 [G * n], positions in
            the pairs' sketches and photos. "label": int64 [B]. "uniforms": float32 [B + G * n, NUM_UNIFORMS].
        """
        if self.batch_size % (self.group * world):
            raise ValueError(
                f"batch_size={self.batch_size} sketches in groups of {self.group} do not divide over {world} processes"
            )
        if classes is not None:
            strange = sorted(set(np.asarray(classes).tolist()) - set(self.labels.tolist()))
            if strange:
                raise ValueError(f"classes must be among the labels that are trained on, got {strange[:10]}")
        return _Epoch(self, classes, epoch, rank, world, start_step)

    def groups(self, epoch: int, classes: Sequence[int] | np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """All groups of an epoch, category after category: sketches int64 [G, group], photos int64 [G, group + distractors]."""
        random = np.random.default_rng([self.seed, epoch, 1])
        kept = self.labels if classes is None else np.unique(np.asarray(classes, dtype=np.int64))
        sketches, photos = [], []
        for label in kept.tolist():
            rows, among = self.pairs.of_class(label)
            found = np.concatenate([self._grouped(rows, random) for _ in range(self.repeats)])
            own = self.pairs.photo_of[found]
            sketches.append(found)
            photos.append(np.concatenate([own, self._distracting(own, among, random)], axis=1))
        return np.concatenate(sketches), np.concatenate(photos)

    def _grouped(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Sketches of a category in groups of different photos, int64 [n, group].

        Each group takes the photos with most sketches left, ties in random order: no other way makes more groups, and how
        many there are does not depend on chance.
        """
        rows = random.permutation(rows)
        photos, which = np.unique(self.pairs.photo_of[rows], return_inverse=True)
        waiting = [rows[which == i].tolist() for i in range(len(photos))]
        left = np.bincount(which, minlength=len(photos))
        found = []
        while np.count_nonzero(left) >= self.group:
            order = np.lexsort((random.random(len(photos)), -left))[: self.group]
            found.append([waiting[i].pop() for i in random.permutation(order)])
            left[order] -= 1
        return np.array(found, np.int64).reshape(-1, self.group)

    def _distracting(self, own: np.ndarray, among: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Photos of the category for groups with these own photos, int64 [n, distractors]."""
        if not self.distractors:
            return np.zeros((len(own), 0), np.int64)
        keys = random.random((len(own), len(among)))
        keys += np.isin(among, self.pairs.photo_of)
        # After all others, so that none of them is ever taken: there are enough others.
        np.put_along_axis(keys, np.searchsorted(among, own), np.inf, axis=1)
        return among[np.argsort(keys, axis=1)[:, : self.distractors]]

    def _check_groups(self, sketches: np.ndarray, what: str) -> None:
        if len(sketches) * self.group < self.batch_size:
            raise ValueError(
                f"batch_size is {self.batch_size}, but {what} has only {len(sketches)} groups of {self.group} sketches"
            )


class _Epoch(ShuffledEpoch):
    def __init__(
        self, source: InstanceBatches, classes: Sequence[int] | np.ndarray | None, epoch: int, *place: int
    ) -> None:
        self.source = source
        self.sketches, self.photos = source.groups(epoch, classes)
        if classes is not None:
            source._check_groups(self.sketches, "an epoch of these classes")
        # An item is a group.
        super().__init__(len(self.sketches), 1, source.batch_size // source.group, source.seed, epoch, *place)
        images = self.sketches.shape[1] + self.photos.shape[1]
        self.uniforms = self.random.random((self.count, images, NUM_UNIFORMS), dtype=np.float32)

    def batch(self, rows: slice) -> dict[str, Tensor]:
        groups, numbers = self.order[rows], self.uniforms[rows]
        sketches, photos = self.sketches[groups].reshape(-1), self.photos[groups].reshape(-1)
        of_sketches, of_photos = np.split(numbers, [self.source.group], axis=1)
        uniforms = np.concatenate([u.reshape(-1, NUM_UNIFORMS) for u in (of_sketches, of_photos)])
        return {
            "sketch": self.source.sketches.take(sketches),
            "photo": self.source.photos.take(photos),
            "row": torch.from_numpy(sketches),
            "photo_row": torch.from_numpy(photos),
            "label": torch.from_numpy(self.source.pairs.sketches.labels[sketches]),
            "uniforms": torch.from_numpy(uniforms),
        }


def augment_instances(
    batch: dict[str, Tensor], how: Augmentation, preprocess: Preprocess, group: int
) -> tuple[Tensor, Tensor, Tensor]:
    """An ``InstanceBatches`` batch as network input, on its device, and which sketches were mirrored.

    Returns sketches float32 [B, 3, S, S], photos float32 [P, 3, S, S] and bool [B]. A group is mirrored as a whole, so that
    which way a thing faces tells its photo from the others; all else is drawn for each image, but with
    ``how.pair_together`` a sketch's own photo moves as the sketch does.
    """
    count = len(batch["sketch"])
    sketch_u = batch["uniforms"][:count].unflatten(0, (-1, group)).clone()
    photo_u = batch["uniforms"][count:].unflatten(0, (len(sketch_u), -1)).clone()
    flip = sketch_u[:, :1, 0].clone()
    sketch_u[:, :, 0], photo_u[:, :, 0] = flip, flip
    motion = torch.cat([sketch_u, photo_u[:, group:]], dim=1) if how.pair_together else photo_u
    numbers, motion, photo_numbers = (u.flatten(0, 1) for u in (sketch_u, motion, photo_u))
    sketches = augmented_sketches(batch["sketch"], how, numbers, preprocess)
    photos = augmented_photos(batch["photo"], how, motion, photo_numbers, preprocess)
    return sketches, photos, mirrored(how, numbers)
