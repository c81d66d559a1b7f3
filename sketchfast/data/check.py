"""`sketchfast data check NAME ROOT`: what is there, what is wrong, is it the published data set?"""

from __future__ import annotations

import os
from pathlib import Path

from sketchfast.data import published
from sketchfast.data.check_files import check_files, check_instances
from sketchfast.data.check_lists import Listed, check_lists
from sketchfast.data.check_parts import CHECKED, check_parts
from sketchfast.data.check_qmul import check_qmul
from sketchfast.data.check_sketchy_info import check_info
from sketchfast.data.layouts import LAYOUTS, FoundLayout, class_key, dataset_name, find_layout
from sketchfast.data.report import Finding, Report

__all__ = ["Finding", "Report", "check"]

_PART_SPELLINGS = {class_key(name): name for name in CHECKED}


def check(
    name: str,
    root: str | os.PathLike[str],
    split: str | None = None,
    *,
    strict: bool = False,
    decode: bool = True,
    progress: bool = True,
    threads: int | None = None,
) -> Report:
    """Examines a data set and collects all that is wrong; ValueError only for an unknown name or split.

    name: "sketchy", "tu_berlin", "quickdraw" or "folder", in any usual spelling; or a part-labelled data set:
        "sketchparse", "pascal-part", "spg"; or "qmul", Shoe-V2 or Chair-V2.
    split: check the lists of this split only; all that are there when None.
    strict: warnings fail too, among them counts other than the published ones. Without it a subset that is
        consistent in itself is fine, and the report says `subset: N of published M`.
    decode: decode and hash every picture (False: names, sizes and lists only).

    `report.ok` and `report.exit_code` (0 or 1) are the verdict.
    """
    part_set = _PART_SPELLINGS.get(class_key(name))
    if part_set is not None:
        if split is not None:
            raise ValueError(f"split: {part_set} has no list folders to choose from, got {split!r}")
        return check_parts(part_set, root, strict=strict, decode=decode, progress=progress, threads=threads)
    if class_key(name) == "qmul":
        if split is not None:
            raise ValueError(f"split: qmul has published halves only, got {split!r}")
        return check_qmul(root, strict=strict, decode=decode, progress=progress, threads=threads)
    try:
        dataset = dataset_name(name)
    except ValueError as error:
        known, _, got = str(error).partition(", got ")
        raise ValueError(f"{known}, {', '.join(CHECKED)}, qmul, got {got}") from None
    report = Report(dataset, Path(root), strict=strict)
    try:
        found = find_layout(dataset, root, split)
    except OSError as error:
        report.add("error", "wrong path or layout", str(error))
        return report
    report.title = found.title if split is not None else _title(found)
    sides: dict[str, set[str]] = {}
    splits = _list_folders(found, split)
    for folder in splits:
        part = find_layout(dataset, root, folder)
        listed = check_lists(part, report)
        _compare_counts(part, listed, report)
        sides.update({f"{folder}/{side}": files for side, files in listed.files.items()})
    if not splits and LAYOUTS[dataset].list_folders:
        expected = ", ".join(name for folders in LAYOUTS[dataset].list_folders.values() for name in folders)
        report.add(
            "info", "no lists", f"no list folder ({expected}); classes and files are taken from the folders"
        )
    check_files(found, report, sides, decode=decode, progress=progress, threads=threads)
    if dataset == "sketchy":
        check_instances(found, report)
        check_info(found, report)
    return report


def _title(found: FoundLayout) -> str:
    return found.title.split(", lists in")[0].removesuffix(", no lists")


def _list_folders(found: FoundLayout, split: str | None) -> list[str]:
    if split is not None:
        return [found.list_folder.name] if found.list_folder is not None else []
    names = [name for folders in LAYOUTS[found.dataset].list_folders.values() for name in folders]
    return [name for name in names if (found.root / name).is_dir()]


def _compare_counts(part: FoundLayout, listed: Listed, report: Report) -> None:
    expected = published.COUNTS.get((part.dataset, part.split or ""))
    if expected is None or part.list_folder is None:
        return
    actual = listed.totals
    where = part.list_folder.name
    differing = [
        f"{what} {actual.get(what, 0):,} of published {number:,}"
        for what, number in expected.items()
        if actual.get(what, 0) != number
    ]
    if not differing:
        report.add("info", "counts", f"{where}: as published ({_numbers(expected)})")
        return
    smaller = all(actual.get(what, 0) <= number for what, number in expected.items())
    report.add("warning", "counts", f"{where}: {'subset' if smaller else 'not as published'}", differing)


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items())
