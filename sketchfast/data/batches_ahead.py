"""Batches of an epoch in an order that follows from (seed, epoch) alone; one is prepared while the previous is trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from torch import Tensor

Batch = TypeVar("Batch")


class ShuffledEpoch(ABC):
    """This process's rows of an epoch's batches from start_step on: every item `repeats` times, in a new random order.

    batch_size counts the items of the global batch, over all processes; the rest that fills no batch is dropped. A subclass
    draws what else is random from `random`, for all rows at once, so that it depends on neither processes nor start_step.
    """

    def __init__(
        self, items: int, repeats: int, batch_size: int, seed: int, epoch: int, rank: int, world: int, start_step: int
    ) -> None:  # fmt: skip
        self.batch_size, self.start_step = batch_size, start_step
        self.count = items * repeats
        self.random = np.random.default_rng([seed, epoch])
        self.order = self.random.permutation(self.count) % items
        self.local = batch_size // world
        self.offset = rank * self.local

    def __len__(self) -> int:
        return max(self.count // self.batch_size - self.start_step, 0)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        steps = range(self.start_step, self.start_step + len(self))
        return batches_ahead(lambda step: self.batch(self.rows(step)), steps)

    def rows(self, step: int) -> slice:
        """Where this process's part of batch `step` lies in `order`."""
        first = step * self.batch_size + self.offset
        return slice(first, first + self.local)

    @abstractmethod
    def batch(self, rows: slice) -> dict[str, Tensor]:
        """The batch of the items order[rows]."""


def check_sizes(batch_size: int, repeats: int, items: int, what: str) -> None:
    """ValueError naming the argument: one below 1, or an epoch that holds less than one batch of these items."""
    for name, value in (("batch_size", batch_size), ("repeats", repeats)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    if items * repeats < batch_size:
        raise ValueError(f"batch_size is {batch_size}, but there are only {items * repeats} {what}")


def check_world(batch_size: int, world: int) -> None:
    """ValueError where processes would have unequal parts of a batch."""
    if batch_size % world:
        raise ValueError(f"batch_size={batch_size} does not divide over {world} processes")


def batches_ahead(make: Callable[[int], Batch], steps: Iterable[int]) -> Iterator[Batch]:
    """make(step) for each of the steps, in order, one of them ahead of what is asked for, on a thread of its own."""
    with ThreadPoolExecutor(1) as ahead:
        waiting: Future[Batch] | None = None
        for step in steps:
            following = ahead.submit(make, step)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
