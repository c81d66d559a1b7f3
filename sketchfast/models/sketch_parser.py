"""A sketch in, its parts out: the category, then the mask of that category's parts at the sketch's own size."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sketchfast.data.part_augment import prepare
from sketchfast.models.deepssp import DeepSSP
from sketchfast.models.sketch_classifier import SketchClassifier
from sketchfast.runtime.sketches import AnySketch, ink_of, name_of

#: Gets the sketch, uint8 [H, W], ink dark on white; answers with a category, or (category, score in 0..1).
Classifier = Callable[[np.ndarray], str | tuple[str, float]]


@dataclass(frozen=True)
class Parse:
    """What a sketch is made of.

    category: None only for a blank sketch whose category was not given. score: of the category, 0..1, as the classifier
    or the model's own head has it; None when it was given or the classifier told none.
    mask: uint8 [H, W] at the sketch's own size, 0 background. part_names: label -> name, 0 "background" first, of every
    label the category may have. pixels: label -> pixels in the mask, for the same labels.
    sketch: uint8 [H, W], the sketch as it was understood, ink dark on white; guessed: what had to be guessed for it.
    blank: it shows no ink, so the mask is background. logits: float32 [labels, S, S] at the network's size, when asked
    for; -inf for a label the category has no part for.
    """

    category: str | None
    score: float | None
    mask: np.ndarray
    part_names: dict[int, str]
    pixels: dict[int, int]
    sketch: np.ndarray
    guessed: str | None = None
    blank: bool = False
    logits: np.ndarray | None = None


class SketchParser:
    """A trained DeepSSP with a way to tell the category, for sketches from anywhere.

    model: the network, or the folder of a run or checkpoint. classifier: asked for the category of a sketch when none is
    given; without one the model's own head decides. A SketchClassifier, or the folder of its run, answers with the categories
    that both know (`SketchClassifier.among`: a warning names those that only the parser knows). The sketch is prepared as in
    training: stretched to the network's input, with the homogeneous transformation where the model was trained with it.
    """

    def __init__(
        self,
        model: DeepSSP | str | os.PathLike[str],
        classifier: Classifier | SketchClassifier | str | os.PathLike[str] | None = None,
        device: str = "cpu",
    ) -> None:
        if isinstance(model, str | os.PathLike):
            from sketchfast.models import load_run

            loaded = load_run(Path(model), device)
            if not isinstance(loaded, DeepSSP):
                raise ValueError(
                    f"{model} holds a {type(loaded).__name__}, expected a DeepSSP, as train/deepssp.py trains it"
                )
            model = loaded
        self.model = model.eval()
        if isinstance(classifier, str | os.PathLike):
            classifier = SketchClassifier(classifier, device)
        if isinstance(classifier, SketchClassifier):
            classifier = classifier.among(self.categories)
        self.classifier: Classifier | None = classifier

    @property
    def categories(self) -> list[str]:
        """The categories it can parse."""
        return list(self.model.class_names)

    @property
    def canvas(self) -> int:
        """Side of the canvas on which SVG and QuickDraw strokes are drawn, pixels."""
        return max(256, self.model.preprocess.size)

    @torch.inference_mode()
    def parse(self, image: AnySketch, category: str | None = None, *, logits: bool = False) -> Parse:
        """The parts of one sketch.

        image: uint8 [H, W], [H, W, 3] or [H, W, 4] (RGBA) of any size and polarity, a file: a picture (turned
            upright as its EXIF orientation says), an SVG, or QuickDraw ndjson (`file.ndjson:7`; drawing 0 without a
            number); or what `read_sketch` made of a file. category: where it is known. logits: keep them in the answer.

        A sketch without ink gives a mask of background, and a warning. Raises ValueError for a category the model does
        not know (the known ones are listed) and, as TypeError, FileNotFoundError or ValueError, for a bad image.
        """
        sketch, guessed = ink_of(image, self.canvas)
        if category is not None:
            self.model.branch_of(category)
        if sketch.min() == 255:
            warnings.warn(f"{name_of(image)} shows no ink: its mask is background", stacklevel=2)
            names = {0: "background"} if category is None else self.model.labels_of(category)
            mask = np.zeros(sketch.shape, np.uint8)
            return Parse(category, None, mask, names, _count(mask, names), sketch, guessed, blank=True)
        score = None
        if category is None and self.classifier is not None:
            answer = self.classifier(sketch)
            category, score = answer if isinstance(answer, tuple) else (answer, None)
            self.model.branch_of(category)
        batch = self._prepared(sketch)
        if category is None:
            chances = self.model.category_logits(batch)[0].float().softmax(dim=0)
            best = int(chances.argmax())
            category, score = self.model.class_names[best], float(chances[best])
        names = self.model.labels_of(category)
        found = self.model.parse(batch, [category]).logits[0]
        mask = mask_at(found, names, sketch.shape)
        kept = found.cpu().numpy() if logits else None
        return Parse(category, score, mask, names, _count(mask, names), sketch, guessed, logits=kept)

    def _prepared(self, sketch: np.ndarray) -> Tensor:
        config, preprocess = self.model.config, self.model.preprocess
        image = prepare(
            sketch, preprocess.size, config.homogeneous, config.threshold, config.adaptive_threshold
        )
        values = preprocess.normalize(np.repeat(image[:, :, None], 3, axis=2))
        return torch.from_numpy(values)[None].to(next(self.model.parameters()).device)


def mask_at(logits: Tensor, labels: dict[int, str], shape: tuple[int, ...]) -> np.ndarray:
    """Arg-max at another size: the logits are resized, not the mask. One label at a time, for sketches of many megapixels.

    Pixel centres at i + 0.5, as in the resize of the image (the network's own enlarging has the corners aligned).
    """
    highest: Tensor | None = None
    mask = torch.zeros(tuple(shape), dtype=torch.uint8, device=logits.device)
    for label in labels:
        plane = F.interpolate(
            logits[None, None, label], size=tuple(shape), mode="bilinear", align_corners=False, antialias=True
        )[0, 0]
        if highest is None:
            highest = plane
            continue
        mask[plane > highest] = label
        highest = torch.maximum(highest, plane)
    return mask.cpu().numpy()


def _count(mask: np.ndarray, names: dict[int, str]) -> dict[int, int]:
    counts = np.bincount(mask.reshape(-1), minlength=256)
    return {label: int(counts[label]) for label in names}
