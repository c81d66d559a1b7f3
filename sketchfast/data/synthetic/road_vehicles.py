"""Vehicles on four wheels or on rails, side view, front to the left."""

from __future__ import annotations

from .drawing import Category, Drawing
from .geometry import box, ellipse, polyline, spline, tube

PARTS = ("body", "mirror", "window", "wheel", "headlight", "door")


def _car_wheel(d: Drawing, x: float, y: float, r: float) -> None:
    d.shape("wheel", ellipse(x, y, r), "rubber")
    d.shape("wheel", ellipse(x, y, 0.5 * r, n=20), "metal", weight=0.8)


def car(d: Drawing) -> None:
    long, sill = d.value("long", 0.62, 0.75), 0.14
    bonnet, roof = d.value("bonnet", -0.14, -0.06), d.value("roof", -0.4, -0.3)
    r = d.value("wheel", 0.11, 0.145)
    a, b = d.value("screen", -0.38, -0.26), d.value("rear", 0.3, 0.52)
    c, e = a + d.value("rake", 0.1, 0.2), b - d.value("rear_rake", 0.06, 0.2)
    d.shape(
        "body",
        spline(
            (-long, 0.1),
            (-long, -0.02),
            (-0.9 * long, bonnet + 0.03),
            (a - 0.05, bonnet - 0.02),
            (a + 0.02, bonnet - 0.04),
            (c, roof + 0.02),
            (c + 0.06, roof),
            (e - 0.06, roof),
            (e, roof + 0.02),
            (b, bonnet - 0.02),
            (0.92 * long, bonnet + 0.01),
            (long, 0),
            (long, 0.1),
            (0.95 * long, sill),
            (0, sill + 0.005),
            (-0.95 * long, sill),
        ),
        "paint",
    )
    mid = (c + e) / 2 + d.value("pillar", -0.05, 0.05)
    top, low = roof + 0.045, bonnet - 0.02
    d.shape(
        "window", polyline((a + 0.06, low), (c + 0.03, top), (mid - 0.02, top), (mid - 0.02, low)), "glass"
    )
    d.shape(
        "window", polyline((mid + 0.02, low), (mid + 0.02, top), (e - 0.03, top), (b - 0.06, low)), "glass"
    )
    d.shape(
        "door",
        polyline(
            (a + 0.06, low + 0.02),
            (mid - 0.01, low + 0.02),
            (mid - 0.01, sill - 0.03),
            (a + 0.14, sill - 0.03),
        ),
        "paint",
        weight=0.85,
    )
    d.line(polyline((mid - 0.1, low + 0.06), (mid - 0.05, low + 0.06)), weight=0.5, width=0.02)
    for x in (-0.62 * long, 0.62 * long):
        _car_wheel(d, x, sill + 0.01, r)
    d.shape("headlight", ellipse(-0.94 * long, 0.01, 0.045, 0.035), "light", weight=0.9)
    d.shape("mirror", ellipse(a + 0.02, low - 0.01, 0.035, 0.025), "paint", weight=0.85)


def bus(d: Drawing) -> None:
    long, high = d.value("long", 0.68, 0.82), d.value("high", 0.27, 0.36)
    r, sill = d.value("wheel", 0.075, 0.1), d.value("sill", 0.85, 0.95)
    d.shape(
        "mirror",
        tube(
            polyline((-long + 0.03, -0.75 * high), (-long - 0.05, -0.7 * high), (-long - 0.06, -0.4 * high)),
            0.035,
        ),
        "rubber",
        weight=0.85,
    )
    d.shape("body", box(-long, -high, long, sill * high, 0.07), "paint")
    doorway = d.value("door", 0.14, 0.19)
    x = -long + 0.06
    d.shape("door", box(x, -0.7 * high, x + doorway, sill * high - 0.03), "glass", weight=0.95)
    d.line(polyline((x + doorway / 2, -0.7 * high), (x + doorway / 2, sill * high - 0.03)), weight=0.7)
    count = d.count("windows", 4, 6)
    left, right = x + doorway + 0.05, long - 0.06
    step = (right - left) / count
    bottom = d.value("window_low", -0.05, 0.12) * high
    for number in range(count):
        d.shape(
            "window",
            box(left + number * step, -0.75 * high, left + (number + 0.8) * step, bottom, 0.02),
            "glass",
        )
    d.line(polyline((-long + 0.06 + doorway, bottom + 0.28 * high), (long, bottom + 0.28 * high)), weight=0.4)
    for wx in (-0.45 * long, d.value("rear_wheel", 0.5, 0.68) * long):
        _car_wheel(d, wx, sill * high, r)
    d.shape("headlight", ellipse(-long + 0.025, 0.6 * high, 0.03, 0.045), "light", weight=0.85)


