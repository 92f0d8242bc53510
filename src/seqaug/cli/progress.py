"""What a run looks like while it happens: a bar on a terminal, a line an epoch elsewhere. All of it on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .terminal import Output, seconds_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..experiments.run import BatchReport, EpochReport

__all__ = ["Training", "bars_wanted", "epoch_line"]

_LOOK = 0.25
"""Seconds between two looks at the loss: reading it waits for the device."""


def bars_wanted(output: Output) -> bool:
    """Bars move, so they need a terminal that can move its cursor; FORCE_COLOR does not make one."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not output.quiet


class Training:
    """Shows the epochs of one run. Used as a context: the bar leaves the terminal clean whatever ends it."""

    def __init__(self, output: Output, monitor: str) -> None:
        self.output = output
        self.monitor = monitor
        self.best: tuple[float, int] | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._looked = 0.0
        self._began = 0.0
        self._begun_at = 0.0
        self._loss = "-"
        self._value = "-"

    def __enter__(self) -> Self:
        if bars_wanted(self.output):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=None),
                TextColumn("loss {task.fields[loss]}"),
                TextColumn(f"{self.monitor} {{task.fields[value]}}"),
                TextColumn("{task.fields[left]}", style="dim"),
                console=Console(stderr=True, highlight=False),
                expand=False,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def batch(self, report: BatchReport) -> None:
        """One batch is done."""
        if self._bar is None:
            return
        now = time.monotonic()
        last = report.batch + 1 == report.batches
        if now - self._looked < _LOOK and not last:
            return
        self._looked = now
        self._loss = f"{float(report.loss):.4f}"
        self._move(report.stage, report.epoch, report.epochs, (report.batch + 1) / report.batches)

    def epoch(self, report: EpochReport, number: int) -> None:
        """One epoch is done; `number` counts from 1 over all stages."""
        if report.valid is not None:
            value = report.valid[self.monitor]
            if report.improved:
                self.best = (value, number)
            best = f" (best {self.best[0]:.4f}, epoch {self.best[1]})" if self.best and not report.improved else ""
            self._value = f"{value:.4f}{best}"
        if self._bar is None:
            self.output.tell(epoch_line(report, self.monitor, verbose=self.output.verbose))
        else:
            self._move(report.stage, report.epoch + 1, report.epochs, 0.0)

    def resumed(self, epochs: tuple[Mapping[str, Any], ...]) -> None:
        """Take over what an earlier start has reached."""
        for number, event in enumerate(epochs, start=1):
            if event["improved"] and event["valid"]:
                self.best = (event["valid"][self.monitor], number)
        if self.best:
            self._value = f"- (best {self.best[0]:.4f}, epoch {self.best[1]})"

    def tell(self, message: str) -> None:
        """A line above the bar."""
        if self._bar is not None:
            self._bar.console.print(message, markup=False)
        else:
            self.output.tell(message)

    def _move(self, stage: str, epoch: int, epochs: int, part: float) -> None:
        assert self._bar is not None
        done, now = epoch + part, time.monotonic()
        if self._task is None or stage != self._stage:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._stage, self._began, self._begun_at = stage, now, done
            self._task = self._bar.add_task(stage, total=epochs, epoch="", loss="-", value="-", left="")
        spent, moved = now - self._began, done - self._begun_at
        # An upper bound: nobody knows when the validation stops improving.
        left = f"at most {seconds_text(spent / moved * (epochs - done))} left" if moved > 0 and spent > 1 else ""
        shown = f"{min(epoch + 1, epochs)}/{epochs}"
        self._bar.update(self._task, completed=done, epoch=shown, loss=self._loss, value=self._value, left=left)


def epoch_line(report: EpochReport, monitor: str, *, verbose: bool) -> str:
    """One epoch in one line: the losses, the validation metric ("*" where it is the best so far), the seconds."""
    epoch, epochs, seconds = report.epoch + 1, report.epochs, report.seconds_train + report.seconds_valid
    words = [f"epoch {epoch:>{len(str(epochs))}}/{epochs}"]
    if report.stage != "main":
        words[0] = f"{report.stage} {words[0]}"
    words += [f"{name} {value:.4f}" for name, value in report.losses.items()]
    words += [f"{name} {value:.3f}" for name, value in report.records.items()]
    if report.valid is not None:
        shown = report.valid if verbose else {monitor: report.valid[monitor]}
        best = {monitor} if report.improved else set()
        words += [f"{name} {value:.4f}{'*' if name in best else ''}" for name, value in shown.items()]
    words.append(f"{seconds:.1f} s")
    if report.stopping and epoch < epochs:
        words.append("stopping: no better validation for a while")
    elif epoch < epochs:
        words.append(f"at most {seconds_text(seconds * (epochs - epoch))} left")
    return "  ".join(words)
