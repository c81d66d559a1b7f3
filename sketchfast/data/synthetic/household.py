"""Tools, tableware and other things one can hold."""

from __future__ import annotations

import numpy as np

from .drawing import Category, Drawing
from .geometry import arc, box, ellipse, mirror, place, polyline, spline, tube


def cup(d: Drawing) -> None:
    wide, tall, taper = d.value("wide", 0.28, 0.38), d.value("tall", 0.4, 0.58), d.value("taper", 0.65, 1.0)
    rim = d.value("rim", 0.05, 0.09)
    out, y = d.value("handle", 0.16, 0.24), d.value("handle_y", 0.4, 0.5) * tall
    half = d.value("handle_high", 0.28, 0.36) * tall
    d.shape(
        "handle",
        tube(
            polyline(
                (0.85 * wide, y - half),
                (wide + 0.85 * out, y - 0.8 * half),
                (wide + out, y + 0.2 * half),
                (0.8 * wide, y + half),
            ),
            0.055,
        ),
        "ceramic",
    )
    bottom = spline((taper * wide, tall), (0, tall + rim), (-taper * wide, tall), closed=False, steps=8)
    d.shape("cup", np.concatenate([polyline((-wide, 0), (wide, 0)), bottom]), "ceramic")
    d.shape("rim", ellipse(0, 0, wide, rim), "leather")
    if d.chance("saucer", 0.3):
        d.shape("saucer", ellipse(0, tall + rim + 0.02, 1.5 * wide, 0.06), "ceramic")
    if d.chance("steam", 0.4):
        for x in (-0.1, 0.08):
            d.line(
                spline((x, -0.12), (x + 0.04, -0.19), (x - 0.03, -0.26), (x + 0.03, -0.34), closed=False),
                weight=0.7,
            )
    if d.chance("band", 0.4):
        d.line(
            spline(
                (-0.96 * wide, 0.3 * tall), (0, 0.3 * tall + rim), (0.96 * wide, 0.3 * tall), closed=False
            ),
            weight=0.5,
            width=0.03,
        )


def teapot(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.34, 0.42), d.value("tall", 0.27, 0.36)
    spout, lift = d.value("spout", 0.2, 0.3), d.value("lift", 0.7, 1.1)
    d.shape(
        "spout",
        tube(
            polyline(
                (-0.7 * wide, 0.35 * tall),
                (-wide - 0.4 * spout, 0.1 * tall),
                (-wide - 0.65 * spout, -0.5 * lift * tall),
                (-wide - spout, -0.8 * lift * tall),
            ),
            (0.2, 0.14, 0.09, 0.07),
            rounded=False,
        ),
        "ceramic",
        join="pot",
    )
    out = d.value("handle", 0.18, 0.26)
    d.shape(
        "handle",
        tube(
            polyline(
                (0.75 * wide, -0.6 * tall),
                (wide + 0.8 * out, -0.65 * tall),
                (wide + out, 0.05 * tall),
                (0.85 * wide, 0.5 * tall),
            ),
            0.055,
        ),
        "ceramic",
    )
    d.shape(
        "body",
        spline(
            (-0.45 * wide, -0.95 * tall),
            (0.45 * wide, -0.95 * tall),
            (wide, -0.1 * tall),
            (0.8 * wide, 0.75 * tall),
            (0.45 * wide, tall),
            (-0.45 * wide, tall),
            (-0.8 * wide, 0.75 * tall),
            (-wide, -0.1 * tall),
        ),
        "ceramic",
        join="pot",
    )
    lid = d.value("lid", 0.08, 0.15)
    d.shape(
        "lid",
        np.concatenate(
            [
                arc(0, -0.92 * tall, 0.48 * wide, lid, 180, 360, 14),
                polyline((0.5 * wide, -0.88 * tall), (-0.5 * wide, -0.88 * tall)),
            ]
        ),
        "ceramic",
    )
    d.shape("lid", ellipse(0, -0.92 * tall - lid - 0.03, 0.045, n=16), "ceramic", weight=0.95)
    if d.chance("band", 0.5):
        d.line(
            spline((-0.95 * wide, 0.2 * tall), (0, 0.35 * tall), (0.95 * wide, 0.2 * tall), closed=False),
            weight=0.5,
        )


