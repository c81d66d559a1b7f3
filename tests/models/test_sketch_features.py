"""Classifier features: what the classifier reads is what describes, checkpoints, bad input."""

from pathlib import Path

import pytest
import torch

from sketchfast.models import ClassifierFeatures, ClassifierFeaturesConfig, load_run
from sketchfast.runtime.preprocess import IMAGENET_MEAN
from sketchfast.training import save_model

NAMES = ["ant", "bee", "cat"]


def tiny(**changes) -> ClassifierFeatures:
    settings = {"backbone": "resnet10", "weights": "none", "stem": "small", "width": 0.125}
    settings |= {"num_classes": 3, "size": 32}
    return ClassifierFeatures(ClassifierFeaturesConfig(**{**settings, **changes}), NAMES)


def test_descriptor_is_what_the_classifier_reads(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny().eval(), torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        found = model.describe(images)
        logits = found @ model.classifier.weight.T + model.classifier.bias
        torch.testing.assert_close(model.logits(images), logits)
        torch.testing.assert_close(model(images), logits)
    pooled = model.backbone.feature_map(images).mean(dim=(2, 3))
    torch.testing.assert_close(found, pooled.detach())
    assert found.shape == (4, model.descriptor_dim) and not found.requires_grad and found.any()
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, ClassifierFeatures) and loaded.class_names == NAMES
    assert loaded.config == model.config and loaded.preprocess == model.preprocess
    assert torch.equal(loaded.describe(images), found)


def test_sketches_are_cropped_and_normalised_as_the_backbone_wants() -> None:
    preprocess = tiny(ink_margin=0.1).preprocess
    assert (preprocess.size, preprocess.ink_margin, preprocess.mean) == (32, 0.1, IMAGENET_MEAN)


def test_pretrained_weights_are_remembered_not_fetched() -> None:
    fields = {**vars(tiny().config), "weights": "somewhere.pth"}
    assert ClassifierFeatures.from_metadata({"config": fields}).config.weights == "somewhere.pth"


def test_bad_config() -> None:
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        tiny(num_classes=1)
    with pytest.raises(ValueError, match="class_names has 3 names for num_classes=4"):
        tiny(num_classes=4)
