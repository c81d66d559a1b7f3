"""Plants, fruit and mushrooms."""

from __future__ import annotations

import math

import numpy as np

from .drawing import Category, Drawing
from .geometry import arc, ellipse, mirror, place, polyline, scallops, spline, tube


def _leaf(x: float, y: float, long: float, wide: float, angle: float) -> np.ndarray:
    """Pointed leaf with its stem at (x, y)."""
    half = spline((0, 0), (0.35 * long, -wide), (0.75 * long, -0.6 * wide), (long, 0), closed=False, steps=4)
    return place(np.concatenate([half, half[-2:0:-1] * (1, -1)]), x, y, angle=angle)


def tree(d: Drawing) -> None:
    trunk, width = d.value("trunk", 0.4, 0.6), d.value("width", 0.11, 0.18)
    fir = d.chance("fir", 0.35)
    flare = d.value("flare", 1.2, 1.7)
    d.shape(
        "trunk",
        polyline(
            (-width / 2, -0.1),
            (-0.5 * width, 0.75 * trunk),
            (-flare * width / 2, trunk),
            (flare * width / 2, trunk),
            (0.5 * width, 0.75 * trunk),
            (width / 2, -0.1),
        ),
        "wood",
    )
    if fir:
        wide, tall = d.value("wide", 0.36, 0.5), d.value("tall", 0.26, 0.34)
        for tier in range(d.count("tiers", 3, 4)):
            w, y = wide * (1 - 0.2 * tier), 0.18 - tier * 0.62 * tall
            d.shape(
                "crown",
                polyline((-w, y), (0, y - tall - 0.05), (w, y), (0.4 * w, y - 0.03), (-0.4 * w, y - 0.03)),
                "leaf",
                join="crown",
            )
    else:
        rx, ry = d.value("rx", 0.36, 0.52), d.value("ry", 0.32, 0.48)
        d.shape(
            "crown",
            scallops(0, -0.75 * ry, rx, ry, d.count("lobes", 7, 11), d.value("depth", 0.14, 0.26), 0.4),
            "leaf",
        )
        for number in range(3):
            x, y = d.value(f"x{number}", -0.6, 0.6) * rx, (d.value(f"y{number}", -0.6, 0.4) - 0.75) * ry
            d.line(
                spline(
                    (x - 0.07, y),
                    (x - 0.03, y + 0.045),
                    (x + 0.02, y + 0.01),
                    (x + 0.07, y + 0.03),
                    closed=False,
                ),
                weight=0.45,
            )
    for x in (-0.15, 0.2):
        d.line(polyline((x * width, 0.35 * trunk), (x * width * 1.2, 0.75 * trunk)), weight=0.4)


def flower(d: Drawing) -> None:
    stem, sway = d.value("stem", 0.6, 0.85), d.value("sway", -0.12, 0.12)
    count, long = d.count("petals", 5, 8), d.value("petal", 0.24, 0.34)
    plump = d.value("plump", 0.75, 1.05) * 2.4 * long / count
    d.shape("stem", tube(polyline((0, 0), (sway, 0.5 * stem), (0.6 * sway, stem)), 0.035), "leaf")
    for side in (-1, 1):
        if side == -1 or d.chance("second_leaf", 0.7):
            y = (0.55 if side == -1 else 0.7) * stem
            leaf = _leaf(0, 0, d.value("leaf", 0.22, 0.36), 0.07, d.value("leaf_turn", -50, -15))
            d.shape("leaf", (mirror(leaf) if side == -1 else leaf) + (0.9 * sway, y), "leaf", weight=0.9)
    for number in range(count):
        t = number * 360 / count + d.value("phase", 0, 60)
        d.shape("petal", place(ellipse(0.62 * long, 0, 0.48 * long, 0.5 * plump, n=20), angle=t), "petal")
    d.shape("centre", ellipse(0, 0, d.value("centre", 0.085, 0.13), n=24), "light")


