"""Puts the tables of README.md and train/README.md together from bench/results/*.json, losses included.

    python bench/tables.py            # rewrite the tables
    python bench/tables.py --check    # exit 1 when a table differs from its results

A table stands between `<!-- table NAME -->` and `<!-- end -->`; nothing else in a file is touched.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean
from typing import Any

from sketchfast.atomic import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PAGES = ("README.md", "train/README.md")
Rows = list[dict[str, Any]]


def results(op: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob(f"{op}--*.json"))]


def markdown(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance(result: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{result['device']}; {versions}; commit {result['commit']}, {result['date']}."


def hamming() -> str:
    parts = []
    for result in results("hamming_topk"):
        rows = [row for row in result["rows"] if row["op"] == "hamming_topk"]
        parts.append(
            markdown(
                (
                    "bits",
                    "codes are",
                    "queries",
                    "k",
                    "threads",
                    "G pairs/s",
                    "faiss G pairs/s",
                    "ours / faiss",
                ),
                (
                    (
                        *(row[key] for key in ("bits", "data", "queries", "k", "threads")),
                        f"{row['gpairs_per_s']:.2f}",
                        f"{row['faiss_gpairs_per_s']:.2f}",
                        f"**{row['times_faiss']:.1f}x**",
                    )
                    for row in rows
                ),
            )
            + f"\n\n{result['codes']:,} codes. {provenance(result)}"
        )
    return "\n\n".join(parts)


def retrieval() -> str:
    parts = []
    for result in results("retrieval"):
        parts.append(
            markdown(
                (
                    "input",
                    "protocol",
                    "threads",
                    "seconds",
                    "ms a query",
                    "scikit-learn ms a query",
                    "faster",
                    "MB above inputs",
                ),
                (
                    (
                        *(row[key] for key in ("case", "protocol", "threads", "seconds", "ms_per_query")),
                        row["sklearn_ms_per_query"],
                        f"**{row['times_sklearn']:.0f}x**",
                        row["peak_mb_above_inputs"],
                    )
                    for row in result["rows"]
                ),
            )
            + f"\n\n{result['rows'][0]['queries']:,} queries, {result['rows'][0]['gallery']:,} photos. {provenance(result)}"
        )
    return "\n\n".join(parts)


def skeletonize() -> str:
    def ratios(row: dict[str, Any], bold: str) -> Iterable[str]:
        return (f"**{x:.0f}x**" if name == bold else f"{x:.0f}x" for name, x in row["times"].items())

    parts = []
    for result in results("skeletonize"):
        peers = [f"{name} / ours" for name in result["rows"][0]["times"]]
        drawn = [row for row in result["rows"] if "stroke_width" not in row]
        lines = [row for row in result["rows"] if "stroke_width" in row and row["method"] == "skel"]
        equal = {"skel": "", "thin": "skimage thin", "zhang": "skimage skeletonize"}
        parts.append(
            markdown(
                ("drawings", "method", "passes", "us", "us in a batch", "limit us", *peers),
                (
                    (
                        f"{row['images']} of {row['case']}",
                        row["method"],
                        *(f"{row[key]:.1f}" for key in ("passes", "us", "us_in_batch")),
                        f"{row['limit_us']:.1f}" if "limit_us" in row else "",
                        *ratios(row, equal[row["method"]]),
                    )
                    for row in drawn
                ),
            )
            + '\n\nTwelve polylines, "skel":\n\n'
            + markdown(
                ("canvas", "stroke width", "passes", "us", *peers),
                (
                    (row["size"], row["stroke_width"], row["passes"], f"{row['us']:.1f}", *ratios(row, ""))
                    for row in lines
                ),
            )
            + f"\n\nOne thread, one image a call, path `{result['path_used']}`; bold where both give the same "
            f"picture. Passes count the last one, which deletes nothing; the limit is 5 us and "
            f"20 us more for 16 of them. {provenance(result)}"
        )
    return "\n\n".join(parts)


def soft_weighted_loss() -> str:
    parts = []
    for result in results("soft_weighted_loss"):
        rows = [row for row in result["rows"] if row["op"] == "soft_weighted_loss"]
        (memory,) = (row for row in result["rows"] if row["op"] == "peak_memory")
        parts.append(
            markdown(
                (
                    "logits",
                    "dtype",
                    "labels",
                    "run",
                    "threads",
                    "ms",
                    "GB/s",
                    "copy GB/s",
                    "eager / ours",
                    "torch.compile / ours",
                    "F.cross_entropy / ours",
                ),
                (
                    (
                        *(row[key] for key in ("shape", "dtype", "labels", "run", "threads", "ms")),
                        row["gb_per_s"],
                        row["copy_gb_per_s"],
                        f"**{row['times_eager']:.1f}x**",
                        f"{row['times_compiled']:.1f}x" if row["times_compiled"] else "",
                        f"**{row['times_cross_entropy']:.1f}x**",
                    )
                    for row in rows
                ),
            )
            + f"\n\nPeak memory of {memory['shape']}, float32, forward and backward: {memory['logits_mb']} MB of logits and "
            f"{memory['added_mb']} MB more, {memory['of_logits_and_gradient']} times logits and gradient. {provenance(result)}"
        )
    return "\n\n".join(parts)


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


ARMS = {  # of the ablation of DeepSSP, in the order of the paper's tables
    "ce": ("L, cross entropy", "training and test"),
    "weighted-ce": ("L_w, weighted cross entropy", "training and test"),
    "soft": ("L_s, soft-weighted", "training and test"),
    "soft-background": ("L*_s, background twice", "training and test"),
    "ht-train-only": ("L*_s, background twice", "training only"),
    "no-ht": ("L*_s, background twice", "none"),
}
ABLATION_SETS = {"test": "held-out synthetic sketches", "real": "real sketches"}


def ablation() -> str:
    parts = []
    for result in results("deepssp-ablation"):
        lines = []
        for data, shown in ABLATION_SETS.items():
            rows = [row for row in result["rows"] if row["data"] == data]
            for arm, (loss, ht) in ARMS.items():
                own = [row for row in rows if row["arm"] == arm and row["category"] == "given"]
                if own:
                    lines.append(_ablation_line(shown, loss, ht, own))
            for method in dict.fromkeys(row["method"] for row in rows if row["category"] == "-"):
                own = [
                    row for row in rows if row["method"] == method
                ]  # learns nothing: one line for all runs
                lines.append(_ablation_line(shown, method, "-", own[:1]))
        seeds = ", ".join(map(str, sorted({row["seed"] for row in result["rows"]})))
        parts.append(
            f"```\n{result['data']}\n```\n\n"
            + markdown(("sketches", "loss", "HT in", "mean IoU, mean of seeds", "each seed"), lines)
            + f"\n\nCategory given; [95 % bootstrap interval over sketches]; seeds {seeds} of training, the same data; "
            f"a row with fewer values has that many runs. {result['iterations']} iterations, "
            f"torch {result['versions']['torch']}, commit {_short(result['commit'])}, {result['date']}."
        )
    return "\n\n".join(parts)


def _ablation_line(data: str, loss: str, ht: str, rows: Rows) -> tuple[str, ...]:
    rows = sorted(rows, key=lambda row: row["seed"])
    average = mean(row["mean_iou"] for row in rows)
    cells = ("{:.3f} [{:.3f}, {:.3f}]".format(row["mean_iou"], *row["interval"]) for row in rows)
    return f"{data} ({rows[0]['count']})", loss, ht, f"**{average:.3f}**", "; ".join(cells)


def _cell(found: dict[str, Any], key: str = "iou") -> str:
    low, high = found["interval"]
    return f"{found[key]:.3f} [{low:.3f}, {high:.3f}]"


def _runs(config: str) -> list[dict[str, Any]]:
    return [
        {**run, "date": result["date"]}
        for result in results("deepssp-runs")
        for run in result["runs"]
        if run["config"] == config
    ]


def _origin(run: dict[str, Any]) -> str:
    iterations = run["iterations"]
    stages = f"{iterations['stage1_iterations']} iterations in stage 1"
    if iterations["stage2_iterations"]:
        stages += f", {iterations['stage2_iterations']} for each category in stage 2"
    return (
        f"[95 % bootstrap interval over sketches]; {stages}; seed {run['seed']}; {run['processor']}, "
        f"torch {run['versions']['torch']}, commit {_short(run['commit'])}, {run['date']}."
    )


def _short(commit: str | None) -> str:
    """Seven digits, and whether the tree differed from that commit."""
    return "unknown" if commit is None else commit[:7] + commit[40:]


def parsing() -> str:
    """The demo: synthetic test sketches, and real ones by category."""
    parts = []
    for run in _runs("demo"):
        lines = []
        for row in run["rows"]:
            note = f", category {row['category']}" if row["category"] != "-" else ""
            if "category_accuracy" in row:
                note += f" (right for {100 * row['category_accuracy']:.0f} %)"
            name = {"test": "synthetic test", "real": "real, aligned"}[row["data"]]
            lines.append(
                (
                    f"{name} ({row['count']})",
                    row["method"] + note,
                    f"**{row['mean_iou']:.3f}** [{row['interval'][0]:.3f}, {row['interval'][1]:.3f}]",
                    *(
                        _cell(row["categories"][name]) if row["data"] == "real" else "-"
                        for name in ("dog", "horse")
                    ),
                )
            )
        head = ("sketches", "method", "mean IoU", "dogs only", "horses only")
        parts.append(markdown(head, lines) + "\n\n" + _origin(run))
    return "\n\n".join(parts)


def spg() -> str:
    """Stroke pixels of SPG by category."""
    parts = []
    for run in _runs("spg"):
        rows = {(row["method"], row["category"]): row for row in run["rows"]}
        ours = next(row for (_, category), row in rows.items() if category == "given")
        base = next(row for (method, _), row in rows.items() if method.startswith("largest"))
        lines = []
        for name, found in ours["categories"].items():
            strokes, pixels = ours["stroke_accuracy"][name], ours["pixel_accuracy_by_category"][name]
            line = f"**{pixels:.3f}**", _cell(strokes, "value"), _cell(found)
            floor = base["pixel_accuracy_by_category"][name], base["stroke_accuracy"][name]["value"]
            lines.append((name, found["count"], *line, *(f"{value:.3f}" for value in floor)))
        strokes, floor = (
            mean(found["value"] for found in row["stroke_accuracy"].values()) for row in (ours, base)
        )
        lines.append(
            (
                "all",
                ours["count"],
                f"**{ours['pixel_accuracy']:.3f}**",
                f"{strokes:.3f}",
                f"{ours['mean_iou']:.3f} [{ours['interval'][0]:.3f}, {ours['interval'][1]:.3f}]",
                f"{base['pixel_accuracy']:.3f}",
                f"{floor:.3f}",
            )
        )
        head = ("category", "test sketches", "pixels right", "strokes right", "mean IoU")
        head += ("largest part: pixels", "largest part: strokes")
        parts.append(markdown(head, lines) + "\n\n" + _origin(run))
    return "\n\n".join(parts)


TABLES: dict[str, Callable[[], str]] = {
    "parsing": parsing,
    "spg": spg,
    "soft_weighted_loss": soft_weighted_loss,
    "hamming": hamming,
    "skeletonize": skeletonize,
    "retrieval": retrieval,
    "sharing": sharing,
    "ablation": ablation,
}


def filled(text: str) -> str:
    def table(match: re.Match[str]) -> str:
        name = match[1]
        if name not in TABLES:
            raise SystemExit(f"no table is named {name!r}; there are {', '.join(TABLES)}")
        return f"<!-- table {name} -->\n{TABLES[name]() or 'Not measured yet.'}\n<!-- end -->"

    return re.sub(r"<!-- table ([\w-]+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main() -> int:
    stale = []
    for name in PAGES:
        path = ROOT / name
        before = path.read_text()
        after = filled(before)
        if after != before:
            stale.append(name)
            if "--check" not in sys.argv:
                write_text(path, after)
    if "--check" in sys.argv and stale:
        print(f"stale tables in {', '.join(stale)}: run python bench/tables.py")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
