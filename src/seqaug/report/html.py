"""HTML as strings: the pieces that pages are made of. Words are escaped; what is called markup is put in as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from .. import __version__

__all__ = ["Section", "cell", "details", "document", "figures", "listed", "numbers", "paragraph", "scrolled", "table"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page with a heading. id: of its anchor. body: markup below the heading."""

    id: str
    heading: str
    body: str


# Whoever changes a page so that it would load something has a browser that refuses.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def document(*, title: str, style: str, skip: str, header: str, navigation: str, content: Iterable[str], footer: str) -> str:
    """A whole page. title, skip (what the first link leads to), footer: words; header, navigation, content: markup."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f'<meta name="generator" content="seqaug {escape(__version__)}">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f'<a class="skip" href="#content">{escape(skip)}</a>',
            '<div class="whole">',
            header,
            '<div class="body">',
            navigation,
            '<main id="content">',
            *content,
            "</main>",
            "</div>",
            f"<footer>{escape(footer)}</footer>",
            "</div>",
            "</body>",
            "</html>",
            "",
        ]
    )


def paragraph(words: str, *, class_: str = "") -> str:
    """A paragraph of words."""
    return f"<p{_class(class_)}>{escape(words)}</p>"


def listed(sentences: Iterable[str], *, class_: str = "") -> str:
    """A list of sentences; nothing where there is none."""
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f"<ul{_class(class_)}>{items}</ul>" if items else ""


def details(summary: str, markup: str, *, open_: bool = False) -> str:
    """A part that opens when its summary is pressed; on paper it is open."""
    return (
        f'<details{" open" if open_ else ""}><summary>{escape(summary)}</summary><div class="inside">{markup}</div></details>'
    )


def figures(drawn: Iterable[str]) -> str:
    """Figures beside each other where there is room, below each other where there is none."""
    inside = "".join(f"<figure>{one}</figure>" for one in drawn)
    return f'<div class="figures">{inside}</div>' if inside else ""


def scrolled(markup: str, label: str) -> str:
    """A box that moves sideways by itself, so that the page need not; reached by the keyboard too."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{markup}</div>'


def cell(words: str, small: str = "", *, class_: str = "") -> str:
    """Markup of a cell: words, and below them smaller ones."""
    more = f"<small>{escape(small)}</small>" if small else ""
    inside = f"{escape(words)}{more}"
    return f"<span{_class(class_)}>{inside}</span>" if class_ else inside


def numbers(value: float | None, low: float | None = None, high: float | None = None, *, decimals: int = 4) -> str:
    """Markup of a cell: a number, its interval below it; a dash where nothing is known."""
    if value is None:
        return "–"
    interval = ""
    if low is not None and high is not None:
        interval = f"{low:.{decimals}f}{' – ' if low >= 0 else ' to '}{high:.{decimals}f}"
    return cell(f"{value:.{decimals}f}".replace("-", "−"), interval.replace("-", "−"))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    caption: str,
    words: Iterable[int] = (0,),
    narrow: bool = False,
) -> str:
    """A table in a box of its own, its caption above. rows: markup; the first cell of each is its header.

    words: columns that hold words, not numbers.
    narrow: words are not broken into lines, for a table that is wide anyway.
    """
    left = set(words)

    def align(place: int) -> str:
        return ' class="words"' if place in left else ""

    head = "".join(f'<th scope="col"{align(place)}>{escape(name)}</th>' for place, name in enumerate(header))
    body = "".join(
        f'<tr><th scope="row"{align(0)}>{row[0]}</th>'
        + "".join(f"<td{align(place)}>{content}</td>" for place, content in enumerate(row[1:], start=1))
        + "</tr>"
        for row in rows
    )
    kind = _class("narrow" if narrow else "")
    drawn = f'<table{kind} aria-label="{escape(caption)}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return paragraph(caption, class_="caption") + scrolled(drawn, caption)


def _class(name: str) -> str:
    return f' class="{escape(name)}"' if name else ""
