"""What every command prints with: results to stdout, everything else to stderr, one document with --json."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Output",
    "bytes_text",
    "colours",
    "common",
    "counted",
    "counted_of",
    "descriptor_of_results",
    "plain_rows",
    "print_json",
    "say",
    "seconds_text",
    "stdout_for_json",
]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Output:
    """How much is said, and in which form. json: one document instead of tables. quiet: nothing but results and errors."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False

    def note(self, message: str) -> None:
        """Worth knowing: to stderr, unless quiet."""
        if not self.quiet:
            say(message, label="note")

    def tell(self, message: str) -> None:
        """What is going on: to stderr, unless quiet."""
        if not self.quiet:
            say(message)

    def detail(self, message: str) -> None:
        """More than most want to know: to stderr, with -v only."""
        if self.verbose and not self.quiet:
            say(message)

    def document(self, value: Any) -> bool:
        """Print the one JSON document if it was asked for, and say whether it was."""
        if self.json:
            print_json(value)
        return self.json

    @property
    def to_terminal(self) -> bool:
        """Whether results are read by a person at a terminal that can draw."""
        return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"

    @property
    def console(self) -> Console:
        """stdout, through rich. Follows NO_COLOR, FORCE_COLOR and TERM=dumb."""
        from rich.console import Console

        # Rows of a result must not be wrapped because a file has no width.
        return Console(
            file=sys.stdout, width=None if self.to_terminal else 160, highlight=False, soft_wrap=not self.to_terminal
        )

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), title: str | None = None
    ) -> None:
        """Rows under a header: drawn on a terminal, plain ASCII columns elsewhere. `right`: columns of numbers."""
        kept = [[str(cell) for cell in row] for row in rows]
        numbers = set(right)
        if not self.to_terminal:
            click.echo("\n".join(([title] if title else []) + plain_rows(header, kept, right=numbers)))
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False
        )
        for place, name in enumerate(header):
            table.add_column(name, justify="right" if place in numbers else "left", overflow="fold")
        for row in kept:
            table.add_row(*(Text(cell) for cell in row))
        self.console.print(table)


def common(command: F) -> F:
    """The flags that every command has. The command gets an `Output` as its first argument."""

    @functools.wraps(command)
    def wrapped(*args: Any, as_json: bool, quiet: bool, verbose: bool, debug: bool, no_plugins: bool, **options: Any) -> Any:
        from ..core import disabled

        with disabled.no_plugins() if no_plugins else nullcontext():
            return command(Output(as_json, quiet, verbose), *args, **options)

    for decorate in (
        click.option(
            "--no-plugins",
            is_flag=True,
            default=False,
            help="As if no plugin were installed but those in the box. [env: SEQAUG_DISABLE_PLUGINS=all]",
        ),
        click.option("--debug", is_flag=True, default=False, help="Show the traceback of an error."),
        click.option("-v", "--verbose", is_flag=True, default=False, help="Say more on stderr."),
        click.option("-q", "--quiet", is_flag=True, default=False, help="Only results and errors."),
        click.option("--json", "as_json", is_flag=True, default=False, help="Print one JSON document on stdout."),
    ):
        wrapped = decorate(wrapped)
    return wrapped  # type: ignore[return-value]


def say(message: str, *, label: str = "") -> None:
    """A line on stderr with a coloured label, where colours are welcome."""
    if label:
        head = f"{label}: "
        if label == "stopped":
            message = message.removeprefix("stopped. ")
        colour = "red" if label == "error" else "yellow"
        message = (click.style(head, fg=colour, bold=True) if colours() else head) + message
    click.echo(message, err=True, color=colours() or None)


def colours() -> bool:
    """Whether stderr takes colours: NO_COLOR refuses them, FORCE_COLOR wants them, else a terminal that is not dumb."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


_json_goes_to: tuple[IO[Any], int] | None = None
"""The stream, and a second name of the descriptor that was stdout's before everything else was led to stderr."""


@contextmanager
def stdout_for_json() -> Iterator[None]:
    """Meanwhile stdout takes nothing but `print_json`: what a plugin, or a process that it starts, prints goes to stderr."""
    from ..core.isolation import stdout_to_stderr

    global _json_goes_to
    try:
        kept = os.dup(1)
    except OSError:  # there is no stdout, so nothing can spoil it
        yield
        return
    before, _json_goes_to = _json_goes_to, (sys.stdout, kept)
    try:
        with stdout_to_stderr():
            yield
    finally:
        _json_goes_to = before
        os.close(kept)


def descriptor_of_results() -> int:
    """Where a process that prints results for us has to print them: stdout, wherever it has been led meanwhile."""
    return 1 if _json_goes_to is None else _json_goes_to[1]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    document = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    if _json_goes_to is None:
        click.echo(document)
        return
    stream, kept = _json_goes_to
    stream.flush()  # what a plugin has left in it is no part of the document
    others = os.dup(1)
    os.dup2(kept, 1)
    try:
        click.echo(document, file=stream)
    except BrokenPipeError:
        # What is still in the stream would be flushed to stderr.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, others)
        os.close(nowhere)
        raise
    finally:
        os.dup2(others, 1)
        os.close(others)


def plain_rows(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> list[str]:
    """Aligned columns, two spaces apart, without any drawing."""
    numbers = set(right)
    widths = [max(len(row[place]) for row in [list(header), *rows]) for place in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        shown = (
            cell.rjust(width) if place in numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(shown).rstrip()

    return [line(header), *(line(row) for row in rows)]


def counted(number: float | None) -> str:
    """12101 -> "12,101"; "-" where nothing is known."""
    return "-" if number is None else f"{number:,}"


def counted_of(number: int, what: str) -> str:
    """1, "run" -> "1 run"; 12101, "item" -> "12,101 items"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def seconds_text(seconds: float) -> str:
    """3.24 -> "3.2 s", 75 -> "1 min 15 s", 8000 -> "2 h 13 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def bytes_text(size: float) -> str:
    """1536 -> "1.5 KiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
