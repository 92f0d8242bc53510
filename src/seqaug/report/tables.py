"""A comparison as a table, laid out as Table 3 of the SimDiffRec paper: data set x metric by method, the reference last.

A cell has the mean and spread over seeds; that of every method but the reference also has the difference, its interval, the
corrected p and a mark for the verdict. Means are never set in bold: only a verdict says that one is better.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from ..evaluation.comparison import Comparison, ComparisonCell, Difference, Verdict

__all__ = ["MARKS", "as_csv", "as_json", "as_latex", "as_markdown", "as_text_rows", "legend", "metric_text"]

MARKS: dict[Verdict, str] = {"better": "+", "worse": "-", "not distinguishable": "="}

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


def metric_text(name: str) -> str:
    """ "ndcg@10" -> "NDCG@10"."""
    return name.upper()


def legend(comparison: Comparison) -> list[str]:
    """What the marks and the lines of a cell are, in plain ASCII."""
    return [
        f"+ better, - worse, = not distinguishable from {comparison.reference} "
        f"(level {comparison.level:g} over {_count(comparison.compared, 'difference')})",
        f"each cell: mean +- standard deviation over seeds; difference [{100 * (1 - comparison.level):g} % interval]; "
        "p after Holm's correction, verdict, seeds needed to tell such a difference",
    ]


def as_text_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Header and rows of plain ASCII cells for a terminal: three rows a metric, for the three lines of a cell."""
    rows = []
    for data, metric in _places(comparison):
        lines = [[data, metric_text(metric)], ["", ""], ["", ""]]
        for method in _columns(comparison):
            cell = comparison.cells.get((data, metric, method))
            for line, text in zip(lines, _text_cell(cell), strict=True):
                line.append(text)
        rows += lines if len(_columns(comparison)) > 1 else lines[:1]
    return ["data", "metric", *_columns(comparison)], rows


def as_markdown(comparison: Comparison) -> str:
    """A Markdown table, the lines of a cell parted by <br>, with legend and notes below."""
    columns = _columns(comparison)
    lines = ["| data | metric | " + " | ".join(_markdown(name) for name in columns) + " |", "| --- " * (2 + len(columns)) + "|"]
    for data, metric in _places(comparison):
        cells = [_typeset_cell(comparison.cells.get((data, metric, method))) for method in columns]
        lines.append("| " + " | ".join([_markdown(data), metric_text(metric), *("<br>".join(cell) for cell in cells)]) + " |")
    below = [*(_typeset(line) for line in legend(comparison)), *comparison.notes]
    return "\n".join([*lines, "", *(f"* {_markdown(line)}" for line in below)]) + "\n"


def as_latex(comparison: Comparison) -> str:
    """A LaTeX table; needs \\usepackage{booktabs}. Legend and notes stand below it."""
    columns = _columns(comparison)
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table*}",
        "\\centering",
        "\\small",
        "\\begin{tabular}{ll" + "c" * len(columns) + "}",
        "\\toprule",
        " & ".join(["Data", "Metric", *(_latex(name) for name in columns)]) + " \\\\",
    ]
    before = None
    for data, metric in _places(comparison):
        if data != before:
            lines.append("\\midrule")
        cells = [_latex_cell(comparison.cells.get((data, metric, method))) for method in columns]
        shown = [_latex(data) if data != before else "", metric_text(metric)]
        lines.append(" & ".join([*shown, *(cell[0] for cell in cells)]) + " \\\\")
        for line in (1, 2):
            if any(cell[line] for cell in cells):
                small = (f"{{\\footnotesize {cell[line]}}}" if cell[line] else "" for cell in cells)
                lines.append(" & ".join(["", "", *small]) + " \\\\")
        before = data
    below = [
        "$+$ better, $-$ worse, $=$ not distinguishable from " + _latex(legend(comparison)[0].partition(" from ")[2]),
        _latex(legend(comparison)[1]).replace("+-", "$\\pm$"),
        *(_latex(note) for note in comparison.notes),
    ]
    lines += ["\\bottomrule", "\\end{tabular}", ""]
    lines += [f"\\par\\raggedright\\footnotesize {line}" for line in below]
    return "\n".join([*lines, "\\end{table*}"]) + "\n"


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
    """The columns of a difference under their names, None throughout where there is none."""
    if difference is None:
        return dict.fromkeys(_COLUMNS[6:])
    return {
        "difference": difference.mean,
        "low": difference.low,
        "high": difference.high,
        "p": difference.p,
        "p_holm": difference.adjusted,
        "verdict": difference.verdict,
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


def _text_cell(cell: ComparisonCell | None) -> tuple[str, str, str]:
    """The three lines of a cell, plain ASCII."""
    if cell is None:
        return "no run", "", ""
    difference = cell.difference
    mean = f"{cell.mean:.4f}" + ("" if cell.spread is None else f" +- {cell.spread:.4f}")
    if difference is None:
        return mean, "", ""
    apart = f"{difference.mean:+.4f}"
    if difference.low is not None and difference.high is not None:
        apart += f" [{difference.low:+.4f}, {difference.high:+.4f}]"
    p = "" if difference.adjusted is None else f"p {_p_text(difference.adjusted)}, "
    needed = "" if difference.seeds_needed is None else f", {_count(difference.seeds_needed, 'seed')} would tell"
    return f"{mean} {MARKS[difference.verdict]}", apart, f"{p}{difference.verdict}{needed}"


def _typeset_cell(cell: ComparisonCell | None) -> list[str]:
    """The lines of a cell with proper signs."""
    lines = _text_cell(cell)
    mark = None if cell is None or cell.difference is None else MARKS[cell.difference.verdict]
    first = lines[0] if mark is None else lines[0].removesuffix(mark) + {"+": "**+**", "-": "**−**", "=": "="}[mark]
    return [_typeset(line) for line in (first, *lines[1:]) if line]


def _typeset(line: str) -> str:
    """ "0.1 +- 0.2" with ±, and a minus sign before a number."""
    line = line.replace("+-", "±").replace(" - worse", " − worse")
    for before in ("", "[", " "):
        line = line.replace(f"{before}-0.", f"{before}−0.")
    return line


def _latex_cell(cell: ComparisonCell | None) -> tuple[str, str, str]:
    first, apart, told = _text_cell(cell)
    if cell is None or cell.difference is None:
        return first.replace("+-", "$\\pm$"), "", ""
    mark = MARKS[cell.difference.verdict]
    first = first.removesuffix(mark).replace("+-", "$\\pm$") + f"${mark}$"
    numbers = "$" + apart.replace(" [", "$ [$").replace(", ", "$, $").replace("]", "$]") + ("" if "[" in apart else "$")
    told = told.replace("p < ", "$p < $").replace("p 0", "$p =$ 0").replace("p 1", "$p =$ 1")
    return first, numbers, told


def _p_text(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _markdown(text: str) -> str:
    for sign in ("\\", "|", "*", "_", "`", "<"):
        text = text.replace(sign, "\\" + sign)
    return text


_LATEX = {
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


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
