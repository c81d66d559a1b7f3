"""All categories of the world, SketchParse's eleven first."""

from __future__ import annotations

from . import (
    air_and_water,
    cycles,
    farm_animals,
    furniture,
    household,
    people,
    pets,
    plants,
    road_vehicles,
    wild_animals,
)
from .drawing import Category

_ALL: tuple[Category, ...] = (
    *air_and_water.CATEGORIES,
    *cycles.CATEGORIES,
    *farm_animals.CATEGORIES,
    *furniture.CATEGORIES,
    *household.CATEGORIES,
    *people.CATEGORIES,
    *pets.CATEGORIES,
    *plants.CATEGORIES,
    *road_vehicles.CATEGORIES,
    *wild_animals.CATEGORIES,
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
