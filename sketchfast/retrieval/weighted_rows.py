"""Weighted distances of one query, with numpy alone: what the torch-free runtime ranks a gallery by.

    d(s, p) = min over samples k of  sum_d w_kd^2 (F_s,d - F_p,d)^2

One query takes the differences once, for all its samples: N D subtractions, then one product [N, D] x [D, S]. All terms are
positive, so that nothing cancels. Many queries at once: ``weighted_search``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import check_whole, real_array

BLOCK_BYTES = 1 << 20  # of differences; what stays in a core's cache between the two passes


def weighted_row(
    query: NDArray[Any], gallery: NDArray[Any], weights: NDArray[Any], *, block_bytes: int = BLOCK_BYTES
) -> NDArray[np.float32]:
    """Distance of one sketch to every photo, float32 [N]: the smallest over the S samples of its weights.

    query: real [D], the sketch's features. gallery: real [N, D], the photos' (a memory-mapped file is read once, block by
    block). weights: real [S, D], w = 1 + eta of equation (8) of VTD; zero and negative ones are allowed. Computed in float32,
    within 1e-5 relative. block_bytes: working memory, one photo at least.

    Raises ValueError naming the argument: another shape, no sample, values that are not finite. Raises TypeError for values
    that are not real numbers.
    """
    check_whole("block_bytes", block_bytes)
    shapes = {"query": "[D]", "gallery": "[N, D]", "weights": "[S, D]"}
    named = {"query": query, "gallery": gallery, "weights": weights}
    given = {name: real_array(name, values) for name, values in named.items()}
    for name, values in given.items():
        if values.ndim != shapes[name].count(",") + 1 or values.shape[-1:] != given["query"].shape[-1:]:
            there = ", ".join(f"{name} {list(values.shape)}" for name, values in given.items())
            raise ValueError(f"{name}: expected {shapes[name]} with one D for all three; found {there}")
        if 0 in values.shape and name != "gallery":
            raise ValueError(f"{name}: expected at least one value; found shape {list(values.shape)}")
    sketch, photos = given["query"].astype(np.float32), given["gallery"]
    squares = np.square(given["weights"].astype(np.float32))
    for name, values in (("query", sketch), ("weights", squares)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: expected finite values with finite squares; found NaN or infinity")
    found = np.empty(len(photos), np.float32)
    rows = max(1, block_bytes // (4 * len(sketch)))
    for start in range(0, len(photos), rows):
        differences = np.subtract(photos[start : start + rows], sketch, dtype=np.float32)
        np.square(differences, out=differences)
        found[start : start + rows] = (differences @ squares.T).min(axis=1)
    if not np.isfinite(found).all():
        photo = int((~np.isfinite(found)).argmax())
        raise ValueError(f"gallery: expected finite values; photo {photo} is at distance {found[photo]}")
    return found
