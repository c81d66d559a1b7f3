"""Backbones: shapes, local weights, errors, conditional squeeze-excitation."""

import copy
from pathlib import Path

import pytest
import torch
import torchvision

from sketchfast.models import backbones
from sketchfast.models.backbones import BackboneSpec, Teacher, build_backbone, set_modality


@pytest.mark.parametrize(
    ("spec", "features", "map_side"),
    [
        (BackboneSpec("resnet18", "none"), 512, 2),
        (BackboneSpec("resnet34", "none", stem="small", width=0.25), 128, 4),
        (BackboneSpec("resnet18", "none", stem="small", stem_stride=1, width=0.125), 64, 8),
        (BackboneSpec("timm:test_resnet", "none"), 96, 2),
        (BackboneSpec("googlenet", "none"), 1024, 2),
    ],
)
def test_shapes(spec: BackboneSpec, features: int, map_side: int) -> None:
    backbone, classifier = build_backbone(spec)
    images = torch.randn(2, 3, 64, 64)
    found = backbone.feature_map(images)
    assert found.shape == (2, backbone.num_channels, map_side, map_side)
    assert backbone(images).shape == (2, features) == (2, backbone.num_features)
    assert classifier is None


@pytest.mark.parametrize(
    "name",
    ["resnet50", "resnet101", "vgg16", "vgg16_plain", "vgg19", "alexnet", "se_resnet50", "cse_resnet50"],
)
def test_large_backbones_have_the_features_the_paper_names(name: str) -> None:
    with torch.device("meta"):
        backbone, _ = build_backbone(BackboneSpec(name, "none"))
        assert backbone(torch.empty(2, 3, 64, 64)).shape == (
            2,
            4096 if name.startswith(("vgg", "alex")) else 2048,
        )


@pytest.mark.parametrize(
    ("name", "channels", "side"),
    [("alexnet", 256, 7), ("vgg16", 512, 8), ("googlenet", 1024, 8), ("resnet34", 512, 8)],
)
def test_maps_of_figure_8a(name: str, channels: int, side: int) -> None:
    with torch.device("meta"):
        backbone, _ = build_backbone(BackboneSpec(name, "none"))
        assert backbone.feature_map(torch.empty(1, 3, 256, 256)).shape == (1, channels, side, side)
    assert backbone.num_channels == channels


def test_googlenet_gives_the_logits_of_torchvision(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    # As torchvision publishes it: with auxiliary classifiers, and another centring of the input.
    net = torchvision.models.googlenet(weights=None, transform_input=True, init_weights=True).eval()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    backbone, classifier = build_backbone(BackboneSpec("googlenet", str(tmp_path / "weights.pth")))
    images = torch.randn(2, 3, 96, 96)
    assert classifier is not None
    torch.testing.assert_close(classifier(backbone.eval()(images)), net(images), atol=1e-5, rtol=1e-4)


def test_inception_gives_the_logits_of_torchvision(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    # As torchvision publishes it: AuxLogits among the tensors, another centring of the input. 75 pixels are the fewest.
    net = torchvision.models.inception_v3(weights=None, transform_input=True, init_weights=False).eval()
    torch.nn.init.zeros_(net.fc.bias)
    for (
        module
    ) in net.modules():  # torchvision's own initialisation takes a second; without it the signal would fade
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 2.4)
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    backbone, classifier = build_backbone(BackboneSpec("inception_v3", str(tmp_path / "weights.pth")))
    images = torch.randn(2, 3, 75, 75)
    assert classifier is not None and backbone.num_features == 2048
    maps = backbone.eval().feature_map(images)
    assert maps.shape == (2, backbone.num_channels, 1, 1)
    expected = net(images)
    scale = expected.abs().max().item()
    assert scale > 1e-3
    torch.testing.assert_close(classifier(backbone.pool(maps)), expected, atol=1e-4 * scale, rtol=1e-4)
    # Nothing is dropped in training: in retrieval the pooled feature itself is compared.
    assert not any(isinstance(module, torch.nn.Dropout) for module in backbone.modules())


def test_local_weights_fill_backbone_and_classifier(tmp_path: Path) -> None:
    net = torchvision.models.resnet18()
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    backbone, classifier = build_backbone(BackboneSpec("resnet18", str(tmp_path / "weights.pth")))
    images = torch.randn(2, 3, 64, 64)
    assert classifier is not None
    teacher = Teacher(backbone, classifier).train()
    torch.testing.assert_close(teacher(images), net.eval()(images))
    assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())


def test_without_a_network_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", offline)
    with pytest.raises(
        RuntimeError, match=r"resnet18.*no route to host.*--model.weights PATH.*--model.weights none"
    ):
        build_backbone(BackboneSpec("resnet18", "imagenet"))


def test_errors_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"resnet19.*resnet18"):
        build_backbone(BackboneSpec("resnet19", "none"))
    with pytest.raises(ValueError, match="backbone 'resnet19' is unknown"):
        build_backbone(BackboneSpec("resnet19", "imagenet", "small", width=0.5))
    with pytest.raises(ValueError, match="no pretrained weights"):
        build_backbone(BackboneSpec("resnet18", "imagenet", width=0.5))
    with pytest.raises(ValueError, match=r"width=0.5.*resnet50"):
        build_backbone(BackboneSpec("resnet50", "none", width=0.5))
    with pytest.raises(ValueError, match="not to 'vgg16'"):
        build_backbone(BackboneSpec("vgg16", "none", stem="small"))
    with pytest.raises(ValueError, match="timm has no model 'resnet_x'"):
        build_backbone(BackboneSpec("timm:resnet_x", "none"))
    with pytest.raises(FileNotFoundError, match=r"nowhere.pth"):
        build_backbone(BackboneSpec("resnet18", str(tmp_path / "nowhere.pth"), "small", width=0.5))
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="not the weights of resnet18"):
        build_backbone(BackboneSpec("resnet18", str(tmp_path / "other.pth")))


def test_conditional_squeeze_excitation_starts_as_plain_and_then_sees_the_modality(seed: int) -> None:
    from timm.layers import SEModule

    torch.manual_seed(seed)
    plain = SEModule(16, rd_channels=4)
    conditional = backbones.ConditionalSqueezeExcitation(copy.deepcopy(plain))
    features = torch.randn(2, 16, 5, 5)
    for modality in ("sketch", "photo"):
        set_modality(conditional, modality)
        torch.testing.assert_close(conditional(features), plain(features))
    torch.nn.init.normal_(conditional.fc1.weight[:, -1:])
    torch.testing.assert_close(conditional(features), _gated_by_hand(conditional, features, 1.0))
    set_modality(conditional, "sketch")
    torch.testing.assert_close(conditional(features), plain(features))


def _gated_by_hand(
    module: backbones.ConditionalSqueezeExcitation, x: torch.Tensor, flag: float
) -> torch.Tensor:
    squeezed = torch.cat([x.mean(dim=(2, 3)), torch.full((len(x), 1), flag)], dim=1)
    hidden = (squeezed @ module.fc1.weight[:, :, 0, 0].T + module.fc1.bias).relu()
    gate = (hidden @ module.fc2.weight[:, :, 0, 0].T + module.fc2.bias).sigmoid()
    return x * gate[:, :, None, None]
