"""Tables of visual traits, train/vtd.py: accuracies, and how sketches use the descriptors."""

from __future__ import annotations

from statistics import mean
from typing import Any

from table_text import Rows, accuracy_text, gains_text, made_on, markdown, results


def _vtd_runs(kind: str, config: str) -> tuple[dict[str, Any], Rows] | None:
    for result in results(f"vtd-{kind}"):
        runs = [run for run in result["runs"] if run["config"] == config]
        runs.sort(key=lambda run: run["seed"] or 0)  # None: several seeds in one run
        if runs:
            return result, runs
    return None


def _vtd_origin(result: dict[str, Any], runs: Rows) -> str:
    seeds = ", ".join(str(seed) for run in runs for seed in run.get("seeds", [run["seed"]]))
    epochs = ", ".join(f"{name} {count}" for name, count in runs[0]["epochs"].items() if count)
    return (
        f"Seeds {seeds} of training, the same data; K = {runs[0]['descriptors']}; epochs: {epochs}. "
        f"{made_on(result, runs[0])}"
    )


def vtd_accuracies(kind: str, config: str) -> str:
    """Methods by Acc@k: the mean of the seeds, and each with its interval and its paired gain over hard transfer."""
    if (found := _vtd_runs(kind, config)) is None:
        return ""
    result, runs = found
    lines = []
    for method in (row["method"] for row in runs[0]["rows"]):
        rows = [row for run in runs for row in run["rows"] if row["method"] == method]
        gains = [run["gains"][method].get("1") for run in runs if method in run["gains"]]
        said = gains_text(gains)
        averages = [mean(100 * row["accuracy"][k] for row in rows) for k in ("1", "5", "10")]
        each = "; ".join(map(accuracy_text, rows))
        lines.append((method, f"**{averages[0]:.1f}**", each, *(f"{x:.1f}" for x in averages[1:]), said))
    floor = runs[0]["rows"][0]["chance"]
    lines.append(("chance", *(f"{100 * floor[k]:.1f}" if k else "" for k in ("1", "", "5", "10", ""))))
    head = (
        "method",
        "Acc@1, mean",
        "each seed",
        "Acc@5, mean",
        "Acc@10, mean",
        "Acc@1 less hard-transfer's, each seed",
    )
    note = (
        f"Accuracies in %, {runs[0]['rows'][0]['count']:,} sketches of unseen categories; [95 % bootstrap interval over "
        "sketches], of differences paired. "
    )
    table = markdown(head, lines)
    return f"```\n{runs[0]['data']}\n```\n\n{table}\n\n{note}{_vtd_origin(result, runs)}"


def vtd_demo() -> str:
    """The one run of `demo`: the mean of its seeds, their range, and the paired gain over hard transfer."""
    if (found := _vtd_runs("demo", "demo")) is None:
        return ""
    result, (run,) = found
    lines = []
    for method in dict.fromkeys(row["method"] for row in run["rows"]):
        line = [method]
        for k in ("1", "5", "10"):
            each = [100 * row["accuracy"][k] for row in run["rows"] if row["method"] == method]
            line.append(f"{mean(each):.1f} ({min(each):.1f} to {max(each):.1f})")
        gain = run["gains"][method].get("1")
        line.append("{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in gain)) if gain else "")
        lines.append(line)
    chance = run["rows"][0]["chance"]
    lines.append(["chance", *(f"{100 * chance[k]:.1f}" for k in ("1", "5", "10")), ""])
    table = markdown(("method", "Acc@1", "Acc@5", "Acc@10", "Acc@1 less hard-transfer's"), lines)
    took = "interrupted, so not timed" if run["minutes"] is None else f"{run['minutes']:.1f} minutes in all"
    note = (
        f"In %, mean of {len(run['seeds'])} seeds (range); {run['rows'][0]['count']:,} sketches of unseen categories. "
        "The difference is paired, of the means of the seeds, [95 % bootstrap interval over sketches]. "
        f"Two threads on {run['cores']} cores: {took}. "
    )
    return f"```\n{run['data']}\n```\n\n{table}\n\n{note}{_vtd_origin(result, [run])}"


def vtd_traits(kind: str, config: str) -> str:
    """How sketches use the descriptors of each trait network."""
    if (found := _vtd_runs(kind, config)) is None:
        return ""
    result, runs = found
    lines = []
    for name, of in dict.fromkeys((row["network"], row["of"]) for row in runs[0]["traits"]):
        rows = [row for run in runs for row in run["traits"] if (row["network"], row["of"]) == (name, of)]
        used = "; ".join(f"{row['share_used']:.1%}" for row in rows)
        spread = "; ".join(f"{row['per_category_mean']:.1f} ± {row['per_category_std']:.1f}" for row in rows)
        sketches = f"{of} ({rows[0]['sketches']:,})"
        lines.append((name, rows[0]["descriptors"], sketches, used, spread))
    head = (
        "network",
        "K",
        "sketches",
        "descriptors in use, each seed",
        "a category uses, mean ± deviation over categories",
    )
    table = markdown(head, lines)
    epochs = [
        (name, *(f"{of['used'][i]:.1%}" for i in (0, 2, 4, 6, 8, -1)), f"{of['reconstruction'][-1]:.0f}")
        for run in runs
        for name, of in run["stage 1"].items()
        if len(of["used"]) > 8
    ]
    ends = f"after the last ({len(next(iter(runs[0]['stage 1'].values()))['used'])})"
    then = ("all sketches of stage 1", *(f"epoch {i}" for i in (1, 3, 5, 7, 9)), ends, "L_rec then")
    told = (
        f"Descriptors in use in training, before each epoch's revival:\n\n{markdown(then, epochs)}\n\n"
        if epochs
        else ""
    )
    return f"```\n{runs[0]['data']}\n```\n\n{table}\n\n{told}{_vtd_origin(result, runs)}"
