"""Landmark network: the equations landmark by landmark, several n on one trunk, scores, descriptors, bad input."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast import ops
from sketchfast.models import LandmarkNet, LandmarkNetConfig, load_run
from sketchfast.models.landmark import LandmarkOutput
from sketchfast.models.landmark_points import at_cells, project
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model

NAMES = ["ant", "bee", "cat", "dog"]
SIDE = 64


def tiny(**changes) -> LandmarkNet:
    settings = {"backbone": "resnet10", "weights": "none", "stem": "small", "width": 0.125}
    settings |= {"num_classes": len(NAMES), "landmarks": (9, 3, 20)}
    return LandmarkNet(LandmarkNetConfig(**{**settings, **changes}), NAMES, Preprocess(size=SIDE))


def moving(**changes) -> LandmarkNet:
    """With offsets of about half a cell, in evaluation mode: larger ones leave the map of 4x4 cells, where f is 0."""
    model = tiny(**changes).eval()
    for layer in model.offset_layers:
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.normal_(layer.bias, std=0.5)
    return model


def sketches(seed: int, count: int = 3) -> Tensor:
    """Some strokes each, normalised."""
    random = np.random.default_rng(seed)
    images = np.full((count, SIDE, SIDE, 3), 255, np.uint8)
    for image in images:
        for _ in range(4):
            start, step = random.integers(10, 54, 2), random.uniform(-1, 1, 2)
            line = np.clip(start + step * np.arange(25)[:, None], 0, SIDE - 1).astype(int)
            image[line[:, 1], line[:, 0]] = 0
    return torch.from_numpy(Preprocess(size=SIDE).normalize(images))


def assert_landmarks_count(model: LandmarkNet, output: LandmarkOutput) -> None:
    """Or the tests would compare nothing but biases: f differs from 0, most landmarks are on the map, and offsets move them."""
    size = torch.tensor(output.map_size[::-1])
    offsets = torch.cat(output.offsets, dim=1)
    moved = torch.cat(output.landmarks, dim=1) + offsets
    for f in output.features:
        assert ((f != 0).float().mean(dim=1) > 0.3).all()  # the others ReLU has silenced everywhere
    assert ((moved > -1) & (moved < size)).all(dim=2).float().mean() > 0.7
    assert (offsets != 0).all() == model.config.offsets


def by_hand(model: LandmarkNet, features: Tensor, points: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """(f, moved landmarks) of one image, eq. 1 to 4 with every cell q: features [C, h, w], points [n, 2]."""
    height, width = features.shape[1:]
    vectors, moved = [], []
    for i, (x, y) in enumerate(points.tolist()):
        cell_x, cell_y = math.floor(x * width / SIDE), math.floor(y * height / SIDE)
        delta_x = delta_y = torch.zeros(())
        if model.config.offsets:
            layer = model.offset_layers[number]
            delta = layer.weight[2 * i : 2 * i + 2, :, 0, 0] @ features[:, cell_y, cell_x]
            delta_x, delta_y = delta + layer.bias[2 * i : 2 * i + 2]
        place_x, place_y = cell_x + delta_x, cell_y + delta_y
        value = torch.zeros(len(features))
        for q_y in range(height):
            for q_x in range(width):
                g = (1 - (place_x - q_x).abs()).clamp(min=0) * (1 - (place_y - q_y).abs()).clamp(min=0)
                value = value + g * features[:, q_y, q_x]
        vectors.append(value)
        moved.append(torch.stack([place_x, place_y]))
    return torch.stack(vectors).mean(dim=0), torch.stack(moved)


@pytest.mark.parametrize("offsets", [True, False])
def test_is_what_the_paper_says(offsets: bool, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = moving(offsets=offsets), sketches(seed)
    output = model(images)
    points, valid = model.points_of(images)
    features = model.backbone.feature_map(images)
    assert valid.all() and output.valid.all() and len(output.logits) == 3
    assert_landmarks_count(model, output)
    for number, n in enumerate((9, 3, 20)):
        for image in range(len(images)):
            f, moved = by_hand(model, features[image], points[image, :n], number)
            torch.testing.assert_close(output.features[number][image], f, rtol=1e-4, atol=1e-4)
            found = output.landmarks[number][image] + output.offsets[number][image]
            torch.testing.assert_close(found, moved, rtol=1e-4, atol=1e-4)
        expected = model.classifiers[number](output.features[number])
        torch.testing.assert_close(output.logits[number], expected)
    psi = F.conv2d(features, model.category_filters.weight, padding=1)
    torch.testing.assert_close(output.responses, psi)
    torch.testing.assert_close(output.class_logits, psi.mean(dim=(2, 3)))


def test_one_pass_of_the_trunk_for_all_n_gives_what_separate_passes_give(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = moving(landmarks=(5, 10, 15, 20, 25, 30, 40, 50, 60)), sketches(seed)
    passes: list[int] = []
    model.backbone.trunk.register_forward_hook(lambda *_: passes.append(1))
    together = model(images)
    assert len(passes) == 1
    assert_landmarks_count(model, together)
    for number, n in enumerate(model.landmarks):
        alone = tiny(landmarks=(n,)).eval()
        alone.backbone.load_state_dict(model.backbone.state_dict())
        for part in ("classifiers", "offset_layers"):
            getattr(alone, part)[0].load_state_dict(getattr(model, part)[number].state_dict())
        output = alone(images)  # finds its own points: the first n of those for 60
        assert torch.equal(output.landmarks[0], together.landmarks[number])
        torch.testing.assert_close(output.logits[0], together.logits[number])
        torch.testing.assert_close(
            alone.classify(images), model.member_scores(images)[:, number], rtol=1e-5, atol=1e-6
        )


def test_points_given_are_the_points_found_and_all_parameters_learn(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny().train(), sketches(seed)
    points, _ = model.points_of(images)
    output = model(images, points.double())
    assert not any(
        offset.any() for offset in output.offsets
    )  # zero at the start, with a gradient all the same
    loss = output.class_logits.square().sum()
    for logits in output.logits:
        loss = loss + F.cross_entropy(logits, torch.arange(len(images)))
    loss.backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert not still
    model.eval()
    assert torch.equal(model(images, points).logits[2], model(images).logits[2])


def test_ink_is_what_the_uint8_image_has_below_208(seed: int) -> None:
    levels = np.random.default_rng(seed).integers(200, 216, (6, SIDE, SIDE, 1))
    levels[3:] = np.where(levels[3:] < 202, 207, 208)  # the two levels on either side of the limit
    images = levels.astype(np.uint8).repeat(3, axis=3)
    model = tiny(landmarks=(40,))
    points, valid = model.points_of(torch.from_numpy(model.preprocess.normalize(images)))
    expected, also_valid = ops.contour_points(torch.from_numpy(images[..., 0] < 208), 40)
    assert torch.equal(points, expected) and torch.equal(valid, also_valid) and valid.all()


def test_blank_sketches_have_a_score_and_are_marked() -> None:
    model = tiny().eval()
    images = sketches(0, 2)
    images[1] = torch.from_numpy(model.preprocess.normalize(np.full((1, SIDE, SIDE, 3), 255, np.uint8)))[0]
    output = model(images)
    assert output.valid.tolist() == [True, False]
    assert all(logits.isfinite().all() for logits in output.logits)
    assert (output.landmarks[0][1] == output.landmarks[0][1, 0]).all()


def test_projection() -> None:
    points = torch.tensor([[[0, 0], [31, 31], [32, 31], [255, 224], [223, 300], [-5, 256]]])
    expected = torch.tensor([[[0, 0], [0, 0], [1, 0], [7, 7], [6, 7], [0, 7]]])
    for given in (points, points.int(), points.float(), points.double()):
        assert torch.equal(project(given, (256, 256), (8, 8)), expected)
    assert project(torch.tensor([[[1e30, -1e30]]]), (64, 64), (3, 5)).tolist() == [[[4, 0]]]
    assert project(torch.tensor([[[63, 63]]]), (64, 64), (3, 5)).tolist() == [[[4, 2]]]
    assert project(torch.tensor([[[2**62, -(2**62)]]]), (64, 64), (3, 5)).tolist() == [[[4, 0]]]
    offsets = torch.arange(4 * 6.0).reshape(1, 4, 2, 3)  # n = 2, height 2, width 3
    assert at_cells(offsets, torch.tensor([[[2, 0], [1, 1]]])).tolist() == [[[2, 8], [16, 22]]]


def test_scores_are_the_mean_over_image_and_mirror_fused_by_weight(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = moving(), sketches(seed)
    with torch.no_grad():
        plain, mirror = model(images), model(images.flip(3))  # with its own contour points
        assert_landmarks_count(model, plain)
        members = torch.stack(
            [(a.softmax(1) + b.softmax(1)) / 2 for a, b in zip(plain.logits, mirror.logits)], 1
        )
        assert model.member_scores(images).shape == (3, 3, len(NAMES))
        torch.testing.assert_close(model.member_scores(images), members)
        torch.testing.assert_close(model.classify(images), members.mean(1))
        torch.testing.assert_close(model.classify(images.flip(3)), model.classify(images))
        alone = torch.stack([logits.softmax(1) for logits in plain.logits], 1)
        torch.testing.assert_close(model.member_scores(images, mirrored=False), alone)
        model.set_fusion([0.25, 0.0, 0.75], (9, 3, 20))
        torch.testing.assert_close(model.classify(images), members[:, 0] * 0.25 + members[:, 2] * 0.75)


def test_descriptor(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = moving(), sketches(seed)
    with torch.no_grad():
        output = model(images)
        assert_landmarks_count(model, output)
        largest = output.responses.max(dim=1).values.reshape(len(images), -1)
        expected = F.normalize(torch.cat([output.features[1], largest], dim=1))
        torch.testing.assert_close(model.describe(images, 3, mirrored=False), expected)
        found = model.describe(images)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(found, model.describe(images.flip(3), 9))
        torch.testing.assert_close(found, model.encode_sketch(images))
        assert torch.equal(model.encode_photo(images), model.encode_sketch(images))
        plain = moving(class_aware=False)
        assert plain.describe(images).shape == (3, plain.backbone.num_channels)
    with pytest.raises(ValueError, match=r"n=4 is not among.*\(9, 3, 20\)"):
        model.describe(images, 4)


def test_global_pooling_is_the_backbone_and_a_classifier(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny(pooling="global", class_aware=False).eval(), sketches(seed)
    output = model(images)
    assert model.landmarks == () and output.landmarks == output.offsets == [] and output.responses is None
    torch.testing.assert_close(output.logits[0], model.classifiers[0](model.backbone(images)))
    assert model.member_scores(images).shape == (3, 1, len(NAMES))
    torch.testing.assert_close(model.classify(images).sum(1), torch.ones(3))
    assert model.describe(images).shape == (3, model.backbone.num_features)
    assert not any("offset" in name or "category" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize(
    "changes",
    [{}, {"landmarks": (6,), "offsets": False}, {"pooling": "global", "class_aware": False}],
    ids=["full", "only-landmarks", "global"],
)
def test_save_and_load(changes: dict, tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = moving(**changes)
    if not changes:
        model.set_fusion([0.5, 0.25, 0.25], model.landmarks)
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, LandmarkNet) and not loaded.training
    assert loaded.config == model.config and loaded.preprocess == model.preprocess
    assert loaded.class_names == NAMES
    images = sketches(seed)
    assert torch.equal(loaded.classify(images), model.classify(images))
    assert torch.equal(loaded.describe(images), model.describe(images))


def test_config_is_the_models_own_and_pretrained_weights_are_remembered_not_fetched() -> None:
    config = LandmarkNetConfig("resnet10", "none", "small", width=0.125, num_classes=2, landmarks=(4, 5))
    model = LandmarkNet(config)
    model.set_fusion([1, 0], [4, 5])
    assert config.fusion == () and model.config.fusion == (1.0, 0.0)
    fields = {**vars(copy.copy(config)), "weights": "imagenet", "landmarks": [4, 5], "fusion": []}
    again = LandmarkNet.from_metadata({"config": fields})
    assert again.config.weights == "imagenet" and again.landmarks == (4, 5)


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    model = tiny(freeze_batch_norm=True).train()
    modes = {type(m).__name__: m.training for m in model.modules() if not list(m.children())}
    assert modes["Conv2d"] and not modes["BatchNorm2d"]


def test_autocast_keeps_points_in_float32(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = moving(), sketches(seed, 1)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        output = model(images)
        scores = model.classify(images, mirrored=False)
    assert output.offsets[0].dtype == output.landmarks[0].dtype == scores.dtype == torch.float32
    torch.testing.assert_close(scores, model.classify(images, mirrored=False), rtol=0.2, atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"landmarks": (0,)}, r"landmarks.*1\.\.4096, got 0"),
        ({"landmarks": (4097,)}, "got 4097"),
        ({"landmarks": (5.0,)}, r"got 5\.0"),
        ({"landmarks": (True,)}, "got True"),
        ({"landmarks": (5, 9, 5)}, r"different numbers, got \(5, 9, 5\)"),
        ({"landmarks": ()}, r"got \(\)"),
        ({"num_classes": 0}, "num_classes must be the number of categories, got 0"),
        ({"num_classes": 3}, "class_names has 4 names for num_classes=3"),
        ({"pooling": "max"}, "pooling must be 'landmarks' or 'global', got 'max'"),
        ({"fusion": (0.5, 0.5)}, "fusion must be 3 weights"),
        ({"fusion": (0.5, 0.6, 0.1)}, "with sum 1"),
        ({"fusion": (1.5, -0.5, 0.0)}, "at least 0"),
        ({"fusion": (math.nan, 0.5, 0.5)}, "nan"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def test_class_names_and_numbers_of_landmarks() -> None:
    config = dataclasses.replace(tiny().config, landmarks=tuple(np.array([9, 3])))
    with pytest.raises(ValueError, match="class_names must be different names, 'a' is there twice"):
        LandmarkNet(config, ["a", "b", "a", "c"])
    assert all(type(n) is int for n in LandmarkNet(config).landmarks)


def test_bad_images_points_and_fusion() -> None:
    model, images = tiny().eval(), sketches(0, 2)
    points, _ = model.points_of(images)
    for wrong in (images[0], images[:, :1], images[:0], images[..., :0], images.long()):
        with pytest.raises(ValueError, match=r"images must be normalised pixels"):
            model(wrong)
    for bad in (points[:1], points[:, :19], points[0], points[..., :1], torch.zeros(2, 20, 3)):
        with pytest.raises(ValueError, match=r"points must be \(x, y\) pixels.*B=2 and n >= 20"):
            model(images, bad)
    broken = points.float()
    broken[0, 1, 0], broken[1, 2, 1] = math.nan, math.inf
    with pytest.raises(ValueError, match="points must be finite, 2 of their coordinates are not"):
        model(images, broken)
    for landmarks in ((9, 3), (3, 9, 20), (9, 3, 21)):
        with pytest.raises(ValueError, match=r"a fusion fitted on another set of n.*\(9, 3, 20\)"):
            model.set_fusion([1.0 / len(landmarks)] * len(landmarks), landmarks)


def test_what_is_not_finite_is_told() -> None:
    model, images = tiny().eval(), sketches(0, 2)
    points, _ = model.points_of(images)
    broken = images.clone()
    broken[1] = math.nan
    with pytest.raises(ValueError, match="images must be finite"):
        model(broken, points)
    nn.init.constant_(model.offset_layers[1].bias, math.nan)
    with pytest.raises(ValueError, match=r"offsets of the landmarks are NaN.*lower --optimizer\.lr"):
        model(images)


def test_backbones_without_a_usable_map(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = tiny().eval(), sketches(0, 2)
    channels = model.backbone.num_channels
    for shape, message in (
        ((2, 17, channels), r"'resnet10' gives \[2, 17, 64\].*use a convolutional network"),
        ((2, 4, 4, channels), r"gives \[2, 4, 4, 64\]"),
        ((2, channels, 0, 3), r"64x64 pixels are too small.*\[2, 64, 0, 3\]"),
    ):
        monkeypatch.setattr(model.backbone, "feature_map", lambda _, shape=shape: torch.zeros(shape))
        with pytest.raises(ValueError, match=message):
            model(images)
    monkeypatch.undo()
    model.backbone.trunk = nn.Sequential(*(nn.MaxPool2d(2) for _ in range(7)))
    with pytest.raises(ValueError, match=r"64x64 pixels are too small for backbone 'resnet10'.*Output size"):
        model(images)
