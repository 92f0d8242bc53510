"""Figures as SVG strings: lines, bars, points, and differences with their intervals.

Every function returns one <svg> element. It needs no script and nothing from elsewhere; written to a file it is a whole
picture, put into a page (`standalone=False`, with `svg.STYLE` once) it takes the page's ground. It follows dark and light, has
a title for screen readers, and is a function of its arguments alone, to the last character. All words are escaped. A value that
is not finite is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ..evaluation.intervals import Estimate
from .axes import Axis, axis
from .svg import COLOURS, coordinates, document, element, shape, text, text_width, wrapped, written

__all__ = ["Bars", "ForestRow", "Level", "Series", "bar_chart", "bars_of", "forest", "line_chart", "scatter"]

_WIDTH = 420.0
_LINE = 17.0
_TITLE = 14.0
_ABOVE = 26.0


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: y over x, of one length.

    low, high: the ends of an interval at each point, drawn as a band or, with `bars`, as error bars; NaN where there is none.
    chosen: the index of the point that was chosen, such as the best epoch. dots: whether every point is marked; by default,
    where they are few. hue: the place of its colour and dashes, that of the series by default; lines of one hue belong
    together, and one without a name is not in the legend.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    bars: bool = False
    chosen: int | None = None
    dots: bool | None = None
    hue: int | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line that the others are read against, such as a paper's value."""

    name: str
    y: float


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar in each category. low, high: the ends of the error bars, NaN where there is none."""

    name: str
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def bars_of(name: str, estimates: Sequence[Estimate]) -> Bars:
    """Bars of means with their intervals, one a category."""
    low, high = (
        [math.nan if end is None else end for end in ends] for ends in zip(*((e.low, e.high) for e in estimates), strict=True)
    )
    return Bars(name, [one.value for one in estimates], low, high)


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A difference with its interval; None where none is known. heading: a new one starts a block of rows."""

    name: str
    mean: float
    low: float | None = None
    high: float | None = None
    verdict: Literal["better", "worse", "not distinguishable"] | None = None
    heading: str = ""


