"""Feature extractors: image -> last feature map -> pooled feature, with the ImageNet classifier beside them.

A backbone keeps the two halves apart so that an attention module can sit between them, and hands out its
ImageNet classifier so that TCN can factorise it and build the teacher.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from sketchfast.models.sketch_a_net import CHANNELS, FEATURES, sketch_a_net
from sketchfast.runtime.preprocess import IMAGENET_MEAN, IMAGENET_STD

RESNETS = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),  # for training from scratch on little data; no pretrained weights
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
VGGS = {"vgg16": "vgg16_bn", "vgg19": "vgg19_bn"}  # TCN's table 3 uses them with batch normalisation
PLAIN_VGG = "vgg16_plain"  # VGG-16 as first published, without batch normalisation
SE_RESNETS = ("se_resnet50", "cse_resnet50")
BACKBONES: tuple[str, ...] = (
    *RESNETS,
    *VGGS,
    PLAIN_VGG,
    *SE_RESNETS,
    "alexnet",
    "googlenet",
    "inception_v3",
    "sketch_a_net",
    "timm:<model name>",
)
UNPUBLISHED = ("resnet10", "sketch_a_net")  # without ImageNet weights
SMALLEST = {
    "inception_v3": 75,
    "sketch_a_net": 81,
}  # side in pixels of the least image, where it is not a small one

Modality = Literal["sketch", "photo"]


class Backbone(nn.Module):
    """[B, 3, S, S] -> [B, num_features], in two halves: ``feature_map`` [B, num_channels, h, w], then ``pool``."""

    def __init__(self, trunk: nn.Module, head: nn.Module, num_channels: int, num_features: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head
        self.num_channels, self.num_features = num_channels, num_features

    def feature_map(self, images: Tensor) -> Tensor:
        return self.trunk(images)

    def pool(self, features: Tensor) -> Tensor:
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.pool(self.feature_map(images))


@dataclass
class BackboneSpec:
    """What to build.

    name: one of BACKBONES. weights: "imagenet", "none", or the path of a local state dict (.pth, .pt,
    .safetensors) of the torchvision or timm model, its classifier included (of "sketch_a_net": of our own, with or without
    one named fc8).
    stem: "imagenet" (7x7 stride 2 and max pooling) or "small" (3x3 stride ``stem_stride``, no pooling: keeps
    a 64-pixel image from shrinking to 2x2). width: multiplies the channels of a basic-block ResNet.
    """

    name: str = "resnet50"
    weights: str = "imagenet"
    stem: Literal["imagenet", "small"] = "imagenet"
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0


def build_backbone(spec: BackboneSpec) -> tuple[Backbone, nn.Linear | None]:
    """(backbone, its ImageNet classifier); the classifier is None without pretrained weights.

    Raises ValueError for an unknown name or a shape that pretrained weights cannot fill, FileNotFoundError
    for a missing weights file, RuntimeError when ImageNet weights cannot be had.
    """
    if spec.name not in BACKBONES[:-1] and not spec.name.startswith("timm:"):
        raise ValueError(f"backbone {spec.name!r} is unknown; expected one of {', '.join(BACKBONES)}")
    if spec.weights not in ("imagenet", "none"):
        _weights_file(spec.weights)
    if spec.weights == "imagenet" and spec.name in UNPUBLISHED:
        raise ValueError(
            f"backbone {spec.name!r} has no ImageNet weights; use weights='none' or a local file"
        )
    if spec.weights != "none" and (spec.stem != "imagenet" or spec.width != 1.0):
        raise ValueError(
            f"stem={spec.stem!r} with width={spec.width} has no pretrained weights; use weights='none'"
        )
    backbone: Backbone
    classifier: nn.Linear | None
    if spec.name in RESNETS:
        backbone, classifier = _resnet(spec)
    elif spec.stem != "imagenet" or spec.width != 1.0:
        raise ValueError(f"stem and width apply to {', '.join(RESNETS)} only, not to {spec.name!r}")
    elif spec.name in (*VGGS, PLAIN_VGG, "alexnet"):
        backbone, classifier = _up_to_fc7(spec)
    elif spec.name == "googlenet":
        backbone, classifier = _googlenet(spec)
    elif spec.name == "inception_v3":
        backbone, classifier = _inception_v3(spec)
    elif spec.name == "sketch_a_net":
        net = sketch_a_net()
        _load_weights(net, spec, spec.name, unused=("fc8.",))
        trunk, head = net.children()
        backbone, classifier = Backbone(trunk, head, CHANNELS, FEATURES), None
    elif spec.name in SE_RESNETS:
        backbone, classifier = _timm("seresnet50", spec)
        if spec.name == "cse_resnet50":
            condition_squeeze_excitation(backbone)
    else:
        backbone, classifier = _timm(spec.name.removeprefix("timm:"), spec)
    return backbone, classifier if spec.weights != "none" else None


def _resnet(spec: BackboneSpec) -> tuple[Backbone, nn.Linear]:
    block, layers = RESNETS[spec.name]
    if spec.width != 1.0 and block is not BasicBlock:
        raise ValueError(
            f"width={spec.width} is for resnet10, resnet18 and resnet34; {spec.name} has fixed widths"
        )
    net = torchvision.models.resnet.ResNet(block, list(layers))
    if spec.width != 1.0:
        _set_width(net, layers, spec.width)
    if spec.stem == "small":
        net.conv1 = nn.Conv2d(
            3, net.conv1.out_channels, kernel_size=3, stride=spec.stem_stride, padding=1, bias=False
        )
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    _load_weights(net, spec, spec.name)
    trunk = nn.Sequential(OrderedDict(list(net.named_children())[:-2]))  # all but avgpool and fc
    channels = net.fc.in_features
    return Backbone(trunk, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels, channels), net.fc


def _set_width(net: torchvision.models.ResNet, layers: tuple[int, ...], width: float) -> None:
    """Rebuild the stem and stages with ``width`` times the channels; torchvision fixes them at 64 to 512."""
    planes = [max(8, round(64 * 2**stage * width / 8) * 8) for stage in range(4)]
    net.conv1 = nn.Conv2d(3, planes[0], kernel_size=7, stride=2, padding=3, bias=False)
    net.bn1 = nn.BatchNorm2d(planes[0])
    net.inplanes = planes[0]
    for stage in range(4):
        setattr(
            net,
            f"layer{stage + 1}",
            net._make_layer(BasicBlock, planes[stage], layers[stage], stride=1 + (stage > 0)),
        )
    net.fc = nn.Linear(planes[3], net.fc.out_features)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def dilate_resnet(trunk: nn.Module, output_stride: int, *, stride_in_1x1: bool = False) -> None:
    """Make a ResNet trunk of ``build_backbone`` end at ``output_stride`` pixels a cell, as DeepLab does; in place.

    From the first stage that would go beyond, strides become 1 and every 3x3 convolution of the stage is spread by the
    strides that were dropped so far: at output stride 8 layer3 has dilation 2 and layer4 dilation 4, the first block of
    each included (torchvision's own option leaves the first block at the dilation before it). No weight changes.
    stride_in_1x1: the strides that remain sit in a bottleneck's first convolution, as in Caffe's ResNets and the
        DeepLab weights made from them; torchvision has them in the 3x3 one.

    Raises ValueError when the trunk is no ResNet or cannot end at this stride.
    """
    stages = [getattr(trunk, f"layer{number}", None) for number in (1, 2, 3, 4)]
    if any(stage is None for stage in stages):
        raise ValueError(f"only ResNets can be dilated, expected layer1 to layer4 in {type(trunk).__name__}")
    stem, pooling = trunk.get_submodule("conv1"), trunk.get_submodule("maxpool")
    stride = int(getattr(stem, "stride", (1, 1))[0]) * (1 if isinstance(pooling, nn.Identity) else 2)
    dilation, smallest = 1, stride
    for stage in stages:
        blocks: list[Any] = list(stage)  # type: ignore[arg-type]
        first = blocks[0]
        step = first.conv2.stride[0] * first.conv1.stride[0]
        if stride * step > output_stride:
            dilation *= step
            step = 1
        stride *= step
        for number, block in enumerate(blocks):
            strided = step if number == 0 else 1
            bottleneck = isinstance(block, Bottleneck)
            early = (
                not bottleneck or stride_in_1x1
            )  # basic blocks have their stride in the first 3x3 convolution
            block.conv1.stride = (strided, strided) if early else (1, 1)
            block.conv2.stride = (1, 1) if early else (strided, strided)
            if block.downsample is not None:
                block.downsample[0].stride = (strided, strided)
            for conv in (block.conv2,) if bottleneck else (block.conv1, block.conv2):
                conv.dilation = conv.padding = (dilation, dilation)
    if stride != output_stride:
        raise ValueError(
            f"output_stride={output_stride} cannot be had from a stem of stride {smallest}; "
            f"expected one of {', '.join(str(smallest * factor) for factor in (1, 2, 4, 8))}"
        )


def _up_to_fc7(spec: BackboneSpec) -> tuple[Backbone, nn.Linear]:
    """VGG or AlexNet up to fc7: 4096 features, so that the ImageNet classifier (fc8) factorises as ResNet's does."""
    name = {**VGGS, PLAIN_VGG: "vgg16"}.get(spec.name, spec.name)
    net = torchvision.models.get_model(name, weights=None)
    _load_weights(net, spec, name)
    head = nn.Sequential(net.avgpool, nn.Flatten(), *list(net.classifier.children())[:-1])
    return Backbone(net.features, head, 256 if name == "alexnet" else 512, 4096), net.classifier[-1]


class HalfCentred(nn.Module):
    """From ImageNet's mean and deviation to 0.5 and 0.5, what torchvision's GoogLeNet and Inception weights were
    trained with."""

    def forward(self, images: Tensor) -> Tensor:
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        return images * (std / 0.5) + (mean - 0.5) / 0.5


def _googlenet(spec: BackboneSpec) -> tuple[Backbone, nn.Linear]:
    """GoogLeNet without its auxiliary classifiers; from scratch too its input is centred as with pretrained weights."""
    net = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=spec.weights == "none")
    _load_weights(net, spec, spec.name, unused=("aux1.", "aux2."))
    layers = list(net.named_children())[:-3]  # all but avgpool, dropout and fc
    trunk = nn.Sequential(OrderedDict([("input", HalfCentred()), *layers]))
    head = nn.Sequential(net.avgpool, nn.Flatten(), net.dropout)
    return Backbone(trunk, head, 1024, 1024), net.fc


