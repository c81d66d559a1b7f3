"""Similarities between queries and a gallery, in blocks of rows, and the best of them.

Similarities are float32 matrix products (never TF32, never float64); Hamming distances are exact integers
from the native operators. Higher scores are better everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sketchfast.matmul_precision import full_float32

METRICS = ("cosine", "euclidean", "hamming")
BLOCK_BYTES = 64 << 20

# Bytes of working memory for one (query, gallery item) pair of a block, scores included. The CPU keeps the
# scores and, at worst, a rank per item; sorting keeps scores, sorted scores, int64 order, its scratch and the
# gathered labels.
BYTES_PER_PAIR_COUNTING = 8
BYTES_PER_PAIR_SORTING = 48


def topk(
    queries: torch.Tensor | np.ndarray,
    gallery: torch.Tensor | np.ndarray,
    k: int,
    metric: str = "cosine",
    *,
    block_bytes: int = BLOCK_BYTES,
    device: torch.device | str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The k best gallery items of each query: (scores [Q, k], ids int64 [Q, k]), ordered by (score, id).

    Higher scores are better: cosine similarity, negative Euclidean distance (float32) or negative Hamming
    distance (int32). Inputs and errors as `evaluate_retrieval`.
    """
    if metric not in METRICS:
        raise ValueError(f"metric: expected one of {', '.join(METRICS)}; found {metric!r}")
    query_items, gallery_items = prepared(queries, gallery, metric, device)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k: expected a positive integer; found {k!r}")
    if k > len(gallery_items):
        raise ValueError(f"k: {k} is larger than the gallery ({len(gallery_items)} items)")
    if metric == "hamming":
        distances, ids = hamming_op("hamming_topk")(query_items, gallery_items, int(k))
        return -distances, ids
    scores = torch.empty((len(query_items), k), device=query_items.device)
    ids = torch.empty((len(query_items), k), dtype=torch.int64, device=query_items.device)
    blocks = row_blocks(len(query_items), len(gallery_items), False, block_bytes)
    scores_of = similarity(query_items, gallery_items, metric, blocks)
    with full_float32():
        for rows in blocks:
            # a stable sort, because torch.topk promises no order among equal scores
            values, order = torch.sort(scores_of(rows) + 0.0, dim=1, descending=True, stable=True)
            scores[rows], ids[rows] = values[:, :k], order[:, :k]
    if metric == "euclidean":
        # the scores were q.g - |g|^2 / 2; the distance comes from the differences, without cancellation
        for row in range(len(query_items)):
            scores[row] = -(gallery_items[ids[row]] - query_items[row]).norm(dim=1)
    return scores, ids


def prepared(
    queries: torch.Tensor | np.ndarray,
    gallery: torch.Tensor | np.ndarray,
    metric: str,
    device: torch.device | str | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both sides checked, on one device, float32 (normalised for cosine) or packed uint8."""
    items = []
    for name, given in (("queries", queries), ("gallery", gallery)):
        if not isinstance(given, (torch.Tensor, np.ndarray)):
            raise TypeError(f"{name}: expected a tensor or a numpy array; found {type(given).__name__}")
        tensor = torch.as_tensor(given).detach()
        if tensor.ndim != 2:
            raise ValueError(f"{name}: expected shape [items, dimensions]; found {tuple(tensor.shape)}")
        if len(tensor) == 0:
            raise ValueError(f"{name}: expected at least one item; found none")
        if metric == "hamming" and tensor.dtype != torch.uint8:
            raise TypeError(
                f'{name}: metric "hamming" expects packed uint8 codes (pack_bits); found {tensor.dtype}'
            )
        if metric != "hamming" and not tensor.is_floating_point():
            raise TypeError(f'{name}: metric "{metric}" expects float embeddings; found {tensor.dtype}')
        items.append(tensor)
    if items[0].shape[1] != items[1].shape[1]:
        unit = "bytes per code" if metric == "hamming" else "dimensions"
        raise ValueError(
            f"queries and gallery: expected equal {unit}; found {items[0].shape[1]} and {items[1].shape[1]}"
        )
    if device is None:
        if items[0].device != items[1].device:
            raise ValueError(
                f"queries and gallery: expected one device, or pass device; "
                f"found {items[0].device} and {items[1].device}"
            )
        device = items[0].device
    for i, name in enumerate(("queries", "gallery")):
        items[i] = items[i].to(device)
        if metric == "hamming":
            items[i] = items[i].contiguous()
            continue
        items[i] = items[i].to(torch.float32)
        finite = torch.isfinite(items[i]).all(dim=1)
        if not finite.all():
            row = int((~finite).nonzero()[0])
            raise ValueError(f"{name}: expected finite float32 values; found NaN or infinity in row {row}")
        if metric == "cosine":
            # first to a largest entry of 1, so that no norm overflows or vanishes in float32
            largest = items[i].abs().amax(dim=1, keepdim=True)
            items[i] = torch.nn.functional.normalize(items[i] / largest.clamp_min(1e-38), dim=1)
    return items[0], items[1]


def similarity(
    queries: torch.Tensor, gallery: torch.Tensor, metric: str, blocks: Sequence[slice]
) -> Callable[[slice], torch.Tensor]:
    """A function rows -> float32 scores [B, G] in one reused buffer; "euclidean" gives q.g - |g|^2 / 2, which
    orders a row as -|q - g| does."""
    buffer = torch.empty((blocks[0].stop, len(gallery)), dtype=torch.float32, device=queries.device)
    offset = -0.5 * (gallery * gallery).sum(dim=1) if metric == "euclidean" else None

    def scores_of(rows: slice) -> torch.Tensor:
        out = buffer[: rows.stop - rows.start]
        if offset is None:
            return torch.matmul(queries[rows], gallery.T, out=out)
        return torch.addmm(offset, queries[rows], gallery.T, out=out)

    return scores_of


def row_blocks(num_queries: int, num_gallery: int, on_cpu: bool, block_bytes: int) -> list[slice]:
    """Slices of queries whose working memory stays within block_bytes; one row at least."""
    per_pair = BYTES_PER_PAIR_COUNTING if on_cpu else BYTES_PER_PAIR_SORTING
    rows = max(1, min(num_queries, block_bytes // max(1, num_gallery * per_pair)))
    return [slice(first, min(first + rows, num_queries)) for first in range(0, num_queries, rows)]


def hamming_op(name: str) -> Callable[..., Any]:
    # imported on use: real-valued retrieval does not need the native module
    import sketchfast.ops

    return getattr(sketchfast.ops, name)
