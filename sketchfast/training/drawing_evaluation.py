"""Test photos drawn by a generator, and what networks say of the drawings; all pictures of sketches by one pen.

Bhunia et al., CVPR 2021, section 4: evaluation metric (b), and figures 3 and 4a. Sketches that people drew are simplified and
drawn as those that a generator draws (D), so that no network can tell them apart by their pens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.data.sequence_pictures import SequencePictures
from sketchfast.data.stroke_categories import StrokeCategory
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.metrics.certainty import CertaintyLevels, certainty_levels
from sketchfast.metrics.generation import describe, drawings_of, score_drawings
from sketchfast.metrics.instance_retrieval import InstanceScores, score_model
from sketchfast.models.pix2pix import Pix2Pix
from sketchfast.models.sketch_samples import SketchSamples
from sketchfast.training.drawing_sections import ShownDrawings
from sketchfast.training.more_photos_results import (
    Components,
    Drawn,
    Judged,
    MorePhotosResults,
    Retrieved,
    Timed,
)
from sketchfast.training.seeds import stream_seed

TEMPERATURES = (0.2, 0.5, 0.8, 1.0)
_SHOWN = 8
_MANY = 1000  # points that every real sketch can be shown with
_BATCH = 64
# Which random numbers of a seed.
_TEST, _STEPS = 40, 41


class Pen(NamedTuple):
    """How people's sketches and drawings become pictures: simplified to max_points points, lines of `thickness` pixels.

    epsilon: tolerance by which all are simplified first, as `SketchSequences` has it.
    """

    max_points: int
    thickness: int
    epsilon: float | None = None


def by_one_pen(sketches: ImageSet, pen: Pen) -> ImageSet:
    """The sketches as `pen` draws them; as they are where their strokes are not known.

    None is left out: where one has more strokes than max_points points can show, all may have as many points as it needs (D).
    """
    if not sketches.has_strokes:
        return sketches
    sequences = SketchSequences(sketches, pen.max_points, pen.epsilon, leave_out_long=True)
    if sequences.left_out:
        needed = (sum(min(len(stroke), 2) for stroke in sketches.strokes(i)) for i in range(len(sketches)))
        sequences = SketchSequences(sketches, max(needed), pen.epsilon)
    return SequencePictures(sequences, sketches.names, pen.thickness)


def pairs_by_one_pen(pairs: PairedSet, pen: Pen) -> PairedSet:
    return PairedSet(by_one_pen(pairs.sketches, pen), pairs.photos, pairs.photo_of)


@torch.no_grad()
def draw(generator: Any, photos: Tensor, numbers: torch.Generator, temperature: float) -> SketchSamples:
    """One drawing of each photo, normalised pixels [B, 3, S, S]. numbers: on the CPU; temperature 0: greedy."""
    if temperature == 0:
        return generator.sample(photos, greedy=True)
    return generator.sample(photos, generator=numbers, temperature=temperature)


def pictures_of_photos(
    generator: Any,
    photos: ImageSet,
    *,
    seed: int,
    thickness: int,
    temperature: float = 1.0,
    memory: int = 4 << 30,
) -> np.ndarray:
    """Pictures uint8 [N, S, S] of one drawing of each photo, at the generator's size. memory: bytes of decoded photos."""
    preprocess, device = generator.preprocess, next(generator.parameters()).device
    pixels, found = Pixels(photos, preprocess, memory), []
    numbers = torch.Generator().manual_seed(stream_seed(seed, _TEST))
    for first in range(0, len(photos), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(photos)))
        batch = normalize(pixels.take(rows).to(device), preprocess)
        if isinstance(generator, Pix2Pix):
            pictures = generator.images(batch)
        else:
            pictures = draw(generator, batch, numbers, temperature).images(preprocess.size, thickness)
        found.append(pictures.cpu().numpy())
    return np.concatenate(found)


@torch.no_grad()
def judge(
    discriminator: Any, retrieval: Any, drawings: PairedSet, scores: InstanceScores, memory: int = 4 << 30
) -> CertaintyLevels:
    """Figure 4a: how certain D_C is of each drawing, and at which place F finds its photo with it.

    drawings: as of `drawings_of`. retrieval: F, whose preprocessing D_C's input has; scores: F's on the drawings.
    """
    device, preprocess, certainty = next(discriminator.parameters()).device, retrieval.preprocess, []
    sketches, photos = (Pixels(images, preprocess, memory) for images in (drawings.sketches, drawings.photos))
    for first in range(0, len(drawings), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(drawings)))
        taken = photos.take(drawings.photo_of[rows]), sketches.take(rows)
        p, s = (normalize(pixels.to(device), preprocess) for pixels in taken)
        certainty.append(discriminator.certainty(p, s).float().cpu().numpy())
    return certainty_levels(np.concatenate(certainty), scores.ranks, scores.gallery[scores.labels])


