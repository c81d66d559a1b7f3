"""DeepSSP's network: dilation, scales and fusion, branches, stages, weights files, checkpoints."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from sketchfast.data.part_tables import PARTS
from sketchfast.models import load_run
from sketchfast.models.backbones import BackboneSpec, build_backbone, dilate_resnet
from sketchfast.models.deepssp import DeepSSP, DeepSSPConfig, to_full
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.checkpoint import save_model

ALL = {category: len(names) + 1 for category, names in PARTS.items()}
SOME = {name: ALL[name] for name in ("cow", "horse", "cat", "airplane", "bird")}


def small(**changes: object) -> DeepSSPConfig:
    fields = {"backbone": "resnet18", "weights": "none", "width": 0.125, "dilations": (1, 2)}
    return DeepSSPConfig(**{**fields, "categories": dict(SOME), **changes})  # type: ignore[arg-type]


@pytest.fixture
def images(seed: int) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(5, 3, 49, 65)


@pytest.mark.parametrize("name", ["resnet10", "resnet18", "resnet50"])
def test_dilation_follows_deeplab(name: str) -> None:
    with torch.device("meta"):
        for output_stride, expected in ((8, (1, 1, 2, 4)), (4, (1, 2, 4, 8)), (32, (1, 1, 1, 1))):
            trunk = build_backbone(BackboneSpec(name, "none"))[0].trunk
            dilate_resnet(trunk, output_stride)
            for stage, dilation in enumerate(expected, start=1):
                convs = [
                    m for m in trunk.get_submodule(f"layer{stage}").modules() if isinstance(m, nn.Conv2d)
                ]
                assert {c.dilation for c in convs if c.kernel_size == (3, 3)} == {(dilation, dilation)}
            side = (321 - 1) // output_stride + 1
            assert trunk(torch.empty(1, 3, 321, 321)).shape[-2:] == (side, side)


def test_dilation_refuses_what_it_cannot_do() -> None:
    with torch.device("meta"):
        trunk = build_backbone(BackboneSpec("resnet10", "none"))[0].trunk
        with pytest.raises(ValueError, match=r"output_stride=6.*one of 4, 8, 16, 32"):
            dilate_resnet(trunk, 6)
        with pytest.raises(ValueError, match="only ResNets"):
            dilate_resnet(nn.Identity(), 8)


def test_the_papers_network() -> None:
    with torch.device("meta"):
        model = DeepSSP(DeepSSPConfig(weights="none", categories=ALL))
    assert model.config.branches == {
        "large_animals": 5, "small_animals": 5, "four_wheelers": 7, "two_wheelers": 5, "flying": 9,
    }  # fmt: skip
    found = model(torch.empty(1, 3, 321, 321, device="meta"), "flying")
    assert [tuple(x.shape) for x in found] == [(1, 9, 41, 41), (1, 9, 31, 31), (1, 9, 21, 21), (1, 9, 41, 41)]
    net = model.nets[0][0]
    assert len(net.trunk.layer4) == 2  # res5a and res5b are shared, res5c is the branch's
    assert [conv.dilation[0] for conv in net.branches[0].classifier.convs] == [6, 12, 18, 24]


def test_scales_are_read_apart_and_fused_by_the_maximum(images: Tensor) -> None:
    model = DeepSSP(small()).eval()
    *scales, fused = model(images, 0)
    single = DeepSSP(small(scales=(1.0,))).eval()
    single.load_state_dict(model.state_dict())
    for scale, found in zip((1.0, 0.75, 0.5), scales):
        sides = [int((side - 1) * scale) + 1 for side in images.shape[-2:]]
        shrunk = F.interpolate(images, size=sides, mode="bilinear", align_corners=True)
        (alone,) = (
            single(shrunk, 0) if min(sides) >= 33 else (single._parse(single._features(shrunk, 0), 0)[0])
        )
        torch.testing.assert_close(found, alone)
    up = [F.interpolate(x, size=scales[0].shape[-2:], mode="bilinear", align_corners=True) for x in scales]
    torch.testing.assert_close(fused, torch.stack(up).amax(dim=0))


@pytest.mark.parametrize("architecture", ["super", "full", "independent"])
@pytest.mark.parametrize("net", ["deeplab", "fcn"])
def test_rows_of_a_mixed_batch_equal_each_alone(images: Tensor, architecture: str, net: str) -> None:
    changes = {"net": "fcn", "scales": (1.0,)} if net == "fcn" else {"pose_classes": 3}
    model = DeepSSP(small(architecture=architecture, **changes)).eval()
    count = len(model.branch_names)
    assert count == {"super": 3, "full": 5, "independent": 5}[architecture]
    calls: list[int] = []
    model.nets[0][0].trunk.register_forward_hook(lambda *_: calls.append(1))
    branch = torch.tensor([count - 1, 0, 1, 0, count - 1])
    outputs, auxiliary = model(images, branch, auxiliary=True)
    assert len(calls) == len(
        model.config.scales
    )  # once over the batch, or over the rows of the first network
    assert sorted(outputs) == [0, 1, count - 1]
    for number, (rows, logits) in outputs.items():
        assert rows.tolist() == [i for i in range(5) if branch[i] == number]
        alone, one = model(images[rows], number, auxiliary=True)
        for mixed, single in zip(logits, alone, strict=True):
            torch.testing.assert_close(mixed, single)
        if net == "deeplab":
            torch.testing.assert_close(auxiliary.pose[rows], one.pose)
    if architecture == "independent":
        assert auxiliary.category is None
        with pytest.raises(RuntimeError, match="no category head"):
            model.category_logits(images)
    else:
        torch.testing.assert_close(auxiliary.category, model.category_logits(images))


def test_stage_two_copies_branches_and_trains_only_them(images: Tensor) -> None:
    model = DeepSSP(small(backbone="resnet10", pose_classes=2)).eval()
    full = to_full(model)
    assert full.branch_names == list(SOME) and full.config.architecture == "full"
    for category, labels in SOME.items():
        of_super, of_full = model(images, model.branch_of(category)), full(images, category)
        for theirs, ours in zip(of_super, of_full, strict=True):
            assert ours.shape[1] == labels
            torch.testing.assert_close(ours, theirs[:, :labels])
    torch.testing.assert_close(full.category_logits(images), model.category_logits(images))

    full.train()
    full.freeze_shared()
    full.train()
    before = {name: tensor.clone() for name, tensor in full.state_dict().items()}
    optimizer = torch.optim.SGD((p for p in full.parameters() if p.requires_grad), lr=0.1)
    sum(x.square().mean() for x in full(images, "cat")).backward()
    optimizer.step()
    changed = {name for name, tensor in full.state_dict().items() if not torch.equal(tensor, before[name])}
    cat = f"nets.0.0.branches.{full.branch_names.index('cat')}."
    assert changed and all(name.startswith(cat) for name in changed)
    assert any("running_mean" in name for name in changed)  # the branch's statistics still follow the data
    with pytest.raises(ValueError, match="'full'"):
        to_full(full)


def test_frozen_batch_norm_stays_frozen(images: Tensor) -> None:
    model = DeepSSP(small(freeze_batch_norm=True))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training or m.weight.requires_grad for m in norms)
    assert model.train().training and not any(m.training for m in norms)
    assert all(m.training for m in DeepSSP(small()).modules() if isinstance(m, nn.BatchNorm2d))


def test_parameters_split_into_shared_branches_and_final(images: Tensor) -> None:
    model = DeepSSP(small(pose_classes=2))
    shared, final = set(model.shared_parameters()), set(model.final_parameters())
    branches = [set(model.branch_parameters(b)) for b in range(3)]
    assert model.category_head is not None
    assert shared.union(*branches, model.category_head.parameters()) == set(model.parameters())
    for one, other in itertools.combinations([shared, *branches], 2):
        assert not one & other
    assert not final & shared and all(final & branch for branch in branches)
    _, auxiliary = model(images, 0, auxiliary=True)
    auxiliary.category.sum().backward()
    assert all(p.grad is None for p in shared)  # the category head teaches the trunk nothing


def test_unshared_scales_have_their_own_weights(images: Tensor) -> None:
    shared, apart = (
        DeepSSP(small(category_head=False)),
        DeepSSP(small(category_head=False, share_scales=False)),
    )
    count = [sum(p.numel() for p in model.parameters()) for model in (shared, apart)]
    assert count[1] == 3 * count[0]
    sum(x.square().mean() for x in apart(images, 1)[:-1]).backward()
    grads = [net.trunk.conv1.weight.grad for net in apart.nets[0]]
    assert not torch.equal(grads[0], grads[1])


def test_parse_keeps_to_the_labels_a_category_has(images: Tensor) -> None:
    model = DeepSSP(small()).eval()
    for branch in model.nets[0][0].branches:
        for conv in branch.classifier.convs:
            nn.init.normal_(conv.bias, std=5.0)
    names = ["bird", "airplane", "cow", "bird", "horse"]
    found = model.parse(images, names, size=(20, 31))
    assert found.masks.shape == (5, 20, 31) and found.masks.dtype == torch.uint8
    for mask, logits, name in zip(found.masks, found.logits, names):
        assert logits.shape == (SOME[name], 20, 31)
        assert torch.equal(mask.long(), logits.argmax(dim=0))
        assert set(mask.unique().tolist()) <= set(model.labels_of(name))
    assert list(model.labels_of("bird")) == [0, 1, 3, 6, 7, 8]
    assert torch.isinf(found.logits[0][[2, 4, 5]]).all()
    whole = model(images, model.branch_of("cow"))[-1][2:3, :5]
    torch.testing.assert_close(
        found.logits[2], F.interpolate(whole, size=(20, 31), mode="bilinear", align_corners=True)[0]
    )


def test_checkpoint_brings_everything_back(images: Tensor, tmp_path: Path) -> None:
    model = DeepSSP(small(homogeneous=False, share_scales=False), Preprocess(size=97)).eval()
    save_model(tmp_path / "run", model)
    loaded = load_run(tmp_path / "run")
    assert loaded.config == model.config and loaded.preprocess == model.preprocess
    assert loaded.class_names == list(SOME)
    for ours, theirs in zip(loaded(images, "flying"), model(images, "flying")):
        assert torch.equal(ours, theirs)


def resnet_state(seed: int, backbone: str = "resnet18", width: float = 0.125) -> dict[str, Tensor]:
    """Tensors of a small ResNet by torchvision's names, with statistics that are not 0 and 1."""
    trunk = build_backbone(BackboneSpec(backbone, "none", width=width))[0].trunk
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in trunk.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + (0.5 if "var" in name else -0.3))
    return trunk.state_dict()


