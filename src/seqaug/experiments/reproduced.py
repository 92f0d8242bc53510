"""What a reproduction found: our numbers beside the paper's, where each value of the configuration comes from, the figures."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..evaluation.comparison import Comparison, Difference
from ..evaluation.fidelity import Deviation
from ..evaluation.possible import Printed
from ..recipes.provenance import SOURCES, Source
from ..report.tables import as_json
from .embeddings import Closeness
from .matrix import Failed

__all__ = ["Cell", "Reproduced", "Run", "Value"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A metric of one column on one data set, over the test users, seen items kept.

    values: one a seed. spread: their standard deviation (n - 1), None for one seed. low, high: the 95 % interval of the mean,
    `how` says of what kind. valid: the mean on validation, which chose the weights. paper: the printed number, None where there
    is none. impossible: why the paper's block cannot be right; it is then no target and there is no deviation.
    """

    data: str
    column: str
    metric: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    spread: float | None
    low: float | None
    high: float | None
    how: str
    valid: float | None
    paper: Printed | None
    impossible: tuple[str, ...]
    deviation: Deviation | None

    def document(self) -> dict[str, Any]:
        """Fit for JSON."""
        told: dict[str, Any] = {
            "data": self.data,
            "column": self.column,
            "metric": self.metric,
            "seeds": list(self.seeds),
            "values": list(self.values),
            "mean": self.mean,
            "spread": self.spread,
            "low": self.low,
            "high": self.high,
            "how": self.how,
            "valid": self.valid,
            "paper": None if self.paper is None else self.paper.value,
            "paper_impossible": list(self.impossible),
        }
        off = self.deviation
        told["deviation"] = None if off is None else {**asdict(off), "errors": off.errors}
        return told


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a configuration. source: "paper", "released code", "assumed" or "user"; detail: in whose words."""

    path: str
    value: Any
    source: Source
    detail: str


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run behind the numbers."""

    column: str
    data: str
    seed: int
    hash: str
    folder: str
    epochs: int
    best_epoch: int


