"""The executor that is always there: each run in a process of its own on this machine, which dies with the parent."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from .executor import Task
from .worker import Died, Done, Remark, Told, work

__all__ = ["GRACE", "LocalProcesses", "cores"]

GRACE = 10.0
"""Seconds that a run has to end by itself when it is told to."""
_TAIL = 6
"""How many of the last lines that a process printed are shown when it ends without a word."""


def cores() -> int:
    """How many processors this process may use: fewer than the machine has where a container or an affinity says so."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        here = min(here, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return here


class LocalProcesses:
    """At most `jobs` processes at a time. threads: of each; the cores divided by the jobs where not given.

    devices: dealt out to the jobs in turn (one GPU each). An `Executor`.
    """

    def __init__(self, jobs: int, threads: int | None = None, devices: Sequence[str] = ()) -> None:
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

    def start(self, task: Task) -> str:
        slot = min(set(range(self.jobs)) - {child.slot for child in self.children})
        settings = task.order.settings
        device = self.devices[slot % len(self.devices)] if self.devices else settings.device
        threads = self.threads or settings.threads or max(1, cores() // self.jobs)
        self.children.append(_Child(task, slot, threads, device))
        return device

    def listen(self, patience: float | None = None) -> Iterator[tuple[Task, Told]]:
        """Wait until a process says something, and give all that there is to hear. patience: at most so many seconds."""
        speaking: list[Any] = [child.connection for child in self.children]
        printing: list[Any] = [child.output for child in self.children]
        ready = wait([*speaking, *printing], patience)
        for child in list(self.children):
            if child.connection in ready or child.output in ready:
                for told in child.told():
                    yield child.task, told
                if child.over:
                    self.children.remove(child)
                    child.close()

    def stop(self) -> list[str]:
        """Let every run keep its state and end. Another Ctrl-C does not wait for that."""
        for child in self.children:
            child.process.terminate()
        until = time.monotonic() + GRACE
        try:
            for child in self.children:
                child.process.join(max(0.0, until - time.monotonic()))
        except KeyboardInterrupt:
            pass
        return []

    def close(self) -> None:
        for child in self.children:
            child.close()
        self.children = []


class _Child:
    """A process with a run in it, and the two pipes that lead to it."""

    def __init__(self, task: Task, slot: int, threads: int, device: str) -> None:
        self.task = task
        self.slot = slot
        self.over = False
        self._line = b""
        self._lines: deque[str] = deque(maxlen=_TAIL)
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.output, their_output = context.Pipe(duplex=False)
        os.set_blocking(self.output.fileno(), False)
        settings = replace(task.order.settings, threads=threads, device=device)
        order = pickle.dumps(replace(task.order, settings=settings))
        self.process: SpawnProcess = context.Process(
            target=work, args=(theirs, their_output, order), name=task.label, daemon=True
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
                    self.process.join(GRACE)
                    yield from self._printed(to_the_end=True)
                yield found
        except (EOFError, OSError):
            self.over = True
            self.process.join(GRACE)
            yield from self._printed(to_the_end=True)
            yield Died(self._last_words(), 1, silently=True)

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
