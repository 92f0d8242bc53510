"""Can the numbers of a printed table be right? Each block of a method and a data set is held against arithmetic."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..evaluation.possible import Contradiction, contradictions, range_of
from .metric_tables import Block, Tables, read_tables

__all__ = ["Audit", "Finding", "audit_file", "audit_paper", "paper_blocks", "paper_rows"]


@dataclass(frozen=True, slots=True)
class Finding:
    """An impossible block.

    alternatives: for each value by whose change alone the block would become possible, the range that it would have to be in;
    empty where more than one value is wrong.
    """

    block: Block
    contradictions: tuple[Contradiction, ...]
    alternatives: Mapping[str, tuple[float, float]]

    @property
    def advice(self) -> list[str]:
        """What the values would have to be, in sentences."""
        if not self.alternatives:
            return ["whichever one of the values is changed, the others contradict each other: at least two are wrong"]
        found = []
        for name, (low, high) in self.alternatives.items():
            value = self.block.values[name]
            found.append(f"{name.upper()} would have to be between {value.like(low)} and {value.like(high)}")
        if len(found) == 1:
            return [f"{found[0]}; no other value can be the only wrong one"]
        return [f"if the others are right, {one}" for one in found]

    def document(self) -> dict[str, Any]:
        """Fit for JSON."""
        return {
            "table": self.block.table,
            "dataset": self.block.dataset,
            "method": self.block.method,
            "values": {name: value.text for name, value in self.block.values.items()},
            "lines": dict(self.block.lines),
            "contradictions": [
                {"metrics": list(one.metrics), "bound": one.bound, "message": one.message} for one in self.contradictions
            ],
            "would_have_to_be": {
                name: {"from": round(low, 6), "to": round(high, 6)} for name, (low, high) in self.alternatives.items()
            },
        }


@dataclass(frozen=True, slots=True)
class Audit:
    """What was checked and what is impossible. notes: what was not checked, in sentences."""

    blocks: tuple[Block, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def values(self) -> int:
        return sum(len(block.values) for block in self.blocks)


def audit_file(path: str | Path, *, percent: bool = False, slack: float = 0.5) -> Audit:
    """Check every block of a file, CSV or Markdown.

    percent: values count in hundredths. slack: units of the last printed digit by which a value may be off: 0.5 for one
    rounding, 1 for values that were rounded before they were averaged. Raises DataError, with file and line, where the file
    cannot be read as tables of metrics.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}. (`seqaug audit paper` checks the tables of the paper.)") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}).") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    markdown = {".md": True, ".markdown": True, ".csv": False, ".tsv": False}.get(path.suffix.lower())
    return _audited([read_tables(text, str(path), markdown=markdown, percent=percent, slack=slack)])


def audit_paper(*, slack: float = 0.5) -> Audit:
    """Tables 2 and 3 of the paper."""
    return _audited([read_tables(_paper_text(name), name, markdown=False, slack=slack) for name in ("table2", "table3")])


@cache
def paper_blocks(table: str) -> Mapping[tuple[str, str], tuple[Block, Finding | None]]:
    """ "table2" or "table3" of the paper: (data set, method) -> its values, and what is wrong with them."""
    found = _audited([read_tables(_paper_text(table), table, markdown=False)])
    wrong = {(one.block.dataset, one.block.method): one for one in found.findings}
    return {(one.dataset, one.method): (one, wrong.get((one.dataset, one.method))) for one in found.blocks}


def paper_rows(table: str) -> list[dict[str, str]]:
    """ "table1", "table2" or "table3" of the paper (arXiv 2507.11866), row by row."""
    return list(csv.DictReader(_paper_text(table).splitlines()))


def _paper_text(table: str) -> str:
    return (resources.files("seqaug.experiments") / "paper" / f"{table}.csv").read_text(encoding="utf-8")


def _audited(tables: Iterable[Tables]) -> Audit:
    kept = list(tables)
    blocks = tuple(block for one in kept for block in one.blocks)
    findings = []
    for block in blocks:
        wrong = contradictions(block.values)
        if wrong:
            findings.append(Finding(block, tuple(wrong), _alternatives(block)))
    return Audit(blocks, tuple(findings), tuple(note for one in kept for note in one.notes))


def _alternatives(block: Block) -> dict[str, tuple[float, float]]:
    found = {}
    for name in block.values:
        others = {other: value for other, value in block.values.items() if other != name}
        # A value that is no share at all is wrong by itself, and no change of another one helps.
        if contradictions(others):
            continue
        ends = range_of(name, block.values)
        if ends is not None:
            found[name] = ends
    return found
