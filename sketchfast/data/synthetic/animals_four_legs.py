"""Four-legged animals, side view, heads to the left."""

from __future__ import annotations

import numpy as np

from .drawing import Category, Drawing
from .geometry import Points, ellipse, place, polyline, scallops, spline, tube

PARTS = ("head", "body", "leg", "tail")


def _legs(
    d: Drawing, hips: tuple[float, ...], top: float, foot: float, width: float, paint: str, near: bool
) -> None:
    """One front and one back leg. The far pair stands a little apart and is drawn before the body."""
    for end, hip in zip(("front", "back"), hips, strict=True):
        stride = d.value(f"{end}_stride_{near}", -0.09, 0.09)
        bend = d.value(f"{end}_bend", -0.02, 0.03) * (1 if end == "front" else -1.6)
        shift = 0.0 if near else (0.13 if end == "front" else -0.13)
        line = polyline(
            (hip + shift, top), (hip + shift - bend, (top + foot) / 2), (hip + shift + stride, foot)
        )
        d.shape(
            "leg",
            tube(line, (1.7 * width, width, 0.9 * width), rounded=False),
            paint,
            join="animal" if near else None,
        )


def _eye(d: Drawing, x: float, y: float, r: float = 0.018) -> None:
    d.line(ellipse(x, y, r, r, n=10), weight=0.75, width=0.016)


def _body(d: Drawing, long: float, high: float, sag: float) -> Points:
    back = d.value("back", -0.03, 0.03)
    return spline(
        (-long, -0.3 * high),
        (-0.55 * long, -high),
        (0, -0.9 * high + back),
        (0.6 * long, -high),
        (long, -0.45 * high),
        (0.92 * long, 0.5 * high),
        (0.3 * long, 0.85 * high + sag),
        (-0.4 * long, 0.95 * high),
        (-0.93 * long, 0.55 * high),
    )


def horse(d: Drawing) -> None:
    long, high = d.value("long", 0.42, 0.52), d.value("high", 0.17, 0.22)
    foot = high + d.value("leg", 0.36, 0.5)
    width = d.value("leg_width", 0.05, 0.075)
    lift, reach = d.value("neck_lift", 0.36, 0.5), d.value("neck_reach", 0.1, 0.26)
    _legs(d, (-0.78 * long, 0.8 * long), 0.3 * high, foot, width, "fur", near=False)
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
    d.shape("body", _body(d, long, high, d.value("sag", 0, 0.04)), "fur", join="animal")
    _legs(d, (-0.8 * long, 0.78 * long), 0.2 * high, foot + 0.02, width, "fur", near=True)
    poll = np.array([-long - reach, -0.55 * high - lift])
    neck = polyline(
        (-0.72 * long, -0.25 * high),
        (-0.98 * long - 0.2 * reach, -0.8 * high - 0.35 * lift),
        poll + (0.04, 0.05),
    )
    d.shape("body", tube(neck, (0.34, 0.22, 0.15)), "fur", join="animal")
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
    mane = [
        poll + (0.03, -0.07),
        poll + (0.16, 0.02),
        (-0.8 * long + 0.02, -1.25 * high - 0.4 * lift),
        (-0.55 * long, -1.15 * high),
        (-0.72 * long, -0.75 * high - 0.2 * lift),
        poll + (0.1, 0.12),
    ]
    d.shape("body", spline(*mane), "hair", weight=0.75)
    _eye(d, *place(polyline((-0.06, 0.0)), *poll, angle=-nod)[0])
    d.line(place(polyline((-0.28, 0.19), (-0.2, 0.17)), *poll, angle=-nod), weight=0.4)


