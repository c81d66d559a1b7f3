"""What is traced of a retrieval model: one graph an encoder.

A graph maps ``image`` float32 [batch, 3, S, S] to ``embedding`` float32 [batch, dim] and, when the model holds ITQ, to
``code`` uint8 [batch, bits/8]. The packing is a matrix product with powers of two, so that no bit operation enters the
graph: TensorRT's parser rejects those.

A model that weighs the dimensions for each query (VTD) has a third graph: ``image`` float32 [batch, 3, S', S'], the sketch in its
describer's preprocessing, to ``weights`` float32 [batch, samples, dim], w = 1 + eta of equation (8) under the model's fixed test
noise. Assigning a descriptor is an ArgMax (the first of equal ones) and a Gather.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..runtime.preprocess import Preprocess


class EncoderGraph(nn.Module):
    """One encoder ("sketch", "photo" or "trait") with the outputs asked for: what is traced into a graph."""

    def __init__(self, model: Any, encoder: str, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.encoder = encoder
        self.outputs = outputs
        if "code" in outputs:
            bits = model.itq_projection.shape[1]
            self.register_buffer("byte_weights", torch.tensor([float(1 << bit) for bit in range(8)]))
            self.bytes = bits // 8

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        if self.encoder == "trait":
            return (self.model.trait_weights(image),)
        encode = self.model.encode_sketch if self.encoder == "sketch" else self.model.encode_photo
        embedding = encode(image)
        if "code" not in self.outputs:
            return (embedding,)
        bits = (self.model.code_values(embedding) > 0).to(torch.float32).reshape(-1, self.bytes, 8)
        return embedding, (bits * self.byte_weights).sum(-1).to(torch.uint8)


def encoders_of(model: Any, outputs: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The graphs of a model and the outputs of each: sketch and photo encoder, and where it weighs dimensions "trait".

    Raises ValueError where the weights need more than the sketch.
    """
    encoders = {"sketch": outputs, "photo": outputs}
    if getattr(model, "test_noise", None) is None:
        return encoders
    describer = model.describer
    if describer is None:
        raise ValueError(
            "model: weighs the dimensions by descriptors but holds no describer that makes them from a sketch; build it "
            "with one, VTD(config, describer=...)"
        )
    if not hasattr(describer, "preprocess"):
        raise ValueError(
            f"model: its describer, {type(describer).__name__}, needs the name of the sketch's category, which a graph of "
            "images cannot be given, so it cannot be exported; sketchfast.models.TraitSearch(model).query(sketch, "
            "category=...) searches with it"
        )
    return encoders | {"trait": ("weights",)}


def preprocess_of(model: Any, encoder: str) -> Preprocess:
    """How images are prepared for one encoder of a model."""
    found: Preprocess = model.describer.preprocess if encoder == "trait" else model.preprocess
    return found
