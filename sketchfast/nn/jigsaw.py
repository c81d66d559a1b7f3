"""Jigsaw puzzles of a photo and its edge map: Pang et al., Solving Mixed-Modal Jigsaw Puzzle for Fine-Grained Sketch-Based
Image Retrieval, CVPR 2020; a task before retrieval that needs photos only.

A picture is cut into n x n patches, each taken from the photo or from its edge map, and they change places. From the map of
features of the shuffled picture a matrix [n^2, n^2] says which patch belongs where; Sinkhorn's iterations bring it near to a
permutation. (D) One linear layer for each patch's features; the loss is the cross-entropy of the patches' places.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sketchfast.nn.precision import at_least_float32


class JigsawNet(nn.Module):
    """A retrieval network's backbone and the layer that puts patches in order. ``preprocess`` is the network's.

    retrieval: has `backbone` (feature_map [B, C, h, w] and num_channels) and preprocess. side: n. iterations: of Sinkhorn.
    Raises ValueError naming the argument.
    """

    def __init__(self, retrieval: Any, side: int = 3, iterations: int = 10) -> None:
        super().__init__()
        if side < 2:
            raise ValueError(f"side must be at least 2 patches, got {side}")
        if iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {iterations}")
        self.retrieval, self.side, self.iterations = retrieval, side, iterations
        self.preprocess = retrieval.preprocess
        self.pool = nn.AdaptiveAvgPool2d(side)
        self.place = nn.Linear(retrieval.backbone.num_channels, side**2)

    def forward(self, images: Tensor) -> Tensor:
        """Shuffled pictures [B, 3, S, S] -> log probabilities [B, n^2, n^2]: of the patch seen at a place, where it belongs."""
        cells = self.pool(self.retrieval.backbone.feature_map(images)).flatten(2).mT  # [B, n^2, C]
        return log_sinkhorn(self.place(cells), self.iterations)


def log_sinkhorn(scores: Tensor, iterations: int) -> Tensor:
    """The log of a matrix whose rows sum to 1 and whose columns nearly do: floating [..., N, N], columns and rows in turn.

    float32, or float64 for float64."""
    scores = at_least_float32(scores)
    for _ in range(iterations):
        scores = scores.log_softmax(dim=-2)
        scores = scores.log_softmax(dim=-1)
    return scores


def shuffles(uniform: Tensor) -> Tensor:
    """Permutations from random numbers [B, N]: int64 [B, N], which patch is put at each place."""
    return uniform.argsort(dim=1)


def mixed_puzzles(photos: Tensor, edges: Tensor, places: Tensor, of_edges: Tensor) -> Tensor:
    """Shuffled pictures: place i shows patch places[i] of the edge map where of_edges[i], else of the photo.

    photos, edges: [B, C, S, S]. places: int64 [B, n^2], of_edges: bool [B, n^2]. With S no multiple of n, what is left over at
    the right and below is not shown (D): -> [B, C, n floor(S / n), n floor(S / n)]. ValueError naming the argument.
    """
    side = round(places.shape[1] ** 0.5)
    if photos.shape != edges.shape or photos.ndim != 4 or photos.shape[2] != photos.shape[3]:
        raise ValueError(
            f"photos and edges must have one shape [B, C, S, S], got {list(photos.shape)} and {list(edges.shape)}"
        )
    if side**2 != places.shape[1] or of_edges.shape != places.shape or len(places) != len(photos):
        raise ValueError(
            f"places and of_edges must have one shape [{len(photos)}, n^2], got {list(places.shape)} and {list(of_edges.shape)}"
        )
    patch = photos.shape[2] // side
    if patch < 1:
        raise ValueError(f"photos must have at least {side} pixels a side, got {photos.shape[2]}")
    cut = [_patches(images, side, patch) for images in (photos, edges)]
    rows = torch.arange(len(photos), device=photos.device)[:, None]
    shown = torch.where(of_edges[..., None, None, None], cut[1][rows, places], cut[0][rows, places])
    grid = shown.unflatten(1, (side, side))  # [B, n, n, C, p, p]
    return grid.permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)


def _patches(images: Tensor, side: int, patch: int) -> Tensor:
    """[B, C, S, S] -> [B, n^2, C, p, p], row after row."""
    cut = images[..., : side * patch, : side * patch].unflatten(2, (side, patch)).unflatten(4, (side, patch))
    return cut.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
