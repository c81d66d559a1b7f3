"""F: attention and pooling position by position, shapes of the paper's network, checkpoints, bad input."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sketchfast.models import FineGrainedConfig, FineGrainedNet, load_run
from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training import save_model

SMALL = {
    "backbone": "resnet10",
    "weights": "none",
    "stem": "small",
    "stem_stride": 1,
    "width": 0.125,
    "size": 32,
}


def tiny(**changes) -> FineGrainedNet:
    return FineGrainedNet(FineGrainedConfig(**{**SMALL, **changes}), ["chair"])


def attending(**changes) -> FineGrainedNet:
    """With an attention that differs from position to position, as after training."""
    model = tiny(**changes).eval()
    nn.init.normal_(model.attend.weight, std=2.0)
    return model


def by_hand(maps: Tensor, weight: Tensor, scaled: bool) -> tuple[list[list[float]], list[list[list[float]]]]:
    """Mean over the positions of F' + F' f_attn(F'), and the masks, with loops: maps [B, c, h, w], weight [c]."""
    features, masks = [], []
    for image in maps.double():
        c, h, w = image.shape
        scores = {
            (i, j): sum(weight[k].item() * image[k, i, j].item() for k in range(c))
            for i in range(h)
            for j in range(w)
        }
        total = sum(math.exp(s) for s in scores.values())
        mask = {at: math.exp(s) / total for at, s in scores.items()}
        gain = h * w if scaled else 1
        features.append(
            [
                sum(image[k, i, j].item() * (1 + gain * a) for (i, j), a in mask.items()) / (h * w)
                for k in range(c)
            ]
        )
        masks.append([[mask[i, j] for j in range(w)] for i in range(h)])
    return features, masks


@pytest.mark.parametrize("scaled", [False, True])
def test_attention_is_the_papers(scaled: bool, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = attending(scaled_attention=scaled, unit_features=False), torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        found, mask = model(images), model.attention_mask(images)
        maps = model.backbone.feature_map(images)
    features, masks = by_hand(maps, model.attend.weight[0, :, 0, 0], scaled)
    torch.testing.assert_close(
        found.double(), torch.tensor(features, dtype=torch.float64), rtol=1e-4, atol=1e-6
    )
    torch.testing.assert_close(mask.double(), torch.tensor(masks, dtype=torch.float64), rtol=1e-4, atol=1e-7)
    assert mask.shape == (3, 4, 4) and (mask > 0).all()
    torch.testing.assert_close(mask.sum(dim=(1, 2)), torch.ones(3))
    assert mask.std() > 1e-3  # it does attend


def test_one_branch_of_unit_features(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = attending(), torch.randn(3, 3, 32, 32)
    found = model(images)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert found.shape == (3, model.dim)
    assert torch.equal(model.encode_sketch(images), found) and torch.equal(model.encode_photo(images), found)
    raw = attending(unit_features=False)
    raw.load_state_dict(model.state_dict())
    torch.testing.assert_close(nn.functional.normalize(raw(images), dim=1), found)


def test_starts_from_the_uniform_mask_and_learns_to_attend(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = tiny(), torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(model.attention_mask(images), torch.full((4, 4, 4), 1 / 16))
    plain = tiny(attention=False)
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if key != "attend.weight"})
    torch.testing.assert_close(plain(images), model(images), rtol=1e-4, atol=1e-6)
    model(images)[:, 0].sum().backward()
    assert model.attend.weight.grad.abs().max() > 0
    with pytest.raises(RuntimeError, match="no attention"):
        plain.attention_mask(images)


def test_inception_at_the_papers_size() -> None:
    with torch.device("meta"):
        model = FineGrainedNet(FineGrainedConfig(weights="none"))
        images = torch.empty(2, 3, 256, 256)
        assert model(images).shape == (2, 2048) and model.attention_mask(images).shape == (2, 6, 6)
    assert (model.preprocess.size, model.preprocess.ink_margin) == (256, 1 / 16)


def test_frozen_batch_norm_keeps_its_statistics(seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.randn(4, 3, 32, 32)
    for frozen in (True, False):
        model = tiny(freeze_batch_norm=frozen).train()
        before = model.backbone.trunk.bn1.running_mean.clone()
        model(images)
        assert torch.equal(model.backbone.trunk.bn1.running_mean, before) == frozen


def test_16_bit_maps_give_float32_features(seed: int) -> None:
    torch.manual_seed(seed)
    model, images = attending(scaled_attention=True), torch.randn(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, mask = model(images), model.attention_mask(images)
    assert found.dtype == mask.dtype == torch.float32
    torch.testing.assert_close(mask.sum(dim=(1, 2)), torch.ones(2))
    assert (found * model(images)).sum(dim=1).min() > 0.99


def test_checkpoint(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    model, images = attending(scaled_attention=True), torch.randn(2, 3, 32, 32)
    save_model(tmp_path / "run" / "model", model)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, FineGrainedNet) and loaded.class_names == ["chair"]
    assert loaded.config == model.config and loaded.preprocess == model.preprocess
    assert torch.equal(loaded(images), model(images))
    fields = {**vars(model.config), "weights": "somewhere.pth"}
    assert FineGrainedNet.from_metadata({"config": fields}).config.weights == "somewhere.pth"  # not fetched


def test_sn_triplet_is_sketch_a_net_without_attention(tmp_path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    backbone, classifier = build_backbone(BackboneSpec("sketch_a_net", "none"))
    assert classifier is None
    # The published sizes, layer by layer, at 225 pixels.
    sides, maps = [], torch.zeros(1, 3, 225, 225)
    for name, layer in backbone.trunk.named_children():
        maps = layer(maps)
        if name[:4] in ("conv", "pool"):
            sides.append((name, maps.shape[1], maps.shape[2]))
    assert sides == [
        ("conv1", 64, 71), ("pool1", 64, 35), ("conv2", 128, 31), ("pool2", 128, 15),
        ("conv3", 256, 15), ("conv4", 256, 15), ("conv5", 256, 15), ("pool5", 256, 7),
    ]  # fmt: skip
    assert backbone.head.pool(maps).equal(maps)  # nothing is pooled at its own size
    # Its weights from a file, a classifier among them or not.
    state = {f"trunk.{key}": value for key, value in backbone.trunk.state_dict().items()}
    state |= {f"head.{key}": value for key, value in backbone.head.state_dict().items()}
    torch.save({**state, "fc8.weight": torch.zeros(250, 512)}, tmp_path / "weights.pth")
    config = FineGrainedConfig("sketch_a_net", str(tmp_path / "weights.pth"), size=96, attention=False)
    model = FineGrainedNet(config).eval()
    images = torch.randn(2, 3, 96, 96)
    features = backbone.eval()(images)
    assert features.shape == (2, 512) and features.any()
    torch.testing.assert_close(model(images), nn.functional.normalize(features, dim=1))


def test_errors_name_the_setting() -> None:
    with pytest.raises(ValueError, match="size must be at least 81 pixels with sketch_a_net, got 64"):
        FineGrainedNet(FineGrainedConfig("sketch_a_net", "none", size=64))
    with pytest.raises(ValueError, match="size must be at least 75 pixels with inception_v3, got 74"):
        FineGrainedNet(FineGrainedConfig(weights="none", size=74))
    with pytest.raises(ValueError, match="'sketch_a_net' has no ImageNet weights"):
        FineGrainedNet(FineGrainedConfig("sketch_a_net", size=225))
    with pytest.raises(ValueError, match=r"preprocess\.size must be size=32, got 64"):
        FineGrainedNet(FineGrainedConfig(**SMALL), preprocess=Preprocess(size=64))
    with pytest.raises(ValueError, match="scaled_attention=True needs attention=True"):
        tiny(attention=False, scaled_attention=True)
    tokens = FineGrainedNet(FineGrainedConfig("timm:test_vit", "none", size=160))
    with pytest.raises(
        ValueError, match=r"attention=True needs a backbone with maps .* timm:test_vit gives \[1, "
    ):
        tokens(torch.zeros(1, 3, 160, 160))