@dataclass(frozen=True, slots=True)
class _Field:
    """The rectangle in which values are drawn, and its two axes."""

    left: float
    top: float
    width: float
    height: float
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.left + self.x.at(x) * self.width, self.top + (1 - self.y.at(y)) * self.height

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def right(self) -> float:
        return self.left + self.width


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    x_ticks: Sequence[float] | None = None,
    whole_x: bool = False,
    from_zero: bool = False,
    levels: Sequence[Level] = (),
    chosen_name: str = "chosen",
    width: float = _WIDTH,
    height: float = 300,
    standalone: bool = True,
) -> str:
    """Lines over a common axis, with bands or error bars, and a ring around each chosen point.

    x_ticks: the places to name where they are known, such as the values of a grid. whole_x: x is counted, as epochs are.
    from_zero: whether y starts at 0. chosen_name: what the ring means. height: of the whole figure but the lines of the title
    and the legend. Raises ValueError where there is nothing to draw, or where a
    logarithm is asked of what is not above 0.
    """
    hues = [place if one.hue is None else one.hue for place, one in enumerate(series)]
    shown = [(one, place, *_finite(one)) for place, one in zip(hues, series, strict=True)]
    xs = [x for _, _, at, _ in shown for x in at]
    ys = [y for _, _, _, values in shown for y in values]
    for one in series:
        ys += [bound for bounds in (one.low, one.high) for bound in bounds or () if math.isfinite(bound)]
    y = axis([*ys, *(level.y for level in levels)], log=log_y, loose=True, include=[0.0] if from_zero else [])
    entries = [(one.name, place) for place, one in zip(hues, series, strict=True) if one.name]
    ringed = any(one.chosen is not None for one in series)
    parts, top = _head(title, width, entries if len(entries) > 1 else [], lines=True, ring=chosen_name if ringed else "")
    field = _field(
        axis(xs, log=log_x, ticks=x_ticks, whole=whole_x), y, width=width, top=top + _ABOVE, height=height - _ABOVE - _LINE - 30
    )
    parts += _axes(field, x_label, y_label)
    for one, place, _, _ in shown:
        parts += _interval(one, field, place)
    for level in levels:
        height_at = field.at(field.x.low, level.y)[1]
        parts.append(element("path", d=_segment(field.left, height_at, field.right, height_at), class_="axis dash-2"))
        parts.append(text(field.right, height_at - 4, level.name, anchor="end"))
    # Many lines, such as the seeds of several methods, are drawn finer.
    stroke, ring = ("line", 5.0) if len(series) <= COLOURS else ("line fine", 3.5)
    for one, place, at, values in shown:
        hue, dash = place % COLOURS + 1, (place // COLOURS) % 3
        path = coordinates(field.at(*pair) for pair in zip(at, values, strict=True))
        parts.append(element("polyline", points=path, class_=f"{stroke} s{hue}" + (f" dash-{dash}" if dash else "")))
        marked = len(at) <= 25 if one.dots is None else one.dots
        for x_value, y_value in zip(at, values, strict=True) if marked or len(at) == 1 else ():
            words = f"{one.name}: {y_value:.4g} at {x_value:g}"
            parts.append(shape(0, *field.at(x_value, y_value), class_=f"f{hue}", title=words))
    for one, place, _, _ in shown:
        if one.chosen is not None and math.isfinite(one.y[one.chosen]) and math.isfinite(one.x[one.chosen]):
            chosen = (one.x[one.chosen], one.y[one.chosen])
            words = f"{one.name}, {chosen_name}: {chosen[1]:.4g} at {chosen[0]:g}"
            parts.append(shape(0, *field.at(*chosen), size=ring, class_=f"ring s{place % COLOURS + 1} hollow", title=words))
    return document(parts, width=width, height=field.bottom + 42, title=title, standalone=standalone)


def bar_chart(
    categories: Sequence[str],
    bars: Sequence[Bars],
    *,
    title: str,
    value_label: str,
    category_label: str = "",
    kinds: Sequence[str] = (),
    horizontal: bool = False,
    decimals: int = 4,
    width: float = _WIDTH,
    height: float = 300,
    standalone: bool = True,
) -> str:
    """Grouped bars from 0 with error bars: upright, or `horizontal` with each category's name above its bars, for long names.

    kinds: of each category, where there is one bar each: a hue and a place in the legend for each kind, by name. decimals: of
    the values written beside horizontal bars. height: of upright charts; horizontal ones are as high as they must be.
    """
    assert all(len(one.values) == len(categories) for one in bars), "every category has one value of each kind"
    values = [bound for one in bars for bounds in (one.values, one.low, one.high) for bound in bounds or ()]
    assert not kinds or (len(bars) == 1 and len(kinds) == len(categories)), "a kind for each single bar"
    hues = {kind: place for place, kind in enumerate(sorted(set(kinds)))}
    entries = [(one.name, place) for place, one in enumerate(bars)] if len(bars) > 1 else list(hues.items())
    parts, top = _head(title, width, entries, lines=False)
    draw = _horizontal if horizontal else _upright
    labels = (category_label, value_label)
    more, end = draw(
        categories,
        bars,
        [hues[kind] for kind in kinds],
        axis(values, loose=True, include=[0.0]),
        labels,
        decimals,
        width,
        height,
        top,
    )
    return document(parts + more, width=width, height=end, title=title, standalone=standalone)


def scatter(
    points: ArrayLike,
    groups: Sequence[str | int],
    *,
    title: str,
    note: str = "",
    joined: bool = False,
    legend: bool | None = None,
    x_label: str = "",
    y_label: str = "",
    width: float = _WIDTH,
    standalone: bool = True,
) -> str:
    """Points in the plane, coloured and shaped by the group they belong to, on equal scales.

    points: (N, 2). groups: (N,), in any order; each gets the next hue when it first appears. note: a sentence below the title,
    such as the number that belongs to the picture. joined: a thin line through each group's points in their order. legend:
    whether the groups are named; by default where there are at most 12. Axes without labels have no numbers either: those of
    t-SNE mean nothing.
    """
    at = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    assert len(at) == len(groups), "every point belongs to a group"
    if not np.isfinite(at).all() or not len(at):
        raise ValueError("a scatter plot needs points, all of them finite")
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    named = len(places) <= 12 if legend is None else legend
    entries = [(str(group), place) for group, place in places.items()] if named else []
    parts, top = _head(title, width, entries, lines=False, note=note)
    numbers = bool(x_label or y_label)
    x, y = axis(at[:, 0].tolist()), axis(at[:, 1].tolist())
    left, right = (44.0, 12.0) if numbers else (8.0, 8.0)
    room = width - left - right
    scale = room / max(x.high - x.low, y.high - y.low)
    field = _Field(
        left + (room - scale * (x.high - x.low)) / 2,
        top + (_ABOVE if numbers else 4),
        scale * (x.high - x.low),
        scale * (y.high - y.low),
        x,
        y,
    )
    if numbers:
        parts += _axes(field, x_label, y_label)
    else:
        parts.append(element("rect", x=left, y=field.top, width=room, height=field.height, rx=6, class_="grid"))
    for group, place in places.items() if joined else ():
        members = [index for index, one in enumerate(groups) if one == group]
        path = coordinates(field.at(*pair) for pair in at[members].tolist())
        parts.append(element("polyline", points=path, class_=f"thin s{place % COLOURS + 1}"))
    for group, (x_value, y_value) in zip(groups, at.tolist(), strict=True):
        place = places[group]
        parts.append(shape(place, *field.at(x_value, y_value), class_=f"f{place % COLOURS + 1}", title=str(group)))
    return document(parts, width=width, height=field.bottom + (42 if numbers else 10), title=title, standalone=standalone)


def forest(
    rows: Sequence[ForestRow],
    *,
    title: str,
    label: str,
    note: str = "",
    decimals: int = 4,
    width: float = _WIDTH,
    standalone: bool = True,
) -> str:
    """Differences with their intervals around a zero line, one below the other; the name and the numbers stand above each.

    An arrow head up is better, down is worse, a hollow ring is not distinguishable; a row without a verdict has a dot. label:
    what the differences are. note: a sentence below the title.
    """
    parts, y = _head(title, width, [], lines=False, note=note)
    values = [value for row in rows for value in (row.mean, row.low, row.high) if value is not None]
    x = axis(values, include=[0.0])
    field = _Field(8, y, width - 16, 0, x, x)
    zero = field.at(0, 0)[0]
    body: list[str] = []
    heading = ""
    for row in rows:
        if row.heading != heading:
            heading = row.heading
            if heading:
                y += 12
                body.append(text(0, y + 10, heading, class_="title strong"))
                y += _LINE
        interval = "" if row.low is None or row.high is None else f" [{row.low:+.{decimals}f}, {row.high:+.{decimals}f}]"
        words = f"{row.mean:+.{decimals}f}{interval}".replace("-", "−")
        name = _cut(row.name, width - text_width(words) - 12)
        body += [text(0, y + 14, name, class_="strong halo"), text(width, y + 14, words, class_="halo", anchor="end")]
        middle = y + 25
        hue = {"better": 3, "worse": 2, "not distinguishable": 8, None: 1}[row.verdict]
        if row.low is not None and row.high is not None:
            ends = [field.at(bound, 0)[0] for bound in (row.low, row.high)]
            body.append(element("path", d=_capped(ends[0], ends[1], middle, upright=False), class_=f"bar s{hue}"))
        body.append(
            _verdict_mark(
                row.verdict, field.at(row.mean, 0)[0], middle, hue, f"{row.name}: {words} {row.verdict or ''}".strip()
            )
        )
        y += 36
    end = y + 4
    rules = [element("path", d=_segment(zero, field.top, zero, end), class_="axis")]
    ticks = []
    for tick, shown in zip(x.ticks, x.labels, strict=True):
        at = field.at(tick, 0)[0]
        if tick:
            rules.append(element("path", d=_segment(at, field.top, at, end), class_="grid"))
        words = f"+{shown}" if tick > 0 else shown.replace("-", "−")
        half = text_width(words) / 2
        ticks.append(text(min(max(at, half), width - half), end + 15, words, anchor="middle"))
    parts += rules + body + ticks + [text(width / 2, end + 33, label, anchor="middle")]
    return document(parts, width=width, height=end + 42, title=title, standalone=standalone)


def _head(
    title: str, width: float, entries: Sequence[tuple[str, int]], *, lines: bool, ring: str = "", note: str = ""
) -> tuple[list[str], float]:
    """The title, the note and the legend, and where the figure goes on below them. entries: names with their places."""
    parts = []
    y = 0.0
    for line in wrapped(title, width, _TITLE + 1):
        y += _LINE + 1
        parts.append(text(0, y - 3, line, class_="title strong"))
    for line in wrapped(note, width):
        y += _LINE
        parts.append(text(0, y - 3, line))
    if not entries and not ring:
        return parts, y + 4
    x = 0.0
    y += _LINE + 2
    for name, place in [*entries, *([(ring, -1)] if ring else [])]:
        mark = 22.0 if lines and place >= 0 else 12.0
        name = _cut(name, width - mark - 4)
        room = mark + text_width(name) + 18
        if x and x + room - 18 > width:
            x, y = 0.0, y + _LINE
        parts.append(_legend_mark(x, y - 4, place, lines=lines))
        parts.append(text(x + mark + 2, y, name))
        x += room
    return parts, y + 8


def _legend_mark(x: float, y: float, place: int, *, lines: bool) -> str:
    if place < 0:
        return shape(0, x + 6, y, size=4.5, class_="ring axis hollow")
    hue, dash = place % COLOURS + 1, (place // COLOURS) % 3
    if lines:
        return element("path", d=_segment(x + 1, y, x + 19, y), class_=f"line s{hue}" + (f" dash-{dash}" if dash else ""))
    return shape(place, x + 6, y, size=4.5, class_=f"f{hue}")


def _field(x: Axis, y: Axis, *, width: float, top: float, height: float) -> _Field:
    """The rectangle right of the labels of y."""
    left = max(text_width(label) for label in y.labels) + 8
    return _Field(left, top, width - left - 10, height, x, y)


def _axes(field: _Field, x_label: str, y_label: str) -> list[str]:
    """Grid lines with their numbers; the name of y above, that of x below."""
    parts = [text(0, field.top - 13, y_label)]
    for tick, label in zip(field.y.ticks, field.y.labels, strict=True):
        y = field.at(field.x.low, tick)[1]
        parts.append(element("path", d=_segment(field.left, y, field.right, y), class_="grid"))
        parts.append(text(field.left - 6, y + 4, label, anchor="end"))
    parts.append(element("path", d=_segment(field.left, field.bottom, field.right, field.bottom), class_="axis"))
    taken = -math.inf
    for tick, label in zip(field.x.ticks, field.x.labels, strict=True):
        x = field.at(tick, field.y.low)[0]
        half = text_width(label) / 2
        parts.append(element("path", d=_segment(x, field.bottom, x, field.bottom + 4), class_="axis"))
        if x - half > taken:
            parts.append(text(min(x, field.right + 10 - half), field.bottom + 17, label, anchor="middle"))
            taken = x + half + 6
    if x_label:
        parts.append(text((field.left + field.right) / 2, field.bottom + 35, x_label, anchor="middle"))
    return parts


def _interval(one: Series, field: _Field, place: int) -> list[str]:
    """The band or the error bars of a line."""
    if one.low is None or one.high is None:
        return []
    hue = place % COLOURS + 1
    known = [ends for ends in zip(one.x, one.low, one.high, strict=True) if all(math.isfinite(end) for end in ends)]
    if one.bars or len(known) == 1:
        drawn = []
        for x, low, high in known:
            middle, bottom = field.at(x, low)
            drawn.append(element("path", d=_capped(bottom, field.at(x, high)[1], middle, upright=True), class_=f"bar s{hue}"))
        return drawn
    upper = [field.at(x, high) for x, _, high in known]
    lower = [field.at(x, low) for x, low, _ in reversed(known)]
    return [element("polygon", points=coordinates([*upper, *lower]), class_=f"area f{hue}")] if known else []


def _upright(
    categories: Sequence[str],
    bars: Sequence[Bars],
    hues: Sequence[int],
    y: Axis,
    labels: tuple[str, str],
    decimals: int,
    width: float,
    height: float,
    top: float,
) -> tuple[list[str], float]:
    """Bars that stand, and where they end. A name that is too long for its place is broken or turned aside into two rows."""
    x = Axis(0, len(categories), (), ())
    field = _field(x, y, width=width, top=top + _ABOVE, height=height - _ABOVE - _LINE - 30)
    parts = _axes(field, "", labels[1])
    slot = field.width / len(categories)
    thick = min(34.0, slot * 0.76 / len(bars))
    base = field.at(0, 0)[1]
    lowest = field.bottom
    for index, category in enumerate(categories):
        middle = field.left + (index + 0.5) * slot
        for place, one in enumerate(bars):
            value = one.values[index]
            if not math.isfinite(value):
                continue
            left = middle + (place - len(bars) / 2) * thick
            tip = field.at(0, value)[1]
            words = f"{category}, {one.name}: {value:.{decimals}f}"
            parts.append(_bar(left, min(tip, base), thick - 2, abs(tip - base), hues[index] if hues else place, words))
            low, high = _ends(one, index)
            if low is not None and high is not None:
                ends = [field.at(0, end)[1] for end in (low, high)]
                parts.append(
                    element("path", d=_capped(ends[0], ends[1], left + thick / 2 - 1, upright=True), class_="bar error")
                )
        fits = text_width(category) <= slot - 2
        for row, line in enumerate([category] if fits else wrapped(category.replace("-", "- "), slot - 2)):
            parts.append(text(middle, field.bottom + 17 + row * 14, _cut(line, slot + 4), anchor="middle"))
            lowest = max(lowest, field.bottom + 17 + row * 14)
    parts.append(element("path", d=_segment(field.left, base, field.right, base), class_="axis"))
    if labels[0]:
        parts.append(text((field.left + field.right) / 2, lowest + 18, labels[0], anchor="middle"))
        lowest += 18
    return parts, lowest + 8


def _horizontal(
    categories: Sequence[str],
    bars: Sequence[Bars],
    hues: Sequence[int],
    x: Axis,
    labels: tuple[str, str],
    decimals: int,
    width: float,
    height: float,
    top: float,
) -> tuple[list[str], float]:
    """Bars that lie, each category's name above its own, the value behind each; and where they end."""
    values = [value for one in bars for value in one.values if math.isfinite(value)]
    beside = max(text_width(f"{value:.{decimals}f}") for value in values) + 8
    field = _Field(1, top + 4, width - beside - 2, 0, x, x)
    zero = field.at(0, 0)[0]
    y = field.top
    body: list[str] = []
    for index, category in enumerate(categories):
        body.append(text(0, y + 13, _cut(category, width), class_="strong halo"))
        y += 19
        for place, one in enumerate(bars):
            value = one.values[index]
            if math.isfinite(value):
                tip = field.at(value, 0)[0]
                words = f"{category}, {one.name}: {value:.{decimals}f}"
                body.append(_bar(min(tip, zero), y, abs(tip - zero), 12, hues[index] if hues else place, words))
                low, high = _ends(one, index)
                reach = tip
                if low is not None and high is not None:
                    ends = [field.at(end, 0)[0] for end in (low, high)]
                    body.append(element("path", d=_capped(ends[0], ends[1], y + 6, upright=False), class_="bar error"))
                    reach = max(reach, *ends)
                body.append(text(reach + 6, y + 10, f"{value:.{decimals}f}"))
            y += 15
        y += 7
    rules, ticks = [], []
    for tick, label in zip(x.ticks, x.labels, strict=True):
        at = field.at(tick, 0)[0]
        rules.append(element("path", d=_segment(at, field.top, at, y), class_="axis" if tick == 0 else "grid"))
        half = text_width(label) / 2
        ticks.append(text(min(max(at, half), width - half), y + 15, label, anchor="middle"))
    return [*rules, *body, *ticks, text(width / 2, y + 33, labels[1], anchor="middle")], y + 42


def _bar(x: float, y: float, width: float, height: float, place: int, words: str) -> str:
    return element(
        "rect",
        element("title", written(words)),
        x=x,
        y=y,
        width=max(width, 0.5),
        height=max(height, 0.5),
        rx=1.5,
        class_=f"block f{place % COLOURS + 1}",
    )


def _verdict_mark(verdict: str | None, x: float, y: float, hue: int, words: str) -> str:
    """Above, below, or hollow: the shape says what the hue says."""
    title = element("title", written(words))
    if verdict in ("better", "worse"):
        up = -1 if verdict == "better" else 1
        corners = [(x, y + up * 7), (x + 6, y - up * 5), (x - 6, y - up * 5)]
        return element("polygon", title, points=coordinates(corners), class_=f"f{hue}")
    if verdict:
        return element("circle", title, cx=x, cy=y, r=4.5, class_=f"ring s{hue} hollow")
    return element("circle", title, cx=x, cy=y, r=4.5, class_=f"f{hue}")


def _ends(one: Bars, index: int) -> tuple[float | None, float | None]:
    low, high = (
        None if bounds is None or not math.isfinite(bounds[index]) else bounds[index] for bounds in (one.low, one.high)
    )
    return low, high


def _finite(one: Series) -> tuple[list[float], list[float]]:
    """The points of a line that can be drawn."""
    pairs = [(x, y) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _segment(x: float, y: float, x_end: float, y_end: float) -> str:
    return f"M{coordinates([(x, y)])}L{coordinates([(x_end, y_end)])}"


def _capped(start: float, end: float, across: float, *, upright: bool, cap: float = 3) -> str:
    """The path of an error bar from start to end at `across`."""
    ends = []
    for place in (start, end):
        ends.append(
            _segment(across - cap, place, across + cap, place)
            if upright
            else _segment(place, across - cap, place, across + cap)
        )
    stem = _segment(across, start, across, end) if upright else _segment(start, across, end, across)
    return stem + "".join(ends)


def _cut(words: str, width: float) -> str:
    """The text, its end replaced by an ellipsis where it would not fit."""
    if text_width(words) <= width:
        return words
    while words and text_width(f"{words}…") > width:
        words = words[:-1]
    return f"{words.rstrip()}…"