def _inception_v3(spec: BackboneSpec) -> tuple[Backbone, nn.Linear]:
    """Inception-v3, made for 299 pixels (75 or more will do): centred as GoogLeNet is, without its auxiliary classifier.

    Nor with its dropout of one half, which is the classifier's: the pooled feature itself is compared in retrieval.
    """
    net = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=spec.weights == "none")
    _load_weights(net, spec, spec.name, unused=("AuxLogits.",))
    layers = [
        (name, layer) for name, layer in net.named_children() if name not in ("avgpool", "dropout", "fc")
    ]
    trunk = nn.Sequential(OrderedDict([("input", HalfCentred()), *layers]))
    return Backbone(trunk, nn.Sequential(net.avgpool, nn.Flatten()), 2048, 2048), net.fc


class TimmBackbone(Backbone):
    """A timm model: timm's own pooling reads tokens or a map as the model needs."""

    trunk: Any  # timm's interface: forward_features, forward_head

    def __init__(self, net: Any) -> None:
        super().__init__(
            net, nn.Identity(), net.num_features, getattr(net, "head_hidden_size", net.num_features)
        )

    def feature_map(self, images: Tensor) -> Tensor:
        return self.trunk.forward_features(images)

    def pool(self, features: Tensor) -> Tensor:
        return self.trunk.forward_head(features, pre_logits=True)


