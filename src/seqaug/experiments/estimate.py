"""What a run would cost, told before it starts: sizes by arithmetic, seconds by doing a little of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from ..core.assembly import Assembly, Stage
from ..core.seeds import Generators
from ..data.samples import Samples
from ..evaluation.metrics import METRICS
from ..evaluation.ranking import rank_held_out
from ..recipes.assemble import assembly_of, samples_of
from ..training.fit import BatchReport, Fit
from .environment import memory_now
from .memory import Memory, predicted_memory, refuse_what_cannot_fit
from .prepare import Prepared
from .rehearse import first_users

__all__ = ["Estimate", "StageEstimate", "estimate"]

_BATCHES = 4
_SECONDS = 5.0
_USERS = 1024


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds are of this machine, now, from `batches_timed` batches after a warm-up: 20-30 % off is usual.

    parameters: part -> numbers it trains. weights_bytes: the model once. memory: what the run will take at most; on a GPU it is
    the GPU's. stages: each with its own rows and updates; context that a rewriter would put in front is not there yet.
    seconds_per_epoch, of the first stage, counts training and, shared over the epochs, validation; where nothing is trained it
    is that of one ranking.
    epochs, seconds_at_most: of all stages, without an early stop.
    """

    parameters: Mapping[str, int]
    weights_bytes: int
    memory: Memory
    rows: int
    batches_per_epoch: int
    batches_timed: int
    stages: tuple[StageEstimate, ...]
    epochs: int
    seconds_per_epoch: float
    seconds_at_most: float


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage. seconds_per_epoch: training and, shared over the epochs, validation. batches_timed: after a warm-up."""

    name: str
    epochs: int
    rows: int
    batches_per_epoch: int
    batches_timed: int
    seconds_per_epoch: float


def estimate(prepared: Prepared) -> Estimate:
    """Build the model at its real size and time a few real batches of each stage and a part of the validation. Writes nothing.

    Raises RecipeError where the run cannot fit into the memory of the device.
    """
    plan, split, device, seed = prepared.plan, prepared.split, prepared.device, prepared.settings.seed
    precision, base = prepared.settings.precision, memory_now(device)
    samples = samples_of(plan, split, device)
    refuse_what_cannot_fit(plan, split, samples, precision=precision, seed=seed, base=base)
    assembly = assembly_of(plan, split, seed=seed, device=device)
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in assembly.model.parts().items()}
    memory = predicted_memory(assembly, samples, split, plan, precision=precision, seed=seed, base=base)
    part = first_users(split.valid, _USERS)
    rank_held_out(assembly, part, seed=seed, device=device)  # the first touch of memory is not arithmetic
    began = time.perf_counter()
    rank_held_out(assembly, part, seed=seed, device=device)
    validation = (time.perf_counter() - began) * len(split.valid.users) / len(part.users)
    stages = tuple(_timed(prepared, assembly, samples, stage, validation) for stage in assembly.stages)
    return Estimate(
        parameters=parameters,
        weights_bytes=4 * sum(parameters.values()),
        memory=memory,
        rows=samples.num_rows,
        batches_per_epoch=stages[0].batches_per_epoch if stages else 0,
        batches_timed=stages[0].batches_timed if stages else 0,
        stages=stages,
        epochs=sum(stage.epochs for stage in stages),
        seconds_per_epoch=stages[0].seconds_per_epoch if stages else validation,
        seconds_at_most=sum(stage.epochs * stage.seconds_per_epoch for stage in stages),
    )


def _timed(prepared: Prepared, assembly: Assembly, samples: Samples, stage: Stage, validation: float) -> StageEstimate:
    """Time a few batches of a stage. What a batch takes goes with its positions, so an epoch is reckoned by those."""
    options = prepared.plan.training
    fit = Fit(
        replace(assembly, stages=(replace(stage, rewrite=None, reset=()),)),
        samples,
        seed=prepared.settings.seed,
        options=options,
        validate=lambda: dict.fromkeys(METRICS, 0.0),
        precision=prepared.settings.precision,
    )
    size = stage.batch_size or options.batch_size
    order = Generators().get("data", prepared.settings.seed, stage.name, 0)
    rows = torch.split(torch.randperm(fit.samples.num_rows, generator=order), size)
    positions = [int(fit.samples.row_lengths[part].sum()) for part in rows]
    seconds: list[float] = []
    began = last = time.perf_counter()
    for report in fit.reports():
        if not isinstance(report, BatchReport):
            break
        float(report.loss)  # waits for the device, so that the clock means something
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
        if len(seconds) > _BATCHES or (len(seconds) > 1 and last - began > _SECONDS):
            break
    # The first batch warms up; where there was no other it has to do.
    first = 1 if len(seconds) > 1 else 0
    per_position = sum(seconds[first:]) / max(sum(positions[first : len(seconds)]), 1)
    # The last epoch is validated too, whatever its number.
    validations = 0 if stage.monitor == "loss" else -(-stage.epochs // (stage.validate_every or options.validate_every))
    return StageEstimate(
        name=stage.name,
        epochs=stage.epochs,
        rows=fit.samples.num_rows,
        batches_per_epoch=len(rows),
        batches_timed=len(seconds) - first,
        seconds_per_epoch=per_position * sum(positions) + validation * validations / stage.epochs,
    )
