"""The centreline of a sketch as line segments, so that it can be scaled, turned and bent without breaking.

A line one pixel wide does not survive a resize: shrunk it fades or falls apart, enlarged it grows, and a threshold
after it decides at random. Here the ink is reduced to its centreline at the picture's own resolution, every pair of
touching centreline pixels becomes a segment, the segments' ends are moved by whatever map is asked for, and the
segments are drawn again, one pixel wide, at the new resolution: what was connected stays connected, and two lines
merge only where they come closer than a pixel. Cost: about 1 ms for a sketch of 2,000 centreline pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sketchfast import numpy_ops

#: Moves points: float64 [n, 2] of (x, y), pixel centres at whole numbers, to the same in the new picture.
PointMap = Callable[[np.ndarray], np.ndarray]

# Neighbours that together name every touching pair of pixels once: east, south, south-east, south-west.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


_FAINTEST = 240
_SOLID = 1.2
_RIDGE_SHARE = 99.0


def ink(image: np.ndarray, threshold: int = 128, adaptive: bool = False) -> np.ndarray:
    """bool [H, W]: pixels darker than `threshold`; adaptive: which is raised for a picture whose lines are fainter (ours).

    An antialiased line about a pixel wide is a string of dark and half-dark pixels, and a fixed threshold takes it
    apart (the 321-pixel TU-Berlin sketches of SketchParse fall into 100 pieces at 128). Such a picture shows by
    having many more grey pixels than dark ones; its threshold becomes the level below which 99 % of the
    centreline of everything grey lies. Solid lines keep the given threshold.
    """
    dark = image < threshold
    if not adaptive:
        return dark
    grey = image < _FAINTEST
    if np.count_nonzero(grey) > _SOLID * np.count_nonzero(dark):
        levels = image[_skeleton(grey)]
        if len(levels):
            dark = image < min(_FAINTEST, max(threshold, int(np.percentile(levels, _RIDGE_SHARE)) + 1))
    return dark


def centreline(image: np.ndarray, threshold: int = 128, adaptive: bool = False) -> np.ndarray:
    """bool [H, W]: the homogeneous transformation (DeepSSP, section III-A) of `ink`, lines one pixel wide."""
    return _skeleton(ink(image, threshold, adaptive))


def _skeleton(mask: np.ndarray) -> np.ndarray:
    return numpy_ops.skeletonize(mask, threads=1)


def segments(image: np.ndarray, threshold: int = 128, adaptive: bool = False) -> np.ndarray:
    """float64 [n, 2, 2]: both ends (x, y) of each segment of the centreline of uint8 [H, W].

    A pixel with no neighbour is a segment of length 0. Steps along a row or column come first; a diagonal step
    that they already join is left out.
    """
    line = centreline(image, threshold, adaptive)
    height, width = line.shape
    padded = np.zeros((height + 2, width + 2), bool)
    padded[1:-1, 1:-1] = line
    joined = np.zeros_like(padded)
    found = []
    for dy, dx in _NEIGHBOURS:
        other = padded[1 + dy : height + 1 + dy, 1 + dx : width + 1 + dx]
        pairs = line & other
        if dx and dy:  # three pixels in an L are two steps, not a triangle
            pairs &= ~(padded[1 + dy : height + 1 + dy, 1:-1] | padded[1:-1, 1 + dx : width + 1 + dx])
        y, x = np.nonzero(pairs)
        joined[y + 1, x + 1] = True
        joined[y + 1 + dy, x + 1 + dx] = True
        found.append(np.stack([np.stack([x, y], 1), np.stack([x + dx, y + dy], 1)], 1))
    y, x = np.nonzero(line & ~joined[1:-1, 1:-1])
    dots = np.stack([x, y], 1)
    found.append(np.stack([dots, dots], 1))
    return np.concatenate(found).astype(np.float64)


def draw_segments(lines: np.ndarray, size: int, point_map: PointMap) -> np.ndarray:
    """Segments moved by `point_map`, drawn and thinned to one pixel: bool [size, size]; what leaves the picture is cut off.

    Drawn pixels touch along a segment: it is sampled at steps of half a pixel or less.
    """
    canvas = np.zeros((size, size), bool)
    if len(lines) == 0:
        return canvas
    ends = point_map(lines.reshape(-1, 2)).reshape(-1, 2, 2)
    longest = float(np.abs(ends[:, 1] - ends[:, 0]).max())
    # A map that tears the plane apart would ask for any number of samples.
    steps = min(2 * int(np.ceil(longest)) + 1, 4 * size)
    t = np.linspace(0.0, 1.0, steps + 1)[:, None, None]
    points = np.rint(ends[:, 0] * (1 - t) + ends[:, 1] * t).astype(np.int64).reshape(-1, 2)
    points = points[((points >= 0) & (points < size)).all(1)]
    canvas[points[:, 1], points[:, 0]] = True
    return _skeleton(canvas)
