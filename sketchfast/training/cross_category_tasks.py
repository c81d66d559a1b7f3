"""How the competitors of visual trait descriptors are trained (Pang et al., CVPR 2019, section 4.2 and table 1).

Reptile and CrossGrad train a retrieval network like hard transfer's in another way; CVAE regression trains on its frozen
features. Each is a `Task`: give it to `fit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.batches_ahead import ShuffledEpoch
from sketchfast.data.instance_batches import InstanceBatches, augment_instances
from sketchfast.data.instances import PairedSet
from sketchfast.models.cvae_regression import CVAERegression
from sketchfast.nn.crossgrad import CrossGradNet
from sketchfast.nn.dynamic_weights import Negatives, group_triplet_loss
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.reptile import Reptile, ReptileConfig, SubtaskBatches
from sketchfast.training.task import StepContext, Task, shared_normal, shared_uniform

Score = Callable[[Any], Mapping[str, float]]
"""The retrieval network in evaluation mode -> its metrics after an epoch, such as accuracy@1 on held-out photos."""


def constant(step: int, total: int) -> float:
    return 1.0


@dataclass(frozen=True)
class Optimisation:
    """make: parameters -> optimizer, such as partial(torch.optim.Adam, lr=1e-4). factor: (step, total) -> factor on its rate."""

    make: Callable[[Iterable[Any]], Optimizer]
    factor: Callable[[int, int], float] = constant


@dataclass
class Triplets:
    """Where the triplets of eq. 9 come from, and its settings."""

    source: InstanceBatches
    augmentation: Augmentation = field(default_factory=Augmentation)
    margin: float = 0.1
    negatives: Negatives = "random"

    def images(self, batch: dict[str, Tensor], preprocess: Preprocess) -> tuple[Tensor, Tensor]:
        """Sketches [B, 3, S, S] and photos [P, 3, S, S] as network input."""
        sketches, photos, _ = augment_instances(batch, self.augmentation, preprocess, self.source.group)
        return sketches, photos

    def loss(self, sketches: Tensor, photos: Tensor, context: StepContext) -> Tensor:
        """Eq. 9 without weights, of F_s [B, D] and F_p [B / g n, D]."""
        uniform = shared_uniform(context, len(sketches))
        photos = photos.unflatten(0, (-1, self.source.group + self.source.distractors))
        return group_triplet_loss(sketches, photos, None, self.margin, self.negatives, uniform)


class CompetitorTask(Task):
    """What they have in common: an optimizer and its schedule are given to them."""

    model: Any

    def __init__(
        self, name: str, model: nn.Module, optimisation: Optimisation, monitor: str, mode: str, title: str
    ) -> None:
        self.name, self.model, self.optimisation = name, model, optimisation
        self.monitor, self.mode, self.title = monitor, mode, title

    def make_optimizer(self, params: Iterable[Any]) -> Optimizer:
        return self.optimisation.make(params)

    def schedule(self, step: int, total: int) -> float:
        return self.optimisation.factor(step, total)


class ReptileTask(CompetitorTask):
    """Hard transfer's loss in Reptile's order. An epoch is ``config.outer_per_epoch`` outer iterations.

    model: a VTD without weighting. seed: of the subtasks. Validation and an epoch's checkpoints see the slow weights."""

    def __init__(
        self,
        model: Any,
        triplets: Triplets,
        config: ReptileConfig,
        optimisation: Optimisation,
        score: Score,
        *,
        seed: int,
        monitor: str = "accuracy@1",
        title: str = "",
    ) -> None:
        super().__init__("reptile", model, optimisation, monitor, "max", title)
        self.triplets, self.config, self.score, self.seed = triplets, config, score, seed
        self.reptile = Reptile(config.inner_steps, config.epsilon)

    def make_optimizer(self, params: Iterable[Any]) -> Optimizer:
        self.optimizer = super().make_optimizer(params)
        return self.optimizer

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return SubtaskBatches(self.triplets.source, self.config, self.seed, epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        if context.micro_batch:
            raise ValueError("loop.accumulate must be 1 with Reptile: its runs are counted in batches")
        self.reptile.before_step(step, self.model, self.optimizer)
        out = context.model(*self.triplets.images(batch, self.model.preprocess), None, None)
        return {"loss": self.triplets.loss(out.sketch, out.photo, context)}

    def validate(self, fabric: Any, epoch: int) -> Mapping[str, float]:
        self.reptile.finish(self.model)
        with fabric.autocast():
            return self.score(self.model)

    def state(self) -> dict[str, Any]:
        return self.reptile.state()

    def load_state(self, state: dict[str, Any]) -> None:
        self.reptile.load_state(state)


class CrossGradTask(CompetitorTask):
    """CrossGrad's two losses, and eq. 9 on the features of the images as they are (D), so that they are a metric.

    model: a `CrossGradNet` around a VTD without weighting, which is what `score` gets and what is worth keeping afterwards.
    triplet_weight: of eq. 9, 0 switches it off."""

    def __init__(
        self,
        model: CrossGradNet,
        triplets: Triplets,
        optimisation: Optimisation,
        score: Score,
        *,
        triplet_weight: float = 1.0,
        monitor: str = "accuracy@1",
        title: str = "",
    ) -> None:
        super().__init__("crossgrad", model, optimisation, monitor, "max", title)
        self.triplets, self.score, self.triplet_weight = triplets, score, triplet_weight
        self.number = torch.from_numpy(photo_numbers(triplets.source.pairs))
        self.domains = torch.from_numpy(triplets.source.pairs.photos.labels)
        self.photo_of = torch.from_numpy(triplets.source.pairs.photo_of)

    def prepare(self, device: torch.device) -> None:
        self.number, self.domains, self.photo_of = (
            table.to(device) for table in (self.number, self.domains, self.photo_of)
        )

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.triplets.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        sketches, photos = self.triplets.images(batch, self.model.retrieval.preprocess)
        rows = torch.cat([self.photo_of[batch["row"]], batch["photo_row"]])
        out = context.model(sketches, photos, self.number[rows], self.domains[rows])
        logs = {"J_l": out.terms.label, "J_d": out.terms.domain}
        loss = out.terms.label + out.terms.domain
        if self.triplet_weight:
            logs["L_tri"] = self.triplets.loss(out.sketch, out.photo, context)
            loss = loss + self.triplet_weight * logs["L_tri"]
        return {"loss": loss, **logs}

    def validate(self, fabric: Any, epoch: int) -> Mapping[str, float]:
        with fabric.autocast():
            return self.score(self.model.retrieval)


def photo_numbers(pairs: PairedSet) -> np.ndarray:
    """Number of each photo within its category, 0, 1, ... in the order of the set: CrossGrad's labels, int64 [photos]."""
    labels = pairs.photos.labels
    numbers = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        numbers[rows] = np.arange(len(rows))
    return numbers


class CVAETask(CompetitorTask):
    """CVAE regression on features that never change: sketches [N, D], photos [P, D], photo_of int64 [N] of training pairs.

    held_out: the same three of pairs that are not trained on, or None. The monitored loss is theirs."""

    def __init__(
        self,
        model: CVAERegression,
        sketches: np.ndarray,
        photos: np.ndarray,
        photo_of: np.ndarray,
        optimisation: Optimisation,
        held_out: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        *,
        seed: int,
        batch_size: int = 128,
        title: str = "",
    ) -> None:
        super().__init__("cvae-regress", model, optimisation, "held_out_loss", "min", title)
        self.pairs = torch.from_numpy(sketches), torch.from_numpy(photos[photo_of])
        if len(self.pairs[0]) < batch_size:
            raise ValueError(f"batch_size is {batch_size}, but there are only {len(self.pairs[0])} sketches")
        self.held_out = None if held_out is None else (held_out[0], held_out[1][held_out[2]])
        self.seed, self.batch_size = seed, batch_size
        model.standardise_to(self.pairs[0], torch.from_numpy(photos))

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return _FeatureEpoch(self, epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        s, p = batch["sketch"], batch["photo"]
        terms = self.model.loss(
            context.model(s, p, shared_normal(context, len(s), self.model.config.latent)), s, p
        )
        return {
            "loss": terms.total, "reconstruction": terms.reconstruction, "KL": terms.kl,
            "regression": terms.regression,
        }  # fmt: skip

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        if self.held_out is None:
            return {self.monitor: math.nan}
        s, p = (torch.from_numpy(values).to(fabric.device) for values in self.held_out)
        output = self.model(s, p, torch.zeros(len(s), self.model.config.latent, device=s.device))
        return {self.monitor: float(self.model.loss(output, s, p).total)}


class _FeatureEpoch(ShuffledEpoch):
    def __init__(self, task: CVAETask, *place: int) -> None:
        super().__init__(len(task.pairs[0]), 1, task.batch_size, task.seed, *place)
        self.pairs = task.pairs

    def batch(self, rows: slice) -> dict[str, Tensor]:
        items = torch.from_numpy(self.order[rows])
        return {"sketch": self.pairs[0][items], "photo": self.pairs[1][items]}