def _timm(name: str, spec: BackboneSpec) -> tuple[Backbone, nn.Linear | None]:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"backbone {spec.name!r} needs timm: pip install 'sketchfast[backbones]'"
        ) from error
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "none"
        raise ValueError(f"timm has no model {name!r}; similar names: {near}")
    if spec.weights == "imagenet":
        net = _download(lambda: timm.create_model(name, pretrained=True), f"timm's {name}")
    else:
        net = timm.create_model(name, pretrained=False)
        if spec.weights != "none":
            net.load_state_dict(read_state_dict(spec.weights))
    classifier = net.get_classifier()
    net.reset_classifier(0)
    return TimmBackbone(net), classifier if isinstance(classifier, nn.Linear) else None


def _load_weights(net: nn.Module, spec: BackboneSpec, name: str, unused: tuple[str, ...] = ()) -> None:
    """unused: how the names of tensors begin that the file may hold and `net` has no place for."""
    if spec.weights == "none":
        return
    if spec.weights == "imagenet":
        # V1: the weights that existed when the papers were written.
        weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
        state = _download(
            lambda: weights.get_state_dict(progress=True, check_hash=True), f"torchvision's {name}"
        )
    else:
        state = read_state_dict(spec.weights)
    state = {key: value for key, value in state.items() if not key.startswith(unused)}
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{spec.weights}: these are not the weights of {name}: {error}") from error


