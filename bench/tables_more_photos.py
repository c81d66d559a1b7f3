"""Tables of More photos, train/more_photos.py: retrieval, drawings, shares of the labels, strokes alone."""

from __future__ import annotations

from statistics import mean
from typing import Any

from table_text import Rows, gains_text, made_on, markdown, results


def _more_photos(kind: str) -> tuple[dict[str, Any], Rows] | None:
    return next(
        ((result, result["runs"]) for result in results(f"more-photos-{kind}") if result["runs"]), None
    )


def _more_photos_origin(result: dict[str, Any], runs: Rows) -> str:
    seeds = ", ".join(str(seed) for run in runs for seed in run["seeds"])
    epochs = ", ".join(f"{name} {count}" for name, count in runs[0]["epochs"].items())
    return (
        f"Seeds {seeds} of training, the same data. Epochs: {epochs} ({runs[0]['joint_steps']:,} steps). "
        f"{made_on(result, runs[0])}"
    )


def _spread(values: list[float], scale: float = 100, digits: int = 1) -> str:
    """The mean, and from where to where."""
    each = [f"{scale * x:.{digits}f}" for x in (mean(values), min(values), max(values))]
    return each[0] if len(values) == 1 else "{} ({} to {})".format(*each)


def more_photos(kind: str) -> str:
    """Retrieval: methods by Acc@k, the mean of the seeds and their range, the paired gain over supervised."""
    if (found := _more_photos(kind)) is None:
        return ""
    result, runs = found
    every = [row for run in runs for row in run["rows"]]
    lines = []
    for method in dict.fromkeys(row["method"] for row in every):
        rows = [row for row in every if row["method"] == method]
        gains = [run["gains"][method].get("1") for run in runs if method in run["gains"]]
        said = gains_text(gains)
        lines.append(
            [method, *(_spread([row["accuracy"][k] for row in rows]) for k in ("1", "5", "10")), said]
        )
    chance = every[0]["chance"]
    lines.append(["chance", *(f"{100 * chance[k]:.1f}" for k in ("1", "5", "10")), ""])
    table = markdown(("method", "Acc@1", "Acc@5", "Acc@10", "Acc@1 less supervised's"), lines)
    took = [run["minutes"] for run in runs if run["minutes"] is not None]
    minutes = (
        f" Two threads on {runs[0]['cores']} cores: {took[0]:.1f} minutes in all."
        if kind == "demo" and took
        else ""
    )
    drawing, total = (
        sum(row[k] for run in runs for row in run["rasterization"]) for k in ("rasterizing", "total")
    )
    share = f" The rasterize op took {100 * drawing / total:.2f} % of joint training." if total else ""
    note = (
        f"In %, mean of the seeds (range); {every[0]['count']:,} test sketches. The difference is paired, [95 % bootstrap "
        f"interval over sketches].{minutes}{share} "
    )
    return f"```\n{runs[0]['data']}\n```\n\n{table}\n\n{note}{_more_photos_origin(result, runs)}"


def more_photos_drawings(kind: str) -> str:
    """Generators: recognition, retrieval and FID of their drawings of the test photos."""
    if (found := _more_photos(kind)) is None:
        return ""
    result, runs = found
    every = [row for run in runs for row in run["generation"]]
    lines = []
    for name in dict.fromkeys(row["generator"] for row in every):
        rows = [row for row in every if row["generator"] == name]
        cells = [_spread([row[what][k] for row in rows]) if what in rows[0] else ""
                 for what in ("recognition", "retrieval") for k in ("1", "10")]  # fmt: skip
        fid = _spread([row["fid"]["value"] for row in rows], 1, 2) if "fid" in rows[0] else ""
        lines.append([name, *cells, fid])
    head = (
        "drawn by",
        "recognition Acc@1",
        "Acc@10",
        "retrieval Acc@1",
        "Acc@10",
        "FID (our classifier's features)",
    )
    note = "Mean of the seeds (range), accuracies in %; one drawing of each test photo. "
    return f"{markdown(head, lines)}\n\n{note}{_more_photos_origin(result, runs)}"


def more_photos_shares() -> str:
    """Figure 4 (b): Acc@1 by the share of labelled photos."""
    if (found := _more_photos("fractions")) is None:
        return ""
    result, runs = found
    every = [row for run in runs for row in run["rows"]]
    shares = sorted({row["share"] for row in every})
    lines = []
    for method in dict.fromkeys(row["method"] for row in every):
        cells = []
        for share in shares:
            rows = [row for row in every if (row["method"], row["share"]) == (method, share)]
            cells.append(_spread([row["accuracy"]["1"] for row in rows]))
        lines.append([method, *cells])
    table = markdown(("Acc@1, labelled photos", *(f"{share:.0%}" for share in shares)), lines)
    return f"{table}\n\nIn %, mean of the seeds (range). {_more_photos_origin(result, runs)}"


def more_photos_strokes() -> str:
    """Decoders of strokes alone: the likelihood of held-out sketches."""
    if (found := _more_photos("strokes")) is None:
        return ""
    result, runs = found
    rows = [row for run in runs for row in run["likelihoods"]]
    lines = [
        (
            row["decoder"],
            *(f"{row['epochs'][at]:.3f}" for at in (0, 1, len(row["epochs"]) // 2, -1)),
            len(row["epochs"]) - 1,
        )
        for row in rows
    ]
    head = ("strokes", "before training", "after an epoch", "halfway", "after the last epoch", "epochs")
    note = "Negative log-likelihood of held-out sketches, nats a point (offset and pen). "
    note += made_on(result, runs[0])
    return f"```\n{runs[0]['data']}\n```\n\n{markdown(head, lines)}\n\n{note}"
