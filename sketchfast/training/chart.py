"""Line charts as inline SVG. Colours come from the page's CSS variables, so a chart follows light and dark mode."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 12, 40
NUM_COLOURS = 6  # --line-0 ... in the style sheet


@dataclass
class Curve:
    """One line: points (x, y); NaN and infinite values leave gaps. `faint` for raw values behind a smoothed
    line; `group` gives curves that belong together one colour."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    faint: bool = False
    group: int | None = None


def line_chart(
    curves: Sequence[Curve],
    x_label: str = "",
    y_label: str = "",
    log_y: bool = False,
    y_range: tuple[float, float] | None = None,
) -> Markup:
    """SVG of the curves with ticks, grid and labels. log_y leaves out values that are not positive.

    y_range: what the axis at least spans, such as 0 to 1 of a share. Where every x is a whole number (of an epoch, of a step),
    so are the ticks.
    """
    drawn = [(curve, _points(curve, log_y)) for curve in curves]
    points = [point for _, parts in drawn for part in parts for point in part]
    if not points:
        return Markup('<p class="note">no values to draw</p>')
    xs = [x for x, _ in points]
    x_ticks = nice_ticks(min(xs), max(xs), whole=all(x.is_integer() for x in xs))
    heights = [y for _, y in points] + [*(y_range or ())]
    low, high = min(heights), max(heights)
    y_ticks = _decades(low, high) if log_y and high - low > 1 else nice_ticks(low, high)
    x0, x1 = min(x_ticks[0], points[0][0]), x_ticks[-1]
    y0, y1 = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x0) / ((x1 - x0) or 1)
        up = (y - y0) / ((y1 - y0) or 1)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    name = f"{escape(y_label)} over {escape(x_label)}"
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">']
    for tick in y_ticks:
        _, y = place(x0, tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text("tick", LEFT - 7, y + 4, "end", _number(10**tick if log_y else tick)))
    for tick in x_ticks:
        parts.append(_text("tick", place(tick, y0)[0], HEIGHT - BOTTOM + 17, "middle", _number(tick)))
    parts.append(_text("axis", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 5, "middle", x_label))
    for index, (curve, segments) in enumerate(drawn):
        colour = f"var(--line-{(index if curve.group is None else curve.group) % NUM_COLOURS})"
        look = f'class="curve{" faint" if curve.faint else ""}" style="stroke:{colour}"'
        for segment in segments:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in segment))
            parts.append(f'<polyline {look} points="{path}"><title>{escape(curve.name)}</title></polyline>')
            if len(segment) <= 30 and not curve.faint:
                for x, y in (place(*point) for point in segment):
                    parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" style="fill:{colour}"/>')
    parts.append("</svg>")
    return Markup("".join(parts))


def _text(look: str, x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def smoothed(values: Sequence[float], span: int) -> list[float]:
    """Exponential moving average over about `span` values, started without bias (Adam's correction)."""
    keep = 1 - 2 / (span + 1)
    average, weight, out = 0.0, 0.0, []
    for value in values:
        if math.isfinite(value):
            average = keep * average + (1 - keep) * value
            weight = keep * weight + (1 - keep)
        out.append(average / weight if weight else math.nan)
    return out


def nice_ticks(low: float, high: float, most: int = 6, whole: bool = False) -> list[float]:
    """At most `most` + 1 round numbers that enclose [low, high]. whole: integers only."""
    if high <= low:
        margin = (0.0 if whole else abs(low) * 0.1) or 1.0
        low, high = low - margin, high + margin
    rough = max((high - low) / (most - 1), 1.0 if whole else 0.0)
    power = 10.0 ** math.floor(math.log10(rough))
    middle = 3.0 if whole and power == 1 else 2.5 * power
    steps = (power, 2 * power, middle, 5 * power, 10 * power)
    step = next(step for step in steps if step >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    return [float(power) for power in range(math.floor(low), math.ceil(high) + 1)]


def _points(curve: Curve, log_y: bool) -> list[list[tuple[float, float]]]:
    """The curve's points in unbroken parts, thinned to what the eye can see."""
    segments: list[list[tuple[float, float]]] = [[]]
    every = max(1, len(curve.x) // 2000)
    for x, y in list(zip(curve.x, curve.y, strict=True))[::every]:
        if math.isfinite(y) and (y > 0 or not log_y):
            segments[-1].append((float(x), math.log10(y) if log_y else float(y)))
        elif segments[-1]:
            segments.append([])
    return [segment for segment in segments if segment]


def _number(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{round(value, 10):g}"
