"""Methods beside each other: the table of differences, its picture, and the ladder of fair baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from ..evaluation.comparison import Comparison, ComparisonCell, Difference
from .contents import Contents, Ladder
from .figures import ForestRow, bar_chart, bars_of, forest
from .html import Section, cell, details, figures, listed, numbers, paragraph, table
from .tables import metric_text
from .wording import CHOSEN_BY, HEADLINE, bounds, marked, p_text, signed

__all__ = ["comparison", "ladder"]

MARKS = {"better": "▲", "worse": "▼", "not distinguishable": "○"}
BESIDE = 6
"""Methods that fit beside each other as columns, as in Table 3; more are a row each."""


def comparison(contents: Contents) -> Section | None:
    """Every method minus the reference, with what may be said; None where there is nothing to compare."""
    found = contents.comparison
    if found is None:
        return None
    differences = [one.difference for one in found.cells.values() if one.difference is not None]
    told = (
        f"paired by seed and by user. ▲ better, ▼ worse, ○ not distinguishable at {found.level:g} over all {found.compared} "
        "differences together (Holm)."
        if found.compared
        else "paired by user. With one seed no verdict is given: another seed may turn a difference round."
    )
    if found.compared and any(one.adjusted is None for one in differences):
        told += " Where one of the two has a single seed, there is an interval over users and no verdict."
    body = paragraph(f"Each method minus {found.reference}, on the test part with seen items kept, {told}")
    body += _as_columns(found) if len(found.methods) <= BESIDE else _as_rows(found, contents)
    drawn = [_forest(found, rows, metric) for metric in HEADLINE if (rows := _rows(found, contents, metric))]
    body += figures(drawn)
    how = listed(found.notes) + listed(dict.fromkeys(one.how for one in differences))
    return Section("comparison", f"Compared with {found.reference}", body + details("How this was computed", how))


def _columns(found: Comparison) -> list[str]:
    """The methods, the reference last."""
    return [*(name for name in found.methods if name != found.reference), found.reference]


def _as_columns(found: Comparison) -> str:
    """Laid out as Table 3."""
    columns = _columns(found)
    rows = [
        [f"{escape(data)}<small>{metric_text(metric)}</small>"]
        + [_cell(found.cells.get((data, metric, name)), reference=name == found.reference) for name in columns]
        for data in found.data
        for metric in found.metrics
    ]
    caption = "Mean over seeds ± standard deviation; below it the difference, its 95 % interval, and what may be said."
    return table(["", *columns], rows, caption=caption)


def _as_rows(found: Comparison, contents: Contents) -> str:
    """A table for each data set, a method a row, the reference first and then the best."""
    drawn = []
    for data in found.data:
        there = [name for name in _columns(found) if any((data, metric, name) in found.cells for metric in found.metrics)]
        if len(there) < 2 or found.reference not in there:
            continue
        order = sorted(there, key=lambda name: (name != found.reference, -_mean(found, data, name)))
        rows = [
            [escape(marked(contents, name, data))]
            + [_cell(found.cells.get((data, metric, name)), reference=name == found.reference) for metric in found.metrics]
            for name in order
        ]
        caption = f"{data}: each mean; below it the difference to {found.reference}, its 95 % interval, and what may be said."
        drawn.append(table(["method", *map(metric_text, found.metrics)], rows, caption=caption))
    return "".join(drawn)


def _mean(found: Comparison, data: str, method: str) -> float:
    one = found.cells.get((data, CHOSEN_BY, method))
    return -math.inf if one is None else one.mean


def _cell(one: ComparisonCell | None, *, reference: bool) -> str:
    """Markup: the mean with its mark, the difference, its interval, the verdict."""
    if one is None:
        return '<span class="same">no run</span>'
    mean = f"{one.mean:.4f}" + ("" if one.spread is None else f" ± {one.spread:.4f}")
    found = one.difference
    if found is None:
        return cell(mean, "reference" if reference else "")
    mark = ""
    if found.adjusted is not None:
        kind = {"better": "better", "worse": "worse"}.get(found.verdict, "same")
        mark = f' <span class="mark {kind}" title="{found.verdict}">{MARKS[found.verdict]}</span>'
    lines = [f"{found.mean:+.4f}"]
    if found.low is not None and found.high is not None:
        lines.append(f"[{found.low:+.4f}, {found.high:+.4f}]")
    lines += _verdict(found)
    return escape(mean) + mark + "".join(f"<small>{escape(signed(line))}</small>" for line in lines)


def _verdict(found: Difference) -> Iterator[str]:
    """Nothing where there is one seed: the paragraph above the table says it for all."""
    if found.adjusted is None:
        return
    yield f"{found.verdict}, p {p_text(found.adjusted)}"
    if found.verdict == "not distinguishable":
        needed = found.seeds_needed
        yield "more seeds alone would not tell" if needed is None else f"{needed:,} seeds would tell"


def _rows(found: Comparison, contents: Contents, metric: str) -> list[ForestRow]:
    rows = []
    for data in found.data if metric in found.metrics else ():
        there = [
            (name, difference)
            for name in found.methods
            if (one := found.cells.get((data, metric, name))) is not None and (difference := one.difference) is not None
        ]
        for name, difference in sorted(there, key=lambda pair: -pair[1].mean):
            verdict = difference.verdict if difference.adjusted is not None else None
            heading = data if len(found.data) > 1 else ""
            rows.append(
                ForestRow(marked(contents, name, data), difference.mean, difference.low, difference.high, verdict, heading)
            )
    return rows


def _forest(found: Comparison, rows: list[ForestRow], metric: str) -> str:
    name = metric_text(metric)
    judged = any(row.verdict is not None for row in rows)
    return forest(
        rows,
        title=f"{name}: difference to {found.reference}",
        note="▲ better  ▼ worse  ○ not distinguishable" if judged else "one seed: intervals over users, no verdicts",
        label=f"{name} minus that of {found.reference}, 95 % interval",
        standalone=False,
    )


def ladder(contents: Contents) -> Section | None:
    """From the floors upwards, step by step; None where there are no floors or no sasrec."""
    if not contents.ladders:
        return None
    body = paragraph(
        "What a method adds is what it has above the rungs below it: popularity, neighbours, and sasrec with a plain and "
        "with a full softmax loss. The order is that of the test values, so a step describes these runs; it is a finding "
        "only where it says yes."
    )
    return Section(
        "ladder", "A ladder of fair baselines", body + "".join(_one_ladder(one, contents) for one in contents.ladders)
    )


def _one_ladder(found: Ladder, contents: Contents) -> str:
    name = metric_text(found.metric)
    names = [marked(contents, rung.method, found.data) for rung in found.rungs]
    drawn = bar_chart(
        names,
        [bars_of(name, [rung.estimate for rung in found.rungs])],
        title=f"From the floor upwards on {found.data}",
        value_label=f"{name}, test, seen items kept, 95 % interval",
        kinds=[rung.kind for rung in found.rungs],
        horizontal=True,
        standalone=False,
    )
    rows = []
    for rung, called in zip(found.rungs, names, strict=True):
        step = rung.step
        apart = "–" if step is None else f"{step.mean:+.4f}"
        interval = "" if step is None or step.low is None or step.high is None else f"[{step.low:+.4f}, {step.high:+.4f}]"
        rows.append(
            [escape(called), numbers(*bounds(rung.estimate)), cell(signed(apart), signed(interval)), escape(_told(step))]
        )
    seeds = any(rung.step is not None and rung.step.adjusted is None for rung in found.rungs)
    more = " “Over users”: one seed says nothing about other seeds." if seeds else ""
    steps = table(
        ["method", name, "above the rung below", "distinguishable?"],
        rows,
        caption=f"{found.data}: paired differences from rung to rung, 95 % intervals, Holm's correction over the steps.{more}",
        words=(0, 3),
    )
    return figures([drawn]) + steps


def _told(step: Difference | None) -> str:
    if step is None:
        return "the lowest rung"
    if step.adjusted is not None:
        return ("yes" if step.verdict != "not distinguishable" else "no") + f", p {p_text(step.adjusted)}"
    if step.low is None or step.high is None:
        return "nothing can be said"
    return "yes, over users" if step.low > 0 or step.high < 0 else "no"
