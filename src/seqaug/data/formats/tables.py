"""Tables, one row an action: CSV, TSV, RecBole's `.inter`, the `::` files of MovieLens, and JSON lines.

Blocks of plain lines are cut into columns by numpy (`blocks`), everything else into rows by the csv module, in wide chunks.
Either way they are checked column by column. Where anything is out of the ordinary the file is read once more, slowly, for
the first line that is wrong.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, NoReturn, Protocol

import numpy as np

from ...errors import DataError
from ..actions import Actions, Numbering
from .blocks import FIELD_MARK, Cells, Cut, cells_of, unquoted
from .columns import Columns, FoundColumns, find_columns, named_like
from .names import Names
from .text import TextFile, malformed, shown
from .times import EXPECTED, TimeColumn, TimeKind, exact_time, kind_of

__all__ = [
    "Rows",
    "Table",
    "Wanted",
    "delimiter_of",
    "json_table",
    "movie_table",
    "read_table",
    "separated_table",
    "typed_table",
]

CHUNK = 1 << 16
# Bytes of a block. Wider ones have fewer distinct names to look up in all, and need about ten times their size while they last.
BLOCK = 1 << 24
TYPED = re.compile(r"([^:]+):(token|token_seq|float|float_seq)")
MOVIE_COLUMNS = ("user", "item", "rating", "time")
DECODER = json.JSONDecoder(parse_float=str)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a table is asked for, beside users and items."""

    columns: Columns
    time: bool
    rating: bool
    period: tuple[str, str] | None


class Rows(Protocol):
    """Rows as lists of text; `line_num` is the number of the line that the latest row ended on (as csv has it)."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


@dataclass(frozen=True, slots=True)
class Table:
    """A table not yet read: its file, its columns, and how its lines become rows; `cut` says the same of delimited ones."""

    file: TextFile
    names: Sequence[str]
    found: FoundColumns
    rows: Callable[[Iterable[str]], Rows]
    header: bool
    expected: str
    period: tuple[str, str] | None
    cut: Cut | None = None


def separated_table(file: TextFile, first: str, delimiter: str, wanted: Wanted) -> Table:
    """CSV with quotes as spreadsheets write them; TSV without, because there a quotation mark is an inch.

    first: the header line.
    """

    def rows(lines: Iterable[str]) -> Rows:
        if delimiter == "\t":
            return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
        return csv.reader(lines, delimiter=delimiter, strict=True)

    try:
        names = [name.strip() for name in next(iter(rows([first])))]
    except csv.Error as error:
        found = f"{shown(first)}, which breaks the rules of its format ({error})"
        raise malformed(file.path, file.first_line()[0], found, "a header with the names of the columns, on one line") from None
    cut = Cut(delimiter, quotes=delimiter != "\t")
    return _table(file, names, rows, wanted, f"{len(names)} columns as in the header ({', '.join(names)})", cut)


def typed_table(file: TextFile, first: str, wanted: Wanted) -> Table | None:
    """RecBole's atomic file: tabs, and a header of `name:type`. None where `first` is no such header."""
    matches = [TYPED.fullmatch(cell.strip()) for cell in first.split("\t")]
    names = [match[1] for match in matches if match]
    if len(names) < len(matches):
        return None

    def rows(lines: Iterable[str]) -> Rows:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)

    expected = f"{len(names)} columns as in the header ({', '.join(names)}), between tabs"
    return _table(file, names, rows, wanted, expected, Cut("\t", quotes=False))


def movie_table(file: TextFile, wanted: Wanted) -> Table:
    """MovieLens and MovieTweetings: `user::item::rating::time`, no header."""

    def rows(lines: Iterable[str]) -> Rows:
        marked = (line.replace("::", FIELD_MARK) for line in lines)
        return csv.reader(marked, delimiter=FIELD_MARK, quoting=csv.QUOTE_NONE, strict=True)

    if wanted.columns != Columns():
        raise DataError(f"{file.path} has no header, so its columns cannot be named: they are user::item::rating::time.")
    return _table(file, MOVIE_COLUMNS, rows, wanted, "user::item::rating::time", Cut("::", quotes=False), header=False)


