"""TCN's sharing modes side by side on real sketches: train every mode with several seeds and collect the results.

    python bench/tcn_sharing.py --root DIR                 # DIR: Sketchy-Extended, whole or cut down
    python bench/tcn_sharing.py --root DIR --collect       # only gather what finished runs have left

A run that has finished is not repeated and one that was interrupted is continued, so the command may be stopped and
started again. Writes bench/results/tcn-sharing--<device>.json; `python bench/tables.py` puts it into train/README.md.
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

from sketchfast import __version__, atomic
from sketchfast.data import load_zero_shot

HERE = Path(__file__).resolve().parent
MODES = ("soft", "hard", "none")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="folder of Sketchy-Extended")
    parser.add_argument("--splits", nargs="+", default=["zeroshot1", "zeroshot0"], help="list folders")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES, help="sharing modes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", default="runs/tcn-sharing", help="folder of the run folders")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each"
    )
    parser.add_argument("--device", default="cpu", help="name of the device in the result's file name")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    return parser.parse_args()


def run_folder(runs: str, split: str, mode: str, seed: int) -> Path:
    return Path(runs) / f"{split}-{mode}-{seed}"


def train(root: str, folder: Path, split: str, mode: str, seed: int) -> None:
    if (folder / "results.json").exists():
        return
    command = [sys.executable, str(HERE.parent / "train" / "tcn.py"), "sketchy-small", "--data.root", root]
    command += ["--data.split", split, "--model.sharing", mode, "--loop.seed", str(seed)]
    command += ["--loop.threads", "1", "--loop.out", str(folder), "--loop.resume"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".log"), "w") as log:
        started = time.monotonic()
        done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
    verdict = "done" if done.returncode == 0 else f"FAILED, see {folder.with_suffix('.log')}"
    print(f"{folder.name:<24} {(time.monotonic() - started) / 60:5.1f} min  {verdict}", flush=True)


def collect(options: argparse.Namespace) -> dict[str, Any]:
    rows, missing, data = [], [], {}
    for split in options.splits:
        data[split] = load_zero_shot("sketchy", options.root, split).summary()
        for mode in options.modes:
            for seed in options.seeds:
                folder = run_folder(options.runs, split, mode, seed)
                if not (folder / "results.json").exists():
                    missing.append(folder.name)
                    continue
                for row in json.loads((folder / "results.json").read_text()):
                    rows.append({"split": split, "sharing": mode, "seed": seed, **row})
    return {
        "what": "TCN sketchy-small, trained from scratch on the data described below; not comparable with full-set results",
        "data": data,
        "missing": missing,
        "versions": {"sketchfast": __version__, "torch": version("torch")},
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
        ).stdout.strip(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
    }


def main() -> int:
    options = arguments()
    if not options.collect:
        with ThreadPoolExecutor(options.jobs) as pool:
            for split in options.splits:
                for seed in options.seeds:
                    for mode in options.modes:
                        folder = run_folder(options.runs, split, mode, seed)
                        pool.submit(train, options.root, folder, split, mode, seed)
    result = collect(options)
    path = HERE / "results" / f"tcn-sharing--{options.device}.json"
    path.parent.mkdir(exist_ok=True)
    atomic.write_json(path, result)
    print(
        f"{len(result['rows'])} rows in {path}"
        + (f"; missing {', '.join(result['missing'])}" if result["missing"] else "")
    )
    return 1 if result["missing"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
