"""Landmark networks side by side: the paper's variants on synthetic drawings, and the small configs on real ones.

    python bench/landmark_runs.py variants                   # six variants, three seeds, synthetic
    python bench/landmark_runs.py real --root DIR            # DIR: holds Sketchy/, SPG/, QuickDraw/ (docs/data.md)
    python bench/landmark_runs.py variants --collect         # only gather what finished runs have left

`variants`: the config `ablation` of train/landmark.py, one network a run. `real`: the configs `demo`, `spg-small` and
`sketchy-small` (networks for several n, their fusion, the same backbone with global pooling), the latter two also on
QuickDraw's drawings of the classes they share, and `sketchy-retrieval-small` (photos found by sketches).

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and
started again. Writes bench/results/landmark-{variants,real}--<device>.json, which `python bench/tables.py` puts into
train/README.md.
"""

from __future__ import annotations

import argparse
import json
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

VARIANTS = (
    *("resnet", "only-landmarks", "landmarks+offset", "landmarks+diversity", "landmarks+offset+class-aware"),
    "full",
)
# config -> folder of its data
REAL = {"demo": None, "spg-small": "SPG", "sketchy-small": "Sketchy", "sketchy-retrieval-small": "Sketchy"}
KEPT = ("data", "method", "count", "accuracy", "intervals", "mAP")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", choices=("variants", "real"))
    parser.add_argument("--root", help="folder of the real data sets, for `real`")
    parser.add_argument("--arms", nargs="+", help="only these variants or configs")
    add_run_options(parser, "runs/landmark-bench")
    options = parser.parse_args()
    known = VARIANTS if options.experiment == "variants" else tuple(REAL)
    if options.arms is None:
        options.arms = list(known)
    if unknown := set(options.arms) - set(known):
        parser.error(f"--arms: expected {', '.join(known)}; found {', '.join(sorted(unknown))}")
    if options.experiment == "real" and options.root is None and not options.collect:
        parser.error("real needs --root DIR, the folder of the real data sets")
    return options


def run_folder(options: argparse.Namespace, arm: str, seed: int) -> Path:
    return Path(options.runs) / f"{arm}-{seed}"


def settings(options: argparse.Namespace, arm: str) -> list[str]:
    if options.experiment == "variants":
        return ["ablation", "--variant", arm]
    if REAL[arm] is None:
        return [arm]
    root = Path(options.root)
    own = [arm, "--data.root", str(root / str(REAL[arm]))]
    if arm == "sketchy-retrieval-small":
        return own
    return [*own, "--evaluation.cross", "quickdraw", "--evaluation.cross-root", str(root / "QuickDraw")]


def train(options: argparse.Namespace, arm: str, seed: int) -> None:
    words = [*settings(options, arm), "--loop.seed", str(seed)]
    train_recipe(run_folder(options, arm, seed), "landmark.py", words)


def read_run(folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """A run's results without the values of single classes, and what it takes to judge them."""
    results = json.loads((folder / "results.json").read_text())
    own = (
        folder
        if (folder / "config.json").exists()
        else next(iter(sorted(folder.glob("n*/config.json")))).parent
    )
    launch = json.loads((own / "versions.json").read_text())["launches"][0]
    config = json.loads((own / "config.json").read_text())
    return {
        "arm": arm,
        "seed": seed,
        "data": results["data"],
        "commit": launch["git_commit"],
        "processor": launch["hardware"]["cpu"],
        "epochs": config["loop"]["epochs"],
        "fusion": results["fusion"],
        "rows": [{key: row[key] for key in KEPT} for row in results["rows"] if row["data"] != "validation"],
        "retrieval": results["retrieval"],
    }


def collect(options: argparse.Namespace) -> dict[str, Any]:
    runs, missing = [], []
    for arm in options.arms:
        for seed in options.seeds:
            folder = run_folder(options, arm, seed)
            if finished(folder):
                runs.append(read_run(folder, arm, seed))
            else:
                missing.append(folder.name)
    for arm in options.arms:
        own = [run for run in runs if run["arm"] == arm]
        one_origin(options.runs, ((run["commit"], run["epochs"]) for run in own), "commits or lengths")
    what = (
        f"train/landmark.py, {options.experiment}: from scratch, small; not comparable with published results"
    )
    return gathered(what, missing, runs=runs)


def main() -> int:
    options = arguments()
    if not options.collect:
        jobs = [(options, arm, seed) for seed in options.seeds for arm in options.arms]
        train_all(train, jobs, options.jobs)
    return write_gathered(f"landmark-{options.experiment}", options.device, collect(options))


if __name__ == "__main__":
    raise SystemExit(main())
