"""What a matrix of runs looks like while it happens: one live table on a terminal, a line an epoch elsewhere. All on stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from .progress import bars_wanted, epoch_line
from .terminal import Output, seconds_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from ..experiments.matrix import Ended, Epoch, Failed, Matrix, MatrixEvent, PlannedMember, Progress

__all__ = ["MatrixProgress", "Row", "shown", "summary"]

State = Literal["waiting", "starting", "running", "finished", "failed"]

_WIDE = 100
"""Columns of a terminal from which on a row has the loss and the state in words."""
_SOON = 5.0
"""Seconds before anybody dares to say how long the rest will take."""


@dataclass(slots=True)
class Row:
    """One run as it is shown. before: epochs that were done when this command began with it."""

    label: str
    hash: str
    epochs: int
    monitor: str
    state: State = "waiting"
    done: float = 0.0
    before: float | None = None
    loss: float | None = None
    value: float | None = None
    began: float | None = None
    seconds: float | None = None
    touched: float = field(default=0.0)


class MatrixProgress:
    """Shows the runs of one matrix. Used as a context: the table leaves the terminal clean whatever ends it."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.rows: dict[tuple[str, str, int], Row] = {}
        self.began = time.monotonic()
        self._live: Live | None = None

    def add(self, matrix: Matrix) -> None:
        """Runs that are to come, or are finished."""
        self.rows |= {planned.member.place: _row(planned) for planned in matrix.members}
        if self._live is None and matrix.unfinished and bars_wanted(self.output):
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False)
            drawn = partial(self._drawn, console)
            self._live = Live(get_renderable=drawn, console=console, refresh_per_second=4, transient=True)
            self._live.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, event: MatrixEvent) -> None:
        """Something has happened."""
        from ..experiments.matrix import Ended, Epoch, Failed, Note, Progress, Started

        row, now = self.rows[event.member.place], time.monotonic()
        row.touched = now
        match event:
            case Started():
                row.state, row.began = "starting", now
                self.output.detail(f"{row.label}: started on {event.device}")
            case Progress():
                self._move(row, event)
            case Epoch():
                self._epoch(row, event)
            case Note():
                self._tell(f"{row.label}: {event.message}", note=True)
            case Ended():
                self._ended(row, event, now)
            case Failed():
                self._failed(row, event, now)

    # ---- what happens to a row ----

    def _move(self, row: Row, event: Progress) -> None:
        row.state = "running"
        if row.before is None:
            # The first word of a run that goes on is how far it was; that of a new one comes a moment after its start.
            row.before = event.done if event.loss is None else 0.0
        row.done = event.done
        row.loss = row.loss if event.loss is None else event.loss
        row.value = row.value if event.value is None else event.value

    def _epoch(self, row: Row, event: Epoch) -> None:
        if self._live is not None:
            return
        line = epoch_line(event.report, event.monitor, verbose=self.output.verbose)
        self.output.tell(f"{row.label}: {line}")

    def _ended(self, row: Row, event: Ended, now: float) -> None:
        row.state, row.done = "finished", row.epochs
        row.seconds = None if row.began is None else now - row.began
        row.value = event.record.metrics["valid"].get(row.monitor, row.value)
        if event.from_cache:
            row.before = row.epochs
            self.output.detail(f"{row.label}: finished before ({event.record.folder})")
        elif self._live is None:
            how = "" if row.seconds is None else f" in {seconds_text(row.seconds)}"
            value = "" if row.value is None else f", {row.monitor} {row.value:.4f} on validation"
            self.output.tell(f"[{self._over()}/{len(self.rows)}] {row.label}: finished{how}{value}")

    def _failed(self, row: Row, event: Failed, now: float) -> None:
        row.state = "failed"
        row.seconds = None if row.began is None else now - row.began
        self._tell(f"[{self._over()}/{len(self.rows)}] {row.label}: failed: {event.message}")

    def _over(self) -> int:
        return sum(row.state in ("finished", "failed") for row in self.rows.values())

    def _tell(self, message: str, *, note: bool = False) -> None:
        """A line above the table, or one of many."""
        if self._live is not None:
            self._live.console.print(f"note: {message}" if note else message, markup=False)
        elif note:
            self.output.note(message)
        else:
            self.output.tell(message)

    # ---- the table ----

    def _drawn(self, console: Console) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        now = time.monotonic()
        wide = console.width >= _WIDE
        rows = list(self.rows.values())
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=True)
        table.add_column("run", ratio=3, no_wrap=True, overflow="ellipsis")
        if wide:
            table.add_column("state", no_wrap=True)
        table.add_column("", ratio=2, min_width=8)
        table.add_column("epoch", justify="right", no_wrap=True)
        if wide:
            table.add_column("loss", justify="right", no_wrap=True)
        monitors = list(dict.fromkeys(row.monitor for row in rows))
        table.add_column(monitors[0] if len(monitors) == 1 else "validation", justify="right", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        # One line for the header, one for the summary, one that the cursor stands in.
        visible = shown(rows, max(3, console.height - 3))
        for row in visible:
            spent = row.seconds if row.seconds is not None else None if row.began is None else now - row.began
            style = {"finished": "green", "failed": "red", "waiting": "dim"}.get(row.state, "")
            cells: list[RenderableType] = [Text(row.label, style=style)]
            if wide:
                cells.append(Text(row.state, style=style))
            bar = ProgressBar(total=max(row.epochs, 1), completed=row.done if row.epochs else float(row.state == "finished"))
            cells.append(Text("failed", style=style) if row.state == "failed" and not wide else bar)
            cells.append(Text(_epoch_text(row)))
            if wide:
                cells.append(Text("-" if row.loss is None else f"{row.loss:.4f}"))
            cells.append(Text("-" if row.value is None else f"{row.value:.4f}"))
            cells.append(Text("-" if spent is None else seconds_text(spent)))
            table.add_row(*cells)
        words = summary(rows, seconds=now - self.began, hidden=len(rows) - len(visible))
        return Group(table, Text(words, style="bold", no_wrap=True, overflow="ellipsis"))


def _row(planned: PlannedMember) -> Row:
    row = Row(planned.member.label, planned.hash, planned.epochs, planned.monitor)
    if planned.record is not None:
        row.state, row.done, row.before = "finished", row.epochs, row.epochs
    return row


def _epoch_text(row: Row) -> str:
    """ "3/20" while the third epoch runs; what was reached where it is over."""
    if row.state in ("waiting", "starting") and not row.done:
        return f"-/{row.epochs}"
    return f"{min(int(row.done) + (row.state == 'running'), row.epochs)}/{row.epochs}"


def shown(rows: Sequence[Row], room: int) -> list[Row]:
    """As many rows as there is room for, in their order: what runs, what failed, what ended last, what comes next."""
    if len(rows) <= room:
        return list(rows)
    urgency = {"running": 0, "starting": 0, "failed": 1, "finished": 2, "waiting": 3}
    places = range(len(rows))
    waiting = sum(row.state == "waiting" for row in rows)
    # A third of what is left shows what comes next, so that a long matrix is seen to move on.
    first = sorted(places, key=lambda place: (urgency[rows[place].state], -rows[place].touched, place))
    chosen = first[:room]
    coming = [place for place in places if rows[place].state == "waiting"][: min(waiting, room // 3)]
    spare = [place for place in reversed(chosen) if rows[place].state == "finished"]
    for place in coming:
        if place not in chosen and spare:
            chosen[chosen.index(spare.pop(0))] = place
    return [rows[place] for place in sorted(chosen)]


def summary(rows: Sequence[Row], *, seconds: float, hidden: int = 0) -> str:
    """ "7 of 12 finished, 2 running, 3 waiting, 1 failed; at most 3 min 20 s left". seconds: since the command began."""
    states = [row.state for row in rows]
    counts = {
        "running": states.count("running") + states.count("starting"),
        "waiting": states.count("waiting"),
        "failed": states.count("failed"),
    }
    words = [f"{states.count('finished')} of {len(rows)} finished"]
    words += [f"{number} {word}" for word, number in counts.items() if number]
    if hidden:
        words.append(f"{hidden} not shown")
    text = ", ".join(words)
    single = {row.hash: row for row in rows}.values()
    moved = sum(row.done - (row.before or 0.0) for row in single)
    open_ = [row for row in single if row.state not in ("finished", "failed")]
    left = sum(row.epochs - row.done for row in open_)
    # An upper bound: nobody knows when the validations stop improving.
    if open_ and moved > 0 and seconds > _SOON:
        text += f"; at most {seconds_text(seconds / moved * left)} left"
    return text
