"""What a recipe tells the training loop: the interface between a paper and `fit`."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from sketchfast.training.seeds import stream_seed

PER_RANK, SHARED, GLOBAL = range(3)  # which stream of random numbers of a step


@dataclass
class StepContext:
    """Where `Task.training_step` stands: the process, the step, its random numbers, and its peers.

    model: the task's model as the loop prepared it (precision, DDP). Call it for the forward pass,
        `context.model(sketch, photo)`, never `task.model(...)`: DDP sees only gradients of what went through
        it. Parameters may also be used directly (a penalty on weights); name them through `task.model`.
    step: optimizer steps taken before this one, counted from the start of the run (0-based).
    micro_batch: index within the accumulation window, 0 when nothing is accumulated.
    generator: CPU torch.Generator seeded by (seed, step, micro_batch, rank): differs between processes.
    shared_generator: the same without rank: equal in every process. For numbers that must equal those of a
        single-process run with the same global batch: draw for the whole global batch, then take `local_slice(n)`.
    Both generators live on the CPU on every device; draw there and move, so that all devices see the same
    numbers. torch's global generators are reseeded from (seed, step, micro_batch, rank) before every call.
    """

    fabric: Fabric
    model: nn.Module
    epoch: int
    step: int
    micro_batch: int
    generator: torch.Generator
    shared_generator: torch.Generator

    @property
    def rank(self) -> int:
        return self.fabric.global_rank

    @property
    def world_size(self) -> int:
        return self.fabric.world_size

    @property
    def device(self) -> torch.device:
        return self.fabric.device

    def local_slice(self, count: int) -> slice:
        """Where this process's `count` items lie in the global batch (processes in order of rank, equal counts)."""
        return slice(self.rank * count, (self.rank + 1) * count)

    def all_gather(self, tensor: Tensor) -> Tensor:
        """[B, ...] of every process -> [world * B, ...] in order of rank; the tensor itself with one process.

        Keeps gradients: the backward sums, over processes, each one's gradient with respect to this process's
        rows. DDP then averages parameter gradients over processes, so both of these losses give the
        single-process gradient: the mean over the whole global batch computed in every process, or in each
        the mean over its own anchors (compared with all gathered rows). All processes must hold the same B.
        Integer tensors carry no gradient."""
        if self.world_size == 1:
            return tensor
        gathered = self.fabric.all_gather(tensor, sync_grads=tensor.requires_grad)
        return cast(Tensor, gathered).flatten(0, 1)


def shared_uniform(context: StepContext, rows: int, *shape: int) -> Tensor:
    """This process's [rows, *shape] of random numbers in [0, 1) that do not depend on the number of processes."""
    return _of_global_batch(torch.rand, context, rows, shape)


def shared_normal(context: StepContext, rows: int, *shape: int) -> Tensor:
    """The same, standard normal."""
    return _of_global_batch(torch.randn, context, rows, shape)


def _of_global_batch(
    draw: Callable[..., Tensor], context: StepContext, rows: int, shape: tuple[int, ...]
) -> Tensor:
    everywhere = draw(rows * context.world_size, *shape, generator=context.shared_generator)
    return everywhere[context.local_slice(rows)].to(context.device)


def step_generator(seed: int, step: int, micro_batch: int, kind: int, rank: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(stream_seed(seed, step, micro_batch, kind, rank))


class Task(Protocol):
    """A recipe, as the loop sees it. Subclass it and set the four attributes; methods with a body are optional.

    model: the module that is trained and saved. It decides itself what stays frozen (requires_grad, and an
        overridden `train()` for batch norm); the loop calls `train()` before training and `eval()` around
        validation. For checkpoints it may carry `config` (dataclass or dict), `class_names` (list of str),
        `preprocess` (to_dict()).
    name: short name of the recipe, for logs and checkpoints. title: what lines of the log begin with, where it is more.
    monitor, mode: the entry of `validate`'s result that decides which checkpoint is best, and "max" or "min".

    Everything random in `batches` must follow from (the task's seed, epoch, rank, index) alone: see
    `stream_seed`. Every process builds the same task; where they differ, DDP takes the weights of rank 0.
    """

    model: nn.Module
    name: str
    title: str = ""
    monitor: str
    mode: str

    @abstractmethod
    def make_optimizer(self, params: Iterable[Any]) -> Optimizer:
        """The optimizer over what `parameter_groups` gave, with its base learning rates."""

    @abstractmethod
    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Any:
        """This process's batches of one epoch: an iterable with len(), of CPU tensors in dicts, tuples or dataclasses.

        start_step: number of batches to leave out at the front without loading them (resuming); the rest must
        be what it would have been. len() with start_step=0 must be the same in every epoch and process, and
        counts batches, of which `LoopConfig.accumulate` make one optimizer step. Keep batches of equal size
        (drop the rest of an epoch): means over unequal batches are not the mean over the whole. With `world`
        processes, give each 1/world of the same global batch if results should not depend on the number of processes."""

    @abstractmethod
    def training_step(self, batch: Any, step: int, context: StepContext) -> Mapping[str, Tensor]:
        """Scalar tensors by name; "loss" is differentiated, the others are only logged. The batch is on the device.

        step is `context.step`. The loop divides the loss by the number of batches that make up the optimizer step."""

    @abstractmethod
    def validate(self, fabric: Fabric, epoch: int) -> Mapping[str, float]:
        """Metrics after an epoch; must hold `monitor`. Runs without gradients, in every process; rank 0's result counts.

        Use `self.model` (in eval mode, on `fabric.device`) under `fabric.autocast()`."""

    def schedule(self, step: int, total: int) -> float:
        """Factor on every group's base learning rate for optimizer step `step` of `total` (0-based)."""
        return 1.0

    def parameter_groups(self) -> Iterable[Any]:
        """What the optimizer gets: parameters, or dicts as torch.optim takes them."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def prepare(self, device: torch.device) -> None:
        """Called once before training: move what is not part of the model (a frozen teacher, tables) to the device."""
        return None

    def state(self) -> dict[str, Any]:
        """Extra state to keep in checkpoints: nested dicts and lists of tensors, numbers, strings."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        return None
