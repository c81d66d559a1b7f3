"""Checks of Sketchy's `info` folder: the lists of invalid sketches and of test photos, against the files that are there."""

from __future__ import annotations

from pathlib import PurePosixPath

from sketchfast.data.layouts import FoundLayout, class_key, is_readable, list_class_folders, list_files
from sketchfast.data.report import Report
from sketchfast.data.sketchy_info import info_folder, invalid_sketches, original_test_photos


def check_info(found: FoundLayout, report: Report) -> None:
    """How many of the listed files are there; an error for a line that names no sketch. Nothing without an info folder."""
    if info_folder(found) is None:
        return
    try:
        invalid = invalid_sketches(found)
    except (ValueError, OSError) as error:
        report.add("error", "invalid sketches", str(error))
        invalid = {}
    present = {modality: _present(found, modality) for modality in ("sketch", "photo")}
    stems = {stem for _, stem in present["sketch"]}
    for name, listed in invalid.items():
        here = sum(stem in stems if key is None else (key, stem) in present["sketch"] for key, stem in listed)
        text = f"info/{name}: {here:,} of {len(listed):,} listed sketches are here; load_instances leaves them out"
        report.add("info", "invalid sketches", text)
    photos = original_test_photos(found)
    if photos:
        here = len(photos & present["photo"])
        report.add(
            "info", "test photos", f"info/testset.txt: {here:,} of {len(photos):,} listed photos are here"
        )


def _present(found: FoundLayout, modality: str) -> set[tuple[str, str]]:
    """(`class_key`, file stem) of every picture."""
    return {
        (class_key(folder.name), PurePosixPath(name).stem)
        for top in found.folders(modality)
        for folder in list_class_folders(top).values()
        for name in list_files(folder)
        if is_readable(name, modality)
    }
