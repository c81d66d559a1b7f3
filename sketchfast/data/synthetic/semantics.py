"""Semantic vectors: what word vectors are to real class names, made from each category's attributes.

Every attribute word owns a fixed random direction in 300 dimensions. A category is the normalised sum of its
attributes' directions plus a weaker direction of its own name, so a category that was never trained on
lies near those that share its attributes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .catalogue import category
from .parameters import generator

DIMENSION = 300
_OWN_SHARE = 0.35  # length of the name's own part relative to the attributes' part


@lru_cache(maxsize=1024)
def _direction(kind: str, word: str) -> NDArray[np.float64]:
    vector = generator("semantic direction", kind, word).normal(size=DIMENSION)
    return vector / np.linalg.norm(vector)


def attributes(name: str) -> tuple[str, ...]:
    """The words that describe a category."""
    return tuple(category(name).attributes.split())


def semantic_vector(name: str) -> NDArray[np.float32]:
    """float32 [300], unit length, the same on every platform."""
    shared = np.sum([_direction("attribute", word) for word in attributes(name)], axis=0)
    vector = shared / np.linalg.norm(shared) + _OWN_SHARE * _direction("name", name)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