def trunk_of(model: DeepSSP, branch: int, scale: int = 0) -> dict[str, Tensor]:
    """The network's tensors under the names of an undivided ResNet."""
    net = model.nets[0][scale]
    state = {
        name: tensor for name, tensor in net.trunk.state_dict().items() if not name.startswith("layer4.1.")
    }
    return state | {f"layer4.1.{name}": t for name, t in net.branches[branch].block.state_dict().items()}


@pytest.mark.parametrize(("suffix", "prefix"), [(".pth", ""), (".pth", "module."), (".safetensors", "")])
def test_imagenet_weights_from_a_file(tmp_path: Path, seed: int, suffix: str, prefix: str) -> None:
    state = resnet_state(seed)
    file = tmp_path / f"weights{suffix}"
    written = {prefix + name: t.clone() for name, t in state.items()} | {"fc.weight": torch.zeros(3, 64)}
    if suffix == ".pth":
        torch.save({"state_dict": written, "epoch": 3}, file)
    else:
        save_file(written, file)
    model = DeepSSP(small(weights=str(file)))
    assert model.config.freeze_batch_norm and "ImageNet ResNet" in model.weights_report
    assert "left out: fc.weight" in model.weights_report
    for branch in range(3):
        found = trunk_of(model, branch)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], state[name]) for name in state if "num_batches" not in name)


