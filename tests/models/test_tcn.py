"""TCN: sharing, initialisation, what is saved."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from sketchfast.models import TCN, TCNConfig, load_run
from sketchfast.retrieval.itq import ITQ
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model


def tiny(**changes) -> TCN:
    settings = {"backbone": "resnet18", "weights": "none", "stem": "small", "width": 0.125, "dim": 16}
    settings |= {"num_classes": 3, "semantic_dim": 5}
    return TCN(TCNConfig(**{**settings, **changes}), ["ant", "bee", "cat"], Preprocess(size=32))


def weights(module: nn.Module) -> dict[str, nn.Parameter]:
    return dict(module.named_parameters())


def batch_norm_names(module: nn.Module) -> set[str]:
    found = {name for name, child in module.named_modules() if isinstance(child, nn.BatchNorm2d)}
    return {f"{name}.{part}" for name in found for part in ("weight", "bias")}


@pytest.mark.parametrize("sharing", ["soft", "hard", "none"])
def test_sharing(sharing: str) -> None:
    model = tiny(sharing=sharing, attention=True)
    sketch, photo = weights(model.sketch_tower), weights(model.photo_tower)
    normal = batch_norm_names(model.sketch_tower)
    assert sketch.keys() == photo.keys() and normal < sketch.keys()
    for name in sketch:
        assert (sketch[name] is photo[name]) == (sharing == "hard" and name not in normal)
        assert torch.equal(sketch[name], photo[name])  # the towers start equal
    coupled = {name for name, _, _ in model.coupled_weights()}
    assert coupled == (sketch.keys() - normal if sharing == "soft" else set())


@pytest.mark.parametrize("norm", ["shared", "separate", "none"])
def test_statistics_of_batch_norm_are_independent(norm: str) -> None:
    model = tiny(sharing="hard", embedding_norm=norm).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.embedding(model.sketch_tower(torch.randn(8, 3, 32, 32)), "sketch")
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all("running" in name or "num_batches" in name for name in moved)
    assert not any(name.startswith("photo_tower") for name in moved)
    assert any(name.startswith("embedding.photo_norm") for name in moved) == (norm == "shared")


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    model = tiny(freeze_batch_norm=True).train()
    modes = {type(m).__name__: m.training for m in model.modules() if not list(m.children())}
    assert modes["Conv2d"] and not modes["BatchNorm2d"] and not modes["BatchNorm1d"]


@pytest.fixture
def pretrained(tmp_path: Path) -> tuple[str, torchvision.models.ResNet]:
    net = torchvision.models.resnet18().eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    return str(tmp_path / "weights.pth"), net


@pytest.mark.parametrize("dim", [512, 64])
def test_svd_initialisation_is_the_best_approximation_of_the_classifier(pretrained, dim: int) -> None:
    path, net = pretrained
    config = TCNConfig("resnet18", path, dim=dim, num_classes=3, num_teacher_classes=1000, semantic_dim=5)
    model = TCN(config).eval()
    linear, distiller = model.embedding.linear, model.distiller
    product = distiller.weight.double() @ linear.weight.double()
    singular = torch.linalg.svdvals(net.fc.weight.double())
    error = torch.linalg.matrix_norm(product - net.fc.weight.double())
    torch.testing.assert_close(error, singular[dim:].square().sum().sqrt(), atol=1e-4, rtol=1e-4)
    if dim == 512:
        features = torch.randn(4, 512)
        torch.testing.assert_close(distiller(linear(features)), net.fc(features), atol=1e-4, rtol=1e-4)
    teacher = model.take_teacher()
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(teacher(images), net(images))
    assert model.take_teacher() is None
    assert not any("teacher" in name for name in model.state_dict())


def test_conditional_flags_differ_between_towers_and_are_not_shared() -> None:
    config = TCNConfig("cse_resnet50", "none", dim=16, num_classes=3, semantic_dim=5, sharing="hard")
    model = TCN(config)
    flags = {name: value.item() for name, value in model.state_dict().items() if name.endswith("flag")}
    assert len(flags) == 32
    assert all(value == float(name.startswith("photo_tower")) for name, value in flags.items())


@pytest.mark.parametrize("sharing", ["soft", "hard"])
def test_save_and_load(sharing: str, tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny(sharing=sharing).eval()
    features = np.random.default_rng(seed).normal(size=(200, 16)).astype(np.float32)
    itq = ITQ(8).fit(features)
    model.set_itq(torch.from_numpy(itq.mean), torch.from_numpy(itq.projection))
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert loaded.config == model.config and loaded.class_names == ["ant", "bee", "cat"]
    assert loaded.preprocess == model.preprocess and not loaded.training
    images = torch.randn(2, 3, 32, 32)
    for name in ("encode_sketch", "encode_photo"):
        values = getattr(loaded, name)(images)
        assert torch.equal(values, getattr(model, name)(images))
        torch.testing.assert_close(values.norm(dim=1), torch.ones(2))
        torch.testing.assert_close(
            loaded.code_values(values).detach().numpy(),
            itq.transform(values.detach().numpy()),
            atol=1e-5,
            rtol=1e-5,
        )
    if sharing == "hard":
        assert (
            loaded.sketch_tower.backbone.trunk.conv1.weight is loaded.photo_tower.backbone.trunk.conv1.weight
        )
    with pytest.raises(FileNotFoundError, match="expected a run folder"):
        load_run(tmp_path)


def test_forward_and_encoders_agree(seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny(num_teacher_classes=7).eval()
    sketches, photos = torch.randn(2, 4, 3, 32, 32).unbind()
    out = model(sketches, photos)
    torch.testing.assert_close(F.normalize(out.sketch), model.encode_sketch(sketches))
    torch.testing.assert_close(F.normalize(out.photo), model.encode_photo(photos))
    torch.testing.assert_close(out.sketch_logits, model.classify_sketch(sketches))
    assert out.photo_logits.shape == (4, 3) and out.photo_distilled.shape == (4, 7)
    with pytest.raises(RuntimeError, match="no ITQ"):
        model.code_values(out.sketch)
    with pytest.raises(ValueError, match=r"mean \[16\].*\[3\]"):
        model.set_itq(torch.zeros(3), torch.zeros(16, 8))


def test_errors() -> None:
    with pytest.raises(ValueError, match="num_classes"):
        tiny(num_classes=0)
    with pytest.raises(ValueError, match="3 names for num_classes=4"):
        tiny(num_classes=4)
    with pytest.raises(ValueError, match=r"sharing.*tight"):
        tiny(sharing="tight")


def test_logit_scale_puts_features_and_class_weights_on_the_sphere(seed: int) -> None:
    torch.manual_seed(seed)
    model = tiny(logit_scale=20.0).eval()
    images = torch.randn(4, 3, 32, 32)
    out = model(images, images)
    assert torch.allclose(out.sketch.norm(dim=1), torch.ones(4))
    assert torch.equal(out.sketch, model.encode_sketch(images))
    assert torch.equal(out.photo, model.encode_photo(images))
    cosine = F.cosine_similarity(out.sketch.double()[:, None], model.classifier.weight.double()[None], dim=2)
    assert torch.allclose(out.sketch_logits.double(), 20 * cosine, atol=1e-4)
    assert torch.equal(model.classify_sketch(images), out.sketch_logits)
    assert model.semantic_metric.unit_length and not tiny().semantic_metric.unit_length
