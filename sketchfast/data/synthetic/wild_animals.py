"""Bird, fish, insects and a giraffe."""

from __future__ import annotations

import math

import numpy as np

from .drawing import Category, Drawing
from .four_legs import PARTS, eye, legs, trunk
from .geometry import ellipse, mirror, place, polyline, spline, tube

# SketchParse numbers bird parts 1, 3, 6, 7, 8; the rest are its "dont care" labels, which never occur.
BIRD_PARTS = ("body", "dont care 2", "tail", "dont care 4", "dont care 5", "head", "leg", "wing")


def bird(d: Drawing) -> None:
    """Perched, side view, beak to the left."""
    long, high = d.value("long", 0.3, 0.4), d.value("high", 0.18, 0.25)
    slant = d.value("slant", -30, -8)
    r = d.value("head", 0.12, 0.16)
    tail, fan = d.value("tail", 0.25, 0.42), d.value("fan", 0.05, 0.1)
    foot = high + d.value("leg", 0.12, 0.24)
    for x in (-0.04, 0.1):
        leg = tube(polyline((x, 0.8 * high), (x + 0.02, foot)), 0.025, rounded=False)
        d.shape("leg", leg, "horn", weight=0.9, join=f"leg{x}")
        for toe in (-0.09, -0.03, 0.06):
            d.shape(
                "leg",
                tube(polyline((x + 0.02, foot - 0.01), (x + toe, foot + 0.035)), 0.018),
                "horn",
                weight=0.8,
                join=f"leg{x}",
            )
    root = place(polyline((0.75 * long, 0.0)), angle=-slant)[0]
    feathers = polyline((0, -fan), (tail, -1.1 * fan), (0.9 * tail, 0), (tail, 1.2 * fan), (0, fan))
    d.shape("tail", place(feathers, *root, angle=-slant), "paint2")
    d.shape(
        "body",
        place(
            spline(
                (-long, 0),
                (-0.5 * long, -0.9 * high),
                (0.4 * long, -0.6 * high),
                (long, 0.0),
                (0.3 * long, 0.8 * high),
                (-0.5 * long, high),
            ),
            angle=-slant,
        ),
        "paint",
        join="bird",
    )
    hx, hy = place(polyline((-0.95 * long, -0.45 * high)), angle=-slant)[0]
    hy -= d.value("stretch", 0.0, 0.1)
    beak = d.value("beak", 0.1, 0.2)
    d.shape(
        "head",
        polyline(
            (hx - 0.8 * r, hy - 0.3 * r), (hx - 0.9 * r - beak, hy + 0.15 * r), (hx - 0.8 * r, hy + 0.35 * r)
        ),
        "horn",
    )
    d.shape("head", ellipse(hx, hy, r), "paint", join="bird")
    d.line(ellipse(hx - 0.3 * r, hy - 0.2 * r, 0.02, n=10), weight=0.85, width=0.016)
    droop = d.value("wing_droop", -slant - 5, -slant + 15)
    wing = spline(
        (-0.5 * long, -0.1),
        (0.1 * long, -0.14),
        (0.75 * long, -0.02),
        (1.05 * long, 0.06),
        (0.5 * long, 0.1),
        (-0.2 * long, 0.1),
    )
    d.shape("wing", place(wing, 0.03, 0.0, angle=droop), "paint2")
    for t in (0.25, 0.6):
        d.line(
            place(polyline((t * long - 0.04, 0.06), (t * long + 0.1, 0.03)), 0.03, 0.0, angle=droop),
            weight=0.45,
        )


