"""Checks of QMUL Shoe-V2 and Chair-V2, in whichever of their layouts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sketchfast.data import published
from sketchfast.data.check_files import check_pictures
from sketchfast.data.image_set import FileImageSet
from sketchfast.data.instances import InstanceSplit
from sketchfast.data.qmul import load_qmul
from sketchfast.data.qmul_strokes import StrokeSketches, read_coordinates
from sketchfast.data.report import Report


def check_qmul(
    root: str | os.PathLike[str],
    *,
    strict: bool = False,
    decode: bool = True,
    progress: bool = True,
    threads: int | None = None,
) -> Report:
    """Examines Shoe-V2 or Chair-V2 under root; see `check.check` for the options and the verdict."""
    report = Report("qmul", Path(root), strict=strict, title="QMUL Shoe-V2 or Chair-V2")
    try:
        split = load_qmul(root, strokes=True)
    except OSError as error:
        report.add("error", "wrong path or layout", str(error))
        _check_strokes_alone(Path(root), report)
        return report
    except ValueError as error:
        report.add("error", "does not fit together", str(error))
        return report
    report.title = split.name
    for note in split.notes:
        report.add("info", "layout", note)
    _check_counts(split, report)
    _check_undrawn(split, report)
    _check_strokes(split, report)
    if decode:
        _check_pictures(split, report, progress, threads)
    else:
        report.add("info", "not decoded", "pictures were not decoded (names and lists only)")
    return report


def _check_counts(split: InstanceSplit, report: Report) -> None:
    (category,) = split.seen_names
    counts: dict[str, int] = {}
    for half, pairs in split.parts().items():
        counts |= {f"{half} sketches": len(pairs), f"{half} photos": len(pairs.photos)}
    for what, number in counts.items():
        report.count(what, {category: number})
    expected = published.QMUL_COUNTS.get(category)
    if expected is None:
        return
    differing = [
        f"{what} {counts[what]:,} of published {number:,}"
        for what, number in expected.items()
        if counts[what] != number
    ]
    smaller = all(counts[what] <= number for what, number in expected.items())
    if differing:
        report.add("warning", "counts", "subset" if smaller else "not as published", differing)
    else:
        report.add("info", "counts", "as published")


def _check_undrawn(split: InstanceSplit, report: Report) -> None:
    for half, pairs in split.parts().items():
        undrawn = np.setdiff1d(np.arange(len(pairs.photos)), pairs.drawn)
        if len(undrawn):
            # They are distractors of a gallery, but nothing to learn pairs from.
            level = "warning" if half == "train" else "info"
            text = f"{len(undrawn):,} of {len(pairs.photos):,} {half} photos"
            report.add(level, "photo without sketch", text, [pairs.photos.ids[row] for row in undrawn])


def _check_strokes(split: InstanceSplit, report: Report) -> None:
    if not all(pairs.sketches.has_strokes for pairs in split.parts().values()):
        text = "sketches are pictures: retrieval can be trained on them, a generator of strokes cannot"
        report.add("info", "no strokes", text)
        return
    drawings = [
        drawing
        for pairs in split.parts().values()
        if isinstance(pairs.sketches, StrokeSketches)
        for drawing in pairs.sketches.drawings
    ]
    if drawings:
        _tell_strokes(drawings, report)


def _check_strokes_alone(root: Path, report: Report) -> None:
    """What a pickle holds that lies there without photos."""
    found = sorted(path for pattern in ("*V2_Coordinate", "*/*V2_Coordinate") for path in root.glob(pattern))
    if not found:
        return
    path = found[0]
    try:
        drawings = read_coordinates(path)
    except ValueError as error:
        report.add("error", "strokes", str(error))
        return
    for half in ("train", "test"):
        names = [name for name in drawings if name.startswith(f"{half}/")]
        photos = {name.rpartition("_")[0] for name in names}
        report.count(f"{half} sketches", {path.name.partition("V2")[0].lower(): len(names)})
        report.add("info", "photos", f"{half} sketches are of {len(photos):,} photos")
    _tell_strokes(list(drawings.values()), report)


def _tell_strokes(drawings: list[np.ndarray], report: Report) -> None:
    points = np.array([len(drawing) for drawing in drawings])
    strokes = np.array([np.count_nonzero(drawing[:, 2]) for drawing in drawings])
    text = (
        f"{len(drawings):,} drawings of {points.min()} to {points.max()} points, median {np.median(points):g}, in "
        f"{strokes.min()} to {strokes.max()} strokes"
    )
    report.add("info", "strokes", text)


def _check_pictures(split: InstanceSplit, report: Report, progress: bool, threads: int | None) -> None:
    files: dict[str, list[str]] = {"sketch": [], "photo": []}
    sides: dict[str, set[str]] = {"halves/seen": set(), "halves/unseen": set()}
    for side, pairs in zip(sides, (split.train, split.test), strict=True):
        for images in (pairs.sketches, pairs.photos):
            if isinstance(images, FileImageSet):
                files[images.modality] += images.ids
                sides[side] |= set(images.ids)
    photos = split.train.photos
    assert isinstance(photos, FileImageSet)
    check_pictures(photos.root, files, sides, report, progress=progress, threads=threads)
