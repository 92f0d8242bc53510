"""How the runs learnt: curves over epochs, and what came of the time they took."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from .contents import Contents, Curve, Scores
from .figures import Series, line_chart
from .html import Section, details, figures, numbers, paragraph, table
from .svg import COLOURS
from .tables import metric_text
from .wording import CHOSEN_BY, bounds, by_validation, duration, marked, shown, value_of

__all__ = ["curves", "seconds"]

RING = "the epoch whose weights were tested"
EPOCHS = "epoch, all stages together"


def curves(contents: Contents) -> Section | None:
    """Validation, losses and records over epochs; None where no run has events."""
    if not contents.curves:
        return None
    parts = []
    single = len(contents.curves) == 1
    for data in dict.fromkeys(curve.data for curve in contents.curves):
        there = [curve for curve in contents.curves if curve.data == data]
        metric = there[0].monitor if single else CHOSEN_BY
        order = _with_curves(contents, there, data)
        drawn = []
        for begin in range(0, len(order), COLOURS):
            lines = _lines(there, order[begin : begin + COLOURS], _values("valid", metric), contents, first=begin)
            if lines:
                drawn.append(
                    line_chart(
                        lines,
                        title=f"Validation on {data}" + (", continued" if begin else ""),
                        x_label=EPOCHS,
                        whole_x=True,
                        y_label=f"{metric_text(metric)}, seen items kept",
                        chosen_name=RING,
                        standalone=False,
                    )
                )
        losses = list(_losses(there, contents, single=single))
        parts.append(figures(drawn + losses if single else drawn))
        if losses and not single:
            parts.append(details(f"Losses and records on {data}", figures(losses)))
    body = paragraph(
        "A ring marks the epoch that was best on validation by the run's own monitor. Losses are unweighted means over "
        "the batches of an epoch; records are shares that plugins noted."
    )
    return Section("curves", "Learning curves", body + "".join(parts))


def _losses(those: Sequence[Curve], contents: Contents, *, single: bool) -> Iterator[str]:
    """One chart for each loss and each record of each method."""
    for method in dict.fromkeys(curve.method for curve in those):
        own = [curve for curve in those if curve.method == method]
        for kind in ("losses", "records"):
            for name in dict.fromkeys(name for curve in own for name in getattr(curve, kind)):
                series = _lines(own, [method], _values(kind, name), contents)
                if series:
                    yield line_chart(
                        series,
                        title=name if single else f"{method}: {name}",
                        x_label=EPOCHS,
                        whole_x=True,
                        y_label="loss, mean over batches" if kind == "losses" else "share",
                        chosen_name=RING,
                        height=250,
                        standalone=False,
                    )


def _lines(
    those: Iterable[Curve],
    methods: Sequence[str],
    values: Callable[[Curve], Sequence[float]],
    contents: Contents,
    x: Callable[[Curve], Sequence[float]] | None = None,
    first: int = 0,
) -> list[Series]:
    """A line for each stage of each run; those of a method share its hue and its place in the legend. first: of the hues."""
    found = []
    for place, method in enumerate(methods, start=first):
        named = False
        for curve in (one for one in those if one.method == method):
            known = values(curve)
            at = range(1, len(curve.stages) + 1) if x is None else x(curve)
            if not known:
                continue
            for _, part in groupby(range(len(known)), key=lambda index: curve.stages[index]):
                inside = [index for index in part if math.isfinite(known[index])]
                if inside:
                    found.append(
                        Series(
                            "" if named else marked(contents, method, curve.data),
                            [at[index] for index in inside],
                            [known[index] for index in inside],
                            chosen=inside.index(curve.best) if curve.best in inside else None,
                            dots=False,
                            hue=place,
                        )
                    )
                    named = True
    return found


def _values(kind: str, name: str) -> Callable[[Curve], Sequence[float]]:
    """What asks a curve for one of its `losses`, `records` or `valid`; nothing where it has none of that name."""

    def of(curve: Curve) -> Sequence[float]:
        found: Sequence[float] = getattr(curve, kind).get(name, ())
        return found

    return of


def _times(scale: float) -> Callable[[Curve], Sequence[float]]:
    return lambda curve: [value / scale for value in curve.seconds]


def seconds(contents: Contents) -> Section | None:
    """Quality for the time it takes; None where nothing was trained."""
    trained = [one for one in contents.scores if one.seconds > 0]
    if not trained:
        return None
    parts = []
    for data in dict.fromkeys(one.data for one in trained):
        there = sorted((one for one in trained if one.data == data), key=lambda one: -value_of(one, CHOSEN_BY))
        those = [curve for curve in contents.curves if curve.data == data]
        unit, scale = _unit(max([*(curve.seconds[-1] for curve in those), *(one.seconds for one in there)]))
        order = _with_curves(contents, those, data)[:COLOURS]
        lines = _lines(those, order, _values("valid", CHOSEN_BY), contents, _times(scale))
        drawn = []
        if lines:
            drawn.append(
                line_chart(
                    lines,
                    title=f"Validation over time on {data}",
                    x_label=f"{unit} of training",
                    y_label=f"{metric_text(CHOSEN_BY)}, validation",
                    chosen_name=RING,
                    standalone=False,
                )
            )
        if len(there) > 1:
            by_name = {one.method: one for one in there}
            named = [name for name in by_validation(contents, data) if name in by_name][:COLOURS]
            drawn.append(_final([by_name[name] for name in named], unit, scale, data))
        parts += [figures(drawn), _table(there, those, data)]
    body = paragraph(
        "Seconds are those of the training passes, without validation, of all starts of a run together. They compare only "
        "between runs on the same device with as many threads, and on a machine that did nothing else."
    )
    return Section("seconds", "Quality for the time it takes", body + "".join(parts))


def _final(rows: Sequence[Scores], unit: str, scale: float, data: str) -> str:
    """The test metric of each method at the time that its training took."""
    times = [one.seconds / scale for one in rows]
    series = []
    for one, at in zip(rows, times, strict=True):
        estimate = one.estimates["test", CHOSEN_BY]
        low, high = ([math.nan if bound is None else bound] for bound in (estimate.low, estimate.high))
        series.append(Series(shown(one), [at], [estimate.value], low, high, bars=True))
    return line_chart(
        series,
        title=f"What came of it on {data}",
        x_label=f"{unit} of training in all",
        y_label=f"{metric_text(CHOSEN_BY)}, test, 95 % interval",
        log_x=max(times) / min(times) >= 20,
        standalone=False,
    )


def _table(rows: Sequence[Scores], those: Sequence[Curve], data: str) -> str:
    lines = []
    for one in rows:
        soon = [at for curve in those if curve.method == one.method and (at := _soon(curve)) is not None]
        value = value_of(one, CHOSEN_BY)
        lines.append(
            [
                escape(shown(one)),
                duration(one.seconds),
                f"{one.epochs:,.0f}",
                duration(one.seconds / one.epochs) if one.epochs else "–",
                duration(sum(soon) / len(soon)) if soon else "–",
                numbers(*bounds(one.estimates.get(("test", CHOSEN_BY)))),
                f"{1000 * value / one.seconds:#.3g}".rstrip("."),
                escape("; ".join(one.devices)),
            ]
        )
    name = metric_text(CHOSEN_BY)
    header = [
        "method",
        "training",
        "epochs",
        "an epoch",
        "to 95 % of its best validation",
        name,
        f"{name} per 1,000\u00a0s",
        "on",
    ]
    return table(header, lines, caption=f"{data}: training time and test {name}, means over seeds.", words=(0, 7))


def _soon(curve: Curve, share: float = 0.95) -> float | None:
    """After how many seconds the validation first had `share` of its best value."""
    best = _best(curve, CHOSEN_BY)
    values = curve.valid.get(CHOSEN_BY, ())
    return (
        next((at for at, value in zip(curve.seconds, values, strict=True) if value >= share * best), None) if best > 0 else None
    )


def _with_curves(contents: Contents, those: Sequence[Curve], data: str) -> list[str]:
    """The methods that have a curve, in the order of all charts."""
    known = {curve.method for curve in those}
    return [name for name in by_validation(contents, data) if name in known]


def _best(curve: Curve, metric: str) -> float:
    return max((value for value in curve.valid.get(metric, ()) if math.isfinite(value)), default=-math.inf)


def _unit(longest: float) -> tuple[str, float]:
    """The unit in which a time is best read, and its seconds."""
    return ("seconds", 1.0) if longest < 180 else ("minutes", 60.0) if longest < 3 * 3600 else ("hours", 3600.0)
