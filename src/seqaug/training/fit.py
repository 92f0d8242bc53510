"""Training: a generator of reports. Whoever wants a progress bar, a log or a checkpoint reads them; there are no callbacks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ..core.assembly import Assembly, Stage
from ..core.heap import Heap, give_back
from ..core.seeds import Generators, derived
from ..core.step import Step
from ..core.world import ALONE, World, dividing
from ..data.samples import Samples
from ..errors import Diverged
from .early_stop import EarlyStop
from .stages import Stages
from .updates import Optimisers

__all__ = ["BatchReport", "EpochReport", "Fit", "Options"]


class Options(Protocol):
    """The part of a recipe's [training] that concerns the loop."""

    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def validate_every(self) -> int: ...
    @property
    def patience(self) -> int: ...
    @property
    def monitor(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class BatchReport:
    """One batch is done. loss: () the weighted sum of its last update, on the device (reading it waits for the device)."""

    stage: str
    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: Tensor


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch is done. epoch: 0 is the first of its stage. losses: the unweighted mean of each objective over the batches.

    records: shares that plugins noted ("identity_rate"). valid: metrics, None where this epoch was not validated.
    improved: whether this validation is the best so far; stopping: whether the stage ends here.
    """

    stage: str
    epoch: int
    epochs: int
    losses: dict[str, float]
    records: dict[str, float]
    valid: dict[str, float] | None
    improved: bool
    stopping: bool
    seconds_train: float
    seconds_valid: float


class Fit:
    """The training of one assembly.

    Stages are walked in order, each from the best weights of the one before it.
    validate: gives the metrics of the current weights on the validation part; this module does not reach for it itself.
    seed: every draw is a function of it. precision: "bfloat16" runs the forward passes under autocast (on the CPU encoders and
    denoisers excepted, see `core.precision`), parameters and optimiser stay float32. resume: what `state` returned after some
    epoch of an equal run. world: the processes that train this assembly together, each with a `Fit` of its own.
    The model holds the best weights of the last stage once `reports` is exhausted. Raises Diverged where a loss is not finite.
    """

    def __init__(
        self,
        assembly: Assembly,
        samples: Samples,
        *,
        seed: int,
        options: Options,
        validate: Callable[[], dict[str, float]],
        precision: Literal["float32", "bfloat16"] = "float32",
        resume: dict[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.assembly = assembly
        self.samples = samples
        self.seed = seed
        self.options = options
        self.validate = validate
        self.precision = precision
        self.world = world
        self._generators = Generators(samples.device)
        self._host = torch.Generator()
        self._stages = Stages(assembly, samples, seed)
        self._stage = 0
        self._epoch = 0
        self._epochs_done = 0
        self.finished = not assembly.stages
        self._optimisers, self._stop = Optimisers(assembly.model, (), learning_rate=1.0, weight_decay=0.0), EarlyStop(1)
        if resume is not None:
            self._load(resume)
        elif assembly.stages:
            self._begin(assembly.stages[0])

    # ---- what is known from outside ----

    @property
    def best_epoch(self) -> int:
        """0-based epoch of the current stage whose weights are the best so far, -1 before the first validation."""
        return self._stop.best_epoch

    @property
    def epochs_done(self) -> int:
        """Over all stages."""
        return self._epochs_done

    def restore_best(self) -> None:
        """Put the best weights of the current stage into the model."""
        self._stop.restore(self.assembly.model)

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on. Valid between epochs, that is when an EpochReport has just been
        yielded.
        """
        return {
            "stage": self._stage,
            "epoch": self._epoch,
            "epochs_done": self._epochs_done,
            "finished": self.finished,
            "weights": self.assembly.model.state_dict(),
            "optimisers": self._optimisers.state(),
            "stop": self._stop.state(),
        }

    # ---- the loop ----

    def reports(self) -> Iterator[BatchReport | EpochReport]:
        """Train to the end, from wherever the state stands."""
        stages = self.assembly.stages
        while not self.finished:
            stage = stages[self._stage]
            ended = False
            for report in self._one_epoch(stage):
                if isinstance(report, EpochReport):
                    ended = report.stopping
                    self._epoch += 1
                    self._epochs_done += 1
                    if ended:
                        self.restore_best()
                        self._next_stage()
                yield report

    def _next_stage(self) -> None:
        if self._stage + 1 == len(self.assembly.stages):
            self.finished = True
            return
        self._stage += 1
        self._epoch = 0
        self._begin(self.assembly.stages[self._stage])

    def _begin(self, stage: Stage) -> None:
        """Enter a stage for the first time."""
        self._stages.enter(stage)
        self._start(stage)

    def _start(self, stage: Stage) -> None:
        """All that a stage needs beside the weights."""
        self.samples = self._stages.samples_for(stage)
        self._optimisers = Optimisers(
            self.assembly.model,
            stage.updates,
            learning_rate=stage.learning_rate or self.options.learning_rate,
            weight_decay=self.options.weight_decay,
        )
        self._stop = EarlyStop(stage.patience or self.options.patience)

    def _load(self, state: dict[str, Any]) -> None:
        self._stage, self._epoch, self._epochs_done = state["stage"], state["epoch"], state["epochs_done"]
        self.finished = state["finished"]
        self.assembly.model.load_state_dict(state["weights"])
        self._start(self.assembly.stages[self._stage])
        self._optimisers.load(state["optimisers"])
        self._stop.load(state["stop"])

    def _one_epoch(self, stage: Stage) -> Iterator[BatchReport | EpochReport]:
        began = time.perf_counter()
        epoch, model = self._epoch, self.assembly.model
        model.train()
        for plugin in self.assembly.plugins.values():
            start_epoch = getattr(plugin, "start_epoch", None)
            if start_epoch is not None:
                start_epoch(model.items, epoch)
        sums, heap = _Sums(), Heap()
        batch_size = stage.batch_size or self.options.batch_size
        batches = self.samples.num_batches(batch_size)
        order = self._host.manual_seed(derived(self.seed, stage.name, epoch, "data"))
        for index, batch in enumerate(self.samples.batches(batch_size, order)):
            where = (self.seed, stage.name, epoch, index)
            total = torch.zeros(())
            for number, update in enumerate(stage.updates):
                self._optimisers.prepare(update)
                step = Step(
                    self.assembly, self.samples, batch, epoch=epoch, seed=where, update=number, generators=self._generators
                )
                total = torch.zeros((), device=self.samples.device)
                with dividing(self.world), self._autocast():
                    for term in update.terms:
                        weight = term.weight_at(epoch)
                        if weight == 0:
                            continue  # its views are never built
                        value = term.objective(step)
                        sums.loss(term.name, value)
                        total = total + weight * value
                sums.weighted(total)
                with dividing(self.world):
                    self._optimisers.apply(update, total, self.world)
                for name, (amount, out_of) in step.records.items():
                    sums.record(name, amount, out_of)
            if total.device.type == "cpu" and not torch.isfinite(total):
                raise _diverged(stage, epoch, index, sums)
            heap.settle()
            yield BatchReport(stage.name, epoch, stage.epochs, index, batches, total.detach())
        losses, records = sums.read()
        if not all(value == value and abs(value) != float("inf") for value in losses.values()):
            raise _diverged(stage, epoch, batches - 1, sums)
        self.world.agree(model.parameters())
        give_back()
        trained = time.perf_counter()
        valid, improved = None, False
        last = epoch + 1 >= stage.epochs
        monitor = stage.monitor or self.options.monitor
        if (epoch + 1) % (stage.validate_every or self.options.validate_every) == 0 or last:
            if monitor == "loss":
                improved = self._stop.see(-sums.total(), epoch, model)
            else:
                valid = self.validate()
                improved = self._stop.see(valid[monitor], epoch, model)
        yield EpochReport(
            stage=stage.name,
            epoch=epoch,
            epochs=stage.epochs,
            losses=losses,
            records=records,
            valid=valid,
            improved=improved,
            stopping=last or self._stop.exhausted,
            seconds_train=trained - began,
            seconds_valid=time.perf_counter() - trained,
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.samples.device.type, dtype=torch.bfloat16)


class _Sums:
    """Sums of an epoch, kept on the device until its end."""

    def __init__(self) -> None:
        self._losses: dict[str, tuple[Tensor, int]] = {}
        self._records: dict[str, tuple[Tensor, Tensor]] = {}
        self._weighted: tuple[Tensor, int] | None = None

    def weighted(self, total: Tensor) -> None:
        so_far, count = self._weighted or (torch.zeros_like(total), 0)
        self._weighted = (so_far + total.detach(), count + 1)

    def total(self) -> float:
        """The mean of the weighted sum that the updates made small."""
        assert self._weighted is not None
        return float(self._weighted[0]) / self._weighted[1]

    def loss(self, name: str, value: Tensor) -> None:
        # A term that several updates share is averaged over them.
        so_far, count = self._losses.get(name, (torch.zeros((), device=value.device), 0))
        self._losses[name] = (so_far + value.detach().float(), count + 1)

    def record(self, name: str, amount: Tensor, out_of: Tensor) -> None:
        amounts, totals = self._records.get(name, (torch.zeros_like(amount), torch.zeros_like(out_of)))
        self._records[name] = (amounts + amount, totals + out_of)

    def read(self) -> tuple[dict[str, float], dict[str, float]]:
        losses = {name: float(total) / count for name, (total, count) in self._losses.items()}
        records = {name: float(amount) / max(float(out_of), 1.0) for name, (amount, out_of) in self._records.items()}
        return losses, records


def _diverged(stage: Stage, epoch: int, batch: int, sums: _Sums) -> Diverged:
    losses, _ = sums.read()
    shown = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return Diverged(
        f"the loss is no longer finite in stage {stage.name!r}, epoch {epoch + 1}, batch {batch + 1} ({shown}). "
        "Try a lower learning rate (-s training.learning_rate=3e-4) or float32 precision."
    )
