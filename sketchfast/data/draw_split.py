"""Which items of each class train, validate and test, drawn with a seed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from sketchfast.data.image_set import ImageSet
from sketchfast.data.layouts import class_key

_TEST_SHARE = 0.2  # where no size is given: 64 of TU-Berlin's 80 sketches train, the most that paper 2 takes


@dataclass(frozen=True)
class Sizes:
    """Items a class; None where the rest of the class is meant.

    train: with `validation_share`, they include those for validation. test. validation: beside training; or None, and
    validation_share of the training items of each class, at least one unless it is 0, validate (paper 2: 0.2).
    names: what the caller calls (train, validation, test), for messages.
    """

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    validation_share: float = 0.2
    names: tuple[str, str, str] = ("train_per_class", "validation_per_class", "test_per_class")

    def __post_init__(self) -> None:
        for name, value, least in zip(
            self.names, (self.train, self.validation, self.test), (1, 0, 1), strict=True
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
        if not 0 <= self.validation_share < 1:
            raise ValueError(f"validation_share must be from 0 to below 1, got {self.validation_share}")
        if self.train is not None and self.train <= self._validating(self.train):
            raise ValueError(
                f"{self.names[0]}={self.train} leaves nothing to train on after validation; ask for more"
            )

    def _validating(self, train: int) -> int:
        if self.validation is not None or self.validation_share == 0:
            return 0
        return min(max(1, round(self.validation_share * train)), max(train - 1, 1))

    def draw(self, images: ImageSet, seed: int, source: str) -> dict[str, np.ndarray]:
        """Part -> positions in `images`, by class. ValueError naming the classes that have too few, and what would fit.

        A class is drawn by (seed, its name) alone: neither the other classes nor sizes matter, so that a smaller training set
        is part of a larger one, and a test set of a given size is the same for all.
        """
        counts = np.bincount(images.labels, minlength=len(images.names))
        self._check(images, counts, source)
        parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
        for order in _shuffled(images, seed):
            train, validation, test = self._of(len(order))
            held = self.validation is not None
            end = len(order) - test
            begin = end - validation if held else train - validation
            parts["train"].append(np.sort(order[:train] if held else order[:begin]))
            parts["validation"].append(np.sort(order[begin : begin + validation]))
            parts["test"].append(np.sort(order[end:]))
        return {part: np.concatenate(rows) for part, rows in parts.items()}

    def _of(self, count: int) -> tuple[int, int, int]:
        """Items of a class with `count`: training (with those to validate by share), validation, test."""
        held, train, test = self.validation or 0, self.train, self.test
        if test is None:
            test = max(1, round(_TEST_SHARE * count)) if train is None else count - train - held
        if train is None:
            train = count - held - test
        return train, self.validation if self.validation is not None else self._validating(train), test

    def _check(self, images: ImageSet, counts: np.ndarray, source: str) -> None:
        values = (self.train, self.validation, self.test)
        fixed = {name: value for name, value in zip(self.names, values, strict=True) if value}
        # A part of no given size gets what is left, which must be something: one to train on, and one to validate by share.
        rest = (1 + self._validating(1)) * (self.train is None) + (self.test is None)
        need = sum(fixed.values()) + rest
        short = [label for label in np.argsort(counts, kind="stable") if counts[label] < need]
        if not short:
            return
        why = " + ".join(f"{name}={value}" for name, value in fixed.items())
        if rest:
            why += f"{' + ' if why else ''}{rest} for the rest"
        listed = ", ".join(f"{images.names[label]} {counts[label]}" for label in short[:10])
        more = f", ... ({len(short)} in all)" if len(short) > 10 else ""
        smallest = int(counts[short[0]])
        fits = f"{' + '.join(fixed)} of at most {smallest - rest} would fit all" if fixed else "add some"
        raise ValueError(
            f"{source}: {len(short)} of {len(counts)} classes have fewer than the {need} sketches that {why} need: "
            f"{listed}{more}. The smallest has {smallest}: {fits}, or leave these classes out with classes=[...]"
        )


def drawn_first(images: ImageSet, count: int, seed: int, name: str, source: str) -> np.ndarray:
    """Positions of `count` items of each class, by class; a smaller count takes some of the same. ValueError for too few."""
    Sizes(count, names=(name, "", ""), validation_share=0)
    counts = np.bincount(images.labels, minlength=len(images.names))
    short = [f"{images.names[label]} {counts[label]}" for label in np.flatnonzero(counts < count)]
    if short:
        raise ValueError(
            f"{source}: {len(short)} of {len(counts)} classes have fewer than {name}={count}: {', '.join(short[:10])}"
            f"; at most {counts.min()} would fit all"
        )
    return np.concatenate([np.sort(order[:count]) for order in _shuffled(images, seed)])


def _shuffled(images: ImageSet, seed: int) -> list[np.ndarray]:
    """The positions of each class in the order in which they are drawn."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    orders = []
    for label, name in enumerate(images.names):
        generator = np.random.default_rng([seed, zlib.crc32(class_key(name).encode())])
        orders.append(generator.permutation(np.flatnonzero(images.labels == label)))
    return orders
