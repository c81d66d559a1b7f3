"""How a generator takes part in joint training (Bhunia et al., CVPR 2021, section 3.4): it draws, and it learns from a reward.

Drawings made of strokes pass through a rasterization that has no gradient, so the reward reaches W_y and b_y by REINFORCE (eq.
9). Pix2Pix draws pictures, through which the reward is differentiated (section 4.2, iv).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sketchfast.data.pixels import normalize
from sketchfast.models.l2s import L2S, l2s_loss
from sketchfast.models.photo_to_sketch import vae_loss
from sketchfast.models.pix2pix import Pix2Pix, to_picture
from sketchfast.models.sketch_samples import SketchSamples, log_probability
from sketchfast.nn.reinforce import MovingAverageBaseline, reinforce_loss
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.generator_tasks import without_padding
from sketchfast.training.task import StepContext, shared_normal

Labelled = tuple[Tensor, Tensor, Tensor | None]
"""Photos and sketches as F sees them [B, 3, S, S], and the sketches as stroke-5 [B, T + 1, 5]."""
Rewarded = Callable[[Tensor], Tensor]
"""Sketches of the step's photos, as F sees them [P, 3, S, S] -> R_G [P], eq. 8."""


class Stopwatch:
    """Seconds of what ran inside `running`; on CUDA those between events on the stream, without waiting for the device."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def running(self, device: torch.device) -> Iterator[None]:
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            yield
            end.record()
            self._events.append((start, end))
            if len(self._events) > 1000:
                self._count(self._events[:-100])  # long done, so that nobody waits
                self._events = self._events[-100:]
            return
        start_time = time.perf_counter()
        yield
        self._seconds += time.perf_counter() - start_time

    @property
    def seconds(self) -> float:
        self._count(self._events)
        self._events = []
        return self._seconds

    def _count(self, events: list[tuple[torch.cuda.Event, torch.cuda.Event]]) -> None:
        for start, end in events:
            end.synchronize()
            self._seconds += start.elapsed_time(end) / 1000


class StrokeGenerator:
    """A PhotoToSketch or an L2S.

    seen: how F's images were normalised; G's own normalisation may be another. thickness: of lines in pixels. kl: omega_kl.
    """

    def __init__(self, G: Any, seen: Preprocess, thickness: int, kl: float) -> None:
        self.G, self.seen, self.thickness, self.kl = G, seen, thickness, kl
        self.rasterizing = Stopwatch()

    def draw(self, photos: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
        """Photos as F sees them -> drawings uint8 [B, S, S, 3]."""
        samples = self.G.sample(renormalized(photos, self.seen, self.G.preprocess), generator, temperature)
        return self.pictures(samples)

    def pictures(self, samples: SketchSamples) -> Tensor:
        """phi: uint8 [B, S, S, 3]."""
        with self.rasterizing.running(samples.offsets.device):
            drawn = samples.images(self.seen.size, self.thickness, fit=self.seen.ink_margin)
        return drawn[..., None].expand(-1, -1, -1, 3)

    def step(
        self,
        context: StepContext,
        networks: Any,
        labelled: Labelled,
        photos: Tensor,
        rewarded: Rewarded,
        baseline: MovingAverageBaseline | None,
        lambda_G: float,
        temperature: float,
    ) -> dict[str, Tensor]:
        """Eq. 9: the supervised loss on labelled pairs, and REINFORCE on W_y, b_y for drawings of all photos."""
        p_L, _, stroke5 = labelled
        assert stroke5 is not None
        p_L, p = (renormalized(images, self.seen, self.G.preprocess) for images in (p_L, photos))
        noise = shared_normal(context, len(stroke5), self.G.config.latent)
        stroke5 = without_padding(stroke5)
        output = context.model("generator", p_L, stroke5, noise)
        if isinstance(self.G, L2S):
            losses = l2s_loss(output, p_L, stroke5)
        else:
            losses = vae_loss(output, stroke5, self.kl)  # eq. 3
        training = self.G.training
        self.G.eval()
        samples = self.G.sample(p, context.generator, temperature)
        self.G.train(training)
        with torch.no_grad():
            R = rewarded(normalize(self.pictures(samples), self.seen))
        # What was drawn is taken as given, h_t with it: the gradient reaches W_y and b_y alone.
        y = self.G.decoder.output(samples.hidden)
        policy = reinforce_loss(log_probability(y, samples), R, baseline)
        return {
            "loss": losses["loss"] + lambda_G * policy,
            "L_vae": losses["loss"],
            "reward": R.mean(),
            "points": samples.lengths.float().mean(),
        }


class PictureGenerator:
    """A Pix2Pix, whose own discriminator goes on learning beside D_C. (D) No baseline: the gradient is the exact one."""

    def __init__(self, G: Pix2Pix, seen: Preprocess, l1_weight: float = 100.0) -> None:
        if G.config.size != seen.size:
            raise ValueError(f"G must be for F's size={seen.size}, got {G.config.size}")
        self.G, self.seen, self.l1_weight = G, seen, l1_weight
        self.rasterizing = Stopwatch()

    def draw(self, photos: Tensor, generator: torch.Generator, temperature: float) -> Tensor:
        """Photos as F sees them -> drawings uint8 [B, S, S, 3]."""
        drawn = to_picture(self.G(renormalized(photos, self.seen, self.G.preprocess))[:, 0])
        return drawn[..., None].expand(-1, -1, -1, 3)

    def step(
        self,
        context: StepContext,
        networks: Any,
        labelled: Labelled,
        photos: Tensor,
        rewarded: Rewarded,
        baseline: MovingAverageBaseline | None,
        lambda_G: float,
        temperature: float,
    ) -> dict[str, Tensor]:
        """Pix2Pix's losses on labelled pairs, and the reward of all photos through F and D_C."""
        p_L, s_L, _ = labelled
        p_L, s_L, p = (renormalized(images, self.seen, self.G.preprocess) for images in (p_L, s_L, photos))
        drawn = context.model("generator", torch.cat([p_L, p]))
        of_labelled, of_all = drawn.split([len(p_L), len(p)])
        owner = torch.arange(len(p_L), device=p_L.device)
        terms = self.G.terms(p_L, of_labelled, s_L[:, :1], owner, "mean")
        L_sup = terms.discriminator + terms.adversarial + self.l1_weight * terms.difference
        others = [q for part in (networks.F, networks.D_C) for q in part.parameters() if q.requires_grad]
        # The reward is differentiated through these networks, which are not to learn from it.
        for q in others:
            q.requires_grad_(False)
        R = rewarded(renormalized(of_all.expand(-1, 3, -1, -1), self.G.preprocess, self.seen))
        for q in others:
            q.requires_grad_(True)
        return {"loss": L_sup - lambda_G * R.mean(), "L_pix2pix": L_sup, "reward": R.detach().mean()}


def renormalized(images: Tensor, given: Preprocess, wanted: Preprocess) -> Tensor:
    """Normalised pixels [B, 3, S, S] of one preprocessing as another's; the sizes are the same."""
    if (given.mean, given.std) == (wanted.mean, wanted.std):
        return images
    (mean, std), (other_mean, other_std) = (
        (images.new_tensor(p.mean)[:, None, None], images.new_tensor(p.std)[:, None, None])
        for p in (given, wanted)
    )
    return (images * std + mean - other_mean) / other_std
