"""Checks of the part-labelled data sets: SketchParse, Pascal-Part, SPG."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sketchfast.data import pascal_part, sketchparse, spg
from sketchfast.data.centreline import ink
from sketchfast.data.image_set import run_threads
from sketchfast.data.layouts import list_files
from sketchfast.data.part_set import PartSet, mask_ids, unused_ids
from sketchfast.data.part_tables import PARTS, part_category, pascal_part_id
from sketchfast.data.report import Report
from sketchfast.runtime.pictures import open_picture

CHECKED = ("sketchparse", "pascal-part", "spg")
_FULL_SHARE = 0.75  # a drawing is lines: more ink than this is a filled or an inverted picture


def check_parts(
    dataset: str,
    root: str | os.PathLike[str],
    *,
    strict: bool = False,
    decode: bool = True,
    progress: bool = True,
    threads: int | None = None,
) -> Report:
    """Examines "sketchparse", "pascal-part" or "spg" under root; see `check.check` for the options and the verdict."""
    report = Report(dataset, Path(root), strict=strict)
    try:
        if dataset == "spg":
            _check_spg(root, report)
        elif dataset == "pascal-part":
            _check_pascal_part(root, report, decode, progress, threads)
        else:
            _check_sketchparse(root, report, decode, progress, threads)
    except OSError as error:
        report.add("error", "wrong path or layout", str(error))
    if not decode and dataset != "spg":
        report.add("info", "not decoded", "pictures were not decoded (names and lists only)")
    return report


def _check_sketchparse(
    root: str | os.PathLike[str], report: Report, decode: bool, progress: bool, threads: int | None
) -> None:
    report.title = "SketchParse"
    problems: list[tuple[str, Exception]] = []
    for title, check in (("test set", _check_test), ("training set", _check_train)):
        try:
            check(root, report, decode, progress, threads)
        except (FileNotFoundError, ValueError) as error:
            problems.append((title, error))
    aligned = _check_aligned(root, report, decode, progress, threads)
    for title, problem in problems:
        # One half alone is useful, and so are the aligned pairs; a wrong folder is not.
        nothing = len(problems) == 2 and not aligned
        level = "error" if nothing or isinstance(problem, ValueError) else "warning"
        kind = f"no {title}" if isinstance(problem, FileNotFoundError) else title
        report.add(level, kind, str(problem))


def _check_test(
    root: str | os.PathLike[str], report: Report, decode: bool, progress: bool, threads: int | None
) -> None:
    files = sketchparse.find_test_files(root)
    masks = Counter({name: len(pairs) for name, pairs in files.pairs.items()})
    masks.update(Path(path).parent.name for path in files.masks_without_sketch)
    report.count("test masks on disk", dict(masks))
    pairs = sum(map(len, files.pairs.values()))
    if pairs:
        report.count("test pairs", {name: len(found) for name, found in files.pairs.items()})
    if files.masks_without_sketch:
        text = f"{len(files.masks_without_sketch):,} of {sum(masks.values()):,} test masks"
        report.add("error", "mask without sketch", text, files.masks_without_sketch)
    if files.sketches_without_mask:
        text = f"{len(files.sketches_without_mask):,} test sketches"
        report.add("warning", "sketch without mask", text, files.sketches_without_mask)
    if sum(masks.values()) != sketchparse.TEST_SKETCHES:
        text = f"{sum(masks.values()):,} test masks; the papers count {sketchparse.TEST_SKETCHES:,}"
        report.add("info", "counts", f"{text} (the published archive holds 987)")
    if not decode:
        return
    rows = [(k, pair) for k, found in enumerate(files.pairs.values()) for pair in found]
    items = sketchparse.FilePartSet("test", files.root, [k for k, _ in rows], [pair for _, pair in rows])
    _check_pairs(items, report, "test", progress, threads)
    _check_masks(files.root, files.masks_without_sketch, report, progress, threads)


def _check_aligned(
    root: str | os.PathLike[str], report: Report, decode: bool, progress: bool, threads: int | None
) -> bool:
    """Whether there are aligned pairs. They are an addition: a folder without them is not told so."""
    try:
        base = sketchparse.find_aligned(root)
    except FileNotFoundError:
        return False
    if base.name != "aligned" and not (base / "index.json").is_file():
        return False  # a folder called image is not enough
    try:
        aligned = sketchparse.load_aligned(root)
    except (FileNotFoundError, ValueError) as error:
        report.add("error", "aligned pairs", str(error))
        return False
    report.count("aligned pairs", {name: n for name, n in aligned.counts().items() if n})
    if decode:
        _check_pairs(aligned, report, "aligned", progress, threads)
    return True


def _check_train(
    root: str | os.PathLike[str], report: Report, decode: bool, progress: bool, threads: int | None
) -> None:
    listed = sketchparse.read_training_lists(root)
    report.count("training lists", dict(Counter(item.category for item in listed)))
    photos = {item.source for item in listed}
    if len(photos) != sketchparse.TRAIN_PHOTOS:
        text = f"the lists name {len(photos):,} objects; the paper counts {sketchparse.TRAIN_PHOTOS:,}"
        report.add("info", "counts", text)
    items = sketchparse.load_train(root, augmented=True)
    if decode:
        _check_pairs(items, report, "training", progress, threads)


def _check_pairs(items: PartSet, report: Report, title: str, progress: bool, threads: int | None) -> None:
    """Loads every pair as training would."""

    def examine(i: int) -> tuple[str | None, float, list[int], bool, tuple[int, int]]:
        try:
            image, mask = items.load(i)
        except (OSError, ValueError, MemoryError) as error:
            return str(error), 0.5, [], True, (0, 0)
        names = items.parts[items.category_of(i)]
        drawn = float(ink(image).mean())
        return None, drawn, unused_ids(mask, names), bool(mask.any()), (mask.shape[0], mask.shape[1])

    results = run_threads(examine, len(items), f"checking {title} pairs", progress, threads)
    names = items.ids
    _add(report, "error", "cannot be loaded", title, [row[0] for row in results if row[0] is not None])
    _add(
        report, "warning", "blank", f"{title} sketches without ink", _at(names, (r[1] == 0 for r in results))
    )
    full = [f"{names[i]} ({r[1]:.0%} ink)" for i, r in enumerate(results) if r[1] > _FULL_SHARE]
    _add(report, "warning", "filled", f"{title} sketches that are nearly all ink", full)
    unused = [f"{names[i]} (ids {r[2]})" for i, r in enumerate(results) if r[2]]
    _add(report, "warning", "unused ids", f"{title} masks with ids of no part", unused)
    _add(
        report,
        "warning",
        "empty mask",
        f"{title} masks without a part",
        _at(names, (not r[3] for r in results)),
    )
    sizes = Counter(f"{r[4][1]} x {r[4][0]}" for r in results if r[0] is None)
    if sizes:
        shown = [f"{size}: {n:,}" for size, n in sizes.most_common()]
        report.add("info", "sizes", f"{title} pairs, width x height", shown)


def _check_masks(root: Path, masks: list[str], report: Report, progress: bool, threads: int | None) -> None:
    """Masks whose sketch is not there."""

    def examine(i: int) -> str | None:
        category = part_category(Path(masks[i]).parent.name)
        try:
            mask = sketchparse.read_mask(root / masks[i])
        except (OSError, ValueError, MemoryError) as error:
            return str(error).replace(str(root / masks[i]), masks[i])
        extra = [k for k in mask_ids(mask) if k > len(PARTS[category]) and k != 255]
        return f"{masks[i]}: {category} has ids 0..{len(PARTS[category])}, found {extra}" if extra else None

    failed = [
        r for r in run_threads(examine, len(masks), "checking masks", progress, threads) if r is not None
    ]
    _add(report, "error", "cannot be loaded", "test masks", failed)


def _check_pascal_part(
    root: str | os.PathLike[str], report: Report, decode: bool, progress: bool, threads: int | None
) -> None:
    base = pascal_part.find_pascal_part(root)
    report.title = f"Pascal-Part in {base.name}"
    files = list_files(base / pascal_part.ANNOTATION_FOLDER)
    strangers = [name for name in files if not name.endswith(".mat")]
    _add(report, "warning", "unexpected file", "not an annotation by its name; left out", strangers)
    files = [name for name in files if name.endswith(".mat")]
    photos = [f"{name.removesuffix('.mat')}.jpg" for name in files]
    missing = [name for name in photos if not (base / pascal_part.PHOTO_FOLDER / name).is_file()]
    _add(report, "error", "missing photo", "annotated, but not in JPEGImages", missing)

    def examine(i: int) -> tuple[list[str], list[str]]:
        """Problems, and the categories of the objects."""
        try:
            objects = pascal_part.read_objects(base / pascal_part.ANNOTATION_FOLDER / files[i])
        except (OSError, ValueError, MemoryError) as error:
            return [str(error)], []
        problems, found = [], []
        for number, one in enumerate(objects, 1):
            try:
                category = part_category(one.category)
            except ValueError:
                continue  # one of the nine categories that sketch parsing does not use
            found.append(category)
            for name, mask in one.parts:
                try:
                    pascal_part_id(category, name)
                except ValueError as error:
                    problems.append(f"{files[i]}, object {number}: {error}")
                if (mask & ~one.mask).any():
                    problems.append(f"{files[i]}, object {number}: part {name} reaches outside its object")
        if found and decode and photos[i] not in missing:
            path = base / pascal_part.PHOTO_FOLDER / photos[i]
            try:
                width, height = open_picture(path).size
                if objects[0].mask.shape != (height, width):
                    problems.append(
                        f"{files[i]}: masks must have the photo's {width} x {height} pixels, "
                        f"found {objects[0].mask.shape[1]} x {objects[0].mask.shape[0]}"
                    )
            except (OSError, ValueError, MemoryError) as error:
                problems.append(str(error))
        return problems, found

    results = run_threads(examine, len(files), "checking annotations", progress, threads)
    _add(report, "error", "annotation", "files", [text for problems, _ in results for text in problems])
    counts = Counter(category for _, found in results for category in found)
    report.count("objects", {name: counts[name] for name in PARTS if counts[name]})
    if not counts:
        report.add("error", "no objects", f"no object of {', '.join(PARTS)}")


def _check_spg(root: str | os.PathLike[str], report: Report) -> None:
    report.title = "SPG"
    names = spg.spg_categories(root)
    try:
        splits = spg.read_splits(root)
    except (OSError, ValueError) as error:
        report.add("error", "splits", str(error))
        splits = {}
    drawings: dict[str, int] = {}
    listed: dict[str, dict[str, int]] = {split: {} for split in spg.SPLITS}
    for name in names:
        found, bad = [], []
        try:
            parts = spg.read_part_names(Path(root) / f"{name}.txt")
            for where, line in spg.scan_spg(Path(root) / f"{name}_raw.ndjson", len(parts)):
                if isinstance(line, ValueError):
                    bad.append(f"{where}{line}")
                else:
                    found.append(line)
        except (OSError, ValueError) as error:
            report.add("error", "cannot be loaded", str(error))
            continue
        text = f"{name}_raw.ndjson: {len(bad):,} of {len(bad) + len(found):,} drawings"
        _add(report, "error", "cannot be loaded", text, bad)
        if not found and not bad:
            report.add("error", "cannot be loaded", f"{name}_raw.ndjson holds no drawings")
        drawings[name] = len(found)
        keys = Counter(one.key_id for one in found)
        _add(report, "warning", "repeated key_id", name, [key for key, n in keys.items() if n > 1])
        mixed = [one.key_id for one in found if any(len(np.unique(marks)) > 1 for marks in one.labels)]
        _add(report, "info", "stroke with several labels", f"{name}: its label is that of most points", mixed)
        used = {int(k) for one in found for k in one.stroke_labels()}
        never = [part for k, part in enumerate(parts) if k not in used]
        _add(report, "info", "unused label", f"{name}: parts without a stroke", never)
        if splits and name not in splits:
            report.add("error", "no split", f"splits.json does not name {name}")
            continue
        if splits:
            _check_spg_split(name, splits[name], set(keys), listed, report)
    report.count("drawings", drawings)
    for split, counts in listed.items():
        if counts:
            report.count(f"{split} split", counts)
    unread = sorted(set(splits) - set(names))
    _add(report, "warning", "no drawings", "categories that splits.json names but that have no file", unread)


def _check_spg_split(
    name: str,
    parts: dict[str, list[str]],
    keys: set[str],
    listed: dict[str, dict[str, int]],
    report: Report,
) -> None:
    sides: dict[str, list[str]] = defaultdict(list)
    for split, wanted in parts.items():
        present = [key for key in wanted if key in keys]
        listed[split][name] = len(present)
        missing = [key for key in wanted if key not in keys]
        _add(report, "error", "missing drawing", f"{name}: listed in {split}, not in the file", missing)
        if len(wanted) != spg.PUBLISHED[split]:
            text = f"{name}: {split} lists {len(wanted)} of published {spg.PUBLISHED[split]}"
            report.add("warning", "counts", text)
        for key in wanted:
            sides[key].append(split)
    both = [f"{key} ({', '.join(where)})" for key, where in sides.items() if len(set(where)) > 1]
    _add(report, "error", "split overlap", f"{name}: drawings in several splits", both)
    unlisted = sorted(keys - set(sides))
    _add(report, "info", "unlisted drawing", f"{name}: in the file, in no split", unlisted)


def _add(report: Report, level: str, kind: str, text: str, items: list[str]) -> None:
    if items:
        report.add(level, kind, text, items)


def _at(names: list[str], chosen: Iterable[bool]) -> list[str]:
    return [name for name, yes in zip(names, chosen, strict=True) if yes]
