"""A run as one HTML file: curves, metric tables, retrieval grids, config and versions. Self-contained: it can be mailed.

Every text is escaped by the template engine: class names and file names come from data sets of unknown origin."""

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from sketchfast import atomic
from sketchfast.training.bar_chart import BarChart, bar_chart
from sketchfast.training.chart import Curve, line_chart, smoothed
from sketchfast.training.history import PLACE, read_history
from sketchfast.training.report_page import PAGE
from sketchfast.training.report_sections import (
    Card,
    CardSection,
    Chart,
    CurveSection,
    Interval,
    KeySection,
    NumbersSection,
    PictureRow,
    PictureRowsSection,
    PictureSection,
    RetrievalGridSection,
    RetrievalRow,
    Section,
    Strip,
    TableSection,
    TextSection,
)
from sketchfast.training.run_folder import RunFolder

__all__ = [
    "Card",
    "CardSection",
    "Chart",
    "CurveSection",
    "Interval",
    "KeySection",
    "NumbersSection",
    "PictureRow",
    "PictureRowsSection",
    "PictureSection",
    "RetrievalGridSection",
    "RetrievalRow",
    "Section",
    "Strip",
    "TableSection",
    "TextSection",
    "history_sections",
    "write_report",
]

TILE_PIXELS = 128


def write_report(
    run_dir: str | Path,
    title: str,
    history: Sequence[Mapping[str, Any]] | None = None,
    sections: Sequence[Section] = (),
    subtitle: str = "",
) -> Path:
    """Write `report.html` into a run folder and return its path.

    history: records as in metrics.jsonl (read from the run folder if None); its curves follow `sections`,
        then config and versions where the folder holds them."""
    folder = RunFolder(run_dir)
    records = read_history(folder.metrics_file) if history is None else history
    parts: list[Section] = [*sections, *history_sections(records)]
    if folder.config_file.exists():
        parts.append(KeySection("Config", json.loads(folder.config_file.read_text(encoding="utf-8"))))
    if folder.versions_file.exists():
        launches = json.loads(folder.versions_file.read_text(encoding="utf-8"))["launches"]
        parts += [
            KeySection(
                f"Versions and hardware{f', launch {n + 1} of {len(launches)}' if len(launches) > 1 else ''}",
                launch,
            )
            for n, launch in enumerate(launches)
        ]
        subtitle = subtitle or f"run folder {folder.root.name}, started {launches[0]['started']}"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(show=_cell, png=_png, draw=_draw)
    page = environment.from_string(PAGE).render(title=title, subtitle=subtitle, sections=parts)
    path = folder.root / "report.html"
    folder.root.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, page)
    return path


def history_sections(records: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Charts of every number in a run's history: losses (raw and smoothed), learning rate, validation metrics."""
    charts = []
    train = [record for record in records if record["kind"] == "train"]
    names = [name for name in _names(train) if name != "lr"]
    for name in names:
        if name != "loss" and [r.get(name) for r in train] == [r.get("loss") for r in train]:
            continue  # the only term of the loss
        x, y = _series(train, name)
        if len(x) > 40:
            line = Curve("smoothed", x, smoothed(y, max(5, len(y) // 40)), group=0)
            curves = [Curve("raw", x, y, faint=True, group=0), line]
        else:
            curves = [Curve(name, x, y)]
        positive = [value for value in y if value > 0]
        wide = len(positive) == len(y) > 0 and max(positive) > 50 * min(positive)
        charts.append(Chart(f"training: {name}", curves, log_y=wide))
    if "lr" in _names(train):
        charts.append(Chart("learning rate", [Curve("lr", *_series(train, "lr"))]))
    validation = [record for record in records if record["kind"] == "validation"]
    for name in _names(validation):
        x = [float(record["epoch"]) for record in validation if record.get(name) is not None]
        y = [float(record[name]) for record in validation if record.get(name) is not None]
        shown = "training: mean loss of the epoch" if name == "train_loss" else f"validation: {name}"
        charts.append(Chart(shown, [Curve(name, x, y)], x_label="epoch"))
    return [CurveSection("Training", charts)] if charts else []


def _names(records: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record if name not in PLACE))


def _series(records: Sequence[Mapping[str, Any]], name: str) -> tuple[list[float], list[float]]:
    found = [(float(record["step"]), record[name]) for record in records if name in record]
    return [x for x, _ in found], [math.nan if y is None else float(y) for _, y in found]


def _draw(chart: Chart | BarChart) -> Markup:
    if isinstance(chart, BarChart):
        return bar_chart(chart)
    return line_chart(chart.curves, chart.x_label, chart.title, chart.log_y, chart.y_range)


def _cell(cell: Any, section: TableSection, column: int) -> Any:
    if cell is None:
        return "–"
    if isinstance(cell, Interval):
        return _interval(cell, [row[column] for row in section.rows], section.scale)
    if isinstance(cell, float):
        return f"{cell:.4g}" if abs(cell) >= 1 or cell == 0 else f"{cell:.4f}"
    return cell


def _interval(cell: Interval, column: Sequence[Any], top: float | None) -> Markup:
    """The numbers, and a whisker from 0 to `top` or the column's largest value, so that rows can be compared by eye."""
    tops = [
        other.high if isinstance(other, Interval) else other
        for other in column
        if isinstance(other, Interval | float)
    ]
    scale = 150 / (top or max((end for end in tops if math.isfinite(end)), default=1.0) or 1.0)
    low, value, high = (max(0.0, min(150.0, number * scale)) for number in (cell.low, cell.value, cell.high))
    number = "{:.1%}" if cell.percent else "{:.4f}"
    return Markup(
        f'{number} <span class="interval">[{number}, {number}]</span>'
        '<svg viewBox="0 0 150 9" aria-hidden="true">'
        '<line x1="0" x2="150" y1="4.5" y2="4.5" style="stroke:var(--rule)"/>'
        '<line x1="{:.1f}" x2="{:.1f}" y1="4.5" y2="4.5" style="stroke:var(--line-0);stroke-width:3"/>'
        '<circle cx="{:.1f}" cy="4.5" r="3.5" style="fill:var(--line-0)"/></svg>'
    ).format(cell.value, cell.low, cell.high, low, high, max(3.5, min(146.5, value)))


def _png(image: np.ndarray, largest: int | None = TILE_PIXELS) -> str:
    """An image as a data URL, reduced to `largest` pixels a side."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"report images must be uint8 [H, W, 3], found {image.dtype} {list(image.shape)}")
    picture = Image.fromarray(image)
    if largest is not None:
        picture.thumbnail((largest, largest))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
