"""How good generated sketches of photos are: Bhunia et al., CVPR 2021, section 4, evaluation metric (b), and figure 4a.

Recognition: a sketch classifier names the photo's category. Retrieval: a retrieval network finds the very photo with the
generated sketch. Frechet distance (Heusel et al., NeurIPS 2017) of the classifier's features, between generated and real
sketches, each fitted by a Gaussian:

    d^2 = |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))

With C_a = A^T A and C_b = B^T B for the centred samples A [N, d] and B [M, d], divided by sqrt(N - 1) and sqrt(M - 1), the
eigenvalues of C_a C_b are the squared singular values of A B^T. So the last trace is their sum: no matrix root, and nothing
goes wrong where there are fewer samples than dimensions.

The features are those of our own classifier, not of a published one, so the distance compares rows of one table only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.linalg
import torch
from numpy.typing import ArrayLike, NDArray

from sketchfast.arrays import real_array
from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.metrics.classification import ClassificationScores, evaluate_classification
from sketchfast.metrics.instance_retrieval import InstanceScores, score_model
from sketchfast.runtime.preprocess import Preprocess

if TYPE_CHECKING:
    from sketchfast.models.sketch_features import ClassifierFeatures

#: What the Frechet distance is called wherever it is printed.
FID = "FID (our classifier's features)"
AT = (1, 10)


def frechet_distance(a: ArrayLike, b: ArrayLike) -> float:
    """d^2 above between the Gaussians of features a [N, d] and b [M, d], in float64; 0 or more.

    Too large on average for few samples, the more so the fewer there are and the larger d is (`few_samples`).
    Raises ValueError naming the argument: not [N, d] with N of at least 2 and d of at least 1, another d, NaN or infinity.
    TypeError for values that are not real.
    """
    centred, means = [], []
    for name, given in (("a", a), ("b", b)):
        values = real_array(name, given)
        if values.ndim != 2 or len(values) < 2 or not values.shape[1]:
            raise ValueError(
                f"{name}: expected features [N, d] of at least 2 sketches; found {list(values.shape)}"
            )
        if not np.isfinite(values).all():
            row = int((~np.isfinite(values).all(axis=1)).argmax())
            raise ValueError(f"{name}: expected finite features; found NaN or infinity in row {row}")
        values = values.astype(np.float64)
        means.append(values.mean(axis=0))
        centred.append((values - means[-1]) / np.sqrt(len(values) - 1))
    if centred[0].shape[1] != centred[1].shape[1]:
        raise ValueError(
            f"b: expected {centred[0].shape[1]} dimensions, those of a; found {centred[1].shape[1]}"
        )
    spread = sum(float(np.square(each).sum()) for each in centred)
    # R of QR has the same R^T R and at most d rows.
    A, B = (scipy.linalg.qr(each, mode="r")[0][: each.shape[1]] for each in centred)
    common = float(scipy.linalg.svdvals(A @ B.T).sum())
    return max(0.0, float(np.square(means[0] - means[1]).sum()) + spread - 2 * common)


def few_samples(generated: int, real: int, dimensions: int) -> str:
    """What a reader should know of a Frechet distance of so few samples; empty where there are enough."""
    if min(generated, real) > 2 * dimensions:
        return ""
    return (
        f"{generated:,} generated and {real:,} real sketches for {dimensions} dimensions: so few that the distance is too "
        "large on average; it compares sets of equal size."
    )


class Described(NamedTuple):
    """Of N sketches. scores: float32 [N, K], logits of the classifier. features: float32 [N, d], what it reads."""

    scores: NDArray[np.float32]
    features: NDArray[np.float32]


@torch.no_grad()
def describe(classifier: ClassifierFeatures, sketches: ImageSet, memory: int = 4 << 30) -> Described:
    """By the classifier in evaluation mode; its mode is kept. memory: bytes that the decoded images may take."""
    device, was_training = next(classifier.parameters()).device, classifier.training
    pixels = Pixels(sketches, classifier.preprocess, memory)
    classifier.eval()
    blocks = []
    for first in range(0, len(sketches), 128):
        taken = pixels.take(np.arange(first, min(first + 128, len(sketches)))).to(device)
        blocks.append(classifier.describe(normalize(taken, classifier.preprocess)))
    features = torch.cat(blocks)
    scores = classifier.classifier(features)
    classifier.train(was_training)
    return Described(scores.float().cpu().numpy(), features.float().cpu().numpy())


class Drawings(ImageSet):
    """Pictures uint8 [N, S, S] of sketches (255 paper, 0 ink) as an image set, such as those of ``SketchSamples.images``.

    A network of S pixels gets them as they are, neither cropped to their ink nor resized (D): they were drawn for it. Networks of
    other sizes get them as their preprocessing says.
    Raises TypeError or ValueError for other pictures, and as ImageSet does.
    """

    def __init__(self, pictures: ArrayLike, names: list[str], labels: ArrayLike, ids: list[str]) -> None:
        given = np.asarray(pictures)
        if given.dtype != np.uint8:
            raise TypeError(f"pictures: expected uint8; found {given.dtype}")
        if given.ndim != 3 or len(given) != len(ids):
            raise ValueError(f"pictures: expected [{len(ids)}, S, S]; found {list(given.shape)}")
        super().__init__(names, np.asarray(labels), ids, "sketch")
        self.pictures = given

    def load(self, i: int) -> np.ndarray:
        return np.repeat(self.pictures[i][:, :, None], 3, axis=2)

    def picture(self, i: int, spec: Preprocess) -> np.ndarray:
        if spec.homogeneous or self.pictures.shape[1:] != (spec.size, spec.size):
            return super().picture(i, spec)
        return self.load(i)


def drawings_of(photos: ImageSet, pictures: ArrayLike, photo_of: ArrayLike | None = None) -> PairedSet:
    """Generated sketches, or real ones drawn with the same pen, with the photos they are of.

    pictures: uint8 [N, S, S]. photo_of: int [N], positions in `photos`; None: one of each photo, in their order.
    Raises ValueError as PairedSet and Drawings do.
    """
    own = np.arange(len(photos)) if photo_of is None else np.asarray(photo_of, np.int64)
    ids = [f"{photos.ids[p]}, drawing {n}" for n, p in enumerate(own.tolist())]
    return PairedSet(Drawings(pictures, photos.names, photos.labels[own], ids), photos, own)


@dataclass(frozen=True)
class GenerationScores:
    """A row of table 1. recognition, retrieval, fid: None where it was not asked for.

    counts: generated sketches, real sketches they are compared with, dimensions of the features.
    """

    recognition: ClassificationScores | None
    retrieval: InstanceScores | None
    fid: float | None
    counts: tuple[int, int, int] = (0, 0, 0)

    @property
    def note(self) -> str:
        """What a reader of the numbers should know; may be empty."""
        return few_samples(*self.counts) if self.fid is not None else ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the keys that there are."""
        found: dict[str, Any] = {}
        if self.recognition is not None:
            found["recognition"] = {str(k): mean.value for k, mean in self.recognition.accuracy.items()}
        if self.retrieval is not None:
            found["retrieval"] = {str(k): mean.value for k, mean in self.retrieval.accuracy.items()}
        if self.fid is not None:
            generated, real, dimensions = self.counts
            found["fid"] = {
                "of": FID,
                "value": self.fid,
                "generated": generated,
                "real": real,
                "dimensions": dimensions,
            }
        return found

    def __str__(self) -> str:
        parts = []
        if self.recognition is not None:
            parts += [f"recognition@{k} {mean}" for k, mean in self.recognition.accuracy.items()]
        if self.retrieval is not None:
            parts += [f"retrieval@{k} {mean}" for k, mean in self.retrieval.accuracy.items()]
        if self.fid is not None:
            parts.append(f"{FID} {self.fid:.3g}")
        return "  ".join(parts)