def umbrella(d: Drawing) -> None:
    wide, tall = d.value("wide", 0.52, 0.66), d.value("tall", 0.34, 0.5)
    ribs, shaft = d.count("ribs", 4, 6), d.value("shaft", 0.55, 0.75)
    hook, side = d.value("hook", 0.07, 0.11), 1 if d.chance("hook_side", 0.5) else -1
    handle = np.concatenate(
        [
            polyline((0, -tall), (0, shaft)),
            arc(side * hook, shaft, hook, hook, 180 if side > 0 else 0, 10 if side > 0 else 170, 9),
        ]
    )
    d.shape("handle", tube(handle, 0.035, smooth=False), "wood")
    edges = np.linspace(-wide, wide, ribs + 1)
    dip = d.value("dip", 0.04, 0.08)
    rim = [
        arc((a + b) / 2, 0.0, (b - a) / 2, dip, 360, 180, 7)
        for a, b in zip(edges[:0:-1] - np.diff(edges)[::-1], edges[:0:-1], strict=True)
    ]
    d.shape("canopy", np.concatenate([arc(0, 0, wide, tall, 180, 360, 28), *rim]), "cloth")
    for x in edges[1:-1]:
        d.line(spline((0, -tall), (0.62 * x, -0.62 * tall), (x, 0), closed=False, steps=5), weight=0.8)
    d.shape("handle", box(-0.014, -tall - 0.1, 0.014, -tall + 0.01), "metal", weight=0.85)


def scissors(d: Drawing) -> None:
    open_, blade = d.value("open", 12, 26), d.value("blade", 0.55, 0.7)
    grip, r = d.value("grip", 0.3, 0.4), d.value("ring", 0.11, 0.15)
    for side in (-1, 1):
        half = np.concatenate(
            [polyline((-0.035, 0.05), (-0.04, -0.1), (0.005, -blade)), polyline((0.04, -0.1), (0.03, 0.05))]
        )
        d.shape(
            "blade",
            place(mirror(half) if side > 0 else half, angle=side * open_),
            "metal",
            join=f"half{side}",
        )
        shank = polyline((0, 0), (0.03 * side, 0.5 * grip), (-0.02 * side, grip - 0.3 * r))
        d.shape("handle", place(tube(shank, (0.07, 0.05)), angle=side * open_), "paint", join=f"half{side}")
        ring = place(ellipse(-0.05 * side, grip + 0.7 * r, 0.85 * r, 1.15 * r), angle=side * open_)
        hole = place(ellipse(-0.05 * side, grip + 0.7 * r, 0.5 * r, 0.8 * r), angle=side * open_)
        d.shape("handle", ring, "paint", join=f"half{side}")
        d.shape("handle", hole, "gap")
    d.line(ellipse(0, 0, 0.022, n=10), weight=0.75, width=0.014)


def hammer(d: Drawing) -> None:
    long, width = d.value("long", 0.85, 1.1), d.value("width", 0.075, 0.11)
    d.shape(
        "handle",
        tube(polyline((0, 0), (0, 0.5 * long), (0, long)), (0.75 * width, 0.8 * width, 1.15 * width)),
        "wood",
    )
    high, left, right = d.value("head", 0.15, 0.21), d.value("face", 0.2, 0.28), d.value("claw", 0.26, 0.36)
    d.shape(
        "head",
        spline(
            (-0.05, -high / 2),
            (0.1, -high / 2),
            (0.7 * right, -0.35 * high),
            (right, 0.5 * high),
            (0.6 * right, 0.1 * high),
            (0.08, high / 2),
            (-0.05, high / 2),
        ),
        "metal",
        join="head",
    )
    d.shape("head", box(-left + 0.05, -0.36 * high, 0.02, 0.36 * high), "metal", join="head")
    d.shape("head", box(-left - 0.03, -0.52 * high, -left + 0.06, 0.52 * high, 0.02), "metal", weight=0.95)
    if d.chance("grip", 0.5):
        d.line(polyline((-0.5 * width, 0.6 * long), (0.5 * width, 0.6 * long)), weight=0.6)


def key(d: Drawing) -> None:
    r, long, width = d.value("bow", 0.16, 0.22), d.value("long", 0.65, 0.9), d.value("width", 0.055, 0.085)
    d.shape("shaft", box(-long, -width / 2, 0, width / 2), "brass", join="key")
    count = d.count("teeth", 2, 4)
    for number in range(count):
        x = -long + 0.02 + 0.085 * number
        d.shape("tooth", box(x, 0, x + 0.05, d.value(f"tooth{number}", 0.12, 0.19)), "brass", join="key")
    if d.chance("trefoil", 0.35):
        for dx, dy in ((0.05, -0.75 * r), (0.05, 0.75 * r), (1.4 * r, 0)):
            d.shape("bow", ellipse(dx, dy, 0.75 * r), "brass", join="key")
            d.shape("bow", ellipse(dx, dy, 0.38 * r), "gap")
    else:
        d.shape("bow", ellipse(0.7 * r, 0, d.value("oval", 0.85, 1.15) * r, r), "brass", join="key")
        d.shape("bow", ellipse(0.85 * r, 0, 0.6 * r, 0.6 * r), "gap")
    d.shape("shaft", box(-0.06, -0.7 * width, -0.02, 0.7 * width), "brass", weight=0.7)


