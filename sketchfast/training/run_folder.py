"""The folder of one run: what is in it, what may differ when it is resumed, which checkpoints are kept.

config.json       the resolved config
recipe.json       beside runs in sub-folders: what all of them were made by
versions.json     one entry per launch: versions, command, hardware
metrics.jsonl     every logged number
tensorboard/      the same for TensorBoard
checkpoints/      step-00000120/, epoch-0003/, ...: each complete, with model, metadata and training state
checkpoints/last  and checkpoints/best: symbolic links into it, replaced in one atomic step
"""

import contextlib
import datetime
import fcntl
import functools
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from sketchfast import atomic

LIBRARIES = ("sketchfast", "torch", "torchvision", "lightning", "safetensors", "numpy", "timm", "pillow")


class RunFolder:
    """Paths and rules of a run folder; only the process of rank 0 writes."""

    def __init__(self, root: str | Path):
        self.root = Path(root)
        self.config_file = self.root / "config.json"
        self.versions_file = self.root / "versions.json"
        self.metrics_file = self.root / "metrics.jsonl"
        self.tensorboard = self.root / "tensorboard"
        self.checkpoints = self.root / "checkpoints"

    @property
    def last(self) -> Path:
        return self.checkpoints / "last"

    @property
    def best(self) -> Path:
        return self.checkpoints / "best"

    def holds_a_run(self) -> bool:
        """Whether anything would be lost by starting anew: a launch that failed at once leaves only settings."""
        return self.last.exists() or (self.metrics_file.exists() and self.metrics_file.stat().st_size > 0)

    def keep_recipe(self, recipe: Mapping[str, Any], may_change: Iterable[str]) -> None:
        """Store what several runs in sub-folders are made by, in recipe.json; call it before the first of them.

        ValueError names what may not differ where this folder, or one in it, holds a run that was started with another."""
        file = self.root / "recipe.json"
        if file.exists() and self.holds_runs():
            self.check_config(recipe, may_change, file)
        else:
            self.root.mkdir(parents=True, exist_ok=True)
            atomic.write_json(file, dict(recipe))

    def holds_runs(self) -> bool:
        """Whether this folder or one in it `holds_a_run`."""
        folders = [place for place in self.root.glob("*") if place.is_dir()]
        return any(RunFolder(folder).holds_a_run() for folder in (self.root, *folders))

    def check_config(
        self, config: Mapping[str, Any], may_change: Iterable[str], file: Path | None = None
    ) -> list[str]:
        """The keys that differ from the stored config and may; ValueError names those that may not.

        file: where it is stored, config.json by default."""
        file = file or self.config_file
        try:
            stored = flat_keys(json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{file}: damaged, not the JSON object of a config ({error})") from None
        # Through JSON, so that tuples compare equal to the lists they were stored as.
        current = flat_keys(json.loads(json.dumps(config)))
        allowed = tuple(may_change)
        free: list[str] = []
        refused: list[str] = []
        for key in sorted(stored.keys() | current.keys()):
            old, new = stored.get(key, "<absent>"), current.get(key, "<absent>")
            if old != new:
                is_free = any(key == name or key.startswith(name + ".") for name in allowed)
                (free if is_free else refused).append(f"{key}: {old!r} there, {new!r} now")
        if refused:
            raise ValueError(
                f"{self.root}: cannot resume, this run was started with another config"
                f" ({'; '.join(refused)}). Resume with the same config or start a run in another folder."
            )
        return free

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other processes; RuntimeError names the one that holds it. Ends with the process, too."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise RuntimeError(
                    f"{self.root}: {holder} is training in this folder; choose another"
                ) from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()}, started {datetime.datetime.now():%Y-%m-%d %H:%M:%S}")
            lock.flush()
            yield

    def start(self, config: Mapping[str, Any], processes: int) -> None:
        """Make the folder, store the config, and add this launch to versions.json."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        # What a killed process was writing; no other process writes here.
        for rest in self.checkpoints.glob(".*"):
            if rest.is_dir() and not rest.is_symlink():
                shutil.rmtree(rest)
            else:
                rest.unlink()
        atomic.write_json(self.config_file, dict(config))
        launches = []
        if self.versions_file.exists():
            launches = json.loads(self.versions_file.read_text(encoding="utf-8"))["launches"]
        atomic.write_json(self.versions_file, {"launches": [*launches, launch_record(processes)]})

    def point(self, link: Path, name: str) -> None:
        """Make `last` or `best` name another checkpoint: a new link is renamed over the old one."""
        temporary = link.with_name(f".{link.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(name)
        os.replace(temporary, link)

    def prune(self, keep: int) -> None:
        """Remove all but the `keep` newest checkpoints and those that `last` and `best` name."""
        named = {link.resolve() for link in (self.last, self.best) if link.exists()}
        found = [
            p
            for p in self.checkpoints.iterdir()
            if p.name.startswith(("step-", "epoch-")) and not p.is_symlink()
        ]
        found.sort(key=lambda p: p.stat().st_mtime_ns, reverse=True)
        for path in found[max(keep, 1) :]:
            if path.resolve() not in named:
                shutil.rmtree(path, ignore_errors=True)


def flat_keys(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts -> {"a.b": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat.update(flat_keys(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@functools.cache
def library_versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def launch_record(processes: int) -> dict[str, Any]:
    """What one launch ran with and on."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "versions": library_versions(),
        "git_commit": git_commit(),
        "processes": processes,
        "hardware": hardware(),
    }


def git_commit() -> str | None:
    """Commit of the source tree sketchfast runs from, "+changes" if it is modified; None outside a git checkout."""
    package = Path(__file__).resolve().parents[1]
    git = ["git", "-C", str(package)]
    try:
        # Only a checkout of sketchfast itself counts: an installed package may lie inside somebody else's repository.
        tracked = subprocess.run(
            [*git, "ls-files", "--error-unmatch", "__init__.py"], capture_output=True, timeout=10
        )
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        status = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if tracked.returncode or head.returncode:
        return None
    return head.stdout.strip() + ("+changes" if status.stdout.strip() else "")


def hardware() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    record: dict[str, Any] = {
        "system": platform.platform(),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
    }
    with contextlib.suppress(ValueError, OSError):
        record["memory_bytes"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    record["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return record
