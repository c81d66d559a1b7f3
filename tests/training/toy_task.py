"""A small task with everything that could make a resumed run differ: dropout, noise from both generators,
Adam's moments, shuffled batches, a schedule. Also a script, so that tests can start it as a process and kill
it."""

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sketchfast.training import LoopConfig, StepContext, Task, fit, stream_seed

FEATURES, CLASSES, SAMPLES = 12, 4, 64


class ToyModel(nn.Module):
    def __init__(self, width: int = 16, dropout: float = 0.2):
        super().__init__()
        self.config = {"width": width, "dropout": dropout}
        self.class_names = [f"class {index}" for index in range(CLASSES)]
        self.hidden = nn.Linear(FEATURES, width)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        embedding = torch.tanh(self.hidden(x))
        return embedding, self.out(self.dropout(embedding))

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> "ToyModel":
        return cls(**metadata["config"])


class Batches:
    def __init__(self, x: Tensor, labels: Tensor, orders: list[Tensor]):
        self.x, self.labels, self.orders = x, labels, orders

    def __len__(self) -> int:
        return len(self.orders)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for order in self.orders:
            yield {"x": self.x[order], "labels": self.labels[order]}


@dataclass
class ToyOptions:
    seed: int = 0
    batch: int = 8  # over all processes
    dropout: float = 0.2
    gathered: bool = False  # add a loss over the features of all processes
    stop_at: int = -1  # raise `stop_signal` on ourselves in this optimizer step
    stop_signal: str = "SIGKILL"
    explode_at: int = -1
    dtype: str = "float32"


class ToyTask(Task):
    name, monitor, mode = "toy", "accuracy", "max"

    def __init__(self, options: ToyOptions):
        self.options = options
        self.dtype = getattr(torch, options.dtype)
        generator = torch.Generator().manual_seed(options.seed)
        self.x = torch.randn(SAMPLES, FEATURES, generator=generator, dtype=self.dtype)
        self.labels = (self.x @ torch.randn(FEATURES, CLASSES, generator=generator, dtype=self.dtype)).argmax(
            1
        )
        torch.manual_seed(options.seed)
        self.model = ToyModel(dropout=options.dropout).to(self.dtype)
        self.calls = 0

    def make_optimizer(self, params: Iterable[Any]) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=1e-2, weight_decay=1e-3)

    def schedule(self, step: int, total: int) -> float:
        return 0.1 ** (step / total)

    def batches(self, epoch: int, rank: int, world: int, start_step: int = 0) -> Batches:
        generator = torch.Generator().manual_seed(stream_seed(self.options.seed, epoch))
        orders = torch.randperm(SAMPLES, generator=generator).split(self.options.batch)
        return Batches(self.x, self.labels, [order.chunk(world)[rank] for order in orders][start_step:])

    def training_step(self, batch: Any, step: int, context: StepContext) -> dict[str, Tensor]:
        if step == self.options.stop_at and context.micro_batch == 0:
            os.kill(os.getpid(), getattr(signal, self.options.stop_signal))
        self.calls += 1
        x, count = batch["x"], len(batch["x"])
        alpha = torch.rand(
            count * context.world_size, 1, generator=context.shared_generator, dtype=self.dtype
        )
        x = x * (0.5 + alpha[context.local_slice(count)].to(x.device))
        if not self.options.gathered:
            x = x + 0.01 * torch.randn(x.shape, generator=context.generator, dtype=self.dtype).to(x.device)
        embedding, logits = context.model(x)
        loss = nn.functional.cross_entropy(logits, batch["labels"])
        values = {"classification": loss}
        if self.options.gathered:
            # The hardest examples of the whole batch for this process's anchors: wrong if gradients do not
            # cross processes.
            everyone, labels = context.all_gather(embedding), context.all_gather(batch["labels"])
            distance = torch.cdist(embedding, everyone)
            same = batch["labels"][:, None] == labels[None, :]
            positive = distance.masked_fill(~same, 0.0).amax(1)
            negative = distance.masked_fill(same, torch.inf).amin(1)
            values["metric"] = nn.functional.softplus(positive - negative).mean()
            values["penalty"] = self.model.hidden.weight.square().sum() * 1e-2
            loss = loss + values["metric"] + values["penalty"]
        if step == self.options.explode_at:
            loss = loss * torch.nan
        return {"loss": loss, **values}

    def validate(self, fabric: Any, epoch: int) -> dict[str, float]:
        assert not self.model.training and not torch.is_grad_enabled()
        with fabric.autocast():
            _, logits = self.model(self.x.to(fabric.device))
        return {"accuracy": float((logits.argmax(1).cpu() == self.labels).double().mean())}

    def state(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


def run(loop: LoopConfig, options: ToyOptions, **extra: Any) -> Any:
    task = ToyTask(options)
    config = {"batch": options.batch, "dropout": options.dropout, "seed": options.seed}
    # Fabric gives a model's outputs in torch's default dtype: a float64 run must not pass through float32.
    before = torch.get_default_dtype()
    torch.set_default_dtype(task.dtype)
    try:
        return task, fit(task, loop, config, **extra)
    finally:
        torch.set_default_dtype(before)


def process(loop: LoopConfig, options: ToyOptions, log: str, environment: dict[str, str]) -> None:
    """Body of a process of its own; what it prints goes to the file `log`."""
    os.environ.update(environment)
    with open(log, "a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    torch.set_num_threads(1)
    _, result = run(loop, options, resume_command="toy --resume")
    print("interrupted:", result.interrupted, flush=True)
