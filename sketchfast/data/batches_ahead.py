"""One batch is prepared while the previous one is trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Batch = TypeVar("Batch")


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
