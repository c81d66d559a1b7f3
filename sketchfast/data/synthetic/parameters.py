"""Named random parameters: every choice a category makes is a pure function of (key, name).

A value is found by hashing its name into the instance's key (splitmix64), so it depends on neither call
order, process, platform nor numpy version, and adding one parameter to a category leaves all others as
they were. Because parameters have names, a drawer can exaggerate them: the category program runs again
with every proportion pushed away from its average, and parts stay attached to one another.
"""

from __future__ import annotations

import math
import zlib
from functools import lru_cache

import numpy as np

_MASK = (1 << 64) - 1


@lru_cache(maxsize=8192)
def _name_key(name: str) -> int:
    return zlib.crc32(name.encode("utf-8"))


def mix(*parts: int | str) -> int:
    """Hash integers and strings into one 64-bit key (splitmix64 finaliser, chained). Order matters."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        value = _name_key(part) if isinstance(part, str) else int(part)
        state = (state ^ (value & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state + 0x9E3779B97F4A7C15) & _MASK
        state ^= state >> 30
        state = state * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def unit(key: int, name: str) -> float:
    """Uniform number in [0, 1) that belongs to this key and name."""
    return (mix(key, name) >> 11) * (1.0 / (1 << 53))


def generator(*parts: int | str) -> np.random.Generator:
    """A numpy generator (Philox, counter-based) for arrays of noise; the key is `mix(*parts)`."""
    return np.random.Generator(np.random.Philox(key=mix(*parts)))


class Parameters:
    """The choices of one instance.

    exaggeration: 0 leaves every value as drawn; 0.5 pushes each half as far again from the middle of its
    range. looseness: standard deviation (in units of the range) of a further error, which belongs to
    `hand_key`.
    """

    def __init__(
        self, key: int, *, exaggeration: float = 0.0, looseness: float = 0.0, hand_key: int = 0
    ) -> None:
        self._key = key
        self._exaggeration = exaggeration
        self._looseness = looseness
        self._hand_key = hand_key

    def _unit(self, name: str) -> float:
        value = unit(self._key, name)
        if self._exaggeration == 0.0 and self._looseness == 0.0:
            return value
        # Two uniforms make a triangular error: bounded, so that no part can leave its body.
        error = unit(self._hand_key, name) + unit(self._hand_key, name + "'") - 1.0
        value = 0.5 + (value - 0.5) * (1.0 + self._exaggeration) + error * self._looseness * 2.45
        return min(1.15, max(-0.15, value))

    def value(self, name: str, low: float, high: float) -> float:
        return low + (high - low) * self._unit(name)

    def count(self, name: str, low: int, high: int) -> int:
        """Integer in low..high, both included."""
        return min(high, max(low, low + math.floor(self._unit(name) * (high - low + 1))))

    def chance(self, name: str, probability: float) -> bool:
        """A property that the drawer does not get wrong: it ignores exaggeration."""
        return unit(self._key, name) < probability
