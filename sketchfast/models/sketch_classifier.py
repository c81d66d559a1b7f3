"""A sketch in, the names of what it may show out, and the landmarks that the network read it at."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sketchfast.data.cross_set import matched_names
from sketchfast.models.landmark import LandmarkNet
from sketchfast.models.landmark_fusion import LandmarkEnsemble
from sketchfast.runtime.sketches import AnySketch, ink_of, name_of


@dataclass(frozen=True)
class Classification:
    """What a sketch may show.

    names, scores: as many as were asked for, best first; scores 0..1, of sum 1 over all names. Both are empty for a blank
    sketch. sketch: uint8 [H, W], the sketch as it was understood, ink dark on white; guessed: what had to be guessed for it.
    landmarks, moved: float [n, 2], (x, y) in the sketch's pixels, centres at integers: contour points, and these after the
    offsets (equal where the network has none). Empty for a network without landmarks. n: how many. With several numbers of
    landmarks they are those of the largest weight in the fusion. blank: the sketch shows no ink.
    """

    names: list[str]
    scores: list[float]
    sketch: np.ndarray
    landmarks: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    moved: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    guessed: str | None = None
    blank: bool = False

    @property
    def n(self) -> int:
        return len(self.landmarks)


class SketchClassifier:
    """A trained landmark network, or an ensemble of them, for sketches from anywhere.

    model: LandmarkNet, LandmarkEnsemble, or the folder of a run or checkpoint of one. Sketches are prepared as in training;
    the scores are the mean over the sketch and its mirror image, as the paper tests.
    Raises ValueError for another kind of model, one whose classes have no names, and weights that are not finite.
    """

    def __init__(
        self, model: LandmarkNet | LandmarkEnsemble | str | os.PathLike[str], device: str = "cpu"
    ) -> None:
        if isinstance(model, str | os.PathLike):
            from sketchfast.models import load_run

            where, model = f"{model} holds", load_run(Path(model), device)
        else:
            where, model = "model is", model.to(device)
        if not isinstance(model, LandmarkNet | LandmarkEnsemble):
            raise ValueError(
                f"{where} a {type(model).__name__}, expected a LandmarkNet or LandmarkEnsemble, "
                "as train/landmark.py trains them"
            )
        if not model.class_names:
            raise ValueError(
                f"{where} a {type(model).__name__} without class names: there is nothing to answer"
            )
        broken = [name for name, value in model.state_dict().items() if not value.isfinite().all()]
        if broken:
            raise ValueError(
                f"{where.rpartition(' ')[0]}: the weights are not finite ({len(broken)} tensors, e.g. {broken[0]}); "
                "its training diverged"
            )
        self.model = model.eval()
        self._names = list(model.class_names)
        self._answers = np.eye(len(self._names))  # [classes of the model, names that are answered]

    @property
    def names(self) -> list[str]:
        """What it may answer."""
        return list(self._names)

    @property
    def canvas(self) -> int:
        """Side of the canvas on which SVG and QuickDraw strokes are drawn, pixels."""
        return max(256, self.model.preprocess.size)

    def among(self, categories: Sequence[str]) -> SketchClassifier:
        """The same network, which answers with one of these categories; its scores for them are made to have the sum 1.

        Names are compared without case, `_`, `-` and blanks, and with other words for the same ("motorbike", "motorcycle");
        the answers are in the words of `categories`. One that the network does not know has the score 0, and a warning says
        so. Raises ValueError when it knows none of them, listing what it knows, and when there are none.
        """
        if isinstance(categories, str) or not all(isinstance(name, str) for name in categories):
            raise TypeError(f"categories must be a sequence of names, got {categories!r}")
        wanted = list(dict.fromkeys(categories))
        if not wanted:
            raise ValueError("categories must name at least one, got none")
        own = self.model.class_names
        matched = matched_names(own, wanted)
        answers = np.zeros((len(own), len(wanted)))
        for name, answer in matched.items():
            answers[own.index(name), wanted.index(answer)] = 1
        unknown = [name for name in wanted if name not in matched.values()]
        if len(unknown) == len(wanted):
            raise ValueError(f"the classifier knows none of {', '.join(wanted)}; it knows {', '.join(own)}")
        if unknown:
            warnings.warn(
                f"the classifier does not know {', '.join(unknown)}: no sketch will be taken for one",
                stacklevel=2,
            )
        other = copy.copy(self)
        other._names, other._answers = wanted, answers
        return other

    def classify(self, image: AnySketch, k: int = 5, among: Sequence[str] | None = None) -> Classification:
        """The k best names for one sketch, fewer where it knows fewer.

        image: uint8 [H, W], [H, W, 3] or [H, W, 4] (RGBA) of any size and polarity, a file: a picture (turned upright as
            its EXIF orientation says), an SVG, or QuickDraw ndjson (`file.ndjson:7`; drawing 0 without a number); or what
            `read_sketch` made of a file. among: as the method of this name.

        A sketch without ink has no name, and a warning. Raises ValueError for k < 1 and, as TypeError, FileNotFoundError or
        ValueError, for a bad image.
        """
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"k must be a whole number of at least 1, got {k!r}")
        if among is not None:
            return self.among(among).classify(image, k)
        sketch, guessed = ink_of(image, self.canvas)
        if sketch.min() == 255:
            warnings.warn(f"{name_of(image)} shows no ink: it has no name", stacklevel=2)
            return Classification([], [], sketch, guessed=guessed, blank=True)
        scores = self._scores(sketch)
        best = np.argsort(-scores, kind="stable")[:k]
        names = [self._names[i] for i in best]
        return Classification(names, scores[best].tolist(), sketch, *self._landmarks(sketch), guessed)

    def __call__(self, sketch: np.ndarray) -> tuple[str, float]:
        """The best name and its score: what `SketchParser` asks for. sketch: uint8 [H, W], ink dark on white."""
        scores = self._scores(sketch)
        best = int(scores.argmax())
        return self._names[best], float(scores[best])

    @torch.inference_mode()
    def _scores(self, sketch: np.ndarray) -> np.ndarray:
        """float64 [names], of sum 1."""
        found = self.model.classify(self._batch(sketch))[0].double().cpu().numpy() @ self._answers
        total = found.sum()
        if total == 0:  # the network is certain that it is something else: nothing tells the known ones apart
            known = self._answers.max(axis=0)
            return known / known.sum()
        return found / total

    @torch.inference_mode()
    def _landmarks(self, sketch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = shown_landmarks(self.model)
        found = None if n is None else landmarks_of(self.model, self._batch(sketch), n)
        if found is None or not found.valid[0]:
            return np.empty((0, 2)), np.empty((0, 2))
        page = _page(sketch)
        points, moved = (
            self.model.preprocess.to_image_pixels(places[0], page) for places in (found.points, found.moved)
        )
        return points, moved

    def _batch(self, sketch: np.ndarray) -> Tensor:
        values = self.model.preprocess(_page(sketch), sketch=True)
        return torch.from_numpy(values)[None].to(next(self.model.parameters()))


class Landmarks(NamedTuple):
    """points, moved: float64 [B, n, 2], (x, y) in pixels of the network's input. valid: bool [B], False for a blank image."""

    points: np.ndarray
    moved: np.ndarray
    valid: np.ndarray


