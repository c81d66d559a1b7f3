"""Which classes of a data set in folders are seen and which are unseen: named, published, or drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sketchfast.data import published
from sketchfast.data.layouts import (
    FoundLayout,
    class_key,
    is_readable,
    list_class_folders,
    list_files,
    namesakes,
)

_UNSEEN_SHARE = 0.2  # where nothing is published


def choose_unseen(
    found: FoundLayout,
    unseen: Sequence[str] | None,
    unseen_share: float | None,
    seed: int,
    notes: list[str],
) -> tuple[list[str], list[str]]:
    """Names of the seen and of the unseen classes, each sorted, as the sketch folder spells them; notes say how chosen.

    By name (`unseen`), else those published for the split, else drawn with the seed. Sets `found.split` to the published split
    that was taken, or None. ValueError for unknown names, published classes that are not there, no seen or no unseen class,
    and what `shared_classes` refuses.
    """
    classes = shared_classes(found)
    names = sorted(classes.values())
    asked = found.split
    split = asked or ("zeroshot1" if found.dataset == "sketchy" else None)
    known = published.UNSEEN.get((found.dataset, split or ""))
    missing = [name for name in known or () if class_key(name) not in classes]
    found.split = None
    if unseen is not None:
        chosen = {class_key(name) for name in unseen}
        unknown = [name for name in unseen if class_key(name) not in classes]
        if unknown:
            raise ValueError(f"unseen names classes that {found.root} does not hold: {', '.join(unknown)}")
        notes.append(f"unseen classes: the {len(chosen)} given by name")
    elif known is not None and not missing and unseen_share is None:
        found.split = split
        chosen = {class_key(name) for name in known}
        why = " (there are no list files)" if found.list_folder is None else ""
        notes.append(f"unseen classes: the {len(chosen)} published for {found.split}{why}")
    elif asked is not None and missing and unseen_share is None:
        raise ValueError(
            f"{found.root} has no lists for {asked} and lacks {len(missing)} of its {len(known or ())} published "
            f"unseen classes: {', '.join(missing)}; name others with unseen or draw them with unseen_share"
        )
    else:
        if missing and unseen_share is None:
            notes.append(f"not the split {split}: {len(missing)} of its unseen classes are not here")
        drawn = _draw_unseen(found, names, unseen_share, seed, notes)
        chosen = {class_key(name) for name in drawn}
    seen_names = [name for name in names if class_key(name) not in chosen]
    unseen_names = [name for name in names if class_key(name) in chosen]
    if not seen_names or not unseen_names:
        if len(names) == 1:
            advice = f"there is only {names[0]!r}: add sketches and photos of another class"
        else:
            advice = f"{len(unseen_names)} of {len(names)} are unseen: name some of them with unseen, not all"
        raise ValueError(f"{found.root}: a split needs seen and unseen classes; {advice}")
    return seen_names, unseen_names


def _draw_unseen(
    found: FoundLayout, names: list[str], share: float | None, seed: int, notes: list[str]
) -> list[str]:
    """Unseen classes at random: the share of all that is given, else as many as published, of enough photos."""
    counts = published.COUNTS.get((found.dataset, "zeroshot"))
    candidates, why = names, ""
    if share is not None or counts is None:
        count = round((_UNSEEN_SHARE if share is None else share) * len(names))
    else:
        count, total = counts["unseen classes"], counts["seen classes"] + counts["unseen classes"]
        why = ", as published"
        if len(names) < total:
            why = f" (published: {count} of {total})"
            count = round(count * len(names) / total)
    count = min(max(1, count), len(names) - 1)
    least = published.UNSEEN_MIN_PHOTOS.get(found.dataset)
    if share is None and least is not None:
        photos = _photo_counts(found)
        large = [name for name in names if photos[class_key(name)] >= least]
        if len(large) >= count:
            candidates = large
            why += f", from the {len(large)} classes with at least {least} photos"
        else:
            why += f", from all classes, because only {len(large)} have at least {least} photos"
    order = np.random.default_rng(seed).permutation(len(candidates))[:count]
    drawn = [candidates[i] for i in sorted(order)]
    notes.append(f"unseen classes: {count} of {len(names)}, drawn with seed {seed}{why}: {', '.join(drawn)}")
    return drawn


def _photo_counts(found: FoundLayout) -> Counter[str]:
    """class_key -> number of photos."""
    counts: Counter[str] = Counter()
    for folder in found.photo_folders:
        for name, path in list_class_folders(folder).items():
            counts[class_key(name)] += sum(is_readable(file, "photo") for file in list_files(path))
    return counts


def shared_classes(found: FoundLayout) -> dict[str, str]:
    """class_key -> name as the sketch folder spells it; ValueError for a class without sketches or photos."""
    for folder in (found.sketch_folder, *found.photo_folders):
        for names in namesakes(folder):
            raise ValueError(
                f"{folder}: the class folders {', '.join(map(repr, names))} differ only in case, '_', '-', blanks "
                "or how accents are stored; rename or join them"
            )
    sketch = {class_key(name): (name, path) for name, path in list_class_folders(found.sketch_folder).items()}
    photo: dict[str, tuple[str, list[Path]]] = {}
    for folder in found.photo_folders:
        for name, path in list_class_folders(folder).items():
            photo.setdefault(class_key(name), (name, []))[1].append(path)
    for what, have, other in (("photos", photo, sketch), ("sketches", sketch, photo)):
        lacking = sorted(other[key][0] for key in set(other) - set(have))
        if lacking:
            raise ValueError(
                f"{found.root}: {len(lacking)} classes have no folder of {what}: {', '.join(lacking[:10])}"
            )
    for name, path in sketch.values():
        if not any(is_readable(file, "sketch") for file in list_files(path)):
            raise ValueError(f"class {name!r} has no sketch: {path} holds no picture")
    for name, paths in photo.values():
        if not any(is_readable(file, "photo") for path in paths for file in list_files(path)):
            raise ValueError(f"class {name!r} has no photo: {', '.join(map(str, paths))} holds no picture")
    return {key: name for key, (name, _) in sketch.items()}