def truck(d: Drawing) -> None:
    long, high = d.value("long", 0.7, 0.85), d.value("high", 0.3, 0.4)
    cab = d.value("cab", 0.34, 0.42)
    r, sill = d.value("wheel", 0.085, 0.11), 0.3
    d.shape("body", box(-long + cab + 0.04, -high, long, sill - 0.06), "paint2")
    d.shape("body", box(-long + 0.1, sill - 0.07, long, sill), "metal", weight=0.8)
    top = -high + d.value("cab_low", 0.05, 0.2)
    nose = d.value("nose", 0.02, 0.14)
    d.shape(
        "body",
        polyline(
            (-long, sill),
            (-long, 0.02),
            (-long + nose, -0.02),
            (-long + nose + 0.05, top),
            (-long + cab, top),
            (-long + cab, sill),
        ),
        "paint",
    )
    d.shape(
        "window",
        polyline(
            (-long + nose + 0.05, -0.03),
            (-long + nose + 0.09, top + 0.05),
            (-long + cab - 0.07, top + 0.05),
            (-long + cab - 0.07, -0.03),
        ),
        "glass",
    )
    d.shape("door", box(-long + nose + 0.08, 0.0, -long + cab - 0.06, sill - 0.05), "paint", weight=0.8)
    d.shape("headlight", ellipse(-long + 0.03, 0.12, 0.03, 0.035), "light", weight=0.85)
    d.shape("mirror", box(-long + nose - 0.01, -0.14, -long + nose + 0.03, -0.03), "rubber", weight=0.8)
    wheels = [-long + 0.5 * cab + 0.02, long - 0.16] + (
        [long - 0.2 - 2.2 * r] if d.chance("tandem", 0.6) else []
    )
    for x in wheels:
        _car_wheel(d, x, sill + 0.02, r)


def train(d: Drawing) -> None:
    """A steam engine: boiler, funnel, cab, driving wheels and cow-catcher."""
    long, r = d.value("long", 0.6, 0.72), d.value("boiler", 0.14, 0.18)
    cab, funnel = d.value("cab", 0.3, 0.4), d.value("funnel", 0.2, 0.3)
    deck = 0.16
    d.shape(
        "funnel",
        polyline(
            (-0.75 * long - 0.05, -r),
            (-0.75 * long - 0.09, -r - funnel),
            (-0.75 * long + 0.09, -r - funnel),
            (-0.75 * long + 0.05, -r),
        ),
        "metal",
    )
    d.shape("boiler", ellipse(-0.2 * long, -r, 0.08, 0.09), "metal", weight=0.85)
    d.shape("boiler", box(-long, -r, long - cab + 0.02, deck, 0.05), "paint")
    high = -r - d.value("cab_high", 0.16, 0.26)
    d.shape("cab", box(long - cab, high, long, deck), "paint2")
    d.shape("cab", box(long - cab - 0.06, high - 0.05, long + 0.06, high), "metal")
    d.shape("window", box(long - 0.78 * cab, high + 0.06, long - 0.22 * cab, high + 0.2), "glass")
    d.shape("chassis", box(-long - 0.03, deck, long + 0.04, deck + 0.06), "metal", weight=0.9)
    d.shape(
        "chassis",
        polyline((-long - 0.02, deck + 0.03), (-long - 0.2, deck + 0.22), (-long + 0.02, deck + 0.22)),
        "metal",
        weight=0.9,
    )
    big = d.value("wheel", 0.1, 0.13)
    count = d.count("wheels", 3, 4)
    for number in range(count):
        x = -0.72 * long + number * 1.5 * long / (count - 1)
        d.shape("wheel", ellipse(x, deck + 0.1, big), "rubber")
        d.shape("wheel", ellipse(x, deck + 0.1, 0.35 * big, n=14), "metal", weight=0.6)
    d.line(polyline((-0.72 * long, deck + 0.1), (0.78 * long, deck + 0.1)), weight=0.6, width=0.02)
    for x in (-0.45, 0.1):
        d.line(polyline((x * long, -r), (x * long, deck)), weight=0.5)
    if d.chance("smoke", 0.6):
        for number in range(3):
            size = 0.06 + 0.03 * number
            d.line(
                ellipse(
                    -0.75 * long + 0.02 + 0.13 * number,
                    -r - funnel - 0.1 - 0.08 * number,
                    size,
                    size * 0.8,
                    n=18,
                ),
                weight=0.6,
            )


CATEGORIES = (
    Category(
        "bus",
        bus,
        PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight boxy large long-body",
    ),
    Category(
        "car",
        car,
        PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight long-body fast",
    ),
    Category(
        "train",
        train,
        ("boiler", "cab", "window", "wheel", "funnel", "chassis"),
        "vehicle man-made metal wheels rails engine windows funnel boxy large long-body smoke",
    ),
    Category(
        "truck",
        truck,
        PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight boxy large",
    ),
)
