"""Scores of generated sketches: the Frechet distance against matrix roots and closed forms, the rest against their parts."""

import json

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from sketchfast.data import synthetic
from sketchfast.data.image_set import ImageSet
from sketchfast.data.joined_set import JoinedSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.data.sequence_pictures import SequencePictures
from sketchfast.data.stroke_sets import SketchSequences
from sketchfast.metrics.generation import (
    Drawings,
    describe,
    drawings_of,
    few_samples,
    frechet_distance,
    score_drawings,
)
from sketchfast.metrics.instance_retrieval import score_model
from sketchfast.models.sketch_features import ClassifierFeatures, ClassifierFeaturesConfig
from sketchfast.runtime.preprocess import Preprocess

SIZE = 16


def by_matrix_root(a: np.ndarray, b: np.ndarray) -> float:
    """As Heusel et al. write it."""
    means = [np.mean(each, axis=0) for each in (a, b)]
    C_a, C_b = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (a, b))
    root = scipy.linalg.sqrtm(C_a @ C_b)
    return float(np.sum((means[0] - means[1]) ** 2) + np.trace(C_a + C_b - 2 * root).real)


def test_as_with_a_matrix_root(seed: int) -> None:
    random = np.random.default_rng(seed)
    for _ in range(20):
        d = int(random.integers(1, 12))
        a, b = (
            random.normal(size=(int(random.integers(3 * d + 2, 80)), d)) @ random.normal(size=(d, d))
            + random.normal(size=d)
            for _ in range(2)
        )
        np.testing.assert_allclose(frechet_distance(a, b), by_matrix_root(a, b), rtol=1e-6, atol=1e-8)


def test_closed_forms(seed: int) -> None:
    random = np.random.default_rng(seed)
    a = random.normal(size=(50, 6))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(a, a[::-1]) == pytest.approx(0, abs=1e-10)
    shift = random.normal(size=6)
    assert frechet_distance(a, a + shift) == pytest.approx(shift @ shift)
    # C_b = s^2 C_a around the same mean: (1 - s)^2 Tr C_a, also with fewer samples than dimensions.
    for few in (a, a[:4]):
        centred = few - few.mean(axis=0)
        trace = np.square(centred).sum() / (len(few) - 1)
        assert frechet_distance(centred, 3 * centred) == pytest.approx(4 * trace)
    # One dimension: (m_a - m_b)^2 + (s_a - s_b)^2.
    x, y = random.normal(2, 3, (40, 1)), random.normal(-1, 0.5, (60, 1))
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(x, y) == pytest.approx(expected)
    # A rotation of both changes nothing; neither does the order of the arguments.
    rotation = np.linalg.qr(random.normal(size=(6, 6)))[0]
    b = random.normal(1, 2, (30, 6))
    assert frechet_distance(a @ rotation, b @ rotation) == pytest.approx(frechet_distance(b, a))


def test_samples_that_vary_in_no_common_direction() -> None:
    # Orthogonal supports: nothing in common, so the distance is the sum of both variances and the means' distance.
    a = np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0]])
    b = np.array([[0, 0, 2.0, 0], [0, 0, -2, 0]])
    assert frechet_distance(a, b) == pytest.approx(2 + 8)
    assert frechet_distance(torch.tensor(a, dtype=torch.float16), b.astype(int).tolist()) == pytest.approx(10)


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), ValueError, r"a: expected features \[N, d\] of at least 2"),
        (np.zeros((4, 3)), np.zeros(4), ValueError, r"b: expected features .* found \[4\]"),
        (np.zeros((4, 3)), np.zeros((4, 2)), ValueError, "b: expected 3 dimensions, those of a; found 2"),
        (np.zeros((4, 3)), np.array([[0.0], [np.nan]]), ValueError, "b: expected finite .* in row 1"),
        (np.zeros((4, 3), complex), np.zeros((4, 3)), TypeError, "a: expected real numbers"),
    ],
)
def test_features_that_are_refused(a, b, error, message) -> None:
    with pytest.raises(error, match=message):
        frechet_distance(a, b)


def test_few_samples_are_said() -> None:
    assert few_samples(129, 500, 64) == ""
    assert "128 generated and 500 real sketches for 64 dimensions" in few_samples(128, 500, 64)


class Photos(ImageSet):
    def __init__(self) -> None:
        super().__init__(["chair", "shoe"], [0, 0, 0, 1, 1], [f"p{i}" for i in range(5)], "photo")

    def load(self, i: int) -> np.ndarray:
        return np.full((20, 20, 3), 40 * i, np.uint8)


