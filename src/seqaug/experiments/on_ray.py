"""An executor on a Ray cluster: every run on whichever machine has room for it, and on another where that one is lost.

Each run has a `Seat` (an actor of Ray) on its machine. The run's folder on this machine is locked for as long as the run lasts,
as a run at home would have it, and holds what the seat has handed back: a state now and then, everything at the end.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from ..errors import RecipeError, SeqaugError
from .executor import Task
from .folder import locked, read_json
from .local_processes import GRACE, cores
from .parcel import Stocks, packed, received
from .seat import Heard, Seat
from .worker import Died, Done, Remark, Told

__all__ = ["MOST_REPEATS", "RayCluster", "Room", "connect", "disconnect", "room"]

MOST_REPEATS = 2
"""How often a run is tried again whose worker was lost."""
_LOCK_WAIT = 5.0
"""Seconds that a folder may stay locked by a process that is about to end."""
_ANSWER = 10.0
"""Seconds in which the head of a cluster has to answer."""
_FAREWELL = 3.0
"""Seconds that a seat has to tidy up."""

_connected_here = False
"""Whether the connection to Ray that there is was made by `connect`."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a cluster has: CPUs of each machine, most first, and GPUs of all."""

    cpus: tuple[int, ...]
    gpus: int

    def jobs(self, *, threads: int | None, gpu: bool) -> int:
        """How many runs at a time where nobody said: one on each GPU; else one for so many `threads` of CPUs."""
        return max(1, self.gpus if gpu else sum(cpus // (threads or 1) for cpus in self.cpus))

    def threads(self, jobs: int) -> int:
        """The most threads of each with which so many jobs find a place at once; 1 where they never do."""
        fitting = (many for many in range(max(self.cpus, default=1), 1, -1) if sum(cpus // many for cpus in self.cpus) >= jobs)
        return next(fitting, 1)


def connect(address: str) -> Any:
    """The module ray, connected to the cluster at `address`; "" for that of $RAY_ADDRESS, or one that is started here.

    A connection that is there already is used. Raises RecipeError where Ray is not
    installed, or there is no such cluster.
    """
    # Nobody who starts a run here has been asked whether Ray may report it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise RecipeError(
            "--executor ray needs the package ray, which is not installed: pip install 'seqaug[ray]'. "
            "--executor local, which is the default, runs on this machine."
        ) from None
    if ray.is_initialized():
        return ray
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "include_dashboard": False}
    global _connected_here
    address = address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        # Not the one that Ray remembers having started here last: if that is gone, it would look for it for minutes.
        ray.init(address="local", num_cpus=cores(), **quiet)
        _connected_here = True
        return ray
    try:
        _answers(address)
        ray.init(address=address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RecipeError(
            f"--executor ray:{address}: no Ray cluster could be had there: {reason}\n"
            "  On the first machine: ray start --head. On the others: ray start --address=HOST:PORT, as the first one says.\n"
            "  Where the cluster asks for a token: RAY_AUTH_MODE=token, and the same ~/.ray/auth_token on all machines."
        ) from error
    _connected_here = True
    return ray


def disconnect() -> None:
    """End a connection that `connect` has made: Ray goes on printing to stdout as long as there is one."""
    global _connected_here
    if _connected_here:
        import ray  # type: ignore[import-not-found,unused-ignore]

        _connected_here = False
        ray.shutdown()


def _answers(address: str) -> None:
    """Raises OSError where nobody listens at HOST:PORT, which Ray takes minutes to find out."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), _ANSWER).close()


def room(address: str) -> Room:
    """What the cluster at `address` has. Raises as `connect` does."""
    machines = [node["Resources"] for node in connect(address).nodes() if node["Alive"]]
    return Room(
        tuple(sorted((int(one.get("CPU", 0)) for one in machines), reverse=True)),
        sum(int(one.get("GPU", 0)) for one in machines),
    )


class _Stdout:
    """stdout, which belongs to results, without what the threads of Ray print of a lost machine: that goes to stderr."""

    def __init__(self, own: TextIO) -> None:
        self._own = own

    def write(self, text: str) -> int:
        of_ray = threading.current_thread().name.startswith("ray_")
        return (sys.stderr if of_ray else self._own).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


class _SeatOnRay(Seat):
    """A seat that can say where it is."""

    def node(self) -> str:
        import ray  # type: ignore[import-not-found,unused-ignore]

        return str(ray.get_runtime_context().get_node_id())


@dataclass(slots=True, eq=False)
class _Place:
    """A seat, and what is awaited of it.

    node: a reference to the name that Ray gives its machine. task: its run, None while it is free. begun: whether it is there.
    """

    seat: Any
    node: Any
    task: Task | None = None
    awaited: Any = None
    begun: bool = False


@dataclass(slots=True, eq=False)
class _Run:
    """What is known of a task here. lock: of its folder. lost: how often its worker was. kept: whether anything came back."""

    task: Task
    lock: ExitStack = field(default_factory=ExitStack)
    lost: int = 0
    kept: bool = False

    @property
    def has_state(self) -> bool:
        """Whether there is a state here that the run may go on from."""
        return (self.kept or not self.task.order.settings.fresh) and (self.task.folder / "state.pt").exists()


class RayCluster:
    """At most `jobs` runs at a time on the cluster at `address`. An `Executor`.

    threads: CPUs that each reserves, `Room.threads` where not given. devices: one of "auto" (GPUs where the cluster has any),
    "cpu", "cuda". Raises RecipeError where that cannot be had there.
    """

    def __init__(self, address: str, jobs: int, threads: int | None = None, devices: Sequence[str] = ()) -> None:
        asked = devices[0] if len(devices) == 1 else ",".join(devices) or "auto"
        if asked not in ("auto", "cpu", "cuda"):
            raise RecipeError(
                f"--device {asked}: a cluster gives each run a GPU that is free. With --executor ray it is auto, cpu or cuda."
            )
        self._ray = connect(address)
        there = room(address)
        if asked == "cuda" and not there.gpus:
            raise RecipeError("--device cuda asks for a GPU, and no machine of the cluster has one.")
        self.device = "cuda" if asked != "cpu" and there.gpus else "cpu"
        self.jobs = jobs
        self.threads = threads or there.threads(jobs)
        most = max(there.cpus, default=0)
        if self.threads > most:
            raise RecipeError(f"--threads {self.threads}: no machine of the cluster has so many CPUs; the largest has {most}.")
        self._stdout = ExitStack()
        self._stdout.enter_context(redirect_stdout(_Stdout(sys.stdout)))
        self._places: list[_Place] = []
        self._runs: dict[str, _Run] = {}
        self._said: deque[tuple[Task, Told]] = deque()
        self._stocks = Stocks()
        self._sent: dict[str, Any] = {}

    @property
    def busy(self) -> bool:
        return bool(self._said) or any(place.task is not None for place in self._places)

    @property
    def has_room(self) -> bool:
        return sum(place.task is not None for place in self._places) < self.jobs

    def start(self, task: Task) -> str:
        run = _Run(task)
        try:
            run.lock.enter_context(locked(task.folder, _LOCK_WAIT))
        except SeqaugError as error:
            self._said.append((task, Died(str(error), error.exit_code)))
            return self.device
        self._runs[task.hash] = run
        result = task.folder / "metrics.json"
        if not task.order.settings.fresh and result.exists() and read_json(result).get("hash") == task.hash:
            self._end(run, Done(from_cache=True))  # another command has finished it since this one planned
        else:
            self._send(run, away_from=None)
        return self.device

    def listen(self) -> Iterator[tuple[Task, Told]]:
        if not self._said:
            self._wait()
        while self._said:
            yield self._said.popleft()

    def _wait(self) -> None:
        self._dismiss([place for place in self._places if place.task is None])
        awaited = {place.awaited: place for place in self._places}
        ready, _ = self._ray.wait(list(awaited), num_returns=1)
        # All that are ready, so that one that talks much keeps none of the others waiting.
        more, _ = self._ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        for one in {*ready, *more}:
            self._hear(awaited[one])

    def stop(self) -> list[str]:
        places = [place for place in self._places if place.task is not None]
        asked = {place.seat.stop.remote(): place for place in places if place.begun}
        lost = []
        until = time.monotonic() + 2 * GRACE
        try:
            while asked and time.monotonic() < until:
                ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=max(0.0, until - time.monotonic()))
                for one in ready:
                    place = asked.pop(one)
                    assert place.task is not None
                    try:
                        self._take(self._runs[place.task.hash], self._ray.get(one))
                    except (self._ray.exceptions.RayError, OSError) as error:
                        lost.append(self._missing(place.task, _reason(error)))
        except KeyboardInterrupt:
            pass
        lost.extend(self._missing(place.task, "it did not answer") for place in asked.values() if place.task is not None)
        return lost

    def close(self) -> None:
        with self._stdout:
            self._dismiss(list(self._places))
            disconnect()
        for run in self._runs.values():
            run.lock.close()
        self._runs.clear()

    # ---- there and back ----

    def _send(self, run: _Run, away_from: str | None) -> None:
        """To a free seat, or to a new one; away_from: a node of Ray that is to be avoided where there is another."""
        task = run.task
        if run.kept and task.order.settings.fresh:
            settings = replace(task.order.settings, fresh=False)
            task = Task(task.hash, task.label, task.folder, replace(task.order, settings=settings))
        try:
            parcel = packed(task, self._stocks)
            contents = [self._on_the_way(digest) for digest in parcel.goods.values()]
        except (OSError, SeqaugError) as error:
            self._end(run, Died(_reason(error), getattr(error, "exit_code", 1)))
            return
        place = next((one for one in self._places if one.task is None), None)
        if place is None:
            seat = self._new_seat(away_from)
            place = _Place(seat, seat.node.remote())
            self._places.append(place)
        place.task, place.begun = run.task, False
        place.awaited = place.seat.start.remote(parcel, self.device, *contents)

    def _on_the_way(self, digest: str) -> Any:
        if digest not in self._sent:
            self._sent[digest] = self._ray.put(self._stocks.contents.pop(digest))
        return self._sent[digest]

    def _new_seat(self, away_from: str | None) -> Any:
        resources: dict[str, Any] = {"num_cpus": self.threads, "num_gpus": 1 if self.device == "cuda" else 0}
        others = [node["NodeID"] for node in self._ray.nodes() if self._fits(node) and node["NodeID"] != away_from]
        if away_from is not None and others:
            from ray.util import scheduling_strategies  # type: ignore[import-not-found,unused-ignore]

            resources["scheduling_strategy"] = scheduling_strategies.NodeAffinitySchedulingStrategy(others[0], soft=True)
        return self._ray.remote(_SeatOnRay).options(max_restarts=0, **resources).remote(self.threads)

    def _fits(self, node: dict[str, Any]) -> bool:
        cpus, gpus = (node["Resources"].get(name, 0) for name in ("CPU", "GPU"))
        return bool(node["Alive"] and cpus >= self.threads and (self.device == "cpu" or gpus >= 1))

    def _hear(self, place: _Place) -> None:
        assert place.task is not None
        run = self._runs[place.task.hash]
        errors = self._ray.exceptions
        try:
            heard = self._ray.get(place.awaited)
            self._take(run, heard)
        except errors.RayTaskError as error:
            self._free(place)
            self._end(run, Died(f"its seat on the cluster failed: {_reason(error)}", 1))
            return
        except errors.ActorUnavailableError:
            self._lost(place, run, "it cannot be reached any more")
            return
        except errors.RayError as error:
            self._lost(place, run, _reason(error))
            return
        except OSError as error:
            self._free(place)
            self._dismiss([place])
            self._end(run, Died(f"what came back cannot be written: {error}.", 1))
            return
        place.begun = True
        for said in heard.told:
            if isinstance(said, Died) and said.silently:
                self._lost(place, run, said.message)
            elif isinstance(said, Done | Died):
                self._free(place)
                self._end(run, said)
            else:
                self._said.append((run.task, said))
        if place.task is not None:
            place.awaited = place.seat.hear.remote()

    def _take(self, run: _Run, heard: Heard) -> None:
        """Write what came back. Raises OSError."""
        if heard.files is not None and "resolved.json" in heard.files:
            received(run.task.folder, heard.files, fresh=run.task.order.settings.fresh and not run.kept)
            run.kept = True

    def _lost(self, place: _Place, run: _Run, reason: str) -> None:
        """The run is tried again, elsewhere where there is such a place, from what came back last."""
        node = self._node_of(place)
        self._free(place)
        self._dismiss([place])
        run.lost += 1
        if run.lost > MOST_REPEATS:
            self._end(run, Died(f"its worker was lost {run.lost} times, the last time because {reason}", 1))
            return
        from_ = "from the last state that is here" if run.has_state else "from its beginning"
        again = f"it is repeated {from_} ({run.lost} of at most {MOST_REPEATS} times)"
        self._said.append((run.task, Remark(f"{run.task.label}: its worker was lost ({reason}); {again}.")))
        self._send(run, away_from=node)

    def _node_of(self, place: _Place) -> str | None:
        """Where a seat is or was, None where it never was anywhere."""
        try:
            return str(self._ray.get(place.node, timeout=0))
        except self._ray.exceptions.RayError:
            return None

    def _free(self, place: _Place) -> None:
        place.task, place.awaited, place.begun = None, None, False

    def _end(self, run: _Run, said: Done | Died) -> None:
        self._runs.pop(run.task.hash).lock.close()
        self._said.append((run.task, said))

    def _missing(self, task: Task, reason: str) -> str:
        there = self._runs[task.hash].has_state
        return f"{task.label} {'goes on from an earlier state' if there else 'starts over'}: {reason.rstrip('.')}."

    def _dismiss(self, places: list[_Place]) -> None:
        """Let seats tidy up and end."""
        if not places:
            return
        self._places = [place for place in self._places if place not in places]
        left = [place.seat.leave.remote() for place in places]
        self._ray.wait(left, num_returns=len(left), timeout=_FAREWELL)
        for place in places:
            self._ray.kill(place.seat)


def _reason(error: BaseException) -> str:
    """An error of Ray in a line: its last one, which says what happened there."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
