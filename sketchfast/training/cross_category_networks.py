"""The competitors of visual trait descriptors (Pang et al., CVPR 2019, table 1), each put together: network, settings, task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from sketchfast.data.class_batches import ClassBatches, SketchAugmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.zero_shot import encode
from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.models.cvae_regression import CVAEConfig, CVAERegression
from sketchfast.models.sketch_features import ClassifierFeatures, ClassifierFeaturesConfig
from sketchfast.models.sketch_vae import SketchVAE, SketchVAEConfig
from sketchfast.models.vtd import VTD
from sketchfast.nn.crossgrad import CrossGradNet
from sketchfast.training.cross_category_tasks import (
    CrossGradTask,
    CVAETask,
    Optimisation,
    ReptileTask,
    Score,
    Triplets,
)
from sketchfast.training.describer_tasks import ClassifierTask, VAETask
from sketchfast.training.reptile import ReptileConfig
from sketchfast.training.seeds import stream_seed


@dataclass
class Competitors:
    """What only one row of table 1 has."""

    reptile: ReptileConfig = field(default_factory=ReptileConfig)
    crossgrad_epsilon: float = 1.0
    crossgrad_alpha: float = 0.5
    crossgrad_triplet: float = 1.0  # weight of eq. 9 beside CrossGrad's losses
    cvae: CVAEConfig = field(default_factory=CVAEConfig)
    cvae_epochs: int = 100
    cvae_lr: float = 1e-3
    vae_kl: float = 1.0  # weight of the VAE's divergence


@dataclass(frozen=True)
class SketchTraining:
    """How a network is trained that describes sketches in the trait network's place: with Adam, as that one is.

    held_out: sketches that are not trained on, or None. batch: over all processes. memory: bytes that decoded images may take.
    """

    sketches: ImageSet
    held_out: ImageSet | None
    batch: int
    repeats: int
    lr: float
    augmentation: SketchAugmentation
    seed: int
    memory: int

    def of(self, model: Any) -> dict[str, Any]:
        """The arguments of its task."""
        own = self.sketches, model.preprocess, self.batch, self.seed, self.repeats, self.memory
        return {
            "source": ClassBatches(*own),
            "augmentation": self.augmentation,
            "optimisation": Optimisation(partial(torch.optim.Adam, lr=self.lr)),
            "held_out": self.held_out,
            "memory": self.memory,
        }


def sketch_vae(config: SketchVAEConfig, how: SketchTraining, kl_weight: float, title: str) -> VAETask:
    """Of Ours-VAE and Ours-VAE-Kmeans."""
    torch.manual_seed(stream_seed(how.seed, 1))
    model = SketchVAE(config)
    return VAETask(model, kl_weight=kl_weight, title=title, **how.of(model))


def sketch_classifier(
    backbone: BackboneSpec, size: int, ink_margin: float, how: SketchTraining, title: str
) -> ClassifierTask:
    """Of Ours-Classify. size: side of its input in pixels."""
    torch.manual_seed(stream_seed(how.seed, 1))
    b, names = backbone, how.sketches.names
    net = b.name, b.weights, b.stem, b.stem_stride, b.width
    model = ClassifierFeatures(ClassifierFeaturesConfig(*net, len(names), size, ink_margin), names)
    return ClassifierTask(model, title=title, **how.of(model))


def reptile(
    model: VTD,
    triplets: Triplets,
    how: Competitors,
    optimisation: Optimisation,
    score: Score,
    *,
    epochs: int,
    seed: int,
    title: str,
) -> tuple[ReptileTask, int]:
    """The task, and the number of its epochs in which it takes as many steps as other methods in `epochs` of theirs."""
    task = ReptileTask(model, triplets, how.reptile, optimisation, score, seed=seed, title=title)
    return task, max(1, round(epochs * len(triplets.source.epoch(0)) / how.reptile.steps_per_epoch))


def crossgrad(
    model: VTD,
    triplets: Triplets,
    how: Competitors,
    optimisation: Optimisation,
    score: Score,
    *,
    backbone: BackboneSpec,
    title: str,
) -> CrossGradTask:
    """backbone: of the network that tells categories apart, CrossGrad's domains."""
    pairs, (domain, _) = triplets.source.pairs, build_backbone(backbone)
    most, crossed = int(np.bincount(pairs.photos.labels).max()), (how.crossgrad_epsilon, how.crossgrad_alpha)
    net = CrossGradNet(model, model.backbone.num_features, domain, most, len(pairs.names), *crossed)
    weight = how.crossgrad_triplet
    return CrossGradTask(net, triplets, optimisation, score, triplet_weight=weight, title=title)


def cvae_regression(
    model: VTD, pairs: PairedSet, how: Competitors, *, accelerator: str, seed: int, memory: int, title: str
) -> CVAETask:
    """On the features that the network has for the pairs; it is moved to the accelerator ("cpu": it stays)."""
    device = (torch.accelerator.current_accelerator() or "cpu") if accelerator != "cpu" else "cpu"
    model.to(device)
    device = next(model.parameters()).device
    S, P = (encode(model, images, device, memory=memory) for images in (pairs.sketches, pairs.photos))
    generator = CVAERegression(replace(how.cvae, feature_dim=model.backbone.num_features))
    adam = Optimisation(partial(torch.optim.Adam, lr=how.cvae_lr))
    batch = min(128, len(S))
    return CVAETask(generator, S, P, pairs.photo_of, adam, seed=seed, batch_size=batch, title=title)