@pytest.mark.parametrize("prefix", ["Scale.", "", "module.Scale."])
def test_deeplab_weights_from_a_file(tmp_path: Path, seed: int, prefix: str) -> None:
    state = {name: t for name, t in resnet_state(seed).items() if "num_batches" not in name}
    heads = {f"layer5.conv2d_list.{k}.{n}": torch.rand(s) for k in range(2) for n, s in
             (("weight", (5, 64, 3, 3)), ("bias", (5,)))}  # fmt: skip
    file = tmp_path / "deeplab.pth"
    torch.save({prefix + name: tensor for name, tensor in (state | heads).items()}, file)
    model = DeepSSP(small(weights=str(file)))
    assert "DeepLab-v2" in model.weights_report
    assert "5 labels loaded into large_animals, small_animals" in model.weights_report
    for number, labels in enumerate(model.config.branches.values()):
        convs = model.nets[0][0].branches[number].classifier.convs
        same = labels == 5 and all(
            torch.equal(conv.weight, heads[f"layer5.conv2d_list.{k}.weight"]) for k, conv in enumerate(convs)
        )
        assert same == (labels == 5)
    found = trunk_of(model, 0)
    assert all(
        torch.equal(found[n], state[n]) for n in state if n not in ("conv1.weight", "bn1.running_mean")
    )

    # What the file's stem makes of a BGR picture of 0..255 less the mean, ours makes of the normalised RGB one.
    rgb = torch.randint(0, 256, (1, 3, 40, 40)).float()
    caffe = rgb.flip(1) - torch.tensor([104.008, 116.669, 122.675]).view(1, 3, 1, 1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (model.preprocess.mean, model.preprocess.std))
    theirs = F.conv2d(caffe, state["conv1.weight"], stride=2, padding=3)
    theirs = F.batch_norm(
        theirs, *(state[f"bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
    )
    trunk = model.nets[0][0].trunk
    ours = trunk.bn1(trunk.conv1((rgb / 255 - mean) / std))
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=1e-4, atol=1e-2)
    copied = DeepSSP.from_metadata({"config": dataclasses.asdict(model.config)})
    assert copied.config.stride_in_1x1


def test_deeplab_bottlenecks_have_their_stride_in_the_first_convolution(tmp_path: Path) -> None:
    state = {"Scale." + name: tensor for name, tensor in torchvision.models.resnet50().state_dict().items()}
    state["Scale.layer5.conv2d_list.0.weight"] = torch.zeros(21, 2048, 3, 3)
    state["Scale.layer5.conv2d_list.0.bias"] = torch.zeros(21)
    torch.save(state, tmp_path / "deeplab50.pth")
    config = small(
        backbone="resnet50", width=1.0, weights=str(tmp_path / "deeplab50.pth"), categories={"cow": 5}
    )
    model = DeepSSP(config)
    assert "21 labels left out" in model.weights_report
    first = model.nets[0][0].trunk.layer2[0]
    assert first.conv1.stride == (2, 2) and first.conv2.stride == (1, 1)


def test_three_scales_in_a_file(tmp_path: Path, seed: int) -> None:
    states = [resnet_state(seed + k) for k in range(3)]
    written = {
        f"Scale{k + 1}.{name}": t.clone() for k, state in enumerate(states) for name, t in state.items()
    }
    save_file(written, tmp_path / "three.safetensors")
    path = str(tmp_path / "three.safetensors")
    apart = DeepSSP(small(weights=path, share_scales=False))
    for scale in range(3):
        found = trunk_of(apart, 1, scale)
        assert torch.equal(found["layer4.1.conv2.weight"], states[scale]["layer4.1.conv2.weight"])
        assert torch.equal(found["layer2.0.bn1.bias"], states[scale]["layer2.0.bn1.bias"])
    shared = DeepSSP(small(weights=path))
    assert torch.equal(trunk_of(shared, 0)["conv1.weight"], states[0]["conv1.weight"])
    assert "2 more left out" in shared.weights_report


def test_files_that_do_not_fit_are_refused(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "weights.pth"

    def refused(content: object, match: str) -> None:
        torch.save(content, file)
        with pytest.raises(ValueError, match=rf"weights\.pth: .*{match}"):
            DeepSSP(small(backbone="resnet10", weights=str(file)))

    state = resnet_state(seed, "resnet10")
    refused({"a.weight": torch.zeros(3)}, r"no tensor here belongs to a ResNet.*1 tensors \(a\.weight")
    refused({k: v for k, v in state.items() if k != "layer3.0.bn2.bias"}, r"layer3\.0\.bn2\.bias is missing")
    refused(
        resnet_state(seed, "resnet10", 0.25), r"conv1\.weight has the shape \[16, 3, 7, 7\], expected \[8"
    )
    refused(state | {"layer4.2.conv1.weight": torch.zeros(1)}, r"layer4\.2\.conv1\.weight is not part")
    refused([1, 2], "found list")
    refused({"model": Path("x")}, "tensors")
    file.write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"weights\.pth: not a file of tensors only"):
        DeepSSP(small(backbone="resnet10", weights=str(file)))
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        DeepSSP(small(backbone="resnet10", weights="nowhere.pth"))


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50"])
def test_fcn_adds_three_maps(backbone: str) -> None:
    config = small(
        net="fcn",
        backbone=backbone,
        width=1.0,
        scales=(1.0,),
        architecture="independent",
        categories={"cow": 5},
    )
    with torch.device("meta"):
        (found,) = DeepSSP(config)(torch.empty(2, 3, 321, 321), 0)
    side = 40 if backbone == "vgg16" else 41
    assert found.shape == (2, 5, side, side)


def test_vgg_classifier_becomes_convolutions(seed: int) -> None:
    from sketchfast.models.deepssp import _as_conv

    torch.manual_seed(seed)
    linear = nn.Linear(8 * 49, 6)
    maps = torch.randn(2, 8, 7, 7)
    found = _as_conv(linear, 8, 7)(maps)
    assert found.shape == (2, 6, 7, 7)
    torch.testing.assert_close(found[:, :, 3, 3], linear(maps.flatten(1)))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"categories": {}}, "categories must name"),
        ({"categories": {"cow": 6}}, r"categories\['cow'\] = 6 labels, but it has 4 parts"),
        ({"categories": {"teapot": 3}}, "'teapot' has no super category"),
        ({"architecture": "half"}, "architecture must be"),
        ({"net": "unet"}, "net must be"),
        ({"scales": (1.0, 2.0)}, r"scales .*2\.0"),
        ({"scales": ()}, "scales"),
        ({"dilations": (0, 6)}, "dilations"),
        ({"branches": {"flying": 9}}, "branches are"),
        ({"net": "fcn"}, "one scale"),
        ({"backbone": "vgg16"}, r"net='deeplab' needs one of resnet10.*'vgg16'"),
        ({"backbone": "resnet19"}, "resnet19"),
        ({"output_stride": 2}, "output_stride=2"),
    ],
)
def test_configs_that_contradict_themselves(changes: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        DeepSSP(small(**changes))


def test_calls_that_cannot_be_answered(images: Tensor) -> None:
    model = DeepSSP(small(architecture="full", categories={"teapot": 3, "cow": 5})).eval()
    assert model.labels_of("teapot") == {0: "background", 1: "part 1", 2: "part 2"}
    for call, match in (
        (lambda: model.branch_of("unicorn"), "'unicorn' is unknown.*teapot, cow"),
        (lambda: model(images, "unicorn"), "branch 'unicorn' is unknown"),
        (lambda: model(images, 2), r"branch must be 0\.\.1, got 2"),
        (lambda: model(images, torch.tensor([0, 0, 0, 0, 7])), "got 7"),
        (lambda: model(images, torch.tensor([0, 1])), r"tensor \[5\], got torch.int64 \[2\]"),
        (lambda: model(images, torch.zeros(5)), "float32"),
        (lambda: model(images[..., :32], 0), r"H, W >= 33, got \[5, 3, 49, 32\]"),
        (lambda: model(images[:, :1], 0), "images must be"),
        (lambda: model.parse(images, ["cow"]), "1 names for 5 images"),
    ):
        with pytest.raises(ValueError, match=match):
            call()
