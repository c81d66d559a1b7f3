"""Tables of TCN, train/tcn.py: what sharing the two networks gives."""

from __future__ import annotations

from statistics import mean
from typing import Any

from table_text import Rows, markdown, results


def sharing() -> str:
    parts = []
    for result in results("tcn-sharing"):
        for split, summary in result["data"].items():
            rows = [row for row in result["rows"] if row["split"] == split and row["protocol"] == "sklearn"]
            parts.append(f"`{split}`:\n\n```\n{summary}\n```\n\n" + _sharing_table(rows))
        seeds = ", ".join(map(str, sorted({row["seed"] for row in result["rows"]})))
        parts.append(
            f"Protocol `sklearn`; [95 % bootstrap interval over queries]; seeds {seeds} of training, the same data; "
            f"a row with fewer values has that many runs. "
            f"torch {result['versions']['torch']}, commit {result['commit']}, {result['date']}."
        )
    return "\n\n".join(parts)


def _sharing_table(rows: Rows) -> str:
    def cell(row: dict[str, Any], name: str) -> str:
        low, high = row["intervals"][name] if row.get("intervals") else (None, None)
        return f"{row['values'][name]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else "")

    lines = []
    for searched in dict.fromkeys(row["searched"] for row in rows):
        here = [row for row in rows if row["searched"] == searched]
        for mode in dict.fromkeys(row["sharing"] for row in here):
            for code in dict.fromkeys(row["code"] for row in here if row["method"] == "TCN"):
                runs = [r for r in here if (r["sharing"], r["code"], r["method"]) == (mode, code, "TCN")]
                if not code.startswith(("real", "64")):
                    continue
                average = mean(r["values"]["mAP@all"] for r in runs)
                seeds = "; ".join(cell(r, "mAP@all") for r in sorted(runs, key=lambda r: r["seed"]))
                lines.append(
                    (
                        searched,
                        f"TCN, {'no' if mode == 'none' else mode} sharing",
                        code,
                        f"**{average:.3f}**",
                        seeds,
                    )
                )
        for method in ("untrained network", "nearest pixel", "chance"):
            runs = [r for r in here if r["method"] == method and r["sharing"] == here[0]["sharing"]]
            if runs:
                seeds = "; ".join(
                    dict.fromkeys(cell(r, "mAP@all") for r in sorted(runs, key=lambda r: r["seed"]))
                )
                average = mean(r["values"]["mAP@all"] for r in runs)
                lines.append((searched, method, runs[0]["code"], f"{average:.3f}", seeds))
    return markdown(("classes", "method", "feature", "mAP@all, mean", "each seed"), lines)