def eyeglasses(d: Drawing) -> None:
    r, gap, flat = d.value("lens", 0.23, 0.29), d.value("bridge", 0.06, 0.12), d.value("flat", 0.7, 1.0)
    rim, boxy = d.value("rim", 0.025, 0.05), d.chance("boxy", 0.4)
    for side in (-1, 1):
        arm = polyline(
            (side * (gap + 2 * r), -0.3 * r),
            (side * (gap + 2 * r + 0.05), -0.45 * r),
            (side * (gap + 2 * r + d.value("arm", 0.1, 0.2)), -r * d.value("rise", 1.0, 1.8)),
        )
        d.shape("arm", tube(arm, 0.035, smooth=False), "leather", weight=0.95)
    d.shape(
        "bridge",
        tube(polyline((-gap - 0.02, -0.1 * r), (0, -0.32 * r), (gap + 0.02, -0.1 * r)), 0.04),
        "leather",
    )
    for side in (-1, 1):
        x = side * (gap + r)
        if boxy:
            outer, inner = (
                box(x - r, -flat * r, x + r, flat * r, 0.4 * r),
                box(x - r + rim, -flat * r + rim, x + r - rim, flat * r - rim, 0.35 * r),
            )
        else:
            outer, inner = ellipse(x, 0, r, flat * r), ellipse(x, 0, r - rim, flat * r - rim)
        d.shape("frame", outer, "leather")
        d.shape("lens", inner, "glass", weight=0.85)
        d.line(polyline((x - 0.35 * r, 0.1 * r), (x - 0.05 * r, -0.4 * r)), weight=0.45)


def guitar(d: Drawing) -> None:
    wide, waist, long = d.value("wide", 0.27, 0.34), d.value("waist", 0.55, 0.75), d.value("long", 0.34, 0.4)
    neck, width = d.value("neck", 0.55, 0.75), d.value("neck_width", 0.06, 0.085)
    top = -long - neck
    d.shape(
        "head",
        polyline(
            (-0.55 * width, top), (-0.9 * width, top - 0.19), (0.9 * width, top - 0.19), (0.55 * width, top)
        ),
        "wood",
    )
    for side in (-1, 1):
        for y in (0.05, 0.1, 0.15):
            d.shape("head", ellipse(side * (width + 0.01), top - y, 0.025, 0.018, n=8), "metal", weight=0.7)
    half = polyline(
        (0, -long),
        (0.6 * wide, -0.95 * long),
        (0.8 * wide, -0.55 * long),
        (waist * wide, -0.12 * long),
        (wide, 0.45 * long),
        (0.7 * wide, 0.92 * long),
        (0, long),
    )
    d.shape("body", spline(*half, *mirror(half)[-2:0:-1]), "wood")
    d.shape("neck", box(-width / 2, top, width / 2, -0.25 * long), "leather")
    d.shape("hole", ellipse(0, -0.05, d.value("hole", 0.08, 0.11), n=26), "rubber")
    d.shape("bridge", box(-0.12, 0.5 * long, 0.12, 0.5 * long + 0.05), "leather", weight=0.9)
    for x in (-0.28, 0, 0.28):
        d.line(polyline((x * width, top), (x * width * 1.3, 0.52 * long)), weight=0.7, width=0.006)
    for number in range(d.count("frets", 3, 6)):
        y = top + neck * (0.1 + 0.14 * number)
        d.line(polyline((-width / 2, y), (width / 2, y)), weight=0.5, width=0.008)


CATEGORIES = (
    Category(
        "cup",
        cup,
        ("cup", "handle", "rim", "saucer"),
        "tableware man-made ceramic handle container small indoor drink",
    ),
    Category(
        "teapot",
        teapot,
        ("body", "spout", "handle", "lid"),
        "tableware man-made ceramic handle container small indoor drink round spout lid",
    ),
    Category("umbrella", umbrella, ("canopy", "handle"), "man-made cloth handle cap stem symmetric thin"),
    Category(
        "scissors", scissors, ("blade", "handle"), "tool man-made metal handle thin sharp symmetric small"
    ),
    Category("hammer", hammer, ("handle", "head"), "tool man-made metal wood handle long-body small"),
    Category("key", key, ("shaft", "bow", "tooth"), "tool man-made metal thin teeth long-body small"),
    Category(
        "eyeglasses",
        eyeglasses,
        ("frame", "lens", "bridge", "arm"),
        "man-made glass frame round thin symmetric small worn",
    ),
    Category(
        "guitar",
        guitar,
        ("body", "neck", "head", "hole", "bridge"),
        "instrument man-made wood strings long-neck symmetric",
    ),
)
