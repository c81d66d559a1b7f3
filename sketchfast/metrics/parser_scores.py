"""Score a part parser on a set of sketches, with the answers that need no learning beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sketchfast.data.part_augment import prepare
from sketchfast.data.part_set import PartSet
from sketchfast.metrics.bootstrap import Mean
from sketchfast.metrics.parsing import (
    ParsingScores,
    background_baseline,
    component_accuracy,
    evaluate_parsing,
    filled_outline_baseline,
    largest_parts,
)
from sketchfast.models.sketch_parser import mask_at

GIVEN, GUESSED = "given", "guessed"
WRONG = "a part of another category"


@dataclass
class ParsingRow:
    """One line of the table of results. category: given to the parser, "guessed" by its own head, or "-" for baselines."""

    data: str
    method: str
    category: str
    scores: ParsingScores
    predictions: list[np.ndarray]
    strokes: dict[str, Mean] | None = None  # stroke accuracy by category, where the set has strokes
    category_accuracy: float | None = None  # of the guesses

    def pixels_by_category(self) -> dict[str, float]:
        """Pixel accuracy, mean over the sketches of a category."""
        scores, categories = self.scores, np.array(self.scores.categories)
        return {
            name: float(np.nanmean(scores.pixel_accuracy[categories == name]))
            for name in scores.by_category()
        }

    def to_dict(self) -> dict[str, Any]:
        row: dict[str, Any] = {"data": self.data, "method": self.method, "category": self.category}
        row |= self.scores.to_dict()
        row["pixel_accuracy_by_category"] = self.pixels_by_category()
        if self.category_accuracy is not None:
            row["category_accuracy"] = self.category_accuracy
        if self.strokes is not None:
            row["stroke_accuracy"] = {
                name: {"value": mean.value, "interval": [mean.low, mean.high], "count": mean.count}
                for name, mean in self.strokes.items()
            }
        return row


@torch.no_grad()
def predict_parts(
    model: Any, items: PartSet, categories: Sequence[str] | None = None, batch_size: int = 16
) -> tuple[list[np.ndarray], list[str]]:
    """Masks uint8 [H, W] at each sketch's own size, and the categories they were parsed as.

    model: a `DeepSSP`; set to eval mode for the time. categories: one for each sketch; None: the category head guesses.
    """
    was_training = model.training
    model.eval()
    config, preprocess = model.config, model.preprocess
    device = next(model.parameters()).device
    masks: list[np.ndarray] = []
    names: list[str] = []
    for start in range(0, len(items), batch_size):
        rows = range(start, min(start + batch_size, len(items)))
        sketches = [items.load(i)[0] for i in rows]
        how = (preprocess.size, config.homogeneous, config.threshold, config.adaptive_threshold)
        grey = [prepare(sketch, *how) for sketch in sketches]
        colour = np.repeat(np.stack(grey)[..., None], 3, axis=-1)
        images = torch.from_numpy(preprocess.normalize(colour)).to(device)
        if categories is None:
            found = model.category_logits(images).argmax(dim=1).tolist()
            chosen = [model.class_names[k] for k in found]
        else:
            chosen = [categories[i] for i in rows]
        names += chosen
        parsed = model.parse(images, chosen).logits
        # At the sketch's own size, exactly as `SketchParser` answers.
        masks += [
            mask_at(logits, model.labels_of(name), sketch.shape)
            for logits, name, sketch in zip(parsed, chosen, sketches)
        ]
    model.train(was_training)
    return masks, names


def score_parser(
    model: Any, items: PartSet, data: str = "test", method: str = "DeepSSP", guess: bool = True
) -> list[ParsingRow]:
    """The parser with the category given and, with `guess` and where it has a category head, with its own guess.

    Where the guess is wrong, a part counts as the one of the same name, if the true category has it, else as wrong.
    """
    truth = [items.category_of(i) for i in range(len(items))]
    masks, _ = predict_parts(model, items, truth)
    rows = [ParsingRow(data, method, GIVEN, _scores(masks, items), masks, _strokes(masks, items))]
    if guess and model.category_head is not None:
        masks, names = predict_parts(model, items)
        right = float(np.mean([a == b for a, b in zip(names, truth)]))
        parts = model.config.parts
        masks = [
            mask if name == own else _translated(mask, parts[name], items.parts[own])
            for mask, name, own in zip(masks, names, truth)
        ]
        row = ParsingRow(data, method, GUESSED, _scores(masks, items), masks, _strokes(masks, items), right)
        rows.append(row)
    return rows


def score_baselines(items: PartSet, largest: Mapping[str, int], data: str = "test") -> list[ParsingRow]:
    """Background everywhere, where it is scored at all, and the largest part everywhere inside the filled outline.

    largest: category -> the id of that part (`largest_part_of`); for animals it is the torso.
    """
    images = [items.load(i)[0] for i in range(len(items))]
    parts = [largest[items.category_of(i)] for i in range(len(items))]
    answers = {"largest part inside the filled outline": filled_outline_baseline(images, parts)}
    if any((items.load(i)[1] == 0).any() for i in range(len(items))):  # SPG ignores what is not ink
        answers = {"all background": background_baseline(images), **answers}
    return [
        ParsingRow(data, name, "-", _scores(masks, items), masks, _strokes(masks, items))
        for name, masks in answers.items()
    ]


def largest_part_of(items: PartSet) -> dict[str, int]:
    """category -> the part with the most pixels in its masks; give training items."""
    truths = (items.load(i)[1] for i in range(len(items)))
    return largest_parts(truths, [items.category_of(i) for i in range(len(items))])


def format_parsing_rows(rows: Sequence[ParsingRow]) -> str:
    """A plain table: data, method, category, mean IoU with its interval, pixel accuracy."""
    lines = []
    for row in rows:
        line = f"{row.data:<8} {row.method:<40} category {row.category:<8} mean IoU {row.scores.overall}"
        line += f"  pixels {row.scores.pixels.value:.3f}"
        if row.strokes:
            line += f"  strokes {np.mean([mean.value for mean in row.strokes.values()]):.3f}"
        if row.category_accuracy is not None:
            line += f"  (category right: {row.category_accuracy:.3f})"
        lines.append(line)
    return "\n".join(lines)


def _scores(masks: Sequence[np.ndarray], items: PartSet) -> ParsingScores:
    truths = (items.load(i)[1] for i in range(len(items)))
    # One more label that is never true, for parts that the category does not have.
    parts = {name: (*own, WRONG) for name, own in items.parts.items()}
    categories = [items.category_of(i) for i in range(len(items))]
    names = [items.name_of(i) for i in range(len(items))]
    return evaluate_parsing(masks, truths, categories, parts, names=names)


def _translated(mask: np.ndarray, theirs: Sequence[str], ours: Sequence[str]) -> np.ndarray:
    table = np.full(256, len(ours) + 1, np.uint8)
    table[0] = 0
    for k, name in enumerate(theirs, 1):
        if name in ours:
            table[k] = list(ours).index(name) + 1
    return table[mask]


def _strokes(masks: Sequence[np.ndarray], items: PartSet) -> dict[str, Mean] | None:
    stroke_map = getattr(items, "stroke_map", None)
    if stroke_map is None:
        return None
    values = np.array(
        [component_accuracy(mask, items.load(i)[1], stroke_map(i) + 1) for i, mask in enumerate(masks)]
    )
    result = {}
    for k, name in enumerate(items.categories):
        own = values[(items.categories_index == k) & ~np.isnan(values)]
        if len(own):
            result[name] = Mean.over(own)
    return result
