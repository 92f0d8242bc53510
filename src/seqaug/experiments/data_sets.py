"""Table 1 of the paper: its counts of the data sets beside ours, and where they differ, why."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from ..data.catalog import KNOWN, find, where
from ..data.sequences import Statistics, UserSequences
from .audit import paper_rows
from .files import as_json, write_json, write_text

__all__ = [
    "COLUMNS",
    "CountedData",
    "counted_csv",
    "counted_data",
    "counted_document",
    "counted_markdown",
    "counted_rows",
    "write_counted",
]

COLUMNS = ("users", "items", "actions", "avg_length", "sparsity")
"""As the paper's table has them."""

LARGEST_ID = {"ml-1m": 3_952}
"""Of data sets that number their items with gaps, for where they are not here: MovieLens' own README."""

CORE = 5
"""The paper, 5.1.1: "we filtered out users and items with fewer than five interactions"."""


@dataclass(frozen=True, slots=True)
class CountedData:
    """One row. here: whether the data set is on this machine and was counted; else `ours` is what the catalogue expects of it.

    ours: None for what nobody knows. paper: as printed, None where the paper has no such data set. equal: for each column
    whether ours, printed with the same digits, is the paper's. reasons: why not, and what else has to be known, in sentences.
    """

    data: str
    here: bool
    ours: Statistics | None
    paper: dict[str, str] | None
    equal: dict[str, bool]
    reasons: tuple[str, ...]

    def own(self, column: str) -> str:
        """Our count, with the digits of the paper's."""
        return "-" if self.ours is None else _shown(self.ours, column)

    def printed(self, column: str) -> str:
        """The paper's count."""
        if self.paper is None:
            return "-"
        text = self.paper[column]
        return f"{int(text):,}" if text.isdecimal() else text

    def document(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "data": self.data,
            "here": self.here,
            "ours": None if self.ours is None else asdict(self.ours),
            "paper": self.paper,
            "equal": self.equal,
            "reasons": list(self.reasons),
        }


def counted_data(names: Sequence[str] | None = None) -> list[CountedData]:
    """The paper's data sets, or those of these names, counted where they are on this machine.

    Raises DataError where a name is unknown, or where a file is not what its name says.
    """
    printed = {row["dataset"]: {column: row[column] for column in COLUMNS} for row in paper_rows("table1")}
    return [_row(name, printed.get(name)) for name in names or printed]


def counted_rows(rows: Sequence[CountedData]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of plain text, ours and the paper's below each other; a star marks what differs."""
    found = []
    for row in rows:
        who = "ours" if row.here else "the catalogue"
        differs = [not row.equal.get(column, True) for column in COLUMNS]
        found.append([row.data, who, *(row.own(column) for column in COLUMNS)])
        if row.paper is not None:
            shown = (row.printed(column) + ("*" if off else "") for column, off in zip(COLUMNS, differs, strict=True))
            found.append(["", "paper", *shown])
    return ["data", "counted by", *(column.replace("_", " ") for column in COLUMNS)], found


def counted_csv(rows: Sequence[CountedData]) -> str:
    """One row a data set and column."""
    lines = ["data,column,ours,paper,equal"]
    for row in rows:
        for column in COLUMNS:
            own, printed = row.own(column).replace(",", ""), row.printed(column).replace(",", "")
            lines.append(f"{row.data},{column},{own},{printed},{str(row.equal.get(column, '')).lower()}")
    return "\n".join(lines) + "\n"


def counted_markdown(rows: Sequence[CountedData]) -> str:
    """The table and the reasons as a page."""
    header, cells = counted_rows(rows)
    table = [header, ["---"] * len(header), *cells]
    page = ["# Table 1: statistics of the data sets", "", *(f"| {' | '.join(line)} |" for line in table), ""]
    page += [f"* {row.data}: {reason}" for row in rows for reason in row.reasons]
    return "\n".join(page).rstrip("\n") + "\n"


def counted_document(rows: Sequence[CountedData]) -> dict[str, Any]:
    """Fit for JSON."""
    return {"schema": 1, "artefact": "table1", "columns": list(COLUMNS), "data": [row.document() for row in rows]}


def write_counted(rows: Sequence[CountedData], folder: Path | None = None, *, runs: Path = Path("runs")) -> Path:
    """result.json and result.md; where no folder is named in `runs/reproduce-table1-<hash>`, the hash over what they say."""
    document = counted_document(rows)
    place = folder or runs / f"reproduce-table1-{hashlib.sha256(as_json(document).encode()).hexdigest()[:8]}"
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / "result.json", document)
    write_text(place / "result.md", counted_markdown(rows))
    return place


