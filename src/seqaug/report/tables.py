"""A comparison as a table, laid out as Table 3 of the SimDiffRec paper: data set x metric by method, the reference last.

A cell has the mean and spread over seeds; that of every method but the reference also has the difference, its interval, the
corrected p and a mark for the verdict. Means are never set in bold: only a verdict says that one is better.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..evaluation.comparison import Comparison, ComparisonCell, Difference

__all__ = ["as_csv", "as_json", "as_latex", "as_markdown", "as_text_rows", "legend", "metric_text"]

_COLUMNS = (
    "data",
    "metric",
    "method",
    "seeds",
    "mean",
    "spread",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "verdict",
    "seeds_needed",
    "how",
)


@dataclass(frozen=True, slots=True)
class _Signs:
    """How a format writes numbers and marks. number: of a signed number as text; p: of "= 0.04" or "< 0.001"."""

    number: Callable[[str], str]
    p: Callable[[str], str]
    plus_minus: str
    better: str
    worse: str
    same: str
    untold: str

    def mark(self, difference: Difference) -> str:
        if difference.adjusted is None:
            return self.untold
        return {"better": self.better, "worse": self.worse, "not distinguishable": self.same}[difference.verdict]


_PLAIN = _Signs(lambda number: number, lambda p: f"p {p}", "+-", "+", "-", "=", "?")
_MARKDOWN = _Signs(lambda number: number.replace("-", "−"), lambda p: f"p {p}", "±", "**+**", "**−**", "=", "?")
_LATEX = _Signs(lambda number: f"${number}$", lambda p: f"$p {p}$", "$\\pm$", "$+$", "$-$", "$=$", "?")


def metric_text(name: str) -> str:
    """ "ndcg@10" -> "NDCG@10"."""
    return name.upper()


def legend(comparison: Comparison) -> list[str]:
    """What the marks and the lines of a cell are, in plain ASCII."""
    return _legend(comparison, _PLAIN, lambda text: text)


def as_text_rows(comparison: Comparison, *, tall: bool = False) -> tuple[list[str], list[list[str]]]:
    """Header and rows of plain ASCII cells for a terminal: three rows a metric, for the three lines of a cell.

    tall: the methods below instead of beside each other, for narrow terminals.
    """
    columns, rows = _columns(comparison), []
    for data, metric in _places(comparison):
        cells = [_lines(comparison.cells.get((data, metric, method)), _PLAIN) for method in columns]
        place = [data, metric_text(metric)]
        if tall:
            for method, (first, apart, told) in zip(columns, cells, strict=True):
                rows += [[*place, method, first, apart], *([["", "", "", "", told]] if told else [])]
        else:
            rows += [[*place, *(cell[0] for cell in cells)]]
            rows += [["", "", *(cell[line] for cell in cells)] for line in (1, 2) if any(cell[line] for cell in cells)]
    return ["data", "metric", *(["method", "mean", "difference"] if tall else columns)], rows


def as_markdown(comparison: Comparison) -> str:
    """A Markdown table, the lines of a cell parted by <br>, with legend and notes below."""
    columns = _columns(comparison)
    rows = [["data", "metric", *(_in_markdown(name) for name in columns)], ["---"] * (2 + len(columns))]
    for data, metric in _places(comparison):
        cells = (_lines(comparison.cells.get((data, metric, method)), _MARKDOWN) for method in columns)
        rows.append([_in_markdown(data), metric_text(metric), *("<br>".join(line for line in cell if line) for cell in cells)])
    below = [*_legend(comparison, _MARKDOWN, _in_markdown), *(_in_markdown(note) for note in comparison.notes)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *(f"* {line}" for line in below)]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """A LaTeX table; needs \\usepackage{booktabs}. Legend and notes stand below it."""
    columns = _columns(comparison)
    rows = [" & ".join(["Data", "Metric", *(_in_latex(name) for name in columns)])]
    before = None
    for data, metric in _places(comparison):
        cells = [_lines(comparison.cells.get((data, metric, method)), _LATEX) for method in columns]
        new = data != before
        place = [_in_latex(data) if new else "", metric_text(metric)]
        rows.append(("\\midrule\n" if new else "") + " & ".join([*place, *(cell[0] for cell in cells)]))
        for line in (1, 2):
            if any(cell[line] for cell in cells):
                rows.append(" & ".join(["", "", *(f"{{\\footnotesize {cell[line]}}}" if cell[line] else "" for cell in cells)]))
        before = data
    below = [*_legend(comparison, _LATEX, _in_latex), *(_in_latex(note) for note in comparison.notes)]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table*}",
        "\\centering",
        "\\small",
        f"\\begin{{tabular}}{{ll{'c' * len(columns)}}}",
        "\\toprule",
        *(f"{row} \\\\" for row in rows),
        "\\bottomrule",
        "\\end{tabular}",
        "",
        "\\smallskip",
        "\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright",
        *(f"{line}\\par" for line in below),
        "\\end{minipage}",
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def as_csv(comparison: Comparison) -> str:
    """One row a cell with a header; empty where there is nothing. Numbers in full, seeds parted by spaces."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for cell in _cells(comparison):
        told = _told(cell.difference)
        writer.writerow(
            [cell.data, cell.metric, cell.method, " ".join(map(str, cell.seeds)), cell.mean, cell.spread, *told.values()]
        )
    return file.getvalue()


