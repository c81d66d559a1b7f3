"""Report sections for part parsing: results beside what needs no learning, parts, stages, and pictures, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sketchfast.metrics.bootstrap import Mean, bootstrap_interval
from sketchfast.metrics.parsing import IGNORE
from sketchfast.runtime.part_picture import part_colour
from sketchfast.training.report import (
    Interval,
    NumbersSection,
    PictureRow,
    PictureRowsSection,
    Section,
    TableSection,
)

if TYPE_CHECKING:
    from sketchfast.data.part_set import PartSet
    from sketchfast.metrics.parser_scores import ParsingRow

SHOWN_WORST, SHOWN_MIDDLE = 16, 11
# Colours of no part, which differ in lightness: told apart with any colour vision.
RIGHT, WRONG = (0xD6, 0xD6, 0xD6), (0xE0, 0x00, 0x5A)
_DIFFERENCE = (
    ("right part", "#d6d6d6"),
    ("wrong", "#e0005a"),
    ("right background, or not scored", "#ffffff"),
)


def parsing_sections(rows: Sequence[ParsingRow], items: PartSet, title: str) -> list[Section]:
    """Everything a report says about one set of sketches.

    rows: `score_parser` and `score_baselines` of these items, in the order of training; the last row with the category given
        is the parser the report is about, and the first one, where it is another, the stage it is compared with.
    items: the sketches and masks that were scored. title: how the set is called, e.g. "test".
    Raises ValueError when rows is empty, has no row with the category given, or scores another number of sketches.
    """
    given = [row for row in rows if row.category == "given"]
    if not given:
        raise ValueError("rows: expected one with the category given; found none")
    for row in rows:
        if len(row.scores) != len(items):
            raise ValueError(
                f"rows: {row.method!r} scores {len(row.scores)} sketches, but items are {len(items)}"
            )
    main = given[-1]
    sections: list[Section] = [_numbers(rows, main, title), _methods(rows, main, title)]
    if len(given) > 1:
        sections.append(_stages(given[0], main, title))
    sections.append(_categories(rows, main, title))
    worst = main.scores.worst_first()[:SHOWN_WORST]
    middle = _middle_of_each_category(main, items)[:SHOWN_MIDDLE]
    note = f"{main.method}, category given. On the left the mean IoU of the sketch's labels, on the right that of each part."
    sections.append(
        picture_rows(main, items, worst, f"{title}: the sketches parsed worst, worst first", note)
    )
    sections.append(picture_rows(main, items, middle, f"{title}: the median sketch of each category", note))
    sections.append(_parts(main, title))
    return sections


def picture_rows(
    row: ParsingRow, items: PartSet, order: Sequence[int] | np.ndarray, title: str, note: str = ""
) -> PictureRowsSection:
    """Sketch, prediction, truth and difference of the items at these positions."""
    shown = [_picture_row(row, items, int(i)) for i in order]
    return PictureRowsSection(
        title, ["sketch", "prediction", "truth", "difference"], shown, note, _DIFFERENCE
    )


def difference_picture(pred: np.ndarray, truth: np.ndarray, image: np.ndarray | None = None) -> np.ndarray:
    """uint8 [H, W, 3]: light grey where a part is right, magenta where a label is wrong, white where the background is right or
    nothing is scored; with `image`, uint8 [H, W], its ink darkens them."""
    picture = np.full((*truth.shape, 3), 255, np.uint8)
    scored = truth != IGNORE
    picture[scored & (pred == truth) & (truth != 0)] = RIGHT
    picture[scored & (pred != truth)] = WRONG
    return _darkened(picture, image)


def coloured(mask: np.ndarray, image: np.ndarray | None = None) -> np.ndarray:
    """Part ids uint8 [H, W] in the colours of `part_picture`, uint8 [H, W, 3]; background and ignored pixels are white."""
    table = np.array(
        [(255, 255, 255) if label == IGNORE else part_colour(label) for label in range(256)], np.uint8
    )
    return _darkened(table[mask], image)


def _darkened(picture: np.ndarray, image: np.ndarray | None) -> np.ndarray:
    if image is None:
        return picture
    shade = 0.15 + 0.85 * image[:, :, None].astype(np.float32) / 255.0
    return np.rint(picture * shade).astype(np.uint8)


def _picture_row(row: ParsingRow, items: PartSet, i: int) -> PictureRow:
    image, truth = items.load(i)
    pred = np.where(truth == IGNORE, IGNORE, row.predictions[i]).astype(np.uint8)
    # Labels of the ink alone would disappear in the ink's black.
    ink = None if (truth == IGNORE).any() else image
    sketch = np.repeat(image[:, :, None], 3, axis=2)
    pictures = [sketch, coloured(pred, ink), coloured(truth, ink), difference_picture(pred, truth, ink)]
    scores = row.scores
    parts = ("background", *scores.parts[scores.categories[i]])
    legend = []
    for label in np.union1d(pred, truth).tolist():
        if label in (0, IGNORE):
            continue
        iou = scores.label_iou[i, label]
        said = "not in the truth" if np.isnan(iou) else f"{iou:.2f}"
        legend.append((f"{parts[label]}  {said}", "#{:02x}{:02x}{:02x}".format(*part_colour(label))))
    caption = f"{scores.categories[i]}\n{scores.iou[i]:.3f}\n{scores.names[i]}"
    return PictureRow(caption, pictures, legend)


def _numbers(rows: Sequence[ParsingRow], main: ParsingRow, title: str) -> NumbersSection:
    overall = main.scores.overall
    numbers = [
        (
            "mean IoU over sketches",
            f"{overall.value:.3f}",
            f"[{overall.low:.3f}, {overall.high:.3f}], {overall.count:,} sketches, {main.method}",
        )
    ]
    baselines = [row for row in rows if row.category == "-"]
    if baselines:
        best = max(baselines, key=lambda row: row.scores.overall.value)
        numbers.append(
            ("without learning", f"{best.scores.overall.value:.3f}", f"{best.method}; {_gain(best, main)}")
        )
    if guessed := [row for row in rows if row.category == "guessed" and row.method == main.method]:
        right = guessed[-1].category_accuracy
        beside = "" if right is None else f"the category is right for {right:.1%}"
        numbers.append(("with its own category", f"{guessed[-1].scores.overall.value:.3f}", beside))
    numbers.append(("pixels right", f"{main.scores.pixels.value:.3f}", "mean over sketches"))
    if main.strokes:
        value = float(np.mean([mean.value for mean in main.strokes.values()]))
        numbers.append(("strokes right", f"{value:.3f}", "mean over categories"))
    categories = main.scores.by_category()
    if len(categories) > 1:
        worst, best_name = (pick(categories, key=lambda name: categories[name].value) for pick in (min, max))
        numbers.append(
            (
                "hardest category",
                worst,
                f"{categories[worst].value:.3f}; easiest {best_name}, {categories[best_name].value:.3f}",
            )
        )
    return NumbersSection(f"{title}: in short", numbers)


def _methods(rows: Sequence[ParsingRow], main: ParsingRow, title: str) -> TableSection:
    strokes = any(row.strokes for row in rows)
    columns = ["method", "category", "mean IoU", "pixel accuracy", *(["stroke accuracy"] if strokes else [])]
    cells: list[list[Any]] = []
    for row in rows:
        cell = [row.method, row.category, _interval(row.scores.overall), _interval(row.scores.pixels)]
        if strokes:
            own = list((row.strokes or {}).values())
            cell.append(float(np.mean([mean.value for mean in own])) if own else None)
        cells.append(cell)
    note = (
        "IoU of each label in the truth, background included, mean over the labels of a sketch, then over sketches "
        "(eq. 12-14). 95 % bootstrap intervals over sketches."
    )
    main_row = [k for k, row in enumerate(rows) if row is main]
    return TableSection(f"{title}: results", columns, cells, note, main_row, 1.0)


def _stages(first: ParsingRow, last: ParsingRow, title: str) -> TableSection:
    before, after = first.scores.by_category(), last.scores.by_category()
    own = np.array(last.scores.categories)
    cells: list[list[Any]] = [
        [
            name,
            after[name].count,
            _interval(before[name]),
            _interval(after[name]),
            _gain(first, last, own == name),
        ]
        for name in after
    ]
    overall = [first.scores.overall, last.scores.overall]
    cells.append(["all sketches", overall[1].count, *map(_interval, overall), _gain(first, last)])
    note = "The difference is paired: both parse the same sketches."
    columns = ["category", "sketches", first.method, last.method, "difference"]
    return TableSection(
        f"{title}: {first.method} and {last.method}", columns, cells, note, [len(cells) - 1], 1.0
    )


def _categories(rows: Sequence[ParsingRow], main: ParsingRow, title: str) -> TableSection:
    shown = [main, *(row for row in rows if row.category == "-")]
    tables = [row.scores.by_category() for row in shown]
    strokes = main.strokes or {}
    columns = [
        "category",
        "sketches",
        *(row.method for row in shown),
        *(["strokes right"] if strokes else []),
    ]
    cells: list[list[Any]] = []
    for name, mean in tables[0].items():
        cell: list[Any] = [name, mean.count, *(_interval(table[name]) for table in tables)]
        if strokes:
            cell.append(_interval(strokes[name]) if name in strokes else None)
        cells.append(cell)
    return TableSection(
        f"{title}: each category", columns, cells, "Mean IoU over the category's sketches.", scale=1.0
    )


def _parts(main: ParsingRow, title: str) -> TableSection:
    cells = [
        [category, part, mean.count, _interval(mean)]
        for category, parts in main.scores.by_part().items()
        for part, mean in parts.items()
    ]
    note = f"IoU of {main.method}, mean over the sketches that contain the part."
    return TableSection(
        f"{title}: each part", ["category", "part", "sketches", "IoU"], cells, note, scale=1.0
    )


def _middle_of_each_category(main: ParsingRow, items: PartSet) -> list[int]:
    order = main.scores.worst_first()
    own = items.categories_index[order]
    found = [order[own == k] for k in range(len(items.categories))]
    return [int(rows[len(rows) // 2]) for rows in found if len(rows)]


def _gain(before: ParsingRow, after: ParsingRow, kept: np.ndarray | None = None) -> str:
    """after - before over the same sketches, with its own interval."""
    change = after.scores.iou - before.scores.iou
    change = change[~np.isnan(change)] if kept is None else change[kept & ~np.isnan(change)]
    low, high = bootstrap_interval(change)
    return f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def _interval(mean: Mean) -> Interval:
    return Interval(mean.value, mean.low, mean.high)
