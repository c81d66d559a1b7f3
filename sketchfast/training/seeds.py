"""Where every random number of a run comes from.

No stream of random numbers runs on from step to step. Each is started anew from the run's seed and the place
where it is used (epoch, step, process), so a run that resumes at step s draws what the uninterrupted run drew at step s."""

import random

import numpy as np
import torch


def stream_seed(*place: int) -> int:
    """A 63-bit seed for the stream named by non-negative integers, such as (seed, epoch, rank).

    Places that differ in any number, or in their length, get unrelated seeds (numpy's SeedSequence hash)."""
    low, high = np.random.SeedSequence((len(place), *place)).generate_state(2)
    return (int(high) << 32 | int(low)) & (2**63 - 1)


def reseed_global(seed: int) -> None:
    """Start Python's, numpy's and torch's global generators (all devices) anew, for code that draws from them: dropout."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002 (other people's code draws from it)
    torch.manual_seed(seed)