def json_table(file: TextFile, line: int, first: str, wanted: Wanted) -> Table:
    """Amazon's reviews, and any other JSON with one object a line; columns are found among the keys of the first one."""
    record = _record(file, line, first)
    names = list(record)
    at = find_columns(names, wanted.columns, file.path, needs_time=wanted.time, needs_rating=wanted.rating)
    chosen = [names[place] for place in (at.user, at.item, at.time, at.rating) if place is not None]

    class JsonRows:
        def __init__(self, lines: Iterable[str]) -> None:
            self._lines = lines
            self.line_num = 0

        def __iter__(self) -> Iterator[list[str]]:
            for line in self._lines:
                self.line_num += 1
                if not line.isspace():
                    record = _record(file, self.line_num, line)
                    try:
                        cells = [record[name] for name in chosen]
                    except KeyError as missing:
                        found = f"an object without {missing} ({shown(line)})"
                        raise malformed(file.path, self.line_num, found, f"the keys {', '.join(chosen)}") from None
                    for name, cell in zip(chosen, cells, strict=True):
                        if type(cell) is not str and type(cell) is not int:
                            raise malformed(file.path, self.line_num, f"{name} = {json.dumps(cell)[:80]}", "text or a number")
                    yield [str(cell) for cell in cells]

    places = iter(range(len(chosen)))
    moved = FoundColumns(
        next(places),
        next(places),
        None if at.time is None else next(places),
        None if at.rating is None else next(places),
        len(chosen),
    )
    return Table(file, chosen, moved, JsonRows, False, "a JSON object", wanted.period)


def delimiter_of(first: str, columns: Columns) -> str | None:
    """What separates the cells of this header line, or None where it does not look like a table's header."""
    for delimiter in ("\t", ",", ";", "|"):
        names = [name.strip().strip('"') for name in first.split(delimiter)]
        told = columns.user in names or columns.item in names
        if len(names) > 1 and (told or named_like(names, "user") is not None or named_like(names, "item") is not None):
            return delimiter
    # A table that does not say what its columns are is still no `user item item ...` file: tabs and commas show it.
    return next((delimiter for delimiter in ("\t", ",") if delimiter in first), None)


def read_table(table: Table) -> Actions:
    """All rows. Raises DataError with file, line, what was found and what was expected for the first that is malformed."""
    try:
        return _collected(table)
    except (_Unusual, csv.Error):
        _refuse(table)


class _Unusual(Exception):
    """A chunk holds something that is not as it should be."""


def _table(
    file: TextFile,
    names: Sequence[str],
    rows: Callable[[Iterable[str]], Rows],
    wanted: Wanted,
    expected: str,
    cut: Cut,
    header: bool = True,
) -> Table:
    found = find_columns(names, wanted.columns, file.path, needs_time=wanted.time, needs_rating=wanted.rating)
    return Table(file, names, found, rows, header, expected, wanted.period, cut)


def _record(file: TextFile, number: int, line: str) -> dict[str, object]:
    """One line of JSON. Numbers with a point stay text, so that a time keeps all of its digits."""
    try:
        record = DECODER.decode(line)
    except ValueError as error:
        raise malformed(file.path, number, f"{shown(line)} ({error})", "one JSON object a line") from None
    if not isinstance(record, dict):
        raise malformed(file.path, number, shown(line), "one JSON object a line")
    return record


def _collected(table: Table) -> Actions:
    found = table.found
    users, items, times, ratings = Names(), Names(), TimeColumn(), []
    rows = 0
    with table.file.content() as stream:
        for part in _parts(table, stream):
            try:
                if isinstance(part, Cells):
                    rows += part.num_rows
                    users.add_column(part.column(found.user))
                    items.add_column(part.column(found.item))
                    if found.rating is not None:
                        distinct, number = part.column(found.rating).distinct()
                        ratings.append(np.array([float(text) for text in distinct])[number])
                    if found.time is not None:
                        times.add_column(part.column(found.time))
                    continue
                widths = set(map(len, part))
                if 0 in widths:  # blank lines
                    part = [row for row in part if row]
                if widths - {0, found.width}:
                    raise _Unusual
                rows += len(part)
                users.add([row[found.user] for row in part])
                items.add([row[found.item] for row in part])
                if found.rating is not None:
                    ratings.append(np.array([float(row[found.rating]) for row in part]))
                if found.time is not None:
                    times.add([row[found.time] for row in part])
            except ValueError:
                raise _Unusual from None
    if not rows:
        raise DataError(f"{table.file.path} has a header and no rows.")
    period = None
    keys = None
    try:
        user_numbers, user_names = users.all()
        item_numbers, item_names = items.all()
        if found.time is not None:
            if table.period:
                times.add(list(table.period))
            keys = times.keys()
            if table.period:
                keys, period = keys[:-2], (int(keys[-2]), int(keys[-1]))
    except ValueError:
        raise _Unusual from None
    if ratings and not np.isfinite(np.concatenate(ratings)).all():
        raise _Unusual
    return Actions(
        user_numbers,
        item_numbers,
        user_names,
        item_names,
        keys,
        np.concatenate(ratings) if ratings else None,
        period,
    )