def _download(fetch, what: str):
    try:
        return fetch()
    except Exception as error:  # the loaders raise URLError, OSError, hub and hash errors alike
        raise RuntimeError(
            f"the ImageNet weights of {what} could not be loaded ({type(error).__name__}: {error}). "
            "Give a local file with --model.weights PATH, or train from scratch with --model.weights none."
        ) from error


def _weights_file(path: str) -> Path:
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no weights file there; expected 'imagenet', 'none' or a .pth/.safetensors file"
        )
    return file


def read_state_dict(path: str) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors or .pth file; nothing in the file is run. Errors name the file."""
    file = _weights_file(path)
    if file.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged, not a safetensors file ({error})") from None
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: not a file of tensors only (a damaged file, or a pickle that would run code): {reason}"
        ) from None
    for key in ("state_dict", "model", "model_state_dict"):  # what training scripts wrap a state dict in
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path}: expected a state dict (name -> tensor), found {type(state).__name__}")
    return state


class ConditionalSqueezeExcitation(nn.Module):
    """Squeeze-excitation whose gate also sees the modality (CSE, Lu et al. 2018, used by SAKE and TCN's table 3).

    The squeezed vector is extended by one number, 0 for a sketch and 1 for a photo, before the first layer.
    The added column starts at zero, so pretrained SE weights give the SE network exactly.
    ``flag`` is a buffer set once per tower: an exported encoder carries its own.
    """

    flag: Tensor

    def __init__(self, module: Any) -> None:
        super().__init__()
        reduce: nn.Conv2d = module.fc1
        self.fc1 = nn.Conv2d(
            reduce.in_channels + 1, reduce.out_channels, kernel_size=1, bias=reduce.bias is not None
        )
        with torch.no_grad():
            self.fc1.weight.zero_()
            self.fc1.weight[:, :-1] = reduce.weight
            if self.fc1.bias is not None and reduce.bias is not None:
                self.fc1.bias.copy_(reduce.bias)
        self.bn, self.act, self.fc2, self.gate = module.bn, module.act, module.fc2, module.gate
        self.register_buffer("flag", torch.zeros(1))

    def forward(self, features: Tensor) -> Tensor:
        squeezed = features.mean(dim=(2, 3), keepdim=True)
        flag = self.flag.to(squeezed.dtype).view(1, 1, 1, 1).expand(squeezed.shape[0], 1, 1, 1)
        gate = self.fc2(self.act(self.bn(self.fc1(torch.cat([squeezed, flag], dim=1)))))
        return features * self.gate(gate)


def condition_squeeze_excitation(backbone: nn.Module) -> None:
    """Replace every timm SE module of the backbone by its conditional form."""
    for module in list(backbone.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ == "SEModule":
                setattr(module, name, ConditionalSqueezeExcitation(child))


def set_modality(backbone: nn.Module, modality: Modality) -> None:
    """Tell every conditional SE module of a tower which modality it serves; does nothing for other backbones."""
    for module in backbone.modules():
        if isinstance(module, ConditionalSqueezeExcitation):
            module.flag.fill_(float(modality == "photo"))


class Teacher(nn.Module):
    """The frozen ImageNet model of TCN's distillation: [B, 3, S, S] -> logits [B, 1000].

    Always in evaluation mode and without gradients; ``train()`` leaves it so.
    """

    def __init__(self, backbone: Backbone, classifier: nn.Linear) -> None:
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> Teacher:
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.backbone(images))