def shown_landmarks(model: LandmarkNet | LandmarkEnsemble) -> int | None:
    """The n of the largest weight in the fusion, of equal ones the largest n; None for a network without landmarks."""
    if not model.landmarks:
        return None
    weights = model.config.fusion or (1.0,) * len(model.landmarks)
    return max(zip(weights, model.landmarks))[1]


@torch.no_grad()
def landmarks_of(model: LandmarkNet | LandmarkEnsemble, images: Tensor, n: int) -> Landmarks:
    """Contour points of normalised images [B, 3, S, S], and where the offsets move them.

    A landmark is read at its cell's own place plus the offset; here the offset is added to the contour point itself, so that
    the rounding to cells does not look like an offset. ValueError for an n that the model does not have.
    """
    net, number = member(model, n)
    points, valid = net.points_of(images)
    output = net(images, points)
    found = points[:, :n].double()
    cell = torch.tensor([side / count for side, count in zip(images.shape[:1:-1], reversed(output.map_size))])
    moved = found + output.offsets[number].double() * cell.to(found)
    return Landmarks(found.cpu().numpy(), moved.cpu().numpy(), valid.cpu().numpy())


def member(model: LandmarkNet | LandmarkEnsemble, n: int | None) -> tuple[LandmarkNet, int]:
    """The network that serves n landmarks, and the place of n in the lists of its output; (model, 0) for n = None."""
    if n is None and isinstance(model, LandmarkNet):
        return model, 0
    if n not in model.landmarks:
        raise ValueError(f"n={n} is not among the numbers of landmarks of this model, {model.landmarks}")
    number = model.landmarks.index(n)
    if isinstance(model, LandmarkNet):
        return model, number
    net: Any = model.members[number]
    return net, 0


def _page(sketch: np.ndarray) -> np.ndarray:
    if (
        not isinstance(sketch, np.ndarray)
        or sketch.dtype != np.uint8
        or sketch.ndim != 2
        or 0 in sketch.shape
    ):
        found = (
            f"{sketch.dtype} {list(sketch.shape)}" if isinstance(sketch, np.ndarray) else repr(type(sketch))
        )
        raise TypeError(f"sketch must be uint8 [H, W] with H, W >= 1, got {found}")
    return np.repeat(sketch[:, :, None], 3, axis=2)
