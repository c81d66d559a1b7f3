"""Checks of the list files of one split: lines, labels, names, files, overlaps."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from sketchfast.data.layouts import FoundLayout, class_key
from sketchfast.data.lists import ListEntry, class_of, scan_list
from sketchfast.data.load import resolve_entries
from sketchfast.data.report import Report

_SETS = {"train": "train", "test": "held out", "zero": "unseen"}


@dataclass
class Listed:
    """totals: as in `published.COUNTS`; files: "seen" and "unseen" -> paths on disk that the lists name."""

    totals: dict[str, int] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=lambda: {"seen": set(), "unseen": set()})


def check_lists(found: FoundLayout, report: Report) -> Listed:
    """Adds findings and counts to the report."""
    assert found.list_folder is not None
    folder = found.list_folder.name
    listed = Listed()
    entries: dict[tuple[str, str], list[ListEntry]] = {}
    for modality in ("sketch", "photo"):
        for role in ("train", "test", "zero"):
            path = found.lists.get((modality, role))
            if path is not None:
                entries[modality, role] = _lines(path, f"{folder}/{path.name}", report)
            elif role != "test":
                present = sorted(item.name for item in found.list_folder.iterdir())
                text = f"{folder} has no {role} list of {modality} files; it holds"
                report.add("error", "missing list", text, present)
    names: dict[str, list[str]] = {}
    for role in ("train", "zero"):
        names[role] = _names(found, role, entries, report)
    for (modality, role), lines in entries.items():
        path = found.lists[modality, role]
        side = "zero" if role == "zero" else "train"
        ids = _check_list(found, modality, path, lines, names[side], report)
        listed.files["unseen" if side == "zero" else "seen"] |= set(ids)
        per_class = Counter(dict.fromkeys(names[side], 0) if role != "test" else {})
        per_class.update(names[side][e.label] for e in lines if 0 <= e.label < len(names[side]))
        plural = "sketches" if modality == "sketch" else "photos"
        report.count(f"{folder} / {_SETS[role]} {plural}", dict(per_class))
        if role != "test":
            _check_empty_classes(path, per_class, report)
        if role == "zero":
            listed.totals[f"unseen {plural}"] = len(lines)
    listed.totals |= {"seen classes": len(names["train"]), "unseen classes": len(names["zero"])}
    _check_overlap(folder, names, entries, report)
    return listed


def _lines(path: Path, shown: str, report: Report) -> list[ListEntry]:
    entries, problems = scan_list(path)
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for problem in problems:
        harmless = problem.kind == "line endings" or "byte-order mark" in problem.text
        kinds["warning" if harmless else "error", problem.kind].append(f"line {problem.line}: {problem.text}")
    titles = {"no label": "list line without a label"}
    for (level, kind), items in kinds.items():
        report.add(level, titles.get(kind, kind), shown, items)
    if not entries:
        report.add("error", "empty list", f"{shown} lists nothing")
    return entries


def _names(
    found: FoundLayout, role: str, entries: dict[tuple[str, str], list[ListEntry]], report: Report
) -> list[str]:
    """Class names by label, as far as they can be told; every label that is not 0..n-1 is reported."""
    assert found.list_folder is not None
    path = found.list_folder / ("cname_cid.txt" if role == "train" else "cname_cid_zero.txt")
    shown = f"{found.list_folder.name}/{path.name}"
    by_label: dict[int, str] = {}
    if path.is_file():
        lines = _lines(path, shown, report)
        repeated = [name for name, n in Counter(entry.path for entry in lines).items() if n > 1]
        clashes = [str(label) for label, n in Counter(entry.label for entry in lines).items() if n > 1]
        if repeated or clashes:
            report.add("error", "repeated names", f"{shown} gives names or labels twice", repeated + clashes)
        by_label = {entry.label: entry.path for entry in lines}
    else:
        shown = f"{found.list_folder.name}, {role} lists"
        for modality in ("photo", "sketch"):
            by_label |= {entry.label: class_of(entry.path) for entry in entries.get((modality, role), [])}
    if by_label and sorted(by_label) != list(range(len(by_label))):
        text = "does not restart at 0" if min(by_label) > 0 else "has gaps or negative labels"
        report.add(
            "error",
            "labels",
            f"{shown} {text}: expected 0..{len(by_label) - 1} for {len(by_label)} classes, "
            f"found {min(by_label)}..{max(by_label)}",
        )
        return [by_label[label] for label in sorted(by_label)]
    return [by_label[label] for label in range(len(by_label))]


def _check_list(
    found: FoundLayout, modality: str, path: Path, lines: list[ListEntry], names: list[str], report: Report
) -> list[str]:
    shown = f"{path.parent.name}/{path.name}"
    outside = [entry for entry in lines if not 0 <= entry.label < len(names)]
    if outside:
        lowest = min(entry.label for entry in lines)
        kind, text = "label out of range", f"{shown}: labels must be 0..{len(names) - 1}"
        if lowest >= len(names):
            kind, text = "labels", f"{shown} does not restart at 0: labels must be 0..{len(names) - 1}"
        report.add("error", kind, text, [_line(entry) for entry in outside])
    mismatched = [
        f"{_line(entry)} is {names[entry.label]!r}"
        for entry in lines
        if 0 <= entry.label < len(names) and class_key(class_of(entry.path)) != class_key(names[entry.label])
    ]
    if mismatched:
        report.add("error", "label and class folder differ", shown, mismatched)
    ids, missing = resolve_entries(found, modality, lines)
    if missing:
        text = f"{shown} lists {len(missing):,} of {len(lines):,} files that are not there"
        report.add("error", "missing files", text, [_line(entry) for entry in missing])
    lost = set(map(id, missing))
    moved = sum(a != b for a, b in zip(ids, (e.path for e in lines if id(e) not in lost), strict=True))
    if moved:
        report.add(
            "info", "other folder", f"{shown}: {moved:,} files lie in another folder than the list says"
        )
    _check_repeats(shown, lines, report)
    return ids


def _check_repeats(shown: str, lines: list[ListEntry], report: Report) -> None:
    by_path: dict[str, list[ListEntry]] = defaultdict(list)
    by_stem: dict[tuple[int, str], set[str]] = defaultdict(set)
    for entry in lines:
        by_path[entry.path].append(entry)
        by_stem[entry.label, PurePosixPath(entry.path).stem].add(entry.path)
    repeated = {path: group for path, group in by_path.items() if len(group) > 1}
    clashing = [path for path, group in repeated.items() if len({entry.label for entry in group}) > 1]
    if clashing:
        report.add("error", "conflicting labels", f"{shown} gives one file several labels", clashing)
    same = [f"{path} (lines {', '.join(str(e.line) for e in group)})" for path, group in repeated.items()]
    if same:
        report.add("warning", "repeated lines", f"{shown} names {len(same):,} files more than once", same)
    twice = [sorted(paths) for paths in by_stem.values() if len(paths) > 1]
    extended = [paths for paths in twice if any("EXTEND" in path for path in paths)]
    if extended:
        text = (
            f"{shown} names {len(extended):,} photos twice, in EXTEND and among the originals, as published"
        )
        report.add("info", "repeated photos", text)


def _check_empty_classes(path: Path, per_class: Counter[str], report: Report) -> None:
    empty = [name for name, count in per_class.items() if count == 0]
    if empty:
        report.add("error", "class without files", f"{path.parent.name}/{path.name} lists nothing for", empty)


def _check_overlap(
    folder: str, names: dict[str, list[str]], entries: dict[tuple[str, str], list[ListEntry]], report: Report
) -> None:
    seen = {class_key(name) for name in names["train"]}
    both = [name for name in names["zero"] if class_key(name) in seen]
    if both:
        report.add("error", "split overlap", f"{folder}: classes both seen and unseen", both)
    for modality in ("sketch", "photo"):
        sets = {role: {e.path for e in entries.get((modality, role), [])} for role in _SETS}
        for first, second in (("train", "zero"), ("train", "test"), ("test", "zero")):
            shared = sorted(sets[first] & sets[second])
            if shared:
                text = f"{folder}: {modality} files in both the {first} and the {second} list"
                report.add("error", "split overlap", text, shared)


def _line(entry: ListEntry) -> str:
    return f"line {entry.line}: {entry.path} {entry.label}"
