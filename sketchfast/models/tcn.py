"""Transferable Coupled Network (TCN): Wang, Deng, Liu and Tao, TPAMI 2023.

Two towers, a sketch encoder G_S and a photo encoder G_I, coupled by a penalty on the distance of their
weights (``sketchfast.nn.soft_weight_sharing``) with batch normalisation left to each; one embedding G_R on
top of both; heads G_C (classes), G_T (the teacher's classes) and G_A (semantic vectors).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchfast.models.backbones import (
    Backbone,
    BackboneSpec,
    Modality,
    Teacher,
    build_backbone,
    set_modality,
)
from sketchfast.nn.attention import SpatialAttention
from sketchfast.nn.semantic_metric import MetricVariant, SemanticMetric
from sketchfast.nn.soft_weight_sharing import weight_pairs
from sketchfast.runtime.preprocess import Preprocess

Sharing = Literal["soft", "hard", "none"]


@dataclass
class TCNConfig:
    """The network; what it is trained with lives in train/tcn.py."""

    backbone: str = "resnet50"
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"  # "small" (3x3, no pooling) suits images of 64 pixels
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0  # channels of resnet18 and resnet34, relative to the original
    dim: int = 64  # length of the retrieval feature R; the paper's table 2 uses 512, its ablations 64
    num_classes: int = 0
    num_teacher_classes: int = 0  # 0: no distillation head
    semantic_dim: int = 0
    sharing: Sharing = "soft"
    attention: bool = False
    embedding_norm: Literal["shared", "separate", "none"] = "shared"
    embedding_dropout: float = 0.0
    metric: MetricVariant = "sbht"
    regression_weight: float = 1.0
    metric_reduction: Literal["mean", "sum"] = "mean"
    exclude_self: bool = False
    entropy_weight: bool = False
    logit_scale: float = 0.0
    """0: linear heads on the raw feature, as in the paper. Above 0 the feature and each class's weights have length 1
    and their products are multiplied by this, which trains better from scratch (D)."""
    freeze_batch_norm: bool = False  # running statistics instead of the batch's, as needed for exact DDP
    itq_bits: int = 0  # length of the codes of the ITQ stored with the model; 0: none

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)


class Tower(nn.Module):
    """Encoder of one modality, eq. 1: [B, 3, S, S] -> F [B, num_features]."""

    def __init__(self, backbone: Backbone, attention: bool, modality: Modality) -> None:
        super().__init__()
        self.backbone = backbone
        self.attention = SpatialAttention(backbone.num_channels) if attention else nn.Identity()
        set_modality(self, modality)

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone.pool(self.attention(self.backbone.feature_map(images)))


class RetrievalFeature(nn.Module):
    """G_R, eq. 7: F -> R, one linear layer shared by the modalities.

    The released code follows it by batch normalisation, which the paper does not mention: one set of running
    statistics for both modalities ("shared", its Sketchy model), or one per modality with a common scale and
    shift and dropout after it ("separate", its TU-Berlin and QuickDraw models).
    """

    def __init__(self, num_features: int, dim: int, norm: str, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, dim)
        if norm == "none":
            self.sketch_norm: nn.Module = nn.Identity()
            self.photo_norm: nn.Module = self.sketch_norm
        else:
            self.sketch_norm = nn.BatchNorm1d(dim)
            self.photo_norm = self.sketch_norm
        if norm == "separate":
            self.photo_norm = nn.BatchNorm1d(dim)
            for name, shared in self.sketch_norm.named_parameters():
                setattr(self.photo_norm, name, shared)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor, modality: Modality) -> Tensor:
        norm = self.sketch_norm if modality == "sketch" else self.photo_norm
        return self.dropout(norm(self.linear(features)))


class TCNOutput(NamedTuple):
    """Of a batch of B pairs. ``photo_distilled`` is O^T of the photos, None without a teacher."""

    sketch: Tensor  # R^S [B, dim]
    photo: Tensor  # R^I [B, dim]
    sketch_logits: Tensor  # O^C of the sketches [B, num_classes]
    photo_logits: Tensor  # O^C of the photos [B, num_classes]
    photo_distilled: Tensor | None  # O^T [B, num_teacher_classes]


class TCN(nn.Module):
    """The trained thing: encoders for both modalities, heads, and the ITQ that makes codes of the features.

    ``class_names`` are the seen classes, in label order. ``preprocess`` is what turns an image into the
    input of either encoder; it travels with the checkpoint.
    """

    itq_mean: Tensor | None
    itq_projection: Tensor | None

    def __init__(
        self,
        config: TCNConfig,
        class_names: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        if config.num_classes < 1:
            raise ValueError(f"num_classes must be the number of seen classes, got {config.num_classes}")
        if class_names is not None and len(class_names) != config.num_classes:
            raise ValueError(f"class_names has {len(class_names)} names for num_classes={config.num_classes}")
        if config.sharing not in ("soft", "hard", "none"):
            raise ValueError(f"sharing must be 'soft', 'hard' or 'none', got {config.sharing!r}")
        self.config = config
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = preprocess or Preprocess()

        backbone, imagenet_classifier = build_backbone(config.backbone_spec())
        # Kept outside the module tree: the teacher is not part of what is trained, saved or exported.
        self._imagenet = (
            (backbone, imagenet_classifier) if config.num_teacher_classes and imagenet_classifier else None
        )
        self.sketch_tower = Tower(
            copy.deepcopy(backbone) if self._imagenet else backbone, config.attention, "sketch"
        )
        # The photo tower starts as a copy, so L_SWS starts at zero with and without pretrained weights.
        self.photo_tower = copy.deepcopy(self.sketch_tower)
        set_modality(self.photo_tower, "photo")
        if config.sharing == "hard":
            share_weights(self.sketch_tower, self.photo_tower)

        self.embedding = RetrievalFeature(
            backbone.num_features, config.dim, config.embedding_norm, config.embedding_dropout
        )
        # G_C; on the sphere there is no bias
        self.classifier = nn.Linear(config.dim, config.num_classes, bias=config.logit_scale == 0)
        self.distiller = (  # G_T
            nn.Linear(config.dim, config.num_teacher_classes) if config.num_teacher_classes else None
        )
        self.semantic_metric = SemanticMetric(  # holds G_A
            config.metric,
            config.dim,
            config.semantic_dim,
            config.regression_weight,
            config.metric_reduction,
            config.exclude_self,
            config.entropy_weight,
            unit_length=config.logit_scale > 0,
        )
        if imagenet_classifier is not None:
            factorise_classifier(imagenet_classifier, self.embedding.linear, self.distiller)
        empty = config.itq_bits > 0
        self.register_buffer("itq_mean", torch.zeros(config.dim) if empty else None)
        self.register_buffer("itq_projection", torch.zeros(config.dim, config.itq_bits) if empty else None)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> TCN:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        config = TCNConfig(**{**metadata["config"], "weights": "none"})
        preprocess = metadata.get("preprocess")
        return cls(
            config,
            metadata.get("class_names") or None,
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )

    def take_teacher(self) -> Teacher | None:
        """The frozen ImageNet model the towers started from; None without pretrained weights. Can be taken once."""
        taken, self._imagenet = self._imagenet, None
        if taken is None or taken[1] is None:
            return None
        return Teacher(taken[0], taken[1])

    def encode_sketch(self, images: Tensor) -> Tensor:
        """R^S / |R^S|: [B, 3, S, S] normalised pixels -> [B, dim] of unit length, ranked by cosine similarity."""
        return F.normalize(self.embedding(self.sketch_tower(images), "sketch"), dim=1)

    def encode_photo(self, images: Tensor) -> Tensor:
        """R^I / |R^I|: [B, 3, S, S] -> [B, dim] of unit length."""
        return F.normalize(self.embedding(self.photo_tower(images), "photo"), dim=1)

    def forward(self, sketches: Tensor, photos: Tensor) -> TCNOutput:
        """What the losses see: the raw features, as in the paper and the released code; of length 1 with logit_scale."""
        sketch = self._feature(self.sketch_tower(sketches), "sketch")
        photo = self._feature(self.photo_tower(photos), "photo")
        return TCNOutput(
            sketch,
            photo,
            self.class_logits(sketch),
            self.class_logits(photo),
            self.distiller(photo) if self.distiller is not None else None,
        )

    def class_logits(self, features: Tensor) -> Tensor:
        """O^C, eq. 8: features as ``forward`` gives them, [B, dim] -> [B, num_classes]."""
        if self.config.logit_scale == 0:
            return self.classifier(features)
        with torch.autocast(
            features.device.type, enabled=False
        ):  # 8 bits of mantissa are too few for scaled logits
            return self.config.logit_scale * F.linear(features, F.normalize(self.classifier.weight, dim=1))

    def classify_sketch(self, images: Tensor) -> Tensor:
        """O^C of sketches, [B, num_classes]: recognition of seen classes, which chooses the best epoch."""
        return self.class_logits(self._feature(self.sketch_tower(images), "sketch"))

    def _feature(self, encoded: Tensor, modality: Modality) -> Tensor:
        feature = self.embedding(encoded, modality)
        if self.config.logit_scale == 0:
            return feature
        return F.normalize(feature if feature.dtype == torch.float64 else feature.float(), dim=1)

    def train(self, mode: bool = True) -> TCN:
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def coupled_weights(self) -> list[tuple[str, nn.Parameter, nn.Parameter]]:
        """The pairs L_SWS sums over; empty unless sharing is "soft"."""
        return weight_pairs(self.sketch_tower, self.photo_tower) if self.config.sharing == "soft" else []

    def set_itq(self, mean: Tensor, projection: Tensor) -> None:
        """Store an ITQ: bit j of a code is 1 where ((e - mean) @ projection)_j > 0, e from ``encode_*``.

        mean float32 [dim], projection float32 [dim, bits].
        """
        mean, projection = torch.as_tensor(mean).float(), torch.as_tensor(projection).float()
        dim = self.config.dim
        if mean.shape != (dim,) or projection.ndim != 2 or projection.shape[0] != dim:
            raise ValueError(
                f"ITQ of a {dim}-d feature needs mean [{dim}] and projection [{dim}, bits], "
                f"got {list(mean.shape)} and {list(projection.shape)}"
            )
        device = self.classifier.weight.device
        self.itq_mean, self.itq_projection = mean.to(device), projection.to(device)
        self.config.itq_bits = projection.shape[1]

    def code_values(self, embeddings: Tensor) -> Tensor:
        """What ``encode_*`` gave, [B, dim] -> [B, bits], the values whose signs are the code.

        Raises RuntimeError when the model holds no ITQ.
        """
        if self.itq_mean is None or self.itq_projection is None:
            raise RuntimeError(
                "this model holds no ITQ: fit one and store it with set_itq, or use real-valued features"
            )
        return (embeddings - self.itq_mean) @ self.itq_projection


def share_weights(sketch_tower: nn.Module, photo_tower: nn.Module) -> None:
    """Hard sharing: both towers hold the same tensors, batch normalisation excepted."""
    for name, theta_s, _ in weight_pairs(sketch_tower, photo_tower):
        owner, _, attribute = name.rpartition(".")
        setattr(photo_tower.get_submodule(owner), attribute, theta_s)


@torch.no_grad()
def factorise_classifier(imagenet: nn.Linear, embedding: nn.Linear, distiller: nn.Linear | None) -> None:
    """Start G_R and G_T as the two factors of the ImageNet classifier W = U S V^T, cut to rank ``dim``.

    G_R takes S V^T and no bias, G_T takes U and the classifier's bias, so that G_T(G_R(F)) begins as the best
    rank-``dim`` approximation of the ImageNet logits (released code).
    """
    dim = embedding.out_features
    rank = min(imagenet.weight.shape)
    if dim > rank:
        raise ValueError(f"dim={dim} is larger than the rank {rank} of the ImageNet classifier")
    if imagenet.weight.is_meta:
        return
    u, s, vh = torch.linalg.svd(imagenet.weight.double(), full_matrices=False)
    embedding.weight.copy_(s[:dim, None] * vh[:dim])
    embedding.bias.zero_()
    if distiller is not None:
        distiller.weight.copy_(u[:, :dim])
        distiller.bias.copy_(imagenet.bias)
