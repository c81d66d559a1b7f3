"""Landmark-aware network: Zhang et al., Learning Structural Representations via Dynamic Object Landmarks Discovery for
Sketch Recognition and Retrieval, TIP 2019.

n points spread along the strokes are projected to the last feature map, moved by learned offsets, and the map is read there:

    l_i = floor(p_i h / S)      delta_i = channels 2i, 2i+1 of a 1x1 convolution, read at l_i
    f = 1/n sum_i x(l_i + delta_i), x bilinear (eq. 1 to 4); logits = FC(f) (eq. 5)

Beside it the category-aware branch: K filters of 3x3 on the same map, whose responses psi tell categories apart
(``sketchfast.nn.diversity``). The paper rounds up and counts cells from 1, which is floor counted from 0 (D).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchfast import ops
from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.models.landmark_model import LandmarkModel, checked_fusion, member_of, softmax
from sketchfast.models.landmark_points import (
    at_cells,
    check_images,
    check_landmarks,
    check_points,
    contour_points_of,
    project,
)
from sketchfast.nn.precision import at_least_float32
from sketchfast.runtime.preprocess import Preprocess


@dataclass
class LandmarkNetConfig:
    """The network; what it is trained with lives in train/landmark.py."""

    backbone: str = "resnet101"
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0
    landmarks: tuple[int, ...] = (30,)
    """Numbers of landmarks n; with several, one trunk carries an offset layer and an FC layer for each."""
    pooling: Literal["landmarks", "global"] = (
        "landmarks"  # "global": the backbone's own pooling, the baseline
    )
    offsets: bool = True
    class_aware: bool = True
    num_classes: int = 0
    freeze_batch_norm: bool = False  # running statistics instead of the batch's, as needed for exact DDP
    fusion: tuple[float, ...] = ()  # one weight for each n, of sum 1; empty: equal weights

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)


class LandmarkOutput(NamedTuple):
    """Of a batch of B images; the lists have one entry for each n, with pooling="global" one and no landmarks."""

    logits: list[Tensor]  # [B, K]
    features: list[Tensor]  # f, [B, C]
    landmarks: list[Tensor]  # l, [B, n, 2] (x, y), whole cells as floating numbers
    offsets: list[Tensor]  # delta, [B, n, 2] in cells; zero without the offset layer
    valid: Tensor  # bool [B]: False for a blank image; all True where the points were given
    responses: Tensor | None  # psi, [B, K, h, w]
    class_logits: Tensor | None  # psi averaged over the map, [B, K]
    map_size: tuple[int, int]  # (h, w)


Read = tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], Tensor]  # LandmarkOutput up to `valid`


class LandmarkNet(LandmarkModel):
    """The network for one n or several. ``class_names`` are in label order; ``preprocess`` travels with the checkpoint.

    Raises ValueError naming the setting for numbers of landmarks that are no whole numbers in 1..4096 or repeat, class names
    that repeat or are not num_classes, and fusion weights that do not fit.
    """

    def __init__(
        self,
        config: LandmarkNetConfig,
        class_names: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        _check_config(config, class_names)
        # A copy, since set_fusion writes into it.
        none = config.pooling == "global"
        self.config = dataclasses.replace(config, landmarks=() if none else tuple(map(int, config.landmarks)))
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = preprocess or Preprocess()
        self.backbone, _ = build_backbone(config.backbone_spec())
        channels, landmarks = self.backbone.num_channels, self.config.landmarks
        self.landmarks = landmarks
        pooled = self.backbone.num_features if config.pooling == "global" else channels
        if config.pooling == "landmarks":  # AlexNet's and VGG's own classifier layers would never be read
            self.backbone.head = nn.Identity()
        self.classifiers = nn.ModuleList(nn.Linear(pooled, config.num_classes) for _ in landmarks or (0,))
        moved = landmarks if config.offsets else ()
        self.offset_layers = nn.ModuleList(nn.Conv2d(channels, 2 * n, kernel_size=1) for n in moved)
        for parameter in self.offset_layers.parameters():
            nn.init.zeros_(parameter)  # landmarks start where the contour points are (D)
        self.category_filters = (  # F_1 to F_K
            nn.Conv2d(channels, config.num_classes, kernel_size=3, padding=1, bias=False)
            if config.class_aware
            else None
        )
        self.to(memory_format=torch.channels_last)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> LandmarkNet:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        preprocess = metadata.get("preprocess")
        return cls.from_fields(
            metadata["config"],
            metadata.get("class_names") or None,
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )

    @classmethod
    def from_fields(
        cls, fields: Mapping[str, Any], class_names: Sequence[str] | None, preprocess: Preprocess | None
    ) -> LandmarkNet:
        """From a config as JSON gives it back, without fetching pretrained weights."""
        tuples = {name: tuple(fields[name]) for name in ("landmarks", "fusion")}
        model = cls(LandmarkNetConfig(**{**fields, **tuples, "weights": "none"}), class_names, preprocess)
        model.config.weights = fields["weights"]
        return model

    def train(self, mode: bool = True) -> LandmarkNet:
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    # -- the network

    @torch.no_grad()
    def points_of(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Contour points of normalised images [B, 3, S, S] -> (int32 [B, max n, 2] as (x, y) pixels, valid bool [B]).

        Farthest-point order: the points for a smaller n are the first n of them.
        """
        check_images(images)
        return contour_points_of(images, self.preprocess, max(self.landmarks, default=1))

    def forward(self, images: Tensor, points: Tensor | None = None) -> LandmarkOutput:
        """Everything the losses and the pictures need, from one pass of the trunk.

        images: normalised pixels [B, 3, S, S]. points: contour points [B, at least max n, 2] as (x, y) in pixels of the
            input, finite (whole numbers are not checked for it); found in the images when None. Points outside the
            image are taken to its edge.

        Raises ValueError for other shapes, NaN or infinite points, a backbone that gives no map, a map of size 0, and on the
        CPU offsets that are NaN.
        """
        features = self._map(images, points)
        return LandmarkOutput(*self._read(images, features, points), *self._categories(features))

    def logits_of(self, images: Tensor, points: Tensor | None = None) -> list[Tensor]:
        """``forward(...).logits`` without the category-aware branch, which recognition does not use."""
        return self._read(images, self._map(images, points), points)[0]

    def _read(self, images: Tensor, features: Tensor, points: Tensor | None) -> Read:
        """The map [B, C, h, w] read at the landmarks of each n."""
        valid = torch.ones(len(images), dtype=torch.bool, device=images.device)
        if self.config.pooling == "global":
            pooled = self.backbone.pool(features)
            return [self.classifiers[0](pooled)], [pooled], [], [], valid
        if points is None:
            points, valid = self.points_of(images)
        cells = project(points[:, : max(self.landmarks)], images.shape[-2:], features.shape[-2:])
        vectors, logits, landmarks, offsets = [], [], [], []
        for number, n in enumerate(self.landmarks):
            own = cells[:, :n]
            where = own.to(torch.float64 if features.dtype == torch.float64 else torch.float32)
            if self.config.offsets:
                delta = at_cells(self.offset_layers[number](features), own).to(where.dtype)
            else:
                delta = torch.zeros_like(where)
            try:
                f = ops.landmark_pool(features, where + delta)
            except RuntimeError as error:
                if "NaN" not in str(error):
                    raise
                raise ValueError(_not_finite(images)) from error
            vectors.append(f)
            logits.append(self.classifiers[number](f))
            landmarks.append(where)
            offsets.append(delta)
        return logits, vectors, landmarks, offsets, valid

    def _map(self, images: Tensor, points: Tensor | None) -> Tensor:
        """The last feature map, of images and points that are what they must be."""
        check_images(images)
        if points is not None:
            check_points(points, images, max(self.landmarks, default=1))
        too_small = (
            f"images of {images.shape[-1]}x{images.shape[-2]} pixels are too small for backbone "
            f"{self.config.backbone!r}: "
        )
        try:
            features = self.backbone.feature_map(images.contiguous(memory_format=torch.channels_last))
        except RuntimeError as error:  # convolutions and pooling refuse to make an empty map
            if "too small" in str(error) or "greater than actual input" in str(error):
                raise ValueError(f"{too_small}{error}") from error
            raise
        channels = self.backbone.num_channels
        if features.ndim != 4 or features.shape[1] != channels:
            raise ValueError(
                f"backbone {self.config.backbone!r} gives {list(features.shape)}; landmarks need a feature map "
                f"[B, {channels}, h, w]: use a convolutional network"
            )
        if 0 in features.shape[2:]:
            raise ValueError(f"{too_small}its feature map is {list(features.shape)}")
        return features

    def _categories(self, features: Tensor) -> tuple[Tensor | None, Tensor | None, tuple[int, int]]:
        """psi, its average over the map (D), and the map's size."""
        size = (features.shape[2], features.shape[3])
        if self.category_filters is None:
            return None, None, size
        psi = self.category_filters(features)
        return psi, psi.mean(dim=(2, 3)), size

    # -- recognition and retrieval

    def _scores(self, images: Tensor) -> Tensor:
        return torch.stack([softmax(logits) for logits in self.logits_of(images)], dim=1)

    def descriptors(self, images: Tensor, n: int | None = None, mirrored: bool = True) -> list[Tensor]:
        """[f alone [B, C], ``describe``] from one pass, each of unit length; without the category-aware branch only the first."""
        number = 0 if n is None else member_of(n, self.landmarks)
        output = self(images)
        found = [F.normalize(at_least_float32(output.features[number]), dim=1)]
        if output.responses is not None:
            parts = [output.features[number], output.responses.amax(dim=1).flatten(1)]
            found.append(F.normalize(torch.cat([at_least_float32(part) for part in parts], dim=1), dim=1))
        if mirrored:
            other = self.descriptors(images.flip(3), n, False)
            found = [F.normalize(a + b, dim=1) for a, b in zip(found, other, strict=True)]
        return found


def _check_config(config: LandmarkNetConfig, class_names: Sequence[str] | None) -> None:
    if config.num_classes < 1:
        raise ValueError(f"num_classes must be the number of categories, got {config.num_classes}")
    if class_names is not None and len(class_names) != config.num_classes:
        raise ValueError(f"class_names has {len(class_names)} names for num_classes={config.num_classes}")
    if class_names is not None and len(set(class_names)) < len(class_names):
        twice = next(name for i, name in enumerate(class_names) if name in class_names[:i])
        raise ValueError(f"class_names must be different names, {twice!r} is there twice")
    if config.pooling not in ("landmarks", "global"):
        raise ValueError(f"pooling must be 'landmarks' or 'global', got {config.pooling!r}")
    if config.pooling == "landmarks":
        check_landmarks(config.landmarks)
    if config.fusion:
        landmarks = config.landmarks if config.pooling == "landmarks" else ()
        checked_fusion(config.fusion, landmarks, landmarks)


def _not_finite(images: Tensor) -> str:
    if not images.isfinite().all():
        return "images must be finite, some of their pixels are NaN or infinite"
    return (
        "the offsets of the landmarks are NaN: weights or features are no longer finite. Where this is in training, it "
        "diverged: lower --optimizer.lr"
    )