def mushroom(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.38, 0.54), d.value("tall", 0.28, 0.46)
    stem, width = d.value("stem", 0.36, 0.55), d.value("width", 0.1, 0.17)
    d.shape(
        "stem",
        spline(
            (-width, -0.02),
            (-0.85 * width, 0.5 * stem),
            (-1.3 * width, 0.92 * stem),
            (0, stem + 0.02),
            (1.3 * width, 0.92 * stem),
            (0.85 * width, 0.5 * stem),
            (width, -0.02),
        ),
        "paper",
    )
    if d.chance("skirt", 0.5):
        d.line(
            spline((-width, 0.2), (-0.3 * width, 0.26), (0.3 * width, 0.24), (width, 0.2), closed=False),
            weight=0.6,
        )
    rim = spline((wide, 0.0), (0.6 * wide, 0.06), (0, 0.075), (-0.6 * wide, 0.06), (-wide, 0.0), closed=False)
    d.shape("cap", np.concatenate([arc(0, 0, wide, tall, 180, 360, 28), rim]), "fruit")
    for number in range(d.count("dots", 3, 6)):
        t = math.radians(200 + number * 28 + d.value(f"dot{number}", -8, 8))
        reach = d.value(f"reach{number}", 0.4, 0.75)
        r = d.value(f"size{number}", 0.035, 0.07)
        d.shape(
            "cap",
            ellipse(reach * wide * math.cos(t), reach * tall * math.sin(t) * 0.9 - 0.03, r, 0.8 * r, n=16),
            "paper",
            weight=0.75,
        )


def cactus(d: Drawing) -> None:
    tall, width = d.value("tall", 0.75, 1.0), d.value("width", 0.17, 0.24)
    d.shape("stem", tube(polyline((0, 0.35), (0, 0), (0, 0.35 - tall)), width), "leaf", join="cactus")
    for side in (-1, 1):
        y = 0.3 - tall * d.value(f"arm_at{side}", 0.3, 0.55)
        out, up = d.value(f"arm{side}", 0.22, 0.32), d.value(f"arm_up{side}", 0.2, 0.38)
        arm = polyline((0, y), (0.75 * out, y), (out, y - 0.09), (out, y - up))
        arm[:, 0] *= side
        d.shape("arm", tube(arm, 0.6 * width), "leaf", join="cactus")
    for number in range(8):
        x, y = d.value(f"x{number}", -0.35, 0.35) * width, 0.25 - tall * (number + 0.5) / 9
        d.line(polyline((x - 0.02, y - 0.03), (x, y), (x + 0.02, y - 0.03)), weight=0.55, width=0.008)
    if d.chance("pot", 0.65):
        w, h = d.value("pot_w", 0.2, 0.28), d.value("pot_h", 0.22, 0.3)
        d.shape("pot", polyline((-w, 0.32), (-0.75 * w, 0.32 + h), (0.75 * w, 0.32 + h), (w, 0.32)), "brick")
        d.shape(
            "pot", polyline((-1.12 * w, 0.26), (-1.12 * w, 0.35), (1.12 * w, 0.35), (1.12 * w, 0.26)), "brick"
        )
    else:
        d.line(spline((-0.5, 0.36), (-0.2, 0.34), (0.2, 0.37), (0.5, 0.35), closed=False), weight=0.8)


def apple(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.36, 0.44), d.value("tall", 0.33, 0.4)
    stem = tube(
        polyline(
            (0, -0.75 * tall),
            (0.01, -tall),
            (d.value("stem_bend", -0.06, 0.08), -tall - d.value("stem", 0.1, 0.2)),
        ),
        (0.025, 0.04),
    )
    dip = d.value("dip", 0.66, 0.8)
    d.shape(
        "fruit",
        spline(
            (0, -dip * tall),
            (0.35 * wide, -0.98 * tall),
            (0.85 * wide, -0.7 * tall),
            (wide, -0.1 * tall),
            (0.78 * wide, 0.65 * tall),
            (0.32 * wide, tall),
            (0, 0.9 * tall),
            (-0.32 * wide, tall),
            (-0.78 * wide, 0.65 * tall),
            (-wide, -0.1 * tall),
            (-0.85 * wide, -0.7 * tall),
            (-0.35 * wide, -0.98 * tall),
        ),
        "fruit",
    )
    d.shape("stem", stem, "wood")
    d.shape(
        "leaf",
        _leaf(0.02, -0.95 * tall, d.value("leaf", 0.22, 0.34), 0.075, d.value("leaf_turn", -40, 0)),
        "leaf",
        weight=0.8,
    )
    d.line(arc(-0.1 * wide, 0, 0.65 * wide, 0.62 * tall, 165, 225, 8), weight=0.45)


