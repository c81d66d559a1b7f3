"""TCN's sharing modes side by side on real sketches: train every mode with several seeds and collect the results.

    python bench/tcn_sharing.py --root DIR                 # DIR: Sketchy-Extended, whole or cut down
    python bench/tcn_sharing.py --root DIR --collect       # only gather what finished runs have left

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and
started again. Writes bench/results/tcn-sharing--<device>.json; `python bench/tables.py` puts it into train/README.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from recipe_runs import (
    HERE,
    add_run_options,
    finished,
    gathered,
    train_all,
    train_recipe,
    write_gathered,
)

from sketchfast.data import load_zero_shot

MODES = ("soft", "hard", "none")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder of Sketchy-Extended")
    parser.add_argument("--splits", nargs="+", default=["zeroshot1", "zeroshot0"], help="list folders")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES, help="sharing modes")
    add_run_options(parser, "runs/tcn-sharing")
    return parser.parse_args()


def run_folder(runs: str, split: str, mode: str, seed: int) -> Path:
    return Path(runs) / f"{split}-{mode}-{seed}"


def train(root: str, folder: Path, split: str, mode: str, seed: int) -> None:
    words = ["sketchy-small", "--data.root", root, "--data.split", split, "--model.sharing", mode]
    train_recipe(folder, "tcn.py", [*words, "--loop.seed", str(seed)])


def collect(options: argparse.Namespace) -> dict[str, Any]:
    rows, missing, data = [], [], {}
    for split in options.splits:
        data[split] = load_zero_shot("sketchy", options.root, split).summary()
        for mode in options.modes:
            for seed in options.seeds:
                folder = run_folder(options.runs, split, mode, seed)
                if not finished(folder):
                    missing.append(folder.name)
                    continue
                for row in json.loads((folder / "results.json").read_text()):
                    rows.append({"split": split, "sharing": mode, "seed": seed, **row})
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
    ).stdout.strip()
    what = "TCN sketchy-small, trained from scratch on the data described below; not comparable with full-set results"
    return gathered(what, missing, data=data, commit=commit, rows=rows)


def main() -> int:
    options = arguments()
    if not options.collect:
        jobs = [
            (options.root, run_folder(options.runs, split, mode, seed), split, mode, seed)
            for split in options.splits
            for seed in options.seeds
            for mode in options.modes
        ]
        train_all(train, jobs, options.jobs)
    return write_gathered("tcn-sharing", options.device, collect(options), "rows")


if __name__ == "__main__":
    raise SystemExit(main())
