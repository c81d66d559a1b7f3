"""Visual traits side by side: the methods of table 1 on the synthetic world, and the small configs on real data.

    python bench/vtd_runs.py methods                         # every method of table 1 from scratch, three seeds, synthetic
    python bench/vtd_runs.py real --root DIR                 # DIR: holds Sketchy/ and QuickDraw/ (docs/data.md)
    python bench/vtd_runs.py methods --collect               # only gather what finished runs have left

`methods`: the config `methods` of train/vtd.py, one run a seed, whose methods share the networks that they have in common.
`real`: the configs `sketchy-small`, one run a seed, and `traits-real`, stage 1 alone on Sketchy's and QuickDraw's sketches.

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and started
again. Writes bench/results/vtd-{methods,real}--<device>.json, which `python bench/tables.py` puts into train/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sketchfast import __version__, atomic

HERE = Path(__file__).resolve().parent
EXPERIMENTS = {"methods": ("methods",), "real": ("sketchy-small", "traits-real")}
KEPT = ("method", "count", "accuracy", "intervals", "chance")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=tuple(EXPERIMENTS))
    parser.add_argument("--root", help="folder of the real data sets, for `real`")
    parser.add_argument("--configs", nargs="+", help="only these of the experiment's configs")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", default="runs/vtd-bench", help="folder of the run folders")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each"
    )
    parser.add_argument("--device", default="cpu", help="name of the device in the result's file name")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    options = parser.parse_args()
    known = EXPERIMENTS[options.experiment]
    options.configs = options.configs or list(known)
    if unknown := set(options.configs) - set(known):
        parser.error(f"--configs: expected {', '.join(known)}; found {', '.join(sorted(unknown))}")
    if options.experiment == "real" and options.root is None and not options.collect:
        parser.error("real needs --root DIR, the folder of the real data sets")
    return options


def jobs(options: argparse.Namespace) -> list[tuple[str, int]]:
    """(config, seed) of each run; stage 1 alone is trained with the first seed."""
    return [
        (config, seed)
        for config in options.configs
        for seed in (options.seeds[:1] if config == "traits-real" else options.seeds)
    ]


def run_folder(options: argparse.Namespace, config: str, seed: int) -> Path:
    return Path(options.runs) / f"{config}-{seed}"


def settings(options: argparse.Namespace, config: str) -> list[str]:
    if options.experiment == "methods":
        return [config]
    own = [config, "--data.root", str(Path(options.root) / "Sketchy")]
    if config == "traits-real":
        own += ["--data.extra-drawings", str(Path(options.root) / "QuickDraw")]
    return own


def train(options: argparse.Namespace, config: str, seed: int) -> None:
    folder = run_folder(options, config, seed)
    if (folder / "results.json").exists():
        return
    command = [sys.executable, str(HERE.parent / "train" / "vtd.py"), *settings(options, config)]
    command += ["--seeds", str(seed), "--loop.threads", "1", "--loop.out", str(folder), "--loop.resume"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with open(folder.with_suffix(".log"), "a") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    verdict = "done" if done.returncode == 0 else f"FAILED, see {folder.with_suffix('.log')}"
    print(f"{folder.name:<32} {(time.monotonic() - started) / 60:5.1f} min  {verdict}", flush=True)


def read_run(folder: Path, config: str, seed: int) -> dict[str, Any]:
    """A run's results, the spread over categories in place of each category's, and what it takes to judge them."""
    results = json.loads((folder / "results.json").read_text())
    first = sorted(folder.glob("*/versions.json"))[0]
    launch = json.loads(first.read_text())["launches"][0]
    recipe = json.loads((folder / "recipe.json").read_text())
    epochs = {"stage 1": recipe["trait_training"]["epochs"], "base": recipe["base"]["epochs"]}
    rows = []
    for row in results["rows"]:
        if row["method"] == "hard-transfer":
            own = json.loads((folder / row["method"] / "config.json").read_text())
            epochs["stage 2"] = own["loop"]["epochs"]
        each = [found["accuracy"]["1"] for found in row["classes"].values()]
        rows.append(
            {key: row[key] for key in KEPT} | {"categories": [min(each), float(np.median(each)), max(each)]}
        )
    return {
        "config": config,
        "seed": seed,
        "data": results["data"],
        "commit": launch["git_commit"],
        "processor": launch["hardware"]["cpu"],
        "descriptors": recipe["traits"]["descriptors"],
        "epochs": epochs,
        "rows": rows,
        "gains": {row["method"]: row["gain"] for row in results["means"]},
        "traits": results["traits"],
    }


def collect(options: argparse.Namespace) -> dict[str, Any]:
    runs, missing = [], []
    for config, seed in jobs(options):
        folder = run_folder(options, config, seed)
        if (folder / "results.json").exists():
            runs.append(read_run(folder, config, seed))
        else:
            missing.append(folder.name)
    for config in options.configs:
        commits = {run["commit"] for run in runs if run["config"] == config}
        if len(commits) > 1:
            raise SystemExit(f"{options.runs}: runs of different commits, train them anew: {sorted(commits)}")
    return {
        "what": f"train/vtd.py, {options.experiment}: from scratch, small; not comparable with published results",
        "missing": missing,
        "versions": {"sketchfast": __version__, "torch": version("torch")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
    }


def main() -> int:
    options = arguments()
    if not options.collect:
        with ThreadPoolExecutor(options.jobs) as pool:
            for job in [pool.submit(train, options, *job) for job in jobs(options)]:
                job.result()
    result = collect(options)
    path = HERE / "results" / f"vtd-{options.experiment}--{options.device}.json"
    path.parent.mkdir(exist_ok=True)
    atomic.write_json(path, result)
    missing = f"; missing {', '.join(result['missing'])}" if result["missing"] else ""
    print(f"{len(result['runs'])} runs in {path}{missing}")
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