def cow(d: Drawing) -> None:
    long, high = d.value("long", 0.5, 0.62), d.value("high", 0.23, 0.31)
    foot = high + d.value("leg", 0.2, 0.32)
    width = d.value("leg_width", 0.075, 0.1)
    _legs(d, (-0.76 * long, 0.78 * long), 0.4 * high, foot, width, "hide", near=False)
    root = (0.98 * long, -0.65 * high)
    drop = d.value("tail", 0.35, 0.5)
    tail = polyline(root, (root[0] + 0.07, root[1] + 0.1), (root[0] + 0.05, root[1] + drop))
    d.shape("tail", tube(tail, 0.03), "hide", join="tail")
    d.shape("tail", ellipse(root[0] + 0.05, root[1] + drop + 0.05, 0.03, 0.07), "hair", join="tail")
    d.shape("body", ellipse(0.45 * long, 0.95 * high, 0.11, 0.09), "skin", weight=0.9)
    d.shape("body", _body(d, long, high, 0.03), "hide", join="animal")
    _legs(d, (-0.8 * long, 0.82 * long), 0.3 * high, foot + 0.02, width, "hide", near=True)
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
            place(ellipse(0.07, 0, 0.085, 0.04), hx + side * 0.1, hy - 0.06, 15 if side > 0 else 165),
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
        _eye(d, hx + 0.05 * side, hy - 0.02)
        _eye(d, hx + 0.04 * side, hy + 0.16, 0.012)


def sheep(d: Drawing) -> None:
    long, high = d.value("long", 0.42, 0.52), d.value("high", 0.28, 0.35)
    foot = high + d.value("leg", 0.16, 0.25)
    width = d.value("leg_width", 0.05, 0.07)
    _legs(d, (-0.6 * long, 0.6 * long), 0.5 * high, foot, width, "skin", near=False)
    _legs(d, (-0.62 * long, 0.64 * long), 0.5 * high, foot + 0.02, width, "skin", near=True)
    d.shape("tail", scallops(1.05 * long, -0.25 * high, 0.09, 0.07, 5, 0.3), "wool")
    d.shape("body", scallops(0, 0, long, high, d.count("curls", 11, 15), d.value("curl", 0.14, 0.22)), "wool")
    hx, hy = -long - d.value("reach", 0.02, 0.09), -d.value("head_lift", 0.05, 0.2)
    slant = d.value("slant", 15, 45)
    d.shape("head", place(ellipse(0, 0, 0.11, 0.17), hx, hy, slant), "skin")
    d.shape(
        "head",
        place(ellipse(0.1, 0.02, 0.1, 0.035), hx + 0.06, hy - 0.08, d.value("ear", 10, 35)),
        "skin",
        weight=0.9,
    )
    d.shape("head", scallops(hx + 0.06, hy - 0.15, 0.12, 0.07, 6, 0.3), "wool", weight=0.85)
    _eye(d, hx - 0.02, hy - 0.02)
    d.line(place(polyline((-0.07, 0.09), (0.0, 0.1)), hx, hy, slant), weight=0.4)
    for number in range(4):
        x, y = d.value(f"tuft_x{number}", -0.5, 0.6) * long, d.value(f"tuft_y{number}", -0.5, 0.5) * high
        d.line(spline((x - 0.05, y), (x, y + 0.04), (x + 0.05, y), closed=False), weight=0.35)