def _parts(table: Table, stream: BinaryIO) -> Iterator[Cells | list[list[str]]]:
    """The body of the table, in order: blocks of plain lines as cells, whatever else as chunks of the csv module's rows."""
    cut = table.cut
    at, block = 0, b"" if cut is None else stream.read(BLOCK)
    start = _behind_header(table, block) if cut is not None else None
    if cut is None or start is None:
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield from _chunks(_body(table, table.rows(text)))
        return
    at, block = start, block[start:]
    while True:
        more = stream.read(BLOCK)
        whole = block.rfind(b"\n") + 1 if more else len(block)
        lines, rest = (block, b"") if whole == len(block) else (block[:whole], block[whole:])
        plain = unquoted(lines, cut) if cut.quotes and b'"' in lines else lines
        if (more and not whole) or plain is None:
            # A cell in quotes may run on behind the block, so from here on the csv module has it.
            stream.seek(at)
            with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
                yield from _chunks(iter(table.rows(text)))
            return
        cells = cells_of(plain, cut, table.found.width)
        if cells is not None:
            yield cells
        elif lines:
            with io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8", newline="") as text:
                yield from _chunks(iter(table.rows(text)))
        if not more:
            return
        at, block = at + len(lines), rest + more


def _chunks(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _behind_header(table: Table, block: bytes) -> int | None:
    """Where in the first block the rows begin; None where the csv module is needed to tell."""
    at = len(codecs.BOM_UTF8) if block.startswith(codecs.BOM_UTF8) else 0
    while table.header:
        end = block.find(b"\n", at)
        line = block[at:end]
        if end < 0 or b"\r" in line.removesuffix(b"\r"):
            return None
        at = end + 1
        if line.decode("utf-8", "replace").strip():
            break
    return at


def _body(table: Table, rows: Rows) -> Iterator[list[str]]:
    """The rows behind the header."""
    body = iter(rows)
    if table.header:
        while not any(cell.strip() for cell in next(body)):
            pass
    return body


def _refuse(table: Table) -> NoReturn:
    """Row by row, for the first that is wrong."""
    path, found = table.file.path, table.found
    time_kind: TimeKind | None = None
    with table.file.lines() as lines:
        rows = table.rows(lines)
        body = _body(table, rows)
        try:
            for row in body:
                if not row:
                    continue
                if len(row) != found.width:
                    text = FIELD_MARK.join(row).replace(FIELD_MARK, " | ")
                    raise malformed(path, rows.line_num, f"{len(row)} columns ({shown(text)})", table.expected)
                for place, what in ((found.user, "user"), (found.item, "item")):
                    problem = Numbering.problem_with(row[place].strip())
                    if problem:
                        expected = f"the name of {'a user' if what == 'user' else 'an item'}"
                        raise malformed(path, rows.line_num, f"{problem} in the column {table.names[place]}", expected)
                if found.time is not None:
                    text = row[found.time]
                    time_kind = time_kind or kind_of(text)
                    if time_kind is None or exact_time(text, time_kind) is None:
                        expected = EXPECTED[time_kind] if time_kind else "a time: a number or an ISO date"
                        found_text = f"{shown(text)} in the column {table.names[found.time]}"
                        raise malformed(path, rows.line_num, found_text, expected)
                if found.rating is not None and not _is_number(row[found.rating]):
                    found_text = f"{shown(row[found.rating])} in the column {table.names[found.rating]}"
                    raise malformed(path, rows.line_num, found_text, "a rating: a number")
        except csv.Error as error:
            found_text = f"a line that breaks the rules of its format ({error})"
            raise malformed(path, rows.line_num, found_text, table.expected) from None
    for text in table.period or ():
        if time_kind and exact_time(text, time_kind) is None:
            raise DataError(
                f"{path}: the period's {text!r} is not written as the file's times; expected {EXPECTED[time_kind]}."
            )
    raise AssertionError(f"{path} was refused in whole but has no line that is wrong")


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
