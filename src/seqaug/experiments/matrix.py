"""Many runs as one thing: which are finished, which go on, which are new; in parallel processes; killed and restarted at will.

A matrix is a list of `Member`s. Each is an ordinary run in an ordinary run folder, so what `seqaug run` has finished counts,
and so does what was kept of finished runs elsewhere (`finished`), found by the run's hash. There is no other memory: whoever
asks for the same matrix again finds in the run folders what is finished and what goes on.
"""

from __future__ import annotations

import shlex
import sys
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from ..core.plugin_files import file_of, loaded_files
from ..core.registries import REGISTRIES
from ..data.catalog import Loaded, find
from ..errors import Interrupted, PluginError, RecipeError, SeqaugError
from ..recipes.load import RecipeSource, load_recipe
from ..recipes.plan import Plan
from ..training.fit import EpochReport
from .environment import chosen_device
from .executor import Executor, Task
from .executors import LOCAL, executor_named
from .files import replacing
from .local_processes import cores
from .prepare import Identified, identify
from .records import KEPT, Record, find_records, finished_by_hash, read_record
from .settings import RunSettings
from .worker import BatchDone, Died, Done, EpochDone, Order, Remark, Taken, Told

__all__ = [
    "Ended",
    "Epoch",
    "Failed",
    "Matrix",
    "MatrixEvent",
    "Member",
    "Note",
    "PlannedMember",
    "Progress",
    "Started",
    "cores",
    "devices_of",
    "jobs_for",
    "plan_matrix",
    "run_matrix",
]


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a matrix: the column (`variant`) and the row (`data`, `seed`) it belongs to, and how it is made."""

    variant: str
    data: str
    seed: int
    settings: RunSettings

    @property
    def place(self) -> tuple[str, str, int]:
        """Column and row: what tells the members of a matrix apart."""
        return self.variant, self.data, self.seed

    @property
    def label(self) -> str:
        """ "w/o k_noise, beauty, seed 0"."""
        return f"{self.variant}, {self.data}, seed {self.seed}"


@dataclass(frozen=True, slots=True, eq=False)
class PlannedMember:
    """A member whose recipe is resolved.

    folder: its run folder. record: the finished run, wherever it was found, else None. epochs: the most that it trains.
    monitor: the metric that validation watches. modules: (name, file) of those that define plugins which no distribution
    declares; a process that runs the member imports them first, and executes `files`: (path, sha256) of the plugin files.
    """

    member: Member
    hash: str
    folder: Path
    condition: Literal["finished", "unfinished", "new"]
    record: Record | None
    epochs: int
    monitor: str
    modules: tuple[tuple[str, str | None], ...] = ()
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """All members, in the order in which they run. Members of one hash are one run. notes: what is to be said of the data."""

    members: tuple[PlannedMember, ...]
    notes: tuple[str, ...] = ()

    @property
    def unfinished(self) -> tuple[PlannedMember, ...]:
        """What is left to run: the first member of each hash that has no record."""
        found: dict[str, PlannedMember] = {}
        for planned in self.members:
            if planned.record is None:
                found.setdefault(planned.hash, planned)
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Started:
    """The process of a run begins. device: as `RunSettings.device` takes it."""

    member: Member
    device: str


@dataclass(frozen=True, slots=True)
class Progress:
    """epochs done, with the part of the present one, of at most `epochs`; the latest loss and validation value, where known."""

    member: Member
    done: float
    epochs: int
    loss: float | None
    monitor: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch of a run is done; number counts from 1 over all stages, of at most `epochs`. A `Progress` comes with it."""

    member: Member
    number: int
    epochs: int
    monitor: str
    report: EpochReport