def dog(d: Drawing) -> None:
    long, high = d.value("long", 0.36, 0.5), d.value("high", 0.13, 0.19)
    foot = high + d.value("leg", 0.18, 0.34)
    width = d.value("leg_width", 0.06, 0.085)
    _legs(d, (-0.75 * long, 0.8 * long), 0.3 * high, foot, width, "fur", near=False)
    root = (0.92 * long, -0.55 * high)
    wag, rise = d.value("tail_wag", 0.05, 0.22), d.value("tail", 0.22, 0.36)
    d.shape(
        "tail",
        tube(
            polyline(root, (root[0] + wag, root[1] - 0.3 * rise), (root[0] + wag + 0.02, root[1] - rise)),
            (0.08, 0.06, 0.03),
        ),
        "fur",
        join="animal",
    )
    d.shape("body", _body(d, long, high, -0.05), "fur", join="animal")
    _legs(d, (-0.78 * long, 0.82 * long), 0.1 * high, foot + 0.02, width, "fur", near=True)
    hx, hy = -long - d.value("reach", 0.03, 0.12), -high - d.value("head_lift", 0.12, 0.24)
    d.shape(
        "body",
        tube(polyline((-0.75 * long, -0.2 * high), (hx + 0.05, hy + 0.04)), (0.26, 0.18)),
        "fur",
        join="animal",
    )
    snout = d.value("snout", 0.15, 0.28)
    d.shape(
        "head",
        spline(
            (hx + 0.14, hy - 0.06),
            (hx + 0.03, hy - 0.15),
            (hx - 0.09, hy - 0.11),
            (hx - 0.14, hy - 0.04),
            (hx - snout - 0.05, hy - 0.02),
            (hx - snout - 0.08, hy + 0.04),
            (hx - snout, hy + 0.1),
            (hx - 0.05, hy + 0.12),
            (hx + 0.1, hy + 0.09),
        ),
        "fur",
        join="head",
    )
    ear = d.value("ear", 0.17, 0.27)
    if d.chance("floppy", 0.75):
        d.shape(
            "head",
            spline(
                (hx + 0.02, hy - 0.13),
                (hx + 0.12, hy - 0.11),
                (hx + 0.15, hy - 0.08 + ear),
                (hx + 0.06, hy - 0.1 + ear),
                (hx + 0.03, hy),
            ),
            "hair",
        )
    else:
        d.shape(
            "head",
            polyline((hx, hy - 0.12), (hx + 0.06, hy - 0.08 - 0.8 * ear), (hx + 0.12, hy - 0.07)),
            "hair",
        )
    d.shape("head", ellipse(hx - snout - 0.06, hy, 0.035, 0.03), "rubber", weight=0.95)
    _eye(d, hx - 0.06, hy - 0.05)
    d.line(
        spline(
            (hx - snout, hy + 0.06),
            (hx - 0.5 * snout - 0.05, hy + 0.07),
            (hx - 0.05, hy + 0.04),
            closed=False,
        ),
        weight=0.6,
    )
    if d.chance("collar", 0.5):
        d.line(polyline((hx + 0.0, hy + 0.13), (hx + 0.15, hy + 0.05)), weight=0.5, width=0.025)


