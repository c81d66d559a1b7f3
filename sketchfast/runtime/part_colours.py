"""One colour for each part id, the same in reports and in the pictures that `sketchfast parse` writes."""

from __future__ import annotations

import numpy as np

# Ids 1 to 7: the palette of Okabe and Ito (2008) without black, which is the ink's, told apart by people who see two
# primary colours only; 8, which only the bird has: the wine of Paul Tol's muted scheme.
_IN_ORDER = ("e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7", "882255")
NUM_COLOURS = len(_IN_ORDER)

#: uint8 [256, 3]: RGB of each id. 0 (background) and 255 (ignored) are white; ids above 8 start over.
PART_COLOURS = np.full((256, 3), 255, np.uint8)
for _id in range(1, 255):
    PART_COLOURS[_id] = np.frombuffer(bytes.fromhex(_IN_ORDER[(_id - 1) % NUM_COLOURS]), np.uint8)


def part_colour(part_id: int) -> str:
    """`#rrggbb` of a part id, 0 to 255."""
    return "#" + PART_COLOURS[part_id].tobytes().hex()


def coloured(mask: np.ndarray, image: np.ndarray | None = None) -> np.ndarray:
    """Part ids uint8 [H, W] as colours uint8 [H, W, 3]; with `image`, uint8 [H, W], its ink is darkened into them."""
    picture = PART_COLOURS[mask]
    if image is None:
        return picture
    shade = 0.15 + 0.85 * image[:, :, None].astype(np.float32) / 255.0
    return np.rint(picture * shade).astype(np.uint8)
