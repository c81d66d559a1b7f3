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
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from recipe_runs import (
    HERE,
    RECIPES,
    add_run_options,
    gathered,
    one_origin,
    run_commands,
    train_all,
    write_gathered,
)

from sketchfast import atomic
from sketchfast.data.load_parts import load_parts

RECIPE = RECIPES / "deepssp.py"
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
    add_run_options(parser, "runs/deepssp-ablation")
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
    run_commands(folder, commands)


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
    one_origin(options.runs, origins, "commits or lengths")
    commit, iterations = origins.pop() if origins else (None, None)
    recipe = recipe_module()
    split = recipe.load_split(recipe.named_configs()["ablation"][1].data)
    largest = recipe.largest_part_of(split.train)
    untrained = recipe.score_baselines(split.test, largest, "test")
    if options.aligned is not None:
        untrained += recipe.score_baselines(load_parts("aligned", options.aligned).test, largest, "real")
    rows += [{"arm": "none", "seed": 0, **{key: row.to_dict()[key] for key in KEPT}} for row in untrained]
    what = "train/deepssp.py ablation: small, from scratch, on synthetic sketches; not comparable with published results"
    return gathered(what, missing, data=split.summary(), commit=commit, iterations=iterations, rows=rows)


def main() -> int:
    options = arguments()
    if options.without_ht:
        score_without_ht(Path(options.without_ht), options.aligned)
        return 0
    if not options.collect:
        train_all(
            train, [(options, arm, seed) for seed in options.seeds for arm in options.arms], options.jobs
        )
    return write_gathered("deepssp-ablation", options.device, collect(options), "rows")


if __name__ == "__main__":
    raise SystemExit(main())
