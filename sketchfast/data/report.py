"""What `data check` found, for people (lines, rich) and for programs (JSON, exit code)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

LEVELS = ("error", "warning", "info")
_SHOWN = 8
_COLOURS = {"error": "bold red", "warning": "yellow", "info": "dim"}


@dataclass(frozen=True)
class Finding:
    """One kind of trouble, or of fact, in one place.

    level: "error" (the data cannot be used as they are, or results would be wrong), "warning" (read over, but
    worth knowing), "info". kind: a short name. items: everything it concerns, in full.
    """

    level: str
    kind: str
    message: str
    items: tuple[str, ...] = ()

    def text(self) -> str:
        shown = ", ".join(self.items[:_SHOWN])
        more = f", ... ({len(self.items):,} in all)" if len(self.items) > _SHOWN else ""
        return f"{self.level}: {self.kind}: {self.message}" + (f": {shown}{more}" if shown else "")


@dataclass
class Report:
    """Counts and findings.

    counts: "<split> / <set>" or "<set> on disk" -> {"files": n, "classes": {name: n}}.

    strict: counts that differ from the published ones, and every other warning, fail too.
    """

    dataset: str
    root: Path
    title: str = ""
    strict: bool = False
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, level: str, kind: str, message: str, items: Sequence[str] = ()) -> None:
        self.findings.append(Finding(level, kind, message, tuple(items)))

    def of(self, level: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.level == level]

    @property
    def ok(self) -> bool:
        return not self.of("error") and not (self.strict and self.of("warning"))

    @property
    def exit_code(self) -> int:
        """0 when ok, 1 otherwise."""
        return 0 if self.ok else 1

    @property
    def verdict(self) -> str:
        errors, warnings = len(self.of("error")), len(self.of("warning"))
        if not errors and not warnings:
            return "consistent, nothing to report"
        plural = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
        if self.ok:
            return f"consistent, usable; {plural}"
        return plural + (" (--strict: warnings fail)" if self.strict and warnings else "")

    def count(self, name: str, per_class: dict[str, int]) -> None:
        self.counts[name] = {"files": sum(per_class.values()), "classes": dict(per_class)}

    def _count_lines(self) -> list[str]:
        lines = []
        for name, entry in self.counts.items():
            sizes = list(entry["classes"].values())
            spread = f"{min(sizes)}..{max(sizes)} a class" if sizes else "no class"
            lines.append(f"{name}: {entry['files']:,} files, {len(sizes)} classes, {spread}")
        return lines

    @property
    def lines(self) -> list[str]:
        """Title, counts, findings (errors first) and verdict, as plain text."""
        ordered = sorted(self.findings, key=lambda finding: LEVELS.index(finding.level))
        head = [f"{self.root}: {self.title or self.dataset}", *("  " + line for line in self._count_lines())]
        return [*head, *("  " + finding.text() for finding in ordered), f"verdict: {self.verdict}"]

    def print(self, console: Console | None = None, per_class: bool = False) -> None:
        """The lines in colour; with every class's count when asked for."""
        console = console or Console()
        for line in self.lines:
            level = line.strip().split(":", 1)[0]
            if line.startswith("verdict"):
                colour = "bold green" if self.ok else "bold red"
            else:
                colour = _COLOURS.get(level, "")
            console.print(Text(line, style=colour), soft_wrap=True)
        if per_class:
            for name, entry in self.counts.items():
                listed = ", ".join(f"{class_name} {n}" for class_name, n in entry["classes"].items())
                console.print(escape(f"{name}: {listed}"), soft_wrap=True)

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def to_json(self) -> str:
        """Everything, as indented JSON."""
        content = {
            "dataset": self.dataset,
            "root": str(self.root),
            "title": self.title,
            "ok": self.ok,
            "strict": self.strict,
            "counts": self.counts,
            "findings": [
                {"level": f.level, "kind": f.kind, "message": f.message, "items": list(f.items)}
                for f in self.findings
            ],
        }
        return json.dumps(content, indent=2)
