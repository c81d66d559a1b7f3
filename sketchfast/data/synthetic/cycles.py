"""Two-wheelers, side view, front to the left."""

# ruff: noqa: RUF005 -- array + tuple is vector addition here

from __future__ import annotations

import math

import numpy as np

from .drawing import Category, Drawing
from .geometry import ellipse, polyline, spline, tube

PARTS = ("wheel", "saddle", "handlebar", "body")


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
    _spoked_wheel(d, half, 0.0, r, spokes, 0.03)
    _spoked_wheel(d, -half, 0.0, r, spokes, 0.03)
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
    d.shape("body", ellipse(crank[0], crank[1], 0.07), "metal", weight=0.8)
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
    d.shape("body", ellipse(head[0] - 0.09, head[1] + 0.02, 0.075), "light", weight=0.9)
    d.shape(
        "handlebar",
        tube(polyline(head + (-0.02, 0), head + (0.0, -0.11), head + (0.14, -0.15)), (0.04, 0.035, 0.045)),
        "metal",
    )


CATEGORIES = (
    Category(
        "bicycle",
        bicycle,
        PARTS,
        "vehicle man-made metal wheels two-wheels round spokes saddle handlebar frame rideable thin",
    ),
    Category(
        "motorbike",
        motorbike,
        PARTS,
        "vehicle man-made metal wheels two-wheels round engine saddle handlebar rideable fast headlight",
    ),
)
