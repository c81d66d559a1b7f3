"""How well sketches find the very photo each was drawn from, among the photos of its own category: Acc@k.

The rank of a sketch's own photo counts ties against the model: 1 + the number of other photos at most as far away (a network
that maps every photo to one point finds none, not all). Acc@k is the share of the sketches whose photo has a rank of at most k.
Chance: the photos of a category in random order, min(k, n_c) / n_c for a category of n_c photos, averaged over sketches.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sketchfast.arrays import as_array, real_array
from sketchfast.data.instances import PairedSet
from sketchfast.metrics.bootstrap import Mean
from sketchfast.metrics.zero_shot import Features, encode
from sketchfast.retrieval.weighted_search import weighted_distances

AT = (1, 5, 10)


@dataclass(frozen=True)
class InstanceScores:
    """What `evaluate_instances` found, for Q sketches of C categories.

    names [C]. labels int64 [Q]: category of each sketch. gallery int64 [C]: photos of each category. at: the k, ascending.
    ranks int64 [Q]: place of each sketch's own photo, from 1, ties against the model.
    """

    names: list[str]
    labels: NDArray[np.int64]
    gallery: NDArray[np.int64]
    at: tuple[int, ...]
    ranks: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ranks)

    def right(self, k: int = 1) -> NDArray[np.bool_]:
        """[Q]: whether the own photo is among the k nearest. Two methods on the same sketches: `accuracy_difference` of these."""
        return self.ranks <= k

    @cached_property
    def accuracy(self) -> dict[int, Mean]:
        """k -> Acc@k over all sketches, with its bootstrap interval over sketches."""
        return {k: Mean.over(self.right(k)) for k in self.at}

    @property
    def per_class(self) -> dict[str, dict[int, float]]:
        """Category -> k -> Acc@k over its sketches, for the categories that have some."""
        return {
            self.names[c]: {k: float(self.right(k)[self.labels == c].mean()) for k in self.at}
            for c in np.unique(self.labels)
        }

    @property
    def chance(self) -> dict[int, float]:
        """k -> Acc@k of a random order."""
        photos = self.gallery[self.labels]
        return {k: float((np.minimum(k, photos) / photos).mean()) for k in self.at}

    @property
    def trivial(self) -> tuple[int, ...]:
        """The k at which every order finds every photo, because no category that is searched has more than k photos."""
        return tuple(k for k in self.at if not (self.gallery[self.labels] > k).any())

    def summary(self) -> str:
        """Acc@k with intervals, for a log."""
        return "  ".join(f"Acc@{k} {mean}" for k, mean in self.accuracy.items())

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: number of sketches, accuracy, intervals and chance by k (as text), every category with its photos."""
        per_class = self.per_class
        return {
            "count": len(self),
            "accuracy": {str(k): mean.value for k, mean in self.accuracy.items()},
            "intervals": {str(k): [mean.low, mean.high] for k, mean in self.accuracy.items()},
            "chance": {str(k): value for k, value in self.chance.items()},
            "classes": {
                name: {
                    "count": int((self.labels == c).sum()),
                    "photos": int(self.gallery[c]),
                    "accuracy": {str(k): value for k, value in per_class[name].items()},
                }
                for c, name in enumerate(self.names)
                if name in per_class
            },
        }


@dataclass(frozen=True)
class InstanceSearch:
    """What `score_model` found, with what it takes to show it: features, and distances [q_c, n_c] of each category."""

    scores: InstanceScores
    sketch_features: Features
    photo_features: Features
    distances: list[NDArray[np.float32]]


def evaluate_instances(
    distances: Iterable[ArrayLike], pairs: PairedSet, at: Iterable[int] = AT
) -> InstanceScores:
    """Rank each sketch's own photo among the photos of its category.

    distances: for each of the C categories, in the order of ``pairs.names``, real [q_c, n_c] from its sketches to its photos,
        rows and columns in the order of ``pairs.of_class`` (as from `search_classes`). Smaller is nearer; compared as given. Any
        iterable will do.
    pairs: the sketches, the photos, and whose photo is whose. at: the k; one beyond a category's photos counts all as found.

    Raises ValueError naming the argument: another number of categories, another shape, NaN (with the sketch), no sketch, a k that
    is no positive integer. Raises TypeError for distances or `at` that cannot be iterated over.
    """
    if not isinstance(distances, Iterable):
        raise TypeError(f"distances: expected an array for each category; found {distances!r}")
    if not isinstance(at, Iterable):
        raise TypeError(f"at: expected positive integers, such as (1, 5); found {at!r}")
    distances = list(distances)
    if len(distances) != len(pairs.names):
        raise ValueError(
            f"distances: expected {len(pairs.names)} arrays, one per category; found {len(distances)}"
        )
    if not len(pairs):
        raise ValueError("pairs: expected at least one sketch; found none")
    cuts = tuple(at)
    for k in cuts:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise ValueError(f"at: expected positive integers; found {k!r}")
    ranks, gallery = np.zeros(len(pairs), np.int64), np.zeros(len(pairs.names), np.int64)
    for label, (name, given) in enumerate(zip(pairs.names, distances, strict=True)):
        sketches, photos = pairs.of_class(label)
        values, gallery[label] = as_array(given), len(photos)
        if values.dtype.kind not in "fiu" or values.shape != (len(sketches), len(photos)):
            raise ValueError(
                f"distances: expected real [{len(sketches)}, {len(photos)}] of category {name!r}, sketches by photos; "
                f"found {values.dtype} {list(values.shape)}"
            )
        if values.dtype.kind == "f" and np.isnan(values).any():
            row = sketches[int(np.isnan(values).any(axis=1).argmax())]
            raise ValueError(f"distances: expected numbers; found NaN for sketch {pairs.sketches.ids[row]}")
        own = np.searchsorted(photos, pairs.photo_of[sketches])
        # The own photo is one of those that are at most as far.
        ranks[sketches] = (values <= values[np.arange(len(sketches)), own][:, None]).sum(axis=1)
    return InstanceScores(
        list(pairs.names), pairs.sketches.labels.astype(np.int64), gallery, tuple(sorted(set(cuts))), ranks
    )


