"""Publish files and folders whole or not at all.

What is written goes into a temporary neighbour first, is forced to the disk, and takes the final name by a rename. A full
disk, an exception or a killed process therefore leaves the earlier file or folder as it was.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def write_bytes(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """Write `data` to `path`. On any error the temporary file is removed and the file at `path` is what it was.

    The folder must exist (FileNotFoundError). OSError from the system, e.g. a full disk, is passed on with `path` named.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot write {target}: the folder {target.parent} does not exist")
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    try:
        try:
            rest = memoryview(data).cast("B")
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(name, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise _named(error, target) from error
        raise
    _sync(target.parent)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON; see `write_bytes`. TypeError where JSON has no form for it, before any file is touched."""
    write_bytes(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


@contextmanager
def directory(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it is synced and becomes `path`, on error it is removed.

    A folder already at `path` raises FileExistsError unless `overwrite`; it then stays in place until the new one is complete
    and is swapped out by two renames (between them a reader may find neither). Parents are made as needed.
    """
    target = Path(path)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists already; choose another path or allow overwriting it")
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} exists and is not a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        temporary.chmod(0o777 & ~_umask())
        yield temporary
        _sync_tree(temporary)
        _take_name(temporary, target)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and error.filename is None:
            raise _named(error, target) from error
        raise
    _sync(target.parent)


def _take_name(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.rename(temporary, target)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    try:
        os.rename(target, retired)  # an empty folder may be renamed onto
        try:
            os.rename(temporary, target)
        except BaseException:
            os.rename(retired, target)
            raise
    finally:
        shutil.rmtree(retired, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent) / name)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _named(error: OSError, target: Path) -> OSError:
    return type(error)(error.errno, f"writing {target} failed: {error.strerror or error}", str(target))


def _umask() -> int:
    # The mask can only be read by setting it, which would race with other threads; Linux also shows it in /proc.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