@dataclass(frozen=True, slots=True)
class Note:
    """What a run, or whatever prints while it runs, has to say."""

    member: Member
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """The run has a result. from_cache: it was finished before this matrix came to it."""

    member: Member
    record: Record
    from_cache: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended with an error; the others go on. exit_code: what `seqaug run` would have returned."""

    member: Member
    message: str
    exit_code: int


MatrixEvent = Started | Progress | Epoch | Note | Ended | Failed


# ---- planning ----


def plan_matrix(members: Sequence[Member], *, finished: Sequence[Path] = ()) -> Matrix:
    """Resolve every member and see what is there already. Writes nothing. Each data set is read once.

    finished: folders that hold finished runs, or what was kept of them, by hash. Raises RecipeError with the problems of all
    members, DataError, PluginError.
    """
    kept = finished_by_hash(finished)
    sources: dict[str, RecipeSource] = {}
    data: dict[str, Loaded] = {}
    problems: dict[str, list[Member]] = {}
    broken: list[str] = []
    planned: list[PlannedMember] = []
    for member in members:
        settings = member.settings
        if settings.recipe not in sources:
            sources[settings.recipe] = load_recipe(settings.recipe)
        key = f"{settings.data} {sorted(settings.data_options.items())!r}"
        if key not in data:
            data[key] = find(settings.data, **settings.data_options)
        try:
            found = identify(settings, sources[settings.recipe], data[key])
            planned.append(_planned(member, found, kept))
        except RecipeError as error:
            for problem in error.problems:
                problems.setdefault(problem, []).append(member)
        except PluginError as error:
            broken.append(str(error))
    if problems:
        raise RecipeError([_whose(problem, whose, members) for problem, whose in problems.items()])
    if broken:
        raise PluginError("\n".join(dict.fromkeys(broken)))
    return Matrix(tuple(planned), tuple(dict.fromkeys(note for loaded in data.values() for note in loaded.notes)))


def _planned(member: Member, found: Identified, kept: Mapping[str, Record]) -> PlannedMember:
    fresh = member.settings.fresh
    there = found.folder.condition()
    record = None
    if not fresh:
        record = read_record(found.folder.path) if there == "finished" else kept.get(found.identity.hash)
    condition = "new" if fresh else "finished" if record is not None else there
    return PlannedMember(
        member=member,
        hash=found.identity.hash,
        folder=found.folder.path,
        condition=condition,
        record=record,
        epochs=sum(stage.epochs for stage in found.plan.stages),
        monitor=found.plan.training.monitor,
        modules=_modules(found.plan),
        files=tuple((str(file.path), file.sha256) for file in loaded_files()),
    )


def _modules(plan: Plan) -> tuple[tuple[str, str | None], ...]:
    """Where the plugins are defined that only a decorator has marked. A script's own are there again in every process."""
    found = {}
    for used in plan.plugins():
        if used.info.distribution is None:
            name = REGISTRIES[used.info.kind].get(f"{used.info.source}/{used.info.name}").__module__
            if name != "__main__" and file_of(name) is None:
                found[name] = getattr(sys.modules.get(name), "__file__", None)
    return tuple(found.items())


def _whose(problem: str, whose: Sequence[Member], members: Sequence[Member]) -> str:
    """The problem, and who has it where not everybody does."""

    def names(some: Sequence[Member]) -> list[list[str]]:
        return [list(dict.fromkeys(values)) for values in ([m.variant for m in some], [m.data for m in some])]

    parts = [", ".join(mine) for mine, all_ in zip(names(whose), names(members), strict=True) if mine != all_]
    return f"{' on '.join(parts)}: {problem}" if parts else problem


# ---- how many at once, and on what ----


def devices_of(device: str) -> tuple[str, ...]:
    """What "auto", "cpu", "cuda:1" or "cuda:0,cuda:1" stands for: every GPU where there are several and none is named.

    Raises RecipeError where one of them is not there.
    """
    named = [name.strip() for name in device.split(",") if name.strip()]
    for name in named:
        chosen_device(name)
    if named == ["auto"] and torch.cuda.is_available() and torch.cuda.device_count() > 1:
        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return tuple(named) or ("auto",)


def jobs_for(devices: Sequence[str]) -> int:
    """How many runs at a time where nobody said: one on each GPU; one on each core where there is none."""
    on_gpu = [name for name in devices if chosen_device(name).type == "cuda"]
    return len(on_gpu) or cores()


# ---- running ----


