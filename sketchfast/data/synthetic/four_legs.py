"""What four-legged animals have in common, side view, heads to the left."""

from __future__ import annotations

from .drawing import Drawing
from .geometry import Points, ellipse, polyline, spline, tube

# SketchParse names the parts of its four-legged animals so; neck and mane belong to the body.
PARTS = ("head", "body", "leg", "tail")


def legs(
    d: Drawing,
    hips: tuple[float, ...],
    top: float,
    foot: float,
    width: float,
    paint: str,
    near: bool,
    swing: float = 0.09,
    knee: float = 0.02,
) -> None:
    """One front and one back leg. The far pair stands a little apart and is drawn before the body.

    swing: how far a foot is set forward or back at most. knee: how far a knee is bent.
    """
    for end, hip in zip(("front", "back"), hips, strict=True):
        stride = d.value(f"{end}_stride_{near}", -swing, swing)
        bend = d.value(f"{end}_bend", -knee, 1.5 * knee) * (1 if end == "front" else -1.6)
        shift = 0.0 if near else (0.13 if end == "front" else -0.13)
        line = polyline(
            (hip + shift, top), (hip + shift - bend, (top + foot) / 2), (hip + shift + stride, foot)
        )
        d.shape(
            "leg",
            tube(line, (1.7 * width, width, 0.9 * width), rounded=False),
            paint,
            join="animal" if near else None,
        )


def eye(d: Drawing, x: float, y: float, r: float = 0.018) -> None:
    d.line(ellipse(x, y, r, r, n=10), weight=0.75, width=0.016)


def trunk(d: Drawing, long: float, high: float, sag: float) -> Points:
    back = d.value("back", -0.03, 0.03)
    return spline(
        (-long, -0.3 * high),
        (-0.55 * long, -high),
        (0, -0.9 * high + back),
        (0.6 * long, -high),
        (long, -0.45 * high),
        (0.92 * long, 0.5 * high),
        (0.3 * long, 0.85 * high + sag),
        (-0.4 * long, 0.95 * high),
        (-0.93 * long, 0.55 * high),
    )
