"""How the retrieval network is trained without generated sketches (Bhunia et al., CVPR 2021, sections 3.2 and 4.1).

`SupervisedTask` trains F on pairs, eq. 4: of people's sketches before joint training, of edge maps of unlabelled photos in
Edgemap-Pretrain. `JigsawTask` is Jigsaw-Pretrain. Each is a `Task`: give it to `fit`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.edge_maps import EdgeMaps
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instance_batches import InstanceBatches, augment_instances
from sketchfast.data.instances import PairedSet
from sketchfast.nn.jigsaw import JigsawNet, mixed_puzzles, shuffles
from sketchfast.nn.semi_supervised import Negatives, in_batch_triplet_losses
from sketchfast.training.cross_category_tasks import CompetitorTask, Optimisation, Score
from sketchfast.training.task import StepContext, shared_uniform


class SupervisedTask(CompetitorTask):
    """F on labelled pairs, eq. 4; the negatives of a sketch are other photos of its batch.

    model: a FineGrainedNet. score: its metrics after an epoch; None monitors nothing, as where no pairs are held out.
    margin: mu. negatives: see `in_batch_negatives`; they are of the sketch's category where a batch is one group.
    """

    def __init__(
        self,
        model: Any,
        source: InstanceBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        score: Score | None = None,
        *,
        margin: float = 0.3,
        negatives: Negatives = "random",
        monitor: str = "accuracy@1",
        title: str = "",
    ) -> None:
        super().__init__("supervised", model, optimisation, monitor, "max", title)
        self.source, self.augmentation, self.score = source, augmentation, score
        self.margin, self.negatives = margin, negatives

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        group = self.source.group
        sketches, photos, _ = augment_instances(batch, self.augmentation, self.model.preprocess, group)
        # One pass: batch normalisation sees sketches and photos together, as its running statistics do.
        features = context.model(torch.cat([sketches, photos]))
        sketch, photo = features.split([len(sketches), len(photos)])
        photo, ids = own_photos_first(photo, batch["photo_row"], len(sketches), group)
        uniform = shared_uniform(context, len(sketches))
        losses = in_batch_triplet_losses(sketch, photo, ids, self.margin, self.negatives, uniform)
        return {"loss": losses.mean()}

    def validate(self, fabric: Any, epoch: int) -> Mapping[str, float]:
        if self.score is None:
            return {self.monitor: math.nan}
        with fabric.autocast():
            return self.score(self.model)


def own_photos_first(photos: Tensor, rows: Tensor, sketches: int, group: int) -> tuple[Tensor, Tensor]:
    """Photos [P, ...] and rows [P] of an ``InstanceBatches`` batch, the own photos of its sketches first, in their order."""
    order = torch.arange(len(rows), device=rows.device).unflatten(0, (sketches // group, -1))
    order = torch.cat([order[:, :group].flatten(), order[:, group:].flatten()])
    return photos[order], rows[order]


def edge_map_pairs(photos: ImageSet) -> PairedSet:
    """Unlabelled photos, each with its Canny edge map in a sketch's place (Edgemap-Pretrain, Radenovic et al. 2018; HED: D)."""
    return PairedSet(EdgeMaps(photos), photos, np.arange(len(photos)))


class JigsawTask(CompetitorTask):
    """Puzzles of patches of a photo and of its edge map, to be put in order (Jigsaw-Pretrain, Pang et al. 2020).

    model: a JigsawNet around the FineGrainedNet, which is what is worth keeping afterwards. source: of `edge_map_pairs`, without
    distractors. The loss is the cross-entropy of every patch's place. The monitored share of patches put right is of the last
    training batch, since puzzles are new in every batch.
    """

    model: JigsawNet

    def __init__(
        self,
        model: JigsawNet,
        source: InstanceBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        *,
        title: str = "",
    ) -> None:
        if source.distractors:
            raise ValueError(f"source must have no distractors, got {source.distractors}")
        super().__init__("jigsaw", model, optimisation, "patches_right", "max", title)
        self.source, self.augmentation = source, augmentation
        self.right = torch.tensor(math.nan)

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        edges, photos, _ = augment_instances(
            batch, self.augmentation, self.model.preprocess, self.source.group
        )
        cells = self.model.side**2
        uniform = shared_uniform(context, len(photos), 2, cells)
        places = shuffles(uniform[:, 0])
        log_places = context.model(mixed_puzzles(photos, edges, places, uniform[:, 1] < 0.5))
        self.right = (log_places.detach().argmax(dim=2) == places).float().mean()
        return {"loss": F.nll_loss(log_places.flatten(0, 1), places.flatten()), "patches_right": self.right}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        return {self.monitor: float(self.right)}

    def state(self) -> dict[str, Any]:
        return {"right": self.right}

    def load_state(self, state: dict[str, Any]) -> None:
        self.right = state["right"]
