"""Report sections for zero-shot retrieval: tables of results and grids of what was found, failures included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sketchfast.metrics import topk
from sketchfast.metrics.zero_shot import Row, Search
from sketchfast.training.report import Interval, RetrievalGridSection, RetrievalRow, TableSection

SHOWN_RESULTS, SHOWN_CLASSES, SHOWN_FAILURES = 10, 12, 8


def result_tables(rows: Sequence[Row], highlighted: str) -> list[TableSection]:
    """One table for each (searched classes, protocol); rows of the method `highlighted` stand out."""
    tables = []
    for searched, protocol in dict.fromkeys((row.searched, row.protocol) for row in rows):
        block = [row for row in rows if (row.searched, row.protocol) == (searched, protocol)]
        cells = [[row.method, row.code, *(_cell(row, name) for name in row.values)] for row in block]
        tables.append(
            TableSection(
                f"{searched} classes, protocol {protocol}",
                ["method", "feature", *block[0].values],
                cells,
                "95 % bootstrap intervals over queries.",
                [index for index, row in enumerate(block) if row.method == highlighted],
            )
        )
    return tables


def _cell(row: Row, name: str) -> Any:
    return Interval(row.values[name], *row.intervals[name]) if name in row.intervals else row.values[name]


def retrieval_grids(search: Search) -> list[RetrievalGridSection]:
    """The first query of each class, and the queries that found least."""
    queries, gallery = search.queries, search.gallery
    shown = min(SHOWN_RESULTS, len(gallery))
    found = topk(search.query_features, search.gallery_features, shown, "cosine")
    scores, order = (np.asarray(part) for part in found)
    right = gallery.labels[order] == queries.labels[:, None]
    first = [int(np.flatnonzero(queries.labels == label)[0]) for label in np.unique(queries.labels)]
    worst = np.argsort(right.mean(axis=1), kind="stable")[:SHOWN_FAILURES].tolist()

    def row(q: int) -> RetrievalRow:
        return RetrievalRow(
            query=queries.load(q),
            caption=queries.names[queries.labels[q]],
            results=[gallery.load(int(g)) for g in order[q]],
            right=right[q].tolist(),
            captions=[f"{gallery.names[gallery.labels[g]]} {s:.2f}" for g, s in zip(order[q], scores[q])],
        )

    note = "Cosine similarity of real-valued features."
    where = search.searched
    return [
        RetrievalGridSection(
            f"One query of a class ({where})", [row(q) for q in first[:SHOWN_CLASSES]], note
        ),
        RetrievalGridSection(f"Queries that found least ({where})", [row(q) for q in worst], note),
    ]
