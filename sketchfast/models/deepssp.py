"""The network of DeepSSP: Zheng, Yao and Sun, "Deep semantic parsing of freehand sketches with homogeneous
transformation, soft-weighted loss, and staged learning", section III-D and IV-B.

A DeepLab-v2 ResNet read at several scales of the image, cut after res5b: what comes before ("trunk") is shared, the
last block of layer4 and the classifiers ("branch") belong to one super category or one category. A ResNet whose layer4
has a single block (resnet10) is cut before layer4.

    image -> trunk at scale 1, 0.75, 0.5 -> branch -> logits of each scale -> enlarged to the largest, maximum

The network returns the logits of every scale and of the fusion; the loss is the recipe's.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchfast.models.backbones import RESNETS, VGGS, BackboneSpec, build_backbone, dilate_resnet
from sketchfast.models.deeplab_weights import fill_trunk, read_pretrained_resnet, take_normalised_rgb
from sketchfast.runtime.preprocess import Preprocess

Architecture = Literal["super", "full", "independent"]

#: Smallest side of an input, pixels: the smallest scale still has a few cells.
MIN_SIDE = 33


@dataclass
class DeepSSPConfig:
    """The network, and how its images are prepared; what it is trained with lives in train/deepssp.py."""

    backbone: str = "resnet101"  # any ResNet of `backbones.RESNETS`; with net="fcn" vgg16 and vgg19 too
    weights: str = (
        "imagenet"  # "imagenet", "none" (from scratch) or a local file: ImageNet ResNet or DeepLab-v2
    )
    stem: Literal["imagenet", "small"] = "imagenet"  # "small": 3x3, no pooling
    stem_stride: Literal[1, 2] = 2  # of the small stem
    width: float = 1.0  # channels of resnet10, resnet18 and resnet34, relative to the original
    net: Literal["deeplab", "fcn"] = "deeplab"  # "fcn": FCN-8s, the first row of table VIII
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)  # fcn: 1 only
    share_scales: bool = (
        True  # one set of weights for all scales (D); False: a copy for each, as SketchParse's code has
    )
    dilations: tuple[int, ...] = (6, 12, 18, 24)  # of the summed 3x3 classifiers, in cells
    output_stride: int = 8  # pixels a cell at scale 1; 4 for small images
    architecture: Architecture = "super"
    """super: one trunk, a branch for each super category. full: one trunk, a branch for each category.
    independent: a complete network for each category."""
    categories: dict[str, int] = field(default_factory=dict)  # labels of each category, background included
    branches: dict[str, int] = field(
        default_factory=dict
    )  # labels of each branch; filled from the others if empty
    super_of: dict[str, str] = field(default_factory=dict)  # category -> branch; the paper's table I if empty
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)  # part names; SketchParse's if empty
    freeze_batch_norm: bool | None = None  # statistics, scale and shift stay as loaded; None: when pretrained
    category_head: bool = True  # classifier of the category on the trunk (ours, D); none when independent
    pose_classes: int = 0  # > 0: a pose classifier in each branch, as the network of MM'17 has (table VIII)
    homogeneous: bool = True  # images go through the homogeneous transformation
    threshold: int = 128  # of the homogeneous transformation: darker is ink
    adaptive_threshold: bool = False  # raise it for pictures of faint lines (ours), see `data.centreline.ink`
    stride_in_1x1: bool = False  # set by loading DeepLab weights, see `dilate_resnet`


class ASPP(nn.Module):
    """DeepLab-v2's classifier: 3x3 convolutions of several dilations, summed. [N, c, h, w] -> [N, L, h, w]."""

    def __init__(self, channels: int, num_labels: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, num_labels, kernel_size=3, padding=dilation, dilation=dilation)
            for dilation in dilations
        )
        _start_classifiers(self)

    def forward(self, x: Tensor) -> Tensor:
        total = self.convs[0](x)
        for conv in self.convs[1:]:
            total = total + conv(x)
        return total


class DeepLabBranch(nn.Module):
    """The last block of layer4 (all of it where it has one) and the ASPP; ``pose`` reads the mean of the block's map."""

    def __init__(self, block: nn.Module, channels: int, num_labels: int, config: DeepSSPConfig) -> None:
        super().__init__()
        self.block = block
        self.classifier = ASPP(channels, num_labels, config.dilations)
        self.pose = nn.Linear(channels, config.pose_classes) if config.pose_classes else None

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """The trunk's maps -> (logits [N, L, h, w], pose logits [N, pose_classes] or None)."""
        hidden = self.block(features[-1])
        return self.classifier(hidden), None if self.pose is None else self.pose(hidden.mean(dim=(2, 3)))


