"""Tables of DeepSSP, train/deepssp.py: the ablation, the demo, SPG."""

from __future__ import annotations

from statistics import mean
from typing import Any

from table_text import Rows, markdown, results, short_commit

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
            f"torch {result['versions']['torch']}, commit {short_commit(result['commit'])}, {result['date']}."
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
        f"torch {run['versions']['torch']}, commit {short_commit(run['commit'])}, {run['date']}."
    )


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
