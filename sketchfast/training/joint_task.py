"""Joint training of retrieval and generation: Bhunia et al., More Photos are All You Need, CVPR 2021, section 3.4, algorithm 1.

k_r steps of `fit` train F (eq. 7) and D_C (eq. 5), the next k_g train G (eq. 9), and so on. One optimizer holds all three: a
parameter without a gradient is passed over, moments and all, so each network is trained as by an optimizer of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sketchfast.data.augmentation import NUM_UNIFORMS, Augmentation, augmented_sketches
from sketchfast.data.photo_batches import JointBatches, augment_labelled, augment_photos
from sketchfast.models.fine_grained import FineGrainedNet
from sketchfast.models.patch_discriminator import PatchDiscriminator, certainty_of
from sketchfast.models.pix2pix import Pix2Pix
from sketchfast.nn.reinforce import MovingAverageBaseline
from sketchfast.nn.semi_supervised import (
    Negatives,
    absolute_teacher,
    discriminator_loss,
    in_batch_triplet_losses,
    relative_teacher,
    retrieval_loss,
    reward,
)
from sketchfast.training.cross_category_tasks import CompetitorTask, Optimisation, Score
from sketchfast.training.joint_generators import PictureGenerator, StrokeGenerator
from sketchfast.training.task import StepContext, shared_uniform


@dataclass
class JointSettings:
    """Algorithm 1 and equations 7 to 9; the defaults are the paper's."""

    k_r: int = 5
    """Steps of F and D_C"""
    k_g: int = 5
    """and then of G."""
    weighting: bool = True
    """omega = D_C(p, s) of eq. 7; else 1."""
    teacher: Literal["relative", "absolute", "none"] = "relative"
    joint: bool = True
    """G is trained; else it stays as it is, and every step is one of F and D_C."""
    lambda_kd: float = 0.1
    lambda_r1: float = 1.0
    lambda_r2: float = 1.0
    lambda_G: float = 10.0
    baseline: bool = True
    """Rewards less a moving average of earlier ones (D)."""
    momentum: float = 0.9
    """Of that average."""
    temperature: float = 1.0
    """At which sketches are drawn."""
    generator_lr: float = 1.0
    """Of G, relative to F's."""
    discriminator_lr: float = 1.0
    """Of D_C, relative to F's."""

    @property
    def retrieval_share(self) -> float:
        """Share of the steps that train F."""
        return self.k_r / (self.k_r + self.k_g) if self.joint else 1.0


class JointNetworks(nn.Module):
    """F, G, D_C, and the baseline of eq. 9. Drawing and rewards take place in evaluation mode, see `evaluating`."""

    def __init__(
        self, F: FineGrainedNet, G: nn.Module, D_C: PatchDiscriminator, momentum: float = 0.9
    ) -> None:
        super().__init__()
        if D_C.config.size != F.config.size:
            raise ValueError(f"D_C must be for F's size={F.config.size}, got {D_C.config.size}")
        self.F, self.G, self.D_C = F, G, D_C
        self.baseline = MovingAverageBaseline(momentum)

    def forward(self, part: Literal["retrieval", "generator"], *inputs: Any) -> Any:
        """What is differentiated in a step, in one call, as DDP needs it."""
        if part == "generator":
            return self.G(*inputs)
        images, photos, sketches = inputs
        return self.F(images), None if photos is None else self.D_C(photos, sketches)