def pear(d: Drawing) -> None:
    wide, tall, neck = d.value("wide", 0.28, 0.36), d.value("tall", 0.46, 0.6), d.value("neck", 0.11, 0.16)
    lean = d.value("lean", -0.05, 0.07)
    d.shape(
        "fruit",
        spline(
            (lean, -tall),
            (lean + neck, -0.86 * tall),
            (lean * 0.7 + 1.05 * neck, -0.45 * tall),
            (0.9 * wide, 0.05 * tall),
            (wide, 0.38 * tall),
            (0.62 * wide, 0.75 * tall),
            (0, 0.82 * tall),
            (-0.62 * wide, 0.75 * tall),
            (-wide, 0.38 * tall),
            (-0.9 * wide, 0.05 * tall),
            (lean * 0.7 - 1.05 * neck, -0.45 * tall),
            (lean - neck, -0.86 * tall),
        ),
        "fruit",
    )
    d.shape(
        "stem",
        tube(
            polyline(
                (lean, -0.96 * tall),
                (lean + 0.01, -1.1 * tall),
                (lean + d.value("bend", -0.05, 0.08), -tall - d.value("stem", 0.12, 0.2)),
            ),
            (0.025, 0.04),
        ),
        "wood",
    )
    if d.chance("has_leaf", 0.6):
        d.shape(
            "leaf",
            _leaf(lean + 0.01, -1.06 * tall, d.value("leaf", 0.2, 0.3), 0.07, d.value("leaf_turn", -35, 5)),
            "leaf",
            weight=0.8,
        )
    d.line(arc(0, 0.35 * tall, 0.68 * wide, 0.3 * tall, 150, 215, 8), weight=0.45)


def pineapple(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.25, 0.32), d.value("tall", 0.36, 0.46)
    crown = d.value("crown", 0.32, 0.46)
    for number in (0, 6, 1, 5, 2, 4, 3):
        turn = (number - 3) * d.value("fan", 15, 22)
        d.shape(
            "leaf",
            _leaf(0.02 * (number - 3), -0.85 * tall, crown * (1 - 0.09 * abs(number - 3)), 0.06, -90 + turn),
            "leaf",
        )
    d.shape(
        "fruit",
        spline(
            (0, -tall),
            (0.75 * wide, -0.75 * tall),
            (wide, 0),
            (0.8 * wide, 0.75 * tall),
            (0, tall),
            (-0.8 * wide, 0.75 * tall),
            (-wide, 0),
            (-0.75 * wide, -0.75 * tall),
        ),
        "fruit",
    )
    rows = d.count("rows", 3, 5)
    for number in range(-rows, rows + 1):
        for side in (-1, 1):
            # A diagonal x = side * (y - c), clipped to the fruit's ellipse.
            t = np.linspace(-1, 1, 25)
            p = np.stack([t * wide, side * t * wide * 1.1 + number * 1.6 * tall / rows], axis=1)
            p = p[(p[:, 0] / wide) ** 2 + (p[:, 1] / tall) ** 2 < 0.9]
            if len(p) > 2:
                d.line(p, weight=0.85, width=0.01)


CATEGORIES = (
    Category("tree", tree, ("trunk", "crown"), "plant wood leaves tall trunk cloudy large grows"),
    Category(
        "flower",
        flower,
        ("petal", "centre", "stem", "leaf"),
        "plant leaves petals stem round-head colourful grows symmetric small",
    ),
    Category("mushroom", mushroom, ("cap", "stem"), "plant stem cap spots grows food symmetric small"),
    Category("cactus", cactus, ("stem", "arm", "pot"), "plant spikes arms tall stem pot grows"),
    Category(
        "apple", apple, ("fruit", "stem", "leaf"), "plant fruit food round stem leaves small symmetric smooth"
    ),
    Category(
        "pear",
        pear,
        ("fruit", "stem", "leaf"),
        "plant fruit food stem leaves small symmetric smooth narrow-top",
    ),
    Category(
        "pineapple", pineapple, ("fruit", "leaf"), "plant fruit food leaves spikes lattice small symmetric"
    ),
)
