"""Filling a DeepLab network from a weights file as people have them.

Recognised, under any prefix (``module.``, ``Scale.``, ...):
* a ResNet trained on ImageNet, torchvision's names, with or without its classifier ``fc``;
* a DeepLab-v2 ResNet converted from Caffe: the same names for conv1 to layer4, then ``layer5.conv2d_list.K`` for the
  classifiers, once, or three times under ``Scale1.``, ``Scale2.``, ``Scale3.``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sketchfast.models.backbones import read_state_dict

_CAFFE_MEAN = (104.008, 116.669, 122.675)  # B, G, R of 0..255, subtracted from the input of Caffe's ResNets
_MARK = "layer1.0.conv1.weight"
_TRUNK = re.compile(r"(conv1|bn1|layer[1-4])\.")
_CLASSIFIER = re.compile(r"layer5\.conv2d_list\.(\d+)\.(weight|bias)")


@dataclass(frozen=True)
class PretrainedResNet:
    """A weights file, read: ``trunks`` (one, or one for each scale) by the names of conv1 to layer4, and the DeepLab
    classifiers beside them as [(weight [L, channels, 3, 3], bias [L]), ...], one for each dilation; empty if none."""

    file: str
    deeplab: bool
    trunks: list[dict[str, Tensor]]
    classifiers: list[list[tuple[Tensor, Tensor]]]
    left_out: list[str]

    @property
    def num_labels(self) -> int:
        """Labels of the DeepLab classifiers, 0 without them."""
        return self.classifiers[0][0][0].shape[0] if self.classifiers and self.classifiers[0] else 0


def read_pretrained_resnet(path: str) -> PretrainedResNet:
    """Raises FileNotFoundError or ValueError, naming the file, when it is not one of the layouts above."""
    state = read_state_dict(path)
    prefixes = sorted(name[: -len(_MARK)] for name in state if name == _MARK or name.endswith("." + _MARK))
    if not prefixes:
        names = ", ".join(list(state)[:4]) or "none"
        raise ValueError(
            f"{path}: no tensor here belongs to a ResNet: expected names like {_MARK} or Scale.{_MARK}; "
            f"the file has {len(state)} tensors ({names}, ...)"
        )
    trunks, classifiers, used = [], [], set()
    for prefix in prefixes:
        inside = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
        trunk = {name: tensor for name, tensor in inside.items() if _TRUNK.match(name)}
        heads: dict[int, dict[str, Tensor]] = {}
        for name, tensor in inside.items():
            if found := _CLASSIFIER.fullmatch(name):
                heads.setdefault(int(found[1]), {})[found[2]] = tensor
        trunks.append(trunk)
        classifiers.append(
            [(head["weight"], head["bias"]) for _, head in sorted(heads.items()) if len(head) == 2]
        )
        used |= {prefix + name for name in trunk}
        used |= {prefix + name for name in inside if _CLASSIFIER.fullmatch(name)}
    return PretrainedResNet(
        str(path), any(classifiers), trunks, classifiers, [name for name in state if name not in used]
    )


@torch.no_grad()
def fill_trunk(trunk: nn.Module, tensors: dict[str, Tensor], file: str) -> int:
    """Copy the tensors into a ResNet trunk; how many. ValueError unless names and shapes are exactly the trunk's.

    Counters of batch normalisation (``num_batches_tracked``) may be missing: Caffe has none.
    """
    expected = {
        name: tensor
        for name, tensor in trunk.state_dict(keep_vars=True).items()
        if not name.endswith("num_batches_tracked")
    }
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
    faults = [f"{name} is missing" for name in expected if name not in found]
    faults += [f"{name} is not part of the network" for name in found if name not in expected]
    faults += [
        f"{name} has the shape {list(found[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    if faults:
        rest = f"; and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise ValueError(f"{file}: these are not the weights of this ResNet: {'; '.join(faults[:4])}{rest}")
    for name, tensor in expected.items():
        tensor.copy_(found[name])
    return len(expected)


@torch.no_grad()
def take_normalised_rgb(trunk: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Rewrite the stem of a Caffe ResNet, which reads BGR of 0..255 less its mean, for RGB as (value/255 - mean)/std.

    x_caffe = 255 std y + (255 mean - mean_caffe): the factor goes into conv1, the constant into bn1's running mean.
    The result is the same but at the border, where the constant (at most 1 grey level) is padded with zeros.
    """
    conv, norm = trunk.get_submodule("conv1"), trunk.get_submodule("bn1")
    weight, running_mean = conv.weight, norm.running_mean
    assert isinstance(weight, Tensor) and isinstance(running_mean, Tensor)
    rgb = weight.flip(1).double()
    scale = 255 * torch.tensor(std, dtype=torch.float64)
    shift = 255 * torch.tensor(mean, dtype=torch.float64) - torch.tensor(_CAFFE_MEAN[::-1]).double()
    running_mean.sub_((rgb.sum(dim=(2, 3)) @ shift).to(running_mean))
    weight.copy_((rgb * scale[None, :, None, None]).to(weight))
