"""Acc@k within a category: by hand, against a loop that sorts, ties, chance, and what is refused."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from sketchfast.data.image_set import ImageSet
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.instance_retrieval import (
    evaluate_instances,
    format_instance_rows,
    score_model,
    search_classes,
)
from sketchfast.runtime.preprocess import Preprocess

NAMES = ["cat", "cow", "nobody's"]


class Pictures(ImageSet):
    """Each item a colour of its own."""

    def load(self, i: int) -> np.ndarray:
        return np.full((8, 8, 3), 37 * i % 256, np.uint8)


def paired(photo_labels: list[int], photo_of: list[int]) -> PairedSet:
    photos = Pictures(NAMES, photo_labels, [f"p{i}" for i in range(len(photo_labels))], "photo")
    ids = [f"s{i}" for i in range(len(photo_of))]
    sketches = Pictures(NAMES, [photo_labels[p] for p in photo_of], ids, "sketch")
    return PairedSet(sketches, photos, np.array(photo_of))


def random_pairs(seed: int, sketches: int = 30) -> PairedSet:
    """Categories interleaved, the last one without sketches, photos that nobody drew."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1, 2], random.integers(0, 3, 25)])
    drawn = np.concatenate([[0, 1], random.choice(np.flatnonzero(labels < 2), sketches - 2)])
    return paired(labels.tolist(), random.permutation(drawn).tolist())


def random_distances(pairs: PairedSet, seed: int) -> list[np.ndarray]:
    """Whole numbers: many ties."""
    random = np.random.default_rng(seed)
    shapes = [tuple(map(len, pairs.of_class(c))) for c in range(len(NAMES))]
    return [random.integers(0, 6, shape).astype(np.float32) for shape in shapes]


def test_worked_by_hand():
    pairs = paired([0, 1, 0, 0, 1, 2], [3, 1, 0, 4])
    cat = [
        [0.2, 0.5, 0.1],
        [0.3, 0.3, 0.9],
    ]  # sketches 0 and 2 to photos 0, 2, 3: first, and tied with another
    cow = [[0.7, 0.1], [0.5, 0.4]]  # sketches 1 and 3 to photos 1, 4: second, first
    scores = evaluate_instances([cat, cow, np.zeros((0, 1))], pairs, at=(2, 1))
    assert scores.at == (1, 2) and scores.ranks.tolist() == [1, 2, 2, 1]
    assert scores.right(1).tolist() == [True, False, False, True] and scores.right(2).all()
    assert {k: mean.value for k, mean in scores.accuracy.items()} == {1: 0.5, 2: 1.0}
    assert scores.per_class == {"cat": {1: 0.5, 2: 1.0}, "cow": {1: 0.5, 2: 1.0}}
    assert scores.gallery.tolist() == [3, 2, 1]
    assert scores.chance == pytest.approx({1: (1 / 3 + 1 / 2) / 2, 2: (2 / 3 + 1) / 2})
    told = json.loads(json.dumps(scores.to_dict()))
    assert told["count"] == 4 and told["accuracy"] == {"1": 0.5, "2": 1.0}
    assert told["classes"]["cow"] == {"count": 2, "photos": 2, "accuracy": {"1": 0.5, "2": 1.0}}
    table = format_instance_rows({"full": scores, "hard transfer": scores}).splitlines()
    assert table[0].startswith("full           Acc@1 0.500 [") and table[0].endswith("(4)")
    assert len(table) == 3 and table[2].split() == ["chance", "Acc@1", "0.417", "Acc@2", "0.833"]


def test_against_a_loop_that_sorts(seed):
    pairs = random_pairs(seed)
    distances = random_distances(pairs, seed + 1)
    scores = evaluate_instances(distances, pairs, at=(1, 3, 100))
    for i in range(len(pairs)):
        label = pairs.sketches.labels[i]
        photos = [p for p in range(len(pairs.photos)) if pairs.photos.labels[p] == label]
        row = [j for j in range(len(pairs)) if pairs.sketches.labels[j] == label].index(i)
        of = dict(zip(photos, distances[label][row].tolist(), strict=True))
        own = pairs.photo_of[i]
        order = sorted(
            photos, key=lambda p, of=of, own=own: (of[p], p == own)
        )  # the own one behind all its equals
        assert scores.ranks[i] == order.index(own) + 1
    assert scores.accuracy[100].value == scores.chance[100] == 1.0
    assert scores.accuracy[3].value == (scores.ranks <= 3).mean()
    for label, name in enumerate(NAMES[:2]):
        own = scores.ranks[pairs.sketches.labels == label]
        assert scores.per_class[name][3] == pytest.approx((own <= 3).mean())
    # Distances as tensors, and exactly as they are given
    same = evaluate_instances((torch.from_numpy(each) for each in distances), pairs, at=(1, 3, 100))
    assert np.array_equal(same.ranks, scores.ranks)


def test_a_network_that_tells_nothing_apart_finds_nothing(seed):
    pairs = random_pairs(seed)
    scores = evaluate_instances([np.zeros_like(each) for each in random_distances(pairs, seed)], pairs)
    sizes = scores.gallery[pairs.sketches.labels]
    assert np.array_equal(scores.ranks, sizes)
    assert not scores.right(1)[sizes > 1].any()


def test_chance_is_what_random_orders_give():
    pairs = random_pairs(7, sketches=4000)
    random = np.random.default_rng(8)
    shapes = [tuple(map(len, pairs.of_class(c))) for c in range(len(NAMES))]
    scores = evaluate_instances([random.random(shape) for shape in shapes], pairs)
    for k in (1, 5):  # four standard errors of 4,000 sketches
        assert scores.accuracy[k].value == pytest.approx(scores.chance[k], abs=4 * 0.5 / 4000**0.5)


