"""Report sections for recognition: results beside their baselines, classes, landmarks, response maps, and what is confused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchfast.metrics.classification import accuracy_difference
from sketchfast.training.landmark_pictures import confusion_rows, heat_rows, landmark_rows
from sketchfast.training.report import Interval, NumbersSection, Section, TableSection

if TYPE_CHECKING:
    from sketchfast.data.image_set import ImageSet
    from sketchfast.metrics.classification import ClassificationScores
    from sketchfast.models.landmark import LandmarkNet
    from sketchfast.models.landmark_fusion import LandmarkEnsemble

__all__ = [
    "confusion_rows",
    "heat_rows",
    "landmark_rows",
    "methods_table",
    "numbers_section",
    "per_class_table",
    "recognition_sections",
]

SHOWN_RIGHT, SHOWN_WRONG = 8, 8  # sketches whose landmarks and responses are drawn
Methods = Mapping[str, "ClassificationScores"]


def recognition_sections(
    methods: Methods,
    main: str,
    model: LandmarkNet | LandmarkEnsemble,
    images: ImageSet,
    title: str,
    note: str = "",
) -> list[Section]:
    """Everything a report says about one set of sketches: every section below, in order.

    methods: name of a method -> its scores on these sketches; the order is that of the table. main: the method that the
        report is about, the others are compared with it. model: the network of `main`, to draw its landmarks and responses.
    images: the sketches that were scored, in the order of the scores. title: how the set is called, e.g. "test".
    Raises ValueError when `main` is no method, or a method scores another number of sketches.
    """
    _check(methods, main)
    for name, scores in methods.items():
        if len(scores.right) != len(images):
            raise ValueError(
                f"methods: {name!r} scores {len(scores.right)} sketches, but images are {len(images)}"
            )
    scores = methods[main]
    sections: list[Section] = [numbers_section(methods, main, title)]
    sections += [methods_table(methods, main, title, note), per_class_table(scores, title)]
    shown = [
        *_one_of_each_class(images, scores.right)[:SHOWN_RIGHT],
        *_one_of_each_class(images, ~scores.right)[:SHOWN_WRONG],
    ]
    if shown and model.landmarks:
        sections.append(landmark_rows(model, images, shown, title=f"{title}: landmarks"))
    if shown and _class_aware(model):
        sections.append(
            heat_rows(model, images, shown, title=f"{title}: responses of the category-aware filters")
        )
    return [*sections, confusion_rows(scores, images, title=f"{title}: what is confused")]


def numbers_section(methods: Methods, main: str, title: str) -> NumbersSection:
    """Accuracy of `main`, its gain over the best other method (paired), mAP, and the hardest and easiest class."""
    _check(methods, main)
    scores = methods[main]
    first = scores.accuracy[1]
    beside = f"[{first.low:.3f}, {first.high:.3f}], {first.count:,} sketches, {main}"
    numbers = [("accuracy", f"{first.value:.1%}", beside)]
    others = [name for name in methods if name != main]
    if others:
        best = max(others, key=lambda name: methods[name].accuracy[1].value)
        gain = _difference(scores, methods[best])
        numbers.append(
            ("best other method", f"{methods[best].accuracy[1].value:.1%}", f"{best}; {main}: {gain}")
        )
    numbers += [
        (f"in the best {k}", f"{mean.value:.1%}", f"[{mean.low:.3f}, {mean.high:.3f}]")
        for k, mean in scores.accuracy.items()
        if k != 1
    ]
    numbers.append(("mAP", f"{scores.mean_ap:.3f}", "of each class against the rest, mean over classes"))
    hardest = scores.class_accuracy
    if len(hardest) > 1:
        worst, easiest = (pick(hardest, key=lambda name: hardest[name].value) for pick in (min, max))
        beside = f"{hardest[worst].value:.0%} right; easiest {easiest}, {hardest[easiest].value:.0%}"
        numbers.append(("hardest class", worst, beside))
    return NumbersSection(f"{title}: in short", numbers)


def methods_table(methods: Methods, main: str, title: str, note: str = "") -> TableSection:
    """A row for each method: accuracy at each k, mAP, and the paired difference to `main`."""
    _check(methods, main)
    at = list(methods[main].accuracy)
    columns = [
        "method",
        *(f"accuracy in the best {k}" if k > 1 else "accuracy" for k in at),
        "mAP",
        f"difference to {main}",
    ]
    cells: list[list[Any]] = []
    for name, scores in methods.items():
        difference = None if name == main else _difference(scores, methods[main])
        means = [_interval(scores.accuracy[k]) if k in scores.accuracy else None for k in at]
        cells.append([name, *means, scores.mean_ap, difference])
    said = "95 % bootstrap intervals over sketches; the difference is paired, in accuracy: both name the same sketches."
    place = [list(methods).index(main)]
    return TableSection(f"{title}: results", columns, cells, f"{said} {note}".strip(), place, 1.0)


def per_class_table(scores: ClassificationScores, title: str) -> TableSection:
    """A row for each class, hardest first: sketches, accuracy, average precision, what it is taken for most."""
    mistakes = np.array(scores.confusion)
    np.fill_diagonal(mistakes, 0)
    cells: list[list[Any]] = []
    for name, mean in sorted(scores.class_accuracy.items(), key=lambda item: item[1].value):
        k = scores.names.index(name)
        most = int(mistakes[k].argmax())
        taken = f"{scores.names[most]} ({mistakes[k, most]})" if mistakes[k, most] else "–"
        cells.append([name, mean.count, _interval(mean), float(scores.class_ap[name]), taken])
    columns = ["class", "sketches", "accuracy", "AP", "taken most for (how often)"]
    return TableSection(f"{title}: each class, hardest first", columns, cells, scale=1.0)


def _check(methods: Methods, main: str) -> None:
    if main not in methods:
        raise ValueError(f"main must be one of the methods {list(methods)}, got {main!r}")


def _class_aware(model: LandmarkNet | LandmarkEnsemble) -> bool:
    configs = getattr(model.config, "members", [model.config])
    return all(config.class_aware for config in configs)


def _one_of_each_class(images: ImageSet, kept: np.ndarray) -> list[int]:
    """The first kept sketch of each class, classes spread over the whole list."""
    labels = np.where(kept, images.labels, -1)
    present = [k for k in range(len(images.names)) if (labels == k).any()]
    step = max(1, len(present) // max(SHOWN_RIGHT, SHOWN_WRONG))
    return [int(np.flatnonzero(labels == k)[0]) for k in present[::step]]


def _difference(one: ClassificationScores, other: ClassificationScores) -> str:
    value, low, high = accuracy_difference(one.right, other.right)
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"


def _interval(mean: Any) -> Interval:
    return Interval(mean.value, mean.low, mean.high)
