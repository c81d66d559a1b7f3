"""File lists: one `path label` a line, where both class names and paths may contain blanks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class ListEntry:
    """One line: number (from 1), path (relative, forward slashes) and label."""

    line: int
    path: str
    label: int


@dataclass(frozen=True)
class ListProblem:
    """Trouble in one line. kind: "no label", "path outside the root", "encoding" or "line endings"."""

    line: int
    kind: str
    text: str


def scan_list(path: Path) -> tuple[list[ListEntry], list[ListProblem]]:
    """Every usable line and every problem; lines split at the last blank. Empty lines are skipped."""
    entries: list[ListEntry] = []
    problems: list[ListProblem] = []
    content = path.read_bytes()
    if content.startswith(b"\xef\xbb\xbf"):
        problems.append(ListProblem(1, "encoding", "starts with a UTF-8 byte-order mark"))
        content = content[3:]
    if b"\r" in content:
        first = content[: content.index(b"\r")].count(b"\n") + 1
        problems.append(
            ListProblem(first, "line endings", f"{content.count(bytes([13]))} carriage returns (CRLF)")
        )
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for number, raw in enumerate(content.split(b"\n"), 1):
        try:
            text = raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            problems.append(ListProblem(number, "encoding", f"not UTF-8: {raw[:80]!r}"))
            continue
        if not text:
            continue
        head, _, tail = text.rpartition(" ") if " " in text else text.rpartition("\t")
        if not head or not tail.isascii() or not tail.lstrip("-").isdigit():
            problems.append(ListProblem(number, "no label", f"expected `path label`, found {text[:120]!r}"))
            continue
        name = head.strip()
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            problems.append(ListProblem(number, "path outside the root", repr(name[:120])))
            continue
        entries.append(ListEntry(number, name.removeprefix("./"), int(tail)))
    return entries, problems


def read_list(path: Path) -> list[ListEntry]:
    """The entries of a list; ValueError naming the line for the first one that cannot be used.

    Carriage returns and a byte-order mark are read over: they lose nothing.
    """
    entries, problems = scan_list(path)
    for problem in problems:
        if problem.kind != "line endings" and "byte-order mark" not in problem.text:
            raise ValueError(f"{path}, line {problem.line}: {problem.kind}: {problem.text}")
    if not entries:
        raise ValueError(f"{path} lists nothing; expected lines of `path label`")
    return entries


def class_of(path: str) -> str:
    """The class folder a listed path lies in ("" when it lies in none)."""
    return PurePosixPath(path).parent.name
