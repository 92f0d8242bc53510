"""One run, from settings to a result, told as it happens."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ..core.assembly import Assembly
from ..core.world import ALONE, World
from ..data.samples import Samples
from ..errors import Interrupted
from ..evaluation.metrics import metrics
from ..evaluation.ranking import rank_held_out
from ..recipes.assemble import assembly_of, samples_of
from ..training.fit import BatchReport, EpochReport, Fit
from .environment import environment, memory_now, peak_memory
from .files import replacing
from .memory import refuse_a_width_that_cannot_fit, refuse_what_cannot_fit
from .prepare import Prepared, plugin_files_of, prepare
from .rehearse import Rehearsal, rehearse
from .result import result, write_per_user
from .settings import RunSettings

__all__ = [
    "BatchReport",
    "EpochReport",
    "Evaluated",
    "Event",
    "Finished",
    "Note",
    "Planned",
    "Rehearsed",
    "Resumed",
    "run",
]


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """The recipe is resolved and the data read; nothing is written yet."""

    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The plan survived its rehearsal on the toy world."""

    rehearsal: Rehearsal


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user should know and that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """An earlier start of this run was interrupted; it goes on after these `epochs`, their lines of events.jsonl."""

    epochs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The best weights have ranked validation and test."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """The result: the content of metrics.json. `from_cache` where an earlier command had finished the run already."""

    metrics: Mapping[str, Any]
    folder: Path
    from_cache: bool


Event = Planned | Rehearsed | Note | Resumed | BatchReport | EpochReport | Evaluated | Finished


def run(settings: RunSettings, *, wait: float = 0.0, world: World = ALONE) -> Generator[Event, None, None]:
    """Everything that `seqaug run` does. The last event is `Finished`.

    wait: seconds in which another process may leave the run folder, e.g. one that was killed a moment ago. world: the
    processes that do this run together. Process 0 decides, writes and has all events; the others follow, and have none but the
    plan and the epochs.

    The state is kept after every epoch: a run that was stopped, by whatever means, goes on where it was when it is asked
    for again, and ends in the same numbers bit for bit (CPU, equal number of threads). A finished one gives its result.
    Raises RecipeError, DataError, PluginError, Diverged, or Interrupted, in the place of KeyboardInterrupt.
    """
    prepared = prepare(settings)
    yield Planned(prepared)
    for message in prepared.loaded.notes:
        yield Note(message)
    folder = prepared.folder
    if world.rank:
        yield from _follow(prepared, world)
        return
    if folder.condition() == "finished" and not settings.fresh:
        world.told(_FINISHED)
        yield _cached(prepared)
        return
    # The rehearsal builds encoders of the real width, so that is asked about before it; measuring a batch takes steps with
    # plugins, which have to be rehearsed before that.
    refuse_a_width_that_cannot_fit(prepared.plan, prepared.split, prepared.device)
    yield Rehearsed(rehearse(prepared.plan, device=prepared.device, precision=settings.precision, seed=settings.seed))
    samples = _samples_that_fit(prepared)
    with folder.lock(wait):
        # Another process may have finished it while this one rehearsed.
        if folder.condition() == "finished" and not settings.fresh:
            world.told(_FINISHED)
            yield _cached(prepared)
            return
        events: list[dict[str, Any]] = []
        try:
            yield from _train(prepared, samples, events, world)
        except KeyboardInterrupt:
            done = len(events)
            kept = f"{done} finished epoch{'s are' if done != 1 else ' is'} kept" if done else "No epoch was finished yet"
            raise Interrupted(
                f"stopped. {kept} in {folder.path}; the same command goes on from there:\n  {_resume_command(settings)}"
            ) from None


def _samples_that_fit(prepared: Prepared) -> Samples:
    """The training rows of a run. Raises RecipeError where training on them cannot fit into the memory of the device."""
    samples = samples_of(prepared.plan, prepared.split, prepared.device)
    refuse_what_cannot_fit(
        prepared.plan,
        prepared.split,
        samples,
        precision=prepared.settings.precision,
        seed=prepared.settings.seed,
        base=memory_now(prepared.device),
    )
    return samples


def _resume_command(settings: RunSettings) -> str:
    """What to type to go on. `--fresh` is left out: it would start over."""
    words = [word for word in settings.command if word != "--fresh"]
    return shlex.join(words) if words else f"seqaug run {shlex.quote(settings.recipe)} --data {shlex.quote(settings.data)}"


def _cached(prepared: Prepared) -> Finished:
    metrics_there = prepared.folder.metrics()
    assert metrics_there is not None
    return Finished(metrics_there, prepared.folder.path, from_cache=True)


_FINISHED = "finished"
"""What process 0 tells the others in the place of a state, where there is nothing to do."""


def _follow(prepared: Prepared, world: World) -> Iterator[Event]:
    """What the other processes of a run do: the same steps and the same rankings, and nothing that anybody sees."""
    settings, plan, split, device = prepared.settings, prepared.plan, prepared.split, prepared.device
    state = world.told(None)
    if state == _FINISHED:
        return
    samples = samples_of(plan, split, device)
    assembly = assembly_of(plan, split, seed=settings.seed, device=device)
    fit = _fit(prepared, samples, assembly, state, world)
    yield from fit.reports()
    fit.restore_best()
    for held_out in (split.valid, split.test):
        rank_held_out(assembly, held_out, seed=settings.seed, device=device, world=world)


def _fit(prepared: Prepared, samples: Samples, assembly: Assembly, state: dict[str, Any] | None, world: World) -> Fit:
    settings, plan, split = prepared.settings, prepared.plan, prepared.split

    def validate() -> dict[str, float]:
        return metrics(rank_held_out(assembly, split.valid, seed=settings.seed, device=prepared.device, world=world).rank)

    return Fit(
        assembly,
        samples,
        seed=settings.seed,
        options=plan.training,
        validate=validate,
        precision=settings.precision,
        resume=state,
        world=world,
    )


def _train(prepared: Prepared, samples: Samples, events: list[dict[str, Any]], world: World) -> Iterator[Event]:
    """Train, evaluate and write. `events` grows with every epoch whose state is kept."""
    settings, plan, split, folder = prepared.settings, prepared.plan, prepared.split, prepared.folder
    device, threads = prepared.device, torch.get_num_threads()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    state = None if settings.fresh else folder.load_state()
    folder.begin(
        recipe=prepared.source.text,
        resolved=_resolved(prepared),
        environment=environment(device, {path: dict(known) for path, known in prepared.plugins.items()}, world.size),
        command=shlex.join(settings.command) or _resume_command(settings),
        fresh=settings.fresh,
        plugin_files=plugin_files_of(prepared.plugins),
    )
    peak_before = 0
    if state is not None:
        events.extend(json.loads(state["events"]))
        peak_before = int(state["peak_memory_bytes"])
        yield Resumed(tuple(events))
        for name, then, here in (("threads", state["threads"], threads), ("device", state["device"], str(device))):
            if then != here:
                yield Note(
                    f"this run began with {name} {then} and goes on with {here}: "
                    "its numbers may differ in the last digits from an undisturbed run."
                )
    folder.write_events(events)

    assembly = assembly_of(plan, split, seed=settings.seed, device=device)

    world.told(None if state is None else state["fit"])
    fit = _fit(prepared, samples, assembly, None if state is None else state["fit"], world)
    for report in fit.reports():
        if isinstance(report, EpochReport):
            event = _event(report)
            folder.save_state(
                {
                    "fit": fit.state(),
                    "events": json.dumps([*events, event]),
                    "threads": threads,
                    "device": str(device),
                    "peak_memory_bytes": max(peak_before, peak_memory()),
                }
            )
            events.append(event)
            folder.append_event(event)
        yield report

    started = time.perf_counter()
    fit.restore_best()
    valid = rank_held_out(assembly, split.valid, seed=settings.seed, device=device, world=world)
    test = rank_held_out(assembly, split.test, seed=settings.seed, device=device, world=world)
    seconds = time.perf_counter() - started
    yield Evaluated(seconds)

    found = result(
        prepared,
        assembly,
        valid=valid,
        test=test,
        best_epoch=_best_epoch(events),
        events=events,
        seconds_evaluate=seconds,
        peak_before=peak_before,
        threads=threads,
    )
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in assembly.model.state_dict().items()}
    with replacing(folder.path / "model.safetensors") as file:
        file.write(save(weights, metadata={"run": prepared.identity.hash}))
    write_per_user(folder.path / "per_user.npz", split.sequences, test)
    folder.finish(found)
    yield Finished({**found, "hash": prepared.identity.hash}, folder.path, from_cache=False)


def _resolved(prepared: Prepared) -> dict[str, Any]:
    """What resolved.json holds beside the marks: every value with its origin, and all that is needed to plan again."""
    settings, plan, loaded = prepared.settings, prepared.plan, prepared.loaded
    return {
        "recipe": plan.name,
        "values": plan.values,
        "origins": plan.origins,
        "request": {
            "recipe": settings.recipe,
            "data": {"name": loaded.name, "reference": loaded.reference, "options": loaded.options, "sha256": loaded.sha256},
            "seed": settings.seed,
            "precision": settings.precision,
            "ablation": settings.ablation,
            "patches": [{"path": patch.path, "value": patch.value, "origin": patch.origin} for patch in settings.patches],
        },
    }


def _event(report: EpochReport) -> dict[str, Any]:
    """One line of events.jsonl. Epochs count from 1."""
    return {
        "stage": report.stage,
        "epoch": report.epoch + 1,
        "losses": report.losses,
        "records": report.records,
        "valid": report.valid,
        "improved": report.improved,
        "seconds": {"train": report.seconds_train, "valid": report.seconds_valid},
    }


def _best_epoch(events: list[dict[str, Any]]) -> int:
    """The epoch, counted from 1 over all stages, whose weights are the result: the last that improved, or the last of all."""
    improved = [number for number, event in enumerate(events, start=1) if event["improved"]]
    return improved[-1] if improved else len(events)
