"""Where a benchmark leaves its rows: bench/results/<op>--<device>.json, with what it takes to judge them."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sketchfast.atomic import write_json

HERE = Path(__file__).resolve().parent
CPUS = len(os.sched_getaffinity(0))


def processor() -> str:
    """The processor's name and the cores this process may use, as results print it."""
    with open("/proc/cpuinfo") as lines:
        names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
        return f"{next(names, platform.processor())}, {CPUS} cores"


def write_results(op: str, rows: list[dict[str, Any]], packages: Iterable[str], **facts: Any) -> None:
    """Write the rows with device, date, commit, versions of python and of `packages`, load of the machine and `facts`."""
    device = processor()
    slug = "-".join(device.replace(",", "").lower().replace("(r)", "").split())
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()
    (HERE / "results").mkdir(exist_ok=True)
    write_json(
        HERE / "results" / f"{op}--{slug}.json",
        {
            "op": op,
            "device": device,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
            "load_average": [round(x, 1) for x in os.getloadavg()],
            **facts,
            "rows": rows,
        },
    )
