"""Score a retrieval run: queries (sketches) against a gallery (photos), correct where the labels agree.

The protocols are the table of `sketchfast.metrics.protocols`; `docs/metrics.md` works each of them by hand.

Precision: similarities are float32 matrix products (never TF32, never float64), Hamming distances are exact
integers, and the ranking is the exact ranking of those numbers with ties by gallery index. AP and the means
are float64. Embeddings that differ by less than float32 rounding may therefore change places between devices
or block sizes; `evaluate_scores` ranks a matrix exactly as given.

Cost: O(G D) for the similarities and O(G + P log P) for the ranking of a query with P positives among G
items.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from sketchfast.matmul_precision import full_float32
from sketchfast.metrics import ranking
from sketchfast.metrics.bootstrap import bootstrap_interval
from sketchfast.metrics.protocols import (
    PROTOCOLS,
    Protocol,
    class_means,
    cut_offs,
    paired_labels,
    protocol_named,
)
from sketchfast.metrics.similarity import (
    BLOCK_BYTES,
    METRICS,
    hamming_op,
    prepared,
    row_blocks,
    similarity,
    topk,
)

__all__ = ["PROTOCOLS", "Protocol", "RetrievalResult", "evaluate_retrieval", "evaluate_scores", "topk"]


@dataclass
class RetrievalResult:
    """What `evaluate_retrieval` found.

    values: e.g. {"mAP@all": ..., "Prec@100": ...}, averaged as the protocol says.
    per_query: float64 [Q] of each; NaN for a query left out (`no_positives="skip"`).
    per_class: for each of them, label -> mean over the label's queries.
    """

    protocol: str
    metric: str
    values: dict[str, float]
    per_query: dict[str, np.ndarray]
    per_class: dict[str, dict]
    num_queries: int
    num_gallery: int
    num_without_positives: int
    query_labels: np.ndarray

    def interval(
        self, name: str, confidence: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        """Bootstrap interval of values[name], averaging as the protocol does."""
        if name not in self.per_query:
            raise ValueError(f"name: expected one of {', '.join(self.per_query)}; found {name!r}")
        labels = self.query_labels if PROTOCOLS[self.protocol].class_means else None
        return bootstrap_interval(self.per_query[name], labels, confidence, resamples, seed)

    def summary(self) -> str:
        """The values with the protocol that gives them their meaning, for a log or a report."""
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in self.values.items())
        text = (
            f"{numbers}\n[protocol {self.protocol}: {PROTOCOLS[self.protocol].description}; {self.metric}; "
            f"{self.num_queries} queries, {self.num_gallery} gallery items]"
        )
        if self.num_without_positives:
            text += f"\n{self.num_without_positives} queries have no gallery item of their class"
        return text


def evaluate_retrieval(
    queries: torch.Tensor | np.ndarray,
    gallery: torch.Tensor | np.ndarray,
    query_labels: object,
    gallery_labels: object,
    *,
    metric: str = "cosine",
    protocol: str = "sklearn",
    at: Iterable[int | str] = (100,),
    ap_at: Iterable[int | str] = ("all",),
    no_positives: str = "error",
    block_bytes: int = BLOCK_BYTES,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> RetrievalResult:
    """Rank the gallery for every query and score the rankings.

    queries [Q, D], gallery [G, D]: float embeddings, or packed uint8 codes [Q, bits/8], [G, bits/8] for
        "hamming".
    query_labels [Q], gallery_labels [G]: integers or class names.
    metric: "cosine" (a zero vector has similarity 0 to everything), "euclidean" or "hamming".
    protocol: "sake", "zse", "sklearn" or "topk" (`docs/metrics.md`).
    at, ap_at: the k of Prec@k and of mAP@k; "all" is the whole gallery.
    no_positives: what to do with queries whose class is not in the gallery: "error", "zero" (they score 0) or
        "skip" (they are left out of every mean, as the released code of SAKE and TCN does).
    block_bytes: bound on the working memory beyond the inputs (one row of the ranking at least), plus a
        float32 copy of the embeddings where they need conversion or normalisation.
    device: where to compute; by default where the inputs are. CUDA sorts each block.

    Raises ValueError or TypeError naming the argument: shapes, dtypes, labels of the wrong length, k larger
    than the gallery, empty inputs, embeddings that are not finite, queries without positives.
    """
    if metric not in METRICS:
        raise ValueError(f"metric: expected one of {', '.join(METRICS)}; found {metric!r}")
    query_items, gallery_items = prepared(queries, gallery, metric, device)
    evaluation = _Evaluation(
        query_labels, gallery_labels, len(query_items), len(gallery_items), protocol, at, ap_at, no_positives
    )
    on_cpu = query_items.device.type == "cpu"
    blocks = row_blocks(len(query_items), len(gallery_items), on_cpu, block_bytes)
    if metric == "hamming":
        largest = query_items.shape[1] * 8
        cdist = hamming_op("hamming_cdist")
        for rows in _tracked(blocks, progress):
            evaluation.add_distances(cdist(query_items[rows], gallery_items), largest, rows)
    else:
        scores_of = similarity(query_items, gallery_items, metric, blocks)
        with full_float32():
            for rows in _tracked(blocks, progress):
                evaluation.add_scores(scores_of(rows), rows)
    return evaluation.result(metric)


def evaluate_scores(
    scores: torch.Tensor | np.ndarray,
    query_labels: object,
    gallery_labels: object,
    *,
    protocol: str = "sklearn",
    at: Iterable[int | str] = (100,),
    ap_at: Iterable[int | str] = ("all",),
    no_positives: str = "error",
    block_bytes: int = BLOCK_BYTES,
    progress: bool = False,
) -> RetrievalResult:
    """Score rankings given as a matrix [Q, G], higher = better. float64 is ranked as float64, float32 as
    float32, half precisions and integers exactly. Infinite scores are allowed, NaN raises ValueError.
    Otherwise as `evaluate_retrieval`."""
    scores = torch.as_tensor(scores)
    if scores.ndim != 2:
        raise ValueError(f"scores: expected shape [queries, gallery]; found {tuple(scores.shape)}")
    if scores.is_complex():
        raise TypeError(f"scores: expected real numbers; found {scores.dtype}")
    num_queries, num_gallery = scores.shape
    evaluation = _Evaluation(
        query_labels, gallery_labels, num_queries, num_gallery, protocol, at, ap_at, no_positives
    )
    # half, because a block may be converted
    blocks = row_blocks(num_queries, num_gallery, scores.device.type == "cpu", block_bytes // 2)
    for rows in _tracked(blocks, progress):
        evaluation.add_scores(_exact_float(scores[rows]), rows)
    return evaluation.result("scores")


class _Evaluation:
    """Collects AP and precision block by block and averages them at the end."""

    def __init__(
        self,
        query_labels: object,
        gallery_labels: object,
        num_queries: int,
        num_gallery: int,
        protocol: str,
        at: Iterable[int | str],
        ap_at: Iterable[int | str],
        no_positives: str,
    ) -> None:
        self.protocol = protocol_named(protocol)
        if no_positives not in ("error", "zero", "skip"):
            raise ValueError(f"no_positives: expected error, zero or skip; found {no_positives!r}")
        self.no_positives = no_positives
        self.query_labels, gallery = paired_labels(query_labels, gallery_labels)
        for name, labels, items in (
            ("query_labels", self.query_labels, num_queries),
            ("gallery_labels", gallery, num_gallery),
        ):
            if items == 0:
                raise ValueError(f"{name.split('_')[0]}: expected at least one item; found none")
            if len(labels) != items:
                raise ValueError(f"{name}: expected {items} labels, one per item; found {len(labels)}")
        self.num_gallery = num_gallery
        precision_names, precision_at = cut_offs(at, "at", num_gallery)
        ap_names, self.ap_at = cut_offs(ap_at, "ap_at", num_gallery)
        self.names = [f"mAP@{k}" for k in ap_names] + [f"Prec@{k}" for k in precision_names]
        self.cut_offs = np.concatenate([self.ap_at, precision_at])

        classes, codes = np.unique(np.concatenate([self.query_labels, gallery]), return_inverse=True)
        self.positives = ranking.Positives(codes[:num_queries], codes[num_queries:], len(classes))
        self.without = self.positives.count == 0
        if no_positives == "error" and self.without.any():
            missing = np.unique(self.query_labels[self.without]).tolist()
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            raise ValueError(
                f"query_labels: {int(self.without.sum())} queries have no gallery item of their class "
                f"(labels {shown}); pass no_positives='zero' or 'skip' to score them 0 or leave them out"
            )
        self.table = np.zeros((num_queries, len(self.names)))
        self.threads = torch.get_num_threads()

    def add_scores(self, scores: torch.Tensor, rows: slice) -> None:
        # one sum is ten times cheaper than looking at every score; infinities of both signs also make it NaN
        if torch.isnan(scores.sum()) and torch.isnan(scores).any():
            row = int(torch.isnan(scores).any(dim=1).nonzero()[0]) + rows.start
            raise ValueError(f"scores: expected numbers; found NaN for query {row}")
        if scores.device.type == "cpu":
            self._add(ranking.ranks_by_scores(scores.numpy(), self.positives, rows, self.threads), rows)
        else:
            self._add(ranking.ranks_by_sorting(scores, self.positives, rows, descending=True), rows)

    def add_distances(self, distances: torch.Tensor, largest: int, rows: slice) -> None:
        if distances.device.type == "cpu":
            ranks = ranking.ranks_by_distances(distances.numpy(), largest, self.positives, rows, self.threads)
            self._add(ranks, rows)
        else:
            self._add(ranking.ranks_by_sorting(distances, self.positives, rows, descending=False), rows)

    def _add(self, ranks: np.ndarray, rows: slice) -> None:
        ap, hits = ranking.average_precision(
            ranks,
            self.positives.offsets(rows),
            self.cut_offs,
            self.protocol.interpolated,
            self.protocol.denominator,
        )
        split = len(self.ap_at)
        self.table[rows, :split] = ap[:, :split]
        self.table[rows, split:] = self.protocol.precision(
            hits[:, split:], self.cut_offs[split:], self.positives.count[rows]
        )

    def result(self, metric: str) -> RetrievalResult:
        if self.no_positives == "skip":
            self.table[self.without] = np.nan
        per_query = {name: self.table[:, i].copy() for i, name in enumerate(self.names)}
        return RetrievalResult(
            protocol=self.protocol.name,
            metric=metric,
            values={n: self.protocol.average(v, self.query_labels) for n, v in per_query.items()},
            per_query=per_query,
            per_class={n: class_means(v, self.query_labels) for n, v in per_query.items()},
            num_queries=len(self.query_labels),
            num_gallery=self.num_gallery,
            num_without_positives=int(self.without.sum()),
            query_labels=self.query_labels,
        )


def _exact_float(scores: torch.Tensor) -> torch.Tensor:
    """The same numbers in float32 or float64, none of them rounded."""
    if scores.dtype in (torch.float32, torch.float64):
        return scores.contiguous()
    if scores.is_floating_point() or scores.dtype in (torch.bool, torch.uint8, torch.int8, torch.int16):
        return scores.to(torch.float32)
    if scores.dtype == torch.int64 and (scores.abs() > 2**53).any():
        raise ValueError("scores: int64 scores beyond 2^53 cannot be ranked exactly; pass ranks instead")
    return scores.to(torch.float64)


def _tracked(blocks: list[slice], progress: bool) -> Iterator[slice]:
    if not progress:
        yield from blocks
        return
    from rich.progress import track

    yield from track(blocks, description="ranking")