class MeanColour(nn.Module):
    """Features of an image: its mean, and how much the left half differs from it."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess(size=SIZE, ink_margin=0.1)
        self.nothing = nn.Parameter(torch.zeros(1))

    def encode_photo(self, images: torch.Tensor) -> torch.Tensor:
        return torch.stack([images.mean((1, 2, 3)), images[..., : SIZE // 2].mean((1, 2, 3))], dim=1)

    encode_sketch = encode_photo


@pytest.fixture(scope="module")
def classifier() -> ClassifierFeatures:
    torch.manual_seed(3)
    config = ClassifierFeaturesConfig("resnet10", "none", "small", width=0.125, num_classes=3, size=SIZE)
    return ClassifierFeatures(config, ["bag", "shoe", "chair"])


def pictures(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 255], (count, SIZE, SIZE), p=[0.1, 0.9]).astype(np.uint8)


def test_scores_are_those_of_their_parts(classifier, seed: int) -> None:
    photos, drawn, real = Photos(), pictures(5, seed), pictures(9, seed + 1)
    drawings = drawings_of(photos, drawn)
    assert drawings.photo_of.tolist() == [0, 1, 2, 3, 4] and drawings.sketches.ids[2] == "p2, drawing 2"
    real_features = describe(classifier, Drawings(real, ["x"], [0] * 9, list("abcdefghi"))).features
    scores = score_drawings(drawings, MeanColour(), classifier, real_features, at=(1, 2, 3))
    # A network of the drawings' own size gets them as they are.
    three = np.repeat(drawn[..., None], 3, axis=3)
    inputs = normalize(torch.from_numpy(three), classifier.preprocess)
    with torch.no_grad():
        logits, features = classifier.eval()(inputs).numpy(), classifier.describe(inputs).numpy()
    own = np.array([2, 2, 2, 1, 1])  # chair and shoe among the classifier's classes
    right = logits.argmax(axis=1) == own
    assert scores.recognition.at == (1, 2)  # of three classes the best three are no news
    assert scores.recognition.accuracy[1].value == pytest.approx(right.mean())
    assert scores.fid == pytest.approx(frechet_distance(features, real_features), rel=1e-3)
    assert scores.counts == (5, 9, features.shape[1]) and "too large on average" in scores.note
    same = score_model(MeanColour(), drawings, None, at=(1, 2, 3)).scores
    assert scores.retrieval.ranks.tolist() == same.ranks.tolist()
    kept = json.loads(json.dumps(scores.to_dict()))
    assert kept["retrieval"]["1"] == same.accuracy[1].value and kept["fid"]["value"] == scores.fid
    assert kept["fid"]["of"] == "FID (our classifier's features)" and "FID (our" in str(scores)


def test_drawings_of_other_sizes_are_preprocessed() -> None:
    one = np.full((1, 32, 32), 255, np.uint8)
    one[0, 10:14, 10:20] = 0
    drawings, spec = Drawings(one, ["x"], [0], ["a"]), Preprocess(size=SIZE, ink_margin=0.1)
    assert np.array_equal(drawings.resized(SIZE, spec)[0], spec.resize_image(drawings.load(0), sketch=True))
    assert np.array_equal(drawings.resized(32, spec)[0], drawings.load(0))


def test_pictures_are_the_same_whether_they_fit_into_memory_or_not(seed: int) -> None:
    """Drawings at a network's own size as they are, people's sketches drawn at it: neither is ever resized."""
    spec = Preprocess(size=32, ink_margin=1 / 16)
    random = np.random.default_rng(seed)
    drawings = Drawings(random.integers(0, 256, (5, 32, 32), np.uint8), ["x"], [0] * 5, list("abcde"))
    chairs = synthetic.semi_supervised(
        train_photos=5, sketches_per_photo=1, unlabelled_photos=0, test_photos=2
    )
    sketches = SketchSequences(chairs.train.sketches, 60, leave_out_long=True, progress=False)
    drawn = SequencePictures(sketches, ["chair"])
    assert np.array_equal(drawn.resized(32, spec)[..., 0], sketches.images(32))
    for images in (drawings, drawn, drawings.subset([3, 1]), drawn.subset([2, 0]), JoinedSet([drawn, drawn])):
        rows = np.arange(len(images))
        kept, anew = (Pixels(images, spec, memory).take(rows) for memory in (1 << 30, 0))
        assert torch.equal(kept, anew)
    assert np.array_equal(Pixels(drawings, spec, 0).take(np.arange(5))[..., 0], drawings.pictures)


def test_several_drawings_of_a_photo_and_parts_that_are_not_asked_for(classifier) -> None:
    drawings = drawings_of(Photos(), pictures(3, 0), [4, 0, 4])
    assert drawings.sketches.labels.tolist() == [1, 0, 1]
    only_found = score_drawings(drawings, MeanColour())
    assert only_found.recognition is None and only_found.fid is None and only_found.note == ""
    assert set(only_found.to_dict()) == {"retrieval"}
    only_named = score_drawings(drawings, None, classifier)
    assert set(only_named.to_dict()) == {"recognition"}


def test_bad_input(classifier) -> None:
    photos = Photos()
    with pytest.raises(ValueError, match=r"pictures: expected \[5, S, S\]; found \[4, 16, 16\]"):
        drawings_of(photos, pictures(4, 0))
    with pytest.raises(TypeError, match="pictures: expected uint8; found float64"):
        drawings_of(photos, np.zeros((5, 8, 8)))
    drawings = drawings_of(photos, pictures(5, 0))
    with pytest.raises(ValueError, match="real: expected None without a classifier"):
        score_drawings(drawings, MeanColour(), None, np.zeros((3, 4)))
    classifier = ClassifierFeatures(classifier.config, ["bag", "boat", "chair"])
    with pytest.raises(ValueError, match=r"classifier: .* does not know shoe"):
        score_drawings(drawings, None, classifier)
