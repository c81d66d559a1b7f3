"""Animals of the farm."""

# ruff: noqa: RUF005 -- array + tuple is vector addition here

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .drawing import Category, Drawing
from .four_legs import PARTS, eye, legs, trunk
from .geometry import ellipse, place, polyline, scallops, spline, tube


def cow(d: Drawing) -> None:
    long, high = d.value("long", 0.5, 0.62), d.value("high", 0.23, 0.31)
    foot = high + d.value("leg", 0.2, 0.32)
    width = d.value("leg_width", 0.075, 0.1)
    legs(d, (-0.76 * long, 0.78 * long), 0.4 * high, foot, width, "hide", near=False)
    root = (0.98 * long, -0.65 * high)
    drop = d.value("tail", 0.35, 0.5)
    tail = polyline(root, (root[0] + 0.07, root[1] + 0.1), (root[0] + 0.05, root[1] + drop))
    d.shape("tail", tube(tail, 0.03), "hide", join="tail")
    d.shape("tail", ellipse(root[0] + 0.05, root[1] + drop + 0.05, 0.03, 0.07), "hair", join="tail")
    d.shape("body", ellipse(0.45 * long, 0.95 * high, 0.11, 0.09), "skin", weight=0.9)
    d.shape("body", trunk(d, long, high, 0.03), "hide", join="animal")
    legs(d, (-0.8 * long, 0.82 * long), 0.3 * high, foot + 0.02, width, "hide", near=True)
    hx, hy = -long - d.value("reach", 0.08, 0.16), -0.5 * high - d.value("head_lift", 0.0, 0.18)
    d.shape(
        "body",
        tube(
            polyline((-0.75 * long, -0.2 * high), (-0.9 * long, -0.35 * high), (hx + 0.06, hy)),
            (0.4, 0.3, 0.2),
        ),
        "hide",
        join="animal",
    )
    for number in range(d.count("patches", 2, 3)):
        px, py = (
            (d.value(f"patch_x{number}", -0.2, 0.2) + (-0.45, 0.35, 0.0)[number]) * long,
            d.value(f"patch_y{number}", -0.35, 0.2) * high,
        )
        r = d.value(f"patch_r{number}", 0.08, 0.15)
        patch = spline(
            (-r, 0),
            (-0.4 * r, -0.8 * r),
            (0.5 * r, -0.6 * r),
            (1.1 * r, 0.1 * r),
            (0.3 * r, 0.8 * r),
            (-0.6 * r, 0.5 * r),
        )
        d.shape("body", place(patch, px, py), "patch", weight=0.7)
    horn = d.value("horn", 0.1, 0.17)
    for side in (-1, 1):
        d.shape(
            "head",
            tube(
                polyline(
                    (hx + 0.07 * side, hy - 0.12),
                    (hx + 0.15 * side, hy - 0.16),
                    (hx + 0.16 * side, hy - 0.14 - horn),
                ),
                (0.05, 0.035, 0.01),
            ),
            "horn",
        )
        d.shape(
            "head",
            place(ellipse(0.07, 0, 0.085, 0.04), hx + side * 0.1, hy - 0.06, angle=15 if side > 0 else 165),
            "hide",
        )
    d.shape(
        "head",
        spline(
            (hx - 0.11, hy - 0.12),
            (hx, hy - 0.15),
            (hx + 0.11, hy - 0.12),
            (hx + 0.09, hy + 0.06),
            (hx + 0.06, hy + 0.2),
            (hx - 0.06, hy + 0.2),
            (hx - 0.09, hy + 0.06),
        ),
        "hide",
    )
    d.shape("head", ellipse(hx, hy + 0.17, 0.1, 0.075), "skin", weight=0.95)
    for side in (-1, 1):
        eye(d, hx + 0.05 * side, hy - 0.02)
        eye(d, hx + 0.04 * side, hy + 0.16, 0.012)


