"""How networks that draw are trained on their own (Bhunia et al., CVPR 2021, sections 3.1 and 4.1).

The photo-to-sketch generator before joint training (eq. 3), the stroke decoder alone, and L2S learn sequences of offsets: what
is printed after an epoch is the negative log-likelihood of sketches that are not trained on. Pix2Pix, and PhotoSketch with all
of a photo's sketches at once, learn pictures. Each is a `Task`: give it to `fit`.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.augmentation import Augmentation
from sketchfast.data.photo_batches import StrokeBatches, augment_strokes
from sketchfast.data.picture_pairs import PicturePairs, picture_inputs
from sketchfast.data.pixels import normalize
from sketchfast.models.l2s import L2S, l2s_loss
from sketchfast.models.photo_to_sketch import vae_loss
from sketchfast.models.pix2pix import Pix2Pix
from sketchfast.nn.sketch_mixture import stroke_nll
from sketchfast.training.cross_category_tasks import CompetitorTask, Optimisation
from sketchfast.training.task import StepContext, shared_normal


class StrokeTask(CompetitorTask):
    """What tasks that learn sequences have in common: where batches come from, and the likelihood of held-out sketches.

    source: training sketches, with their photos where the model sees some. augmentation: of these; sequences are mirrored with
    their photos, no more. held_out: sketches that are not trained on (its batch size is not used); None monitors nothing.
    Raises ValueError where the model's offset_scale, or that of the held-out sketches, is not the training sketches'.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        source: StrokeBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        held_out: StrokeBatches | None,
        title: str,
    ) -> None:
        super().__init__(name, model, optimisation, "held_out_nll", "min", title)
        self.source, self.augmentation, self.held_out = source, augmentation, held_out
        scale = source.sequences.scale
        if model.config.offset_scale != scale:
            raise ValueError(
                f"model.config.offset_scale must be the training sketches' {scale}, got {model.config.offset_scale}"
            )
        if held_out is not None and held_out.sequences.scale != scale:
            raise ValueError(
                f"held_out must have the training sketches' scale {scale}, got {held_out.sequences.scale}"
            )

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    @abstractmethod
    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        """The model's outputs y [B, T + 1, 6M + 3] for held-out sketches, without noise."""

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        if self.held_out is None:
            return {self.monitor: math.nan}
        parts = []
        for rows in np.array_split(np.arange(self.held_out.count), -(-self.held_out.count // 128)):
            batch = fabric.to_device(self.held_out.take(rows))
            stroke5, photos = without_padding(batch["stroke5"]), None
            if "photo" in batch:
                photos = normalize(batch["photo"], self.model.preprocess)
            with fabric.autocast():
                y = self.predicted(photos, stroke5)
            parts.append(torch.stack(stroke_nll(y, stroke5)))
        offset, pen = torch.cat(parts, dim=1).double().mean(dim=1).tolist()
        return {self.monitor: offset + pen, "held_out_offset_nll": offset, "held_out_pen_nll": pen}

    def inputs(self, batch: dict[str, Tensor]) -> tuple[Tensor | None, Tensor]:
        """Photos [B, 3, S, S] or None, and stroke-5 [B, R, 5] of a training batch, mirrored together."""
        preprocess = getattr(self.model, "preprocess", None)
        photos, stroke5 = augment_strokes(batch, self.augmentation, preprocess)
        return photos, without_padding(stroke5)


def without_padding(stroke5: Tensor) -> Tensor:
    """[B, T + 1, 5] -> [B, R, 5] up to the longest sequence's end row; what is left away costs time and no more."""
    return stroke5[:, : int((stroke5[..., 4] < 0.5).sum(dim=1).max()) + 1]


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
        held_out: StrokeBatches | None = None,
        *,
        kl_weight: float = 1.0,
        title: str = "",
    ) -> None:
        super().__init__("generator", model, source, augmentation, optimisation, held_out, title)
        self.kl_weight = kl_weight

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        photos, stroke5 = self.inputs(batch)
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
        held_out: StrokeBatches | None = None,
        *,
        title: str = "",
    ) -> None:
        super().__init__("unconditional", model, source, augmentation, optimisation, held_out, title)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        _, stroke5 = self.inputs(batch)
        offset, pen = (part.mean() for part in stroke_nll(context.model(stroke5), stroke5))
        return {"loss": offset + pen, "offset_nll": offset, "pen_nll": pen}

    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        return self.model(stroke5)


class L2STask(StrokeTask):
    """The four translations of an L2S. Held-out sketches are drawn from their photos, z = mu.

    kl_weight, kl_floor: see `l2s_loss`.
    """

    def __init__(
        self,
        model: L2S,
        source: StrokeBatches,
        augmentation: Augmentation,
        optimisation: Optimisation,
        held_out: StrokeBatches | None = None,
        *,
        kl_weight: float = 0.01,
        kl_floor: float = 0.2,
        title: str = "",
    ) -> None:
        super().__init__("l2s", model, source, augmentation, optimisation, held_out, title)
        self.kl_weight, self.kl_floor = kl_weight, kl_floor

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        photos, stroke5 = self.inputs(batch)
        noise = shared_normal(context, len(stroke5), self.model.config.latent)
        output = context.model(photos, stroke5, noise)
        assert photos is not None  # or the model would have said so
        return l2s_loss(output, photos, stroke5, self.kl_weight, self.kl_floor)

    def predicted(self, photos: Tensor | None, stroke5: Tensor) -> Tensor:
        return self.model.drawn_from_mean(photos, stroke5)


class Pix2PixTask(CompetitorTask):
    """Pix2Pix; PhotoSketch with a source that serves a photo's sketches together. Both networks learn in every step (D).

    l1_weight: lambda; Isola et al. train with Adam at a rate of 2e-4 and beta_1 = 0.5. difference: with several sketches of a
    photo, "mean" as paper 4 describes PhotoSketch, or "nearest" as its released code has it; the mean's gradient is, on average,
    that of one sketch at a time. held_out: pairs that are not trained on; monitored is what their sketches differ by.
    """

    def __init__(
        self,
        model: Pix2Pix,
        source: PicturePairs,
        optimisation: Optimisation,
        held_out: PicturePairs | None = None,
        *,
        l1_weight: float = 100.0,
        difference: Literal["mean", "nearest"] = "mean",
        title: str = "",
    ) -> None:
        super().__init__("pix2pix", model, optimisation, "held_out_difference", "min", title)
        self.source, self.held_out = source, held_out
        self.l1_weight, self.difference = l1_weight, difference

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        photos, sketches = picture_inputs(batch)
        drawn = context.model(photos)
        terms = self.model.terms(photos, drawn, sketches, batch["owner"], self.difference)
        loss = terms.discriminator + terms.adversarial + self.l1_weight * terms.difference
        return {
            "loss": loss, "L_D": terms.discriminator, "adversarial": terms.adversarial, "difference": terms.difference,
        }  # fmt: skip

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        if self.held_out is None:
            return {self.monitor: math.nan}
        found = []
        for items in np.array_split(np.arange(self.held_out.count), -(-self.held_out.count // 64)):
            batch = fabric.to_device(self.held_out.take(items))
            photos, sketches = picture_inputs(batch)
            with fabric.autocast():
                drawn = self.model(photos)[batch["owner"]]
            found.append((drawn.float() - sketches).abs().mean(dim=(1, 2, 3)))
        return {self.monitor: float(torch.cat(found).mean())}
