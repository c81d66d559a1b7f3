"""What the tables have in common: result files, Markdown, and how commits, intervals and gains are written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
Rows = list[dict[str, Any]]


def results(op: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{op}--*.json"))]


def markdown(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown_of_filled(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Without the columns that no row has anything in."""
    columns = [column for column in zip(head, *rows, strict=True) if any(cell != "" for cell in column[1:])]
    titles, *lines = zip(*columns, strict=True)
    return markdown(titles, lines)


def provenance(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['device']}; {versions}; commit {result['commit']}, {result['date']}."


def short_commit(commit: str | None) -> str:
    """Seven digits, and whether the tree differed from that commit."""
    return "unknown" if commit is None else commit[:7] + commit[40:]


def accuracy_text(row: dict[str, Any], k: str = "1") -> str:
    low, high = row["intervals"][k]
    return f"{100 * row['accuracy'][k]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def gains_text(gains: Iterable[Sequence[float] | None]) -> str:
    """Gains and their intervals, shares as percentages; None is left out."""
    return "; ".join("{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in gain)) for gain in gains if gain)


def made_on(result: dict[str, Any], run: dict[str, Any]) -> str:
    """`provenance` of one run of a recipe."""
    torch, commit = result["versions"]["torch"], short_commit(run["commit"])
    return f"{run['processor']}, torch {torch}, commit {commit}, {result['date']}."
