"""Report sections of a photo-to-sketch generator and of the retrieval that learns from it: Bhunia et al., CVPR 2021, section 4."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from sketchfast.models.stroke_decoder import SketchSamples


class Components(NamedTuple):
    """Table 3: instance weighting, teacher regularisation, 2-D attention, joint training."""

    weighting: bool = True
    teacher: bool = True
    attention: bool = True
    joint: bool = True


@dataclass
class ShownDrawings:
    """Pictures of one generator.

    rows: which of the test photos `steps` and `temperatures` are of, positions in the results' ``test.photos``; empty for a
        decoder without photos.
    steps: one drawing of each of them, with attention (figure 3); None: no such section.
    temperatures: temperature -> uint8 [n, S, S], a drawing of each of `rows`; without photos, n drawings.
    real: uint8 [m, S, S], real sketches with the same pen, for a decoder without photos.
    """

    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: SketchSamples | None = None
    temperatures: Mapping[float, np.ndarray] = field(default_factory=dict)
    real: np.ndarray | None = None
