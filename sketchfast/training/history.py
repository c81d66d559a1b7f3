"""The numbers of a run, written twice: `metrics.jsonl` (one JSON object a line) and TensorBoard.

Lines: {"kind": "train", "step", "epoch", "lr", "loss", ...} and {"kind": "validation", "step", "epoch", ...},
where step counts optimizer steps taken (1-based) and epoch finished or current epochs (1-based)."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from sketchfast import atomic

PLACE = ("kind", "step", "epoch")


class History:
    def __init__(self, jsonl: Path, tensorboard: Path, *, step: int, epochs_done: int):
        """Continue after `step` optimizer steps and `epochs_done` validated epochs: later lines are dropped,
        because the resumed run will write them again."""
        self._jsonl = jsonl
        records = [r for r in read_history(jsonl) if _is_before(r, step, epochs_done)]
        atomic.write_text(jsonl, "".join(_line(record) for record in records))
        self._writer = SummaryWriter(str(tensorboard), purge_step=step + 1)

    def write(self, kind: str, step: int, epoch: int, values: dict[str, float]) -> None:
        record = {"kind": kind, "step": step, "epoch": epoch, **values}
        try:
            with open(self._jsonl, "a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise OSError(
                error.errno, f"cannot write the log ({error.strerror})", str(self._jsonl)
            ) from error
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def read_history(jsonl: str | Path) -> list[dict[str, Any]]:
    """The records of a metrics.jsonl; a line torn by a crash is left out. An absent file has none."""
    records = []
    with contextlib.suppress(FileNotFoundError):
        for line in Path(jsonl).read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                record = json.loads(line)
                if isinstance(record, dict) and record.keys() >= set(PLACE):
                    records.append(record)
    return records


def _is_before(record: dict[str, Any], step: int, epochs_done: int) -> bool:
    if record["kind"] == "validation":
        return record["epoch"] <= epochs_done
    return record["step"] <= step


def _line(record: dict[str, Any]) -> str:
    # JSON has no NaN; null keeps the line readable to every parser.
    return (
        json.dumps(
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}
        )
        + "\n"
    )
