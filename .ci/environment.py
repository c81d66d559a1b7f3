"""Make the development environment once and say where it is. Standard library only: it runs on a bare machine.

The environment holds the dependencies of sketchfast and of its tests, not sketchfast itself, so any number of checkouts share
it. It lies outside the checkout, in ${XDG_CACHE_HOME:-~/.cache}/sketchfast/env-<key>, where the key is made from
pyproject.toml, constraints.txt and the Python that runs this file: a change in any of them makes another environment.
A marker is written last and a lock is held meanwhile, so one that was interrupted is thrown away and made again.

    eval "$(python3 .ci/environment.py)"     # PATH, VIRTUAL_ENV and PYTHONPATH for this checkout
"""

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("dev",)


def requirements() -> list[str]:
    """The core dependencies and those of EXTRAS; an extra that names another extra of sketchfast is opened up."""
    import tomllib  # absent before Python 3.11, and main() says that better

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = list(project["dependencies"])
    queue = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    while queue:
        line = queue.pop(0)
        if own := re.fullmatch(r"sketchfast\[(.+)\]", line):
            for extra in own[1].split(","):
                queue += project["optional-dependencies"][extra.strip()]
        else:
            found.append(line)
    return sorted(set(found))


def folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    key = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        key.update((ROOT / name).read_bytes())
    key.update(f"{sys.version}{sys.base_prefix}".encode())
    return Path(cache) / "sketchfast" / f"env-{key.hexdigest()[:16]}"


def make(environment: Path) -> None:
    """Leave a complete environment at `environment`, whoever else is making it at the same time."""
    marker = environment / "complete"
    if marker.exists():
        return
    environment.parent.mkdir(parents=True, exist_ok=True)
    with open(environment.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            return
        if environment.exists():
            shutil.rmtree(environment)  # interrupted
        print(
            f"Making {environment}: several minutes once, torch alone is a few GB.",
            file=sys.stderr,
            flush=True,
        )
        venv.create(environment, with_pip=True)
        command = [
            environment / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-input",
        ]
        command += ["--quiet"] if os.environ.get("CI") else []
        command += ["--constraint", ROOT / "constraints.txt", *requirements()]
        clean = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
        }
        # Standard output is for the shell that evaluates it.
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr, env=clean)
        marker.touch()


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036
        raise SystemExit(
            f"sketchfast needs Python 3.11 or newer, found {sys.version.split()[0]} at {sys.executable}"
        )
    environment = folder()
    try:
        make(environment)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"the environment at {environment} could not be made: pip ended with {error.returncode}"
        ) from error
    print(f"export VIRTUAL_ENV={shlex.quote(str(environment))}")
    print(f'export PATH={shlex.quote(str(environment / "bin"))}:"$PATH"')
    print(f"export PYTHONPATH={shlex.quote(str(ROOT))}")
    print("unset PYTHONHOME")


if __name__ == "__main__":
    main()
