"""The one training loop that every recipe shares. It knows no paper: a recipe brings a `Task`, the loop
brings devices, precision, accumulation, DDP, checkpoints, resuming, logs and the report.

Names are loaded on first use, so that reading a checkpoint's metadata does not import Lightning."""

from importlib import import_module
from typing import Any

_HOME = {
    "Task": "task",
    "StepContext": "task",
    "LoopConfig": "loop_config",
    "FitResult": "loop_config",
    "fit": "loop",
    "save_model": "checkpoint",
    "load_model": "checkpoint",
    "load_weights": "checkpoint",
    "read_metadata": "checkpoint",
    "stream_seed": "seeds",
    "write_report": "report",
    "TableSection": "report",
    "CurveSection": "report",
    "Chart": "report",
    "Curve": "chart",
    "Interval": "report",
    "KeySection": "report",
    "RetrievalGridSection": "report",
    "RetrievalRow": "report",
    "NumbersSection": "report",
    "PictureRow": "report",
    "PictureRowsSection": "report",
    "PictureSection": "report",
    "TextSection": "report",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
