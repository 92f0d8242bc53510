"""Figures 3 to 5 of the paper, where runs for them exist."""

from __future__ import annotations

import math
from html import escape

from .contents import Closeness, Contents, Grid
from .figures import Series, line_chart
from .html import Section, details, figures, numbers, table
from .tables import metric_text
from .wording import bounds, enumerated

__all__ = ["paper_figures"]


def paper_figures(contents: Contents) -> Section | None:
    """None where no runs differ in one of the values alone, and no picture was made."""
    drawn = [
        _chart([grid for grid in contents.grids if grid.path == path])
        for path in dict.fromkeys(grid.path for grid in contents.grids)
    ]
    drawn += contents.pictures
    if not drawn:
        return None
    which = sorted({grid.figure for grid in contents.grids} | ({5} if contents.pictures else set()))
    body = figures(drawn)
    if contents.grids:
        rows = [
            [escape(f"{grid.symbol}, {grid.data}"), f"{value:g}", numbers(*bounds(one)), str(seeds)]
            for grid in contents.grids
            for value, one, seeds in grid.points
        ]
        caption = "Runs that differ in this value alone, with 95 % intervals."
        body += details(
            "The numbers", table(["", "value", metric_text(contents.grids[0].metric), "seeds"], rows, caption=caption)
        )
    body += "".join(_closeness(one) for one in contents.closeness)
    heading = f"Figure{'s' if len(which) > 1 else ''} {enumerated([str(one) for one in which])} of the paper"
    return Section("figures", heading, body)


def _closeness(one: Closeness) -> str:
    """The numbers beside figure 5."""
    rows = [[escape(column), *(numbers(*bounds(estimate)) for estimate in known)] for column, *known in one.rows]
    if one.difference is not None:
        rows.append(["difference", "–", "–", numbers(*bounds(one.difference))])
    header = ["", "within a sequence", "dealt out at random", "above random"]
    return table(header, rows, caption=f"Figure 5, {one.data}: mean cosine of the items of a sequence, with 95 % intervals.")


def _chart(grids: list[Grid]) -> str:
    """A metric over one value, a line a data set."""
    first = grids[0]
    values = sorted({value for grid in grids for value, _, _ in grid.points})
    series = []
    for grid in grids:
        known = [one for _, one, _ in grid.points]
        low, high = (
            [math.nan if end is None else end for end in ends]
            for ends in zip(*((one.low, one.high) for one in known), strict=True)
        )
        series.append(
            Series(grid.data, [value for value, _, _ in grid.points], [one.value for one in known], low, high, bars=True)
        )
    return line_chart(
        series,
        title=f"Figure {first.figure}: {metric_text(first.metric)} over {first.symbol}"
        + ("" if len(grids) > 1 else f" on {first.data}"),
        x_label=f"{first.symbol} ({first.path})",
        y_label=f"{metric_text(first.metric)}, test, 95 % interval",
        log_x=min(values) > 0 and max(values) / min(values) >= 20,
        x_ticks=values,
        standalone=False,
    )