def fish(d: Drawing) -> None:
    long, high = d.value("long", 0.42, 0.55), d.value("high", 0.18, 0.32)
    tail, fork = d.value("tail", 0.22, 0.34), d.value("fork", 0.02, 0.14)
    spread = d.value("spread", 0.16, 0.28)
    d.shape(
        "tail",
        polyline(
            (0.85 * long, -0.04),
            (long + tail, -spread),
            (long + tail - fork, 0),
            (long + tail, spread),
            (0.85 * long, 0.04),
        ),
        "petal",
        join="fish",
    )
    fin = d.value("fin", 0.1, 0.2)
    d.shape(
        "fin",
        spline(
            (-0.35 * long, -0.75 * high),
            (0.0, -high - fin),
            (0.45 * long, -high - 0.6 * fin),
            (0.4 * long, -0.65 * high),
        ),
        "petal",
    )
    d.shape(
        "fin",
        spline(
            (0.0, 0.85 * high),
            (0.2 * long, high + 0.8 * fin),
            (0.4 * long, high + 0.5 * fin),
            (0.35 * long, 0.7 * high),
        ),
        "petal",
        weight=0.9,
    )
    d.shape(
        "body",
        spline(
            (-long, 0.02),
            (-0.65 * long, -0.7 * high),
            (0, -high),
            (0.55 * long, -0.6 * high),
            (0.95 * long, -0.1 * high),
            (0.95 * long, 0.1 * high),
            (0.55 * long, 0.6 * high),
            (0, high),
            (-0.65 * long, 0.7 * high),
        ),
        "petal",
        join="fish",
    )
    d.line(
        spline((-0.5 * long, -0.62 * high), (-0.38 * long, 0.0), (-0.5 * long, 0.62 * high), closed=False),
        weight=0.8,
    )
    d.shape("eye", ellipse(-0.7 * long, -0.18 * high, 0.045, n=16), "paper", weight=0.95)
    d.line(ellipse(-0.71 * long, -0.18 * high, 0.015, n=8), weight=0.7, width=0.02)
    d.line(polyline((-0.98 * long, 0.12 * high), (-0.82 * long, 0.18 * high)), weight=0.7)
    d.shape(
        "fin",
        spline(
            (-0.22 * long, 0.1 * high),
            (0.05 * long, 0.05 * high),
            (0.1 * long, 0.35 * high),
            (-0.1 * long, 0.35 * high),
        ),
        "petal",
        weight=0.8,
    )
    for row in range(d.count("scales", 2, 4)):
        x = (0.2 + 0.17 * row) * long
        d.line(
            spline(
                (x - 0.03, -0.2 * high),
                (x + 0.04, -0.08 * high),
                (x - 0.03, 0.04 * high),
                (x + 0.04, 0.18 * high),
                closed=False,
            ),
            weight=0.4,
        )


def butterfly(d: Drawing) -> None:
    span, high, low = d.value("span", 0.5, 0.66), d.value("high", 0.34, 0.5), d.value("low", 0.28, 0.44)
    narrow = d.value("narrow", 0.62, 0.9)
    fore = spline(
        (0.02, -0.05),
        (0.15 * span, -0.7 * high),
        (0.7 * span, -high),
        (span, -0.85 * high),
        (0.92 * span, -0.3 * high),
        (0.5 * span, 0.02),
    )
    hind = spline(
        (0.02, 0.02),
        (0.5 * span, 0.02),
        (narrow * span, 0.3 * low),
        (0.75 * narrow * span, 0.95 * low),
        (0.3 * span, 0.9 * low),
        (0.08, 0.35 * low),
    )
    r = d.value("spot", 0.05, 0.085)
    eye = ellipse(0.66 * span, -0.62 * high, r, n=18)
    other = ellipse(0.48 * narrow * span, 0.5 * low, 0.8 * r, n=16)
    for side in (False, True):
        for shape, paint, weight in (
            (hind, "petal", 1.0),
            (fore, "paint", 1.0),
            (eye, "paint2", 0.75),
            (other, "paint2", 0.65),
        ):
            d.shape("wing", mirror(shape) if side else shape, paint, weight=weight)
        feeler = spline((0.01, -0.2), (0.06, -0.36), (d.value("feeler", 0.1, 0.2), -0.45), closed=False)
        d.line(mirror(feeler) if side else feeler, weight=0.9, width=0.014)
    d.shape("body", ellipse(0, 0.06, 0.045, 0.24), "leather")
    d.shape("body", ellipse(0, -0.2, 0.05, n=18), "leather", weight=0.95)