def run_matrix(
    matrix: Matrix,
    *,
    jobs: int = 1,
    threads: int | None = None,
    devices: Sequence[str] = (),
    keep: Path | None = None,
    executor: str = LOCAL,
) -> Generator[MatrixEvent, None, None]:
    """Run what is not finished, `jobs` at a time, each in a process of its own that dies with this one.

    threads: of each process; the cores divided by the jobs where not given. devices: dealt out to the jobs in turn (one GPU
    each). keep: where `records.KEPT` of each finished run are copied to, under the run folder's name. executor: as
    `executors.executor_named` takes it. The last events of a member are Ended or Failed. Raises Interrupted in the place of
    KeyboardInterrupt, all states kept, or RecipeError where the executor cannot be had.

    New processes read the script that was started once more, so one that calls this does so under `if __name__ == "__main__"`.
    """
    members: dict[str, list[PlannedMember]] = {}
    for planned in matrix.members:
        members.setdefault(planned.hash, []).append(planned)
    ended = 0
    crew: Executor | None = None
    waiting = deque(matrix.unfinished)
    first = {planned.hash: planned for planned in waiting}
    kept = set() if keep is None else {record.hash for record in find_records(keep)}
    try:
        for planned in matrix.members:
            if planned.record is not None:
                if keep is not None and planned.hash not in kept:
                    _keep(planned.record, keep / planned.folder.name)
                    kept.add(planned.hash)
                ended += 1
                yield Ended(planned.member, planned.record, from_cache=True)
        if waiting:
            crew = executor_named(executor, jobs=jobs, threads=threads, devices=devices)
        while crew is not None and (waiting or crew.busy):
            while waiting and crew.has_room:
                planned = waiting.popleft()
                yield Started(planned.member, crew.start(_task(planned)))
            for task, told in crew.listen():
                planned = first[task.hash]
                event = _event(planned, told)
                if isinstance(event, Ended) and keep is not None:
                    _keep(event.record, keep / planned.folder.name)
                for twin in members[planned.hash] if isinstance(event, Ended | Failed) else [planned]:
                    ended += isinstance(event, Ended)
                    yield replace(event, member=twin.member)
                if isinstance(told, EpochDone):
                    yield Epoch(planned.member, told.number, planned.epochs, planned.monitor, told.report)
    except KeyboardInterrupt:
        lost = [] if crew is None else crew.stop()
        raise Interrupted(_stopped(matrix, ended, lost)) from None
    finally:
        if crew is not None:
            crew.close()


def _task(planned: PlannedMember) -> Task:
    order = Order(planned.member.settings, planned.modules, planned.files)
    return Task(planned.hash, planned.member.label, planned.folder, order)


def _event(planned: PlannedMember, told: Told) -> Progress | Note | Ended | Failed:
    member, epochs, monitor = planned.member, planned.epochs, planned.monitor
    match told:
        case Remark():
            return Note(member, told.message)
        case Taken():
            return Progress(member, told.done, epochs, None, monitor, told.value)
        case BatchDone():
            return Progress(member, told.done, epochs, told.loss, monitor, told.value)
        case EpochDone():
            report = told.report
            value = None if report.valid is None else report.valid[monitor]
            return Progress(member, told.number, epochs, None, monitor, value)
        case Done():
            try:
                return Ended(member, read_record(planned.folder), told.from_cache)
            except SeqaugError as error:
                return Failed(member, str(error), error.exit_code)
        case Died():
            return Failed(member, told.message, told.exit_code)


def _stopped(matrix: Matrix, ended: int, lost: Sequence[str]) -> str:
    words = [word for word in matrix.members[0].member.settings.command if word != "--fresh"] if matrix.members else []
    again = f"the same command goes on from there:\n  {shlex.join(words)}" if words else "the same matrix goes on from there."
    kept = "what the others have reached is kept"
    if lost:
        kept = f"not all of {kept} ({' '.join(lost)})"
    return f"stopped. {ended} of {len(matrix.members)} runs are finished, and {kept}; {again}"


def _keep(record: Record, folder: Path) -> None:
    """Copy what is worth keeping, the file that makes a record of it last."""
    if record.folder.resolve() == folder.resolve():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in sorted(KEPT, key=lambda one: one == "metrics.json"):
        source = record.folder / name
        if source.exists():
            with replacing(folder / name) as file:
                file.write(source.read_bytes())
