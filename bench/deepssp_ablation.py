"""DeepSSP's losses and homogeneous transformation (HT) side by side: every arm trained with several seeds, results collected.

    python bench/deepssp_ablation.py --aligned DIR/SketchParse/aligned     # DIR: real data; left out: synthetic sketches only
    python bench/deepssp_ablation.py --collect                             # only gather what finished runs have left

Each run is the config `ablation` of train/deepssp.py on the synthetic world. The arms: the four losses of table IV with HT;
the last of them without HT; and, from the same runs as "soft-background", HT in training but not at test (HT- of table II).

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and
started again. Writes bench/results/deepssp-ablation--<device>.json; `python bench/tables.py` puts it into train/README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from sketchfast import __version__, atomic
from sketchfast.data.load_parts import load_parts

HERE = Path(__file__).resolve().parent
RECIPE = HERE.parent / "train" / "deepssp.py"
# arm -> settings of the recipe
ARMS = {
    "ce": ["--loss.kind", "ce"],
    "weighted-ce": ["--loss.kind", "weighted-ce"],
    "soft": ["--loss.kind", "soft"],
    "soft-background": ["--loss.kind", "soft-background"],
    "no-ht": ["--loss.kind", "soft-background", "--augmentation.no-homogeneous", "--model.no-homogeneous"],
}
KEPT = ("data", "method", "category", "mean_iou", "interval", "count", "pixel_accuracy")
TRAINED_WITH_HT = "soft-background"  # its runs, tested without HT, are the arm "ht-train-only"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--aligned", help="folder of real sketches with fitted masks, to be scored as well")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", default="runs/deepssp-ablation", help="folder of the run folders")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each"
    )
    parser.add_argument("--device", default="cpu", help="name of the device in the result's file name")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    parser.add_argument("--without-ht", help=argparse.SUPPRESS)  # the folder of a run to test without HT
    return parser.parse_args()


def run_folder(options: argparse.Namespace, arm: str, seed: int) -> Path:
    return Path(options.runs) / f"{arm}-{seed}"


def train(options: argparse.Namespace, arm: str, seed: int) -> None:
    """Train and evaluate one arm with one seed, and test it without HT as well where that is an arm."""
    folder = run_folder(options, arm, seed)
    aligned = [] if options.aligned is None else [options.aligned]
    command = [sys.executable, str(RECIPE), "ablation", *ARMS[arm], "--loop.seed", str(seed)]
    command += ["--loop.threads", "1", "--loop.out", str(folder), "--loop.resume"]
    command += [word for path in aligned for word in ("--evaluation.aligned", path)]
    commands = [(folder / "results.json", command)]
    if arm == TRAINED_WITH_HT:
        again = [sys.executable, str(HERE / "deepssp_ablation.py"), "--without-ht", str(folder)]
        commands.append((folder / "without-ht.json", again + [w for p in aligned for w in ("--aligned", p)]))
    folder.parent.mkdir(parents=True, exist_ok=True)
    started, verdict = time.monotonic(), "done"
    with open(folder.with_suffix(".log"), "a") as log:
        for result, words in commands:
            if result.exists() or verdict != "done":
                continue
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
            if done.returncode or not result.exists():
                verdict = f"FAILED, see {folder.with_suffix('.log')}"
    print(f"{folder.name:<24} {(time.monotonic() - started) / 60:5.1f} min  {verdict}", flush=True)


def recipe_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train_deepssp", RECIPE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["train_deepssp"] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def score_without_ht(folder: Path, aligned: str | None) -> None:
    """The finished run's network on the same sketches as they are; writes without-ht.json into the run."""
    from sketchfast.metrics.parser_scores import score_parser
    from sketchfast.models import load_run

    recipe = recipe_module()
    split = recipe.load_split(recipe.named_configs()["ablation"][1].data)
    model = load_run(folder)
    model.config = dataclasses.replace(model.config, homogeneous=False)
    rows = score_parser(model, split.test, "test", "DeepSSP, tested without HT", guess=False)
    if aligned is not None:
        real = recipe.known(load_parts("aligned", aligned).test, model)
        rows += score_parser(model, real, "real", "DeepSSP, tested without HT", guess=False)
    atomic.write_json(folder / "without-ht.json", [row.to_dict() for row in rows])


def collect(options: argparse.Namespace) -> dict[str, Any]:
    """Every row of every run, without the values of single sketches."""
    rows, missing, origins = [], [], set()
    for arm in options.arms:
        for seed in options.seeds:
            folder = run_folder(options, arm, seed)
            sources = {arm: folder / "results.json"}
            if arm == TRAINED_WITH_HT:
                sources["ht-train-only"] = folder / "without-ht.json"
            for name, path in sources.items():
                if not path.exists():
                    missing.append(f"{name}-{seed}")
                    continue
                launch = json.loads((folder / "stage1" / "versions.json").read_text())["launches"][0]
                config = json.loads((folder / "stage1" / "config.json").read_text())
                origins.add((launch["git_commit"], config["stages"]["stage1_iterations"]))
                for row in json.loads(path.read_text()):
                    if row["category"] == "given":
                        rows.append({"arm": name, "seed": seed, **{key: row[key] for key in KEPT}})
    if len(origins) > 1:
        raise SystemExit(
            f"{options.runs}: runs of different commits or lengths, train them anew: {sorted(origins)}"
        )
    commit, iterations = origins.pop() if origins else (None, None)
    recipe = recipe_module()
    split = recipe.load_split(recipe.named_configs()["ablation"][1].data)
    largest = recipe.largest_part_of(split.train)
    untrained = recipe.score_baselines(split.test, largest, "test")
    if options.aligned is not None:
        untrained += recipe.score_baselines(load_parts("aligned", options.aligned).test, largest, "real")
    rows += [{"arm": "none", "seed": 0, **{key: row.to_dict()[key] for key in KEPT}} for row in untrained]
    return {
        "what": "train/deepssp.py ablation: small, from scratch, on synthetic sketches; not comparable with published results",
        "data": split.summary(),
        "missing": missing,
        "versions": {"sketchfast": __version__, "torch": version("torch")},
        "commit": commit,
        "iterations": iterations,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
    }


def main() -> int:
    options = arguments()
    if options.without_ht:
        score_without_ht(Path(options.without_ht), options.aligned)
        return 0
    if not options.collect:
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = [pool.submit(train, options, arm, seed) for seed in options.seeds for arm in options.arms]
            for job in jobs:
                job.result()
    result = collect(options)
    path = HERE / "results" / f"deepssp-ablation--{options.device}.json"
    path.parent.mkdir(exist_ok=True)
    atomic.write_json(path, result)
    print(
        f"{len(result['rows'])} rows in {path}"
        + (f"; missing {', '.join(result['missing'])}" if result["missing"] else "")
    )
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
