"""Visual traits side by side: the methods of table 1 on the synthetic world, and the small configs on real data.

    python bench/vtd_runs.py methods                         # every method of table 1 from scratch, three seeds, synthetic
    python bench/vtd_runs.py real --root DIR                 # DIR: holds Sketchy/ and QuickDraw/ (docs/data.md)
    python bench/vtd_runs.py demo                            # python train/vtd.py as it comes, on two cores, and its minutes
    python bench/vtd_runs.py methods --collect               # only gather what finished runs have left

`methods`: the config `methods` of train/vtd.py, one run a seed, whose methods share the networks that they have in common.
`real`: the configs `sketchy-small`, one run a seed, and `traits-real`, stage 1 alone on Sketchy's and QuickDraw's sketches.
`demo`: one run of the config `demo`, with its own three seeds and two threads. Its minutes of wall time are kept where nothing
interrupted it.

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and started
again. Writes bench/results/vtd-{methods,real,demo}--<device>.json, which `python bench/tables.py` puts into train/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
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

EXPERIMENTS = {"methods": ("methods",), "real": ("sketchy-small", "traits-real"), "demo": ("demo",)}
KEPT = ("seed", "method", "count", "accuracy", "intervals", "chance")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=tuple(EXPERIMENTS))
    parser.add_argument("--root", help="folder of the real data sets, for `real`")
    parser.add_argument("--configs", nargs="+", help="only these of the experiment's configs")
    add_run_options(parser, "runs/vtd-bench")
    options = parser.parse_args()
    if options.experiment == "demo" and options.seeds != parser.get_default("seeds"):
        parser.error("--seeds: demo has its own")
    known = EXPERIMENTS[options.experiment]
    options.configs = options.configs or list(known)
    if unknown := set(options.configs) - set(known):
        parser.error(f"--configs: expected {', '.join(known)}; found {', '.join(sorted(unknown))}")
    if options.experiment == "real" and options.root is None and not options.collect:
        parser.error("real needs --root DIR, the folder of the real data sets")
    return options


def jobs(options: argparse.Namespace) -> list[tuple[str, int | None]]:
    """(config, seed) of each run; stage 1 alone is trained with the first seed, demo (None) with its own ones."""
    own: dict[str, list[int | None]] = {"traits-real": options.seeds[:1], "demo": [None]}
    return [(config, seed) for config in options.configs for seed in own.get(config, options.seeds)]


def run_folder(options: argparse.Namespace, config: str, seed: int | None) -> Path:
    return Path(options.runs) / (config if seed is None else f"{config}-{seed}")


def time_file(folder: Path) -> Path:
    """Beside a run of demo: how long it took, and how busy the machine was when it ended."""
    return folder.with_suffix(".time.json")


def settings(options: argparse.Namespace, config: str) -> list[str]:
    if options.experiment != "real":
        return [config]
    own = [config, "--data.root", str(Path(options.root) / "Sketchy")]
    if config == "traits-real":
        own += ["--data.extra-drawings", str(Path(options.root) / "QuickDraw")]
    return own


def train(options: argparse.Namespace, config: str, seed: int | None) -> None:
    folder, words = run_folder(options, config, seed), settings(options, config)
    if seed is not None:
        train_recipe(folder, "vtd.py", [*words, "--seeds", str(seed)])
        return
    begins = not folder.exists()
    minutes = train_recipe(folder, "vtd.py", words, threads=2)
    if begins and minutes is not None:
        load = [round(x, 1) for x in os.getloadavg()]
        atomic.write_json(time_file(folder), {"minutes": round(minutes, 2), "load_average": load})


def read_run(folder: Path, config: str, seed: int | None) -> dict[str, Any]:
    """A run's results, the spread over categories in place of each category's, and what it takes to judge them."""
    results = json.loads((folder / "results.json").read_text())
    inner = folder if seed is not None else folder / f"seed-{results['rows'][0]['seed']}"
    first = sorted(inner.glob("*/versions.json"))[0]
    launch = json.loads(first.read_text())["launches"][0]
    recipe = json.loads((inner / "recipe.json").read_text())
    epochs = {"stage 1": recipe["trait_training"]["epochs"], "base": recipe["base"]["epochs"]}
    rows = []
    for row in results["rows"]:
        if row["method"] == "hard-transfer":
            own = json.loads((inner / row["method"] / "config.json").read_text())
            epochs["stage 2"] = own["loop"]["epochs"]
        each = [found["accuracy"]["1"] for found in row["classes"].values()]
        rows.append(
            {key: row[key] for key in KEPT} | {"categories": [min(each), float(np.median(each)), max(each)]}
        )
    of_demo: dict[str, Any] = {}
    if seed is None:
        took = time_file(folder)
        of_demo = {"minutes": None} | (json.loads(took.read_text()) if took.exists() else {})
        of_demo |= {"seeds": recipe["seeds"], "cores": launch["hardware"]["cores"]}
    return {
        "config": config,
        "seed": seed,
        "data": results["data"],
        "commit": launch["git_commit"],
        "processor": launch["hardware"]["cpu"],
        **of_demo,
        "descriptors": recipe["traits"]["descriptors"],
        "epochs": epochs,
        "rows": rows,
        "gains": {row["method"]: row["gain"] for row in results["means"]},
        "traits": results["traits"],
        "stage 1": {
            path.parent.name: in_stage_1(path) for path in sorted(inner.glob("traits-*/metrics.jsonl"))
        },
    }


def in_stage_1(metrics: Path) -> dict[str, list[float]]:
    """Of a trait network after each epoch: share of the descriptors that its training sketches have, and L_rec."""
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    epochs = [record for record in records if record["kind"] == "validation"]
    return {name: [round(record[name], 4) for record in epochs] for name in ("used", "reconstruction")}


def collect(options: argparse.Namespace) -> dict[str, Any]:
    runs, missing = [], []
    for config, seed in jobs(options):
        folder = run_folder(options, config, seed)
        if finished(folder):
            runs.append(read_run(folder, config, seed))
        else:
            missing.append(folder.name)
    for config in options.configs:
        one_origin(options.runs, (run["commit"] for run in runs if run["config"] == config))
    what = f"train/vtd.py, {options.experiment}: from scratch, small; not comparable with published results"
    return gathered(what, missing, runs=runs)


def main() -> int:
    options = arguments()
    if not options.collect:
        train_all(train, [(options, *job) for job in jobs(options)], options.jobs)
    return write_gathered(f"vtd-{options.experiment}", options.device, collect(options))


if __name__ == "__main__":
    raise SystemExit(main())
