"""Tables of the landmark networks, train/landmark.py: variants, real drawings, costs."""

from __future__ import annotations

from statistics import mean
from typing import Any

from table_text import Rows, accuracy_text, made_on, markdown, provenance, results


def _landmark_origin(result: dict[str, Any], runs: Rows) -> str:
    """Where the numbers of the runs are from; they share epochs and commit."""
    seeds = ", ".join(map(str, sorted({run["seed"] for run in runs})))
    return (
        f"Accuracy in %, [95 % bootstrap interval over sketches]; seeds {seeds} of training, the same data; a row with fewer "
        f"values has that many runs. {runs[0]['epochs']} epochs, {made_on(result, runs[0])}"
    )


def landmark_variants() -> str:
    parts = []
    for result in results("landmark-variants"):
        lines, runs = [], result["runs"]
        for arm in dict.fromkeys(run["arm"] for run in runs):
            own = sorted((run for run in runs if run["arm"] == arm), key=lambda run: run["seed"])
            tested = [run["rows"][0] for run in own]  # the network; then what needs no learning
            top1, top5 = (mean(100 * row["accuracy"][k] for row in tested) for k in ("1", "5"))
            average = mean(100 * row["mAP"] for row in tested)
            each = "; ".join(map(accuracy_text, tested))
            lines.append((arm, f"**{top1:.1f}**", each, f"{top5:.1f}", f"{average:.1f}"))
        floor = runs[0]["rows"][-1]
        lines.append((floor["method"], f"{100 * floor['accuracy']['1']:.1f}", accuracy_text(floor),
                      f"{100 * floor['accuracy']['5']:.1f}", f"{100 * floor['mAP']:.1f}"))  # fmt: skip
        head = ("variant", "accuracy, mean of seeds", "each seed", "accuracy@5, mean", "mAP, mean")
        table = markdown(head, lines)
        parts.append(f"```\n{runs[0]['data']}\n```\n\n{table}\n\n{_landmark_origin(result, runs)}")
    return "\n\n".join(parts)


def landmark_real() -> str:
    parts = []
    for result in results("landmark-real"):
        for arm in dict.fromkeys(run["arm"] for run in result["runs"]):
            runs = sorted((r for r in result["runs"] if r["arm"] == arm), key=lambda run: run["seed"])
            lines = []
            for first in runs[0]["rows"]:
                same = [row for run in runs for row in run["rows"]
                        if (row["data"], row["method"]) == (first["data"], first["method"])]  # fmt: skip
                same = same[:1] if first["method"] == "nearest pixel" else same  # learns nothing
                average = mean(100 * row["accuracy"]["1"] for row in same)
                lines.append((f"{first['data']} ({first['count']:,})", first["method"], f"**{average:.1f}**",
                              "; ".join(map(accuracy_text, same)), f"{mean(100 * r['mAP'] for r in same):.1f}"))  # fmt: skip
            gains = [
                "{:+.1f} [{:+.1f}, {:+.1f}] (n = {})".format(
                    *(100 * x for x in (f["gain"], *f["interval"])), f["best"]
                )
                for run in runs
                if (f := run["fusion"])
            ]
            text = f"`{arm}`:\n\n```\n{runs[0]['data']}\n```\n\n"
            text += markdown(
                ("sketches", "method", "accuracy, mean of seeds", "each seed", "mAP, mean"), lines
            )
            if gains:
                text += f"\n\nFused - the n that is best on validation, paired: {'; '.join(gains)}."
            text += f"\n\n{_landmark_origin(result, runs)}" + _photo_search(runs)
            parts.append(text)
    return "\n\n".join(parts)


def _photo_search(runs: Rows) -> str:
    found = [row for row in runs[0]["retrieval"] if row["protocol"] == "sklearn"]
    if not found:
        return ""
    lines = []
    for first in found:
        rows = [row for run in runs for row in run["retrieval"]
                if all(row[key] == first[key] for key in ("method", "code", "protocol"))]  # fmt: skip
        rows = rows[:1] if first["method"] == "chance" else rows
        cells = []
        for name in ("Prec@1", "mAP@all"):
            each = [f"{row['values'][name]:.3f}" + (" [{:.3f}, {:.3f}]".format(*row["intervals"][name])
                    if name in row["intervals"] else "") for row in rows]  # fmt: skip
            cells += [f"**{mean(row['values'][name] for row in rows):.3f}**", "; ".join(each)]
        lines.append((first["method"], first["code"], *cells))
    head = ("method", "descriptor", "top-1, mean", "each seed", "mAP@all, mean", "each seed")
    return "\n\nRetrieval of photos, protocol `sklearn`:\n\n" + markdown(head, lines)


def landmark_net() -> str:
    """What the diversity losses cost, and what one trunk pass for all n saves."""
    parts = []
    for result in results("landmark_net"):
        losses = {row["network"]: row for row in result["rows"] if row["op"] == "diversity_losses"}
        scores = {row["network"]: row for row in result["rows"] if row["op"] == "all_n"}
        lines = []
        for name, row in losses.items():
            other = scores[name]
            lines.append(
                (
                    f"{name}, {row['side']}x{row['side']}",
                    *(row["batch"], row["step_ms"], row["ms"], f"**{100 * row['share']:.1f} %**"),
                    *(other["batch"], other["ms"], other["separate_ms"]),
                    f"**{other['times_separate']:.1f}x**",
                    f"{other['of_one_n']:.2f}x",
                )
            )
        head = (
            *("network", "batch", "training step ms", "diversity losses ms", "share", "batch in scoring"),
            *("all n ms", "a pass for each n ms", "apart / together", "all n / one n"),
        )
        some = next(iter(losses.values())), next(iter(scores.values()))
        numbers = ", ".join(map(str, some[1]["landmarks"]))
        parts.append(
            markdown(head, lines)
            + f"\n\nK = {some[0]['categories']}; n is {numbers}. The goal for the diversity losses, at most 5 % of a training "
            f"step, is about the paper's network, ResNet-101. CPU time of one thread. {provenance(result)}"
        )
    return "\n\n".join(parts)
