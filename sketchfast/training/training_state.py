"""Everything a run needs to go on, beside the model: optimizer, precision scaler, counters, random state, the task's extras.

Files in the checkpoint folder: `training.safetensors` (tensors by path) and `training.json` (structure,
SHA-256). The learning-rate schedule is a function of the step, and random numbers of (seed, step), so both
follow from the counters.
"""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch.optim import Optimizer

from sketchfast.training import checkpoint
from sketchfast.training.task import Task
from sketchfast.training.tensor_tree import flatten, num_bytes, unflatten

TENSORS_FILE = "training.safetensors"
STRUCTURE_FILE = "training.json"


def save(
    path: Path,
    task: Task,
    optimizer: Optimizer,
    fabric: Fabric,
    counters: dict[str, Any],
    metadata: dict[str, Any],
) -> None:
    """Write a complete checkpoint folder, atomically. OSError(ENOSPC) on a full disk, with earlier ones intact."""
    tree = {
        "optimizer": optimizer.state_dict(),
        "precision": fabric.strategy.precision.state_dict(),
        "task": task.state(),
        "random": {"torch": torch.get_rng_state()},
    }
    structure, tensors = flatten(tree, "training")
    needed = checkpoint.model_bytes(task.model) + num_bytes(tensors)
    # overwrite: a run killed before it pointed `last` here will come by again.
    with checkpoint.publishing(path, needed=needed, overwrite=True) as folder:
        checkpoint.write_model(folder, task.model, metadata)
        checkpoint.write_tensors(folder / TENSORS_FILE, tensors)
        record = {
            "counters": counters,
            "structure": structure,
            "sha256": checkpoint.sha256(folder / TENSORS_FILE),
        }
        (folder / STRUCTURE_FILE).write_text(json.dumps(record) + "\n", encoding="utf-8")


def load(path: Path, task: Task, optimizer: Optimizer, fabric: Fabric) -> dict[str, Any]:
    """Restore everything `save` kept and return the counters. ValueError names a damaged or foreign file."""
    file = path / STRUCTURE_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: holds no training state ({STRUCTURE_FILE});"
            " only the checkpoints of a run can be resumed"
        )
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        counters, structure, digest = record["counters"], record["structure"], record["sha256"]
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: damaged ({type(error).__name__}: {error})") from None
    tree = unflatten(structure, checkpoint.read_tensors(path / TENSORS_FILE, digest))
    checkpoint.load_weights(path, task.model)
    optimizer.load_state_dict(tree["optimizer"])
    fabric.strategy.precision.load_state_dict(tree["precision"])
    task.load_state(tree["task"])
    torch.set_rng_state(tree["random"]["torch"])
    return counters
