"""Weighted distances of many queries to a gallery that is encoded once (equation (8) of VTD, section 3.2).

A query's weights are diagonal, so that the photos need not be encoded again for it. With w = 1 + eta, for each of S samples:

    d(s, p) = sum_d w_d^2 (F_s,d - F_p,d)^2 = w^2 . F_s^2  +  w^2 . F_p^2  -  2 (w^2 F_s) . F_p

and the answer is the smallest d over the samples. Two matrix products give it for a block of queries and photos:
[W S, D] x [D, N] for the middle term, which depends on the weights alone, hence once for queries that share them (one trait
descriptor, one set of weights), and [Q S, D] x [D, N] for the last. 2 (W + Q) S N D operations; the loop over queries and samples
needs as many, but moves the gallery through memory Q S times.

Three terms cancel where d is small. Both sides are first centred on the gallery's mean, which changes no difference and takes
away what all features share. With A = w^2 . F_s^2 and B = w^2 . F_p^2, d >= (sqrt A - sqrt B)^2, so B <= (sqrt A + sqrt d)^2, and
A / d alone bounds how much larger than d the terms are. Where d < A / 8, the pair is computed again from its differences, in
which nothing cancels; elsewhere A + B is at most 23 d. Rounding costs about 1e-6 of A + B for D up to some thousands, which
leaves 2e-5 of d.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sketchfast.arrays import check_whole, real_array
from sketchfast.matmul_precision import full_float32

BLOCK_BYTES = 64 << 20
RECOMPUTED_BELOW = 1 / 8  # of A, see above


@torch.no_grad()
def weighted_distances(
    queries: Any,
    gallery: Any,
    weights: Any = None,
    weights_of: Any = None,
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: bool = False,
) -> Tensor:
    """float32 [Q, N]: distance of every sketch to every photo, the smallest over the S samples of the sketch's weights.

    queries: real [Q, D], the sketches' features. gallery: real [N, D], the photos'. weights: real [W, S, D], w = 1 + eta, zero
        and negative ones allowed; None: all 1. Tensors of one device, CPU or CUDA, or arrays of any strides and byte order;
        computed in float32 (never TF32).
    weights_of: integers [Q], the row of `weights` that is each query's. None: W = Q, row i is query i's. Queries that share a row
        are up to twice as fast.
    block_bytes: working memory beside inputs and result; one query's samples and one photo at least. progress: show a bar.
    Within 1e-4 relative of the float64 loop over queries and samples, near-duplicates and large common offsets included.

    Raises ValueError naming the argument: other shapes, no query, photo or sample, rows outside 0..W - 1, NaN or infinity,
    several devices, values so large that a square leaves float32, block_bytes that is no positive whole number. Raises TypeError
    for values that are not real numbers in rows of one length, or rows that are not integers.
    """
    search = _Search(queries, gallery, weights, weights_of, block_bytes)
    found = torch.empty(len(search.queries), len(search.gallery), device=search.gallery.device)
    order = search.in_order()
    search.fill(found, order, order, progress)
    return found


@torch.no_grad()
def weighted_topk(
    queries: Any,
    gallery: Any,
    weights: Any = None,
    weights_of: Any = None,
    *,
    k: int,
    block_bytes: int = BLOCK_BYTES,
    progress: bool = False,
) -> tuple[Tensor, Tensor]:
    """(distances float32 [Q, k], ids int64 [Q, k]) of the k nearest photos, ordered by (distance, id).

    Arguments, precision and errors of `weighted_distances`; k from 1 to N. The whole [Q, N] is never held. Distances that differ
    by float32 rounding alone may come in either order.
    """
    check_whole("block_bytes", block_bytes)
    search = _Search(queries, gallery, weights, weights_of, max(1, block_bytes // 2))
    photos = len(search.gallery)
    check_whole("k", k, photos, ", the photos of the gallery")
    k = int(k)
    device = search.gallery.device
    distances = torch.empty(len(search.queries), k, device=device)
    ids = torch.empty(len(search.queries), k, dtype=torch.int64, device=device)
    # distances, their sorted copy, its int64 places, and the sort's scratch
    rows = max(1, block_bytes // 2 // (32 * photos))
    for some in _shown(search.in_order().split(rows), progress):
        found = torch.empty(len(some), photos, device=device)
        search.fill(found, some, torch.arange(len(some), device=device))
        # A stable sort: torch.topk promises no order among equal distances, nor which of them it keeps.
        values, order = torch.sort(found, dim=1, stable=True)
        distances[some], ids[some] = values[:, :k], order[:, :k]
    return distances, ids


class _Search:
    """Checked inputs in float32, and how they are cut into blocks."""

    def __init__(self, queries: Any, gallery: Any, weights: Any, weights_of: Any, block_bytes: int) -> None:
        check_whole("block_bytes", block_bytes)
        self.queries = _real("queries", queries, ("Q", "D"))
        self.gallery = _real("gallery", gallery, ("N", "D"))
        count, dim = self.queries.shape
        device = self.gallery.device
        if weights is None:
            if weights_of is not None:
                raise ValueError("weights_of: expected None without weights; found rows of weights")
            self.weights = torch.ones(1, 1, dim, device=device)
            self.weights_of = torch.zeros(count, dtype=torch.int64, device=device)
        else:
            self.weights = _real("weights", weights, ("W", "S", "D"))
            self.weights_of = self._rows(weights_of)
        if self.gallery.shape[1] != dim:
            raise ValueError(
                f"gallery: expected the {dim} dimensions of queries; found {self.gallery.shape[1]}"
            )
        if self.weights.shape[2] != dim:
            raise ValueError(
                f"weights: expected the {dim} dimensions of queries; found {self.weights.shape[2]}"
            )
        for name, values in (("queries", self.queries), ("weights", self.weights)):
            if values.device != device:
                raise ValueError(f"{name}: expected the gallery's device, {device}; found {values.device}")
        self.mean: Tensor = self.gallery.mean(dim=0)
        samples = self.weights.shape[1]
        # A block of x photos and x rows (a row is one sample of one query) holds 2 x D values of photos, 3 x D of rows (their
        # weights, squares and products) and 3 x^2 of distances.
        budget = block_bytes / 4
        side = int(((25 * dim * dim + 12 * budget) ** 0.5 - 5 * dim) / 6)
        self.photos_at_once = max(1, min(side, len(self.gallery)))
        self.queries_at_once = max(1, side // samples)

    def _rows(self, weights_of: Any) -> Tensor:
        count, rows = len(self.queries), len(self.weights)
        if weights_of is None:
            if rows != count:
                raise ValueError(
                    f"weights: expected one row for each of the {count} queries, or weights_of; found {rows}"
                )
            return torch.arange(count, device=self.gallery.device)
        chosen = _tensor("weights_of", weights_of).to(self.gallery.device)
        if chosen.is_floating_point() or chosen.is_complex() or chosen.dtype == torch.bool:
            raise TypeError(f"weights_of: expected integers; found {chosen.dtype}")
        if chosen.shape != (count,):
            raise ValueError(f"weights_of: expected {count}, one per query; found shape {list(chosen.shape)}")
        if int(chosen.min()) < 0 or int(chosen.max()) >= rows:
            raise ValueError(
                f"weights_of: expected 0..{rows - 1}, rows of weights; found {int(chosen.min())}..{int(chosen.max())}"
            )
        return chosen.long()

    def in_order(self) -> Tensor:
        """The queries, those that share weights side by side."""
        return self.weights_of.argsort(stable=True)

    def fill(self, found: Tensor, queries: Tensor, places: Tensor, progress: bool = False) -> None:
        """found[places] [., N] = distances of the queries, both given by row."""
        starts = range(0, len(self.gallery), self.photos_at_once)
        blocks = list(
            zip(queries.split(self.queries_at_once), places.split(self.queries_at_once), strict=True)
        )
        with full_float32():
            for start in _shown(starts, progress):
                photos = self.gallery[start : start + self.photos_at_once]
                centred = photos - self.mean
                squared = centred.square()
                for some, rows in blocks:
                    block = self._block(some, photos, centred, squared)
                    found[rows, start : start + len(photos)] = block

    def _block(self, queries: Tensor, photos: Tensor, centred: Tensor, squared: Tensor) -> Tensor:
        """[q, n] of the equation above."""
        sketches = self.queries[queries]
        moved = sketches - self.mean
        used, of = torch.unique(self.weights_of[queries], return_inverse=True)
        squares = self.weights[used].square_()  # w^2 [u, S, D]
        shared = len(used) < len(
            queries
        )  # if not, of is 0, 1, 2, ...: queries come in the order of their weights
        own = squares[of] if shared else squares  # [q, S, D]
        products = own * moved[:, None]
        first = torch.bmm(products, moved[:, :, None])  # A [q, S, 1]
        distances = (squares.flatten(0, 1) @ squared.T).unflatten(0, squares.shape[:2])
        if shared:
            distances = distances[of]
        distances.flatten(0, 1).addmm_(products.flatten(0, 1), centred.T, alpha=-2.0)
        found = distances.add_(first).amin(dim=1)
        self._again(found, found < RECOMPUTED_BELOW * first.amax(dim=1), sketches, photos, own)
        found.clamp_min_(0.0)
        if not bool(torch.isfinite(found).all()):
            raise ValueError(
                "queries, gallery, weights: expected values whose products fit float32; a distance is infinite or NaN"
            )
        return found

    def _again(self, found: Tensor, which: Tensor, sketches: Tensor, photos: Tensor, squares: Tensor) -> None:
        """Compute found[which] from differences: once for all samples, then one product with their squared weights."""
        for i in which.any(dim=1).nonzero().flatten().tolist():
            for chosen in which[i].nonzero().flatten().split(max(1, self.photos_at_once // 2)):
                differences = photos[chosen].sub_(sketches[i]).square_()
                found[i, chosen] = (differences @ squares[i].T).amin(dim=1)


def _shown(items: Any, show: bool) -> Iterator[Any]:
    if not show:
        return iter(items)
    from rich.progress import track

    return iter(track(items, "Searching", transient=True))


def _real(name: str, given: Any, dims: tuple[str, ...]) -> Tensor:
    """The values in float32, checked: rank, no empty side, finite."""
    values = _tensor(name, given)
    if values.is_complex() or values.dtype == torch.bool:
        raise TypeError(f"{name}: expected real numbers; found {values.dtype}")
    if values.ndim != len(dims) or 0 in values.shape:
        raise ValueError(
            f"{name}: expected shape [{', '.join(dims)}] with no side 0; found {list(values.shape)}"
        )
    values = values.to(torch.float32)
    low, high = torch.aminmax(values)  # NaN if there is one; nothing of the size of the values is made
    if not bool(torch.isfinite(torch.stack((low, high))).all()):
        rows = values.flatten(1)
        row = next(i for i in range(len(rows)) if not bool(torch.isfinite(rows[i]).all()))
        raise ValueError(f"{name}: expected finite float32 values; found NaN or infinity in row {row}")
    return values


def _tensor(name: str, given: Any) -> Tensor:
    """The values without their gradient; what is no tensor goes through numpy, whose arrays torch takes only some of."""
    if isinstance(given, Tensor):
        return given.detach()
    values = real_array(name, given)
    # Torch knows neither negative strides nor another byte order.
    values = values.astype(values.dtype.newbyteorder("="), order="C", copy=False)
    with warnings.catch_warnings():  # of a read-only array, such as a mapped file: nothing is written into it
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(values)
