"""All categories of the world, SketchParse's eleven first."""

from __future__ import annotations

from . import animals_four_legs, animals_other, furniture, household, plants, vehicles
from .drawing import Category

_ALL: tuple[Category, ...] = (
    *animals_four_legs.CATEGORIES,
    *animals_other.CATEGORIES,
    *vehicles.CATEGORIES,
    *plants.CATEGORIES,
    *furniture.CATEGORIES,
    *household.CATEGORIES,
)
SKETCHPARSE: tuple[str, ...] = (
    "airplane", "bicycle", "bird", "bus", "car", "cat", "cow", "dog", "horse", "motorbike", "sheep",
)  # fmt: skip

BY_NAME: dict[str, Category] = {category.name: category for category in _ALL}
CATEGORIES: tuple[str, ...] = tuple(n for n in SKETCHPARSE if n in BY_NAME) + tuple(
    sorted(set(BY_NAME) - set(SKETCHPARSE))
)
PART_NAMES: dict[str, tuple[str, ...]] = {name: BY_NAME[name].parts for name in CATEGORIES}


def category(name: str) -> Category:
    if name not in BY_NAME:
        raise ValueError(f"category: expected one of {', '.join(CATEGORIES)}; found {name!r}")
    return BY_NAME[name]