@dataclass(frozen=True, slots=True, eq=False)
class Reproduced:
    """The end of a reproduction.

    budget: what was cut, in a sentence. complete: whether nothing was. columns, data: in the order of the paper. methods:
    column -> what the paper calls it. curves: column -> (curve, place) for a figure's points. values: (column, data) -> the
    configuration. comparison: of the columns with each other, where the paper compares them. printed: (data, metric, column) ->
    the paper's difference to the reference, where both of its blocks are targets. figures: file name -> SVG. says: what the
    paper says. notes: what a reader has to know.
    """

    name: str
    title: str
    folder: Path
    budget: str
    complete: bool
    columns: tuple[str, ...]
    methods: Mapping[str, str | None]
    curves: Mapping[str, tuple[str, float]]
    data: tuple[str, ...]
    metrics: tuple[str, ...]
    cells: tuple[Cell, ...]
    values: Mapping[tuple[str, str], tuple[Value, ...]]
    comparison: Comparison | None
    printed: Mapping[tuple[str, str, str], float]
    closeness: Mapping[str, Closeness]
    figures: Mapping[str, str]
    says: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    failed: tuple[Failed, ...] = field(default=())

    # ---- as data ----

    def document(self) -> dict[str, Any]:
        """The whole of it, fit for JSON."""
        return {
            "schema": 1,
            "artefact": self.name,
            "title": self.title,
            "folder": str(self.folder),
            "budget": self.budget,
            "complete": self.complete,
            "columns": list(self.columns),
            "methods": dict(self.methods),
            "data": list(self.data),
            "metrics": list(self.metrics),
            "cells": [{**cell.document(), **self._place(cell.column)} for cell in self.cells],
            "comparison": None if self.comparison is None else as_json(self.comparison),
            "paper_differences": [
                {"data": data, "metric": metric, "column": column, "difference": value}
                for (data, metric, column), value in self.printed.items()
            ],
            "closeness": {data: one.document() for data, one in self.closeness.items()},
            "configuration": [
                {
                    "column": column,
                    "data": data,
                    "sources": self.counts(column, data),
                    "values": [asdict(one) for one in values],
                }
                for (column, data), values in self.values.items()
            ],
            "figures": list(self.figures),
            "paper_says": list(self.says),
            "notes": list(self.notes),
            "runs": [asdict(run) for run in self.runs],
            "failed": [
                {"column": one.member.variant, "data": one.member.data, "seed": one.member.seed, "message": one.message}
                for one in self.failed
            ],
        }

    def _place(self, column: str) -> dict[str, Any]:
        if column not in self.curves:
            return {}
        curve, x = self.curves[column]
        return {"curve": curve, "x": x}

    def counts(self, column: str, data: str) -> dict[str, int]:
        """How many values of a configuration come from each source."""
        found = Counter(one.source for one in self.values[column, data])
        return {source: found[source] for source in SOURCES}

    def csv(self) -> str:
        """One row a cell, numbers in full; empty where there is nothing."""
        file = io.StringIO()
        columns = ("data", "column", "metric", "seeds", "mean", "spread", "low", "high", "valid", "paper")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "impossible", "difference", "standard_error", "paper_error", "errors"])
        for cell in self.cells:
            told, off = cell.document(), cell.deviation
            told["seeds"] = " ".join(map(str, cell.seeds))
            deviation = ["", "", "", ""] if off is None else [off.difference, off.ours, off.theirs, off.errors]
            writer.writerow([*(told[name] for name in columns), str(bool(cell.impossible)).lower(), *deviation])
        return file.getvalue()

    def values_csv(self) -> str:
        """Every value of every configuration with its source, one a row."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["column", "data", "path", "value", "source", "detail"])
        for (column, data), values in self.values.items():
            for one in values:
                writer.writerow([column, data, one.path, json.dumps(one.value, ensure_ascii=False), one.source, one.detail])
        return file.getvalue()

    # ---- as tables: header and rows of plain text ----

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Our numbers beside the paper's; for a figure its points."""
        return self._points() if self.curves else self._beside()

    def _beside(self) -> tuple[list[str], list[list[str]]]:
        header = ["data", "method", "metric", "seeds", "ours", "spread", "95 % interval", "paper", "ours - paper", "errors"]
        rows = []
        for cell in self.cells:
            rows.append(
                [
                    cell.data,
                    cell.column,
                    cell.metric.upper(),
                    str(len(cell.seeds)),
                    f"{cell.mean:.4f}",
                    "-" if cell.spread is None else f"{cell.spread:.4f}",
                    _interval(cell.low, cell.high),
                    _printed(cell),
                    "-" if cell.deviation is None else f"{cell.deviation.difference:+.4f}",
                    _errors(cell.deviation),
                ]
            )
        return header, rows

    def _points(self) -> tuple[list[str], list[list[str]]]:
        header = [
            "data",
            "curve",
            "value",
            "seeds",
            f"test {self.metrics[0].upper()}",
            "spread",
            "95 % interval",
            "validation",
            "",
        ]
        rows = []
        for cell in self.cells:
            curve, x = self.curves[cell.column]
            rows.append(
                [
                    cell.data,
                    curve,
                    f"{x:g}",
                    str(len(cell.seeds)),
                    f"{cell.mean:.4f}",
                    "-" if cell.spread is None else f"{cell.spread:.4f}",
                    _interval(cell.low, cell.high),
                    "-" if cell.valid is None else f"{cell.valid:.4f}",
                    ", ".join(self.best(cell)),
                ]
            )
        return header, rows

    def best(self, cell: Cell) -> list[str]:
        """ "best on validation", "best on test", where this point of a curve is."""
        curve = self.curves[cell.column][0]
        others = [one for one in self.cells if one.data == cell.data and self.curves[one.column][0] == curve]
        found = []
        if cell.valid is not None and cell is max(others, key=lambda one: -1.0 if one.valid is None else one.valid):
            found.append("best on validation")
        if cell is max(others, key=lambda one: one.mean):
            found.append("best on test")
        return found

    def differences(self) -> tuple[list[str], list[list[str]]] | None:
        """Our differences to the reference with their verdicts beside the paper's; None where nothing is compared."""
        if self.comparison is None:
            return None
        rows = []
        for data in self.comparison.data:
            for metric in self.comparison.metrics:
                for column in self.comparison.methods:
                    cell = self.comparison.cells.get((data, metric, column))
                    if cell is None or cell.difference is None:
                        continue
                    theirs = self.printed.get((data, metric, column))
                    rows.append(
                        [
                            data,
                            metric.upper(),
                            column,
                            f"{cell.difference.mean:+.4f}",
                            _interval(cell.difference.low, cell.difference.high, signed=True),
                            _verdict(cell.difference),
                            "-" if theirs is None else f"{theirs:+.4f}",
                        ]
                    )
        header = [
            "data",
            "metric",
            "method",
            f"minus {self.comparison.reference}",
            "95 % interval",
            "verdict",
            "paper's difference",
        ]
        return (header, rows) if rows else None

    def near(self) -> tuple[list[str], list[list[str]]] | None:
        """Cosines between the items of one sequence, for figure 5."""
        if not self.closeness:
            return None
        rows = []
        for data, one in self.closeness.items():
            for name in one.within:
                inside, outside, above = one.within[name], one.random[name], one.above[name]
                rows.append(
                    [
                        data,
                        name,
                        f"{inside.value:.4f} {_interval(inside.low, inside.high)}",
                        f"{outside.value:.4f} {_interval(outside.low, outside.high)}",
                        f"{above.value:+.4f} {_interval(above.low, above.high, signed=True)}",
                    ]
                )
            if one.difference is not None:
                off = one.difference
                rows.append([data, "difference", "", "", f"{off.value:+.4f} {_interval(off.low, off.high, signed=True)}"])
        return ["data", "method", "within a sequence", "dealt out at random", "within minus random"], rows

    def sources(self) -> tuple[list[str], list[list[str]]]:
        """How many values of each configuration come from where; configurations with the same counts share a row."""
        groups: dict[tuple[int, ...], list[str]] = {}
        for column, data in self.values:
            counts = tuple(self.counts(column, data).values())
            groups.setdefault(counts, []).append(f"{column} on {data}")
        rows = [[_shortened(names), *(str(count) for count in counts)] for counts, names in groups.items()]
        return ["configuration", *SOURCES], rows

    def markdown(self) -> str:
        """The whole of it as a page."""
        lines = [f"# {self.title}", "", f"{self.budget}.", ""]
        lines += _bullets(["The paper says:", *self.says])
        lines += _markdown_table(*self.table())
        differences = self.differences()
        if differences is not None:
            lines += ["## Differences", "", *_markdown_table(*differences)]
        near = self.near()
        if near is not None:
            lines += ["## Similarity of the items of a sequence", "", *_markdown_table(*near)]
        for name in self.figures:
            lines += [f"![{name}]({name})", ""]
        lines += _bullets(["Notes:", *self.notes])
        lines += ["## Where the values come from", "", *_markdown_table(*self.sources())]
        lines += ["Every value with its source and the recipe's words for it is in [values.csv](values.csv).", ""]
        for (column, data), values in self._told_in_full():
            lines += [f"### {column} on {data}", ""]
            shown = [[one.path, json.dumps(one.value, ensure_ascii=False), one.source, one.detail] for one in values]
            lines += _markdown_table(["value", "is", "source", "in the words of the recipe"], shown)
        return "\n".join(lines).rstrip("\n") + "\n"

    def _told_in_full(self) -> Iterator[tuple[tuple[str, str], tuple[Value, ...]]]:
        """The last column, which is the method itself, on the first data set."""
        if self.columns and self.data:
            place = self.columns[-1], self.data[0]
            if place in self.values:
                yield place, self.values[place]


def _interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return "-"
    return f"[{low:+.4f}, {high:+.4f}]" if signed else f"[{low:.4f}, {high:.4f}]"


def _printed(cell: Cell) -> str:
    if cell.paper is None:
        return "-"
    return f"{cell.paper.text} impossible" if cell.impossible else cell.paper.text


def _errors(off: Deviation | None) -> str:
    return "-" if off is None or off.errors is None else f"{off.errors:+.1f}"


def _verdict(difference: Difference) -> str:
    if difference.adjusted is None:
        return "none (one seed)"
    return f"{difference.verdict} (p {difference.adjusted:.3f})"


def _shortened(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _bullets(lines: Sequence[str]) -> list[str]:
    """A line and those that belong to it; nothing where none do."""
    head, *rest = lines
    return [head, "", *(f"* {line}" for line in rest), ""] if rest else []


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(header), "|" + " --- |" * len(header), *(line(row) for row in rows), ""]
