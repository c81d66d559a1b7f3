"""load_parts: from a part-labelled data set on disk, or the synthetic world, to a PartSplit."""

from __future__ import annotations

import os
from typing import Any

from sketchfast.data.part_set import PartSplit

PART_DATA_SETS = ("synthetic", "sketchparse", "aligned", "pascal-part", "spg")


def part_data_set_name(name: str) -> str:
    """The canonical name; case, `_` and blanks do not count. ValueError for any other."""
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    key = {"sketch-parse": "sketchparse", "pascalpart": "pascal-part"}.get(key, key)
    if key not in PART_DATA_SETS:
        raise ValueError(f"data set must be one of {', '.join(PART_DATA_SETS)}, got {name!r}")
    return key


def load_parts(
    name: str, root: str | os.PathLike[str] | None = None, *, seed: int = 0, **options: Any
) -> PartSplit:
    """Sketches with part masks: "synthetic", "sketchparse", "aligned", "pascal-part" or "spg".

    root: the data set's folder (not for "synthetic"). seed: of every random choice.
    Options: those of `synthetic_parts.synthetic_parts`, `sketchparse.load_sketchparse`, `sketchparse.load_aligned`,
    `pascal_part.load_pascal_part` and `spg.load_spg`.

    Raises FileNotFoundError (wrong path or layout, with what was expected and found) and ValueError, each naming
    the thing. Of "sketchparse" and "aligned" a half that is not there raises when it is used.
    """
    key = part_data_set_name(name)
    if key == "synthetic":
        from sketchfast.data.synthetic_parts import synthetic_parts

        if root is not None:
            raise ValueError(f"the synthetic world is made on the fly: it takes no root, got {root}")
        return synthetic_parts(seed, **options)
    if root is None:
        raise ValueError(f"root must be the folder with {key} data, got None")
    if key == "sketchparse":
        from sketchfast.data.sketchparse import load_sketchparse

        return load_sketchparse(root, **options)
    if key == "aligned":
        from sketchfast.data.sketchparse import aligned_split

        return aligned_split(root, **options)
    if key == "pascal-part":
        from sketchfast.data.pascal_part import load_pascal_part

        return load_pascal_part(root, seed=seed, **options)
    from sketchfast.data.spg import load_spg

    return load_spg(root, **options)
