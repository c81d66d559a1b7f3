"""Runs of a recipe with several settings and seeds: trained side by side, continued, and gathered into one result file.

A run is the folder that the recipe leaves and, beside it, <folder>.log. It is finished once it holds results.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sketchfast import __version__, atomic

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parent / "train"


def add_run_options(parser: argparse.ArgumentParser, runs: str) -> None:
    """What all such scripts take; runs: where run folders are by default."""
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", default=runs, help="folder of the run folders")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time, one thread each"
    )
    parser.add_argument("--device", default="cpu", help="name of the device in the result's file name")
    parser.add_argument("--collect", action="store_true", help="train nothing")


def finished(folder: Path) -> bool:
    return (folder / "results.json").exists()


def train_recipe(folder: Path, recipe: str, words: Sequence[str], threads: int = 1) -> float | None:
    """Train one run, or continue it, unless it has finished -> minutes that this took, None if it had finished or failed.

    recipe: file in train/; words: its arguments but for threads and folder.
    """
    command = [sys.executable, str(RECIPES / recipe), *words]
    command += ["--loop.threads", str(threads), "--loop.out", str(folder), "--loop.resume"]
    return run_commands(folder, [(folder / "results.json", command)], threads)


def run_commands(
    folder: Path, commands: Iterable[tuple[Path, Sequence[str]]], threads: int = 1
) -> float | None:
    """Run the commands of one run whose result is not there yet, until one fails; returns as `train_recipe`."""
    left = [(result, command) for result, command in commands if not result.exists()]
    if not left:
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    started, verdict = time.monotonic(), "done"
    log_file = folder.with_suffix(".log")
    with open(log_file, "a") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        for result, command in left:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
            if done.returncode or not result.exists():
                verdict = f"FAILED, see {log_file}"
                break
    minutes = (time.monotonic() - started) / 60
    print(f"{folder.name:<32} {minutes:5.1f} min  {verdict}", flush=True)
    return minutes if verdict == "done" else None


def train_all(train: Callable[..., Any], jobs: Iterable[tuple[Any, ...]], at_a_time: int) -> None:
    """train(*job) for each job, some at a time; what one raises is raised."""
    with ThreadPoolExecutor(at_a_time) as pool:
        for started in [pool.submit(train, *job) for job in jobs]:
            started.result()


def one_origin(runs: str, origins: Iterable[Any], of: str = "commits") -> None:
    """SystemExit where runs that are compared come from several origins."""
    if len(different := set(origins)) > 1:
        raise SystemExit(f"{runs}: runs of different {of}, train them anew: {sorted(different)}")


def gathered(what: str, missing: list[str], **facts: Any) -> dict[str, Any]:
    """The content of a result file; missing: names of the runs that have not finished."""
    return {
        "what": what,
        "missing": missing,
        "versions": {"sketchfast": __version__, "torch": version("torch")},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }


def write_gathered(name: str, device: str, result: dict[str, Any], counted: str = "runs") -> int:
    """Write bench/results/<name>--<device>.json -> exit status, 1 where runs are missing. counted: the list said to be there."""
    path = HERE / "results" / f"{name}--{device}.json"
    path.parent.mkdir(exist_ok=True)
    atomic.write_json(path, result)
    missing = f"; missing {', '.join(result['missing'])}" if result.get("missing") else ""
    print(f"{len(result[counted])} {counted} in {path}{missing}")
    return 1 if missing else 0
