"""Sketches with part masks from the synthetic world, for SketchParse's 11 categories.

Test instances are none of the training instances, and the drawers of test sketches drew no training sketch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sketchfast.data.part_set import PartSet, PartSplit
from sketchfast.data.synthetic import PART_NAMES, SKETCHPARSE
from sketchfast.data.synthetic.parameters import mix
from sketchfast.data.synthetic.world import Instance, instance

_SEED_OF_DRAWER = "who draws parts"


class SyntheticPartSet(PartSet):
    """instances and drawers: one per item. size: side of sketch and mask. Rendered once, then kept in memory.

    Rendering costs about 10 ms an item on one core, nearly the same from 64 to 321 pixels; an item takes
    2 x size^2 bytes.
    """

    def __init__(
        self,
        name: str,
        categories: Sequence[str],
        instances: Sequence[Instance],
        drawers: Sequence[int],
        size: int,
    ):
        labels = [list(categories).index(thing.category) for thing in instances]
        ids = [f"{thing.id}-d{drawer}" for thing, drawer in zip(instances, drawers, strict=True)]
        super().__init__(name, {category: PART_NAMES[category] for category in categories}, labels, ids)
        self.instances, self.drawers, self.size = list(instances), list(drawers), size
        self._rendered: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def read(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        if i not in self._rendered:
            thing, drawer = self.instances[i], self.drawers[i]
            sketch = np.ascontiguousarray(thing.sketch(drawer, self.size)[..., 0])
            mask = thing.part_mask(self.size, drawer).copy()
            for array in (sketch, mask):
                array.flags.writeable = False  # kept: a caller that wrote into it would change the data set
            self._rendered[i] = sketch, mask
        return self._rendered[i]


def synthetic_parts(
    seed: int = 0,
    size: int = 128,
    train_per_category: int = 120,
    test_per_category: int = 24,
    held_out_per_category: int = 12,
    train_drawers: int = 48,
    test_drawers: int = 24,
    categories: Sequence[str] = SKETCHPARSE,
    poses: bool = True,
    hand: float = 0.35,
) -> PartSplit:
    """Instances 0..train_per_category-1 of each category train, the next ones are held out, the next ones test.

    Drawers 0..train_drawers-1 draw training sketches; held-out and test sketches come from the test_drawers
    after them. poses, hand: as in synthetic.instance; a steadier hand than the plain world's, so that masks fit the
    lines as closely as those people draw.

    ValueError for an unknown category, a repeat, or a count below 1 (held_out_per_category may be 0).
    """
    for option, value, least in (
        ("train_per_category", train_per_category, 1),
        ("test_per_category", test_per_category, 1),
        ("held_out_per_category", held_out_per_category, 0),
        ("train_drawers", train_drawers, 1),
        ("test_drawers", test_drawers, 1),
    ):
        if value < least:
            raise ValueError(f"{option}: expected at least {least}, found {value}")
    unknown = [name for name in categories if name not in PART_NAMES]
    if unknown or not categories or len(set(categories)) < len(categories):
        raise ValueError(
            f"categories: expected different ones of {', '.join(PART_NAMES)}; found {list(categories)}"
        )
    if not 16 <= size <= 1024:
        raise ValueError(f"size: expected 16..1024 pixels, found {size}")

    def make(title: str, start: int, count: int, first_drawer: int, drawers: int) -> SyntheticPartSet:
        things = [
            instance(name, start + k, seed, poses=poses, hand=hand)
            for name in categories
            for k in range(count)
        ]
        chosen = [first_drawer + mix(seed, _SEED_OF_DRAWER, t.category, t.index) % drawers for t in things]
        return SyntheticPartSet(title, categories, things, chosen, size)

    held_out_start, test_start = train_per_category, train_per_category + held_out_per_category
    return PartSplit(
        name=f"synthetic parts, seed {seed}",
        train=make("synthetic training", 0, train_per_category, 0, train_drawers),
        test=make("synthetic test", test_start, test_per_category, train_drawers, test_drawers),
        held_out=make(
            "synthetic held out", held_out_start, held_out_per_category, train_drawers, test_drawers
        )
        if held_out_per_category
        else None,
        notes=[f"{size} pixels; drawers of held-out and test sketches drew no training sketch"],
    )