def horse(
    d: Drawing, swing: float = 0.09, knee: float = 0.02, lift: tuple[float, float] = (0.36, 0.5)
) -> None:
    long, high = d.value("long", 0.42, 0.52), d.value("high", 0.17, 0.22)
    foot = high + d.value("leg", 0.36, 0.5)
    width = d.value("leg_width", 0.05, 0.075)
    neck, reach = d.value("neck_lift", *lift), d.value("neck_reach", 0.1, 0.26)
    legs(d, (-0.78 * long, 0.8 * long), 0.3 * high, foot, width, "fur", near=False, swing=swing, knee=knee)
    root = (0.97 * long, -0.6 * high)
    sweep = d.value("tail_sweep", 0.08, 0.22)
    d.shape(
        "tail",
        spline(
            root,
            (root[0] + 0.5 * sweep, root[1] - 0.05),
            (root[0] + sweep, root[1] + 0.2),
            (root[0] + 0.9 * sweep, root[1] + d.value("tail", 0.4, 0.6)),
            (root[0] + 0.3 * sweep, root[1] + 0.36),
            (root[0] - 0.01, root[1] + 0.1),
        ),
        "hair",
    )
    d.shape("body", trunk(d, long, high, d.value("sag", 0, 0.04)), "fur", join="animal")
    legs(
        d,
        (-0.8 * long, 0.78 * long),
        0.2 * high,
        foot + 0.02,
        width,
        "fur",
        near=True,
        swing=swing,
        knee=knee,
    )
    poll = np.array([-long - reach, -0.55 * high - neck])
    crest = polyline(
        (-0.72 * long, -0.25 * high),
        (-0.98 * long - 0.2 * reach, -0.8 * high - 0.35 * neck),
        poll + (0.04, 0.05),
    )
    d.shape("body", tube(crest, (0.34, 0.22, 0.15)), "fur", join="animal")
    nod = d.value("nod", -12, 18)
    face = spline(
        (0.05, -0.06),
        (-0.02, -0.085),
        (-0.17, 0.035),
        (-0.285, 0.15),
        (-0.275, 0.215),
        (-0.21, 0.22),
        (-0.1, 0.15),
        (0.05, 0.1),
        (0.1, 0.02),
    )
    d.shape("head", place(face, *poll, angle=-nod), "fur", join="animal")
    d.shape(
        "head",
        place(spline((0.0, -0.06), (0.015, -0.17), (0.065, -0.06)), *poll, angle=-nod),
        "fur",
        weight=0.9,
    )
    mane: list[ArrayLike] = [
        poll + (0.03, -0.07),
        poll + (0.16, 0.02),
        (-0.8 * long + 0.02, -1.25 * high - 0.4 * neck),
        (-0.55 * long, -1.15 * high),
        (-0.72 * long, -0.75 * high - 0.2 * neck),
        poll + (0.1, 0.12),
    ]
    d.shape("body", spline(*mane), "hair", weight=0.75)
    eye(d, *place(polyline((-0.06, 0.0)), *poll, angle=-nod)[0])
    d.line(place(polyline((-0.28, 0.19), (-0.2, 0.17)), *poll, angle=-nod), weight=0.4)


def striding_horse(d: Drawing) -> None:
    horse(d, swing=0.28, knee=0.1)


def horse_with_low_head(d: Drawing) -> None:
    horse(d, swing=0.12, knee=0.03, lift=(-0.1, 0.3))


def sheep(d: Drawing) -> None:
    long, high = d.value("long", 0.42, 0.52), d.value("high", 0.28, 0.35)
    foot = high + d.value("leg", 0.16, 0.25)
    width = d.value("leg_width", 0.05, 0.07)
    legs(d, (-0.6 * long, 0.6 * long), 0.5 * high, foot, width, "skin", near=False)
    legs(d, (-0.62 * long, 0.64 * long), 0.5 * high, foot + 0.02, width, "skin", near=True)
    d.shape("tail", scallops(1.05 * long, -0.25 * high, 0.09, 0.07, 5, 0.3), "wool")
    d.shape("body", scallops(0, 0, long, high, d.count("curls", 11, 15), d.value("curl", 0.14, 0.22)), "wool")
    hx, hy = -long - d.value("reach", 0.02, 0.09), -d.value("head_lift", 0.05, 0.2)
    slant = d.value("slant", 15, 45)
    d.shape("head", place(ellipse(0, 0, 0.11, 0.17), hx, hy, angle=slant), "skin")
    d.shape(
        "head",
        place(ellipse(0.1, 0.02, 0.1, 0.035), hx + 0.06, hy - 0.08, angle=d.value("ear", 10, 35)),
        "skin",
        weight=0.9,
    )
    d.shape("head", scallops(hx + 0.06, hy - 0.15, 0.12, 0.07, 6, 0.3), "wool", weight=0.85)
    eye(d, hx - 0.02, hy - 0.02)
    d.line(place(polyline((-0.07, 0.09), (0.0, 0.1)), hx, hy, angle=slant), weight=0.4)
    for number in range(4):
        x, y = d.value(f"tuft_x{number}", -0.5, 0.6) * long, d.value(f"tuft_y{number}", -0.5, 0.5) * high
        d.line(spline((x - 0.05, y), (x, y + 0.04), (x + 0.05, y), closed=False), weight=0.35)


CATEGORIES = (
    Category(
        "cow", cow, PARTS, "animal hide legs four-legs tail horns spots eyes farm hoof heavy large long-body"
    ),
    Category(
        "horse",
        horse,
        PARTS,
        "animal fur legs four-legs tail mane eyes farm hoof snout large long-neck long-body rideable",
        poses=(striding_horse, horse_with_low_head),
    ),
    Category("sheep", sheep, PARTS, "animal wool legs four-legs tail eyes farm hoof cloudy round small"),
)
