"""Houses and what stands in them."""

from __future__ import annotations

import math

import numpy as np

from .drawing import Category, Drawing
from .geometry import box, ellipse, place, polyline, spline, tube


def house(d: Drawing) -> None:
    wide, tall, roof = d.value("wide", 0.42, 0.6), d.value("tall", 0.5, 0.66), d.value("roof", 0.26, 0.44)
    eaves = d.value("eaves", 0.03, 0.12)
    if d.chance("chimney", 0.7):
        x = d.value("chimney_x", 0.35, 0.6) * wide
        d.shape("chimney", box(x - 0.05, -roof - 0.02, x + 0.06, -0.1), "brick", weight=0.9)
    d.shape("wall", box(-wide, 0, wide, tall), "brick")
    if d.chance("flat_ridge", 0.4):
        ridge = d.value("ridge", 0.3, 0.6) * wide
        d.shape(
            "roof", polyline((-wide - eaves, 0), (-ridge, -roof), (ridge, -roof), (wide + eaves, 0)), "paint"
        )
    else:
        d.shape("roof", polyline((-wide - eaves, 0), (0, -roof), (wide + eaves, 0)), "paint")
    x, half, high = (
        d.value("door_x", -0.25, 0.25) * wide,
        d.value("door", 0.08, 0.11),
        d.value("door_high", 0.28, 0.36),
    )
    d.shape("door", box(x - half, tall - high, x + half, tall), "wood")
    d.line(ellipse(x + 0.6 * half, tall - 0.45 * high, 0.012, n=7), weight=0.6, width=0.015)
    s, y = d.value("window", 0.075, 0.11), d.value("window_y", 0.12, 0.18) + 0.02
    for cx in (-0.62 * wide, 0.62 * wide):
        d.shape("window", box(cx - s, y - s * 0.7, cx + s, y + s * 1.1), "glass")
        d.line(polyline((cx, y - s * 0.7), (cx, y + s * 1.1)), weight=0.7)
        d.line(polyline((cx - s, y + 0.2 * s), (cx + s, y + 0.2 * s)), weight=0.7)


def chair(d: Drawing) -> None:
    """Seen a little from above; the seat is a slanted box."""
    wide, back = d.value("wide", 0.26, 0.34), d.value("back", 0.5, 0.68)
    leg, skew = d.value("leg", 0.36, 0.5), d.value("skew", 0.1, 0.2)
    deep, thick = d.value("deep", 0.12, 0.18), d.value("post", 0.045, 0.07)
    lean = d.value("lean", 0.0, 0.07)
    rear_left, rear_right = np.array([-wide + skew, -deep]), np.array([wide + skew, -deep])
    front_left, front_right = np.array([-wide, 0.0]), np.array([wide, 0.0])
    for corner in (rear_left, rear_right):
        d.shape(
            "leg",
            tube(
                np.stack([corner, corner + np.array([0.02, 0.9 * leg])]), thick, smooth=False, rounded=False
            ),
            "wood",
        )
    top = np.array([lean, -back])
    if d.chance("slats", 0.6):
        for t in np.linspace(0, 1, d.count("slat_count", 4, 5)):
            foot = rear_left + t * (rear_right - rear_left)
            d.shape(
                "back",
                tube(np.stack([foot, foot + top]), thick, smooth=False, rounded=False),
                "wood",
                weight=1.0 if t in (0, 1) else 0.85,
            )
        d.shape(
            "back",
            tube(
                np.stack([rear_left + top - np.array([0.04, 0]), rear_right + top + np.array([0.04, 0])]),
                0.1,
                smooth=False,
                rounded=False,
            ),
            "wood",
        )
    else:
        d.shape("back", np.stack([rear_left, rear_left + top, rear_right + top, rear_right]), "cloth")
    d.shape("seat", np.stack([front_left, rear_left, rear_right, front_right]), "cloth")
    d.shape(
        "seat",
        np.stack(
            [front_left, front_right, front_right + np.array([0, 0.06]), front_left + np.array([0, 0.06])]
        ),
        "wood",
        weight=0.9,
    )
    for corner in (front_left + np.array([thick / 2, 0.05]), front_right + np.array([-thick / 2, 0.05])):
        d.shape(
            "leg",
            tube(np.stack([corner, corner + np.array([0, leg])]), thick, smooth=False, rounded=False),
            "wood",
        )
    if d.chance("rung", 0.5):
        d.line(
            np.stack(
                [front_left + np.array([thick, 0.6 * leg]), front_right + np.array([-thick, 0.6 * leg])]
            ),
            weight=0.7,
            width=0.03,
        )


