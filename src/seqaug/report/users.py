"""Who is hit: by length of history and by popularity of the target."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .contents import Contents, Hits
from .figures import bar_chart, bars_of
from .html import Section, details, figures, numbers, paragraph, table
from .tables import metric_text
from .wording import HEADLINE, by_validation, marked

__all__ = ["hits"]

SHOWN = 4
"""Methods that are drawn side by side; the table has all."""
MEANINGS = {
    "length of history": "The number of items that the user had before the one that was asked for.",
    "popularity of the target": "The number of training actions of the item that was asked for; 0: nobody had it in training.",
}


def hits(contents: Contents) -> Section | None:
    """Hits in bins, or in words why there are none; None where no run has ranks."""
    if not contents.hits and not contents.no_data:
        return None
    parts = [
        paragraph(f"{data}: lengths and popularity are not known here, because {why}") for data, why in contents.no_data.items()
    ]
    for one in contents.hits:
        names = list(dict.fromkeys(method for method, _ in one.values))
        chosen = [name for name in by_validation(contents, one.data) if name in names][:SHOWN]
        all_of = f"The numbers of all {len(names)} methods" if len(names) > len(chosen) else "The numbers"
        best = f" Drawn are the {len(chosen)} that are best on validation." if len(names) > len(chosen) else ""
        parts += [
            f"<h3>{escape(one.data)}: by {escape(one.what)}</h3>",
            paragraph(MEANINGS.get(one.what, "") + best),
            figures(_chart(one, metric, chosen, contents) for metric in HEADLINE),
            details(all_of, "".join(_table(one, metric, names, contents) for metric in HEADLINE)),
        ]
    return Section("hits", "Who is hit", "".join(parts))


def _chart(one: Hits, metric: str, methods: Sequence[str], contents: Contents) -> str:
    return bar_chart(
        [inside.label for inside in one.bins],
        [bars_of(marked(contents, method, one.data), one.values[method, metric]) for method in methods],
        title=f"{metric_text(metric)} by {one.what}",
        value_label=f"{metric_text(metric)}, 95 % interval",
        category_label=one.what,
        standalone=False,
    )


def _table(one: Hits, metric: str, methods: Sequence[str], contents: Contents) -> str:
    rows = [["users", *(f"{inside.users:,}" for inside in one.bins)]]
    rows += [
        [
            escape(marked(contents, method, one.data)),
            *(numbers(found.value, found.low, found.high) for found in one.values[method, metric]),
        ]
        for method in methods
    ]
    how = "the mean over the seeds of each user, and Wilson's 95 % interval over the users of the bin."
    return table(["", *(inside.label for inside in one.bins)], rows, caption=f"{metric_text(metric)} by {one.what}: {how}")
