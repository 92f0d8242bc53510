"""The page: one HTML file with everything in it, its style and its pictures; no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .. import __version__
from .contents import Contents, Scores
from .html import Section, document, listed, paragraph
from .sections import sections
from .style import STYLE
from .tables import metric_text
from .wording import CHOSEN_BY, HEADLINE, shown

__all__ = ["page"]


def page(contents: Contents) -> str:
    """The document. A function of `contents` alone."""
    made = sections(contents)
    return document(
        title=f"{contents.title} · seqaug",
        style=STYLE,
        skip="Skip to the results",
        header=_header(contents),
        navigation=_navigation(made),
        content=[_section(one) for one in made],
        footer=f"Made by seqaug {__version__}, {contents.made}. No network, no script.",
    )


def _header(contents: Contents) -> str:
    notes = f'<div class="notes"><h2>Before you read on</h2>{listed(contents.notes)}</div>' if contents.notes else ""
    cards = "".join(_card(name, big, below) for name, big, below in _headlines(contents))
    return (
        f'<header><p class="kind">seqaug report</p><h1>{escape(contents.title)}</h1>{paragraph(contents.lead, class_="lead")}'
        f'<dl class="cards">{cards}</dl>{notes}</header>'
    )


def _card(name: str, big: str, below: str) -> str:
    shown = f'<dd class="big">{escape(big)}</dd><dd class="below">{escape(below)}</dd>'
    return f'<div class="card"><dt>{escape(name)}</dt>{shown}</div>'


def _headlines(contents: Contents) -> Iterator[tuple[str, str, str]]:
    """What it is about in a few numbers: of the method, or on each data set of the one that validation would choose."""
    data = list(dict.fromkeys(one.data for one in contents.scores))
    for name in data:
        there = [one for one in contents.scores if one.data == name]
        on = f" on {name}" if len(data) > 1 else ""
        if len(there) == 1:
            for part, words in (("test", "seen items kept"), ("test_unseen", "seen items removed")):
                if len(data) == 1 or part == "test":
                    yield from _two(there[0], part, f"{on}, {words}" if len(data) == 1 else on, "")
        else:
            best = max(there, key=lambda one: one.valid.get(CHOSEN_BY, 0.0))
            yield from _two(best, "test", on, f"{shown(best)}, best of {len(there)} on validation")


def _two(one: Scores, part: str, where: str, below: str) -> Iterator[tuple[str, str, str]]:
    for metric in HEADLINE:
        estimate = one.estimates.get((part, metric))
        if estimate is not None:
            known = estimate.low is not None and estimate.high is not None
            interval = f"{estimate.low:.4f} – {estimate.high:.4f}" if known else "no interval"
            yield f"{metric_text(metric)}{where}", f"{estimate.value:.4f}", "; ".join(filter(None, [interval, below]))


def _navigation(made: list[Section]) -> str:
    items = "".join(f'<li><a href="#{one.id}">{escape(one.heading)}</a></li>' for one in made)
    return f'<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ol>{items}</ol></nav>'


def _section(one: Section) -> str:
    heading = f'<h2 id="{one.id}-heading">{escape(one.heading)}</h2>'
    return f'<section id="{one.id}" aria-labelledby="{one.id}-heading">{heading}{one.body}</section>'
