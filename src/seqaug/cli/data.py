"""seqaug data list | show | import | get"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .main import Verbs
from .options import DataName, file_options, reading
from .terminal import Output, bytes_text, common, counted

__all__ = ["data"]


@click.group("data", cls=Verbs)
def data() -> None:
    """Data sets: the known ones and your own."""


@data.command("list")
@common
def _list(output: Output) -> None:
    """Every known or imported data set, and whether it is on this machine."""
    from ..data.catalog import entries

    found = entries()
    if output.document(
        {
            "data": [
                {
                    "name": entry.name,
                    "imported": entry.imported,
                    "about": entry.about,
                    "here": entry.where is not None,
                    "bundled": entry.bundled,
                    "path": None if entry.where is None else str(entry.where),
                    "statistics": None if entry.statistics is None else asdict(entry.statistics),
                    "terms": entry.terms,
                    "address": entry.address,
                }
                for entry in found
            ]
        }
    ):
        return
    rows = []
    for entry in found:
        counts = entry.statistics
        here = "bundled" if entry.bundled else str(entry.where) if entry.where is not None else "not here"
        rows.append(
            [
                entry.name,
                *(counted(None if counts is None else getattr(counts, name)) for name in ("users", "items", "actions")),
                here,
                entry.about,
            ]
        )
    output.table(["data set", "users", "items", "actions", "where", ""], rows, right=[1, 2, 3])


@data.command("show")
@click.argument("name", type=DataName(), metavar="NAME|PATH")
@file_options()
@common
def _show(output: Output, name: str, **options: Any) -> None:
    """Statistics of a data set, beside the expected ones where it is a known one."""
    from ..data.catalog import find, what_differs

    loaded = find(name, **reading(options))
    counts = loaded.sequences.statistics()
    expected = None if loaded.known is None else loaded.known.statistics
    differences = [] if loaded.known is None else what_differs(loaded.sequences, loaded.known)
    _notes(output, loaded)
    if output.document(
        {
            "name": loaded.name,
            "path": str(loaded.path),
            "format": loaded.format,
            "sha256": loaded.sha256,
            "statistics": asdict(counts),
            "expected": None if expected is None else asdict(expected),
            "differences": differences,
            "dropped_users": loaded.dropped_users,
            "notes": list(loaded.notes),
        }
    ):
        return
    click.echo(f"{loaded.name}  {loaded.path}  ({loaded.format})")
    rows = [
        [key.replace("_", " "), _number(value), *([] if expected is None else [_number(getattr(expected, key))])]
        for key, value in asdict(counts).items()
    ]
    output.table(["", "found", *([] if expected is None else ["expected"])], rows, right=[1, 2])
    for line in differences:
        click.echo(line)
    click.echo(f"sha256 of the sequences: {loaded.sha256}")


@data.command("import")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--name", required=True, help="What to call it: seqaug run --data NAME.")
@click.option("--replace", is_flag=True, default=False, help="Take the place of an earlier import of that name.")
@file_options()
@common
def _import(output: Output, file: Path, name: str, replace: bool, **options: Any) -> None:
    """Read FILE once, check it, and keep it under a name."""
    from ..data.catalog import import_file

    loaded = import_file(file, name, replace=replace, **reading(options))
    _notes(output, loaded)
    _arrived(output, loaded)


@data.command("get")
@click.argument("name", type=DataName())
@click.option("--address", default=None, metavar="URL", help="A mirror to fetch from.")
@click.option("--again", is_flag=True, default=False, help="Fetch even if it is here.")
@common
def _get(output: Output, name: str, address: str | None, again: bool) -> None:
    """Download a known data set from its official address, with resume and checksum."""
    from ..data.catalog import fetch
    from .progress import bars_wanted

    if not bars_wanted(output):
        loaded = fetch(name, address=address, again=again)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=None)
            loaded = fetch(
                name,
                lambda done, total: bar.update(task, completed=done, total=total),
                address=address,
                again=again,
            )
    _notes(output, loaded)
    _arrived(output, loaded)


def _notes(output: Output, loaded: Any) -> None:
    for note in loaded.notes:
        output.note(note)
    if loaded.dropped_users:
        output.note(f"{counted(loaded.dropped_users)} users with fewer than 3 items were dropped.")


def _arrived(output: Output, loaded: Any) -> None:
    counts = loaded.sequences.statistics()
    path = str(loaded.path)
    if not output.document({"name": loaded.name, "path": path, "sha256": loaded.sha256, "statistics": asdict(counts)}):
        click.echo(
            f"{loaded.name}: {counted(counts.users)} users, {counted(counts.items)} items, {counted(counts.actions)} actions"
        )
        size = f" ({bytes_text(loaded.path.stat().st_size)})" if loaded.path.is_file() else ""
        output.tell(f"in {path}{size}; try it: seqaug run sasrec --data {loaded.name}")


def _number(value: float) -> str:
    return counted(value) if isinstance(value, int) else f"{value:,.4f}"
