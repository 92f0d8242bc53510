"""What a run would cost, told before it starts: sizes by arithmetic, seconds by doing a little of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.items import CHUNK_BYTES, LEAST_ROWS
from ..evaluation.metrics import METRICS
from ..evaluation.ranking import rank_held_out
from ..recipes.assemble import assembly_of, samples_of
from ..training.fit import BatchReport, Fit
from .environment import peak_device_memory, peak_memory
from .prepare import Prepared
from .rehearse import first_users

__all__ = ["Estimate", "estimate"]

_BATCHES = 3
_SECONDS = 5.0
_USERS = 1024


@dataclass(frozen=True, slots=True)
class Estimate:
    """Sizes are exact. Seconds are of this machine, now, from `batches_timed` batches after a warm-up: 20-30 % off is usual.

    parameters: part -> numbers it trains. weights_bytes: the model once. training_bytes: weights, gradients, Adam's two
    moments and the copy of the best weights. scores_budget_bytes: the most that one chunk of catalogue scores takes.
    peak_memory_bytes: the most this process has had resident while it did a little of the run (all of Python included).
    seconds_per_epoch, of the first stage, counts training and, shared over the epochs, validation; 0 where nothing is trained.
    epochs, seconds_at_most: without an early stop.
    """

    parameters: Mapping[str, int]
    weights_bytes: int
    training_bytes: int
    scores_budget_bytes: int
    peak_memory_bytes: int
    peak_device_memory_bytes: int | None
    rows: int
    batches_per_epoch: int
    batches_timed: int
    epochs: int
    seconds_per_epoch: float
    seconds_at_most: float


def estimate(prepared: Prepared) -> Estimate:
    """Build the model at its real size and time a few real batches and a part of the validation. Writes nothing."""
    plan, split, device, seed = prepared.plan, prepared.split, prepared.device, prepared.settings.seed
    samples = samples_of(plan, split, device)
    assembly = assembly_of(plan, split, seed=seed, device=device)
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in assembly.model.parts().items()}
    fit = Fit(
        assembly,
        samples,
        seed=seed,
        options=plan.training,
        validate=lambda: dict.fromkeys(METRICS, 0.0),
        precision=prepared.settings.precision,
    )
    marks: list[float] = []
    began = time.perf_counter()
    for report in fit.reports():
        if not isinstance(report, BatchReport):
            break
        float(report.loss)  # waits for the device, so that the clock means something
        marks.append(time.perf_counter())
        if len(marks) > _BATCHES or (len(marks) > 1 and marks[-1] - began > _SECONDS):
            break
    timed = len(marks) - 1
    # The first batch warms up; where there was no other it has to do.
    per_batch = ((marks[-1] - marks[0]) / timed if timed else marks[0] - began) if marks else 0.0
    part = first_users(split.valid, _USERS)
    began = time.perf_counter()
    rank_held_out(assembly, part, seed=seed, device=device)
    validation = (time.perf_counter() - began) * len(split.valid.users) / len(part.users)
    first = assembly.stages[0] if assembly.stages else None
    batches = 0 if first is None else fit.samples.num_batches(first.batch_size or plan.training.batch_size)
    per_epoch = per_batch * batches + validation / plan.training.validate_every
    epochs = sum(stage.epochs for stage in assembly.stages)
    trained = sum(parameters.values())
    return Estimate(
        parameters=parameters,
        weights_bytes=4 * trained,
        training_bytes=5 * 4 * trained,
        scores_budget_bytes=max(CHUNK_BYTES[device.type], LEAST_ROWS * split.sequences.num_items * 4),
        peak_memory_bytes=peak_memory(),
        peak_device_memory_bytes=peak_device_memory(device),
        rows=samples.num_rows,
        batches_per_epoch=batches,
        batches_timed=max(timed, 1),
        epochs=epochs,
        seconds_per_epoch=per_epoch,
        seconds_at_most=per_epoch * epochs,
    )