def _row(name: str, paper: dict[str, str] | None) -> CountedData:
    known = KNOWN.get(name)
    if known is not None and where(name) is None:
        statistics = known.statistics
        reasons = [f"{name} is not on this machine; ours are the counts that the catalogue expects of it"]
        reasons += _reasons(name, statistics, None, paper)
        return CountedData(name, False, statistics, paper, _equal(statistics, paper), tuple(reasons))
    loaded = find(name)
    statistics = loaded.sequences.statistics()
    reasons = _reasons(loaded.name, statistics, loaded.sequences, paper)
    return CountedData(loaded.name, True, statistics, paper, _equal(statistics, paper), tuple(reasons))


def _equal(statistics: Statistics, paper: dict[str, str] | None) -> dict[str, bool]:
    if paper is None:
        return {}
    return {column: _shown(statistics, column).replace(",", "") == paper[column] for column in COLUMNS}


def _shown(statistics: Statistics, column: str) -> str:
    if column == "avg_length":
        return f"{statistics.average_length:.1f}"
    if column == "sparsity":
        return f"{100 * statistics.sparsity:.2f}%"
    return f"{getattr(statistics, column):,}"


def _reasons(name: str, ours: Statistics, sequences: UserSequences | None, paper: dict[str, str] | None) -> list[str]:
    found = []
    if paper is not None:
        found += _length(ours, paper["avg_length"])
        found += _items(name, ours, sequences, int(paper["items"]))
        found += _sparsity(ours, paper)
    if sequences is not None:
        found += _core(name, ours, sequences, of_the_paper=paper is not None)
    return found


def _length(ours: Statistics, printed: str) -> list[str]:
    if f"{ours.average_length:.1f}" == printed:
        return []
    cut_off = Decimal(str(ours.average_length)).quantize(Decimal("0.1"), rounding="ROUND_DOWN")
    how = f"; cut off after one decimal it is {cut_off}" if str(cut_off) == printed else ""
    return [
        f"average length: {ours.actions:,} actions of {ours.users:,} users are {ours.average_length:.3f} each, which rounds to "
        f"{ours.average_length:.1f}{how}"
    ]


def _items(name: str, ours: Statistics, sequences: UserSequences | None, printed: int) -> list[str]:
    if ours.items == printed:
        return []
    found = f"items: {ours.items:,} have an action"
    numbers = [int(one) for one in sequences.item_ids[1:].tolist() if str(one).isdecimal()] if sequences is not None else []
    largest = max(numbers, default=LARGEST_ID.get(name))
    if largest is None:
        return [f"{found}, the paper has {printed:,}"]
    if largest + 1 == printed:
        return [f"{found}; the largest id is {largest:,}, and one more, {printed:,}, is the length of a table with a row for 0"]
    return [f"{found}, the paper has {printed:,}; the largest id is {largest:,}"]


def _sparsity(ours: Statistics, paper: dict[str, str]) -> list[str]:
    if _shown(ours, "sparsity") == paper["sparsity"]:
        return []
    theirs = 100 * (1 - int(paper["actions"]) / (int(paper["users"]) * int(paper["items"])))
    how = (
        f"; with the paper's {int(paper['items']):,} items it is {theirs:.2f}%" if f"{theirs:.2f}%" == paper["sparsity"] else ""
    )
    return [f"sparsity: with {ours.items:,} items it is {_shown(ours, 'sparsity')}{how}"]


def _core(name: str, ours: Statistics, sequences: UserSequences, *, of_the_paper: bool) -> list[str]:
    """Whether the filter was applied that the paper states."""
    counts = np.bincount(sequences.items)
    counts = counts[counts > 0]
    rare, short = int((counts < CORE).sum()), int((sequences.lengths < CORE).sum())
    if not rare and not short:
        return []
    stated = ", which the paper says it filtered out (5.1.1)" if of_the_paper else ""
    who = " and ".join(
        part for part in (f"{rare:,} of {ours.items:,} items" if rare else "", f"{short:,} users" if short else "") if part
    )
    found = f"{CORE}-core: {who} have fewer than {CORE} actions{stated}"
    core = next((data for data in KNOWN.values() if data.part_of == name and data.k_core == CORE), None)
    if core is not None:
        left = core.statistics
        found += f"; the {CORE}-core has {left.users:,} users, {left.items:,} items and {left.actions:,} actions ({core.name})"
    return [found]