def cat(d: Drawing) -> None:
    """A cat stands or sits; both carry round head, pointed ears, whiskers and a long tail."""
    sitting = d.chance("sitting", 0.5)
    r = d.value("head", 0.17, 0.22)
    if sitting:
        high, wide = d.value("sit_high", 0.5, 0.62), d.value("sit_wide", 0.22, 0.29)
        hx, hy = 0.0, -high / 2 - 0.75 * r
        curl = d.value("tail", 0.2, 0.34)
        d.shape(
            "tail",
            tube(
                polyline(
                    (0.6 * wide, 0.42 * high),
                    (wide + 0.6 * curl, 0.4 * high),
                    (wide + curl, 0.1 * high),
                    (wide + 0.6 * curl, -0.15 * high),
                ),
                (0.08, 0.075, 0.07, 0.05),
            ),
            "fur",
        )
        d.shape(
            "body",
            spline(
                (-0.45 * wide, -0.5 * high),
                (0.45 * wide, -0.5 * high),
                (0.85 * wide, 0.05 * high),
                (wide, 0.4 * high),
                (0.5 * wide, 0.52 * high),
                (-0.5 * wide, 0.52 * high),
                (-wide, 0.4 * high),
                (-0.85 * wide, 0.05 * high),
            ),
            "fur",
        )
        for side in (-1, 1):
            d.shape(
                "leg",
                tube(polyline((0.3 * side * wide, 0.0), (0.3 * side * wide, 0.5 * high)), (0.1, 0.11)),
                "fur",
                weight=0.9,
            )
    else:
        long, high = d.value("long", 0.36, 0.48), d.value("high", 0.13, 0.17)
        foot, width = high + d.value("leg", 0.15, 0.26), d.value("leg_width", 0.055, 0.075)
        hx, hy = -long - 0.3 * r, -high - d.value("head_lift", 0.03, 0.14)
        _legs(d, (-0.72 * long, 0.78 * long), 0.3 * high, foot, width, "fur", near=False)
        rise, lean = d.value("tail", 0.35, 0.5), d.value("tail_lean", 0.1, 0.2)
        d.shape(
            "tail",
            tube(
                polyline(
                    (0.9 * long, -0.4 * high),
                    (long + lean, -0.5 * rise),
                    (long + 0.4 * lean, -0.8 * rise),
                    (long + lean, -high - rise),
                ),
                (0.075, 0.07, 0.065, 0.05),
            ),
            "fur",
            join="animal",
        )
        d.shape("body", _body(d, long, high, 0.0), "fur", join="animal")
        _legs(d, (-0.76 * long, 0.8 * long), 0.1 * high, foot + 0.02, width, "fur", near=True)
    ear = d.value("ear", 0.75, 1.05) * r
    for side in (-1, 1):
        d.shape(
            "head",
            polyline(
                (hx + side * 0.95 * r, hy - 0.25 * r),
                (hx + side * 0.85 * r, hy - 0.75 * r - ear),
                (hx + side * 0.15 * r, hy - 0.8 * r),
            ),
            "fur",
            join="head",
        )
    d.shape("head", ellipse(hx, hy, 1.08 * r, 0.95 * r), "fur", join="head")
    for side in (-1, 1):
        _eye(d, hx + side * 0.4 * r, hy - 0.15 * r, 0.13 * r)
        for number in range(d.count("whiskers", 2, 3)):
            y = hy + (0.25 + 0.16 * number) * r
            d.line(
                polyline((hx + side * 0.3 * r, hy + 0.3 * r), (hx + side * 1.45 * r, y - 0.1 * r)),
                weight=0.7,
                width=0.008,
            )
    d.line(
        polyline(
            (hx - 0.1 * r, hy + 0.15 * r),
            (hx + 0.1 * r, hy + 0.15 * r),
            (hx, hy + 0.28 * r),
            (hx - 0.1 * r, hy + 0.15 * r),
        ),
        weight=0.8,
    )
    d.line(
        spline(
            (hx - 0.28 * r, hy + 0.42 * r),
            (hx - 0.12 * r, hy + 0.5 * r),
            (hx, hy + 0.3 * r),
            (hx + 0.12 * r, hy + 0.5 * r),
            (hx + 0.28 * r, hy + 0.42 * r),
            closed=False,
        ),
        weight=0.6,
    )


def giraffe(d: Drawing) -> None:
    long, high = d.value("long", 0.28, 0.36), d.value("high", 0.13, 0.17)
    foot = high + d.value("leg", 0.42, 0.55)
    width = d.value("leg_width", 0.045, 0.06)
    lift, reach = d.value("neck_lift", 0.6, 0.85), d.value("neck_reach", 0.1, 0.28)
    _legs(d, (-0.7 * long, 0.7 * long), 0.3 * high, foot, width, "fur", near=False)
    d.shape(
        "tail",
        tube(
            polyline((0.95 * long, -0.5 * high), (long + 0.06, 0.1), (long + 0.07, 0.26)), (0.03, 0.02, 0.045)
        ),
        "hair",
        join="animal",
    )
    d.shape("body", _body(d, long, high, -0.01), "fur", join="animal")
    _legs(d, (-0.75 * long, 0.75 * long), 0.2 * high, foot + 0.02, width, "fur", near=True)
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
    _eye(d, hx - 0.02, hy - 0.025, 0.014)
    for number in range(d.count("spots", 8, 12)):
        if number < 4:
            t = (number + d.value(f"t{number}", 0.2, 0.8)) / 4
            x, y = (1 - t) * np.array(neck[0]) + t * np.array(neck[2])
        else:
            x, y = long * (-0.8 + 0.22 * (number - 4)), d.value(f"y{number}", -0.5, 0.5) * high
        r = d.value(f"r{number}", 0.024, 0.042)
        d.shape("body", ellipse(x, y, r, 1.1 * r, n=7), "patch", weight=0.75)


