"""Score a retrieval model on a zero-shot split, with the levels that give the numbers meaning beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sketchfast.data.class_pairs import Pixels, normalize
from sketchfast.data.image_set import ImageSet
from sketchfast.metrics import RetrievalResult, chance_level, evaluate_retrieval, evaluate_scores
from sketchfast.retrieval.itq import ITQ

Features = NDArray[np.float32]


@dataclass
class Row:
    """One line of the table of results."""

    searched: str  # "unseen" or "seen, held out"
    method: str  # "TCN", "untrained network", "nearest pixel", "chance"
    code: str  # "real, 64-d" or "64 bits"
    protocol: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "intervals": {name: list(ends) for name, ends in self.intervals.items()}}


@dataclass(frozen=True)
class Cutoffs:
    """The k of mAP@k and Prec@k; a k beyond the gallery becomes the gallery's size."""

    ap_at: tuple[int | str, ...] = ("all",)
    at: tuple[int, ...] = (100,)
    protocols: tuple[str, ...] = ("sklearn",)

    def within(self, gallery: int) -> dict[str, Any]:
        return {
            "ap_at": tuple(k if isinstance(k, str) else min(k, gallery) for k in self.ap_at),
            "at": tuple(min(k, gallery) for k in self.at),
        }


@torch.no_grad()
def encode(
    model: Any, images: ImageSet, device: torch.device | str = "cpu", batch_size: int = 128
) -> Features:
    """Unit-length embeddings float32 [N, dim] by the encoder of the images' modality, in the model's own
    precision.
    """
    encoder = model.encode_sketch if images.modality == "sketch" else model.encode_photo
    pixels = Pixels(images, model.preprocess)
    was_training = model.training
    model.eval()
    features = [
        encoder(
            normalize(
                pixels.take(np.arange(i, min(i + batch_size, len(images)))).to(device), model.preprocess
            )
        )
        for i in range(0, len(images), batch_size)
    ]
    model.train(was_training)
    return torch.cat(features).float().cpu().numpy()


def score_embeddings(
    searched: str,
    method: str,
    queries: tuple[Features, NDArray[np.int64]],
    gallery: tuple[Features, NDArray[np.int64]],
    cutoffs: Cutoffs,
    itqs: Sequence[ITQ] = (),
    own_mean: bool = False,
) -> list[Row]:
    """Rows for the real-valued features (cosine) and for the codes of each ITQ (Hamming).

    own_mean: centre queries and gallery each by its own mean before coding, as TCN's released code does.
    """
    rows = []
    (q, q_labels), (g, g_labels) = queries, gallery
    for protocol in cutoffs.protocols:
        scored = evaluate_retrieval(
            q, g, q_labels, g_labels, metric="cosine", protocol=protocol, **cutoffs.within(len(g))
        )
        rows.append(_row(searched, method, f"real, {q.shape[1]}-d", scored))
        for itq in itqs:
            codes = itq.encode(q, own_mean=own_mean), itq.encode(g, own_mean=own_mean)
            scored = evaluate_retrieval(
                *codes, q_labels, g_labels, metric="hamming", protocol=protocol, **cutoffs.within(len(g))
            )
            rows.append(_row(searched, method, f"{itq.bits} bits", scored))
    return rows


def score_matrix(
    searched: str, method: str, scores: NDArray[Any], queries: ImageSet, gallery: ImageSet, cutoffs: Cutoffs
) -> list[Row]:
    """Rows for a method that gives a score for every pair, [Q, G], higher = better."""
    return [
        _row(
            searched,
            method,
            "-",
            evaluate_scores(
                scores, queries.labels, gallery.labels, protocol=protocol, **cutoffs.within(len(gallery))
            ),
        )
        for protocol in cutoffs.protocols
    ]


def chance_rows(searched: str, queries: ImageSet, gallery: ImageSet, cutoffs: Cutoffs) -> list[Row]:
    """Expected values of a random ranking."""
    return [
        Row(
            searched,
            "chance",
            "-",
            protocol,
            chance_level(queries.labels, gallery.labels, protocol, **cutoffs.within(len(gallery))),
        )
        for protocol in cutoffs.protocols
    ]


def _row(searched: str, method: str, code: str, scored: RetrievalResult) -> Row:
    intervals = {name: scored.interval(name) for name in scored.values}
    return Row(searched, method, code, scored.protocol, dict(scored.values), intervals)


def format_rows(rows: Sequence[Row], say: Callable[[str], None] = print) -> None:
    """One block per (searched, protocol), the protocol named above its numbers, 95 % intervals in
    brackets.
    """
    for searched, protocol in dict.fromkeys((row.searched, row.protocol) for row in rows):
        block = [row for row in rows if (row.searched, row.protocol) == (searched, protocol)]
        say(f"{searched} classes, protocol {protocol!r}, 95 % bootstrap intervals")
        for row in block:
            numbers = "   ".join(
                f"{name} {value:.3f}"
                + (" [{:.3f}, {:.3f}]".format(*row.intervals[name]) if name in row.intervals else " " * 15)
                for name, value in row.values.items()
            )
            say(f"  {row.method:<18} {row.code:<12} {numbers}")