def shown_of(generator: Any, photos: ImageSet, *, seed: int, thickness: int, title: str) -> ShownDrawings:
    """Drawings for the report: some photos step by step, greedily, and at four temperatures."""
    preprocess, device = generator.preprocess, next(generator.parameters()).device
    rows = np.unique(np.linspace(0, len(photos) - 1, min(_SHOWN, len(photos))).astype(np.int64))
    few = photos.subset(rows)
    batch = normalize(Pixels(few, preprocess).take(np.arange(len(few))).to(device), preprocess)
    numbers = torch.Generator().manual_seed(stream_seed(seed, _STEPS))
    kept = {"seed": seed, "thickness": thickness}
    return ShownDrawings(
        title,
        rows,
        draw(generator, batch, numbers, TEMPERATURES[0]),
        {t: pictures_of_photos(generator, few, temperature=t, **kept) for t in TEMPERATURES},
    )


class Measures:
    """What networks of a run find on the test data, one after the other; made into results at the end.

    test: sketches and photos, drawn by `pen`. shown_seed: whose drawings the report shows.
    """

    def __init__(
        self, test: PairedSet, pen: Pen, at: Sequence[int], temperature: float, memory: int, shown_seed: int
    ) -> None:
        self.test, self.pen, self.at, self.temperature = test, pen, tuple(at), temperature
        self.memory, self.shown_seed = memory, shown_seed
        self.found: list[Retrieved] = []
        self.drawn: list[Drawn] = []
        self.judged: list[Judged] = []
        self.timed: list[Timed] = []
        self.shown: list[ShownDrawings] = []
        self._real: np.ndarray | None = None

    def retrieval(
        self, seed: int, method: str, F: Any, share: float = 1.0, generator: str | None = None
    ) -> None:
        """generator: whose drawings F learnt from, as `drawings` names it."""
        search = score_model(F, self.test, None, self.memory, self.at)
        self.found.append(Retrieved(seed, method, search, share, generator))
        told = f" with {share:.0%} of the labelled photos" if share < 1 else ""
        print(f"seed {seed}, {method}{told}: {search.scores.summary()}")

    def drawings(self, seed: int, name: str, generator: Any, F: Any, classifier: Any) -> PairedSet:
        """One drawing of each test photo, scored: by F, trained on labelled pairs alone, and by a classifier or None."""
        own: dict[str, Any] = {"seed": seed, "thickness": self.pen.thickness}
        photos = self.test.photos
        kept = own | {"temperature": self.temperature, "memory": self.memory}
        drawings = drawings_of(photos, pictures_of_photos(generator, photos, **kept))
        if classifier is not None and self._real is None:
            self._real = describe(classifier, self.test.sketches, self.memory).features
        scores = score_drawings(drawings, F, classifier, self._real, memory=self.memory)
        self.drawn.append(Drawn(seed, name, drawings, scores))
        print(f"seed {seed}, drawings by {name}: {scores}")
        if seed == self.shown_seed and not isinstance(generator, Pix2Pix):
            self.shown.append(shown_of(generator, photos, title=name, **own))
        return drawings

    def certainty(self, seed: int, method: str, F: Any, discriminator: Any, drawings: PairedSet) -> None:
        """Figure 4a, with the F and D_C of a method."""
        ranks = score_model(F, drawings, None, self.memory, (1,)).scores
        levels = judge(discriminator, F, drawings, ranks, self.memory)
        self.judged.append(Judged(seed, method, levels, drawings))

    def results(
        self, data: str, seeds: Sequence[int], main: str, baseline: str, components: Mapping[str, Components]
    ) -> MorePhotosResults:
        """data: the data set's summary. The rest as `MorePhotosResults` has them."""
        lists = self.found, self.drawn, self.judged, self.timed
        own: dict[str, Any] = {"components": components, "shown": self.shown}
        return MorePhotosResults(data, self.test, seeds, main, baseline, *lists, **own)


def shown_decoder(model: Any, strokes: StrokeCategory, size: int, pen: Pen, seed: int) -> ShownDrawings:
    """Drawings of a decoder without photos for the report, beside real sketches."""
    count = min(_SHOWN, len(strokes.held_out))
    real = SketchSequences(strokes.held_out.subset(np.arange(count)), _MANY, pen.epsilon, progress=False)
    drawn = {}
    for temperature in TEMPERATURES:
        numbers = torch.Generator().manual_seed(stream_seed(seed, _STEPS))
        samples = model.sample(_SHOWN, numbers, temperature)
        drawn[temperature] = samples.images(size, pen.thickness).cpu().numpy()
    pictures = real.images(size, pen.thickness)
    return ShownDrawings(f"decoder alone, {strokes.name}", temperatures=drawn, real=pictures)
