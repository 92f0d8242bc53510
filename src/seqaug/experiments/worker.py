"""One run in a process of its own: what that process does, and what it says to the one that started it.

It dies with its parent, however that ends: a thread waits on the pipe between them, which the operating system closes with the
parent. Ctrl-C, which a terminal sends to all processes at once, is the parent's business; SIGTERM is how the parent ends a run,
with the state of the last epoch kept. This module imports nothing heavy: the first lines of `work` come before torch.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.fit import EpochReport
    from .run import Event
    from .settings import RunSettings

__all__ = ["BatchDone", "Died", "Done", "EpochDone", "Order", "Remark", "Taken", "Told", "work"]

LOCK_WAIT = 30.0
"""Seconds that a folder may stay locked by a process that is about to end."""
_LOOK = 0.25
"""Seconds between two reports of a batch: reading the loss waits for the device."""
_ABANDONED = 1
"""The exit code of a worker whose parent is gone; nobody reads it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is given. modules: (name, file) of those that mark plugins without being declared by a distribution.
    files: (path, sha256) of the plugin files that the command named."""

    settings: RunSettings
    modules: Sequence[tuple[str, str | None]]
    files: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that the user should know and that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The run goes on after so many epochs; value: the best validation so far."""

    done: int
    value: float | None


@dataclass(frozen=True, slots=True)
class BatchDone:
    """done: epochs over all stages, with the part of the present one."""

    done: float
    loss: float
    value: float | None


@dataclass(frozen=True, slots=True)
class EpochDone:
    """number: of the epoch, from 1 over all stages of the recipe, those that ended early counted in full."""

    number: int
    report: EpochReport


@dataclass(frozen=True, slots=True)
class Done:
    """The run is finished and its folder holds the result."""

    from_cache: bool


@dataclass(frozen=True, slots=True)
class Died:
    """The run ended with an error. exit_code: what `seqaug run` would have returned. silently: its process was killed or
    crashed, so that the message is a guess, and the run may come to an end when it is tried again."""

    message: str
    exit_code: int
    silently: bool = False


Told = Remark | Taken | BatchDone | EpochDone | Done | Died


def work(connection: Connection, output: Connection, order: bytes) -> None:
    """Run what `order` (a pickled `Order`) says, and send what happens (`Told`) through `connection`.

    output: takes the place of stdout and stderr, whose terminal or file belongs to the parent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupt)
    if hasattr(signal, "pthread_sigmask"):
        # The parent blocked it, so that Ctrl-C could not strike before the line above.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_die_with_parent, args=(connection,), daemon=True).start()
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    try:
        _run(connection, pickle.loads(order))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _die_with_parent(connection: Connection) -> None:
    """Wait for the end of the other end. Everything that a run writes is written in full or not at all, so this is safe."""
    try:
        connection.recv_bytes()
    except (EOFError, OSError):
        os._exit(_ABANDONED)


def _run(connection: Connection, order: Order) -> None:
    import warnings

    from ..core.isolation import PluginNote
    from ..errors import Interrupted, SeqaugError

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        # What is remarkable about an import was said when the runs were planned, and would be said again by each of them.
        if not issubclass(category, PluginNote | DeprecationWarning | PendingDeprecationWarning):
            connection.send(Remark(str(message)))

    warnings.showwarning = show
    try:
        for name, file in order.modules:
            _import(name, file)
        if order.files:
            from ..core.plugin_files import load_plugin_file

            for path, sha256 in order.files:
                load_plugin_file(path, sha256=sha256)
        from .run import run

        teller = _Teller(connection)
        # Closed whatever happens, so that the folder is unlocked.
        with closing(run(order.settings, wait=LOCK_WAIT)) as events:
            for event in events:
                teller.tell(event)
    except Interrupted:
        sys.exit(130)
    except SeqaugError as error:
        connection.send(Died(str(error), error.exit_code))
    except BrokenPipeError:
        raise
    except (Exception, SystemExit) as error:
        import traceback

        traceback.print_exc()
        connection.send(Died(f"{type(error).__name__}: {error}. This is a defect of seqaug or of a plugin.", 1))


def _import(name: str, file: str | None) -> None:
    """Import a module by its name, or from its file where it has none that leads to it (a script's neighbour, a test)."""
    from importlib import import_module, util

    if name in sys.modules:
        return
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        found = None if file is None else util.spec_from_file_location(name, file)
        if found is None or found.loader is None or not name.startswith(error.name or "\0"):
            raise
        module = util.module_from_spec(found)
        sys.modules[name] = module
        found.loader.exec_module(module)


class _Teller:
    """From the events of a run to what the parent is told."""

    def __init__(self, connection: Connection) -> None:
        self.send = connection.send
        self._monitor = ""
        self._before: dict[str, int] = {}
        self._said: list[str] = []
        self._value: float | None = None
        self._looked = 0.0

    def tell(self, event: Event) -> None:
        from .run import BatchReport, EpochReport, Finished, Note, Planned, Resumed

        match event:
            case Planned():
                plan = event.prepared.plan
                self._monitor = plan.training.monitor
                # What is remarkable about the data the parent knows already, and it would be said for every run.
                self._said = list(event.prepared.loaded.notes)
                total = 0
                for stage in plan.stages:
                    self._before[stage.name] = total
                    total += stage.epochs
            case Note() if event.message not in self._said:
                self.send(Remark(event.message))
            case Resumed():
                last = event.epochs[-1]
                for epoch in event.epochs:
                    if epoch["improved"] and epoch["valid"]:
                        self._value = float(epoch["valid"][self._monitor])
                self.send(Taken(self._before[last["stage"]] + int(last["epoch"]), self._value))
            case BatchReport():
                now = time.monotonic()
                if now - self._looked >= _LOOK:
                    self._looked = now
                    done = self._before[event.stage] + event.epoch + (event.batch + 1) / event.batches
                    self.send(BatchDone(done, float(event.loss), self._value))
            case EpochReport():
                if event.valid is not None:
                    self._value = float(event.valid[self._monitor])
                self.send(EpochDone(self._before[event.stage] + event.epoch + 1, event))
            case Finished():
                self.send(Done(event.from_cache))
            case _:
                pass
