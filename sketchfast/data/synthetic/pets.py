"""Animals of the house."""

from __future__ import annotations

from .drawing import Category, Drawing
from .four_legs import PARTS, eye, legs, trunk
from .geometry import ellipse, polyline, scallops, spline, tube


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
        legs(d, (-0.72 * long, 0.78 * long), 0.3 * high, foot, width, "fur", near=False)
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
        d.shape("body", trunk(d, long, high, 0.0), "fur", join="animal")
        legs(d, (-0.76 * long, 0.8 * long), 0.1 * high, foot + 0.02, width, "fur", near=True)
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
        eye(d, hx + side * 0.4 * r, hy - 0.15 * r, 0.13 * r)
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


def dog(d: Drawing, swing: float = 0.09, knee: float = 0.02) -> None:
    long, high = d.value("long", 0.36, 0.5), d.value("high", 0.13, 0.19)
    foot = high + d.value("leg", 0.18, 0.34)
    width = d.value("leg_width", 0.06, 0.085)
    legs(d, (-0.75 * long, 0.8 * long), 0.3 * high, foot, width, "fur", near=False, swing=swing, knee=knee)
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
    d.shape("body", trunk(d, long, high, -0.05), "fur", join="animal")
    legs(
        d,
        (-0.78 * long, 0.82 * long),
        0.1 * high,
        foot + 0.02,
        width,
        "fur",
        near=True,
        swing=swing,
        knee=knee,
    )
    hx, hy = -long - d.value("reach", 0.03, 0.12), -high - d.value("head_lift", 0.12, 0.24)
    d.shape(
        "body",
        tube(polyline((-0.75 * long, -0.2 * high), (hx + 0.05, hy + 0.04)), (0.26, 0.18)),
        "fur",
        join="animal",
    )
    dog_head(d, hx, hy)


def dog_head(d: Drawing, hx: float, hy: float) -> None:
    """In profile, facing left; (hx, hy) is its middle."""
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
    eye(d, hx - 0.06, hy - 0.05)
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


def striding_dog(d: Drawing) -> None:
    dog(d, swing=0.22, knee=0.06)


def sitting_dog(d: Drawing) -> None:
    """In profile, facing left, on its haunches."""
    high, wide = d.value("sit_high", 0.5, 0.68), d.value("sit_wide", 0.4, 0.56)
    lean, width = d.value("sit_lean", 0.0, 0.1), d.value("leg_width", 0.06, 0.09)
    rump = (0.8 * wide, 0.36 * high)
    wag = d.value("tail_wag", 0.1, 0.3)
    d.shape(
        "tail",
        tube(
            polyline(
                rump,
                (rump[0] + 0.6 * wag, 0.47 * high),
                (rump[0] + wag, 0.47 * high - d.value("tail", 0.0, 0.25)),
            ),
            (0.08, 0.06, 0.03),
        ),
        "fur",
        join="animal",
    )
    d.shape(
        "body",
        spline(
            (-0.32 * wide - lean, -0.5 * high),
            (0.05 * wide - lean, -0.55 * high),
            (0.45 * wide, -0.1 * high),
            (0.85 * wide, 0.2 * high),
            (0.85 * wide, 0.46 * high),
            (0.3 * wide, 0.5 * high),
            (-0.1 * wide, 0.35 * high),
            (-0.4 * wide, -0.1 * high),
        ),
        "fur",
        join="animal",
    )
    foot = 0.52 * high
    for near in (False, True):
        x = (-0.22 if near else -0.08) * wide - lean
        step = d.value(f"front_stride_{near}", -0.06, 0.04)
        d.shape(
            "leg",
            tube(
                polyline((x, 0.02 * high), (x + 0.02, 0.3 * high), (x + step, foot)),
                (1.5 * width, width, width),
            ),
            "fur",
            weight=1.0 if near else 0.9,
        )
    haunch = d.value("haunch", 0.17, 0.23)
    d.shape("leg", ellipse(0.5 * wide, 0.3 * high, haunch, 1.05 * haunch), "fur", weight=0.9, join="hind")
    d.shape("leg", ellipse(0.28 * wide, 0.49 * high, 0.15, 0.05), "fur", join="hind")
    hx, hy = -0.22 * wide - lean, -0.62 * high - d.value("head_lift", 0.04, 0.14)
    neck = tube(polyline((-0.12 * wide - lean, -0.38 * high), (hx + 0.03, hy + 0.03)), (0.28, 0.2))
    d.shape("body", neck, "fur", join="animal")
    dog_head(d, hx, hy)


