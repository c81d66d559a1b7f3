"""The part of the report about recognition: right numbers, pictures of the right sketches, hostile names."""

import html

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.data.image_set import ImageSet
from sketchfast.metrics.classification import (
    ClassificationScores,
    accuracy_difference,
    evaluate_classification,
)
from sketchfast.models import LandmarkEnsemble, LandmarkNet, LandmarkNetConfig
from sketchfast.runtime.landmark_picture import LANDMARK, POINT
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import write_report
from sketchfast.training.landmark_pictures import heat_colour, heat_picture
from sketchfast.training.landmark_sections import (
    confusion_rows,
    heat_rows,
    landmark_rows,
    methods_table,
    per_class_table,
    recognition_sections,
)

HOSTILE = "<img src=x onerror=alert(1)>\"'"
NAMES = ["cat", HOSTILE, "bus"]


class Bars(ImageSet):
    """A bar at the height of its number."""

    def __init__(self, count: int = 12):
        super().__init__(NAMES, np.arange(count) % 3, [f"{HOSTILE} {i}" for i in range(count)], "sketch")

    def load(self, i: int) -> np.ndarray:
        image = np.full((60, 80, 3), 255, np.uint8)
        image[5 + 4 * i : 8 + 4 * i, 10:70] = 0
        return image


def scores_of(wrong: dict[int, int], count: int = 12) -> ClassificationScores:
    """Every sketch is right but these: sketch -> the class it is taken for."""
    labels = np.arange(count) % 3
    values = np.eye(3)[[wrong.get(i, labels[i]) for i in range(count)]] * 0.8 + 0.1 + 0.01 * np.arange(3)
    return evaluate_classification(values, labels, NAMES, at=(1, 2))


METHODS = {
    "n = 3": scores_of({0: 1, 1: 2, 4: 2}),
    "fused": scores_of({0: 1, 3: 1}),
    "pixels": scores_of(dict.fromkeys(range(12), 0)),
}


def network(landmarks: tuple[int, ...], **settings) -> LandmarkNet:
    torch.manual_seed(3)
    config = LandmarkNetConfig(
        "resnet10", "none", stem="small", width=0.125, landmarks=landmarks, num_classes=3, **settings
    )
    net = LandmarkNet(config, NAMES, Preprocess(size=48, ink_margin=0.1)).eval()
    for layer in net.offset_layers:
        nn.init.normal_(layer.bias, std=0.5)
    return net


def spots(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(picture.astype(int) - colour).max(axis=2) < 30).sum())


def test_tables_and_numbers_are_those_of_the_scores() -> None:
    sections = recognition_sections(METHODS, "fused", network((3, 5)), Bars(), "test", "Chance: 0.3333.")
    numbers, table, classes, landmarks, heat, confused = sections
    assert [what for what, *_ in numbers.numbers] == [
        "accuracy", "best other method", "in the best 2", "mAP", "hardest class",
    ]  # fmt: skip
    assert numbers.numbers[0][1] == "83.3%" and numbers.numbers[-1][1] == "cat"
    value, low, high = accuracy_difference(METHODS["fused"].right, METHODS["n = 3"].right)
    assert value > 0 and f"fused: {value:+.3f} [{low:+.3f}, {high:+.3f}]" in numbers.numbers[1][2]
    assert table.highlight == [1] and table.note.endswith("Chance: 0.3333.")
    assert table.columns == ["method", "accuracy", "accuracy in the best 2", "mAP", "difference to fused"]
    assert [row[0] for row in table.rows] == list(METHODS) and table.rows[1][-1] is None
    assert table.rows[0][-1].startswith(f"{-value:+.3f} [") and table.rows[0][1].value == 0.75
    assert [row[:2] for row in classes.rows] == [["cat", 4], [HOSTILE, 4], ["bus", 4]]
    assert classes.rows[0][-1] == f"{HOSTILE} (2)" and classes.rows[1][-1] == "–"
    assert landmarks.columns == ["n = 3", "n = 5"]
    # One right sketch of each class, then one that was mistaken.
    assert [row.caption.split("\n")[2] for row in landmarks.rows] == [f"{HOSTILE} {i}" for i in (6, 1, 2, 0)]
    assert len(heat.rows) == 4 and len(confused.rows) == 1


