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


def markdown_of_filled(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Without the columns that no row has anything in."""
    columns = [column for column in zip(head, *rows, strict=True) if any(cell != "" for cell in column[1:])]
    titles, *lines = zip(*columns, strict=True)
    return markdown(titles, lines)


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


def weighted_search() -> str:
    kinds = {"own": "its own for each query", "shared": "those of {descriptors} descriptors"}
    parts = []
    for result in results("weighted_search"):
        head = ("weights", "seconds", "Gflop/s", "naive seconds", "naive / ours", "cdist / ours")
        head += ("differences / ours", "largest relative error", "MB above inputs and result")
        parts.append(
            markdown(
                head,
                (
                    (
                        kinds[row["weights"]].format(**result),
                        *(row[key] for key in ("seconds", "gflop_per_s", "naive_seconds")),
                        *(f"**{row[f'times_{peer}']:.1f}x**" for peer in ("naive", "cdist", "differences")),
                        *(row[key] for key in ("largest_relative_error", "peak_mb_above")),
                    )
                    for row in result["rows"]
                ),
            )
            + f"\n\n{result['queries']:,} queries of {result['samples']} samples, {result['photos']:,} photos, "
            f"{result['dimensions']:,} dimensions; float32, {result['threads']} threads, blocks of {result['block_mb']} MB. "
            f"Peers timed on {', '.join(f'{n} queries ({name})' for name, n in result['peer_queries'].items())}. "
            f"Load of the machine: {result['load_average'][0]}. {provenance(result)}"
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


def contour_points() -> str:
    parts = []
    for result in results("contour_points"):
        timed = [row for row in result["rows"] if row["op"] == "contour_points"]
        spaced = [row for row in result["rows"] if row["op"] == "spacing"]
        first = timed[0]
        threads = f"images/s, {first['threads']} threads"
        head = (
            "drawings",
            "pixels",
            "n",
            "us",
            "thinning us",
            "listing us",
            "sampling us",
            "images/s",
            threads,
        )
        lines = []
        for row in timed:
            parts_us = {name: f"{us:.1f}" for name, us in row["parts_us"].items()}
            if row["size"] != 256:  # differences of long times: noise
                parts_us |= {"listing": "", "sampling": ""}
            everywhere = row["per_second_all_threads"]
            lines.append(
                (
                    f"{row['images']} of {row['case']}" if row["case"] == first["case"] else row["case"],
                    *(row["pixels"], row["n"], f"**{row['us']:.1f}**"),
                    *(parts_us[name] for name in ("thinning", "listing", "sampling")),
                    *(f"{row['per_second']:,}", f"{everywhere:,}" if everywhere else ""),
                    *(f"{x:.0f}x" for x in row["times"].values()),
                )
            )
        head += tuple(f"{name} / ours" for name in first["times"])
        parts.append(
            markdown_of_filled(head, lines)
            + "\n\nSpacing in pixels, each time beside that of n random pixels of the same centreline:\n\n"
            + markdown(
                ("n", "sketches", "smallest gap", "variation of the gaps", "farthest pixel from a point"),
                (
                    (
                        row["n"],
                        row["images"],
                        *(
                            f"**{row['ours'][key]:{form}}**, {row['random'][key]:{form}}"
                            for key, form in (
                                ("smallest_gap", ".1f"),
                                ("gap_variation", ".2f"),
                                ("farthest_pixel", ".1f"),
                            )
                        ),
                    )
                    for row in spaced
                ),
            )
            + f"\n\nBatches, one thread unless said, path `{result['path_used']}`; pixels are those of an average centreline. "
            "Listing and sampling are differences of times, given for 256x256 only. "
            f"Load of the machine: {result['load_average'][0]}. {provenance(result)}"
        )
    return "\n\n".join(parts)


def rasterize() -> str:
    parts = []
    for result in results("rasterize"):
        names = ("Python loop", "cv2", "Pillow")
        lines = []
        for row in result["rows"]:
            shares = ", ".join(f"{name} {row['peers_ink'][name]:.2f}" for name in names[1:])
            ratios = (f"{row['times'][name]:.1f}x" if name in row["times"] else "" for name in names)
            lines.append(
                (
                    row["case"],
                    row["thickness"],
                    "yes" if row["antialias"] else "no",
                    row["threads"],
                    f"**{row['us']:.1f}**",
                    *ratios,
                    shares,
                )
            )
        head = ("sequences", "thickness", "antialiased", "threads", "us an image")
        head += (*(f"{name} / ours" for name in names), "their ink / ours")
        first = result["rows"][0]
        parts.append(
            markdown(head, lines)
            + f"\n\n{first['images']} sequences of up to 100 points at {first['size']}x{first['size']} a call, path "
            f"`{result['path_used']}`. Load of the machine: {result['load_average'][0]}. {provenance(result)}"
        )
    return "\n\n".join(parts)


def landmark_pool() -> str:
    def ratio(row: dict[str, Any], key: str) -> str:
        return f"**{row[key]:.1f}x**" if row[key] else ""

    parts = []
    for result in results("landmark_pool"):
        cases: dict[tuple[str, ...], dict[str, dict[str, Any]]] = {}
        for row in result["rows"]:
            cases.setdefault(tuple(str(row[key]) for key in ("shape", "n", "layout", "dtype")), {})[
                row["run"]
            ] = row
        head = ("features", "n", "layout", "dtype", "forward ms", "grid_sample / ours", "roi_align / ours")
        head += ("with backward ms", "grid_sample / ours", "roi_align / ours, features only")
        head += ("MB moved", "GB/s", "forward MB", "forward GB/s", "copy GB/s", "fill GB/s")
        lines = [
            (
                *case,
                runs["forward"]["ms"],
                ratio(runs["forward"], "times_grid_sample"),
                ratio(runs["forward"], "times_roi_align"),
                runs["forward+backward"]["ms"],
                ratio(runs["forward+backward"], "times_grid_sample"),
                ratio(runs["features"], "times_roi_align"),
                *(
                    runs[run][key]
                    for run in ("forward+backward", "forward")
                    for key in ("mb_moved", "gb_per_s")
                ),
                *(runs["forward+backward"][key] for key in ("copy_gb_per_s", "fill_gb_per_s")),
            )
            for case, runs in cases.items()
        ]
        parts.append(
            markdown(head, lines)
            + "\n\nOne thread, its CPU time. MB moved and GB/s: forward and backward to features and points, unless said; "
            f"copy and fill: a tensor of that size. Load of the machine: {result['load_average'][0]}. "
            + provenance(result)
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


def _percent(row: dict[str, Any], k: str = "1") -> str:
    low, high = row["intervals"][k]
    return f"{100 * row['accuracy'][k]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _landmark_origin(result: dict[str, Any], runs: Rows) -> str:
    """Where the numbers of the runs are from; they share epochs and commit."""
    seeds = ", ".join(map(str, sorted({run["seed"] for run in runs})))
    return (
        f"Accuracy in %, [95 % bootstrap interval over sketches]; seeds {seeds} of training, the same data; a row with fewer "
        f"values has that many runs. {runs[0]['epochs']} epochs, {runs[0]['processor']}, torch {result['versions']['torch']}, "
        f"commit {_short(runs[0]['commit'])}, {result['date']}."
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
            each = "; ".join(map(_percent, tested))
            lines.append((arm, f"**{top1:.1f}**", each, f"{top5:.1f}", f"{average:.1f}"))
        floor = runs[0]["rows"][-1]
        lines.append((floor["method"], f"{100 * floor['accuracy']['1']:.1f}", _percent(floor),
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
                              "; ".join(map(_percent, same)), f"{mean(100 * r['mAP'] for r in same):.1f}"))  # fmt: skip
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
        f"Seeds {seeds} of training, the same data; K = {runs[0]['descriptors']}; epochs: {epochs}. {runs[0]['processor']}, "
        f"torch {result['versions']['torch']}, commit {_short(runs[0]['commit'])}, {result['date']}."
    )


def _vtd_accuracies(kind: str, config: str) -> str:
    """Methods by Acc@k: the mean of the seeds, and each with its interval and its paired gain over hard transfer."""
    if (found := _vtd_runs(kind, config)) is None:
        return ""
    result, runs = found
    lines = []
    for method in (row["method"] for row in runs[0]["rows"]):
        rows = [row for run in runs for row in run["rows"] if row["method"] == method]
        gains = [run["gains"][method].get("1") for run in runs if method in run["gains"]]
        said = "; ".join(
            "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in gain)) for gain in gains if gain
        )
        averages = [mean(100 * row["accuracy"][k] for row in rows) for k in ("1", "5", "10")]
        each = "; ".join(map(_percent, rows))
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


def _vtd_traits(kind: str, config: str) -> str:
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


def _more_photos(kind: str) -> tuple[dict[str, Any], Rows] | None:
    return next(
        ((result, result["runs"]) for result in results(f"more-photos-{kind}") if result["runs"]), None
    )


def _more_photos_origin(result: dict[str, Any], runs: Rows) -> str:
    seeds = ", ".join(str(seed) for run in runs for seed in run["seeds"])
    epochs = ", ".join(f"{name} {count}" for name, count in runs[0]["epochs"].items())
    return (
        f"Seeds {seeds} of training, the same data. Epochs: {epochs} ({runs[0]['joint_steps']:,} steps). {runs[0]['processor']}, "
        f"torch {result['versions']['torch']}, commit {_short(runs[0]['commit'])}, {result['date']}."
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
        said = "; ".join(
            "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * x for x in gain)) for gain in gains if gain
        )
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
    note += f"{runs[0]['processor']}, torch {result['versions']['torch']}, commit {_short(runs[0]['commit'])}, {result['date']}."
    return f"```\n{runs[0]['data']}\n```\n\n{markdown(head, lines)}\n\n{note}"


TABLES: dict[str, Callable[[], str]] = {
    "landmark_net": landmark_net,
    "parsing": parsing,
    "spg": spg,
    "soft_weighted_loss": soft_weighted_loss,
    "hamming": hamming,
    "landmark_pool": landmark_pool,
    "skeletonize": skeletonize,
    "contour_points": contour_points,
    "rasterize": rasterize,
    "retrieval": retrieval,
    "weighted_search": weighted_search,
    "sharing": sharing,
    "ablation": ablation,
    "landmark-variants": landmark_variants,
    "landmark-real": landmark_real,
    "vtd-demo": vtd_demo,
    "vtd-methods": lambda: _vtd_accuracies("methods", "methods"),
    "vtd-real": lambda: _vtd_accuracies("real", "sketchy-small"),
    "vtd-traits": lambda: _vtd_traits("demo", "demo"),
    "more-photos-demo": lambda: more_photos("demo"),
    "more-photos-demo-drawings": lambda: more_photos_drawings("demo"),
    "more-photos-methods": lambda: more_photos("methods"),
    "more-photos-methods-drawings": lambda: more_photos_drawings("methods"),
    "more-photos-fractions": more_photos_shares,
    "more-photos-strokes": more_photos_strokes,
    "vtd-traits-real": lambda: _vtd_traits("real", "traits-real"),
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
