"""Where the positives of each query stand in its ranking, and average precision from those places.

Every retrieval score used in this field is a function of one short list per query: the 1-based ranks
r_1 < ... < r_P of the P gallery items of the query's class. The whole ranking is never needed, so no row is
sorted in full on the CPU:

* float scores: the P positives are sorted; each of the G gallery items is then dropped into the gap between
  two positives where it belongs (a table over equal score intervals finds the gap, a bisection settles the
  few cases it leaves open), and a running sum over the gaps gives the ranks. O(G + P log P) a query instead of O(G log G).
* Hamming distances: they are small integers, so one counting pass gives the place of every item. O(G + bits) a query.
* other devices: a stable sort of each block of rows (`ranks_by_sorting`), which is also the definition of the order.

The order is (score from high to low, gallery index) for scores and (distance, gallery index) for distances,
so a ranking with ties does not depend on the sort used. Scores are compared exactly as given, in their own precision.

Ranks travel as one flat int32 array, query after query, with `offsets` [B+1] marking the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit

INTERVALS_PER_POSITIVE = 16
MOST_INTERVALS = 1 << 16  # the table of one query stays in the second-level cache

# denominators of AP at k
MIN_OF_K_AND_POSITIVES, ALL_POSITIVES, HITS_IN_TOP_K = 0, 1, 2


class Positives:
    """Which gallery items belong to each query's class.

    members [G]: gallery indices grouped by class, ascending inside a class. Query q owns
    `members[start[q] : start[q] + count[q]]`.
    """

    def __init__(self, query_classes: np.ndarray, gallery_classes: np.ndarray, num_classes: int) -> None:
        self.members = np.argsort(gallery_classes, kind="stable").astype(np.int64)
        per_class = np.bincount(gallery_classes, minlength=num_classes).astype(np.int64)
        class_start = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_class)[:-1]])
        self.query_classes = query_classes
        self.gallery_classes = gallery_classes
        self.start = class_start[query_classes]
        self.count = per_class[query_classes]

    def offsets(self, rows: slice) -> np.ndarray:
        """int64 [B+1]: where the ranks of each query of a block begin in the flat array."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.count[rows])])


@njit(nogil=True, cache=True)
def _sort_part(score, index, low, high):
    """Sort score[low:high] from high to low, index along with it, stably."""
    if high - low > 16:
        order = np.argsort(-score[low:high], kind="mergesort")
        score[low:high] = score[low:high][order]
        index[low:high] = index[low:high][order]
        return
    for j in range(low + 1, high):
        s, i = score[j], index[j]
        place = j
        while place > low and score[place - 1] < s:
            score[place], index[place] = score[place - 1], index[place - 1]
            place -= 1
        score[place], index[place] = s, i


@njit(nogil=True, cache=True)
def _score_ranks(scores, members, start, count, offsets, first, last, ranks):
    items = scores.shape[1]
    interval = np.empty(items, np.int32)
    for row in range(first, last):
        positives = count[row]
        if positives == 0:
            continue
        own = members[start[row] : start[row] + positives]
        best = worst = np.float64(scores[row, own[0]])
        for j in range(1, positives):
            best = max(best, np.float64(scores[row, own[j]]))
            worst = min(worst, np.float64(scores[row, own[j]]))

        # Interval of a score s: floor((best - s) * scale) + 1, with 0 for what lies well ahead of all positives
        # and the last one for what lies well behind. Rounding keeps it monotone in s, which is all that is
        # needed. With many intervals a positive, few items share one with a positive and need the bisection.
        intervals = min(INTERVALS_PER_POSITIVE * positives, MOST_INTERVALS)
        scale = 0.0
        if 0.0 < best - worst < np.inf and (intervals - 1) / (best - worst) < np.inf:
            scale = (intervals - 1) / (best - worst)
            for i in range(items):
                place = (best - np.float64(scores[row, i])) * scale
                interval[i] = np.int32(min(max(place, -1.0), np.float64(intervals)) + 1.0)
        else:  # one score for all positives, or an infinite one: bisect every item
            intervals = 1
            interval[:] = 1

        # the positives, sorted: first by interval, in order of index, then inside each interval
        begin = np.zeros(intervals + 3, np.int32)  # positives in earlier intervals
        for j in range(positives):
            begin[interval[own[j]] + 1] += 1
        for b in range(intervals + 2):
            begin[b + 1] += begin[b]
        score = np.empty(positives, scores.dtype)
        index = np.empty(positives, np.int64)
        for j in range(positives):
            place_of = begin[interval[own[j]]]
            begin[interval[own[j]]] += 1
            score[place_of] = scores[row, own[j]]
            index[place_of] = own[j]
        for b in range(intervals + 1, 0, -1):  # undo the steps of the scatter
            begin[b] = begin[b - 1]
        begin[0] = 0
        j = 0
        while j < positives:
            end = begin[interval[index[j]] + 1]
            if end > j + 1:
                _sort_part(score, index, j, end)
            j = end

        gap = np.zeros(positives + 1, np.int32)  # items behind positive j-1 and not behind positive j
        for i in range(items):
            low, high = begin[interval[i]], begin[interval[i] + 1]
            if low < high:
                s = scores[row, i]
                while low < high:
                    middle = (low + high) >> 1
                    if score[middle] > s or (score[middle] == s and index[middle] < i):
                        low = middle + 1
                    else:
                        high = middle
            gap[low] += 1
        rank = 0
        for j in range(positives):
            rank += gap[j]
            ranks[offsets[row] + j] = rank