class CategoryHead(nn.Module):
    """Which category a sketch is of, from the trunk's map [N, c, h, w] -> [N, categories] (ours, D).

    Two strided convolutions, the mean, a linear layer. The trunk learns nothing from it: it is given detached maps.
    """

    def __init__(self, channels: int, num_categories: int) -> None:
        super().__init__()
        hidden = min(256, 32 * math.ceil(channels / 16))
        layers: list[nn.Module] = []
        for inputs in (channels, hidden):
            layers.append(nn.Conv2d(inputs, hidden, kernel_size=3, stride=2, padding=1, bias=False))
            # By groups: independent of the batch, and of whether the network's batch normalisation is frozen.
            layers += [nn.GroupNorm(8, hidden), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(hidden, num_categories)

    def forward(self, features: Tensor) -> Tensor:
        return self.classifier(self.layers(features).mean(dim=(2, 3)))


class DeepLabTrunk(nn.Sequential):
    """Stem to the last shared block: [N, 3, H, W] -> a list of one map."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [super().forward(images)]


class FCNTrunk(nn.Module):
    """Maps at strides 8, 16 and 32 for FCN-8s: VGG's pool3, pool4 and fc7 as convolutions, or layer2 to layer4."""

    def __init__(self, eighth: nn.Module, sixteenth: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.eighth, self.sixteenth, self.last = eighth, sixteenth, last

    def forward(self, images: Tensor) -> list[Tensor]:
        eighth = self.eighth(images)
        sixteenth = self.sixteenth(eighth)
        return [eighth, sixteenth, self.last(sixteenth)]


class FCNBranch(nn.Module):
    """FCN-8s (Long, Shelhamer and Darrell 2015): 1x1 classifiers on three maps, summed from coarse to fine.

    Bilinear enlarging without learned filters, and no padding of the image by 100 pixels (D).
    """

    def __init__(self, channels: Sequence[int], num_labels: int) -> None:
        super().__init__()
        self.classifier = nn.ModuleList(nn.Conv2d(count, num_labels, kernel_size=1) for count in channels)
        _start_classifiers(self)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, None]:
        total = self.classifier[-1](features[-1])
        for level in (1, 0):
            score = self.classifier[level](features[level])
            total = score + _resize(total, score.shape[-2:])
        return total, None


class ScaleNet(nn.Module):
    """What reads the image at one scale (or at all of them, when they share weights): a trunk and its branches."""

    def __init__(self, trunk: nn.Module, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.trunk, self.branches = trunk, nn.ModuleList(branches)


class Auxiliary(NamedTuple):
    """Logits beside the masks': ``category`` [N, categories], ``pose`` [N, pose_classes]; None where there is no head."""

    category: Tensor | None
    pose: Tensor | None


class ParsedBatch(NamedTuple):
    """logits: for each image float32 [L, H, W], L the labels of its category, -inf where the category has no such part.
    masks: their arg-max, uint8 [N, H, W]."""

    logits: list[Tensor]
    masks: Tensor


class DeepSSP(nn.Module):
    """Images to part logits, one branch for each super category or category.

    A branch is named or numbered in the order of ``config.branches``; labels are 0 for background and k for the k-th
    part. ``class_names`` are the categories in the order of the category head. ``weights_report`` says what was loaded
    from a weights file. ``preprocess`` travels with the checkpoint.

    Raises ValueError for a config that does not fit together, FileNotFoundError or ValueError for a weights file,
    RuntimeError when ImageNet weights cannot be had.
    """

    category_head: CategoryHead | None

    def __init__(self, config: DeepSSPConfig, preprocess: Preprocess | None = None) -> None:
        super().__init__()
        self.config = config = complete(config)
        self.preprocess = preprocess or Preprocess(size=321)
        self.class_names = list(config.categories)
        self.branch_names = list(config.branches)
        self.weights_report = "no weights loaded"
        self._shared_frozen = False

        independent = config.architecture == "independent"
        counts = list(config.branches.values())
        trunks, make_branch, channels = self._build()
        copies = 1 if config.share_scales else len(config.scales)

        def scale_nets(labels: Sequence[int]) -> nn.ModuleList:
            nets = []
            for number in range(copies):
                trunk = copy.deepcopy(trunks[number % len(trunks)])
                nets.append(ScaleNet(trunk, [make_branch(count, number % len(trunks)) for count in labels]))
            return nn.ModuleList(nets)

        # nets[g][s]: one group g for all branches, or one for each category; s the scale's own copy.
        groups = [[count] for count in counts] if independent else [counts]
        self.nets = nn.ModuleList(scale_nets(labels) for labels in groups)
        self.category_head = CategoryHead(channels, len(self.class_names)) if config.category_head else None
        if config.freeze_batch_norm:
            for norm in self._batch_norms():
                norm.requires_grad_(False)
        self.train()

    def _build(self) -> tuple[list[nn.Module], Any, int]:
        """(trunks: one, or one for each scale of a weights file; branch maker (labels, trunk number); trunk channels)."""
        config = self.config
        if config.net == "fcn":
            trunk, map_channels = _fcn_trunk(config)
            if config.weights != "none":
                self.weights_report = f"{config.weights}: ImageNet weights of {config.backbone}"
            return [trunk], lambda labels, _: FCNBranch(map_channels, labels), map_channels[-1]
        from_file = config.weights not in ("none", "imagenet")
        spec = _spec(config)
        backbone, _ = build_backbone(dataclasses.replace(spec, weights="none") if from_file else spec)
        stages: list[nn.Module] = [backbone.trunk]
        heads: list[list[tuple[Tensor, Tensor]]] = []
        if from_file:
            stages, heads = self._load(backbone.trunk)
        elif config.weights == "imagenet":
            self.weights_report = f"ImageNet weights of {config.backbone}, by torchvision"
        for stage in stages:
            dilate_resnet(stage, config.output_stride, stride_in_1x1=config.stride_in_1x1)
        parts = [split_last_block(stage) for stage in stages]

        def make_branch(labels: int, number: int) -> DeepLabBranch:
            branch = DeepLabBranch(copy.deepcopy(parts[number][1]), backbone.num_channels, labels, config)
            if heads and _fits(heads[number], labels, config.dilations):
                with torch.no_grad():
                    for conv, (weight, bias) in zip(branch.classifier.convs, heads[number]):
                        conv.get_parameter("weight").copy_(weight)
                        conv.get_parameter("bias").copy_(bias)
            return branch

        return [trunk for trunk, _ in parts], make_branch, _out_channels(parts[0][0])

    def _load(self, trunk: nn.Module) -> tuple[list[nn.Module], list[list[tuple[Tensor, Tensor]]]]:
        config = self.config
        found = read_pretrained_resnet(config.weights)
        wanted = 1 if config.share_scales else len(config.scales)
        used = len(found.trunks) if len(found.trunks) == wanted else 1
        stages = [trunk] + [copy.deepcopy(trunk) for _ in range(used - 1)]
        count = 0
        for stage, tensors in zip(stages, found.trunks):
            count += fill_trunk(stage, tensors, found.file)
            if found.deeplab:
                take_normalised_rgb(stage, self.preprocess.mean, self.preprocess.std)
        config.stride_in_1x1 = found.deeplab
        said = [
            f"{found.file}: {'DeepLab-v2' if found.deeplab else 'ImageNet'} ResNet, {count} tensors loaded"
        ]
        if len(found.trunks) > used:
            said.append(f"its copy for scale 1 taken, {len(found.trunks) - used} more left out")
        if found.deeplab:
            fitting = [
                name
                for name, labels in config.branches.items()
                if _fits(found.classifiers[0], labels, config.dilations)
            ]
            said.append(
                f"classifiers of {found.num_labels} labels "
                + (f"loaded into {', '.join(fitting)}" if fitting else "left out, no branch has as many")
            )
            said.append("its first convolution rewritten from BGR of 0..255 to this input")
        if found.left_out:
            said.append(
                f"left out: {', '.join(found.left_out[:6])}" + (", ..." if found.left_out[6:] else "")
            )
        self.weights_report = "; ".join(said)
        return stages, found.classifiers

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> DeepSSP:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        fields = dict(metadata["config"])
        for name in ("scales", "dilations"):
            fields[name] = tuple(fields[name])
        fields["parts"] = {category: tuple(names) for category, names in fields["parts"].items()}
        weights = fields.pop("weights")
        preprocess = metadata.get("preprocess")
        model = cls(
            DeepSSPConfig(**fields, weights="none"),
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )
        model.config.weights = weights
        return model

    # -- names

    def branch_of(self, category: str) -> int:
        """The number of the branch that parses this category. ValueError lists the known ones."""
        config = self.config
        if category not in config.categories:
            raise ValueError(
                f"category {category!r} is unknown to this model; it knows {', '.join(config.categories)}"
            )
        name = config.super_of[category] if config.architecture == "super" else category
        return self.branch_names.index(name)

    def labels_of(self, category: str) -> dict[int, str]:
        """The labels a mask of this category may hold, 0 "background" first; ids that no part has are left out."""
        self.branch_of(category)
        names = self.config.parts[category]
        return {0: "background"} | {
            number: name for number, name in enumerate(names, start=1) if not name.startswith("dont care")
        }

    def _branch_number(self, branch: int | str) -> int:
        if isinstance(branch, str):
            if branch not in self.branch_names:
                raise ValueError(
                    f"branch {branch!r} is unknown; expected one of {', '.join(self.branch_names)}"
                )
            return self.branch_names.index(branch)
        if not 0 <= branch < len(self.branch_names):
            raise ValueError(f"branch must be 0..{len(self.branch_names) - 1}, got {branch}")
        return branch

    # -- forward

    @overload
    def forward(self, images: Tensor, branch: int | str) -> list[Tensor]: ...

    @overload
    def forward(self, images: Tensor, branch: Tensor) -> dict[int, tuple[Tensor, list[Tensor]]]: ...

    @overload
    def forward(
        self, images: Tensor, branch: int | str | Tensor, *, auxiliary: Literal[True]
    ) -> tuple[Any, Auxiliary]: ...

    def forward(self, images: Tensor, branch: int | str | Tensor, *, auxiliary: bool = False) -> Any:
        """Logits of every scale and, last, of their fusion.

        images: float32 [N, 3, H, W], H and W at least 33. branch: one for the whole batch, or an int64 tensor [N].

        With one branch: a list of [N, L, h, w], one for each scale in that scale's own resolution, then the fused one
        in the largest; a single tensor where there is one scale. With a tensor: {branch number: (indices of its images
        int64 [n], such a list for them)}; the trunk runs once over all images.
        auxiliary: return (the above, Auxiliary) instead; the category is read from the trunk, behind a detach.
        """
        if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < MIN_SIDE:
            raise ValueError(f"images must be [N, 3, H, W] with H, W >= {MIN_SIDE}, got {list(images.shape)}")
        outputs: Any
        if not isinstance(branch, Tensor):
            number = self._branch_number(branch)
            shared: list[list[Tensor]] | None = self._features(images, self._place(number)[0])
            assert shared is not None
            outputs, pose = self._parse(shared, number)
        else:
            outputs, pose, shared = self._forward_rows(images, branch)
        if not auxiliary:
            return outputs
        return outputs, Auxiliary(None if shared is None else self._category(shared), pose)

    def _forward_rows(
        self, images: Tensor, branch: Tensor
    ) -> tuple[dict[int, tuple[Tensor, list[Tensor]]], Tensor | None, list[list[Tensor]] | None]:
        if branch.shape != (len(images),) or branch.is_floating_point() or branch.dtype == torch.bool:
            raise ValueError(
                f"branch must be a whole-number tensor [{len(images)}], got {branch.dtype} {list(branch.shape)}"
            )
        present = sorted({self._branch_number(number) for number in branch.tolist()})
        shared = None if self.config.architecture == "independent" else self._features(images, 0)
        outputs: dict[int, tuple[Tensor, list[Tensor]]] = {}
        poses: list[tuple[Tensor, Tensor]] = []
        for number in present:
            rows = (branch == number).nonzero().flatten().to(images.device)
            whole = len(rows) == len(images)
            features: list[list[Tensor]]
            if shared is None:
                features = self._features(images if whole else images[rows], number)
            else:
                features = shared if whole else [[level[rows] for level in levels] for levels in shared]
            logits, pose = self._parse(features, number)
            outputs[number] = (rows, logits)
            if pose is not None:
                poses.append((rows, pose))
        if not poses:
            return outputs, None, shared
        order = torch.argsort(torch.cat([rows for rows, _ in poses]))
        return outputs, torch.cat([pose for _, pose in poses])[order], shared

    def _place(self, number: int) -> tuple[int, int]:
        """(group, branch in the group)."""
        return (number, 0) if self.config.architecture == "independent" else (0, number)

    def _features(self, images: Tensor, group: int) -> list[list[Tensor]]:
        """The trunk's maps at every scale."""
        nets: Any = self.nets[group]
        images = images.contiguous(memory_format=torch.channels_last)
        # Stage 2 trains branches on a fixed trunk: no graph, so no activations are kept.
        learns = images.requires_grad or any(p.requires_grad for net in nets for p in net.trunk.parameters())
        features = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
            for number, scale in enumerate(self.config.scales):
                net = nets[number % len(nets)]
                sides = [int((side - 1) * scale) + 1 for side in images.shape[-2:]]
                features.append(net.trunk(images if scale == 1 else _resize(images, sides)))
        return features

    def _parse(self, features: list[list[Tensor]], number: int) -> tuple[list[Tensor], Tensor | None]:
        group, local = self._place(number)
        nets: Any = self.nets[group]
        logits, pose = [], None
        for scale, levels in enumerate(features):
            found, of_scale = nets[scale % len(nets)].branches[local](levels)
            logits.append(found)
            pose = of_scale if scale == 0 else pose
        if len(logits) == 1:
            return logits, pose
        largest = max((found.shape[-2:] for found in logits), key=lambda size: size[0] * size[1])
        fused = _resize(logits[0], largest)
        for found in logits[1:]:
            fused = torch.maximum(fused, _resize(found, largest))
        return [*logits, fused], pose

    def category_logits(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] -> [N, categories], from the trunk without a gradient into it (ours, D).

        RuntimeError where the model has no category head.
        """
        if self.category_head is None:
            raise RuntimeError("this model has no category head: give the category, or a classifier")
        with torch.no_grad():
            features = self._features(images, 0)
        found = self._category(features)
        assert found is not None
        return found

    def _category(self, features: list[list[Tensor]]) -> Tensor | None:
        if self.category_head is None:
            return None
        return self.category_head(features[0][-1].detach())

    @torch.no_grad()
    def parse(
        self, images: Tensor, categories: Sequence[str], size: tuple[int, int] | None = None
    ) -> ParsedBatch:
        """Masks at the input's size (or ``size``), restricted to the labels each category has.

        images: float32 [N, 3, H, W]; categories: N names. ValueError names an unknown one.
        Logits are enlarged (bilinearly, corners aligned) before the arg-max. Run it in eval mode.
        """
        if len(categories) != len(images):
            raise ValueError(f"categories has {len(categories)} names for {len(images)} images")
        numbers = torch.tensor([self.branch_of(name) for name in categories], dtype=torch.int64)
        height, width = size or (images.shape[-2], images.shape[-1])
        masks = torch.zeros(len(images), height, width, dtype=torch.uint8, device=images.device)
        logits: list[Any] = [None] * len(images)
        for rows, found in self(images, numbers).values():
            for row, fused in zip(rows.tolist(), found[-1].float()):
                labels = self.labels_of(categories[row])
                large = _resize(fused[None, : max(labels) + 1], (height, width))[0]
                for absent in set(range(max(labels) + 1)) - set(labels):
                    large[absent] = -torch.inf
                logits[row] = large
                masks[row] = large.argmax(dim=0)
        return ParsedBatch(logits, masks)

    # -- training

    def shared_parameters(self) -> Iterator[nn.Parameter]:
        """Of the trunk (all trunks)."""
        for net in self._scale_nets():
            yield from net.trunk.parameters()

    def branch_parameters(self, branch: int | str) -> Iterator[nn.Parameter]:
        """Of one branch, its classifiers included."""
        group, local = self._place(self._branch_number(branch))
        nets: Any = self.nets[group]
        for net in nets:
            yield from net.branches[local].parameters()

    def final_parameters(self) -> Iterator[nn.Parameter]:
        """Of the final convolutions and the heads, which start at random and learn ten times as fast (IV-B)."""
        for net in self._scale_nets():
            for branch in net.branches:
                yield from branch.classifier.parameters()
                if getattr(branch, "pose", None) is not None:
                    yield from branch.pose.parameters()
        if self.category_head is not None:
            yield from self.category_head.parameters()

    def freeze_shared(self) -> None:
        """Stage 2: the trunk learns nothing and its batch normalisation keeps its statistics, also after ``train()``."""
        self._shared_frozen = True
        for parameter in self.shared_parameters():
            parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> DeepSSP:
        super().train(mode)
        if self.config.freeze_batch_norm:
            for norm in self._batch_norms():
                norm.eval()
        if self._shared_frozen:
            for net in self._scale_nets():
                net.trunk.eval()
        return self

    def _scale_nets(self) -> Iterator[Any]:
        for nets in self.nets:
            yield from nets  # type: ignore[misc]

    def _batch_norms(self) -> Iterator[nn.Module]:
        return (module for module in self.modules() if isinstance(module, _BatchNorm))


@torch.no_grad()
def to_full(model: DeepSSP) -> DeepSSP:
    """Stage 2's network: the trunk as it is, every super branch copied to each of its categories.

    Labels are the same ids in both, so a category keeps the first rows of its super branch's classifiers: those of the
    labels it has (D). ValueError unless the model has super branches.
    """
    if model.config.architecture != "super":
        raise ValueError(
            f"to_full needs a model with super branches, this one is {model.config.architecture!r}"
        )
    config = dataclasses.replace(
        model.config,
        architecture="full",
        branches={},
        weights="none",
        freeze_batch_norm=model.config.freeze_batch_norm,
    )
    full = DeepSSP(config, model.preprocess)
    full.config.weights, full.weights_report = model.config.weights, model.weights_report
    for source, target in zip(model._scale_nets(), full._scale_nets()):
        target.trunk.load_state_dict(source.trunk.state_dict())
        for number, category in enumerate(full.branch_names):
            old = source.branches[model.branch_of(category)].state_dict()
            new = target.branches[number].state_dict()
            target.branches[number].load_state_dict(
                {
                    name: tensor if tensor.ndim == 0 else tensor[: len(new[name])]
                    for name, tensor in old.items()
                }
            )
    if model.category_head is not None and full.category_head is not None:
        full.category_head.load_state_dict(model.category_head.state_dict())
    return full.to(next(model.parameters()).device).train(model.training)


def complete(config: DeepSSPConfig) -> DeepSSPConfig:
    """A copy with everything that follows from the rest filled in. ValueError where the fields contradict each other."""
    from sketchfast.data.part_tables import PARTS, SUPER_CATEGORIES, SUPER_OF

    if not config.categories:
        raise ValueError("categories must name at least one category with its number of labels, got none")
    if config.architecture not in ("super", "full", "independent"):
        raise ValueError(
            f"architecture must be 'super', 'full' or 'independent', got {config.architecture!r}"
        )
    if config.net not in ("deeplab", "fcn"):
        raise ValueError(f"net must be 'deeplab' or 'fcn', got {config.net!r}")
    if not config.scales or not all(0 < scale <= 1 for scale in config.scales):
        raise ValueError(f"scales must be numbers above 0 up to 1, got {config.scales!r}")
    if not config.dilations or min(config.dilations) < 1:
        raise ValueError(f"dilations must be whole numbers from 1, got {config.dilations!r}")
    parts = {}
    for category, labels in config.categories.items():
        names = tuple(config.parts.get(category) or PARTS.get(category) or ())
        if not names:
            names = tuple(f"part {number}" for number in range(1, labels))
        if labels != len(names) + 1:
            raise ValueError(
                f"categories[{category!r}] = {labels} labels, but it has {len(names)} parts and the background"
            )
        parts[category] = names
    super_of = {}
    if config.architecture == "super":
        for category in config.categories:
            if category not in config.super_of and category not in SUPER_OF:
                raise ValueError(
                    f"category {category!r} has no super category: give super_of, or use architecture 'full'"
                )
            super_of[category] = config.super_of.get(category) or SUPER_OF[category]
        names_of = list(dict.fromkeys(super_of.values()))
        order = [*SUPER_CATEGORIES, *names_of]
        needed = {
            name: max(config.categories[category] for category, branch in super_of.items() if branch == name)
            for name in sorted(names_of, key=order.index)
        }
    else:
        # Kept for to_full's sake and for people who read the checkpoint.
        super_of = dict(config.super_of)
        needed = dict(config.categories)
    branches = dict(config.branches) or needed
    if branches.keys() != needed.keys() or any(branches[name] < needed[name] for name in needed):
        raise ValueError(f"branches are {branches}, but the categories need {needed}")
    if config.net == "fcn":
        if tuple(config.scales) != (1.0,) or config.pose_classes:
            raise ValueError(
                "net='fcn' reads one scale and has no pose head: use scales=(1.0,), pose_classes=0"
            )
    elif config.backbone not in RESNETS:
        raise ValueError(f"net='deeplab' needs one of {', '.join(RESNETS)}, got {config.backbone!r}")
    frozen = config.weights != "none" if config.freeze_batch_norm is None else config.freeze_batch_norm
    return dataclasses.replace(
        config,
        scales=tuple(config.scales),
        dilations=tuple(config.dilations),
        categories=dict(config.categories),
        branches=branches,
        super_of=super_of,
        parts=parts,
        freeze_batch_norm=frozen,
        category_head=config.category_head and config.architecture != "independent",
    )


def split_last_block(trunk: nn.Module) -> tuple[DeepLabTrunk, nn.Module]:
    """A ResNet trunk cut after the last block but one: (what comes before, the last block)."""
    stages: OrderedDict[str, Any] = OrderedDict(trunk.named_children())
    blocks = list(stages.pop("layer4"))
    if len(blocks) > 1:
        stages["layer4"] = nn.Sequential(*blocks[:-1])
    return DeepLabTrunk(stages), blocks[-1]


def _spec(config: DeepSSPConfig) -> BackboneSpec:
    return BackboneSpec(config.backbone, config.weights, config.stem, config.stem_stride, config.width)


def _fcn_trunk(config: DeepSSPConfig) -> tuple[FCNTrunk, list[int]]:
    """(trunk, channels of its three maps)."""
    if config.backbone not in (*RESNETS, *VGGS):
        raise ValueError(f"net='fcn' needs one of {', '.join((*RESNETS, *VGGS))}, got {config.backbone!r}")
    backbone, _ = build_backbone(_spec(config))
    if config.backbone in RESNETS:
        stages = OrderedDict(backbone.trunk.named_children())
        last, sixteenth = stages.pop("layer4"), stages.pop("layer3")
        eighth: nn.Module = nn.Sequential(stages)
        return FCNTrunk(eighth, sixteenth, last), [_out_channels(part) for part in (eighth, sixteenth, last)]
    layers = list(backbone.trunk)  # type: ignore[call-overload]
    third, fourth = [i + 1 for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)][2:4]
    fc6, fc7 = (layer for layer in backbone.head if isinstance(layer, nn.Linear))  # type: ignore[attr-defined]
    tail = nn.Sequential(
        *layers[fourth:],
        _as_conv(fc6, 512, 7),
        nn.ReLU(),
        nn.Dropout(),
        _as_conv(fc7, 4096, 1),
        nn.ReLU(),
        nn.Dropout(),
    )
    return FCNTrunk(nn.Sequential(*layers[:third]), nn.Sequential(*layers[third:fourth]), tail), [
        256,
        512,
        4096,
    ]


@torch.no_grad()
def _as_conv(linear: nn.Linear, channels: int, side: int) -> nn.Conv2d:
    """A classifier's linear layer as the convolution that equals it on a side x side map; padded to keep the size."""
    conv = nn.Conv2d(channels, linear.out_features, side, padding=side // 2, device=linear.weight.device)
    conv.weight.copy_(linear.weight.view_as(conv.weight))
    conv.bias.copy_(linear.bias)  # type: ignore[union-attr]
    return conv


def _out_channels(module: nn.Module) -> int:
    """Channels of the last convolution's output: blocks of a ResNet end with their widest one."""
    return [layer.out_channels for layer in module.modules() if isinstance(layer, nn.Conv2d)][-1]


def _start_classifiers(module: nn.Module) -> None:
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]


def _fits(head: Sequence[tuple[Tensor, Tensor]], labels: int, dilations: Sequence[int]) -> bool:
    return len(head) == len(dilations) and head[0][0].shape[0] == labels


def _resize(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear with the corners aligned, as DeepLab's code does everywhere (D)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=True)
