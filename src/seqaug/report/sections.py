"""The sections of a page, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Callable

from .contents import Contents
from .differences import comparison, ladder
from .facts import recipes, runs
from .html import Section
from .paper_figures import paper_figures
from .results import protocol, results
from .training import curves, seconds
from .users import hits

__all__ = ["sections"]

_ALL: tuple[Callable[[Contents], Section | None], ...] = (
    results,
    protocol,
    comparison,
    ladder,
    paper_figures,
    curves,
    seconds,
    hits,
    recipes,
    runs,
)


def sections(contents: Contents) -> list[Section]:
    """Those that have something to show: what does not exist is left out, never faked."""
    return [found for make in _ALL if (found := make(contents)) is not None]
