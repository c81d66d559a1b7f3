"""Contenders timed in turn, so that what else the machine does falls on all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def alternate(
    contenders: dict[str, Callable[[], Any]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each by `clock`, over rounds in which each runs once, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1 + rounds):
        for name, call in contenders.items():
            start = clock()
            call()
            if number:
                seconds[name].append(clock() - start)
    return {name: float(np.median(times)) for name, times in seconds.items()}
