"""Vehicles on wheels, side view, front to the left."""

from __future__ import annotations

import math

import numpy as np

from .drawing import Category, Drawing
from .geometry import box, ellipse, place, polyline, spline, tube

ROAD_PARTS = ("body", "mirror", "window", "wheel", "headlight", "door")
CYCLE_PARTS = ("wheel", "saddle", "handlebar", "body")


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


def _spoked_wheel(d: Drawing, x: float, y: float, r: float, spokes: int, tyre: float) -> None:
    d.shape("wheel", ellipse(x, y, r, n=48), "rubber")
    d.shape("wheel", ellipse(x, y, r - tyre, n=40), "gap", weight=0.8)
    for number in range(spokes):
        t = math.pi * (number + 0.3) / spokes
        dx, dy = (r - tyre) * math.cos(t), (r - tyre) * math.sin(t)
        d.line(polyline((x - dx, y - dy), (x + dx, y + dy)), weight=0.35, width=0.007)


def bicycle(d: Drawing) -> None:
    r = d.value("wheel", 0.27, 0.34)
    half = d.value("base", 0.44, 0.54)
    back, front = np.array([half, 0.0]), np.array([-half, 0.0])
    spokes = d.count("spokes", 4, 7)
    _spoked_wheel(d, *back, r, spokes, 0.03)
    _spoked_wheel(d, *front, r, spokes, 0.03)
    crank = np.array([d.value("crank", 0.0, 0.1), d.value("crank_low", 0.02, 0.08)])
    seat = np.array([d.value("seat_x", 0.14, 0.24), -d.value("seat_high", 0.36, 0.46)])
    head = np.array([-half + d.value("head_x", 0.12, 0.2), -d.value("head_high", 0.36, 0.48)])
    under = seat + 0.12 * (crank - seat)
    tubes = [
        (back, crank),
        (back, under),
        (crank, head + (0.0, 0.1)),
        (under, head + (0, 0.04)),
        (crank, seat),
        (front, head),
    ]
    for start, end in tubes:
        d.shape(
            "body", tube(np.stack([start, end]), 0.03, smooth=False, rounded=False), "paint", join="frame"
        )
    d.shape("body", ellipse(*crank, 0.07), "metal", weight=0.8)
    d.line(polyline(crank + (-0.11, 0.07), crank + (0.11, -0.07)), weight=0.6, width=0.02)
    d.shape(
        "saddle",
        spline(seat + (-0.13, -0.01), seat + (0.0, -0.045), seat + (0.11, -0.05), seat + (0.1, 0.01)),
        "leather",
    )
    if d.chance("drop_bar", 0.4):
        bar = polyline(
            head, head + (-0.02, -0.08), head + (-0.14, -0.08), head + (-0.16, 0.02), head + (-0.08, 0.04)
        )
    else:
        bar = polyline(head, head + (0.02, -0.1), head + (-0.06, -0.14), head + (0.12, -0.15))
    d.shape("handlebar", tube(bar, 0.035), "metal")


def motorbike(d: Drawing) -> None:
    r = d.value("wheel", 0.22, 0.27)
    half = d.value("base", 0.48, 0.58)
    tyre = d.value("tyre", 0.065, 0.09)
    for x in (half, -half):
        _spoked_wheel(d, x, 0.0, r, d.count("spokes", 2, 4), tyre)
    head = np.array([-half + d.value("rake", 0.16, 0.26), -d.value("head_high", 0.36, 0.46)])
    d.shape(
        "body", tube(np.stack([np.array([-half, 0.0]), head]), 0.055, smooth=False, rounded=False), "metal"
    )
    d.shape(
        "body",
        spline(
            (-half - 0.8 * r, -0.75 * r),
            (-half - 0.3 * r, -1.2 * r),
            (-half + 0.6 * r, -1.0 * r),
            (-half + 0.5 * r, -0.85 * r),
            (-half - 0.3 * r, -1.05 * r),
        ),
        "paint",
        weight=0.7,
    )
    d.shape(
        "body",
        tube(polyline((0.05, 0.08), (half, 0.02), (half + r + 0.08, -0.06)), (0.05, 0.06, 0.1)),
        "metal",
        weight=0.9,
    )
    d.shape(
        "body",
        spline((-0.22, -0.16), (0.2, -0.18), (0.26, 0.02), (0.12, 0.16), (-0.14, 0.16), (-0.25, 0.02)),
        "metal",
    )
    for y in (-0.06, 0.0, 0.06):
        d.line(polyline((-0.16, y), (0.06, y)), weight=0.5)
    d.shape(
        "body",
        spline((0.1, -0.22), (half, -0.36), (half + 0.7 * r, -0.36), (half + 0.5 * r, -0.22), (0.3, -0.12)),
        "paint",
        weight=0.95,
    )
    tank = d.value("tank", 0.1, 0.15)
    d.shape(
        "body",
        spline(
            head + (0.02, 0.0),
            head + (0.1, -0.02 - tank * 0.4),
            (0.02, head[1] - 0.35 * tank),
            (0.12, -0.26),
            (0.06, -0.2),
            head + (0.08, 0.15),
        ),
        "paint",
    )
    d.shape(
        "saddle",
        spline(
            (0.06, -0.28),
            (0.22, -0.3),
            (half, -0.44),
            (half + 0.4 * r, -0.46),
            (half + 0.3 * r, -0.36),
            (0.25, -0.24),
        ),
        "leather",
    )
    d.shape("body", ellipse(*(head + (-0.09, 0.02)), 0.075), "light", weight=0.9)
    d.shape(
        "handlebar",
        tube(polyline(head + (-0.02, 0), head + (0.0, -0.11), head + (0.14, -0.15)), (0.04, 0.035, 0.045)),
        "metal",
    )


