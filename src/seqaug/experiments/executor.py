"""What executes the runs of a matrix: processes of this machine, or of several.

An executor knows nothing of a matrix: it is given tasks, and says what comes of each until it is `Done` or `Died`, after which
the run's folder on this machine holds what there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .worker import Order, Told

__all__ = ["Executor", "Task"]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A run to be executed. hash: of the run. label: what people call it. folder: where it lies on this machine."""

    hash: str
    label: str
    folder: Path
    order: Order


class Executor(Protocol):
    """Where runs are executed, several at a time."""

    @property
    def busy(self) -> bool:
        """Whether any task has been started that has not ended."""

    @property
    def has_room(self) -> bool:
        """Whether another task may be started."""

    def start(self, task: Task) -> str:
        """Begin, or queue, where `has_room`. Returns the device, as `RunSettings.device` takes it."""

    def listen(self) -> Iterable[tuple[Task, Told]]:
        """Wait until there is something to hear, and give all of it. The last of a task is Done or Died."""

    def stop(self) -> Sequence[str]:
        """Let every run keep its state and end. Returns sentences on what could not be kept."""

    def close(self) -> None:
        """Make sure that nothing runs any more."""
