"""Definition of rasterize: Bresenham's lines point by point, each pixel stamped with a disc; or distances of every pixel.

Numbered steps are those the kernels follow to the bit (csrc/math/rasterize.h).
"""

import numpy as np
import torch
from torch import Tensor

PAPER, INK = 255, 0


def rasterize(
    points: Tensor,
    pen: Tensor,
    size: int | tuple[int, int],
    thickness: int = 1,
    antialias: bool = False,
    *,
    lengths: Tensor | None = None,
    fit: float | None = None,
) -> Tensor:
    """points floating [N, T, 2], pen [N, T] (non-zero: lifts after this point) -> uint8 [N, H, W], paper 255 and ink 0."""
    height, width = (size, size) if isinstance(size, int) else size
    given = points.detach().float().cpu().numpy()
    lifts = pen.detach().cpu().float().numpy() != 0
    count = len(given)
    ends = [given.shape[1]] * count if lengths is None else lengths.tolist()
    images = np.full((count, height, width), PAPER, np.uint8)
    for image, places, lift, end in zip(images, given, lifts, ends, strict=True):
        drawn = places[:end] if fit is None else fitted(places[:end], height, width, fit)
        if antialias:
            image[:] = covered(drawn, lift, height, width, thickness)
        else:
            for x, y in pixels(drawn, lift):
                stamp(image, x, y, thickness)
    return torch.from_numpy(images).to(points.device)


def fitted(places: np.ndarray, height: int, width: int, fit: float) -> np.ndarray:
    """float32 [n, 2]: the bounding box scaled, aspect kept, and centred between pixel centres `fit` of the shorter side in."""
    if len(places) == 0:
        return places
    margin = fit * min(height, width)  # 1: in float64; then once rounded
    space = np.array([max(width - 1 - 2 * margin, 0), max(height - 1 - 2 * margin, 0)], np.float64).astype(
        np.float32
    )
    canvas_centre = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
    low, high = places.min(0), places.max(0)
    extent = high - low  # 2: float32, as 3 and 4
    centre = (low + high) * np.float32(0.5)  # 3
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.where(extent > 0, space / extent, np.float32(np.inf)).min()  # 4
    if not np.isfinite(scale):  # no extent
        scale = np.float32(1)
    moved = (places - centre).astype(np.float64) * float(scale)  # 5: float32, then an exact product
    return (moved + canvas_centre).astype(np.float32)  # 6: rounded to float64, then to float32


def pixels(places: np.ndarray, lift: np.ndarray) -> list[tuple[int, int]]:
    """Those of every point, and of the lines between points where the pen does not lift."""
    rounded = np.floor(places + np.float32(0.5)).astype(np.int64).tolist()
    drawn = [(x, y) for x, y in rounded]
    for i in range(len(rounded) - 1):
        if not lift[i]:
            drawn += line(*rounded[i], *rounded[i + 1])
    return drawn


def line(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    """Bresenham's line from the first to the second point; halves are rounded towards the second."""
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    right, down = (1 if x1 >= x0 else -1), (1 if y1 >= y0 else -1)
    if dx >= dy:
        return [(x0 + right * k, y0 + down * ((2 * k * dy + dx) // (2 * dx or 1))) for k in range(dx + 1)]
    return [(x0 + right * ((2 * k * dx + dy) // (2 * dy)), y0 + down * k) for k in range(dy + 1)]


def stamp(image: np.ndarray, x: int, y: int, thickness: int) -> None:
    """The disc of that diameter around (x, y); of an even diameter it lies half a pixel to the right and below."""
    even = 1 - thickness % 2
    reach = thickness // 2
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            inside = (2 * dx - even) ** 2 + (2 * dy - even) ** 2 <= thickness**2
            if inside and 0 <= x + dx < image.shape[1] and 0 <= y + dy < image.shape[0]:
                image[y + dy, x + dx] = INK


def covered(places: np.ndarray, lift: np.ndarray, height: int, width: int, thickness: int) -> np.ndarray:
    """round(255 (1 - max over lines and points of clamp(1/2 + t/2 - distance, 0, 1))), in float64."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    coverage = np.zeros((height, width))
    wide = places.astype(np.float64)
    for i, start in enumerate(wide):
        joined = i + 1 < len(wide) and not lift[i]
        along = wide[i + 1] - start if joined else np.zeros(2)
        from_x, from_y = x - start[0], y - start[1]
        part = np.clip((from_x * along[0] + from_y * along[1]) / max(along @ along, 1e-300), 0, 1)
        distance = np.hypot(from_x - part * along[0], from_y - part * along[1])
        coverage = np.maximum(coverage, np.clip(0.5 + thickness / 2 - distance, 0, 1))
    return np.rint(255 * (1 - coverage)).astype(np.uint8)
