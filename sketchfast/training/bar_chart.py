"""Lying bars as inline SVG: names of any length can be read beside them. Colours follow the page's light and dark mode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from sketchfast.training.chart import NUM_COLOURS

WIDTH = 430
_NAMES, _VALUES = 128, 96  # widths left of the bars and right of them
_BAR, _GAP = 13, 7
_LETTERS = 19  # of a name that fit beside the bars


class BarPart(NamedTuple):
    """value: finite, 0 or more, in the unit of the whole chart; group: index of its colour; text: written at its end."""

    value: float
    group: int = 0
    text: str = ""


@dataclass
class Bar:
    """A name with one bar, or several below one another."""

    name: str
    parts: Sequence[BarPart]


@dataclass
class BarChart:
    """Bars from the top down, on one scale. series: what the colours mean, (name, index of the colour)."""

    title: str
    bars: Sequence[Bar]
    series: Sequence[tuple[str, int]] = ()

    def __post_init__(self) -> None:
        for bar in self.bars:
            for part in bar.parts:
                if not (math.isfinite(part.value) and part.value >= 0):
                    raise ValueError(f"bars {self.title!r}: {bar.name!r} must be 0 or more, got {part.value}")

    @property
    def legend(self) -> list[tuple[str, int]]:
        return [(name, group % NUM_COLOURS) for name, group in self.series]


def bar_chart(chart: BarChart) -> Markup:
    """SVG of the bars with their names and texts."""
    top = max((part.value for bar in chart.bars for part in bar.parts), default=0.0) or 1.0
    if not chart.bars:
        return Markup('<p class="note">no values to draw</p>')
    parts, y = [], 2.0
    for bar in chart.bars:
        height = _BAR * len(bar.parts)
        name = bar.name if len(bar.name) <= _LETTERS else bar.name[: _LETTERS - 1] + "…"
        parts.append(
            f'<text class="axis" x="{_NAMES - 8}" y="{y + height / 2 + 4.2:.1f}" text-anchor="end">{escape(name)}'
            f"<title>{escape(bar.name)}</title></text>"
        )
        for place, part in enumerate(bar.parts):
            length = part.value / top * (WIDTH - _NAMES - _VALUES)
            upper = y + place * _BAR
            parts.append(
                f'<rect x="{_NAMES}" y="{upper + 1:.1f}" width="{max(length, 0.75):.1f}" height="{_BAR - 2}" rx="1.5" '
                f'style="fill:var(--line-{part.group % NUM_COLOURS})"/>'
                f'<text class="tick" x="{_NAMES + max(length, 0.75) + 6:.1f}" y="{upper + 10.5:.1f}">{escape(part.text)}</text>'
            )
        y += height + _GAP
    size = f'viewBox="0 0 {WIDTH} {y:.0f}"'
    return Markup(f'<svg {size} role="img" aria-label="{escape(chart.title)}">{"".join(parts)}</svg>')