def score_drawings(
    drawings: PairedSet,
    retrieval: Any = None,
    classifier: ClassifierFeatures | None = None,
    real: ArrayLike | None = None,
    at: Iterable[int] = AT,
    memory: int = 4 << 30,
) -> GenerationScores:
    """Recognition, retrieval and Frechet distance of generated sketches.

    drawings: as of `drawings_of`. retrieval: network that `score_model` takes, trained on real pairs. classifier: names the
        sketches; its class_names include the photos' categories. real: features [M, d] of real sketches by the same classifier
        (`describe`); None: no distance. at: the k of the accuracies; recognition leaves out those that its classes do not exceed.
    Raises ValueError for `real` without a classifier, and for categories that the classifier does not know (they are named).
    """
    if real is not None and classifier is None:
        raise ValueError("real: expected None without a classifier; found features")
    cuts = tuple(at)
    found = None if retrieval is None else score_model(retrieval, drawings, None, memory, cuts).scores
    if classifier is None:
        return GenerationScores(None, found, None)
    known = {name: k for k, name in enumerate(classifier.class_names)}
    if strangers := [name for name in drawings.names if name not in known]:
        raise ValueError(
            f"classifier: expected one that knows the photos' categories; it does not know {', '.join(strangers[:10])}"
        )
    described = describe(classifier, drawings.sketches, memory)
    labels = np.array([known[name] for name in drawings.names], np.int64)[drawings.sketches.labels]
    named = evaluate_classification(
        described.scores, labels, classifier.class_names, at=[k for k in cuts if k < len(known)]
    )
    if real is None:
        return GenerationScores(named, found, None)
    features = real_array("real", real)
    counts = (len(drawings), len(features), described.features.shape[1])
    return GenerationScores(named, found, frechet_distance(described.features, features), counts)
