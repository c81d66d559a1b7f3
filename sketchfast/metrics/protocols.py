"""The four ways this field averages a ranking, by name. They differ by a factor on the same ranking."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sketchfast.arrays import as_array
from sketchfast.metrics.ranking import ALL_POSITIVES, HITS_IN_TOP_K, MIN_OF_K_AND_POSITIVES


@dataclass(frozen=True)
class Protocol:
    """interpolated: VOC all-point interpolation (the precision envelope); denominator: of AP at k;
    class_means: average over the means of the query classes instead of over queries;
    precision_over_reachable: Prec@k = hits / min(k, positives) instead of hits / k."""

    name: str
    interpolated: bool
    denominator: int
    class_means: bool
    precision_over_reachable: bool
    description: str

    def precision(self, hits: np.ndarray, cut_offs: np.ndarray, positives: np.ndarray) -> np.ndarray:
        """Prec@k [Q, K] from the hits inside the top k [Q, K], k [K] and the positives of each query [Q]."""
        if not self.precision_over_reachable:
            return hits / cut_offs
        return hits / np.maximum(np.minimum(cut_offs[None, :], positives[:, None]), 1)

    def average(self, per_query: np.ndarray, labels: np.ndarray) -> float:
        """The protocol's mean of per-query values [Q]; NaN values (queries left out) do not count."""
        kept = ~np.isnan(per_query)
        if not kept.any():
            return float("nan")
        if not self.class_means:
            return float(per_query[kept].mean())
        return float(np.mean(list(class_means(per_query, labels).values())))


PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "sake", True, MIN_OF_K_AND_POSITIVES, True, False,
            "interpolated AP (VOC) over min(k, positives), mean of class means; Prec@k = hits / k",
        ),
        Protocol(
            "zse", True, MIN_OF_K_AND_POSITIVES, False, True,
            "interpolated AP (VOC) over min(k, positives), query mean; Prec@k = hits / min(k, positives)",
        ),
        Protocol(
            "sklearn", False, ALL_POSITIVES, False, False,
            "AP over all positives, query mean; Prec@k = hits / k",
        ),
        Protocol(
            "topk", False, HITS_IN_TOP_K, False, False,
            "AP over the positives inside the top k, query mean; Prec@k = hits / k",
        ),
    )
}  # fmt: skip


def protocol_named(name: str) -> Protocol:
    if name not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}; found {name!r}")
    return PROTOCOLS[name]


def class_means(per_query: np.ndarray, labels: np.ndarray) -> dict:
    """label -> mean of per_query [Q], for labels that have a value; NaN values do not count."""
    kept = ~np.isnan(per_query)
    names, codes = np.unique(labels[kept], return_inverse=True)
    means = np.bincount(codes, weights=per_query[kept], minlength=len(names)) / np.bincount(codes)
    return dict(zip(names.tolist(), means.tolist(), strict=True))


def cut_offs(at: Iterable[int | str], argument: str, gallery_size: int) -> tuple[list[str], np.ndarray]:
    """Names ("all", "100") and values of cut-offs; "all" is the whole gallery. Larger than the gallery: ValueError."""
    names: list[str] = []
    values: list[int] = []
    for k in [at] if isinstance(at, (int, str)) else at:
        if k == "all":
            names.append("all")
            values.append(gallery_size)
            continue
        if isinstance(k, (bool, np.bool_)) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f'{argument}: expected positive integers or "all"; found {k!r}')
        if k > gallery_size:
            raise ValueError(f"{argument}: k = {k} is larger than the gallery ({gallery_size} items)")
        names.append(str(int(k)))
        values.append(int(k))
    return names, np.array(values, np.int64)


def paired_labels(query_labels: object, gallery_labels: object) -> tuple[np.ndarray, np.ndarray]:
    """Labels as one-dimensional arrays of integers or of strings, both of one kind."""
    labels = []
    for name, given in (("query_labels", query_labels), ("gallery_labels", gallery_labels)):
        array = as_array(given)
        if array.ndim != 1:
            raise ValueError(
                f"{name}: expected one label per item (one dimension); found shape {array.shape}"
            )
        if array.size and array.dtype.kind not in "iubU":
            raise TypeError(f"{name}: expected integers or class names; found dtype {array.dtype}")
        labels.append(array)
    query, gallery = labels
    if query.size and gallery.size and (query.dtype.kind == "U") != (gallery.dtype.kind == "U"):
        raise TypeError(
            "query_labels and gallery_labels: expected both integers or both names; "
            f"found {query.dtype} and {gallery.dtype}"
        )
    return query, gallery