def dog_from_the_front(d: Drawing) -> None:
    """Sitting or standing, looking at us."""
    high, wide = d.value("sit_high", 0.45, 0.62), d.value("sit_wide", 0.19, 0.27)
    width = d.value("leg_width", 0.08, 0.11)
    r = d.value("head", 0.16, 0.23)
    if d.chance("tail_shown", 0.5):
        side = 1 if d.chance("tail_side", 0.5) else -1
        d.shape(
            "tail",
            tube(
                polyline(
                    (side * 0.8 * wide, 0.3 * high),
                    (side * (wide + 0.12), 0.28 * high),
                    (side * (wide + d.value("tail", 0.16, 0.3)), 0.05 * high),
                ),
                (0.07, 0.06, 0.03),
            ),
            "fur",
        )
    for side in (-1, 1):
        d.shape("leg", ellipse(side * 0.95 * wide, 0.42 * high, 0.11, 0.15), "fur", weight=0.7)
        d.shape("leg", ellipse(side * 1.05 * wide, 0.53 * high, 0.12, 0.05), "fur", weight=0.8)
    d.shape(
        "body",
        spline(
            (-0.6 * wide, -0.5 * high),
            (0.6 * wide, -0.5 * high),
            (0.9 * wide, 0.0),
            (wide, 0.35 * high),
            (0.5 * wide, 0.5 * high),
            (-0.5 * wide, 0.5 * high),
            (-wide, 0.35 * high),
            (-0.9 * wide, 0.0),
        ),
        "fur",
    )
    for side in (-1, 1):
        d.shape(
            "leg",
            tube(
                polyline((side * 0.42 * wide, -0.02 * high), (side * 0.45 * wide, 0.57 * high)),
                (1.1 * width, 1.2 * width),
            ),
            "fur",
        )
    _face(d, d.value("head_shift", -0.08, 0.08), -0.5 * high - 0.6 * r, r)


def dog_face(d: Drawing) -> None:
    """Nothing but the head; some drawers add the lines of the shoulders."""
    r = 0.4
    if d.chance("shoulders", 0.4):
        for side in (-1, 1):
            d.line(polyline((side * 0.7 * r, 1.1 * r), (side * 1.1 * r, 1.8 * r)), weight=0.9)
    _face(d, 0.0, 0.0, r)


def _face(d: Drawing, hx: float, hy: float, r: float) -> None:
    """A dog's head from the front, r its half height."""
    long = d.value("face_long", 0.9, 1.25)
    d.shape(
        "head",
        spline(
            (hx - 0.5 * r, hy - 0.85 * r),
            (hx + 0.5 * r, hy - 0.85 * r),
            (hx + 0.85 * r, hy - 0.1 * r),
            (hx + 0.55 * r, hy + 0.55 * r),
            (hx + 0.3 * r, hy + long * r),
            (hx - 0.3 * r, hy + long * r),
            (hx - 0.55 * r, hy + 0.55 * r),
            (hx - 0.85 * r, hy - 0.1 * r),
        ),
        "fur",
        join="head",
    )
    ear, floppy = d.value("ear", 0.9, 1.5) * r, d.chance("floppy", 0.7)
    for side in (-1, 1):
        if floppy:
            shape = spline(
                (hx + side * 0.45 * r, hy - 0.85 * r),
                (hx + side * 0.95 * r, hy - 0.6 * r),
                (hx + side * 1.2 * r, hy - 0.5 * r + 0.7 * ear),
                (hx + side * 0.95 * r, hy - 0.5 * r + ear),
                (hx + side * 0.7 * r, hy - 0.1 * r),
            )
        else:
            shape = polyline(
                (hx + side * 0.85 * r, hy - 0.35 * r),
                (hx + side * 0.85 * r, hy - 0.55 * r - 0.8 * ear),
                (hx + side * 0.2 * r, hy - 0.85 * r),
            )
        d.shape("head", shape, "hair", join=None if floppy else "head")
    for side in (-1, 1):
        eye(d, hx + side * 0.35 * r, hy - 0.15 * r, 0.1 * r)
    d.shape("head", ellipse(hx, hy + 0.7 * long * r, 0.17 * r, 0.12 * r), "rubber", weight=0.95)
    d.line(
        spline(
            (hx - 0.3 * r, hy + 0.8 * long * r),
            (hx - 0.1 * r, hy + 0.9 * long * r),
            (hx, hy + 0.78 * long * r),
            (hx + 0.1 * r, hy + 0.9 * long * r),
            (hx + 0.3 * r, hy + 0.8 * long * r),
            closed=False,
        ),
        weight=0.6,
    )


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
    eye(d, hx - 0.25 * r, hy - 0.2 * r, 0.022)
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
        "dog",
        dog,
        PARTS,
        "animal fur legs four-legs tail ears-floppy snout eyes pet small long-body",
        poses=(striding_dog, sitting_dog, dog_from_the_front, dog_face),
    ),
    Category(
        "rabbit", rabbit, PARTS, "animal fur legs four-legs tail ears-long whiskers eyes pet small round-head"
    ),
)
