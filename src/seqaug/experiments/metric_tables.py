"""Printed tables of metrics, read strictly: what cannot be understood is refused with its line, never guessed.

Three shapes are read, from CSV and from Markdown:
    long        columns method, dataset, metric, value, in any order (without a dataset column: one data set)
    by method   one row a data set and metric, one column a method, as in the paper's Table 3
    by metric   one row a method, one column a metric: "HR@10", or "Beauty HR@10"
An empty cell of a dataset or method column repeats the one above; an empty value is a value that the table does not have.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import DataError
from ..evaluation.possible import Printed, metric_name, printed

__all__ = ["Block", "Tables", "read_tables"]

_ROLES = {
    "dataset": ("dataset", "datasets", "data", "data set", "data sets", "data_set"),
    "method": ("method", "methods", "model", "models", "recipe", "recipes", "variant", "variants"),
    "metric": ("metric", "metrics", "measure", "measures"),
    "value": ("value", "values", "score", "result", "mean"),
}
_ABSENT = ("", "-", "–", "—", "n/a", "na", "/")
_SHAPES = (
    "A table is read in three shapes: columns method, dataset, metric and value; one row a dataset and metric, one column a "
    "method; one row a method, one column a metric, as in HR@10, NDCG@10, MRR@10."
)


@dataclass(frozen=True, slots=True)
class Block:
    """The values of one method on one data set.

    table: the file, or which of its tables. values: by metric, as `metric_name` spells it. lines: where each stands, from 1.
    """

    table: str
    dataset: str
    method: str
    values: Mapping[str, Printed]
    lines: Mapping[str, int] = field(repr=False)

    @property
    def label(self) -> str:
        """ "SimDiffRec on sports"."""
        return f"{self.method} on {self.dataset}" if self.dataset else self.method


@dataclass(frozen=True, slots=True)
class Tables:
    """blocks: in the order in which they stand. notes: what was passed over, in sentences."""

    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: tuple[str, ...]


def read_tables(text: str, name: str, *, markdown: bool | None = None, percent: bool = False, slack: float = 0.5) -> Tables:
    """Every table of metrics in a text. name: of the file, for messages. markdown: None to see by the text itself.

    percent, slack: as `possible.printed` takes them. Raises DataError with file and line.
    """
    if markdown is None:
        markdown = any(_is_rule(line) for line in text.splitlines())
    reading = _Reading(name, percent, slack)
    if not markdown:
        rows = list(_csv_rows(text, name))
        if not rows:
            raise DataError(f"{name} is empty.")
        reading.table(rows, name, heading="")
    else:
        tables = list(_markdown_tables(text, name))
        if not tables:
            raise DataError(f"{name} has no table: lines between bars with a rule |---| under the header.")
        for number, (rows, heading) in enumerate(tables, start=1):
            if any(metric_name(_last_word(cell)) for row in rows for cell in row.cells):
                reading.table(rows, name if len(tables) == 1 else f"{name}, table {number}", heading)
            else:
                reading.notes.append(
                    f"{name}:{rows[0].line}: this table has no metric that can be checked and was passed over."
                )
    if not reading.blocks:
        raise DataError(f"{name} holds no metric that can be checked: HR, NDCG and MRR at a cut-off. {_SHAPES}")
    return Tables(
        tuple(
            Block(table, dataset, method, values, reading.lines[table, dataset, method])
            for (table, dataset, method), values in reading.blocks.items()
        ),
        tuple(reading.notes),
    )


class _Reading:
    """Collects the blocks of one file."""

    def __init__(self, name: str, percent: bool, slack: float) -> None:
        self.name = name
        self.percent = percent
        self.slack = slack
        self.blocks: dict[tuple[str, str, str], dict[str, Printed]] = {}
        self.lines: dict[tuple[str, str, str], dict[str, int]] = {}
        self.notes: list[str] = []
        self.unchecked: set[str] = set()

    def table(self, rows: Sequence[_Row], label: str, heading: str) -> None:
        header, *body = rows
        roles = self.roles(header)
        for row in body:
            if len(row.cells) != len(header.cells):
                raise self.wrong(row.line, f"this row has {len(row.cells)} cells, the header {len(header.cells)}.")
        if not body:
            raise self.wrong(header.line, "there is a header and no row under it.")
        metrics = {
            place: found
            for place, cell in enumerate(header.cells)
            if place not in roles.values() and (found := _with_prefix(cell)) is not None
        }
        if "value" in roles:
            self.long(body, roles, label, header)
        elif metrics:
            self.by_metric(body, roles, metrics, label, heading, header)
        else:
            self.by_method(body, roles, label, heading, header)

    def roles(self, header: _Row) -> dict[str, int]:
        found: dict[str, int] = {}
        for place, cell in enumerate(header.cells):
            for role, names in _ROLES.items():
                if cell.strip().lower() in names:
                    if role in found:
                        raise self.wrong(
                            header.line, f"two columns could be the {role}: number {found[role] + 1} and {place + 1}."
                        )
                    found[role] = place
        return found

    # ---- the three shapes ----

    def long(self, body: Sequence[_Row], roles: Mapping[str, int], label: str, header: _Row) -> None:
        missing = [role for role in ("method", "metric", "value") if role not in roles]
        if missing:
            there = ", ".join(cell or '""' for cell in header.cells)
            raise self.wrong(header.line, f"there is no {' and no '.join(missing)} column (the columns are {there}). {_SHAPES}")
        for row in body:
            dataset = row.cells[roles["dataset"]] if "dataset" in roles else ""
            self.value(
                row.line, label, dataset, row.cells[roles["method"]], row.cells[roles["metric"]], row.cells[roles["value"]]
            )

    def by_metric(
        self,
        body: Sequence[_Row],
        roles: Mapping[str, int],
        metrics: Mapping[int, tuple[str, str]],
        label: str,
        heading: str,
        header: _Row,
    ) -> None:
        named = roles.get("method")
        if named is None:
            rest = [place for place in range(len(header.cells)) if place not in metrics and place not in roles.values()]
            if not rest or rest[0] > min(metrics):
                raise self.wrong(header.line, f"there is no column with the methods before those of the metrics. {_SHAPES}")
            named = rest[0]
        kept = _above()
        for row in body:
            method = kept("method", row.cells[named])
            dataset = kept("dataset", row.cells[roles["dataset"]]) if "dataset" in roles else heading
            for place, (prefix, metric) in metrics.items():
                self.value(row.line, label, prefix or dataset, method, metric, row.cells[place])

    def by_method(self, body: Sequence[_Row], roles: Mapping[str, int], label: str, heading: str, header: _Row) -> None:
        named = roles.get("metric")
        if named is None:
            full = [
                place
                for place in range(len(header.cells))
                if place not in roles.values() and all(metric_name(row.cells[place]) for row in body)
            ]
            if len(full) != 1:
                raise self.wrong(header.line, f"this is no table of metrics that can be read. {_SHAPES}")
            named = full[0]
        methods = [place for place in range(len(header.cells)) if place != named and place != roles.get("dataset")]
        if "dataset" not in roles and methods and methods[0] < named and not header.cells[methods[0]].strip():
            roles = {**roles, "dataset": methods.pop(0)}
        nameless = [place for place in methods if not header.cells[place].strip()]
        if nameless or not methods:
            raise self.wrong(header.line, f"column {(nameless or [named])[0] + 1} should have a method's name. {_SHAPES}")
        kept = _above()
        for row in body:
            dataset = kept("dataset", row.cells[roles["dataset"]]) if "dataset" in roles else heading
            for place in methods:
                self.value(row.line, label, dataset, header.cells[place], row.cells[named], row.cells[place])

    # ---- one value ----

    def value(self, line: int, table: str, dataset: str, method: str, metric: str, text: str) -> None:
        if not method.strip():
            raise self.wrong(line, "the method has no name.")
        name = metric_name(metric)
        if name is None:
            called = metric.strip() or "a metric without a name"
            if called not in self.unchecked:
                self.unchecked.add(called)
                self.notes.append(f"{self.name}:{line}: {called} is not checked (HR, NDCG and MRR at a cut-off are).")
            return
        plain = _number_of(text)
        if plain.lower() in _ABSENT:
            return
        try:
            value = printed(plain, percent=self.percent, slack=self.slack)
        except ValueError:
            raise self.wrong(line, f"{metric.strip()} of {method.strip()} is {text.strip()!r}, which is no number.") from None
        key = (table, dataset.strip(), method.strip())
        lines = self.lines.setdefault(key, {})
        if name in lines:
            where = dataset.strip() or "the data"
            raise self.wrong(line, f"{metric.strip()} of {method.strip()} on {where} stands in line {lines[name]} already.")
        lines[name] = line
        self.blocks.setdefault(key, {})[name] = value

    def wrong(self, line: int, what: str) -> DataError:
        return DataError(f"{self.name}:{line}: {what}")


def _above() -> Callable[[str, str], str]:
    """What a cell says, or the last cell of its column that said something."""
    last: dict[str, str] = {}

    def kept(column: str, cell: str) -> str:
        last[column] = cell.strip() or last.get(column, "")
        return last[column]

    return kept


def _with_prefix(cell: str) -> tuple[str, str] | None:
    """ "Beauty HR@10" -> ("Beauty", "HR@10"); None where the cell does not end in a metric."""
    if metric_name(cell):
        return "", cell
    before, _, last = cell.strip().rpartition(" ")
    return (before.strip(" :,"), last) if before and "@" in last and metric_name(last) else None


def _last_word(cell: str) -> str:
    found = _with_prefix(cell)
    return found[1] if found else cell


def _number_of(text: str) -> str:
    """The number in a cell, without marks around it, a footnote's sign, a spread after ± or further lines."""
    return re.split(r"±|\+/-|\+-|<br\s*/?>", _plain(text))[0].strip("*_`†‡§ ")


