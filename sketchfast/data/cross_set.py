"""Testing on another data set: which of its classes a model trained on ours knows, under whatever name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast.data.classification import Relabelled
from sketchfast.data.image_set import ImageSet
from sketchfast.data.layouts import class_key

#: Names of one thing in TU-Berlin, Sketchy, QuickDraw, SPG, SketchParse and the synthetic world. Things that merely resemble
#: each other (songbird and flying bird, pistol and rifle) are not here.
ALIASES: tuple[tuple[str, ...], ...] = (
    ("airplane", "aeroplane", "plane"),
    ("bear", "bear (animal)"),
    ("bicycle", "bike"),
    ("car", "car (sedan)"),
    ("cell phone", "mobile phone"),
    ("couch", "sofa"),
    ("crocodile", "crocodilian"),
    ("eyeglasses", "glasses"),
    ("flower", "flower with stem"),
    ("house plant", "potted plant"),
    ("ice cream", "ice cream cone"),
    ("motorcycle", "motorbike"),
    ("mouse", "mouse (animal)"),
    ("pants", "trousers"),
    ("rhinoceros", "rhino"),
    ("sock", "socks"),
    ("television", "tv"),
    ("tennis racquet", "tennis racket", "racket"),
)
_ALIAS_OF = {class_key(name): group[0] for group in ALIASES for name in group}


def matched_names(theirs: Sequence[str], ours: Sequence[str]) -> dict[str, str]:
    """Their name -> ours, for the classes that both have, in their order.

    A name equal but for case, "_", "-" and blanks comes before an alias. Each of ours gets at most one alias; names of theirs
    that are equal but for these get the same of ours.
    """
    by_key = {class_key(name): name for name in ours}
    exact = {name: by_key[class_key(name)] for name in theirs if class_key(name) in by_key}
    taken = set(exact.values())
    by_alias = {
        _ALIAS_OF[class_key(name)]: name
        for name in ours
        if class_key(name) in _ALIAS_OF and name not in taken
    }
    matched: dict[str, str] = {}
    for name in theirs:
        if name in exact:
            matched[name] = exact[name]
        elif (alias := _ALIAS_OF.get(class_key(name))) in by_alias:
            matched[name] = by_alias.pop(str(alias))
    return matched


class CrossSet(Relabelled):
    """What `overlapping` gives. matched: their class name -> ours; unmatched: their classes that were left out."""

    def __init__(self, images: ImageSet, names: Sequence[str]):
        self.matched = matched_names(images.names, names)
        self.unmatched = [name for name in images.names if name not in self.matched]
        position = {name: i for i, name in enumerate(names)}
        label_of = np.array(
            [position[self.matched[n]] if n in self.matched else -1 for n in images.names], np.int64
        )
        labels = label_of[images.labels]
        known = np.flatnonzero(labels >= 0)
        super().__init__(images.subset(known), names, labels[known])

    def describe(self) -> str:
        """One line for reports: how many classes overlap, and which names were taken for each other."""
        aliased = [f"{a} = {b}" for a, b in self.matched.items() if class_key(a) != class_key(b)]
        return (
            f"{len(self.matched)} of {len(self.matched) + len(self.unmatched)} classes are among the {len(self.names)} known"
            + (f"; taken for the same: {', '.join(aliased)}" if aliased else "")
        )


def overlapping(images: ImageSet, names: Sequence[str]) -> CrossSet:
    """The items of another data set whose class is one of `names`, with labels that index `names`.

    Scores of a model with these classes can then be held to them, over all its classes or over `matched` alone.
    ValueError when no class is shared.
    """
    found = CrossSet(images, names)
    if not found.matched:
        raise ValueError(
            f"names: none of {', '.join(list(names)[:5])}, ... is a class of the other data set: "
            f"{', '.join(images.names[:5])}, ..."
        )
    return found
