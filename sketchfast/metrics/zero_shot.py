"""Score a retrieval model on a zero-shot split, with the levels that give the numbers meaning beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sketchfast.data.image_set import ImageSet
from sketchfast.data.pixels import Pixels, normalize
from sketchfast.data.splits import ZeroShotSplit
from sketchfast.data.synthetic import nearest_pixel_baseline
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
    model: Any,
    images: ImageSet,
    device: torch.device | str = "cpu",
    batch_size: int = 128,
    memory: int = 4 << 30,
) -> Features:
    """Unit-length embeddings float32 [N, dim] by the encoder of the images' modality, in the model's own precision.

    memory: bytes that the decoded images may take; above that they are decoded batch by batch.
    """
    encoder = model.encode_sketch if images.modality == "sketch" else model.encode_photo
    pixels = Pixels(images, model.preprocess, memory)
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


@dataclass
class Search:
    """Queries, what they are searched in, and the trained model's features of both."""

    searched: str  # "unseen" or "seen, held out"; of a landmark network "all photos, n = 5"
    queries: ImageSet
    gallery: ImageSet
    query_features: Features
    gallery_features: Features


@dataclass
class ZeroShotResult:
    rows: list[Row]
    searches: list[Search]
    itqs: list[ITQ]  # fitted on training features, one for each code length


def evaluate_zero_shot(
    model: Any,
    split: ZeroShotSplit,
    cutoffs: Cutoffs,
    name: str,
    *,
    bits: Sequence[int] = (32, 64, 128),
    itq: Literal["itq", "tcn"] = "itq",
    untrained: Any = None,
    memory: int = 4 << 30,
) -> ZeroShotResult:
    """Unseen queries in the unseen gallery, then held-out sketches in the photos of seen classes.

    model, untrained: with ``encode_sketch``, ``encode_photo`` (unit-length features) and ``preprocess``.
    bits: code lengths; those above the feature's dimension are left out. itq: "itq" fits on the training
    features of both modalities; "tcn" is the released code of TCN: fitted on the queries, queries and
    gallery each centred by its own mean, the wrong transpose. memory: bytes that the decoded images of one
    set may take; what was decoded here is dropped once the set is encoded.
    """
    device = next(model.parameters()).device
    parts = []
    for images in (split.train_sketches, split.train_photos):
        with _decoded_only_here(images):
            parts.append(encode(model, images, device, memory=memory))
    training = np.concatenate(parts)
    lengths = [length for length in bits if length <= training.shape[1]]
    fitted = [ITQ(length).fit(training) for length in lengths]
    rows: list[Row] = []
    searches = []
    assert split.seen_photos_gallery is not None
    for searched, queries, gallery in (
        ("unseen", split.query_sketches, split.gallery_photos),
        ("seen, held out", split.held_out_sketches, split.seen_photos_gallery),
    ):
        # One set at a time, by both models, so that it is decoded once and then let go.
        encoded = []
        for images in (queries, gallery):
            with _decoded_only_here(images):
                models = [model] if untrained is None else [model, untrained]
                encoded.append([encode(each, images, device, memory=memory) for each in models])
        (q, *untrained_q), (g, *untrained_g) = encoded
        searches.append(Search(searched, queries, gallery, q, g))
        coders = fitted if itq == "itq" else [ITQ(length, variant="tcn").fit(q) for length in lengths]
        how = {
            protocol: {"protocol": protocol, **cutoffs.within(len(gallery))} for protocol in cutoffs.protocols
        }
        labels = queries.labels, gallery.labels
        for settings in how.values():
            scored = evaluate_retrieval(q, g, *labels, metric="cosine", **settings)
            rows.append(_row(searched, name, f"real, {q.shape[1]}-d", scored))
            for coder in coders:
                q_codes, g_codes = (coder.encode(features, own_mean=itq == "tcn") for features in (q, g))
                scored = evaluate_retrieval(q_codes, g_codes, *labels, metric="hamming", **settings)
                rows.append(_row(searched, name, f"{coder.bits} bits", scored))
        for q, g in zip(untrained_q, untrained_g):
            for settings in how.values():
                scored = evaluate_retrieval(q, g, *labels, metric="cosine", **settings)
                rows.append(_row(searched, "untrained network", f"real, {q.shape[1]}-d", scored))
        if searched == "unseen" and split.name.startswith("synthetic"):
            pixels = nearest_pixel_baseline(split)
            for settings in how.values():
                rows.append(
                    _row(searched, "nearest pixel", "-", evaluate_scores(pixels, *labels, **settings))
                )
        for protocol, settings in how.items():
            rows.append(Row(searched, "chance", "-", protocol, chance_level(*labels, **settings)))
    return ZeroShotResult(rows, searches, fitted)


@contextmanager
def _decoded_only_here(images: ImageSet) -> Iterator[None]:
    """Let go of what the block adds to the images' memory of decoded pictures."""
    before = set(images._resized)
    try:
        yield
    finally:
        for key in set(images._resized) - before:
            del images._resized[key]


def _row(searched: str, method: str, code: str, scored: RetrievalResult) -> Row:
    intervals = {name: scored.interval(name) for name in scored.values}
    return Row(searched, method, code, scored.protocol, dict(scored.values), intervals)


def format_rows(rows: Sequence[Row], say: Callable[[str], None] = print) -> None:
    """One block per (searched, protocol), the protocol named above its numbers, 95 % intervals in brackets."""
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
