"""Universal visual trait embedding: Pang et al., Generalising Fine-Grained Sketch-Based Image Retrieval, CVPR 2019.

A sketch s is assigned to one of K descriptors D_i, random directions that stay fixed, and drawn again from it:

    p = W_p E(s) + b_p,  p_h = onehot(argmax p),  D_s = p_h D           (1)
    Z_s = D_s (1 + alpha tanh(W_sk E(s) + b_sk)),  s^ = R(Z_s)          (2)

D_s alone cannot tell the sketches of one descriptor apart, so the decoder draws what they have in common: a trait. Losses and
the assignment while training are in ``sketchfast.nn.trait_assignment``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sketchfast.models.sketch_autoencoder import (
    CHANNELS,
    SketchDecoder,
    SketchEncoder,
    sketch_preprocess,
)
from sketchfast.nn.precision import at_least_float32
from sketchfast.nn.trait_assignment import BACKWARDS, Backward, straight_through_gumbel


@dataclass
class TraitConfig:
    """The network; what it is trained with lives in train/vtd.py."""

    descriptors: int = 300  # K
    dim: int = 256  # M
    channels: tuple[int, ...] = CHANNELS
    skip: float = 0.02  # alpha of eq. 2
    assignment: Literal["soft", "hard"] = "soft"  # in training; afterwards the arg-max in both (D)
    tau: float = 1.0  # of the hard assignment, eq. 3
    backward: Backward = "gumbel"  # whose gradient the hard assignment has
    size: int = 64
    ink_margin: float = 0.05


class TraitOutput(NamedTuple):
    """Of a batch of B sketches."""

    logits: Tensor  # p, [B, K]
    assignment: Tensor  # p_s, p_hg or p_h, [B, K]: what multiplied the dictionary
    code: Tensor  # Z, [B, M]
    reconstruction: Tensor  # s^, [B, 1, S, S], values -1..1


class TraitNetwork(nn.Module):
    """Encoder, fixed dictionary and decoder. ``preprocess`` is what turns a sketch into its input: "scaled and centred".

    The dictionary is drawn from torch's global generator. `assign`, `describe` and `traits` use the running statistics of
    batch normalisation only in evaluation mode: call ``eval()`` first.

    Raises ValueError naming the setting: fewer than 2 descriptors, an unknown assignment or backward, a tau that is not above
    0, a size that is no multiple of 32, a dim that its map cannot hold.
    """

    dictionary: Tensor

    def __init__(self, config: TraitConfig) -> None:
        super().__init__()
        _check_config(config)
        self.config = config
        self.preprocess = sketch_preprocess(config.size, config.ink_margin)
        self.encoder = SketchEncoder(config.channels, config.size)
        self.decoder = SketchDecoder(config.dim, config.channels, config.size)
        self.logits = nn.Linear(self.encoder.num_features, config.descriptors)  # W_p, b_p
        self.skip = nn.Linear(self.encoder.num_features, config.dim)  # W_sk, b_sk
        self.register_buffer("dictionary", F.normalize(torch.randn(config.descriptors, config.dim), dim=1))

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> TraitNetwork:
        """The network of a checkpoint's metadata, before its weights are loaded."""
        fields = metadata["config"]
        return cls(TraitConfig(**{**fields, "channels": tuple(fields["channels"])}))

    @property
    def descriptor_dim(self) -> int:
        """M, the length of a descriptor."""
        return self.config.dim

    def forward(self, images: Tensor, uniform: Tensor | None = None) -> TraitOutput:
        """images: floating [B, 3, S, S], -1 (ink) to 1 (white); channel 0 is read. uniform: [B, K] in (0, 1).

        Soft assignment in training is softmax(p); hard assignment with `uniform` is eq. 3. Otherwise, in evaluation, it is the
        arg-max of eq. 1 in both modes (D). Soft assignment does not use `uniform`.
        Raises ValueError for other shapes, and for hard assignment in training without `uniform`.
        """
        features = self.encoder(images)
        logits = self.logits(features)
        detail = self.skip(features)
        # 1 + 0.02 tanh has five values in bfloat16, so this part stays in float32.
        with torch.autocast(images.device.type, enabled=False):
            assignment = self._assignment(at_least_float32(logits), uniform)
            detail = at_least_float32(detail).tanh()
            code = (assignment @ self.dictionary.to(detail)) * (1 + self.config.skip * detail)
        return TraitOutput(logits, assignment, code, self.decoder(code))

    def _assignment(self, logits: Tensor, uniform: Tensor | None) -> Tensor:
        if self.config.assignment == "hard" and uniform is not None:
            return straight_through_gumbel(logits, uniform, self.config.tau, self.config.backward)
        if not self.training:
            return F.one_hot(logits.argmax(dim=1), self.config.descriptors).to(logits.dtype)
        if self.config.assignment == "soft":
            return logits.softmax(dim=1)
        raise ValueError("uniform must be [B, K] numbers in (0, 1) for hard assignment in training, got None")

    # -- what a trained network is for

    @torch.no_grad()
    def assign(self, images: Tensor) -> Tensor:
        """Index of each sketch's descriptor, eq. 1: images as in ``forward`` -> int64 [B]."""
        return self.logits(self.encoder(images)).argmax(dim=1)

    def describe(self, images: Tensor) -> Tensor:
        """phi(s) = D_s of each sketch, eq. 1: images as in ``forward`` -> [B, M]."""
        return self.dictionary.index_select(0, self.assign(images))  # a plain Gather in an exported graph

    @torch.no_grad()
    def traits(self, block: int = 64) -> Tensor:
        """R(D_i), what each descriptor stands for without the details of any sketch: [K, 1, S, S], values -1..1.

        block: descriptors decoded at a time.
        """
        return torch.cat([self.decoder(rows) for rows in self.dictionary.split(block)])

    @torch.no_grad()
    def revive(self, counts: Tensor, noise: Tensor, beta: float = 0.05) -> int:
        """Replace descriptors that no sketch has by copies of those that most have; returns how many were replaced.

        counts: int64 [K], sketches of the training set with each descriptor (of all processes, so that each does the same).
        noise: [K, M], standard normal; the i-th unused descriptor u becomes D_j (1 + beta noise_u), j the i-th most used one,
            from the most used again when they run out. Of equal counts the lower index comes first.
        u also gets W_p's row and bias of j, the row with the same relative noise (its values repeated to the row's length)
        (D). The paper changes D only, and as the logits do not depend on D, u would win no more sketches than before; so it
        shares those of j, and the loss decides which go where.

        Tensors change in place, so an optimizer keeps its parameters. Raises ValueError naming the argument: other shapes,
        negative counts, counts that are all 0, a beta that is not a number of at least 0.
        """
        k, dim = self.dictionary.shape
        if counts.shape != (k,) or counts.is_floating_point():
            raise ValueError(f"counts must be whole numbers [{k}], got {counts.dtype} {list(counts.shape)}")
        if noise.shape != (k, dim):
            raise ValueError(f"noise must be [{k}, {dim}], got {list(noise.shape)}")
        if not 0 <= beta < float("inf"):
            raise ValueError(f"beta must be a number of at least 0, got {beta}")
        counts = counts.cpu()
        if (counts < 0).any() or not counts.any():
            raise ValueError("counts must be at least 0 and not all 0: some descriptor must be in use")
        unused = (counts == 0).nonzero().flatten()
        by_use = counts.argsort(descending=True, stable=True)[: k - len(unused)]
        sources = by_use[torch.arange(len(unused)) % len(by_use)]
        device = self.dictionary.device
        unused, sources = unused.to(device), sources.to(device)
        factor = 1 + beta * noise.to(self.dictionary)[unused]
        self.dictionary[unused] = self.dictionary[sources] * factor
        weight, bias = self.logits.weight, self.logits.bias
        repeats = -(-weight.shape[1] // dim)
        weight[unused] = weight[sources] * factor.repeat(1, repeats)[:, : weight.shape[1]]
        bias[unused] = bias[sources]
        return len(unused)


def _check_config(config: TraitConfig) -> None:
    k = config.descriptors
    if isinstance(k, bool) or not isinstance(k, int) or k < 2:
        raise ValueError(f"descriptors must be a whole number of at least 2, got {k!r}")
    if config.assignment not in ("soft", "hard"):
        raise ValueError(f"assignment must be 'soft' or 'hard', got {config.assignment!r}")
    if not config.tau > 0:
        raise ValueError(f"tau must be above 0, got {config.tau}")
    if config.backward not in BACKWARDS:
        raise ValueError(f"backward must be 'gumbel' or 'softmax', got {config.backward!r}")
