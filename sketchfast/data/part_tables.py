"""Part names and ids of SketchParse's 11 categories, and how the part names of other data sets map to them.

Id 0 is the background and id k the k-th name of PARTS[category], as in SketchParse's Cls2Part.m
(Sarvadevabhatla et al. 2017). Bird keeps the three ids that are never used, so that airplane and bird share one
label space of 9.
"""

from __future__ import annotations

import re

_ANIMAL = ("head", "body", "leg", "tail")
_TWO_WHEELS = ("wheel", "saddle", "handlebar", "body")
_FOUR_WHEELS = ("body", "mirror", "window", "wheel", "headlight", "door")

#: category -> part names; the id of a name is its position + 1.
PARTS: dict[str, tuple[str, ...]] = {
    "airplane": ("body", "wheels", "tail", "engine", "wings"),
    "bicycle": _TWO_WHEELS,
    "bird": ("body", "dont care 2", "tail", "dont care 4", "dont care 5", "head", "leg", "wing"),
    "bus": _FOUR_WHEELS,
    "car": _FOUR_WHEELS,
    "cat": _ANIMAL,
    "cow": _ANIMAL,
    "dog": _ANIMAL,
    "horse": _ANIMAL,
    "motorbike": _TWO_WHEELS,
    "sheep": _ANIMAL,
}

#: Super branches of SketchParse and DeepSSP.
SUPER_CATEGORIES: dict[str, tuple[str, ...]] = {
    "large_animals": ("cow", "horse"),
    "small_animals": ("cat", "dog", "sheep"),
    "four_wheelers": ("bus", "car"),
    "two_wheelers": ("bicycle", "motorbike"),
    "flying": ("airplane", "bird"),
}
#: category -> its super branch.
SUPER_OF: dict[str, str] = {name: branch for branch, names in SUPER_CATEGORIES.items() for name in names}

_UNUSED = "dont care"


def num_labels(branch: str) -> int:
    """Size of a super branch's or a category's label space, background included."""
    names = SUPER_CATEGORIES.get(branch, (branch,))
    if not all(name in PARTS for name in names):
        raise ValueError(
            f"branch: expected one of {', '.join(SUPER_CATEGORIES)} or {', '.join(PARTS)}; found {branch!r}"
        )
    return 1 + max(len(PARTS[name]) for name in names)


def used_ids(names: tuple[str, ...]) -> tuple[int, ...]:
    """The ids that masks may hold: 0 and those of the parts not called "dont care"."""
    return (0, *(k for k, name in enumerate(names, 1) if not name.startswith(_UNUSED)))


def part_category(name: str) -> str:
    """The canonical category; PASCAL VOC's "aeroplane" and ImageNet's "motorcycle" are understood. ValueError otherwise."""
    key = name.strip().lower()
    key = {"aeroplane": "airplane", "motorcycle": "motorbike"}.get(key, key)
    if key not in PARTS:
        raise ValueError(f"category: expected one of {', '.join(PARTS)}; found {name!r}")
    return key


def _names(**groups: str) -> dict[str, str]:
    return {name: part for part, names in groups.items() for name in names.split()}


_EYES_EARS = "head leye reye lear rear"
_UPPER_LEGS = "lfuleg lflleg rfuleg rflleg lbuleg lblleg rbuleg rblleg"
_PAWS = "lfleg lfpa rfleg rfpa lbleg lbpa rbleg rbpa"
_HORNED = _names(head=_EYES_EARS + " muzzle lhorn rhorn", body="torso neck", leg=_UPPER_LEGS, tail="tail")
_PETS = _names(head=_EYES_EARS + " nose muzzle", body="torso neck", leg=_PAWS, tail="tail")
_VEHICLE = _names(
    body="frontside leftside rightside backside roofside fliplate bliplate",
    mirror="leftmirror rightmirror",
    window="window",
    wheel="wheel",
    headlight="headlight",
    door="door",
)
_CYCLE = _names(wheel="fwheel bwheel", saddle="saddle", handlebar="handlebar", body="chainwheel headlight")

