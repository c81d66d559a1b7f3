"""Models of the papers, and the backbones they share. Loaded on first use."""

from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["TCN", "TCNConfig", "load_run"]


def __getattr__(name: str) -> Any:
    if name in ("TCN", "TCNConfig"):
        return getattr(import_module("sketchfast.models.tcn"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_run(path: str | Path, device: str = "cpu") -> Any:
    """The trained model of a run folder, in evaluation mode; a checkpoint folder works as well.

    A run folder's ``model`` (written when a recipe has ended, with its ITQ) comes before ``checkpoints/best``.
    Raises FileNotFoundError naming the folder and what was expected, ValueError for an unknown kind of model.
    """
    from sketchfast.models.tcn import TCN
    from sketchfast.training.checkpoint import METADATA_FILE, load_model

    root = Path(path)
    places = [root, root / "model", root / "checkpoints" / "best"]
    for place in places:
        if (place / METADATA_FILE).is_file():
            return load_model(place, {"TCN": TCN.from_metadata}, device)[0]
    raise FileNotFoundError(
        f"{root}: expected a run folder (with model/ or checkpoints/best/) or a checkpoint folder "
        f"(with {METADATA_FILE}), found neither"
    )
