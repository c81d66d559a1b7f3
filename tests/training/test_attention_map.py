"""Attention maps: the dimension that matches most, Grad-CAM by hand, and a network whose channels look at known places."""

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.models.backbones import Backbone
from sketchfast.models.vtd import VTD, VTDConfig
from sketchfast.runtime.preprocess import Preprocess
from sketchfast.training.attention_map import attention_maps, attention_rows, matched_dimension

NAMES = ["cat", "bus"]


def network(**settings) -> VTD:
    config = VTDConfig("resnet10", "none", "small", width=0.125, descriptor_dim=4, samples=3, **settings)
    plain = Preprocess(size=32, mean=(0, 0, 0), std=(1, 1, 1))
    return VTD(config, NAMES, plain).double().eval()


class Drawn(ImageSet):
    """Four items of two classes; a sketch has a dark corner, a photo is dark with a light one."""

    def __init__(self, modality: str):
        super().__init__(NAMES, [0, 0, 1, 1], [f"{modality} {i}" for i in range(4)], modality)

    def load(self, i: int) -> np.ndarray:
        ground, corner = (255, 0) if self.modality == "sketch" else (40, 220)
        image = np.full((40, 40, 3), ground, np.uint8)
        image[5 : 8 + 4 * i, 5:20] = corner
        return image


PAIRS = PairedSet(Drawn("sketch"), Drawn("photo"), np.array([1, 0, 3, 2]))


def test_the_dimension_is_that_of_the_largest_term_under_the_nearest_sample(seed) -> None:
    random = np.random.default_rng(seed)
    for _ in range(20):
        sketch, photo = random.normal(size=(2, 7))
        weights = 1 + random.normal(size=(5, 7))
        distances = [sum((w[d] * sketch[d] - w[d] * photo[d]) ** 2 for d in range(7)) for w in weights]
        sample = int(np.argmin(distances))
        terms = [weights[sample, d] ** 2 * sketch[d] * photo[d] for d in range(7)]
        found = matched_dimension(*map(torch.from_numpy, (sketch, photo, weights)))
        assert found[:2] == (sample, int(np.argmax(terms)))
        positive = sum(term for term in terms if term > 0)
        assert found[2] == pytest.approx(max(terms) / positive if positive else 0.0)
    opposite = torch.tensor([[1.0, 2.0], [-1.0, -2.0]])
    assert matched_dimension(opposite[0], opposite[1], torch.ones(1, 2))[2] == 0.0


@pytest.mark.parametrize("unit_features", [True, False])
def test_maps_are_grad_cam_worked_by_hand(seed, unit_features) -> None:
    torch.manual_seed(seed)
    model = network(unit_features=unit_features)
    descriptors = torch.randn(3, 4, dtype=torch.float64)
    with torch.no_grad():
        model.eta.mu.weight.mul_(20)  # weights that differ: the dimension depends on the descriptor
    sketch, photo = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    found = attention_maps(model, sketch, photo, descriptors)
    with torch.no_grad():
        maps = model.backbone.feature_map(torch.stack([sketch, photo])).numpy()
        features = model.features(torch.stack([sketch, photo]))
        weights = model.weights(descriptors)
    for one, samples in zip(found, weights):
        sample, d, share = matched_dimension(features[0], features[1], samples)
        assert (one.dimension, one.share) == (d, share)
        w = float(samples[sample, d])
        for image, shown in ((0, one.sketch), (1, one.photo)):
            a = maps[image]
            pooled = a.mean(axis=(1, 2))
            unit = np.eye(len(pooled))[d]
            length = np.linalg.norm(pooled)
            # d f_d / d pooled_c; with features of length 1, f = pooled / |pooled|.
            slope = (unit - pooled * pooled[d] / length**2) / length if unit_features else unit
            alpha = np.sign(w * pooled[d]) * w * slope / (a.shape[1] * a.shape[2])
            cam = np.maximum(0, np.tensordot(alpha, a, axes=1))
            assert shown.shape == cam.shape and shown.min() >= 0
            np.testing.assert_allclose(shown, cam / cam.max() if cam.max() > 0 else cam, atol=1e-5)


def test_a_map_peaks_where_its_channel_responds() -> None:
    """Channel c of a hand-made network is colour c of the image; weights choose between two places."""
    model = network()
    grid = nn.AvgPool2d(4)
    model.backbone = Backbone(grid, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, 3)
    images = torch.zeros(2, 3, 32, 32, dtype=torch.float64)
    places = {0: [(4, 8), (20, 12)], 2: [(16, 24), (8, 4)]}  # colour: its place in sketch and photo
    for colour, corners in places.items():
        for image, (y, x) in enumerate(corners):
            images[image, colour, y : y + 4, x : x + 4] = 1
    model.weights = lambda descriptors: descriptors[:, None]  # the descriptor is the weights
    descriptors = torch.tensor([[1.5, 1.0, 0.7], [0.7, 1.0, -1.5]], dtype=torch.float64)
    for one, colour in zip(attention_maps(model, images[0], images[1], descriptors), (0, 2)):
        assert one.dimension == colour and one.share == pytest.approx(1.5**2 / (1.5**2 + 0.7**2))
        for shown, (y, x) in zip((one.sketch, one.photo), places[colour]):
            assert shown[y // 4, x // 4] == 1 and np.count_nonzero(shown > 0.01) == 1


def test_rows_frame_the_own_descriptor() -> None:
    torch.manual_seed(5)
    model = network().float()
    section = attention_rows(model, PAIRS, [2, 1], [1, -1], torch.randn(3, 4), ["a", "b", "c"])
    assert section.columns == ["a", "b", "c"]
    assert [row.caption for row in section.rows] == [
        "bus\nsketch 2",
        "its photo",
        "cat\nsketch 1",
        "its photo",
    ]
    assert [list(row.framed) for row in section.rows] == [[1], [1], [], []]
    assert all(len(row.images) == 3 and row.images[0].shape == (240, 240, 3) for row in section.rows)
    assert "of 2 mismatching" in section.note
    dark = section.rows[1].images[0]
    assert dark.mean() > 60  # the photo is dark, its map can still be read


def test_bad_input_is_named() -> None:
    model = network().float()
    with pytest.raises(ValueError, match="own must have one column a sketch, got 1 for 2"):
        attention_rows(model, PAIRS, [0, 1], [0], torch.randn(2, 4), ["a", "b"])
    with pytest.raises(ValueError, match="names must be one a descriptor, got 1 for 2"):
        attention_rows(model, PAIRS, [0], [0], torch.randn(2, 4), ["a"])
    model.backbone.trunk.add_module("flat", nn.Flatten())
    with pytest.raises(ValueError, match=r"must be \[B, C, h, w\]"):
        attention_maps(model, *torch.rand(2, 3, 32, 32), torch.randn(1, 4))
