"""Drawings that a decoder has made: their points, strokes, pictures and likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sketchfast.canvas import MARGIN
from sketchfast.nn.sketch_mixture import SketchMixture
from sketchfast.ops.rasterize import rasterize
from sketchfast.runtime.strokes import Strokes


@dataclass(frozen=True)
class SketchSamples:
    """B drawings of at most T steps. The canvas has side 1, its origin in its centre, y down."""

    offsets: Tensor  # dx, dy in canvas units [B, T, 2]; 0 from the end on
    pen: Tensor  # int64 [B, T]: 0 touching, 1 lifted after this point, 2 the end
    lengths: Tensor  # int64 [B], points before the end; T where the drawing was cut
    steps: Tensor  # offsets as the mixture drew them, in units of offset_scale [B, T, 2]
    hidden: Tensor  # h_t, of which y_t = W_y h_t + b_y [B, T, H]
    attention: Tensor | None = None  # alpha_t [B, T, h, w]

    def __len__(self) -> int:
        return len(self.lengths)

    def points(self) -> Tensor:
        """Absolute x, y in canvas units, float32 [B, T, 2]; from the end on the last point again."""
        return self.offsets.float().cumsum(dim=1)

    def lifts(self) -> Tensor:
        """Whether the pen lifts after each point, bool [B, T]; True at the last point."""
        last = self._number() == self.lengths[:, None] - 1
        return (self.pen == 1) | last

    def strokes(self, index: int) -> Strokes:
        """Drawing `index` as strokes in canvas units: a list of float32 [n, 2], empty for a drawing of no points."""
        count = int(self.lengths[index])
        if count == 0:
            return []
        points = self.offsets[index, :count].float().cumsum(dim=0).cpu()
        lifted = (self.pen[index, : count - 1] == 1).nonzero().flatten().cpu() + 1
        return [part.numpy() for part in points.tensor_split(lifted)]

    def images(
        self, size: int, thickness: int = 1, antialias: bool = False, fit: float | None = MARGIN
    ) -> Tensor:
        """phi(s_c): uint8 [B, size, size] on the samples' device, paper 255, ink 0; no points: blank. See `rasterize`.

        fit: margin on each side that a drawing, whatever its extent, is scaled into; None draws the canvas as it is.
        """
        points = self.points()
        if fit is None:
            points = (points + 0.5) * size - 0.5
        return rasterize(points, self.lifts(), size, thickness, antialias, lengths=self.lengths, fit=fit)

    def _number(self) -> Tensor:
        return torch.arange(self.pen.shape[1], device=self.pen.device)


def log_probability(y: Tensor, samples: SketchSamples) -> Tensor:
    """log p of drawings, the sum in eq. 9: over their steps log p(dz | lambda) + log p(pen), [B]; gradients go to y.

    y: outputs of the drawn steps [B, T, 6M + 3], as W_y h + b_y of ``samples.hidden``. The end step counts with its pen and
    not with its offset (D); a drawing that was cut has none. At temperature 1, whatever it was drawn at.
    Raises ValueError when y has another batch or number of steps.
    """
    if y.ndim != 3 or y.shape[:2] != samples.pen.shape:
        raise ValueError(f"y must have the shape {[*samples.pen.shape, '6M + 3']}, got {list(y.shape)}")
    mixture = SketchMixture(y)
    number, lengths = samples._number(), samples.lengths[:, None]
    offsets = mixture.log_density(samples.steps).where(number < lengths, 0.0)
    pens = mixture.pen_log_prob(samples.pen).where(number <= lengths, 0.0)
    return (offsets + pens).sum(dim=1)