def spider(d: Drawing) -> None:
    r, head = d.value("body", 0.2, 0.28), d.value("head", 0.1, 0.14)
    reach, knee = d.value("reach", 0.55, 0.75), d.value("knee", 0.1, 0.24)
    for side in (-1, 1):
        for number in range(4):
            turn = math.radians((-52, -18, 16, 50)[number] + d.value(f"turn{number}", -7, 7))
            out = np.array([side * math.cos(turn), math.sin(turn)])
            lift = np.array([0, -knee if number < 2 else knee * 0.7])
            d.shape(
                "leg",
                tube(
                    np.stack(
                        [
                            out * 0.08,
                            out * reach * 0.5 + lift,
                            out * reach * (1.1 if number in (0, 3) else 1.0),
                        ]
                    ),
                    (0.035, 0.03, 0.018),
                    smooth=False,
                ),
                "leather",
                weight=0.98,
            )
    d.shape("body", ellipse(0, 0.8 * r, 0.9 * r, r), "leather")
    d.shape("head", ellipse(0, -0.6 * head, head), "leather")
    for x in (-0.4, 0.4):
        d.line(ellipse(x * head, -0.9 * head, 0.02, n=8), weight=0.7, width=0.018)
    if d.chance("thread", 0.5):
        d.line(polyline((0, -1.5 * head), (0, -0.85)), weight=0.7)
    if d.chance("mark", 0.4):
        d.line(
            polyline((-0.05, 0.5 * r), (0.05, 0.5 * r), (-0.05, 1.1 * r), (0.05, 1.1 * r), (-0.05, 0.5 * r)),
            weight=0.5,
        )


def giraffe(d: Drawing) -> None:
    long, high = d.value("long", 0.28, 0.36), d.value("high", 0.13, 0.17)
    foot = high + d.value("leg", 0.42, 0.55)
    width = d.value("leg_width", 0.045, 0.06)
    lift, reach = d.value("neck_lift", 0.6, 0.85), d.value("neck_reach", 0.1, 0.28)
    legs(d, (-0.7 * long, 0.7 * long), 0.3 * high, foot, width, "fur", near=False)
    d.shape(
        "tail",
        tube(
            polyline((0.95 * long, -0.5 * high), (long + 0.06, 0.1), (long + 0.07, 0.26)), (0.03, 0.02, 0.045)
        ),
        "hair",
        join="animal",
    )
    d.shape("body", trunk(d, long, high, -0.01), "fur", join="animal")
    legs(d, (-0.75 * long, 0.75 * long), 0.2 * high, foot + 0.02, width, "fur", near=True)
    hx, hy = -0.8 * long - reach, -high - lift
    neck = polyline(
        (-0.7 * long, -0.2 * high), (-0.82 * long - 0.35 * reach, -high - 0.45 * lift), (hx + 0.03, hy)
    )
    d.shape("body", tube(neck, (0.26, 0.13, 0.1)), "fur", join="animal")
    for side in (0.0, 0.05):
        d.shape(
            "head",
            tube(polyline((hx + 0.02 + side, hy), (hx + 0.03 + side, hy - 0.15)), (0.022, 0.035)),
            "horn",
            weight=0.9,
        )
    d.shape("head", ellipse(hx + 0.13, hy - 0.02, 0.07, 0.025, -20), "fur", weight=0.8)
    d.shape(
        "head",
        spline(
            (hx + 0.07, hy - 0.07),
            (hx - 0.04, hy - 0.08),
            (hx - 0.19, hy + 0.0),
            (hx - 0.2, hy + 0.05),
            (hx - 0.05, hy + 0.07),
            (hx + 0.08, hy + 0.05),
        ),
        "fur",
        join="animal",
    )
    eye(d, hx - 0.02, hy - 0.025, 0.014)
    for number in range(d.count("spots", 8, 12)):
        if number < 4:
            t = (number + d.value(f"t{number}", 0.2, 0.8)) / 4
            x, y = (1 - t) * np.array(neck[0]) + t * np.array(neck[2])
        else:
            x, y = long * (-0.8 + 0.22 * (number - 4)), d.value(f"y{number}", -0.5, 0.5) * high
        r = d.value(f"r{number}", 0.024, 0.042)
        d.shape("body", ellipse(x, y, r, 1.1 * r, n=7), "patch", weight=0.75)


CATEGORIES = (
    Category(
        "bird", bird, BIRD_PARTS, "animal feathers flies wings legs two-legs beak tail eyes small round-head"
    ),
    Category(
        "fish", fish, ("body", "tail", "fin", "eye"), "animal swims fins tail scales eyes long-body small"
    ),
    Category(
        "butterfly",
        butterfly,
        ("wing", "body"),
        "animal insect flies wings feelers symmetric spots small colourful",
    ),
    Category(
        "spider",
        spider,
        ("body", "head", "leg"),
        "animal insect legs many-legs round-head eyes small symmetric thread",
    ),
    Category(
        "giraffe",
        giraffe,
        PARTS,
        "animal fur legs four-legs tail horns spots eyes hoof large tall long-neck wild",
    ),
)