def as_json(comparison: Comparison) -> dict[str, Any]:
    """For json.dumps: what the table is about, its cells as a list in the order of the table, the notes."""
    return {
        "reference": comparison.reference,
        "data": list(comparison.data),
        "metrics": list(comparison.metrics),
        "methods": list(comparison.methods),
        "level": comparison.level,
        "power": comparison.power,
        "compared": comparison.compared,
        "cells": [
            {
                "data": cell.data,
                "metric": cell.metric,
                "method": cell.method,
                "seeds": list(cell.seeds),
                "values": list(cell.values),
                "mean": cell.mean,
                "spread": cell.spread,
                **_told(cell.difference),
                "paired_seeds": None if cell.difference is None else list(cell.difference.seeds),
            }
            for cell in _cells(comparison)
        ],
        "notes": list(comparison.notes),
    }


def _told(difference: Difference | None) -> dict[str, Any]:
    """The columns of a difference under their names, None throughout where there is none; no verdict where there is no p."""
    if difference is None:
        return dict.fromkeys(_COLUMNS[6:])
    return {
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "p_holm": difference.adjusted,
        "verdict": None if difference.adjusted is None else difference.verdict,
        "seeds_needed": difference.seeds_needed,
        "how": difference.how,
    }


def _columns(comparison: Comparison) -> list[str]:
    """The methods in their order, the reference last."""
    return [*(method for method in comparison.methods if method != comparison.reference), comparison.reference]


def _places(comparison: Comparison) -> Iterator[tuple[str, str]]:
    for data in comparison.data:
        for metric in comparison.metrics:
            yield data, metric


def _cells(comparison: Comparison) -> Iterator[ComparisonCell]:
    for data, metric in _places(comparison):
        for method in _columns(comparison):
            cell = comparison.cells.get((data, metric, method))
            if cell is not None:
                yield cell


def _lines(cell: ComparisonCell | None, signs: _Signs) -> tuple[str, str, str]:
    """The three lines of a cell; empty where there is nothing to say."""
    if cell is None:
        return "no run", "", ""
    difference = cell.difference
    mean = f"{cell.mean:.4f}" + ("" if cell.spread is None else f" {signs.plus_minus} {cell.spread:.4f}")
    if difference is None:
        return mean, "", ""
    first = f"{mean} {signs.mark(difference)}"
    apart = signs.number(f"{difference.mean:+.4f}")
    if difference.low is not None and difference.high is not None:
        apart += f" [{signs.number(f'{difference.low:+.4f}')}, {signs.number(f'{difference.high:+.4f}')}]"
    if difference.adjusted is None:
        return first, apart, "no verdict"
    p = signs.p("< 0.001" if difference.adjusted < 0.001 else f"= {difference.adjusted:.3f}")
    needed = "" if difference.seeds_needed is None else f", {_count(difference.seeds_needed, 'seed')} would tell"
    return first, apart, f"{p}, {difference.verdict}{needed}"


def _legend(comparison: Comparison, signs: _Signs, escaped: Callable[[str], str]) -> list[str]:
    untold = any(cell.difference is not None and cell.difference.adjusted is None for cell in comparison.cells.values())
    told = f" (level {comparison.level:g} over {_count(comparison.compared, 'difference')})" if comparison.compared else ""
    marks = f"{signs.better} better, {signs.worse} worse, {signs.same} not distinguishable"
    marks += f", {signs.untold} no verdict" if untold else ""
    interval = escaped(f"{100 * (1 - comparison.level):g} % interval")
    return [
        f"{marks}: beside {escaped(comparison.reference)}{told}",
        f"a cell: mean {signs.plus_minus} standard deviation over seeds; difference [{interval}]; "
        "p after Holm's correction, verdict, seeds that would tell such a difference",
    ]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _in_markdown(text: str) -> str:
    for sign in ("\\", "|", "*", "_", "`", "<"):
        text = text.replace(sign, "\\" + sign)
    return text


_SPECIAL = {
    "\\": "\\textbackslash{}",
    "{": "\\{",
    "}": "\\}",
    "$": "\\$",
    "&": "\\&",
    "#": "\\#",
    "%": "\\%",
    "_": "\\_",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
}


def _in_latex(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)
