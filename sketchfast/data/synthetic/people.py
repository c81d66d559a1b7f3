"""A face and a snowman."""

# ruff: noqa: RUF005 -- array + tuple is vector addition here

from __future__ import annotations

import numpy as np

from .drawing import Category, Drawing
from .geometry import arc, box, ellipse, polyline, spline, tube


def face(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.34, 0.42), d.value("tall", 0.42, 0.52)
    long_hair, bald = d.chance("long_hair", 0.4), d.chance("bald", 0.3)
    if long_hair:  # behind the head
        reach = d.value("hair_long", 0.9, 1.3) * tall
        d.shape(
            "hair",
            spline(
                (0, -1.22 * tall),
                (wide, -0.95 * tall),
                (1.28 * wide, 0),
                (1.3 * wide, reach),
                (0.6 * wide, reach),
                (-0.6 * wide, reach),
                (-1.3 * wide, reach),
                (-1.28 * wide, 0),
                (-wide, -0.95 * tall),
            ),
            "hair",
        )
    for side in (-1, 1):
        d.shape("ear", ellipse(side * 1.02 * wide, 0.0, 0.065, 0.11), "skin", weight=0.9)
    d.shape("head", ellipse(0, 0, wide, tall), "skin")
    if long_hair or not bald:
        fringe = d.value("fringe", -0.55, -0.35) * tall
        d.shape(
            "hair",
            np.concatenate(
                [
                    arc(0, 0, 1.04 * wide, 1.08 * tall, 200, 340, 22),
                    spline(
                        (0.8 * wide, fringe),
                        (0.3 * wide, fringe - 0.1),
                        (0, fringe + 0.02),
                        (-0.4 * wide, fringe - 0.1),
                        (-0.85 * wide, fringe),
                        closed=False,
                    ),
                ]
            ),
            "hair",
        )
    y, apart, r = (
        d.value("eye_y", -0.18, -0.08) * tall,
        d.value("apart", 0.36, 0.46) * wide,
        d.value("eye", 0.05, 0.075),
    )
    for side in (-1, 1):
        d.shape("eye", ellipse(side * apart, y, 1.25 * r, 0.8 * r, n=18), "paper")
        d.line(ellipse(side * apart, y, 0.4 * r, n=8), weight=0.8, width=0.025)
        d.line(
            spline(
                (side * (apart - 0.08), y - 0.09),
                (side * apart, y - 0.12),
                (side * (apart + 0.08), y - 0.085),
                closed=False,
            ),
            weight=0.6,
            width=0.02,
        )
    d.line(
        spline((0, y + 0.06), (-0.05, 0.2 * tall), (0.0, 0.24 * tall), (0.04, 0.21 * tall), closed=False),
        weight=0.8,
    )
    smile, mouth = d.value("smile", 0.02, 0.1), d.value("mouth", 0.12, 0.19)
    d.shape(
        "mouth",
        spline(
            (-mouth, 0.52 * tall - 0.4 * smile),
            (0, 0.5 * tall + smile - 0.02),
            (mouth, 0.52 * tall - 0.4 * smile),
            (0, 0.56 * tall + 1.4 * smile),
        ),
        "petal",
    )


def snowman(d: Drawing) -> None:
    r1, r2, r3 = d.value("low", 0.34, 0.42), d.value("mid", 0.25, 0.31), d.value("head", 0.17, 0.21)
    y2, y3 = -0.72 * r1 - 0.7 * r2, -0.72 * r1 - 1.45 * r2 - 0.7 * r3
    for side in (-1, 1):
        hand = np.array([side * (r2 + d.value("arm", 0.22, 0.34)), y2 - d.value("raise", -0.05, 0.25)])
        d.shape(
            "arm",
            tube(np.stack([np.array([side * 0.8 * r2, y2]), hand]), 0.03, smooth=False),
            "wood",
            weight=0.95,
            join=f"arm{side}",
        )
        d.shape(
            "arm",
            tube(np.stack([hand * (0.88, 1) + (0, 0.02), hand + (side * 0.0, -0.1)]), 0.022, smooth=False),
            "wood",
            weight=0.8,
            join=f"arm{side}",
        )
    d.shape("body", ellipse(0, 0, r1), "snow")
    d.shape("body", ellipse(0, y2, r2), "snow")
    d.shape("head", ellipse(0, y3, r3), "snow")
    if d.chance("hat", 0.75):
        high = d.value("hat", 0.18, 0.3)
        d.shape("hat", box(-0.7 * r3, y3 - 0.8 * r3 - high, 0.7 * r3, y3 - 0.75 * r3), "rubber")
        d.shape("hat", box(-1.15 * r3, y3 - 0.85 * r3, 1.15 * r3, y3 - 0.65 * r3), "rubber")
    for side in (-1, 1):
        d.line(ellipse(side * 0.35 * r3, y3 - 0.15 * r3, 0.018, n=8), weight=0.9, width=0.022)
    d.shape("nose", polyline((0, y3), (-d.value("nose", 0.14, 0.22), y3 + 0.06), (0, y3 + 0.07)), "fruit")
    for number in range(3):
        d.line(ellipse(0, y2 + (number - 1) * 0.4 * r2, 0.018, n=8), weight=0.8, width=0.022)
    if d.chance("scarf", 0.5):
        y = y3 + 0.85 * r3
        d.shape("scarf", box(-0.75 * r3, y - 0.03, 0.75 * r3, y + 0.05, 0.03), "cloth", weight=0.9)
        d.shape(
            "scarf",
            polyline(
                (0.3 * r3, y + 0.04), (0.45 * r3, y + 0.25), (0.85 * r3, y + 0.23), (0.65 * r3, y + 0.04)
            ),
            "cloth",
            weight=0.85,
        )


CATEGORIES = (
    Category(
        "face",
        face,
        ("head", "hair", "ear", "eye", "mouth"),
        "person eyes mouth hair round round-head symmetric skin",
    ),
    Category(
        "snowman",
        snowman,
        ("body", "head", "arm", "hat", "nose", "scarf"),
        "person eyes arms hat round round-head tall symmetric snow",
    ),
)
