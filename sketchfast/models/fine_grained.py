"""Fine-grained retrieval network: Bhunia et al., More Photos are All You Need, CVPR 2021, section 3.2.

One branch for sketches and photos. The backbone's map F' goes through soft spatial attention with a shortcut and is pooled:

    F = F' + F' f_attn(F'),   f_attn: a 1x1 convolution and a softmax over the positions

so that the pooled feature is the mean over the map plus 1/(hw) of the mean that attention takes. (D) ``scaled_attention``
multiplies the mask by h w, which gives both the same weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchfast.canvas import MARGIN
from sketchfast.models.backbones import SMALLEST, BackboneSpec, build_backbone
from sketchfast.nn.precision import at_least_float32
from sketchfast.runtime.preprocess import Preprocess


@dataclass
class FineGrainedConfig:
    """The network; what it is trained with lives in train/more_photos.py."""

    backbone: str = "inception_v3"
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"  # "small" (3x3, no pooling) suits images of 64 pixels
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0  # channels of the basic-block ResNets, relative to the original
    size: int = 256
    attention: bool = True
    scaled_attention: bool = False  # the mask times h w (D)
    unit_features: bool = True  # F has length 1 (D)
    freeze_batch_norm: bool = False  # running statistics instead of the batch's, as needed for exact DDP

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)


class FineGrainedNet(nn.Module):
    """F. ``class_names`` are the categories trained on; ``preprocess`` makes its input, sketches cropped to their ink.

    Raises ValueError naming the setting, and as ``build_backbone``.
    """

    def __init__(
        self,
        config: FineGrainedConfig,
        class_names: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        least = SMALLEST.get(config.backbone, 1)
        if config.size < least:
            raise ValueError(
                f"size must be at least {least} pixels with {config.backbone}, got {config.size}"
            )
        if preprocess is not None and preprocess.size != config.size:
            raise ValueError(f"preprocess.size must be size={config.size}, got {preprocess.size}")
        if config.scaled_attention and not config.attention:
            raise ValueError("scaled_attention=True needs attention=True, got attention=False")
        self.config = config
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = preprocess or Preprocess(size=config.size, ink_margin=MARGIN)
        self.backbone, _ = build_backbone(config.backbone_spec())
        self.attend: nn.Conv2d | None = None
        if config.attention:
            # No bias: the same for all positions, it does not change a softmax, and Adam would scale up its gradient's rounding.
            self.attend = nn.Conv2d(self.backbone.num_channels, 1, kernel_size=1, bias=False)
            nn.init.zeros_(self.attend.weight)  # training starts from the uniform mask (D)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> FineGrainedNet:
        """The network of a checkpoint's metadata, before its weights are loaded; pretrained ones are not fetched."""
        preprocess = metadata.get("preprocess")
        model = cls(
            FineGrainedConfig(**{**metadata["config"], "weights": "none"}),
            metadata.get("class_names") or None,
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )
        model.config.weights = metadata["config"]["weights"]
        return model

    @property
    def dim(self) -> int:
        """d, the length of a feature."""
        return self.backbone.num_features

    def train(self, mode: bool = True) -> FineGrainedNet:
        super().train(mode)
        if self.config.freeze_batch_norm:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Sketches or photos, normalised pixels [B, 3, S, S] -> F [B, d], of length 1 with ``unit_features``.

        In training one pass of sketches and photos together is what batch normalisation's statistics should see.
        """
        return self.features_of_map(self.backbone.feature_map(images))

    def features_of_map(self, maps: Tensor) -> Tensor:
        """F from the backbone's map F' [B, c, h, w], through which attention maps take their gradient."""
        if self.attend is not None:
            mask = self._mask(maps)[:, None]
            scale = maps.shape[2] * maps.shape[3] if self.config.scaled_attention else 1
            maps = maps + maps * (mask * scale).to(maps.dtype)
        pooled = at_least_float32(self.backbone.pool(maps))
        return F.normalize(pooled, dim=1) if self.config.unit_features else pooled

    def encode_sketch(self, images: Tensor) -> Tensor:
        return self(images)

    def encode_photo(self, images: Tensor) -> Tensor:
        return self(images)

    def attention_mask(self, images: Tensor) -> Tensor:
        """f_attn: normalised pixels [B, 3, S, S] -> [B, h, w], positive, with the sum 1. RuntimeError without attention."""
        if self.attend is None:
            raise RuntimeError("this network has no attention: attention is False in its config")
        return self._mask(self.backbone.feature_map(images))

    def _mask(self, maps: Tensor) -> Tensor:
        if maps.ndim != 4:
            raise ValueError(
                f"attention=True needs a backbone with maps [B, c, h, w], {self.config.backbone} gives {list(maps.shape)}"
            )
        assert self.attend is not None
        scores = at_least_float32(self.attend(maps))
        return scores.flatten(1).softmax(dim=1).unflatten(1, maps.shape[2:])
