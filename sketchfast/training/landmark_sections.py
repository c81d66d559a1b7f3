"""Report sections for recognition: results beside their baselines, classes, landmarks, response maps, and what is confused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sketchfast.training.report import NumbersSection, PictureRowsSection, Section, TableSection

if TYPE_CHECKING:
    from sketchfast.data.image_set import ImageSet
    from sketchfast.metrics.classification import ClassificationScores
    from sketchfast.models.landmark import LandmarkNet
    from sketchfast.models.landmark_fusion import LandmarkEnsemble

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
    raise NotImplementedError


def numbers_section(methods: Methods, main: str, title: str) -> NumbersSection:
    """Accuracy of `main`, its gain over the best other method (paired), mAP, and the hardest and easiest class."""
    raise NotImplementedError


def methods_table(methods: Methods, main: str, title: str, note: str = "") -> TableSection:
    """A row for each method: accuracy at each k, mAP, and the paired difference to `main`."""
    raise NotImplementedError


def per_class_table(scores: ClassificationScores, title: str) -> TableSection:
    """A row for each class, hardest first: sketches, accuracy, average precision, what it is taken for most."""
    raise NotImplementedError


def landmark_rows(
    model: LandmarkNet | LandmarkEnsemble,
    images: ImageSet,
    indices: Sequence[int] | np.ndarray,
    counts: Sequence[int] | None = None,
    title: str = "Landmarks",
) -> PictureRowsSection:
    """Figure 5: a row for each sketch, a column for each n: contour points, and where the offsets move them.

    counts: which n of the model are drawn; all by default. ValueError for an n that the model does not have.
    """
    raise NotImplementedError


def heat_rows(
    model: LandmarkNet | LandmarkEnsemble,
    images: ImageSet,
    indices: Sequence[int] | np.ndarray,
    title: str = "Responses of the category-aware filters",
) -> PictureRowsSection:
    """Figure 6: psi softmaxed over the categories at each place, enlarged over the sketch, for the true and the predicted class.

    ValueError where the model has no category-aware branch.
    """
    raise NotImplementedError


def confusion_rows(
    scores: ClassificationScores, images: ImageSet, count: int = 12, title: str = "What is confused"
) -> PictureRowsSection:
    """The pairs of classes that are confused most: sketches of the one that were mistaken, and of the other as it is drawn."""
    raise NotImplementedError
