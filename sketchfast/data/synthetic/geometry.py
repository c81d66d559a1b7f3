"""Curves and closed shapes as float64 arrays [n, 2] of (x, y), y pointing down, in the category's own free units."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def polyline(*points: ArrayLike) -> Points:
    return np.array(points, dtype=np.float64)


def ellipse(
    cx: float, cy: float, rx: float, ry: float | None = None, angle: float = 0.0, n: int = 36
) -> Points:
    """Closed ellipse (a circle without `ry`), turned by `angle` degrees."""
    return place(
        arc(0.0, 0.0, rx, rx if ry is None else ry, 0.0, 360.0 * (n - 1) / n, n), cx, cy, angle=angle
    )


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float, n: int = 24) -> Points:
    """Elliptic arc from `start` to `end` degrees: 0 right, 90 down."""
    t = np.radians(np.linspace(start, end, n))
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], axis=1)


def box(x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> Points:
    """Axis-parallel rectangle with rounded corners."""
    if radius <= 0.0:
        return polyline((x0, y0), (x1, y0), (x1, y1), (x0, y1))
    r = min(radius, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    corners = [(x1 - r, y0 + r, -90), (x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180)]
    return np.concatenate([arc(cx, cy, r, r, a, a + 90, 6) for cx, cy, a in corners])


def spline(*points: ArrayLike, closed: bool = True, steps: int = 6) -> Points:
    """Catmull-Rom spline through the given points: a smooth blob, or an open curve with closed=False."""
    p = np.asarray(points, dtype=np.float64)
    if closed:
        p = np.concatenate([p[-1:], p, p[:2]])
    else:
        p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = (np.arange(steps) / steps)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    curve = curve.transpose(1, 0, 2).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, p[-2:-1]])


def tube(
    points: ArrayLike, widths: Sequence[float] | float, *, smooth: bool = True, rounded: bool = True
) -> Points:
    """Closed limb around a centre line; `widths` are interpolated along it. The end is rounded, the root is flat."""
    p = np.asarray(points, dtype=np.float64)
    if smooth and len(p) > 2:
        p = spline(*p, closed=False, steps=5)
    else:
        p = resample(p, max(4, 2 * len(p))) if len(p) == 2 else p
    tangent = np.gradient(p, axis=0)
    tangent /= np.maximum(np.hypot(tangent[:, 0], tangent[:, 1])[:, None], 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    control = np.atleast_1d(np.asarray(widths, dtype=np.float64))
    half = (
        0.5
        * np.interp(
            np.linspace(0, 1, len(p)),
            np.linspace(0, 1, max(len(control), 2)),
            np.broadcast_to(control, (max(len(control), 2),)),
        )[:, None]
    )
    left, right = p + normal * half, p - normal * half
    if not rounded:
        return np.concatenate([left, right[::-1]])
    t = np.radians(np.linspace(60, -60, 4))[:, None]
    cap = p[-1] + half[-1] * (np.cos(t) * tangent[-1] + np.sin(t) * normal[-1])
    return np.concatenate([left, cap, right[::-1]])


def scallops(
    cx: float, cy: float, rx: float, ry: float, lobes: int, depth: float, phase: float = 0.0
) -> Points:
    """Closed cloud: an ellipse whose rim bulges `lobes` times (wool, foliage)."""
    t = np.linspace(0, 2 * math.pi, lobes * 7, endpoint=False)
    r = 1.0 + depth * (np.abs(np.sin(lobes * t / 2 + phase)) - 0.5)
    return np.stack([cx + rx * r * np.cos(t), cy + ry * r * np.sin(t)], axis=1)


def star(cx: float, cy: float, outer: float, inner: float, tips: int, phase: float = -90.0) -> Points:
    t = np.radians(phase + np.arange(2 * tips) * 180.0 / tips)
    r = np.where(np.arange(2 * tips) % 2 == 0, outer, inner)
    return np.stack([cx + r * np.cos(t), cy + r * np.sin(t)], axis=1)


def place(points: Points, x: float = 0.0, y: float = 0.0, *, angle: float = 0.0) -> Points:
    """Turn by `angle` degrees (clockwise as seen, y is down), then shift."""
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return points @ np.array([[c, s], [-s, c]]) + (x, y)


def mirror(points: Points, about: float = 0.0) -> Points:
    """Left-right mirror image about the vertical line x = about."""
    return np.stack([2 * about - points[:, 0], points[:, 1]], axis=1)


def resample(points: Points, n: int, closed: bool = False) -> Points:
    """n points at equal arc length; the last equals the first again if closed."""
    p = np.concatenate([points, points[:1]]) if closed else points
    step = np.hypot(*np.diff(p, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(step)])
    at = np.linspace(0.0, along[-1], n)
    return np.stack([np.interp(at, along, p[:, 0]), np.interp(at, along, p[:, 1])], axis=1)


def length(points: Points, closed: bool = False) -> float:
    p = np.concatenate([points, points[:1]]) if closed else points
    return float(np.hypot(*np.diff(p, axis=0).T).sum())
