"""Reptile (Nichol and Schulman, 2018) as a competitor of visual trait descriptors (Pang et al., CVPR 2019, section 4.2).

    for each outer iteration:  draw two subtasks, 52 of the training categories each
        W_1, W_2 = weights after 500 steps on either subtask, both runs from the slow weights W
        W <- W + epsilon ((W_1 + W_2) / 2 - W)

(D) The text says "each time randomly sampling 52 categories to form two subtasks and train parallelly": here a random half of
the 104 categories is one subtask and the other half the second. The runs are taken one after the other, which gives what
parallel ones would. The optimizer starts anew in each. What is averaged is every floating tensor of the model, the running
statistics of batch normalisation included. epsilon stays what it is: the rate of the steps already falls by their schedule.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim import Optimizer

from sketchfast.data.instance_batches import InstanceBatches
from sketchfast.training.seeds import stream_seed

SUBTASKS = 2


@dataclass
class ReptileConfig:
    inner_steps: int = 500  # optimizer steps on each of the two subtasks
    categories: int | None = (
        None  # of each subtask; none: half of the training categories (52 of Sketchy's 104)
    )
    epsilon: float = 1.0  # how far the slow weights move towards the mean of the trained ones
    outer_per_epoch: int = 1  # outer iterations between two validations

    def __post_init__(self) -> None:
        for name in ("inner_steps", "outer_per_epoch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.epsilon <= 1:
            raise ValueError(f"epsilon must be above 0 and at most 1, got {self.epsilon}")

    @property
    def steps_per_epoch(self) -> int:
        return self.outer_per_epoch * SUBTASKS * self.inner_steps


class Reptile:
    """The slow weights. Call ``before_step`` before each optimizer step and ``finish`` after the last one of an outer iteration.

    Between an outer iteration's first step and `finish` the model holds the weights of an inner run; after `finish` it holds
    the slow weights, which are what is tested. All that is needed to go on from any step is in `state`.
    """

    def __init__(self, inner_steps: int, epsilon: float) -> None:
        self.inner_steps, self.epsilon = inner_steps, epsilon
        self.slow: dict[str, Tensor] = {}  # W, while an outer iteration runs
        self.trained: dict[str, Tensor] = {}  # sum of the weights of the inner runs that ended

    def before_step(self, step: int, model: nn.Module, optimizer: Optimizer) -> None:
        """step: optimizer steps taken so far. At the start of an inner run the model goes back to the slow weights."""
        run, inner = divmod(step % (SUBTASKS * self.inner_steps), self.inner_steps)
        if inner:
            return
        if run == 0:
            self.finish(model)
            self.slow = {name: value.clone() for name, value in _weights(model).items()}
        else:
            self._keep(model)
            _set(model, self.slow)
        optimizer.state.clear()

    def finish(self, model: nn.Module) -> None:
        """W <- W + epsilon (mean - W) and into the model; nothing when no outer iteration is under way."""
        if not self.slow:
            return
        self._keep(model)
        weights = _weights(model)
        for name, slow in self.slow.items():
            slow, trained = slow.to(weights[name].device), self.trained[name].to(weights[name].device)
            weights[name].copy_(slow + self.epsilon * (trained / SUBTASKS - slow))
        self.slow, self.trained = {}, {}

    def state(self) -> dict[str, Any]:
        return {"slow": dict(self.slow), "trained": dict(self.trained)}

    def load_state(self, state: dict[str, Any]) -> None:
        self.slow, self.trained = dict(state["slow"]), dict(state["trained"])

    def _keep(self, model: nn.Module) -> None:
        for name, value in _weights(model).items():
            before = self.trained.get(name)
            self.trained[name] = value.clone() if before is None else before.to(value.device) + value


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """The model's own floating tensors, detached; counters of batches stay as they are."""
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}


def _set(model: nn.Module, values: dict[str, Tensor]) -> None:
    for name, value in _weights(model).items():
        value.copy_(values[name])


def subtask_categories(
    seed: int, outer: int, labels: Sequence[int] | np.ndarray, size: int | None = None
) -> list[np.ndarray]:
    """The categories of an outer iteration's two subtasks: two disjoint sorted int64 [size], of (seed, outer) alone.

    labels: the training categories. size: None for half of them. ValueError when there are too few for two."""
    size = len(labels) // SUBTASKS if size is None else size
    if size < 1 or size * SUBTASKS > len(labels):
        raise ValueError(
            f"categories must be 1..{len(labels) // SUBTASKS} for two subtasks of {len(labels)} categories, got {size}"
        )
    order = np.random.default_rng(stream_seed(seed, outer)).permutation(np.asarray(labels, dtype=np.int64))
    return [np.sort(order[i * size : (i + 1) * size]) for i in range(SUBTASKS)]


class SubtaskBatches:
    """One epoch of batches: outer iteration after outer iteration, ``inner_steps`` batches of each of its subtasks.

    The passes over a subtask's sketches have numbers of their own, so each has its own order. ValueError, from `source`, when
    the sketches of a subtask fill no batch.
    """

    def __init__(
        self,
        source: InstanceBatches,
        config: ReptileConfig,
        seed: int,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        start_step: int = 0,
    ) -> None:
        self.source, self.config, self.seed = source, config, seed
        self.epoch, self.place, self.start_step = epoch, (rank, world), start_step

    def __len__(self) -> int:
        return max(self.config.steps_per_epoch - self.start_step, 0)

    def __iter__(self) -> Iterator[Any]:
        inner_steps, outers = self.config.inner_steps, self.config.outer_per_epoch
        run, skip = divmod(self.start_step, inner_steps)
        while run < outers * SUBTASKS:
            outer = self.epoch * outers + run // SUBTASKS
            subtask = run % SUBTASKS
            labels, size = self.source.labels, self.config.categories
            classes = subtask_categories(self.seed, outer, labels, size)[subtask]
            yield from self._inner_run(outer * SUBTASKS + subtask, classes, skip)
            run, skip = run + 1, 0

    def _inner_run(self, number: int, classes: np.ndarray, skip: int) -> Iterator[Any]:
        """Batches skip, skip + 1, ... of inner run `number`, which passes over the sketches as often as it needs to."""
        left, sweep = self.config.inner_steps - skip, 0
        while left:
            # A run has at most inner_steps passes, so no two passes of the training share a number.
            which = number * self.config.inner_steps + sweep
            batches = self.source.epoch(which, *self.place, classes=classes)
            length = len(batches)
            if skip < length:
                if skip:
                    batches = self.source.epoch(which, *self.place, skip, classes)
                count = min(left, length - skip)
                yield from itertools.islice(batches, count)
                left -= count
            skip, sweep = max(skip - length, 0), sweep + 1
