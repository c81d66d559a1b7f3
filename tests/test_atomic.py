"""atomic.py: whole or not at all, through every failure that can be injected and a disk that is really full."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sketchfast import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_what_is_asked(tmp_path: Path) -> None:
    atomic.write_bytes(tmp_path / "a", b"\x00\xff" * 100_000)
    atomic.write_text(tmp_path / "b", "Skizze: ein Häuschen\n")
    atomic.write_json(tmp_path / "c", {"x": [1, 2.5, None], "name": "café"})
    assert (tmp_path / "a").read_bytes() == b"\x00\xff" * 100_000
    assert (tmp_path / "b").read_text(encoding="utf-8") == "Skizze: ein Häuschen\n"
    assert json.loads((tmp_path / "c").read_text()) == {"x": [1, 2.5, None], "name": "café"}
    assert names(tmp_path) == ["a", "b", "c"]


def test_replaces_and_keeps_the_mode(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    target.chmod(0o640)
    atomic.write_text(target, "new")
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_new_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "file", "")
        with atomic.directory(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        atomic.write_text(tmp_path / "nowhere" / "file", "")


def test_value_without_json_form_touches_nothing(tmp_path: Path) -> None:
    atomic.write_json(tmp_path / "file", 1)
    with pytest.raises(TypeError):
        atomic.write_json(tmp_path / "file", {"x": object()})
    assert (tmp_path / "file").read_text() == "1\n"


def failing(call: str, after: int) -> Callable[..., object]:
    """os.<call>, which works `after` times and then finds no space."""
    real = getattr(os, call)
    calls = 0

    def fail(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **named)

    return fail


@pytest.mark.parametrize("call", ["write", "fsync", "fchmod", "replace"])
@pytest.mark.parametrize("existing", [True, False])
def test_failed_write_leaves_the_old_file_and_nothing_else(
    call: str, existing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "checkpoint"
    if existing:
        target.write_text("old")
    monkeypatch.setattr(os, call, failing(call, after=0))
    with pytest.raises(OSError, match=r"writing .*checkpoint failed: No space left") as caught:
        atomic.write_text(target, "new")
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == (["checkpoint"] if existing else [])
    if existing:
        assert target.read_text() == "old"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    atomic.write_bytes(tmp_path / "file", bytes(range(256)))
    monkeypatch.undo()
    assert (tmp_path / "file").read_bytes() == bytes(range(256))


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(tmp_path / "file", "x")
    assert names(tmp_path) == []


def test_directory_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "export"
    with atomic.directory(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "model").write_bytes(b"weights")
        assert not target.exists()
        assert folder.parent == target.parent  # one file system, so that the rename is one
    assert (target / "inner" / "model").read_bytes() == b"weights"
    assert names(target.parent) == ["export"]


def test_directory_is_removed_on_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half way"), atomic.directory(tmp_path / "export") as folder:
        (folder / "model").write_bytes(b"weights")
        raise RuntimeError("half way")
    assert names(tmp_path) == []


def test_existing_directory_is_kept_or_swapped(tmp_path: Path) -> None:
    target = tmp_path / "export"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(FileExistsError, match="export exists already"), atomic.directory(target):
        pass
    with pytest.raises(RuntimeError), atomic.directory(target, overwrite=True) as folder:
        (folder / "new").touch()
        raise RuntimeError
    assert names(target) == ["old"]
    with atomic.directory(target, overwrite=True) as folder:
        (folder / "new").touch()
    assert names(target) == ["new"]
    assert names(tmp_path) == ["export"]


def test_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "export").write_text("a file")
    with (
        pytest.raises(NotADirectoryError, match="export"),
        atomic.directory(tmp_path / "export", overwrite=True),
    ):
        pass
    assert (tmp_path / "export").read_text() == "a file"


@pytest.mark.parametrize("call,after", [("fsync", 0), ("fsync", 1), ("rename", 0), ("rename", 1)])
def test_failed_publishing_keeps_the_old_directory(
    call: str, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export"
    with atomic.directory(target) as folder:
        (folder / "model").write_text("old")
    if call == "rename":
        real, calls = os.rename, 0

        def fail_once(source: str, destination: str) -> None:
            nonlocal calls
            calls += 1
            if calls == after + 1:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(source, destination)

        monkeypatch.setattr(os, "rename", fail_once)
    else:
        monkeypatch.setattr(os, call, failing(call, after))
    with pytest.raises(OSError, match="export"), atomic.directory(target, overwrite=True) as folder:
        (folder / "model").write_text("new")
    monkeypatch.undo()
    assert (target / "model").read_text() == "old"
    assert names(tmp_path) == ["export"]


REALLY_FULL = """
import resource, signal, sys
from sketchfast import atomic
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then the write fails with EFBIG, as on a full disk with ENOSPC
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if sys.argv[1] == "file":
        atomic.write_bytes(sys.argv[2], b"n" * 1_000_000)
    else:
        with atomic.directory(sys.argv[2], overwrite=True) as folder:
            with open(folder / "model", "wb", buffering=0) as file:
                rest = memoryview(b"n" * 1_000_000)
                while rest:
                    rest = rest[file.write(rest):]
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_the_system_refuses_more_bytes(kind: str, tmp_path: Path) -> None:
    """Not injected: the kernel stops the write after 100,000 bytes."""
    target = tmp_path / "checkpoint"
    if kind == "file":
        target.write_bytes(b"old")
    else:
        target.mkdir()
        (target / "model").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", REALLY_FULL, kind, str(target)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "checkpoint" in done.stdout and "File too large" in done.stdout
    assert (target if kind == "file" else target / "model").read_bytes() == b"old"
    assert names(tmp_path) == ["checkpoint"]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_disk_really_full(kind: str, tmp_path: Path) -> None:
    """A file system of 256 KB in a mount namespace of its own, where the system lets us have one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    script = (
        f"mount -t tmpfs -o size=256k tmpfs '{mount}' && "
        f"if [ {kind} = file ]; then printf old > '{mount}/checkpoint'; "
        f"else mkdir '{mount}/checkpoint' && printf old > '{mount}/checkpoint/model'; fi && "
        f'"$0" -c "$1" {kind} \'{mount}/checkpoint\'; '
        f"ls -A '{mount}'; cat '{mount}'/checkpoint* 2>/dev/null || cat '{mount}'/checkpoint/model"
    )
    code = "\n".join(
        line for line in REALLY_FULL.splitlines() if "signal" not in line and "RLIMIT" not in line
    )
    code = "import sys\nfrom sketchfast import atomic\n" + code.split("from sketchfast import atomic\n")[-1]
    try:
        done = subprocess.run(
            ["unshare", "--mount", "--map-root-user", "sh", "-c", script, sys.executable, code],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(atomic.__file__).parents[1])},
        )
    except FileNotFoundError:
        pytest.skip("no unshare command")
    if "mount:" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"this system mounts nothing for us: {done.stderr.strip()}")
    assert "No space left on device" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-2:] == ["checkpoint", "old"]


KILLED = """
import os, signal, sys
from sketchfast import atomic
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
atomic.write_bytes(sys.argv[1], b"new")
"""


def test_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    target.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(target)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