def rabbit(d: Drawing) -> None:
    """Crouching, long ears up."""
    long, high = d.value("long", 0.3, 0.38), d.value("high", 0.22, 0.29)
    r = d.value("head", 0.13, 0.17)
    hx, hy = -long - 0.15 * r, -high * d.value("head_lift", 0.7, 1.05)
    d.shape("tail", scallops(long + 0.05, 0.35 * high, 0.08, 0.08, 7, 0.2), "wool")
    ear, lean = d.value("ear", 0.34, 0.48), d.value("ear_lean", 0.0, 0.2)
    far = tube(
        polyline(
            (hx + 0.0, hy - 0.5 * r),
            (hx - 0.05 + 0.6 * lean, hy - 0.5 * r - 0.6 * ear),
            (hx - 0.03 + lean, hy - 0.4 * r - ear),
        ),
        (0.06, 0.12, 0.05),
    )
    d.shape("head", far, "fur")
    d.shape(
        "body",
        spline(
            (-0.85 * long, -0.3 * high),
            (-0.2 * long, -0.75 * high),
            (0.5 * long, -0.9 * high),
            (long, -0.2 * high),
            (0.98 * long, 0.7 * high),
            (0.3 * long, high),
            (-0.6 * long, 0.9 * high),
            (-0.95 * long, 0.4 * high),
        ),
        "fur",
        join="animal",
    )
    d.shape(
        "leg",
        tube(
            polyline((-0.6 * long, 0.3 * high), (-0.72 * long, 0.75 * high), (-0.85 * long, 1.1 * high)),
            (0.13, 0.1, 0.075),
        ),
        "fur",
        join="animal",
    )
    d.shape("head", ellipse(hx, hy, 1.15 * r, 0.95 * r, d.value("nod", -15, 20)), "fur", join="animal")
    near = tube(
        polyline(
            (hx + 0.4 * r, hy - 0.5 * r),
            (hx + 0.05 + lean, hy - 0.5 * r - 0.6 * ear),
            (hx + 0.1 + 1.5 * lean, hy - 0.4 * r - ear),
        ),
        (0.06, 0.13, 0.05),
    )
    d.shape("head", near, "fur", join="animal")
    haunch = d.value("haunch", 0.14, 0.19)
    d.shape("leg", ellipse(0.5 * long, 0.4 * high, haunch, 1.1 * haunch), "fur", weight=0.9)
    d.shape("leg", ellipse(0.35 * long, 1.02 * high, 0.18, 0.05), "fur")
    _eye(d, hx - 0.25 * r, hy - 0.2 * r, 0.022)
    for number in range(2):
        d.line(
            polyline((hx - 0.8 * r, hy + 0.3 * r), (hx - 1.7 * r, hy + (0.2 + 0.35 * number) * r)),
            weight=0.5,
            width=0.008,
        )


CATEGORIES = (
    Category(
        "cat", cat, PARTS, "animal fur legs four-legs tail ears-pointed whiskers eyes pet round-head small"
    ),
    Category(
        "cow", cow, PARTS, "animal hide legs four-legs tail horns spots eyes farm hoof heavy large long-body"
    ),
    Category("dog", dog, PARTS, "animal fur legs four-legs tail ears-floppy snout eyes pet small long-body"),
    Category(
        "horse",
        horse,
        PARTS,
        "animal fur legs four-legs tail mane eyes farm hoof snout large long-neck long-body rideable",
    ),
    Category("sheep", sheep, PARTS, "animal wool legs four-legs tail eyes farm hoof cloudy round small"),
    Category(
        "giraffe",
        giraffe,
        PARTS,
        "animal fur legs four-legs tail horns spots eyes hoof large tall long-neck wild",
    ),
    Category(
        "rabbit", rabbit, PARTS, "animal fur legs four-legs tail ears-long whiskers eyes pet small round-head"
    ),
)
