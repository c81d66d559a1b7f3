"""A procedural world of drawable things: photos, sketches, strokes, part masks, semantic vectors.

It needs no download. Everything is a pure function of (seed, category, index, drawer); nothing is read
from or written to disk, and no torch is imported. See docs/synthetic.md.
"""

from .baseline import nearest_pixel_baseline, nearest_pixel_class_scores, nearest_pixel_scores
from .catalogue import CATEGORIES, PART_NAMES, SKETCHPARSE
from .draw_sketch import TEMPERAMENTS, rasterize
from .instance_split import instances
from .semantics import attributes, semantic_vector
from .semi_supervised_split import semi_supervised
from .sheet import blind_sheet, sample_sheet
from .split import DEFAULT_UNSEEN, SyntheticImageSet, classification, zero_shot
from .world import Instance, instance

__all__ = [
    "CATEGORIES",
    "DEFAULT_UNSEEN",
    "PART_NAMES",
    "SKETCHPARSE",
    "TEMPERAMENTS",
    "Instance",
    "SyntheticImageSet",
    "attributes",
    "blind_sheet",
    "classification",
    "instance",
    "instances",
    "nearest_pixel_baseline",
    "nearest_pixel_class_scores",
    "nearest_pixel_scores",
    "rasterize",
    "sample_sheet",
    "semantic_vector",
    "semi_supervised",
    "zero_shot",
]
