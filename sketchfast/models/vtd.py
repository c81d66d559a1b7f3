"""Retrieval network adapted to each query by its visual trait: Pang et al., Generalising Fine-Grained Sketch-Based Image
Retrieval, CVPR 2019, section 3.2.

One feature extractor F for sketches and photos; a describer phi (``sketchfast.models.traits`` and its competitors), trained
before and frozen, whose descriptor of the query weighs the dimensions of both sides:

    psi_phi(s)(x) = w F(x),   w = 1 + eta(phi(s))                                                          (eq. 8)
    d(s, p) = |psi_phi(s)(s) - psi_phi(s)(p)|^2 = sum_d w_d^2 (F(s)_d - F(p)_d)^2

F does not depend on the query, so that a gallery is encoded once. Of several samples of eta (eq. 10) the smallest distance
counts; they are made with one noise table for all queries (D), so a query's answer depends on nothing but the query.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sketchfast.models.backbones import BackboneSpec, build_backbone
from sketchfast.nn.dynamic_weights import DynamicWeights
from sketchfast.nn.precision import at_least_float32
from sketchfast.runtime.preprocess import Preprocess

Describer = Literal["none", "traits", "vae", "classifier", "words"]
_DESCRIBERS: dict[Describer, tuple[str, str]] = {  # module and class
    "traits": ("traits", "TraitNetwork"),
    "vae": ("sketch_vae", "SketchVAE"),
    "classifier": ("sketch_features", "ClassifierFeatures"),
    "words": ("vtd", "WordDescriber"),
}
_TEST_NOISE_SEED = 2019


@dataclass
class VTDConfig:
    """The network; what it is trained with lives in train/vtd.py."""

    backbone: str = "inception_v3"
    weights: str = "imagenet"  # "imagenet", "none" (from scratch) or a local file
    stem: Literal["imagenet", "small"] = "imagenet"  # "small" (3x3, no pooling) suits images of 64 pixels
    stem_stride: Literal[1, 2] = 2
    width: float = 1.0  # channels of the basic-block ResNets, relative to the original
    descriptor_dim: int = 0  # M, length of phi(s); 0: no weighting, a plain triplet network (hard transfer)
    samples: int = 10  # of eta, at test
    unit_features: bool = True  # F has length 1 (D)
    unit_weights: bool = True  # eta has length 1, section 4.1
    freeze_batch_norm: bool = False  # running statistics instead of the batch's, as needed for exact DDP
    describer: Describer = "none"  # set, with its description, from the describer that a VTD is given
    describer_config: dict[str, Any] = field(default_factory=dict)

    def backbone_spec(self) -> BackboneSpec:
        return BackboneSpec(self.backbone, self.weights, self.stem, self.stem_stride, self.width)


class VTDOutput(NamedTuple):
    """Of B sketches and P photos; the last three are None without weighting."""

    sketch: Tensor  # F(s) [B, D]
    photo: Tensor  # F(p) [P, D]
    weights: Tensor | None  # w = 1 + eta, one sample [B, D]
    mu: Tensor | None  # [B, D]
    log_variance: Tensor | None  # log sigma^2 [B, D]


class WordDescriber(nn.Module):
    """phi(s) = the word vector of the sketch's category (the paper's "word vector"): the category has to be known.

    names: categories, seen and unseen, each once. vectors: floating [len(names), M], kept as float32.
    Raises ValueError for other shapes, names that repeat, and vectors that are not finite.
    """

    vectors: Tensor

    def __init__(self, names: Sequence[str], vectors: Tensor) -> None:
        super().__init__()
        vectors = torch.as_tensor(vectors).float()
        if vectors.ndim != 2 or len(vectors) != len(names) or 0 in vectors.shape:
            raise ValueError(
                f"vectors must have the shape [{len(names)}, M], a row for each name, got {list(vectors.shape)}"
            )
        if len(set(names)) < len(names):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise ValueError(f"names must be different, {twice!r} is there twice")
        if not vectors.isfinite().all():
            raise ValueError("vectors must be finite, some are NaN or infinite")
        self.class_names = list(names)
        self.config = {"dim": vectors.shape[1]}
        self._row = {name: row for row, name in enumerate(names)}
        self.register_buffer("vectors", vectors.clone())

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> WordDescriber:
        """With vectors of zeros, before those of the checkpoint are loaded."""
        names = metadata["class_names"]
        return cls(names, torch.zeros(len(names), metadata["config"]["dim"]))

    @property
    def descriptor_dim(self) -> int:
        return self.vectors.shape[1]

    def describe_names(self, names: Sequence[str]) -> Tensor:
        """float32 [len(names), M]. ValueError names the categories without a vector."""
        missing = sorted({name for name in names if name not in self._row})
        if missing:
            raise ValueError(
                f"no word vector for {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
            )
        return self.vectors[torch.tensor([self._row[name] for name in names], device=self.vectors.device)]

    def describe(self, images: Tensor) -> Tensor:
        raise RuntimeError(
            "a word vector belongs to a category, not to an image: use describe_names with the sketches' categories"
        )


class VTD(nn.Module):
    """F, the heads of eta and the frozen describer. ``class_names`` are the seen classes; ``preprocess`` goes with F.

    describer: a TraitNetwork, SketchVAE, ClassifierFeatures or WordDescriber whose descriptors have the config's
        ``descriptor_dim``; finished (a VAE has its centroids), since it is described here. It is frozen in place. None: made
        from ``config.describer_config``, weights still to be loaded; with config.describer "none" there is none, and
        descriptors come from outside.

    Raises ValueError naming the setting.
    """

    test_noise: Tensor | None
    describer: Any  # describe(images), descriptor_dim, from_metadata; all but WordDescriber have preprocess

    def __init__(
        self,
        config: VTDConfig,
        class_names: Sequence[str] | None = None,
        preprocess: Preprocess | None = None,
        describer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        _check_config(config)
        if describer is None and config.describer != "none":
            describer = _class_of(config.describer).from_metadata(config.describer_config)
        kind = kind_of(describer)
        if config.describer not in ("none", kind):
            raise ValueError(f"config.describer is {config.describer!r}, the describer given is {kind!r}")
        if describer is not None and describer.descriptor_dim != config.descriptor_dim:
            raise ValueError(
                f"descriptor_dim={config.descriptor_dim} must be the length of the {kind} describer's descriptors, "
                f"{describer.descriptor_dim}"
            )
        self.config = dataclasses.replace(config, describer=kind, describer_config=_described(describer))
        self.class_names = list(class_names) if class_names is not None else []
        self.preprocess = preprocess or Preprocess(size=299)
        self.backbone, _ = build_backbone(config.backbone_spec())
        dim = self.backbone.num_features
        weighted = config.descriptor_dim > 0
        self.eta = DynamicWeights(config.descriptor_dim, dim, config.unit_weights) if weighted else None
        generator = torch.Generator().manual_seed(_TEST_NOISE_SEED)
        noise = torch.randn(config.samples, dim, generator=generator, device="cpu") if weighted else None
        self.register_buffer("test_noise", noise)
        self.describer = describer
        if describer is not None:
            describer.requires_grad_(False).eval()

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> VTD:
        """The network of a checkpoint's metadata, describer included, before its weights are loaded."""
        preprocess = metadata.get("preprocess")
        model = cls(
            VTDConfig(**{**metadata["config"], "weights": "none"}),  # pretrained ones are not fetched
            metadata.get("class_names") or None,
            None if preprocess is None else Preprocess.from_dict(preprocess),
        )
        model.config.weights = metadata["config"]["weights"]
        return model

    def train(self, mode: bool = True) -> VTD:
        super().train(mode)
        if self.describer is not None:
            self.describer.eval()
        if self.config.freeze_batch_norm:
            for module in self.backbone.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    # -- the network

    def features(self, images: Tensor) -> Tensor:
        """F of sketches or photos: normalised pixels [B, 3, S, S] -> [B, D], of length 1 with ``unit_features``."""
        return self.features_of_map(self.backbone.feature_map(images))

    def features_of_map(self, maps: Tensor) -> Tensor:
        """F from the backbone's last feature map [B, C, h, w], through which attention maps take their gradient."""
        pooled = at_least_float32(self.backbone.pool(maps))
        return F.normalize(pooled, dim=1) if self.config.unit_features else pooled

    def encode_sketch(self, images: Tensor) -> Tensor:
        return self.features(images)

    def encode_photo(self, images: Tensor) -> Tensor:
        return self.features(images)

    def forward(
        self,
        sketches: Tensor,
        photos: Tensor,
        descriptors: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> VTDOutput:
        """What the losses see: F of both sides from one pass, and one sample of w for each sketch.

        sketches [B, 3, S, S], photos [P, 3, S, S]: normalised pixels. One pass: batch normalisation sees sketches and photos
            together, as its running statistics do. descriptors: phi(s) [B, M], noise: standard normal [B, D]; both are
            needed with weighting, neither is used without.

        Raises ValueError when one is missing or has another shape.
        """
        sketch, photo = self.features(torch.cat([sketches, photos])).split([len(sketches), len(photos)])
        if self.eta is None:
            return VTDOutput(sketch, photo, None, None, None)
        if descriptors is None or noise is None:
            missing = "descriptors" if descriptors is None else "noise"
            raise ValueError(
                f"{missing} must be given: descriptor_dim={self.config.descriptor_dim}, got None"
            )
        if noise.shape != sketch.shape or len(descriptors) != len(sketch):
            raise ValueError(
                f"descriptors [B, M] and noise [B, {sketch.shape[1]}] must have a row for each of {len(sketch)} sketches, "
                f"got {list(descriptors.shape)} and {list(noise.shape)}"
            )
        eta, mu, log_variance = self.eta(descriptors, noise[:, None])
        return VTDOutput(sketch, photo, 1 + eta[:, 0], mu, log_variance)

    # -- the weights of a query

    def weights(self, descriptors: Tensor) -> Tensor:
        """w = 1 + eta under the test noise: phi(s) [B, M] -> [B, samples, D]. RuntimeError without weighting."""
        if self.eta is None or self.test_noise is None:
            raise RuntimeError("this model has no weights of dimensions: descriptor_dim is 0 (hard transfer)")
        return 1 + self.eta(descriptors, self.test_noise)[0]

    def trait_weights(self, images: Tensor) -> Tensor:
        """``weights`` of sketches in the describer's own preprocessing, ``describer.preprocess``: -> [B, samples, D].

        Raises RuntimeError without weighting, without a describer, and with one that reads names and not images.
        """
        if self.describer is None:
            raise RuntimeError(
                "this model has no describer: use weights(descriptors) with descriptors of your own"
            )
        return self.weights(self.describer.describe(images))


def kind_of(describer: nn.Module | None) -> Describer:
    """The config's name for a describer. ValueError for a module that is none."""
    if describer is None:
        return "none"
    kinds: dict[str, Describer] = {name: kind for kind, (_, name) in _DESCRIBERS.items()}
    found = type(describer).__name__
    if found not in kinds:
        raise ValueError(f"describer must be None or one of {', '.join(kinds)}, got {found}")
    return kinds[found]


def _class_of(kind: Describer) -> Any:
    module, name = _DESCRIBERS[kind]
    return getattr(import_module(f"sketchfast.models.{module}"), name)


def _described(describer: Any) -> dict[str, Any]:
    """What the describer's ``from_metadata`` needs, JSON-able."""
    if describer is None:
        return {}
    config: Any = describer.config
    fields = dict(config) if isinstance(config, dict) else dataclasses.asdict(config)
    record: dict[str, Any] = {"config": fields}
    if getattr(describer, "class_names", None) is not None:
        record["class_names"] = list(describer.class_names)
    if getattr(describer, "preprocess", None) is not None:
        record["preprocess"] = describer.preprocess.to_dict()
    return record


def _check_config(config: VTDConfig) -> None:
    if config.descriptor_dim < 0:
        raise ValueError(f"descriptor_dim must be 0 (no weighting) or more, got {config.descriptor_dim}")
    if config.samples < 1:
        raise ValueError(f"samples must be at least 1, got {config.samples}")
    if config.describer not in ("none", *_DESCRIBERS):
        raise ValueError(f"describer must be 'none' or one of {tuple(_DESCRIBERS)}, got {config.describer!r}")