def search_classes(
    sketch_features: Any, photo_features: Any, pairs: PairedSet, weights: Any = None, weights_of: Any = None
) -> list[NDArray[np.float32]]:
    """Distances of every sketch to the photos of its own category: C arrays float32 [q_c, n_c], in the order of ``pairs.names``.

    sketch_features: real [Q, D]. photo_features: real [P, D], rows as in `pairs`. weights: real [W, S, D], weights_of: integers
    [Q], as `weighted_distances` takes them. Tensors or arrays; errors as there, and ValueError for numbers of rows other than
    those of `pairs`.
    """
    sketches, photos = _rows("sketch_features", sketch_features), _rows("photo_features", photo_features)
    for name, given, images in (
        ("sketch_features", sketches, pairs.sketches),
        ("photo_features", photos, pairs.photos),
    ):
        if len(given) != len(images):
            raise ValueError(
                f"{name}: expected {len(images)} rows, one per {images.modality}; found {len(given)}"
            )
    if weights is not None:
        weights = _rows("weights", weights)
        if weights_of is None and len(weights) != len(pairs):
            raise ValueError(
                f"weights: expected {len(pairs)} rows, one per sketch, or weights_of; found {len(weights)}"
            )
        weights_of = np.arange(len(pairs)) if weights_of is None else _rows("weights_of", weights_of)
        if len(weights_of) != len(pairs):
            raise ValueError(f"weights_of: expected {len(pairs)}, one per sketch; found {len(weights_of)}")
    elif weights_of is not None:
        raise ValueError("weights_of: expected None without weights; found rows of weights")
    found = []
    for label in range(len(pairs.names)):
        rows, columns = pairs.of_class(label)
        own = None if weights_of is None else weights_of[rows]
        found.append(_distances(sketches[rows], photos[columns], weights, own))
    return found


@torch.no_grad()
def score_model(
    model: Any,
    pairs: PairedSet,
    descriptors: ArrayLike | None = None,
    memory: int = 4 << 30,
    at: Iterable[int] = AT,
) -> InstanceSearch:
    """Acc@k of a retrieval network: everything is encoded once, then each category is searched with each sketch's weights.

    model: with ``encode_sketch``, ``encode_photo``, ``preprocess`` and ``weights(descriptors [B, M]) -> [B, S, D]``.
    descriptors: real [Q, M], each sketch's; None: no weighting. memory: bytes that the decoded images of one set may take.
    """
    device = next(model.parameters()).device
    sketch_features = encode(model, pairs.sketches, device, memory=memory)
    photo_features = encode(model, pairs.photos, device, memory=memory)
    if descriptors is None:
        distances = search_classes(sketch_features, photo_features, pairs)
    else:
        rows_of = as_array(descriptors)
        if rows_of.ndim != 2 or len(rows_of) != len(pairs):
            raise ValueError(
                f"descriptors: expected [{len(pairs)}, M], a row per sketch; found {list(rows_of.shape)}"
            )
        sketches, photos = (torch.from_numpy(each).to(device) for each in (sketch_features, photo_features))
        distances = []
        for label in range(len(pairs.names)):
            rows, columns = pairs.of_class(label)
            # One category at a time: weights are S times as large as features, and sketches of one descriptor share them.
            different, of = np.unique(rows_of[rows], axis=0, return_inverse=True)
            weights = model.weights(torch.from_numpy(different).to(device)) if len(rows) else None
            own = torch.from_numpy(of.reshape(-1)).to(device)
            distances.append(_distances(sketches[rows], photos[columns], weights, own))
    return InstanceSearch(
        evaluate_instances(distances, pairs, at), sketch_features, photo_features, distances
    )


def format_instance_rows(methods: Mapping[str, InstanceScores]) -> str:
    """A plain table: method, Acc@k with its 95 % interval, number of sketches; then chance."""
    width = max((len(name) for name in (*methods, "chance")), default=0)
    lines = [f"{name:<{width}}  {scores.summary()}  ({len(scores):,})" for name, scores in methods.items()]
    chances = ("  ".join(f"Acc@{k} {x:.3f}{'':15}" for k, x in s.chance.items()) for s in methods.values())
    return "\n".join([*lines, *(f"{'chance':<{width}}  {line.rstrip()}" for line in dict.fromkeys(chances))])


def _rows(name: str, values: Any) -> Any:
    """A tensor as it is, anything else as an array."""
    found = values if isinstance(values, torch.Tensor) else real_array(name, values)
    if not found.ndim:
        raise ValueError(f"{name}: expected rows; found a single number")
    return found


def _distances(sketches: Any, photos: Any, weights: Any, of: Any) -> NDArray[np.float32]:
    if not len(sketches):  # a category that nobody drew
        return np.zeros((0, len(photos)), np.float32)
    return weighted_distances(sketches, photos, weights, of).cpu().numpy()