class JointTask(CompetitorTask):
    """A step of F and D_C when step mod (k_r + k_g) < k_r, else one of G.

    networks: F and G pre-trained on the labelled pairs. teacher: F^T, a frozen copy of F as it was; None without distillation.
    source: of F's preprocess, with sequences where G draws strokes and is trained. thickness: of lines, in pixels of F's size.
    margin, negatives: eq. 4, with negatives from the photos of the same side of the batch (D). kl: omega_kl of eq. 3. score: F ->
    metrics after an epoch.

    (D) G draws a photo as it is, or mirrored; F and D_C see photo and drawing varied as labelled pairs are, so that D_C cannot
    tell the two apart by that. Rewards are of pictures as they are. seconds: (in the rasterize op, from the first
    step's beginning to the last one's) so far, of this process since it began.
    """

    model: JointNetworks

    def __init__(
        self,
        networks: JointNetworks,
        teacher: FineGrainedNet | None,
        source: JointBatches,
        settings: JointSettings,
        augmentation: Augmentation,
        optimisation: Optimisation,
        score: Score | None = None,
        *,
        margin: float = 0.3,
        negatives: Negatives = "random",
        kl: float = 1.0,
        thickness: int = 1,
        monitor: str = "accuracy@1",
        title: str = "",
    ) -> None:
        super().__init__("joint", networks, optimisation, monitor, "max", title)
        if (teacher is None) != (settings.teacher == "none"):
            found = "None" if teacher is None else "a network"
            raise ValueError(
                f"teacher must be a network unless settings.teacher is 'none', got {found} with {settings.teacher!r}"
            )
        self.source, self.settings, self.augmentation, self.score = source, settings, augmentation, score
        self.margin, self.negatives = margin, negatives
        self.teacher = teacher
        if teacher is not None:
            teacher.eval().requires_grad_(False)
        seen = networks.F.preprocess
        self.generator: StrokeGenerator | PictureGenerator
        if isinstance(networks.G, Pix2Pix):
            self.generator = PictureGenerator(networks.G, seen)
        else:
            self.generator = StrokeGenerator(networks.G, seen, thickness, kl)
        if settings.joint and isinstance(self.generator, StrokeGenerator) and source.sequences is None:
            raise ValueError("source must have sequences for G to be trained on, got None")
        if not settings.joint:
            networks.G.requires_grad_(False)
        # A mirrored photo is drawn mirrored; the drawing is not turned round again.
        self.as_it_is = replace(augmentation.unmoved(), colour=0.0, grey=0.0, thickness=0.0)
        self._told: dict[str, Tensor] = {}
        self._last_start: float | None = None
        self._seconds = 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        return self.generator.rasterizing.seconds, self._seconds

    @property
    def judging(self) -> bool:
        """Whether anything asks D_C, which then is trained: omega, or the reward."""
        s = self.settings
        return s.weighting or (s.joint and s.lambda_r2 > 0)

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        return self.source.epoch(epoch, rank, world, start_step)

    def parameter_groups(self) -> Iterable[Any]:
        return [{"params": params} for params, _ in self._trained()]

    def make_optimizer(self, params: Iterable[Any]) -> Optimizer:
        optimizer = self.optimisation.make(params)
        for group, (_, factor) in zip(optimizer.param_groups, self._trained(), strict=True):
            group["lr"] *= factor
        return optimizer

    def _trained(self) -> list[tuple[list[nn.Parameter], float]]:
        """Parameters of F, G and D_C, with their learning rates relative to F's; without G where it is not trained."""
        s, nets = self.settings, self.model
        parts = [(nets.F, 1.0), (nets.G, s.generator_lr), (nets.D_C, s.discriminator_lr)]
        found = [([p for p in part.parameters() if p.requires_grad], factor) for part, factor in parts]
        return [(own, factor) for own, factor in found if own]

    def prepare(self, device: torch.device) -> None:
        if self.teacher is not None:
            self.teacher.to(device)

    def trains_retrieval(self, step: int) -> bool:
        """Lines 5 and 11 of algorithm 1."""
        s = self.settings
        return not s.joint or step % (s.k_r + s.k_g) < s.k_r

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        now = time.perf_counter()
        self._seconds += 0.0 if self._last_start is None else now - self._last_start
        self._last_start = now
        part = self.retrieval_step if self.trains_retrieval(step) else self.generator_step
        values = part(batch, context)
        # Whichever step is logged, the numbers of the last one of the other kind go with it.
        self._told |= {name: value.detach() for name, value in values.items()}
        return {**self._told, **values}

    def state(self) -> dict[str, Any]:
        return {"told": self._told}

    def load_state(self, state: dict[str, Any]) -> None:
        self._told = state["told"]

    def retrieval_step(self, batch: Any, context: StepContext) -> dict[str, Tensor]:
        """Lines 6 to 9: train F by eq. 7 and D_C by eq. 5."""
        settings, preprocess = self.settings, self.model.F.preprocess
        D_L, D_U = batch["labelled"], batch["unlabelled"]
        s_L, p_L, _ = augment_labelled(D_L, self.augmentation, preprocess)
        p_U, drawn = self._drawn(D_U, context)
        u = self._numbers_of_drawings(D_U["uniforms"], context)
        s_U = augmented_sketches(drawn, self.augmentation, u, preprocess)

        # One pass of F for all, as batch normalisation's running statistics should see them.
        images = torch.cat([s_L, p_L, s_U, p_U])
        pairs = (torch.cat([p_L, p_U]), torch.cat([s_L, s_U])) if self.judging else (None, None)
        features, logits = context.model("retrieval", images, *pairs)
        f_sL, f_pL, f_sU, f_pU = features.chunk(4)
        trip_L = self._triplets(f_sL, f_pL, D_L["photo_row"], context)  # eq. 4
        trip_U = self._triplets(f_sU, f_pU, D_U["photo_row"], context)
        kd: list[Tensor | None] = [None, None]
        if self.teacher is not None:
            distil = relative_teacher if settings.teacher == "relative" else absolute_teacher
            with torch.no_grad(), context.fabric.autocast():
                t_sL, t_pL, t_sU, t_pU = self.teacher(images).chunk(4)
            kd = [distil(t_pL, t_sL, f_pL, f_sL), distil(t_pU, t_sU, f_pU, f_sU)]  # eq. 6
        found: dict[str, Tensor] = {}
        omega, L_D = None, features.new_zeros(())
        if logits is not None:
            real, fake = logits.chunk(2)
            L_D = discriminator_loss(real, fake)  # eq. 5
            certainty = certainty_of(fake).detach()
            omega = certainty if settings.weighting else None
            found = {
                "L_D": L_D,
                "certainty": certainty.mean(),
                "certainty_of_real": certainty_of(real).detach().mean(),
            }
        terms = retrieval_loss(trip_L, trip_U, omega, kd[0], kd[1], settings.lambda_kd)  # eq. 7
        return {
            "loss": terms.total + L_D,
            "L_F": terms.total,
            "L_trip_labelled": terms.labelled,
            "L_trip_drawn": trip_U.mean(),
            "L_KD": terms.distillation,
            **found,
        }

    def generator_step(self, batch: Any, context: StepContext) -> dict[str, Tensor]:
        """Lines 12 to 14: train G by eq. 9, rewarded for drawings of labelled and unlabelled photos."""
        D_L, D_U = batch["labelled"], batch["unlabelled"]
        preprocess = self.model.F.preprocess
        s_L, p_L, stroke5 = augment_labelled(D_L, self.as_it_is, preprocess)
        p = torch.cat([p_L, augment_photos(D_U, self.as_it_is, preprocess)])
        # A number says which photo it is, labelled or not.
        ids = torch.cat([D_L["photo_row"], D_U["photo_row"] + len(self.source.pairs.photos)])

        def rewarded(s: Tensor) -> Tensor:
            nets = self.model
            with evaluating(nets.F), evaluating(nets.D_C), context.fabric.autocast():
                f_s, f_p = nets.F(torch.cat([s, p])).chunk(2)
                triplets = self._triplets(f_s, f_p, ids, context)
                return reward(triplets, nets.D_C.certainty(p, s), *weights, s.requires_grad)  # eq. 8

        weights = self.settings.lambda_r1, self.settings.lambda_r2
        settings = self.settings
        baseline = self.model.baseline if settings.baseline else None
        return self.generator.step(
            context,
            self.model,
            (p_L, s_L, stroke5),
            p,
            rewarded,
            baseline,
            settings.lambda_G,
            settings.temperature,
        )

    def _drawn(self, D_U: Mapping[str, Tensor], context: StepContext) -> tuple[Tensor, Tensor]:
        """Unlabelled photos as F sees them [B, 3, S, S], and G's drawings of them, uint8 [B, S, S, 3]."""
        preprocess = self.model.F.preprocess
        plain = augment_photos(cast(dict[str, Tensor], D_U), self.as_it_is, preprocess)
        with torch.no_grad(), evaluating(self.model.G):
            drawn = self.generator.draw(plain, context.generator, self.settings.temperature)
        return augment_photos(cast(dict[str, Tensor], D_U), self.augmentation, preprocess), drawn

    def _numbers_of_drawings(self, of_photos: Tensor, context: StepContext) -> Tensor:
        """Random numbers that vary the drawings [B, NUM_UNIFORMS]: the photos' own where a pair moves together."""
        if self.augmentation.pair_together:
            numbers = of_photos.clone()
        else:
            numbers = shared_uniform(context, len(of_photos), NUM_UNIFORMS)
        numbers[:, 0] = 1.0  # never mirrored: the photo was before it was drawn
        return numbers

    def _triplets(self, sketch: Tensor, photo: Tensor, ids: Tensor, context: StepContext) -> Tensor:
        uniform = shared_uniform(context, len(sketch)) if self.negatives == "random" else None
        return in_batch_triplet_losses(sketch, photo, ids, self.margin, self.negatives, uniform)

    def validate(self, fabric: Any, epoch: int) -> Mapping[str, float]:
        if self.score is None:
            return {self.monitor: math.nan}
        with fabric.autocast():
            return self.score(self.model.F)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode inside: running statistics of batch normalisation are used and left as they are."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
