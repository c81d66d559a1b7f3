"""A sketch classifier whose penultimate layer describes a sketch: "Ours-Classify" in Pang et al., CVPR 2019, section 4.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.runtime.preprocess import Preprocess


@dataclass
class ClassifierFeaturesConfig:
    """The network; what it is trained with lives in train/vtd.py."""

    backbone: str = "resnet18"
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0
    num_classes: int = 0
    size: int = 224
    ink_margin: float = 0.05

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)


class ClassifierFeatures(nn.Module):
    """Backbone and a linear classifier. ``class_names`` are in label order; ``preprocess`` crops a sketch to its ink.

    Raises ValueError naming the setting for num_classes below 2 or not the number of names, and as ``build_backbone``.
    """

    def __init__(self, config: ClassifierFeaturesConfig, class_names: Sequence[str] | None = None) -> None:
        super().__init__()
        if config.num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {config.num_classes}")
        if class_names is not None and len(class_names) != config.num_classes:
            raise ValueError(f"class_names has {len(class_names)} names for num_classes={config.num_classes}")
        self.config = config
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = Preprocess(size=config.size, ink_margin=config.ink_margin)
        self.backbone, _ = build_backbone(config.backbone_spec())
        self.classifier = nn.Linear(self.backbone.num_features, config.num_classes)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> ClassifierFeatures:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        fields = metadata["config"]
        model = cls(
            ClassifierFeaturesConfig(**{**fields, "weights": "none"}), metadata.get("class_names") or None
        )
        model.config.weights = fields["weights"]
        return model

    @property
    def descriptor_dim(self) -> int:
        """Length of a descriptor."""
        return self.backbone.num_features

    def logits(self, images: Tensor) -> Tensor:
        """Normalised pixels [B, 3, S, S] -> [B, num_classes]."""
        return self.classifier(self.backbone(images))

    forward = logits

    @torch.no_grad()
    def describe(self, images: Tensor) -> Tensor:
        """What the classifier reads, the pooled features: normalised pixels [B, 3, S, S] -> [B, descriptor_dim]."""
        return self.backbone(images)