def airplane(d: Drawing) -> None:
    long, r = d.value("long", 0.7, 0.85), d.value("body", 0.085, 0.12)
    sweep, span = d.value("sweep", 0.16, 0.32), d.value("span", 0.3, 0.45)
    d.shape(
        "wings",
        polyline(
            (-0.15, -0.4 * r),
            (-0.15 + sweep, -0.75 * span - r),
            (0.0 + sweep, -0.75 * span - r),
            (0.17, -0.4 * r),
        ),
        "metal",
    )
    fin = d.value("fin", 0.22, 0.32)
    d.shape(
        "tail",
        polyline(
            (0.62 * long, -0.6 * r), (0.84 * long, -fin - r), (1.0 * long, -fin - r), (0.95 * long, -0.2 * r)
        ),
        "paint2",
    )
    for x in (-0.62 * long, 0.08, 0.18):
        d.shape(
            "wheels",
            tube(polyline((x, 0.6 * r), (x, r + 0.07)), 0.02, rounded=False),
            "metal",
            weight=0.8,
            join=f"gear{x}",
        )
        d.shape("wheels", ellipse(x, r + 0.09, 0.038, n=16), "rubber", weight=0.85, join=f"gear{x}")
    d.shape(
        "body",
        spline(
            (-long, 0.1 * r),
            (-0.93 * long, -0.55 * r),
            (-0.7 * long, -r),
            (0, -1.02 * r),
            (0.6 * long, -0.9 * r),
            (long, -0.5 * r),
            (long, -0.25 * r),
            (0.6 * long, 0.6 * r),
            (0, r),
            (-0.7 * long, 0.95 * r),
            (-0.94 * long, 0.6 * r),
        ),
        "paint",
    )
    d.shape(
        "tail",
        polyline((0.7 * long, -0.35 * r), (0.95 * long, 0.12), (1.06 * long, 0.12), (0.93 * long, -0.35 * r)),
        "paint2",
        weight=0.9,
    )
    d.shape(
        "body",
        spline(
            (-0.9 * long, -0.5 * r),
            (-0.8 * long, -0.8 * r),
            (-0.74 * long, -0.75 * r),
            (-0.76 * long, -0.35 * r),
        ),
        "glass",
        weight=0.8,
    )
    count = d.count("windows", 5, 9)
    for number in range(count):
        d.line(ellipse(-0.6 * long + number * 1.1 * long / count, -0.35 * r, 0.018, n=8), weight=0.5)
    d.shape(
        "engine",
        place(ellipse(0, 0, 0.11, 0.05), 0.02 + 0.45 * sweep, 0.55 * span + 0.06),
        "metal",
        weight=0.9,
    )
    d.shape(
        "wings",
        polyline(
            (-0.18, 0.25 * r),
            (-0.02 + 1.2 * sweep, span + r),
            (0.12 + 1.2 * sweep, span + r),
            (0.22, 0.25 * r),
        ),
        "metal",
    )


def helicopter(d: Drawing) -> None:
    r = d.value("cabin", 0.22, 0.28)
    boom, fin = d.value("boom", 0.55, 0.75), d.value("fin", 0.14, 0.22)
    mast, blade = d.value("mast", 0.1, 0.16), d.value("blade", 0.6, 0.8)
    tip = 0.3 * r + boom
    d.shape(
        "boom",
        polyline((0.3 * r, -0.5 * r), (tip, -0.3 * r), (tip, -0.08 * r), (0.4 * r, 0.45 * r)),
        "paint",
        join="hull",
    )
    d.shape(
        "boom",
        polyline(
            (tip - 0.1, -0.2 * r),
            (tip + 0.02, -0.3 * r - fin),
            (tip + 0.1, -0.3 * r - fin),
            (tip + 0.05, -0.08 * r),
        ),
        "paint2",
    )
    tail_r = d.value("tail_rotor", 0.09, 0.14)
    for angle in (d.value("tail_phase", 0, 90), d.value("tail_phase", 0, 90) + 90):
        d.shape(
            "rotor",
            place(ellipse(0, 0, tail_r, 0.02), tip + 0.06, -0.25 * r - 0.5 * fin, angle),
            "metal",
            weight=0.75,
        )
    d.shape("cabin", ellipse(0, 0, 1.25 * r, r), "paint", join="hull")
    d.shape(
        "window",
        spline(
            (-0.1 * r, -0.8 * r),
            (-0.75 * r, -0.65 * r),
            (-1.15 * r, -0.1 * r),
            (-0.95 * r, 0.15 * r),
            (-0.1 * r, 0.1 * r),
        ),
        "glass",
    )
    d.shape("cabin", box(0.15 * r, -0.5 * r, 0.65 * r, 0.55 * r, 0.03), "paint", weight=0.7)
    skid = r + d.value("skid", 0.1, 0.15)
    for x in (-0.5 * r, 0.5 * r):
        d.shape(
            "skid",
            tube(polyline((x, 0.8 * r), (x * 1.1, skid)), 0.025, rounded=False),
            "metal",
            weight=0.9,
            join="skid",
        )
    d.shape(
        "skid",
        tube(polyline((-1.5 * r, skid - 0.04), (-1.25 * r, skid), (1.3 * r, skid)), 0.035),
        "metal",
        join="skid",
    )
    d.shape("rotor", box(-0.025, -r - mast, 0.025, -0.95 * r), "metal", weight=0.95)
    tilt = d.value("tilt", -6, 6)
    for side in (-1, 1):
        d.shape("rotor", place(box(0, -0.02, side * blade, 0.025, 0.01), 0, -r - mast, tilt), "metal")
    d.shape("rotor", ellipse(0, -r - mast, 0.05, 0.035, n=14), "metal", weight=0.7)


