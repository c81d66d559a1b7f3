"""The command line of a recipe: a named config, settings of it, the command that resumes, mistakes told early."""

from __future__ import annotations

import difflib
import functools
import math
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

R = TypeVar("R")


def choose_recipe(
    arguments: Sequence[str] | None,
    configs: Mapping[str, tuple[str, R]],
    script: str,
    about: str,
    decisions: str,
    *,
    defaults: tuple[str, str],
    listed: str = "",
) -> tuple[str, R, str] | None:
    """(config name, its recipe with the command line's settings, the command that resumes it); None after --list.

    configs: name -> (what it is, recipe). about, decisions: what --help says before and after the config's own line.
    defaults: the config without a name, and with --data.root but without a name. listed: what --list adds.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--list" in arguments:
        lines = [f"{name:<36} {what}" for name, (what, _) in configs.items()]
        _print("\n".join([*lines, listed] if listed else lines))
        return None
    named = bool(arguments) and not arguments[0].startswith("-")
    real = any(word.startswith("--data.root") for word in arguments)
    name = arguments[0] if named else defaults[real]
    if name not in configs:
        raise SystemExit(unknown_config(name, list(configs), script))
    what, recipe = configs[name]
    settings = arguments[named:]
    text = f"{about}\nThis is {name}: {what}.\n{decisions}"
    parsed = parse_recipe(recipe, settings, list(configs), script, text)
    return name, parsed, resume_command(script, name, settings)


def parse_recipe(recipe: R, arguments: Sequence[str], names: Sequence[str], script: str, text: str) -> R:
    """The recipe with the settings of the command line. SystemExit for --help and for what cannot be understood.

    names: the named configs; one that stands behind a setting is told to come first. text: what --help begins with.
    """
    parsed, rest = tyro.cli(
        type(recipe), default=recipe, args=arguments, description=text, return_unknown_args=True
    )
    if rest and rest[0] in names:
        raise SystemExit(f"{rest[0]!r}: the config comes first: python {script} {rest[0]} --...")
    if rest and not rest[0].startswith("-"):
        raise SystemExit(unknown_config(rest[0], names, script))
    if rest:  # once more for its own words, which name similar settings
        tyro.cli(type(recipe), default=recipe, args=arguments, description=text)
    return parsed


def _print(text: str) -> None:
    """Also into a pipe whose reader, e.g. `head`, has seen enough."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Python writes what is left once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unknown_config(name: str, names: Sequence[str], script: str) -> str:
    close = difflib.get_close_matches(name, names, 3)
    perhaps = f"perhaps {' or '.join(close)}; " if close else ""
    return f"no config is named {name!r}; {perhaps}python {script} --list shows them all"


def resume_command(script: str, name: str, arguments: Sequence[str]) -> str:
    settings = [word for word in arguments if word != "--loop.resume"]
    return shlex.join(["python", script, name, *settings, "--loop.resume"])


def check_dataset(name: str, expected: Sequence[str]) -> None:
    if name not in expected:
        listed = f"{', '.join(expected[:-1])} or {expected[-1]}"
        raise ValueError(f"unknown data set {name!r}, expected {listed} (--data.dataset)")


def check_ranges(recipe: Any, least: Mapping[str, float], above_0: Sequence[str] = ()) -> None:
    """ValueError for the first setting that is too small, infinite or NaN; of several numbers the smallest counts.

    least: dotted name of a setting, such as "data.memory_gib" -> its smallest value. above_0: names of others.
    """
    for name in (*least, *above_0):
        value = functools.reduce(getattr, name.split("."), recipe)
        value = min(value, default=0) if isinstance(value, tuple) else value
        if not (least[name] <= value if name in least else value > 0) or value == math.inf:
            expected = f"at least {least[name]}" if name in least else "a number above 0"
            raise ValueError(f"--{name.replace('_', '-')}: expected {expected}, found {value}")


def check_writable(out: str | os.PathLike[str]) -> None:
    """OSError when the run folder cannot be there; makes nothing, as the run may still be refused for another reason."""
    path = Path(out).absolute()
    there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise NotADirectoryError(f"cannot write to {out}: {there} is no folder (--loop.out)")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {out}: no permission to write in {there} (--loop.out)")


def run_recipe(main: Callable[[], Any], script: str, environment: Mapping[str, str] = os.environ) -> None:
    """main(), its errors told in a line; SKETCHFAST_TRACEBACK in the environment shows where they come from."""
    try:
        main()
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        if environment.get("SKETCHFAST_TRACEBACK"):
            raise
        raise SystemExit(f"{script}: {error}\n(SKETCHFAST_TRACEBACK=1 shows where)") from None
