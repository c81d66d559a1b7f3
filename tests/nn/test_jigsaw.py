"""Puzzles patch by patch, and Sinkhorn's matrices against the iteration written out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.nn.jigsaw import JigsawNet, log_sinkhorn, mixed_puzzles, shuffles


def test_puzzles_patch_by_patch(seed: int) -> None:
    torch.manual_seed(seed)
    n, patch, batch = 3, 4, 5
    size = n * patch + 2  # two pixels are left over
    photos, edges = torch.rand(batch, 3, size, size), torch.rand(batch, 3, size, size)
    places = shuffles(torch.rand(batch, n * n))
    assert all(sorted(row) == list(range(n * n)) for row in places.tolist())
    of_edges = torch.rand(batch, n * n) < 0.5
    found = mixed_puzzles(photos, edges, places, of_edges)
    assert found.shape == (batch, 3, n * patch, n * patch)
    for b in range(batch):
        for place in range(n * n):
            source = (edges if of_edges[b, place] else photos)[b]
            row, column = divmod(int(places[b, place]), n)
            wanted = source[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            row, column = divmod(place, n)
            shown = found[b][:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
            assert torch.equal(shown, wanted)


def test_sinkhorn_is_the_iteration(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.normal(size=(4, 5, 5)) * 2
    expected = np.exp(scores)
    for _ in range(7):
        expected /= expected.sum(axis=1, keepdims=True)
        expected /= expected.sum(axis=2, keepdims=True)
    np.testing.assert_allclose(log_sinkhorn(torch.from_numpy(scores), 7).exp().numpy(), expected, rtol=1e-9)
    near = log_sinkhorn(torch.from_numpy(scores), 500).exp().numpy()
    np.testing.assert_allclose(near.sum(axis=1), 1, rtol=1e-6)
    assert log_sinkhorn(torch.from_numpy(scores).bfloat16(), 2).dtype == torch.float32


def net(seed: int, **options: Any) -> JigsawNet:
    torch.manual_seed(seed)
    backbone: Any = nn.Conv2d(3, 7, 3, padding=1)
    backbone.feature_map, backbone.num_channels = backbone.forward, 7
    retrieval: Any = nn.Module()
    retrieval.backbone, retrieval.preprocess = backbone, SimpleNamespace(size=12)
    return JigsawNet(retrieval, **options)


def test_network_describes_each_place(seed: int) -> None:
    model = net(seed, side=2, iterations=3)
    images = torch.rand(3, 3, 12, 12)
    maps = model.retrieval.backbone(images)
    scores = torch.stack(
        [
            model.place(maps[:, :, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6].mean(dim=(2, 3)))
            for row in range(2)
            for column in range(2)
        ],
        dim=1,
    )
    torch.testing.assert_close(model(images), log_sinkhorn(scores, 3))
    torch.testing.assert_close(model(images).exp().sum(dim=2), torch.ones(3, 4))


def test_errors_name_the_argument() -> None:
    for options, message in (
        ({"side": 1}, "side must be at least 2"),
        ({"iterations": 0}, "iterations must be"),
    ):
        with pytest.raises(ValueError, match=message):
            net(0, **options)
    pictures, places = torch.zeros(2, 3, 8, 8), torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match="photos and edges must have one shape"):
        mixed_puzzles(pictures, pictures[:, :1], places, places > 0)
    with pytest.raises(
        ValueError, match=r"places and of_edges must have one shape \[2, n\^2\], got \[2, 3\]"
    ):
        mixed_puzzles(pictures, pictures, places[:, :3], places[:, :3] > 0)
    with pytest.raises(ValueError, match="photos must have at least 2 pixels a side, got 1"):
        mixed_puzzles(pictures[..., :1, :1], pictures[..., :1, :1], places, places > 0)
