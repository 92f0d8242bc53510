"""Many runs as one thing: which are finished, which go on, which are new; in parallel processes; killed and restarted at will.

A matrix is a list of `Member`s. Each is an ordinary run in an ordinary run folder, so what `seqaug run` has finished counts, and
so does what was kept of finished runs elsewhere (`finished`), found by the run's hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .records import Record
from .settings import RunSettings

__all__ = ["Ended", "Failed", "Matrix", "MatrixEvent", "Member", "PlannedMember", "Progress", "Started", "plan_matrix", "run_matrix"]


@dataclass(frozen=True, slots=True)
class Member:
    """One run of a matrix: the column (`variant`) and the row (`data`, `seed`) it belongs to, and how it is made."""

    variant: str
    data: str
    seed: int
    settings: RunSettings

    @property
    def label(self) -> str:
        """ "w/o k_noise, beauty, seed 0"."""
        return f"{self.variant}, {self.data}, seed {self.seed}"


@dataclass(frozen=True, slots=True, eq=False)
class PlannedMember:
    """A member whose recipe is resolved. folder: its run folder. record: the finished run, wherever it was found, else None."""

    member: Member
    hash: str
    folder: Path
    condition: Literal["finished", "unfinished", "new"]
    record: Record | None
    epochs: int


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """All members, in the order in which they run. Members of one hash are one run."""

    members: tuple[PlannedMember, ...]


@dataclass(frozen=True, slots=True)
class Started:
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


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    member: Member
    record: Record
    from_cache: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended with an error; the others go on. exit_code: what `seqaug run` would have returned."""

    member: Member
    message: str
    exit_code: int


MatrixEvent = Started | Progress | Ended | Failed


def plan_matrix(members: Sequence[Member], *, finished: Sequence[Path] = ()) -> Matrix:
    """Resolve every member and see what is there already. Writes nothing.

    finished: folders that hold finished runs, or what was kept of them, by hash. Raises RecipeError with the problems of all
    members, DataError, PluginError.
    """
    raise NotImplementedError


def run_matrix(
    matrix: Matrix, *, jobs: int = 1, threads: int | None = None, devices: Sequence[str] = (), keep: Path | None = None
) -> Iterator[MatrixEvent]:
    """Run what is not finished, `jobs` at a time, each in a process of its own that dies with this one.

    threads: of each process; the cores divided by the jobs where not given. devices: dealt out to the jobs in turn (one GPU
    each). keep: where `records.KEPT` of each finished run are copied to, under the run folder's name. The last events of a
    member are Ended or Failed. Raises Interrupted in the place of KeyboardInterrupt, all states kept.
    """
    raise NotImplementedError
