"""How far a run is: a rich bar on a terminal, a plain line now and then in a log file."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

PLAIN_EVERY_SECONDS = 15.0


class RunProgress:
    """Counts optimizer steps of `total`; silent where `shown` is false (all processes but one)."""

    def __init__(self, name: str, total: int, done: int, shown: bool):
        self._name, self._total, self._step, self._start_step = name, total, done, done
        self._console = Console()
        self._shown = shown
        self._started = self._last_line = time.monotonic()
        self._note = ""
        self._bar: Progress | None = None
        self._task = TaskID(0)
        if shown and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._task = self._bar.add_task(name, total=total, completed=done, note="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def note(self, text: str) -> None:
        """What stands beside the bar until it is replaced, such as the latest loss."""
        self._note = text

    def advance(self, step: int) -> None:
        self._step = step
        if self._bar:
            self._bar.update(self._task, completed=step, note=self._note)
        elif self._shown and time.monotonic() - self._last_line >= PLAIN_EVERY_SECONDS:
            self._last_line = time.monotonic()
            rate = (step - self._start_step) / (self._last_line - self._started)
            left = (self._total - step) / rate if rate else 0.0
            self.say(f"step {step}/{self._total}  {self._note}  {rate:.3g} steps/s, {left / 60:.1f} min left")

    def say(self, text: str) -> None:
        """A line of its own, above the bar."""
        if self._shown:
            self._console.print(f"{self._name}: {text}", markup=False, highlight=False, soft_wrap=True)
