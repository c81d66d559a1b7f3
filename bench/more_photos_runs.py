"""Semi-supervised retrieval and photo-to-sketch generation side by side: train/more_photos.py, run, gathered and timed.

    python bench/more_photos_runs.py demo                    # python train/more_photos.py as it comes, two cores, its minutes
    python bench/more_photos_runs.py methods                 # every row of tables 1 to 3 that starts from scratch, synthetic
    python bench/more_photos_runs.py fractions               # figure 4 (b): shares of the labelled photos, synthetic
    python bench/more_photos_runs.py strokes --root DIR      # decoders of real strokes; DIR: holds ChairV2/ and SPG/
    python bench/more_photos_runs.py methods --collect       # only gather what finished runs have left

`demo`: one run of the config `demo`, with its own three seeds and two threads. Its minutes of wall time are kept where nothing
interrupted it. `methods`: the config `methods`, one run a seed, whose rows share the networks that they have in common.
`fractions`: the config of that name, one run a seed, of five shares. `strokes`: one run of the config `strokes-real`.

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and started
again. Writes bench/results/more-photos-{demo,methods,fractions,strokes}--<device>.json, which `python bench/tables.py` puts into
train/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from recipe_runs import (
    add_run_options,
    finished,
    gathered,
    one_origin,
    train_all,
    train_recipe,
    write_gathered,
)

from sketchfast import atomic

EXPERIMENTS = {"demo": "demo", "methods": "methods", "fractions": "fractions", "strokes": "strokes-real"}
KEPT = ("seed", "method", "share", "generator", "count", "accuracy", "intervals", "chance")

# Of what a run found, as it is in its results.json.
FOUND = ("generation", "generation_means", "certainty", "likelihoods", "rasterization")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=tuple(EXPERIMENTS))
    parser.add_argument("--root", help="folder of the real strokes, for `strokes`")
    add_run_options(parser, "runs/more-photos-bench")
    options = parser.parse_args()
    if options.experiment == "demo" and options.seeds != parser.get_default("seeds"):
        parser.error("--seeds: demo has its own")
    if options.experiment == "strokes" and options.root is None and not options.collect:
        parser.error("strokes needs --root DIR, the folder of the real strokes")
    return options


def jobs(options: argparse.Namespace) -> list[tuple[str, list[str], int]]:
    """(name of its folder, words of its command, threads) of each run."""
    kind, config = options.experiment, EXPERIMENTS[options.experiment]
    if kind == "demo":
        return [("demo", [config], 2)]
    if kind == "strokes":
        return [("strokes", [config, "--data.root", str(options.root)], 1)]
    return [(f"{kind}-{seed}", [config, "--seeds", str(seed)], 1) for seed in options.seeds]


def time_file(folder: Path) -> Path:
    """Beside a run: how long it took, and how busy the machine was when it ended."""
    return folder.with_suffix(".time.json")


def train(options: argparse.Namespace, name: str, words: list[str], threads: int) -> None:
    folder = Path(options.runs) / name
    begins = not folder.exists()
    minutes = train_recipe(folder, "more_photos.py", words, threads=threads)
    if begins and minutes is not None:
        load = [round(x, 1) for x in os.getloadavg()]
        atomic.write_json(time_file(folder), {"minutes": round(minutes, 2), "load_average": load})


def read_run(folder: Path) -> dict[str, Any]:
    """A run's results without each category's, and what it takes to judge them."""
    results = json.loads((folder / "results.json").read_text())
    first = min(folder.glob("**/versions.json"), key=lambda path: path.stat().st_mtime)
    recipe_file = min(folder.glob("**/recipe.json"), key=lambda path: len(path.parts))
    launch, recipe = json.loads(first.read_text())["launches"][0], json.loads(recipe_file.read_text())
    took = time_file(folder)
    timed = json.loads(took.read_text()) if took.exists() else {"minutes": None}
    rows = [{key: row[key] for key in KEPT} for row in results["rows"]]
    return {
        "run": folder.name,
        "data": results["data"],
        "commit": launch["git_commit"],
        "processor": launch["hardware"]["cpu"],
        "cores": launch["hardware"]["cores"],
        **timed,
        "seeds": recipe["seeds"],
        "epochs": {
            "F": recipe["retrieval_training"]["epochs"],
            "G": recipe["generator_training"]["epochs"],
            "joint training": recipe["joint_training"]["epochs"],
        },
        "joint_steps": recipe["joint_training"]["epochs"] * recipe["joint_steps"],
        "rows": rows,
        "gains": {row["method"]: row["gain"] for row in results["means"]},
        **{key: results[key] for key in FOUND},
    }


def collect(options: argparse.Namespace) -> dict[str, Any]:
    folders = [Path(options.runs) / name for name, _, _ in jobs(options)]
    runs = [read_run(folder) for folder in folders if finished(folder)]
    one_origin(options.runs, (run["commit"] for run in runs))
    what = f"train/more_photos.py, {options.experiment}: from scratch, small; not comparable with published results"
    return gathered(what, [folder.name for folder in folders if not finished(folder)], runs=runs)


def main() -> int:
    options = arguments()
    if not options.collect:
        at_a_time = 1 if options.experiment == "demo" else options.jobs
        train_all(train, [(options, *job) for job in jobs(options)], at_a_time)
    return write_gathered(f"more-photos-{options.experiment}", options.device, collect(options))


if __name__ == "__main__":
    raise SystemExit(main())
