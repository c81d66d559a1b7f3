"""fit(): the training loop. It reads from top to bottom: prepare, epochs, one optimizer step, validate, save."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from sketchfast.training import training_state
from sketchfast.training.history import History, read_history
from sketchfast.training.interrupt import StopRequest
from sketchfast.training.loop_config import MAY_CHANGE, FitResult, LoopConfig, check, resolve_precision
from sketchfast.training.processes import any_of, gather_int, mean_over, on_main
from sketchfast.training.progress import RunProgress
from sketchfast.training.run_folder import RunFolder
from sketchfast.training.seeds import reseed_global, stream_seed
from sketchfast.training.task import GLOBAL, PER_RANK, SHARED, StepContext, Task, step_generator


def fit(
    task: Task,
    config: LoopConfig,
    resolved_config: Mapping[str, Any],
    *,
    may_change: Sequence[str] = (),
    metadata: Mapping[str, Any] | None = None,
    resume_command: str | None = None,
) -> FitResult:
    """Train the task and leave a run folder; see docs/training.md.

    resolved_config: the recipe's whole config, JSON-able; kept in config.json with the loop's under "loop". A
        run is resumed only with an equal config, except for the loop's settings in MAY_CHANGE and the dotted
        keys in `may_change` (such as "data.root").
    metadata: added to every checkpoint's metadata.
    resume_command: shown when a signal interrupts the run.

    FileExistsError: `out` holds a run and resume is off. ValueError: another config, uneven batches, bad
    settings. FloatingPointError: the loss is no longer finite. OSError: the disk is full; earlier checkpoints are intact."""
    check(config)
    if task.mode not in ("max", "min"):
        raise ValueError(f'task {task.name!r}: mode must be "max" or "min", found {task.mode!r}')
    config = dataclasses.replace(config, precision=resolve_precision(config))
    if config.threads:
        torch.set_num_threads(config.threads)
    # `fabric run` has started the processes already, and refuses any number of them but "auto" or its own.
    started_by_fabric = os.environ.get("LT_CLI_USED") == "1"
    fabric = Fabric(
        accelerator=config.accelerator,
        devices="auto" if started_by_fabric and config.devices == 1 else config.devices,
        num_nodes=config.num_nodes,
        strategy=config.strategy,
        precision=config.precision,  # type: ignore[arg-type]
    )
    if not started_by_fabric:
        fabric.launch()
    full_config = {**resolved_config, "loop": dataclasses.asdict(config)}
    with contextlib.ExitStack() as held:
        on_main(fabric, lambda: held.enter_context(RunFolder(config.out).locked()) or True)
        run = _Run(fabric, task, config, full_config, (*MAY_CHANGE, *may_change), dict(metadata or {}))
        with StopRequest() as stop:
            return run.run(stop, resume_command)


@dataclass
class _Counters:
    """Where a run stands; all of it is kept in checkpoints."""

    step: int = 0
    """Optimizer steps taken."""
    epochs_done: int = 0
    """Epochs trained and validated. Between an epoch's last step and its validation this is one less than the
    epochs trained, so a run killed while validating validates again."""
    steps_per_epoch: int = 0
    loss_sum: float = 0.0
    loss_count: int = 0
    best: str | None = None
    """Name of the best checkpoint."""
    best_metrics: dict[str, float] = field(default_factory=dict)


class _Run:
    def __init__(
        self,
        fabric: Fabric,
        task: Task,
        config: LoopConfig,
        full_config: dict[str, Any],
        may_change: tuple[str, ...],
        metadata: dict[str, Any],
    ):
        self.fabric, self.task, self.config, self.metadata = fabric, task, config, metadata
        self.folder = RunFolder(config.out)
        resuming = self._open_folder(full_config, may_change)

        self.num_batches = len(task.batches(0, fabric.global_rank, fabric.world_size))
        counts = gather_int(fabric, self.num_batches)
        if min(counts) < 1:
            raise ValueError(f"task {task.name!r}: batches() is empty; the data is smaller than one batch")
        if len(set(counts)) > 1:
            raise ValueError(f"task {task.name!r}: batches() differs in length between processes: {counts}")
        steps_per_epoch = math.ceil(self.num_batches / config.accumulate)
        self.total_steps = steps_per_epoch * config.epochs

        reseed_global(stream_seed(config.seed))
        self.optimizer = task.make_optimizer(task.parameter_groups())
        self.base_rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.model, self.wrapped_optimizer = fabric.setup(task.model, self.optimizer)
        task.prepare(fabric.device)

        self.counters = _Counters(steps_per_epoch=steps_per_epoch)
        if resuming:
            self._restore(steps_per_epoch)
        # Only now: a launch that is refused must leave the folder as it was.
        on_main(fabric, lambda: self.folder.start(full_config, fabric.world_size))
        # Kept on the device: reading it every step would make the host wait for the device.
        self.loss_sum = torch.tensor(self.counters.loss_sum, dtype=torch.float64, device=self._sum_device())
        self.history: History | None = None

    # ---- the run -----------------------------------------------------------------------------------------

    def run(self, stop: StopRequest, resume_command: str | None) -> FitResult:
        counters, config = self.counters, self.config
        is_main = self.fabric.is_global_zero
        if is_main:
            self.history = History(
                self.folder.metrics_file,
                self.folder.tensorboard,
                step=counters.step,
                epochs_done=counters.epochs_done,
            )
        stopped: str | None = None
        with RunProgress(
            self.task.title or self.task.name, self.total_steps, counters.step, is_main
        ) as self.progress:
            if counters.step:
                self.progress.say(
                    f"resumed after step {counters.step} of {self.total_steps} in {self.folder.root}"
                )
            try:
                while counters.epochs_done < config.epochs and stopped is None:
                    stopped = self._train_epoch(stop)
                    if stopped is None:
                        self._finish_epoch()
                        stopped = (
                            self._agree_to_stop(stop, now=True)
                            if counters.epochs_done < config.epochs
                            else None
                        )
            finally:
                if self.history:
                    self.history.close()
            if stopped is not None:
                how = (
                    f"\n  {resume_command}"
                    if resume_command
                    else " run the same command with resume switched on"
                )
                self.progress.say(
                    f"stopped by {stopped} after step {counters.step} of {self.total_steps};"
                    f" everything is saved in {self.folder.last}. To continue:{how}"
                )
        return FitResult(
            best_path=self.folder.best if counters.best else None,
            last_path=self.folder.last if self.folder.last.exists() else None,
            metrics=dict(counters.best_metrics),
            history=read_history(self.folder.metrics_file) if is_main else [],
            out=self.folder.root,
            interrupted=stopped is not None,
        )

    def _train_epoch(self, stop: StopRequest) -> str | None:
        """The rest of the current epoch; returns the signal's name if one stopped it."""
        counters, config = self.counters, self.config
        epoch = counters.epochs_done
        done = counters.step - epoch * counters.steps_per_epoch
        if done == counters.steps_per_epoch:
            return None
        rank, world = self.fabric.global_rank, self.fabric.world_size
        batches = iter(self.task.batches(epoch, rank, world, start_step=done * config.accumulate))
        self.model.train()
        for window in range(done, counters.steps_per_epoch):
            size = min(config.accumulate, self.num_batches - window * config.accumulate)
            values, rate = self._optimizer_step(batches, size, epoch)
            counters.step += 1
            counters.loss_count += 1
            self.loss_sum += values["loss"].to(self.loss_sum)
            if counters.step % config.log_every == 0 or counters.step == self.total_steps:
                self._log_step(values, rate, epoch)
            self.progress.advance(counters.step)
            is_last = window + 1 == counters.steps_per_epoch
            signal_name = None if is_last else self._agree_to_stop(stop)
            if signal_name or (
                not is_last and config.checkpoint_every and counters.step % config.checkpoint_every == 0
            ):
                self._save(f"step-{counters.step:08d}")
            if signal_name:
                return signal_name
        return None

    def _optimizer_step(
        self, batches: Iterator[Any], size: int, epoch: int
    ) -> tuple[dict[str, Tensor], float]:
        """One optimizer step from `size` batches -> (mean of what the task returned over them, learning rate)."""
        seed, step, rank = self.config.seed, self.counters.step, self.fabric.global_rank
        sums: dict[str, Tensor] = {}
        for micro_batch in range(size):
            try:
                batch = next(batches)
            except StopIteration:
                raise ValueError(
                    f"task {self.task.name!r}: batches() ended early in epoch {epoch};"
                    f" its len() promised {self.num_batches}"
                ) from None
            batch = self.fabric.to_device(batch)
            reseed_global(stream_seed(seed, step, micro_batch, GLOBAL, rank))
            context = StepContext(
                fabric=self.fabric,
                model=self.model,
                epoch=epoch,
                step=step,
                micro_batch=micro_batch,
                generator=step_generator(seed, step, micro_batch, PER_RANK, rank),
                shared_generator=step_generator(seed, step, micro_batch, SHARED),
            )
            # Gradients are exchanged between processes once, in the window's last backward pass.
            with self.fabric.no_backward_sync(self.model, enabled=micro_batch + 1 < size):
                values = self.task.training_step(batch, step, context)
                if "loss" not in values:
                    raise ValueError(
                        f'task {self.task.name!r}: training_step gave {sorted(values)}, no "loss"'
                    )
                self.fabric.backward(values["loss"] / size)
            for name, value in values.items():
                sums[name] = sums.get(name, 0.0) + value.detach() / size
        factor = self.task.schedule(step, self.total_steps)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        if self.config.clip_norm is not None:
            # Not an error here: in 16-mixed the scaler meets infinite gradients by skipping the step.
            self.fabric.clip_gradients(
                self.model, self.wrapped_optimizer, max_norm=self.config.clip_norm, error_if_nonfinite=False
            )
        self.wrapped_optimizer.step()
        self.wrapped_optimizer.zero_grad(set_to_none=True)
        return sums, self.base_rates[0] * factor

    def _log_step(self, values: dict[str, Tensor], rate: float, epoch: int) -> None:
        means = {name: mean_over(self.fabric, value) for name, value in values.items()}
        self._require_finite(means)
        self.progress.note(f"epoch {epoch + 1}/{self.config.epochs}  loss {means['loss']:.4g}")
        if self.history:
            self.history.write("train", self.counters.step, epoch + 1, {"lr": rate, **means})

    def _finish_epoch(self) -> None:
        """Validate, log, save, and move `best` if the monitored metric improved."""
        counters, task = self.counters, self.task
        epoch = counters.epochs_done
        reseed_global(stream_seed(self.config.seed, epoch))
        task.model.eval()
        with torch.no_grad():
            metrics = {name: float(value) for name, value in task.validate(self.fabric, epoch).items()}
        metrics = self.fabric.broadcast(metrics)
        if task.monitor not in metrics:
            raise ValueError(
                f"task {task.name!r}: validate() gave {sorted(metrics)}, not the monitored {task.monitor!r}"
            )
        loss = self._mean_loss()
        self._require_finite({"loss": loss})
        counters.epochs_done, counters.loss_count = epoch + 1, 0
        self.loss_sum.zero_()
        name = f"epoch-{counters.epochs_done:04d}"
        sign = 1.0 if task.mode == "max" else -1.0
        # What a task cannot measure (nothing is held out) is NaN: never better, and neither logged nor shown.
        metrics = {key: value for key, value in metrics.items() if not math.isnan(value)}
        value, best = metrics.get(task.monitor), counters.best_metrics.get(task.monitor)
        # An equal value keeps the earlier epoch.
        improved = value is not None and (best is None or sign * value > sign * best)
        if improved:
            counters.best, counters.best_metrics = name, metrics
        if self.history:
            self.history.write(
                "validation", counters.step, counters.epochs_done, {"train_loss": loss, **metrics}
            )
            self.history.flush()
        self._save(name)
        shown = "".join(f"  {key} {value:.4g}" for key, value in metrics.items())
        mark = "  (best)" if improved else ""
        self.progress.say(f"epoch {counters.epochs_done}/{self.config.epochs}  loss {loss:.4g}{shown}{mark}")

    # ---- starting and resuming ---------------------------------------------------------------------------

    def _open_folder(self, full_config: dict[str, Any], may_change: tuple[str, ...]) -> bool:
        """Create or check the run folder (rank 0; every process raises what it met) -> whether there is state to restore."""

        def open_folder() -> bool:
            if self.folder.holds_a_run():
                if not self.config.resume:
                    raise FileExistsError(
                        f"{self.folder.root}: this folder already holds a run;"
                        " resume it (resume=True, --loop.resume) or choose another (out, --loop.out)"
                    )
                for change in self.folder.check_config(full_config, may_change):
                    if not change.startswith("loop.resume"):
                        print(f"{self.task.name}: resuming with a changed setting: {change}")
            return self.folder.last.exists()

        return on_main(self.fabric, open_folder)

    def _restore(self, steps_per_epoch: int) -> None:
        saved = training_state.load(self.folder.last.resolve(), self.task, self.optimizer, self.fabric)
        self.counters = counters = _Counters(**saved)
        where = f"{self.folder.root}: saved after step {counters.step}"
        if counters.steps_per_epoch != steps_per_epoch:
            raise ValueError(
                f"{where} with {counters.steps_per_epoch} optimizer steps per epoch,"
                f" now there are {steps_per_epoch}."
                " The data or the number of processes changed; resume with as many processes as before."
            )
        if counters.step > self.total_steps:
            raise ValueError(
                f"{where}, which is beyond {self.config.epochs} epochs; epochs can be raised, not lowered"
            )
        # A crash between the two renames of the last save leaves `best` one epoch behind.
        if counters.best and self.fabric.is_global_zero:
            self.folder.point(self.folder.best, counters.best)

    def _save(self, name: str) -> None:
        """Publish a checkpoint, then point `last` (and `best`) at it, then drop old ones: a crash in between loses nothing."""
        counters = self.counters
        counters.loss_sum = mean_over(self.fabric, self.loss_sum)
        self._require_finite({"loss": counters.loss_sum})

        def save() -> None:
            place = {"step": counters.step, "epoch": counters.epochs_done, "task": self.task.name}
            metadata = {
                **place,
                "metrics": counters.best_metrics if counters.best == name else {},
                **self.metadata,
            }
            path = self.folder.checkpoints / name
            training_state.save(
                path, self.task, self.optimizer, self.fabric, dataclasses.asdict(counters), metadata
            )
            self.folder.point(self.folder.last, name)
            if counters.best:
                self.folder.point(self.folder.best, counters.best)
            self.folder.prune(self.config.keep)

        on_main(self.fabric, save)

    # ---- small things ------------------------------------------------------------------------------------

    def _agree_to_stop(self, stop: StopRequest, now: bool = False) -> str | None:
        """A signal reaches processes at different steps; all must stop after the same one. Asking costs a
        round trip, so several processes ask only every `log_every` steps."""
        if self.fabric.world_size == 1:
            return stop.signal_name
        if not now and self.counters.step % self.config.log_every:
            return None
        stopping = any_of(self.fabric, stop.signal_name is not None)
        return (stop.signal_name or "another process") if stopping else None

    # ------------------------------------------------------------------------------------------------------

    def _mean_loss(self) -> float:
        """Mean loss of the epoch so far, over processes too."""
        return mean_over(self.fabric, self.loss_sum) / max(self.counters.loss_count, 1)

    def _require_finite(self, values: dict[str, float]) -> None:
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"task {self.task.name!r}: the loss is no longer finite by step {self.counters.step}"
                f" ({values}); the last good checkpoint is in {self.folder.last}"
            )

    def _sum_device(self) -> torch.device:
        # MPS has no float64.
        return torch.device("cpu") if self.fabric.device.type == "mps" else self.fabric.device
