"""Training batches of sketches with part masks, in an order that follows from (seed, position) alone.

Not from the number of processes, of threads, or of batches already served: a run that resumes at a step, or that
spreads a batch over several processes, sees the items that one process would have seen. Uses torch; `sketchfast.data`
itself does not import this module.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.batches_ahead import batches_ahead
from sketchfast.data.part_augment import PartAugmentation, Variant
from sketchfast.data.part_set import PartSet
from sketchfast.runtime.preprocess import Preprocess

Kept = tuple[np.ndarray, np.ndarray, np.ndarray | None]


class PartBatches:
    """An endless sequence of augmented items, cut into batches.

    groups: positions in `images`. Item k comes from group k mod len(groups) and is that group's (k // len(groups))-th:
        one group draws every item equally often, one group for each branch trains the branches in turn. Inside a group
        every item comes once before any comes again, in a new random order each time.
    augmentation: how an item is varied. With the paper's switches alone, one of the item's fixed copies is drawn (14 turned
        and mirrored ones, times two with erasing); with any of turn, scale, shift and warp, a new variant each time.
    values: int64 arrays [len(images)] that go with the items into a batch, such as {"branch": ...}.
    batch_size: items of the global batch, over all processes. memory: bytes of decoded pairs and their centrelines to keep.

    Raises ValueError naming the argument: an empty group, a batch of none.
    """

    def __init__(
        self,
        images: PartSet,
        groups: Sequence[np.ndarray],
        augmentation: PartAugmentation,
        values: dict[str, np.ndarray],
        batch_size: int = 1,
        seed: int = 0,
        memory: int = 4 << 30,
        threads: int = 4,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1; found {batch_size}")
        if not groups or any(len(group) == 0 for group in groups):
            raise ValueError(
                f"groups: expected items in each of them; found {[len(group) for group in groups]} items"
            )
        self.images, self.groups, self.augmentation, self.values = images, list(groups), augmentation, values
        self.batch_size, self.seed, self.memory, self.threads = batch_size, seed, memory, threads
        self._kept: dict[int, Kept] = {}
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def steps(self, first: int, count: int, rank: int = 0, world: int = 1) -> _Steps:
        """Batches first .. first + count - 1 of the sequence; of each, this process's rows.

        A batch: {"image": uint8 [B, S, S], "label": uint8 [B, S, S], "mirrored": bool [B], **values}."""
        if self.batch_size % world:
            raise ValueError(f"batch_size: {self.batch_size} sketches do not divide over {world} processes")
        return _Steps(self, first, count, rank, world)

    def item(self, k: int) -> int:
        """Which of `images` stands at position k of the sequence."""
        group = k % len(self.groups)
        members = self.groups[group]
        turn, place = divmod(k // len(self.groups), len(members))
        kept = self._orders.get(group)
        if kept is None or kept[0] != turn:
            order = np.random.default_rng([self.seed, 0, group, turn]).permutation(len(members))
            kept = self._orders[group] = (turn, members[order])
        return int(kept[1][place])

    def variant(self, k: int, item: int) -> Variant:
        """How the item at position k is varied."""
        how, random = self.augmentation, np.random.default_rng([self.seed, 1, k])
        if how.turn or how.scale or how.shift or how.warp:
            return how.draw(random)
        copies = how.enumerate_paper(np.random.default_rng([self.seed, 2, item]))
        return copies[int(random.integers(len(copies)))]

    def pair(self, k: int) -> tuple[np.ndarray, np.ndarray, bool]:
        """(image uint8 [S, S], label uint8 [S, S], whether they are mirrored) at position k."""
        item = self.item(k)
        kept = self._kept.get(item)
        if kept is None:
            image, mask = self.images.load(item)
            kept = image, mask, self.augmentation.segments(image)
            size = sum(array.nbytes for array in kept if array is not None)
            if size <= self.memory:  # two threads may count at once: that costs a pair, not an answer
                self.memory -= size
                self._kept[item] = kept
        variant = self.variant(k, item)
        image, mask, segments = kept
        return *self.augmentation.apply_variant(image, mask, variant, segments), variant.mirror


class _Steps:
    def __init__(self, source: PartBatches, first: int, count: int, rank: int, world: int) -> None:
        self.source, self.first, self.count = source, first, count
        self.local = source.batch_size // world
        self.offset = rank * self.local

    def __len__(self) -> int:
        return max(self.count, 0)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        with ThreadPoolExecutor(self.source.threads) as workers:
            steps = range(self.first, self.first + len(self))
            yield from batches_ahead(lambda step: self._batch(step, workers), steps)

    def _batch(self, step: int, workers: ThreadPoolExecutor) -> dict[str, Tensor]:
        first = step * self.source.batch_size + self.offset
        positions = range(first, first + self.local)
        images, labels, mirrored = zip(*workers.map(self.source.pair, positions))
        items = [self.source.item(k) for k in positions]
        return {
            "image": torch.from_numpy(np.stack(images)),
            "label": torch.from_numpy(np.stack(labels)),
            "mirrored": torch.tensor(mirrored),
            **{name: torch.from_numpy(values[items]) for name, values in self.source.values.items()},
        }


def network_input(images: Tensor, preprocess: Preprocess) -> Tensor:
    """uint8 [B, S, S] -> float32 [B, 3, S, S]: (value / 255 - mean) / std, the grey level in all three channels."""
    grey = (images.float() / 255.0)[:, None]
    mean, std = (grey.new_tensor(values).view(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std))
    return ((grey - mean) / std).contiguous(memory_format=torch.channels_last)


def labels_at(labels: Tensor, size: Sequence[int]) -> Tensor:
    """uint8 [B, S, S] -> [B, h, w]: the label under the centre of each cell, corners aligned as the logits' are."""
    height, width = size
    rows, columns = (
        (torch.arange(n, device=labels.device) * ((side - 1) / max(n - 1, 1))).round().long()
        for n, side in ((height, labels.shape[1]), (width, labels.shape[2]))
    )
    return labels[:, rows[:, None], columns]
