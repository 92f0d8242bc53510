"""Many runs as one thing: which are finished, which go on, which are new; in parallel processes; killed and restarted at will.

A matrix is a list of `Member`s. Each is an ordinary run in an ordinary run folder, so what `seqaug run` has finished counts,
and so does what was kept of finished runs elsewhere (`finished`), found by the run's hash. There is no other memory: whoever
asks for the same matrix again finds in the run folders what is finished and what goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shlex
import signal
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal

import torch

from ..core.plugin_files import file_of, loaded_files
from ..core.registries import REGISTRIES
from ..data.catalog import Loaded, find
from ..errors import Interrupted, PluginError, RecipeError, SeqaugError
from ..recipes.load import RecipeSource, load_recipe
from ..recipes.plan import Plan
from ..training.fit import EpochReport
from .environment import chosen_device
from .files import replacing
from .prepare import Identified, identify
from .records import KEPT, Record, find_records, finished_by_hash, read_record
from .settings import RunSettings
from .worker import BatchDone, Died, Done, EpochDone, Order, Remark, Taken, Told, work

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

_GRACE = 10.0
"""Seconds that a run has to end by itself when it is told to."""
_TAIL = 6
"""How many of the last lines that a process printed are shown when it ends without a word."""


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


def cores() -> int:
    """How many processors this process may use: fewer than the machine has where a container or an affinity says so."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        here = min(here, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return here


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
    matrix: Matrix, *, jobs: int = 1, threads: int | None = None, devices: Sequence[str] = (), keep: Path | None = None
) -> Generator[MatrixEvent, None, None]:
    """Run what is not finished, `jobs` at a time, each in a process of its own that dies with this one.

    threads: of each process; the cores divided by the jobs where not given. devices: dealt out to the jobs in turn (one GPU
    each). keep: where `records.KEPT` of each finished run are copied to, under the run folder's name. The last events of a
    member are Ended or Failed. Raises Interrupted in the place of KeyboardInterrupt, all states kept.

    New processes read the script that was started once more, so one that calls this does so under `if __name__ == "__main__"`.
    """
    members: dict[str, list[PlannedMember]] = {}
    for planned in matrix.members:
        members.setdefault(planned.hash, []).append(planned)
    ended = 0
    crew = _Crew(jobs, threads, devices)
    waiting = deque(matrix.unfinished)
    kept = set() if keep is None else {record.hash for record in find_records(keep)}
    try:
        for planned in matrix.members:
            if planned.record is not None:
                if keep is not None and planned.hash not in kept:
                    _keep(planned.record, keep / planned.folder.name)
                    kept.add(planned.hash)
                ended += 1
                yield Ended(planned.member, planned.record, from_cache=True)
        while waiting or crew.busy:
            while waiting and crew.has_room:
                yield crew.start(waiting.popleft())
            for planned, told in crew.listen():
                event = _event(planned, told)
                if isinstance(event, Ended) and keep is not None:
                    _keep(event.record, keep / planned.folder.name)
                for twin in members[planned.hash] if isinstance(event, Ended | Failed) else [planned]:
                    ended += isinstance(event, Ended)
                    yield replace(event, member=twin.member)
                if isinstance(told, EpochDone):
                    yield Epoch(planned.member, told.number, planned.epochs, planned.monitor, told.report)
    except KeyboardInterrupt:
        crew.stop()
        raise Interrupted(_stopped(matrix, ended)) from None
    finally:
        crew.kill()


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


def _stopped(matrix: Matrix, ended: int) -> str:
    words = [word for word in matrix.members[0].member.settings.command if word != "--fresh"] if matrix.members else []
    again = f"the same command goes on from there:\n  {shlex.join(words)}" if words else "the same matrix goes on from there."
    return f"stopped. {ended} of {len(matrix.members)} runs are finished, and what the others have reached is kept; {again}"


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