def test_landmarks_of_each_n_are_drawn() -> None:
    for model in (network((3, 9)), LandmarkEnsemble([network((9,)), network((3,))])):
        section = landmark_rows(model, Bars(), [2, 5])
        assert section.columns == ["n = 3", "n = 9"] and len(section.rows) == 2
        few, many = section.rows[0].images
        assert 0 < spots(few, POINT) < spots(many, POINT) and spots(many, LANDMARK)
        only = landmark_rows(model, Bars(), [2], counts=[9]).rows[0].images
        assert len(only) == 1 and np.array_equal(only[0], many)
        with pytest.raises(ValueError, match="n=4 is not among the numbers of landmarks"):
            landmark_rows(model, Bars(), [2], counts=[4])
    many_counts = landmark_rows(network(tuple(range(1, 10))), Bars(), [0])
    assert len(many_counts.columns) == 5
    assert section.side > many_counts.side  # more columns leave less room for each
    with pytest.raises(ValueError, match="no landmarks"):
        landmark_rows(network((), pooling="global"), Bars(), [2])


def test_heat_is_the_softmax_over_the_categories() -> None:
    model, images = network((3,)), Bars()
    with torch.no_grad():
        model.category_filters.weight.mul_(30)
    section = heat_rows(model, images, [4])
    batch = torch.from_numpy(model.preprocess(images.load(4), sketch=True))[None]
    with torch.no_grad():
        heat = model(batch).responses[0].double().softmax(dim=0)
        order = model.classify(batch)[0].argsort(descending=True).tolist()
    other = next(k for k in order if k != 1)
    row = section.rows[0]
    assert [text for text, _ in row.legend] == [
        f"{NAMES[k]} {float(heat[k].max()):.2f} at most" for k in (1, other)
    ]
    top = max(float(heat[k].max()) for k in (1, other))
    grey = np.ascontiguousarray(model.preprocess.resize_image(images.load(4), sketch=True)[:, :, 0])
    assert np.array_equal(row.images[1], heat_picture(grey, heat[1].numpy() / top))
    with pytest.raises(ValueError, match="no category-aware branch"):
        heat_rows(network((3,), class_aware=False), images, [4])


def test_heat_goes_from_white_to_dark_under_the_ink() -> None:
    levels = [heat_colour(value) for value in np.linspace(0, 1, 20)]
    light = np.array(levels) @ [0.299, 0.587, 0.114]
    assert levels[0] == (255, 255, 255) and (np.diff(light) < 0).all() and light[-1] > 50
    ink = np.where(np.eye(24), 0, 255).astype(np.uint8)
    assert heat_picture(ink, np.ones((2, 2))).min() < 30


def test_confusions_show_the_mistaken_and_what_they_were_taken_for() -> None:
    images = Bars()
    rows = confusion_rows(METHODS["n = 3"], images).rows
    assert [row.caption.split("\n")[:2] for row in rows] == [
        [HOSTILE, "taken for bus"], ["cat", f"taken for {HOSTILE}"],
    ]  # fmt: skip
    assert rows[0].caption.endswith("2 of 4 (50%)")
    expected = [images.load(1), images.load(4), None, images.load(2), images.load(5)]
    for picture, image in zip(rows[0].images, expected):
        assert picture.min() == 255 if image is None else np.array_equal(picture, image)
    assert confusion_rows(scores_of({}), images).note == "No sketch was mistaken."


def test_every_kind_of_model_has_its_sections_and_names_stay_text(tmp_path) -> None:
    plain = network((), pooling="global", class_aware=False)
    titles = [section.title for section in recognition_sections(METHODS, "fused", plain, Bars(), "test")]
    assert not any("landmarks" in title or "responses" in title for title in titles)
    sections = recognition_sections(METHODS, "fused", LandmarkEnsemble([network((3,))]), Bars(), HOSTILE)
    text = write_report(tmp_path, "Landmarks", [], sections).read_text()
    assert "<img src=x" not in text and html.escape("<img src=x onerror") in text


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"main must be one of the methods \['n = 3'.*got 'best'"):
        methods_table(METHODS, "best", "test")
    with pytest.raises(ValueError, match="'n = 3' scores 12 sketches, but images are 9"):
        recognition_sections(METHODS, "fused", network((3,)), Bars(9), "test")
    alone = evaluate_classification([[0.2, 0.8]], [1], ["a", "b"], at=[1])
    assert [row[0] for row in per_class_table(alone, "test").rows] == ["b"]