# ---- files ----


def _csv_rows(text: str, name: str) -> Iterator[_Row]:
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) and not cells[0].startswith("#"):
                yield _Row(reader.line_num, tuple(cell.strip() for cell in cells))
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: not CSV: {error}.") from None


def _is_rule(line: str) -> bool:
    return "|" in line and "-" in line and re.fullmatch(r"[\s|:-]+", line) is not None


def _markdown_tables(text: str, name: str) -> Iterator[tuple[list[_Row], str]]:
    """(header and rows, the heading above) of each table."""
    lines = text.splitlines()
    heading, place = "", 0
    while place < len(lines):
        line = lines[place]
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        if "|" in line and place + 1 < len(lines) and _is_rule(lines[place + 1]):
            rows = [_Row(place + 1, _cells(line))]
            place += 2
            while place < len(lines) and "|" in lines[place]:
                rows.append(_Row(place + 1, _cells(lines[place])))
                place += 1
            yield rows, heading
        else:
            place += 1


def _cells(line: str) -> tuple[str, ...]:
    plain = line.strip()
    plain = plain[1:] if plain.startswith("|") else plain
    plain = plain[:-1] if plain.endswith("|") and not plain.endswith(r"\|") else plain
    return tuple(_plain(cell).replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", plain))


def _plain(cell: str) -> str:
    """A cell without the marks of a link, of bold, italics and code around the whole of it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell.strip())
    return re.sub(r"^(\*\*|__|[*_`])(.+)\1$", r"\2", text)
