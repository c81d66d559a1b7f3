"""Put what finished runs of train/deepssp.py have left into one result file.

    python train/deepssp.py demo --evaluation.aligned DIR/SketchParse/aligned
    python train/deepssp.py spg --data.root DIR/SPG --data.categories airplane face ...
    python bench/deepssp_runs.py demo=runs/deepssp-demo spg=runs/deepssp-spg

Writes bench/results/deepssp-runs--<device>.json; `python bench/tables.py` puts it into train/README.md.
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recipe_runs import write_gathered

KEPT = (
    *("data", "method", "category", "mean_iou", "interval", "count", "pixel_accuracy", "category_accuracy"),
    *("categories", "pixel_accuracy_by_category", "stroke_accuracy"),
)


def read_run(name: str, folder: Path) -> dict[str, Any]:
    """The run's rows without the values of single sketches and parts, and what it takes to judge them."""
    rows = json.loads((folder / "results.json").read_text())
    stages = sorted(path for path in folder.glob("stage*") if path.is_dir())
    config = json.loads((stages[0] / "config.json").read_text())
    launches = json.loads((stages[0] / "versions.json").read_text())["launches"]
    launch = launches[0]
    return {
        "config": name,
        "data": config["data"],
        "iterations": config["stages"],
        "seed": config["loop"]["seed"],
        "started": len(launches),  # times: a run that was interrupted was started again
        "versions": launch["versions"],
        "commit": launch["git_commit"],
        "processor": launch["hardware"]["cpu"],
        "rows": [{key: row[key] for key in KEPT if key in row} for row in rows],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="config and folder of a finished run")
    parser.add_argument("--device", default="cpu", help="name of the device in the result's file name")
    options = parser.parse_args()
    for word in options.runs:
        folder = word.partition("=")[2]
        if not (Path(folder) / "results.json").is_file():
            parser.error(f"{word}: expected NAME=FOLDER of a finished run, found no {folder}/results.json")
    found = [read_run(word.partition("=")[0], Path(word.partition("=")[2])) for word in options.runs]
    for run in found:
        run["data"]["root"] = None  # a path of one machine
    write_gathered(
        "deepssp-runs",
        options.device,
        {"date": datetime.now(UTC).isoformat(timespec="seconds"), "runs": found},
    )


if __name__ == "__main__":
    main()