#: category -> {Pascal-Part's part name -> ours}. A numbered name (`wheel_2`) is looked up without its number. Pixels of
#: an object in no part are REST_PART: the frame of a bicycle has no part of its own in Pascal-Part.
PASCAL_PART_TO_PARTS: dict[str, dict[str, str]] = {
    # The stern is the fin and the tail the horizontal plane: SketchParse draws both as tail.
    "airplane": _names(body="body", tail="stern tail", wings="lwing rwing", engine="engine", wheels="wheel"),
    "bicycle": _CYCLE,
    "bird": _names(
        head="head leye reye beak",
        body="torso neck",
        wing="lwing rwing",
        leg="lleg lfoot rleg rfoot",
        tail="tail",
    ),
    "bus": _VEHICLE,
    "car": _VEHICLE,
    "cat": _PETS,
    "cow": _HORNED,
    "dog": _PETS,
    "horse": _names(
        head=_EYES_EARS + " muzzle",
        body="torso neck",
        leg=_UPPER_LEGS + " lfho rfho lbho rbho",
        tail="tail",
    ),
    "motorbike": _CYCLE,
    "sheep": _HORNED,
}

_CORE_CYCLE = _names(
    wheel="wheel",
    saddle="seat",
    handlebar="handlebars",
    body="frame pedals engine exhaust headlight taillight license_plate",
)
_CORE_VEHICLE = _names(
    wheel="wheel",
    door="door",
    window="window windshield row_of_windows",
    headlight="headlight",
    mirror="side_mirror rearview_mirror",
    body="body bumper taillight license_plate",
)

_CORE_ANIMAL = _names(
    head="head ear eye nose mouth muzzle horn",
    body="torso neck body",
    leg="leg foot hoof paw",
    tail="tail",
)

#: category -> {part name of CORE (Farhadi et al. 2010), blanks as `_` -> ours}. The spellings follow the CORE paper and
#: were not checked against its files, `core_part_id` raises for a name that is not here.
CORE_TO_PARTS: dict[str, dict[str, str]] = {
    "airplane": _names(
        body="fuselage nose",
        wings="wing",
        tail="tail vertical_stabilizer horizontal_stabilizer",
        engine="engine propeller",
        wheels="wheel landing_gear",
    ),
    "bicycle": _CORE_CYCLE,
    "bird": _names(head="head beak eye", body="torso neck body", leg="leg foot", tail="tail", wing="wing"),
    "bus": _CORE_VEHICLE,
    "car": _CORE_VEHICLE,
    "cat": _CORE_ANIMAL,
    "cow": _CORE_ANIMAL,
    "dog": _CORE_ANIMAL,
    "motorbike": _CORE_CYCLE,
}

#: What object pixels outside every part count as.
REST_PART = "body"


def pascal_part_id(category: str, part_name: str) -> int:
    """Our id of a Pascal-Part part name (`lfuleg`, `window_3`); ValueError for a name that is not in the table."""
    return _part_id(PASCAL_PART_TO_PARTS, category, part_name, re.sub(r"_\d+$", "", part_name))


def core_part_id(category: str, part_name: str) -> int:
    """Our id of a CORE part name ("row of windows"); ValueError for a category or name that is not in the table."""
    return _part_id(CORE_TO_PARTS, category, part_name, part_name.strip().lower().replace(" ", "_"))


def _part_id(tables: dict[str, dict[str, str]], category: str, part_name: str, key: str) -> int:
    category = part_category(category)
    if category not in tables:
        raise ValueError(f"category: expected one of {', '.join(tables)}; found {category!r}")
    name = tables[category].get(key)
    if name is None:
        known = ", ".join(tables[category])
        raise ValueError(f"part_name: expected one of {category}'s parts {known}; found {part_name!r}")
    return PARTS[category].index(name) + 1