def sailboat(d: Drawing) -> None:
    long, deep = d.value("long", 0.5, 0.65), d.value("deep", 0.14, 0.2)
    mast = d.value("mast", 0.8, 1.0)
    x = d.value("mast_x", -0.12, 0.05)
    d.shape("mast", box(x - 0.015, -mast, x + 0.02, 0.02), "wood", weight=0.95)
    main, jib = d.value("main", 0.32, 0.46), d.value("jib", 0.28, 0.42)
    belly = d.value("belly", 0.0, 0.06)
    d.shape(
        "sail",
        np.concatenate(
            [
                polyline((x + 0.03, -0.08), (x + 0.03, -mast + 0.03)),
                spline(
                    (x + 0.03, -mast + 0.03),
                    (x + 0.6 * main + belly, -0.5 * mast),
                    (x + main, -0.08),
                    closed=False,
                ),
            ]
        ),
        "sail",
    )
    d.shape(
        "sail",
        np.concatenate(
            [
                polyline((x - 0.03, -0.1), (x - 0.03, -mast + 0.1)),
                spline(
                    (x - 0.03, -mast + 0.1),
                    (x - 0.45 * jib - belly, -0.5 * mast),
                    (x - jib, -0.1),
                    closed=False,
                ),
            ]
        ),
        "cloth",
    )
    d.shape(
        "hull",
        polyline(
            (-long, 0),
            (-0.7 * long, 0.7 * deep),
            (-0.5 * long, deep),
            (0.6 * long, deep),
            (0.8 * long, 0.7 * deep),
            (0.95 * long, 0),
        ),
        "wood",
    )
    if d.chance("flag", 0.6):
        d.shape(
            "mast", polyline((x, -mast), (x + 0.13, -mast - 0.04), (x, -mast - 0.08)), "paint", weight=0.7
        )
    d.line(polyline((-0.85 * long, 0.4 * deep), (0.87 * long, 0.4 * deep)), weight=0.5)
    wave = np.linspace(-1.25 * long, 1.25 * long, 40)
    d.line(np.stack([wave, deep + 0.02 + 0.025 * np.sin(wave * 18)], axis=1), weight=0.55)


CATEGORIES = (
    Category(
        "airplane",
        airplane,
        ("body", "wheels", "tail", "engine", "wings"),
        "vehicle man-made metal flies wings wheels tail-fin engine windows long-body large fast",
    ),
    Category(
        "bicycle",
        bicycle,
        CYCLE_PARTS,
        "vehicle man-made metal wheels two-wheels round spokes saddle handlebar frame rideable thin",
    ),
    Category(
        "bus",
        bus,
        ROAD_PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight boxy large long-body",
    ),
    Category(
        "car",
        car,
        ROAD_PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight long-body fast",
    ),
    Category(
        "motorbike",
        motorbike,
        CYCLE_PARTS,
        "vehicle man-made metal wheels two-wheels round engine saddle handlebar rideable fast headlight",
    ),
    Category(
        "truck",
        truck,
        ROAD_PARTS,
        "vehicle man-made metal wheels road-vehicle engine windows door headlight boxy large",
    ),
    Category(
        "train",
        train,
        ("boiler", "cab", "window", "wheel", "funnel", "chassis"),
        "vehicle man-made metal wheels rails engine windows funnel boxy large long-body smoke",
    ),
    Category(
        "helicopter",
        helicopter,
        ("cabin", "boom", "window", "rotor", "skid"),
        "vehicle man-made metal flies rotor tail-fin engine windows round fast",
    ),
    Category(
        "sailboat",
        sailboat,
        ("hull", "sail", "mast"),
        "vehicle man-made wood floats cloth triangular tall mast",
    ),
)
