"""SketchClassifier: names and scores for any image, the landmarks in its own pixels, and answers among some categories."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sketchfast.data.part_tables import PARTS
from sketchfast.models import (
    DeepSSP,
    DeepSSPConfig,
    LandmarkEnsemble,
    LandmarkNet,
    LandmarkNetConfig,
    SketchParser,
)
from sketchfast.models.sketch_classifier import SketchClassifier, landmarks_of
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.runtime.sketches import SketchImage
from sketchfast.training.checkpoint import save_model

NAMES = ["cat", "Motorcycle", "bird", "t-shirt"]
Model = LandmarkNet | LandmarkEnsemble


def network(seed: int, landmarks: tuple[int, ...], **settings) -> LandmarkNet:
    torch.manual_seed(seed)
    config = LandmarkNetConfig(
        "resnet10", "none", stem="small", width=0.125, landmarks=landmarks, num_classes=4, **settings
    )
    net = LandmarkNet(config, NAMES, Preprocess(size=64, ink_margin=0.1)).eval()
    for layer in net.offset_layers:
        nn.init.normal_(layer.bias, std=0.5)  # offsets that differ from 0
    return net


@pytest.fixture(scope="module", params=["one trunk", "ensemble"])
def model(request: pytest.FixtureRequest) -> Model:
    if request.param == "one trunk":
        return network(1, (5, 9), fusion=(0.4, 0.6))
    return LandmarkEnsemble([network(2, (9,)), network(3, (5,))], [0.7, 0.3])


def drawing(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    page = np.full((height, width), 255, np.uint8)
    for _ in range(3):
        y, x = int(rng.integers(1, height - 4)), int(rng.integers(1, width - 4))
        page[y : y + 2, 1 : x + 1] = 0
        page[1 : y + 1, x : x + 2] = 0
    return page


def test_names_come_with_the_models_own_scores(model: Model, seed: int) -> None:
    page = drawing(seed, 90, 130)
    classifier = SketchClassifier(model)
    found = classifier.classify(page, k=9)
    batch = torch.from_numpy(model.preprocess(np.repeat(page[:, :, None], 3, axis=2), sketch=True))[None]
    with torch.no_grad():
        expected = model.classify(batch)[0].numpy()
    assert found.names == [NAMES[i] for i in np.argsort(-expected)]
    np.testing.assert_allclose(found.scores, np.sort(expected)[::-1], rtol=1e-5)
    assert sum(found.scores) == pytest.approx(1) and not found.blank and found.guessed is None
    assert classifier.classify(page, k=2).names == found.names[:2]
    name, score = classifier(found.sketch)
    assert (name, score) == (found.names[0], pytest.approx(found.scores[0]))


def test_landmarks_lie_on_the_ink_of_the_sketch_itself(model: Model, seed: int) -> None:
    page = drawing(seed, 90, 130)
    found = SketchClassifier(model).classify(page)
    assert found.n == 9 and found.landmarks.shape == found.moved.shape == (9, 2)
    rows, columns = np.nonzero(page < 208)
    ink = np.stack([columns, rows], axis=1)
    distance = np.linalg.norm(found.landmarks[:, None] - ink, axis=2).min(axis=1)
    assert distance.max() < 4  # a pixel of the input is about 2.5 of the sketch's
    # One cell is 64 / map pixels of the input; the bias moves each landmark by the same in every sketch.
    again = SketchClassifier(model).classify(np.pad(page, 40, constant_values=255))
    np.testing.assert_allclose(again.landmarks - 40, found.landmarks, atol=1e-6)
    np.testing.assert_allclose(again.moved - 40, found.moved, atol=1e-6)
    assert np.abs(found.moved - found.landmarks).max() > 0.5


def test_offsets_are_shown_in_pixels(seed: int) -> None:
    net = network(seed, (3,))
    with torch.no_grad():
        net.offset_layers[0].weight.zero_()
        net.offset_layers[0].bias.copy_(torch.tensor([1.0, 0, 0, -2, 0.5, 0.25]))
    batch = torch.from_numpy(net.preprocess(np.repeat(drawing(seed, 64, 64)[:, :, None], 3, 2), sketch=True))[
        None
    ]
    found = landmarks_of(net, batch, 3)
    cell = 64 / net(batch).map_size[0]
    np.testing.assert_allclose(
        (found.moved - found.points)[0] / cell, [[1, 0], [0, -2], [0.5, 0.25]], atol=1e-6
    )
    with pytest.raises(ValueError, match=r"n=4 is not among the numbers of landmarks of this model, \(3,\)"):
        landmarks_of(net, batch, 4)


def test_a_network_without_landmarks_has_none(seed: int) -> None:
    found = SketchClassifier(network(seed, (), pooling="global")).classify(drawing(seed, 64, 64))
    assert found.n == 0 and found.moved.shape == (0, 2) and len(found.names) == 4


def test_answers_are_restricted_and_in_the_callers_words(model: Model, seed: int) -> None:
    page = drawing(seed, 64, 64)
    classifier = SketchClassifier(model)
    full = dict(zip(*(lambda f: (f.names, f.scores))(classifier.classify(page))))
    with pytest.warns(UserWarning, match="does not know bus: no sketch will be taken for one") as said:
        some = classifier.among(["bus", "T Shirt", "motorbike", "Cat"])
        found = some.classify(page)
        some(found.sketch)
    assert len(said) == 1
    total = full["cat"] + full["t-shirt"] + full["Motorcycle"]
    scores = dict(zip(found.names, found.scores))
    assert scores["bus"] == 0 and found.names[-1] == "bus" and sum(found.scores) == pytest.approx(1)
    assert scores["T Shirt"] == pytest.approx(full["t-shirt"] / total, rel=1e-5)
    assert scores["motorbike"] == pytest.approx(full["Motorcycle"] / total, rel=1e-5)
    assert classifier.names == NAMES and classifier.classify(page, among=["cat"]).scores == [1.0]
    with pytest.raises(ValueError, match="knows none of bus, house; it knows cat, Motorcycle, bird, t-shirt"):
        classifier.among(["bus", "house"])
    for bad, error in (("cat", TypeError), ([1], TypeError), ([], ValueError)):
        with pytest.raises(error, match="categories must"):
            classifier.among(bad)


def test_files_arrays_and_polarities_agree(model: Model, seed: int, tmp_path: Path) -> None:
    page = drawing(seed, 60, 80)
    Image.fromarray(page).save(tmp_path / "page.png")
    (tmp_path / "page.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0 L50 80"/></svg>'
    )
    classifier = SketchClassifier(model)
    expected = classifier.classify(page)
    rgb = np.repeat(page[:, :, None], 3, axis=2)
    for image in (rgb, tmp_path / "page.png", str(tmp_path / "page.png"), SketchImage(rgb), 255 - page):
        found = classifier.classify(image)
        assert found.names == expected.names and found.scores == expected.scores
        assert np.array_equal(found.landmarks, expected.landmarks)
    assert classifier.classify(255 - page).guessed is not None
    assert classifier.classify(tmp_path / "page.svg").sketch.shape == (256, 256)
    save_model(tmp_path / "run" / "model", model)
    again = SketchClassifier(tmp_path / "run").classify(page)
    assert again.names == expected.names and again.scores == expected.scores


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_sketch_has_no_name_and_a_warning(model: Model, level: int) -> None:
    with pytest.warns(UserWarning, match="image shows no ink: it has no name"):
        found = SketchClassifier(model).classify(np.full((7, 9), level, np.uint8))
    assert found.blank and found.names == [] and found.scores == [] and found.n == 0


def test_bad_input_is_named(model: Model, tmp_path: Path) -> None:
    classifier = SketchClassifier(model)
    page = np.zeros((4, 4), np.uint8)
    for k in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="k must be a whole number of at least 1"):
            classifier.classify(page, k)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="uint8, got float64"):
        classifier.classify(np.zeros((4, 4)))
    with pytest.raises(TypeError, match=r"sketch must be uint8 \[H, W\].*\[4, 4, 3\]"):
        classifier(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        classifier.classify(tmp_path / "nowhere.png")
    nameless = network(1, (3,))
    nameless.class_names = []
    with pytest.raises(ValueError, match="without class names"):
        SketchClassifier(nameless)
    with pytest.raises(ValueError, match="model is a Linear, expected a LandmarkNet"):
        SketchClassifier(nn.Linear(1, 1))  # type: ignore[arg-type]
    diverged = network(1, (3,))
    nn.init.constant_(diverged.classifiers[0].bias, torch.nan)
    save_model(tmp_path / "model", diverged)
    with pytest.raises(
        ValueError, match=r"model: the weights are not finite \(1 tensors, e.g. classifiers.0.bias\)"
    ):
        SketchClassifier(tmp_path / "model")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_precisions_answer_nearly_the_same(dtype: torch.dtype, seed: int) -> None:
    page = drawing(seed, 50, 70)
    expected = SketchClassifier(network(1, (3,))).classify(page, 4)
    found = SketchClassifier(network(1, (3,)).to(dtype)).classify(page, 4)
    assert dict(zip(found.names, found.scores)) == pytest.approx(
        dict(zip(expected.names, expected.scores)), abs=0.05
    )
    np.testing.assert_allclose(found.landmarks, expected.landmarks)


def test_the_parser_asks_it(model: Model, seed: int, tmp_path: Path) -> None:
    torch.manual_seed(4)
    categories = {name: len(PARTS[name]) + 1 for name in ("bird", "motorbike", "bus")}
    net = DeepSSP(
        DeepSSPConfig("resnet10", "none", width=0.125, dilations=(1,), categories=categories),
        Preprocess(size=49),
    )
    save_model(tmp_path / "run" / "model", model)
    page = drawing(seed, 64, 64)
    with pytest.warns(UserWarning, match="does not know bus"):
        parser = SketchParser(net, SketchClassifier(model))
    with pytest.warns(UserWarning, match="does not know bus"):
        from_run = SketchParser(net, classifier=tmp_path / "run")
    found = parser.parse(page)
    expected = SketchClassifier(model).classify(page, among=["bird", "motorbike"])
    assert (found.category, found.score) == (expected.names[0], pytest.approx(expected.scores[0]))
    assert from_run.parse(page).category == found.category
    few = {"car": len(PARTS["car"]) + 1}
    other = DeepSSP(DeepSSPConfig("resnet10", "none", width=0.125, dilations=(1,), categories=few))
    with pytest.raises(ValueError, match="knows none of car"):
        SketchParser(other, SketchClassifier(model))
