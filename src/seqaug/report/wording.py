"""What several sections of a page say in the same words: names, numbers, durations."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.intervals import Estimate
from .contents import Contents, Scores

__all__ = [
    "CHOSEN_BY",
    "HEADLINE",
    "bounds",
    "by_validation",
    "data_of",
    "duration",
    "enumerated",
    "marked",
    "p_text",
    "shown",
    "signed",
    "value_of",
]

HEADLINE = ("hr@10", "ndcg@10")
CHOSEN_BY = "ndcg@10"
"""The metric by which methods are ordered; on validation, where one is chosen."""


def duration(seconds: float) -> str:
    """3.24 -> "3.2 s", 75 -> "1 min 15 s", 8000 -> "2 h 13 min"."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def enumerated(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def signed(text: str) -> str:
    """With a minus sign in the place of a hyphen before a number."""
    for before in ("", "[", " "):
        text = text.replace(f"{before}-0.", f"{before}−0.")
    return text


def p_text(p: float) -> str:
    """ "< 0.001", "0.032"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def shown(one: Scores) -> str:
    """The method's name, with a dagger where a note belongs to it."""
    return f"{one.method} †" if one.note else one.method


def marked(contents: Contents, method: str, data: str) -> str:
    """The same for a method that is known by its name."""
    return next((shown(one) for one in contents.scores if (one.method, one.data) == (method, data)), method)


def data_of(contents: Contents) -> list[str]:
    """The data sets in the order of the runs."""
    return list(dict.fromkeys(one.data for one in contents.scores))


def by_validation(contents: Contents, data: str) -> list[str]:
    """The methods on a data set: what was trained before what was not, the best on validation first.

    Charts name them in this order, and its places give them their hues, so that a hue means one method throughout a section.
    """
    there = [one for one in contents.scores if one.data == data]
    return [one.method for one in sorted(there, key=lambda one: (not one.epochs, -one.valid.get(CHOSEN_BY, 0.0)))]


def value_of(one: Scores, metric: str) -> float:
    """Of the test part, seen items kept."""
    estimate = one.estimates.get(("test", metric))
    return 0.0 if estimate is None else estimate.value


def bounds(one: Estimate | None) -> tuple[float | None, float | None, float | None]:
    """Value, low and high; None where nothing is known."""
    return (None, None, None) if one is None else (one.value, one.low, one.high)
