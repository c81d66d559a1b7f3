"""How the networks are trained that describe sketches in the trait network's place (Pang et al., CVPR 2019, section 4.2).

A variational autoencoder and a sketch classifier give other descriptors than traits. Each is a `Task`: give it to `fit`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.data.class_batches import ClassBatches, SketchAugmentation, augment_sketches
from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.nn.dynamic_weights import gaussian_kl
from sketchfast.nn.trait_assignment import squared_errors
from sketchfast.training.cross_category_tasks import CompetitorTask, Optimisation
from sketchfast.training.task import StepContext, shared_normal


class VAETask(CompetitorTask):
    """A conventional variational autoencoder of sketches; its mean is the descriptor of "Ours-VAE".

    (D) The squared error is summed over the pixels, as the trait network's, plus kl_weight times the KL.
    held_out: sketches that are not trained on; the monitored loss is theirs, with z at its mean."""

    def __init__(
        self,
        model: Any,
        source: ClassBatches,
        augmentation: SketchAugmentation,
        optimisation: Optimisation,
        held_out: ImageSet | None = None,
        *,
        kl_weight: float = 1.0,
        memory: int = 4 << 30,
        title: str = "",
    ) -> None:
        super().__init__("vae", model, optimisation, "held_out_loss", "min", title)
        self.source, self.augmentation, self.kl_weight = source, augmentation, kl_weight
        self.held_out, self.memory = held_out, memory

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        images = augment_sketches(batch, self.augmentation, self.model.preprocess)
        noise = shared_normal(context, len(images), self.model.config.latent)
        errors, kl = self._terms(context.model, images, noise)
        error = errors.mean()
        return {"loss": error + self.kl_weight * kl, "L_rec": error, "KL": kl}

    def _terms(self, model: nn.Module, images: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Squared error of each sketch [B], and the batch's mean KL."""
        out = model(images, noise)
        return squared_errors(out.reconstruction, images), gaussian_kl(out.mu, out.log_variance)

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        def losses(images: Tensor, labels: Tensor) -> Tensor:
            errors, kl = self._terms(self.model, images, None)
            return errors + self.kl_weight * kl

        return {self.monitor: _held_out_mean(losses, self.model, self.held_out, fabric, self.memory)}


class ClassifierTask(CompetitorTask):
    """A classifier of the seen categories' sketches; its penultimate features are the descriptor of "Ours-Classify"."""

    def __init__(
        self,
        model: Any,
        source: ClassBatches,
        augmentation: SketchAugmentation,
        optimisation: Optimisation,
        held_out: ImageSet | None = None,
        *,
        memory: int = 4 << 30,
        title: str = "",
    ) -> None:
        super().__init__("classifier", model, optimisation, "held_out_accuracy", "max", title)
        self.source, self.augmentation, self.held_out, self.memory = source, augmentation, held_out, memory

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        logits = context.model(augment_sketches(batch, self.augmentation, self.model.preprocess))
        return {"loss": F.cross_entropy(logits.float(), batch["label"])}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        def right(images: Tensor, labels: Tensor) -> Tensor:
            return (self.model(images).argmax(dim=1) == labels).float()

        return {self.monitor: _held_out_mean(right, self.model, self.held_out, fabric, self.memory)}


def _held_out_mean(
    values: Callable[[Tensor, Tensor], Tensor], model: Any, images: ImageSet | None, fabric: Any, memory: int
) -> float:
    """Mean of values(network input, labels) -> [B] over a set of sketches; NaN without one."""
    if images is None or not len(images):
        return math.nan
    pixels, found = Pixels(images, model.preprocess, memory), []
    for rows in np.array_split(np.arange(len(images)), -(-len(images) // 128)):
        batch = normalize(pixels.take(rows).to(fabric.device), model.preprocess)
        labels = torch.from_numpy(images.labels[rows]).to(fabric.device)
        with fabric.autocast():
            found.append(values(batch, labels))
    return float(torch.cat(found).mean())
