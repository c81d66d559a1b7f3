"""Settings of the training loop, and what it returns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

# Settings of the loop that may differ when a run is resumed. `epochs` changes what is learnt from there on: the
# learning rate follows its schedule over the new number of steps. The others change it by rounding at most.
MAY_CHANGE = tuple(
    f"loop.{name}"
    for name in (
        *("epochs", "out", "resume", "checkpoint_every", "keep", "log_every"),
        *("accelerator", "devices", "num_nodes", "strategy", "threads"),
    )
)


@dataclass
class LoopConfig:
    """How a run is carried out.

    Lightning Fabric reads accelerator, devices, num_nodes, strategy, precision; its documentation lists their values.
    """

    epochs: int = 10
    out: str = "runs/run"
    """Run folder."""
    resume: bool = False
    """Continue the run in `out` (start it if there is none yet)."""
    seed: int = 0
    precision: str = "32-true"
    """32-true, bf16-mixed, 16-mixed, bf16-true, ...; or auto: bf16-mixed where the device multiplies bfloat16 itself,
    else 32-true."""
    accelerator: str = "auto"
    """auto, cpu, cuda, mps"""
    devices: int | str = 1
    """Processes per node, or "auto" for all devices."""
    num_nodes: int = 1
    strategy: str = "auto"
    """auto, ddp, ddp_find_unused_parameters_true, ..."""
    accumulate: int = 1
    """Batches per optimizer step; the last step of an epoch takes what is left."""
    clip_norm: float | None = None
    """Largest norm of the whole gradient."""
    log_every: int = 10
    """Optimizer steps between logged numbers."""
    checkpoint_every: int = 500
    """Optimizer steps between checkpoints within an epoch (0: only after each epoch)."""
    keep: int = 1
    """Newest checkpoints to keep, besides the best."""
    threads: int = 0
    """CPU threads of torch per process (0: torch's choice)."""


@dataclass
class FitResult:
    """What a run left: checkpoint folders (None if there is none), the best epoch's metrics, all records of
    metrics.jsonl (rank 0 only), the run folder, and whether a signal stopped it early."""

    best_path: Path | None
    last_path: Path | None
    metrics: dict[str, float]
    history: list[dict[str, Any]]
    out: Path
    interrupted: bool


def resolve_precision(config: LoopConfig) -> str:
    """What "auto" stands for on this machine; any other setting as it is.

    bfloat16 that the processor has no instructions for is emulated, tens of times slower than float32."""
    if config.precision != "auto":
        return config.precision
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif config.accelerator in ("auto", "cpu"):
        names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = any(getattr(torch.cpu, name, lambda: False)() for name in names)
    else:
        native = False
    return "bf16-mixed" if native else "32-true"


def check(config: LoopConfig) -> None:
    """ValueError names the setting that cannot be."""
    for name, least in (
        ("epochs", 1),
        ("accumulate", 1),
        ("log_every", 1),
        ("checkpoint_every", 0),
        ("keep", 1),
        ("seed", 0),
    ):
        if getattr(config, name) < least:
            raise ValueError(f"LoopConfig.{name} must be at least {least}, found {getattr(config, name)}")
    if any(word in config.strategy for word in ("fsdp", "deepspeed", "xla")):
        raise ValueError(f"LoopConfig.strategy {config.strategy!r}: checkpoints hold whole tensors, use ddp")