@njit(nogil=True, cache=True)
def _distance_ranks(distances, largest, query_classes, gallery_classes, offsets, first, last, ranks):
    items = distances.shape[1]
    place = np.empty(largest + 2, np.int64)
    hit = np.empty(items, np.uint8)
    for row in range(first, last):
        place[:] = 0
        for i in range(items):
            place[distances[row, i] + 1] += 1
        for d in range(largest + 1):
            place[d + 1] += place[d]
        own = query_classes[row]
        for i in range(items):
            d = distances[row, i]
            hit[place[d]] = gallery_classes[i] == own
            place[d] += 1
        j = offsets[row]
        for i in range(items):
            if hit[i]:
                ranks[j] = i + 1
                j += 1


@njit(nogil=True, cache=True)
def _precision_at_ranks(ranks, offsets, cut_offs, interpolated, denominator, ap, hits):
    for row in range(offsets.shape[0] - 1):
        own = ranks[offsets[row] : offsets[row + 1]]
        positives = own.shape[0]
        for c in range(cut_offs.shape[0]):
            k = cut_offs[c]
            inside = np.searchsorted(own, k, side="right")
            total, envelope = 0.0, 0.0
            for j in range(inside - 1, -1, -1):
                precision = (j + 1) / own[j]
                if interpolated:  # VOC: the best precision at this recall or beyond, inside the top k
                    envelope = max(envelope, precision)
                    precision = envelope
                total += precision
            if denominator == MIN_OF_K_AND_POSITIVES:
                divisor = min(k, positives)
            elif denominator == ALL_POSITIVES:
                divisor = positives
            else:
                divisor = inside
            hits[row, c] = inside
            ap[row, c] = total / divisor if divisor > 0 else 0.0


def _over_rows(work: Callable[[int, int], object], rows: int, threads: int) -> None:
    """Run work(first, last) over equal parts of the rows; the kernels release the GIL."""
    parts = max(1, min(threads, rows))
    edges = np.linspace(0, rows, parts + 1).astype(int)
    if parts == 1:
        work(0, rows)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(work, edges[:-1].tolist(), edges[1:].tolist()))


def ranks_by_scores(scores: np.ndarray, positives: Positives, rows: slice, threads: int) -> np.ndarray:
    """Ranks of the positives under (score descending, index). scores: float32 or float64 [B, G], no NaN."""
    offsets = positives.offsets(rows)
    ranks = np.empty(offsets[-1], np.int32)
    start, count = positives.start[rows], positives.count[rows]

    def work(first: int, last: int) -> None:
        _score_ranks(scores, positives.members, start, count, offsets, first, last, ranks)

    _over_rows(work, len(scores), threads)
    return ranks


def ranks_by_distances(
    distances: np.ndarray, largest: int, positives: Positives, rows: slice, threads: int
) -> np.ndarray:
    """Ranks of the positives under (distance, index). distances: uint8 or int16 [B, G] in 0..largest."""
    offsets = positives.offsets(rows)
    ranks = np.empty(offsets[-1], np.int32)
    own = positives.query_classes[rows]

    def work(first: int, last: int) -> None:
        _distance_ranks(distances, largest, own, positives.gallery_classes, offsets, first, last, ranks)

    _over_rows(work, len(distances), threads)
    return ranks


def ranks_by_sorting(scores: torch.Tensor, positives: Positives, rows: slice, descending: bool) -> np.ndarray:
    """Ranks of the positives by a stable sort of every row, on the device of `scores` [B, G]."""
    if scores.is_floating_point():
        scores = scores + 0.0  # a radix sort may tell -0.0 from 0.0; they are equal scores
    order = torch.sort(scores, dim=1, descending=descending, stable=True).indices
    gallery_classes = torch.from_numpy(positives.gallery_classes).to(scores.device)
    query_classes = torch.from_numpy(positives.query_classes[rows]).to(scores.device)
    hit = gallery_classes[order] == query_classes[:, None]
    # row-major order of nonzero is (query, rank)
    return (torch.nonzero(hit)[:, 1] + 1).to(torch.int32).cpu().numpy()


def average_precision(
    ranks: np.ndarray, offsets: np.ndarray, cut_offs: np.ndarray, interpolated: bool, denominator: int
) -> tuple[np.ndarray, np.ndarray]:
    """AP at each cut-off and the hits inside it, both float64 [B, len(cut_offs)], from ranks and their offsets.

    With precision p_j = j / r_j at the j-th hit, AP@k = sum over r_j <= k of p_j
    (or of max over j <= l, r_l <= k of p_l when interpolated) over min(k, P), P, or the hits in the top k.
    No hit gives 0.
    """
    rows = len(offsets) - 1
    ap = np.zeros((rows, len(cut_offs)))
    hits = np.zeros((rows, len(cut_offs)))
    _precision_at_ranks(ranks, offsets, cut_offs, interpolated, denominator, ap, hits)
    return ap, hits