def table(d: Drawing) -> None:
    wide, skew, deep = d.value("wide", 0.52, 0.68), d.value("skew", 0.1, 0.24), d.value("deep", 0.16, 0.28)
    leg, thick = d.value("leg", 0.4, 0.58), d.value("post", 0.05, 0.08)
    board = 0.06
    for x, y in ((-wide + skew + 0.03, -deep), (wide + skew - 0.05, -deep)):
        d.shape(
            "leg", tube(polyline((x, y + 0.05), (x, y + leg)), thick, smooth=False, rounded=False), "wood"
        )
    for x in (-wide + 0.05, wide - 0.05):
        d.shape("leg", tube(polyline((x, 0.05), (x, leg + 0.05)), thick, smooth=False, rounded=False), "wood")
    if d.chance("drawer", 0.3):
        d.shape("top", box(-0.25, board, 0.25, board + 0.14), "wood", weight=0.8)
        d.line(polyline((-0.04, board + 0.07), (0.04, board + 0.07)), weight=0.6, width=0.025)
    d.shape("top", box(-wide, 0, wide, board), "wood", weight=0.95)
    d.shape("top", polyline((-wide, 0), (-wide + skew, -deep), (wide + skew, -deep), (wide, 0)), "wood")


def lamp(d: Drawing) -> None:
    wide, top, tall = d.value("wide", 0.28, 0.38), d.value("top", 0.12, 0.2), d.value("shade", 0.28, 0.4)
    stand, foot = d.value("stand", 0.4, 0.75), d.value("foot", 0.16, 0.26)
    d.shape("stand", box(-0.025, -0.02, 0.03, stand), "brass")
    if d.chance("vase", 0.5):
        bulge = d.value("bulge", 0.1, 0.17)
        d.shape(
            "stand",
            spline(
                (-0.04, 0.08),
                (-bulge, 0.45 * stand),
                (-0.05, 0.9 * stand),
                (0.05, 0.9 * stand),
                (bulge, 0.45 * stand),
                (0.04, 0.08),
            ),
            "ceramic",
        )
    d.shape(
        "base",
        spline(
            (-foot, stand + 0.05),
            (-0.6 * foot, stand - 0.02),
            (0, stand - 0.045),
            (0.6 * foot, stand - 0.02),
            (foot, stand + 0.05),
            (0, stand + 0.06),
        ),
        "brass",
    )
    d.shape("shade", polyline((-wide, 0), (-top, -tall), (top, -tall), (wide, 0)), "cloth")
    for x in (-0.5, 0.0, 0.5):
        d.line(polyline((x * top, -tall), (x * wide, 0)), weight=0.4)
    d.line(polyline((0.55 * wide, 0), (0.55 * wide, 0.14)), weight=0.6)
    d.line(ellipse(0.55 * wide, 0.16, 0.016, n=8), weight=0.5)


def clock(d: Drawing) -> None:
    """An alarm clock or a wall clock."""
    r, rim = d.value("size", 0.42, 0.46), d.value("rim", 0.05, 0.08)
    alarm = d.chance("alarm", 0.5)
    if alarm:
        for side in (-1, 1):
            d.shape(
                "bell",
                place(ellipse(0, -r - 0.08, 0.15, 0.09), angle=side * d.value("bell", 24, 34)),
                "brass",
            )
            d.shape(
                "foot",
                tube(polyline((side * 0.55 * r, 0.75 * r), (side * 0.8 * r, r + 0.12)), (0.07, 0.05)),
                "metal",
                weight=0.95,
            )
        d.shape("bell", ellipse(0, -r - 0.1, 0.03, 0.06, n=12), "metal", weight=0.6)
    d.shape("case", ellipse(0, 0, r, n=56), "paint")
    d.shape("face", ellipse(0, 0, r - rim, n=48), "paper")
    marks = (12, 4)[d.count("marks", 0, 1)]
    for number in range(marks):
        t = number * 2 * math.pi / marks
        out = np.array([math.cos(t), math.sin(t)]) * (r - rim)
        d.line(np.stack([out * 0.8, out * 0.93]), weight=0.75, width=0.018)
    for long, width, name in ((0.55, 0.03, "hour"), (0.78, 0.02, "minute")):
        t = d.value(name, 0, 2 * math.pi)
        d.line(
            polyline((0, 0), (long * (r - rim) * math.cos(t), long * (r - rim) * math.sin(t))),
            weight=1.0,
            width=width,
        )
    d.line(ellipse(0, 0, 0.02, n=8), weight=0.6, width=0.02)


CATEGORIES = (
    Category(
        "house",
        house,
        ("wall", "roof", "door", "window", "chimney"),
        "building man-made brick windows door roof boxy large triangular funnel",
    ),
    Category(
        "chair", chair, ("seat", "back", "leg"), "furniture man-made wood legs four-legs seat flat-top indoor"
    ),
    Category("table", table, ("top", "leg"), "furniture man-made wood legs four-legs flat-top indoor large"),
    Category(
        "lamp", lamp, ("shade", "stand", "base"), "furniture man-made stem cloth light indoor symmetric cap"
    ),
    Category(
        "clock", clock, ("case", "face", "bell", "foot"), "man-made metal round dial indoor symmetric small"
    ),
)
