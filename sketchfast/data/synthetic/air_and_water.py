"""What flies and floats."""

from __future__ import annotations

import numpy as np

from .drawing import Category, Drawing
from .geometry import box, ellipse, place, polyline, spline, tube


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
            place(ellipse(0, 0, tail_r, 0.02), tip + 0.06, -0.25 * r - 0.5 * fin, angle=angle),
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
        d.shape("rotor", place(box(0, -0.02, side * blade, 0.025, 0.01), 0, -r - mast, angle=tilt), "metal")
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
