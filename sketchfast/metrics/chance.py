"""What a random ranking scores: the level every result is printed beside.

For P positives among G items in random order, the item at rank r is a hit with probability P/G, and given a
hit the r-1 items ahead hold (r-1)(P-1)/(G-1) hits on average. With H_k the k-th harmonic number,

    E[ sum over hits in the top k of precision ] = P/G ( H_k + c (k - H_k) ),   c = (P-1)/(G-1).

"sklearn" divides by P. "topk" divides by the random number h of hits; given h the hits are a random subset of
the top k, so E[AP | h] = (H_k + (h-1)/(k-1) (k - H_k)) / k, and h is hypergeometric. The precision envelope
of "sake" and "zse" has no such closed form: it is the mean over simulated rankings.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, lgamma

import numpy as np

from sketchfast.metrics import ranking
from sketchfast.metrics.protocols import cut_offs, paired_labels, protocol_named


def chance_level(
    query_labels: object,
    gallery_labels: object,
    protocol: str = "sklearn",
    *,
    at: Iterable[int | str] = (100,),
    ap_at: Iterable[int | str] = ("all",),
    simulations: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Expected values, named as `evaluate_retrieval` names them, when every ranking is a random permutation.

    Exact for "sklearn" and "topk" and for every Prec@k; mAP of "sake" and "zse" is the mean of `simulations`
    random rankings for each number of positives that occurs (relative error below about 2 % for galleries of
    hundreds). Queries without positives count 0. Labels, at, ap_at and errors as in `evaluate_retrieval`.
    """
    rule = protocol_named(protocol)
    queries, gallery = paired_labels(query_labels, gallery_labels)
    for name, labels in (("query_labels", queries), ("gallery_labels", gallery)):
        if len(labels) == 0:
            raise ValueError(f"{name}: expected at least one label; found none")
    size = len(gallery)
    precision_names, precision_at = cut_offs(at, "at", size)
    ap_names, mean_ap_at = cut_offs(ap_at, "ap_at", size)
    classes, codes = np.unique(np.concatenate([queries, gallery]), return_inverse=True)
    positives = np.bincount(codes[len(queries) :], minlength=len(classes))[codes[: len(queries)]]

    values: dict[str, float] = {}
    occurring, which = np.unique(positives, return_inverse=True)
    random = np.random.default_rng(seed)
    expected_ap = np.zeros((len(occurring), len(mean_ap_at)))
    for i, count in enumerate(occurring.tolist()):
        if count == 0:
            continue
        if rule.interpolated:
            expected_ap[i] = _simulated(count, size, mean_ap_at, rule.denominator, simulations, random)
        else:
            expected_ap[i] = [_expected(count, size, k, rule.denominator) for k in mean_ap_at.tolist()]
    for c, name in enumerate(ap_names):
        values[f"mAP@{name}"] = rule.average(expected_ap[which, c], queries)
    hits = positives[:, None] / size * precision_at[None, :]
    for c, name in enumerate(precision_names):
        values[f"Prec@{name}"] = rule.average(rule.precision(hits, precision_at, positives)[:, c], queries)
    return values


def _expected(positives: int, size: int, k: int, denominator: int) -> float:
    harmonic = float(np.sum(1.0 / np.arange(1, k + 1)))
    if denominator == ranking.ALL_POSITIVES:
        others = (positives - 1) / (size - 1) if size > 1 else 0.0
        return (harmonic + others * (k - harmonic)) / size
    no_hit = 0.0
    if size - positives >= k:
        # hypergeometric: C(G - P, k) / C(G, k)
        no_hit = exp(
            lgamma(size - positives + 1)
            - lgamma(size - positives - k + 1)
            - lgamma(size + 1)
            + lgamma(size - k + 1)
        )
    slope = (k - harmonic) / (k - 1) if k > 1 else 0.0
    return ((1.0 - no_hit) * (harmonic - slope) + slope * k * positives / size) / k


def _simulated(
    positives: int, size: int, at: np.ndarray, denominator: int, simulations: int, random: np.random.Generator
) -> np.ndarray:
    ranks = np.empty((simulations, positives), np.int32)
    for row in ranks:
        row[:] = random.choice(size, positives, replace=False, shuffle=False) + 1
    ranks.sort(axis=1)
    offsets = np.arange(simulations + 1, dtype=np.int64) * positives
    ap, _ = ranking.average_precision(ranks.ravel(), offsets, at, True, denominator)
    return ap.mean(axis=0)