def looped_distances(sketches, photos, pairs, weights):
    """float64, one sketch at a time; weights [Q, S, D]."""
    found = []
    for label in range(len(NAMES)):
        rows, columns = pairs.of_class(label)
        differences = sketches[rows][:, None].double() - photos[columns].double()
        found.append(
            ((weights[rows].double()[:, :, None] * differences[:, None]) ** 2).sum(3).amin(1).numpy()
        )
    return found


def test_search_stays_within_the_category(seed):
    pairs = random_pairs(seed)
    random = torch.Generator().manual_seed(seed)
    sketches, photos = (torch.randn(n, 12, generator=random) for n in (len(pairs), len(pairs.photos)))
    weights = torch.randn(5, 3, 12, generator=random)
    of = torch.randint(0, 5, (len(pairs),), generator=random)
    expected = looped_distances(sketches, photos, pairs, weights[of])
    for found in (
        search_classes(sketches, photos, pairs, weights, of),
        search_classes(sketches.numpy(), photos.numpy(), pairs, weights.numpy(), of.numpy()),
        search_classes(sketches, photos, pairs, weights[of]),
    ):
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == np.float32 and a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-4)
    plain = looped_distances(sketches, photos, pairs, torch.ones(len(pairs), 1, 12))
    for a, b in zip(search_classes(sketches, photos, pairs), plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


class Network(nn.Module):
    """Features that are linear in the mean colour; weights made of the descriptor."""

    preprocess = Preprocess(size=8)

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3, 10)
        self.generate = nn.Linear(4, 2 * 10)

    def encode_sketch(self, images: torch.Tensor) -> torch.Tensor:
        return self.project(images.mean(dim=(2, 3)))

    encode_photo = encode_sketch

    def weights(self, descriptors: torch.Tensor) -> torch.Tensor:
        assert len(torch.unique(descriptors, dim=0)) == len(descriptors)  # each descriptor once
        return 1 + self.generate(descriptors).unflatten(1, (2, 10))


def test_score_model_weighs_each_sketch_by_its_descriptor(seed):
    torch.manual_seed(seed)
    model, pairs = Network(), random_pairs(seed)
    descriptors = torch.randn(6, 4)[torch.randint(0, 6, (len(pairs),))]
    found = score_model(model, pairs, descriptors.numpy())
    assert found.sketch_features.shape == (len(pairs), 10) and found.photo_features.shape == (
        len(pairs.photos),
        10,
    )
    with torch.no_grad():
        weights = 1 + model.generate(descriptors).unflatten(1, (2, 10))
    features = torch.from_numpy(found.sketch_features), torch.from_numpy(found.photo_features)
    for a, b in zip(found.distances, looped_distances(*features, pairs, weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)
    assert np.array_equal(found.scores.ranks, evaluate_instances(found.distances, pairs).ranks)
    plain = score_model(model, pairs)
    for a, b in zip(plain.distances, search_classes(*features, pairs), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=rf"descriptors: expected \[{len(pairs)}, M\].*found \[2, 4\]"):
        score_model(model, pairs, descriptors[:2])


def test_bad_input_is_named(seed):
    pairs = random_pairs(seed)
    distances = random_distances(pairs, seed)
    with pytest.raises(ValueError, match="distances: expected 3 arrays, one per category; found 2"):
        evaluate_instances(distances[:2], pairs)
    with pytest.raises(ValueError, match=r"distances: expected real .* of category 'cow'"):
        evaluate_instances([distances[0], distances[1][:, 1:], distances[2]], pairs)
    holed = [each.copy() for each in distances]
    holed[1][0, 0] = np.nan
    first = pairs.sketches.ids[pairs.of_class(1)[0][0]]
    with pytest.raises(ValueError, match=f"distances: expected numbers; found NaN for sketch {first}$"):
        evaluate_instances(holed, pairs)
    for k in (0, -1, True, 1.5):
        with pytest.raises(ValueError, match="at: expected positive integers"):
            evaluate_instances(distances, pairs, at=(1, k))
    with pytest.raises(TypeError, match=r"at: expected positive integers, .*; found 5"):
        evaluate_instances(distances, pairs, at=5)
    with pytest.raises(TypeError, match="distances: expected an array for each category; found None"):
        evaluate_instances(None, pairs)
    none = pairs.subset([])
    with pytest.raises(ValueError, match="pairs: expected at least one sketch"):
        evaluate_instances([each[:0] for each in distances], none)
    features = torch.rand(len(pairs), 4), torch.rand(len(pairs.photos), 4)
    with pytest.raises(ValueError, match="sketch_features: expected 30 rows, one per sketch; found 29"):
        search_classes(features[0][1:], features[1], pairs)
    with pytest.raises(ValueError, match="photo_features: expected 28 rows, one per photo; found 27"):
        search_classes(features[0], features[1][1:], pairs)
    with pytest.raises(ValueError, match="weights: expected 30 rows, one per sketch, or weights_of; found 5"):
        search_classes(*features, pairs, torch.rand(5, 2, 4))
    for rows in (29, 31):
        with pytest.raises(ValueError, match=f"weights_of: expected 30, one per sketch; found {rows}"):
            search_classes(*features, pairs, torch.rand(5, 2, 4), [0] * rows)
    with pytest.raises(ValueError, match="weights_of: expected None without weights"):
        search_classes(*features, pairs, weights_of=[0] * 30)
