"""How networks that draw are trained on their own (Bhunia et al., CVPR 2021, sections 3.1 and 4.1).

The photo-to-sketch generator before joint training (eq. 3), the stroke decoder alone, and L2S learn sequences of offsets. Each
is a `Task`: give it to `fit`. What is printed after an epoch is the negative log-likelihood of sketches that are not trained on.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.image_set import ImageSet
from sketchfast.data.photo_batches import StrokeBatches, augment_strokes
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.models.photo_to_sketch import vae_loss
from sketchfast.nn.sketch_mixture import stroke_nll
from sketchfast.training.cross_category_tasks import CompetitorTask, Optimisation
from sketchfast.training.task import StepContext, shared_normal


@dataclass(frozen=True)
class HeldOutStrokes:
    """Sketches that are not trained on, in the training set's scale, and where there are photos each one's own.

    sequences [N]. photos, photo_of: int64 [N], positions in `photos`; both None for a decoder that sees no photo.
    """

    sequences: SketchSequences
    photos: ImageSet | None = None
    photo_of: np.ndarray | None = None


class StrokeTask(CompetitorTask):
    """What tasks that learn sequences have in common: where batches come from, and the likelihood of held-out sketches.

    source: training sketches, with their photos where the model sees some. augmentation: of them; sequences are mirrored with
    their photos, no more. held_out: monitored; None leaves the last epoch's checkpoint as the only one worth keeping.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        source: StrokeBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        held_out: HeldOutStrokes | None,
        memory: int,
        title: str,
    ) -> None:
        super().__init__(name, model, optimisation, "held_out_nll", "min", title)
        self.source, self.augmentation = source, augmentation
        self.held_out, self.memory = held_out, memory
        self._photos: Pixels | None = None

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    @abstractmethod
    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        """The model's outputs y [B, T + 1, 6M + 3] for held-out sketches, without noise."""

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        if self.held_out is None:
            return {self.monitor: math.nan}
        sequences, parts = self.held_out.sequences, []
        for rows in np.array_split(np.arange(len(sequences)), -(-len(sequences) // 128)):
            stroke5 = torch.from_numpy(sequences.stroke5[rows]).to(fabric.device)
            with fabric.autocast():
                y = self.predicted(self._held_out_photos(rows, fabric.device), stroke5)
            parts.append(torch.stack(stroke_nll(y, stroke5)))
        offset, pen = torch.cat(parts, dim=1).double().mean(dim=1).tolist()
        return {self.monitor: offset + pen, "held_out_offset_nll": offset, "held_out_pen_nll": pen}

    def _held_out_photos(self, rows: np.ndarray, device: torch.device) -> Tensor | None:
        held_out = self.held_out
        if held_out is None or held_out.photos is None or held_out.photo_of is None:
            return None
        preprocess = self.model.preprocess
        self._photos = self._photos or Pixels(held_out.photos, preprocess, self.memory)
        return normalize(self._photos.take(held_out.photo_of[rows]).to(device), preprocess)


class GeneratorTask(StrokeTask):
    """Pre-training of a PhotoToSketch from labelled pairs, eq. 3. Held-out sketches are drawn from z = mu.

    kl_weight: omega_kl.
    """

    def __init__(
        self,
        model: Any,
        source: StrokeBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        held_out: HeldOutStrokes | None = None,
        *,
        kl_weight: float = 1.0,
        memory: int = 4 << 30,
        title: str = "",
    ) -> None:
        super().__init__("generator", model, source, augmentation, optimisation, held_out, memory, title)
        self.kl_weight = kl_weight

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        photos, stroke5 = augment_strokes(batch, self.augmentation, self.model.preprocess)
        noise = shared_normal(context, len(stroke5), self.model.config.latent)
        return vae_loss(context.model(photos, stroke5, noise), stroke5, self.kl_weight)

    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        noise = stroke5.new_zeros(len(stroke5), self.model.config.latent)
        return self.model(photos, stroke5, noise).y


class UnconditionalTask(StrokeTask):
    """A SketchDecoder on sketches alone: the negative log-likelihood, first part of eq. 3."""

    def __init__(
        self,
        model: Any,
        source: StrokeBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        held_out: HeldOutStrokes | None = None,
        *,
        title: str = "",
    ) -> None:
        super().__init__("unconditional", model, source, augmentation, optimisation, held_out, 0, title)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        _, stroke5 = augment_strokes(batch, self.augmentation, None)
        offset, pen = (part.mean() for part in stroke_nll(context.model(stroke5), stroke5))
        return {"loss": offset + pen, "offset_nll": offset, "pen_nll": pen}

    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        return self.model(stroke5)