class _Child:
    """A process with a run in it, and the two pipes that lead to it."""

    def __init__(self, planned: PlannedMember, slot: int, threads: int, device: str) -> None:
        self.planned = planned
        self.slot = slot
        self.over = False
        self._line = b""
        self._lines: deque[str] = deque(maxlen=_TAIL)
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.output, their_output = context.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        settings = replace(planned.member.settings, threads=threads, device=device)
        order = pickle.dumps(Order(settings, planned.modules, planned.files))
        self.process: SpawnProcess = context.Process(
            target=work, args=(theirs, their_output, order), name=planned.member.label, daemon=True
        )
        with _environment(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads)), _without_interrupts():
            self.process.start()
        theirs.close()
        their_output.close()

    def told(self) -> Iterator[Told]:
        """Everything that has arrived, the lines it printed as remarks. Ends with Done or Died, after which `over` is true."""
        yield from self._printed()
        try:
            while not self.over and self.connection.poll():
                found: Told = self.connection.recv()
                self.over = isinstance(found, Done | Died)
                if self.over:
                    self.process.join(_GRACE)
                    yield from self._printed(to_the_end=True)
                yield found
        except (EOFError, OSError):
            self.over = True
            self.process.join(_GRACE)
            yield from self._printed(to_the_end=True)
            yield Died(self._last_words(), 1)

    def close(self) -> None:
        """Make sure that the process is gone."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()
        self.output.close()

    def _printed(self, *, to_the_end: bool = False) -> Iterator[Remark]:
        while True:
            try:
                more = os.read(self.output.fileno(), 65536)
            except (BlockingIOError, OSError):
                break
            if not more:
                break
            self._line += more
        *lines, self._line = self._line.split(b"\n")
        if to_the_end:
            lines.append(self._line)
            self._line = b""
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            if text:
                self._lines.append(text)
                yield Remark(text)

    def _last_words(self) -> str:
        code = self.process.exitcode
        how = "did not say why" if not self._lines else "said last: " + " | ".join(self._lines)
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            why = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{why} and {how}"
        return f"its process ended with exit code {code} and {how}"


class _Crew:
    """The processes that run now, at most `jobs`."""

    def __init__(self, jobs: int, threads: int | None, devices: Sequence[str]) -> None:
        assert jobs >= 1
        self.jobs = jobs
        self.threads = threads
        self.devices = tuple(devices)
        self.children: list[_Child] = []

    @property
    def busy(self) -> bool:
        return bool(self.children)

    @property
    def has_room(self) -> bool:
        return len(self.children) < self.jobs

    def start(self, planned: PlannedMember) -> Started:
        slot = min(set(range(self.jobs)) - {child.slot for child in self.children})
        settings = planned.member.settings
        device = self.devices[slot % len(self.devices)] if self.devices else settings.device
        threads = self.threads or settings.threads or max(1, cores() // self.jobs)
        self.children.append(_Child(planned, slot, threads, device))
        return Started(planned.member, device)

    def listen(self) -> Iterator[tuple[PlannedMember, Told]]:
        """Wait until a process says something, and give all that there is to hear."""
        speaking: list[Any] = [child.connection for child in self.children]
        printing: list[Any] = [child.output for child in self.children]
        ready = wait([*speaking, *printing])
        for child in list(self.children):
            if child.connection in ready or child.output in ready:
                for told in child.told():
                    yield child.planned, told
                if child.over:
                    self.children.remove(child)
                    child.close()

    def stop(self) -> None:
        """Let every run keep its state and end. Another Ctrl-C does not wait for that."""
        for child in self.children:
            child.process.terminate()
        until = time.monotonic() + _GRACE
        try:
            for child in self.children:
                child.process.join(max(0.0, until - time.monotonic()))
        except KeyboardInterrupt:
            pass

    def kill(self) -> None:
        for child in self.children:
            child.close()
        self.children = []


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Variables for a process that is started meanwhile: its libraries read them as they are loaded."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ctrl-C waits until the block ends, in this process; one started meanwhile inherits that and never sees it."""
    if not hasattr(signal, "pthread_sigmask"):  # pragma: no cover - Windows
        yield
        return
    from multiprocessing import resource_tracker

    # Starting it would end the block of signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
