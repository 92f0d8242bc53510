"""The page of a preview: one HTML file with everything in it; no script, nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from .. import __version__
from .html import details, document, listed, paragraph, scrolled, table
from .preview import (
    LOOKED_AT,
    MEANINGS,
    NUMBERS,
    Cell,
    Preview,
    PreviewedUser,
    Row,
    ViewFacts,
    confidence_text,
    cosine_text,
    number_text,
    rows,
    short_names,
    table_of_made_up,
    table_of_numbers,
    verdicts,
)
from .style import STYLE

__all__ = ["preview_page"]

# On a phone a row becomes a block: the original, and below it only what differs, each line with the name of its view.
_OWN = """
.beside th,.beside td{text-align:left;white-space:normal;min-width:8.5rem}
.beside .place,.beside .confidence{text-align:right;white-space:nowrap;color:var(--soft);min-width:0;width:1%}
.beside tbody th{font-weight:400;position:static}
.beside tr.chosen>*{background:var(--warn-faint)}
.beside tr.chosen th{font-weight:620}
.beside td.kept{color:var(--soft);opacity:.75}
.beside td.out{color:var(--soft);font-style:italic}
.beside td.new{font-weight:560;color:var(--accent)}
.beside td.in{font-weight:560;color:var(--better)}
.beside td small{font-weight:400;white-space:normal}
.beside .later{font-weight:620;color:var(--worse)}
.bar{display:inline-block;width:3.2rem;height:.42rem;margin-left:.5rem;vertical-align:.12em;background:var(--line);
border-radius:99px;overflow:hidden}
.bar i{display:block;height:100%;background:var(--soft)}
tr.chosen .bar i{background:var(--warn)}
.key{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;list-style:none;padding:0;margin:.4rem 0 1rem;max-width:none;
font-size:.86rem;color:var(--soft)}
@media (max-width:34rem){
.numbers th{white-space:normal}
.numbers tbody th{min-width:8.6rem;max-width:none}
.numbers th,.numbers td{padding-left:.3rem;padding-right:.3rem}
.key{gap:0 1rem;line-height:1.4}
.beside table,.beside tbody,.beside tbody th,.beside td{display:block;width:auto;min-width:0;max-width:none;border:0;padding:0}
.beside thead,.beside td.kept,.beside td.nothing{display:none}
.beside tr{display:grid;grid-template-columns:2rem minmax(0,1fr) auto;gap:0 .5rem;padding:.4rem .5rem;
border-bottom:1px solid var(--line)}
.beside .place,.beside .confidence{width:auto}
.beside tr>.view{grid-column:2/-1}
.beside tr>.view::before{content:attr(data-view) ": ";color:var(--soft);font-weight:400}
.beside tr.chosen{background:var(--warn-faint)}
.beside td small{display:inline;margin-left:.5em}
.bar{width:2rem}}
@media print{.bar{display:none}}
"""


def preview_page(preview: Preview) -> str:
    """The document. A function of `preview` alone."""
    title = f"{preview.recipe} on {preview.data}"
    parts = list(_sections(preview))
    links = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading, _ in parts)
    contents = f'<nav aria-labelledby="contents"><h2 id="contents">Contents</h2><ol>{links}</ol></nav>'
    return document(
        title=f"{title} · seqaug preview",
        style=STYLE + _OWN,
        skip="Skip to the sequences",
        header=_header(preview, title),
        navigation=contents if parts else "<div></div>",
        content=[_section(*part) for part in parts],
        footer=f"{LOOKED_AT} Seed {preview.seed}, seqaug {__version__}. No network, no script.",
    )


def _header(preview: Preview, title: str) -> str:
    cautions = [*([] if preview.trained else [_capital(preview.weights)]), *preview.notes]
    lead = "What the augmenters make of sequences: the original beside every view."
    lead += f" {_capital(preview.weights)}" if preview.trained else ""
    notes = f'<div class="notes"><h2>Before you read on</h2>{listed(cautions)}</div>' if cautions else ""
    cards = "".join(_card(*one) for one in _cards(preview))
    return (
        f'<header><p class="kind">seqaug preview</p><h1>{escape(title)}</h1>{paragraph(lead, class_="lead")}'
        f"{f'<dl class=cards>{cards}</dl>' if cards else ''}{notes}</header>"
    )


def _section(name: str, heading: str, body: str) -> str:
    title = f'<h2 id="{name}-heading">{escape(heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-heading">{title}{body}</section>'


def _card(name: str, big: str, below: str) -> str:
    shown = f'<dd class="big">{escape(big)}</dd><dd class="below">{escape(below)}</dd>'
    return f'<div class="card"><dt>{escape(name)}</dt>{shown}</div>'


def _cards(preview: Preview) -> Iterator[tuple[str, str, str]]:
    """(name, number, what it is of): the first of the numbers that say something, of the first view with items of its own."""
    own = [view for view in preview.views if view.words is None]
    for view in own[:1]:
        names = ("identity_rate", "similarity", "percentile_drift", "masked", "moved", "dropped", "representation")
        told = [name for name in names if getattr(view.numbers, name)]
        for name in told[:3]:
            yield _capital(NUMBERS[name]), number_text(name, getattr(view.numbers, name)), view.name
    for view in own:
        if view.negative and view.numbers.put_in:
            later = number_text("later_true", view.numbers.later_true)
            yield "False negatives", later, f"of {view.numbers.put_in:,} hard negatives are taken later"
            return


def _sections(preview: Preview) -> Iterator[tuple[str, str, str]]:
    """(anchor, heading, markup)"""
    if not preview.over:
        return
    if preview.views:
        yield "views", "The views", _views(preview.views)
    yield "numbers", f"Over {preview.over:,} of {preview.users:,} users", _numbers(preview)
    for place, user in enumerate(preview.shown):
        yield f"user-{place}", f"User {user.user}", _user(preview, user)


def _views(views: Sequence[ViewFacts]) -> str:
    told = "".join(
        f"<dt>{escape(view.name)}</dt><dd>{escape(f'{view.use}: {view.read}')}"
        f"{f'<br>{escape(_capital(view.words))}.' if view.words else ''}</dd>"
        for view in views
    )
    return f'<dl class="facts">{told}</dl>'


def _numbers(preview: Preview) -> str:
    parts = []
    if preview.views:
        lines = [[escape(label), *map(escape, texts)] for label, texts in table_of_numbers(preview.views)]
        header = ["", *(view.name.replace(".", ".\u200b", 1) for view in preview.views)]  # a line may end there
        drawn = table(header, lines, caption="What each view does")
        parts.append(f'<div class="numbers">{drawn}</div>')
    if preview.made_up is not None:
        lines = [[escape(name), escape(text)] for name, text in table_of_made_up(preview.made_up)]
        parts.append(table(["", "made up"], lines, caption="What is put in front of the sequences"))
    parts.append(listed(verdicts(preview)))
    meanings = "".join(f"<dt>{escape(NUMBERS[name])}</dt><dd>{escape(meaning)}</dd>" for name, meaning in MEANINGS.items())
    parts.append(details("What the numbers are", f'<dl class="facts">{meanings}</dl>'))
    return "".join(parts)


def _user(preview: Preview, user: PreviewedUser) -> str:
    names = [view.name for view in preview.views if view.words is None]
    found = rows(user, names)
    told = {name: view.representation for name, view in user.views.items() if view.representation is not None}
    each = ", ".join(f"{name} {cosine_text(cosine)}" for name, cosine in told.items())
    drawn = scrolled(_beside(preview, user, names, found), f"user {user.user}: the original beside the views")
    return "".join(
        [
            paragraph(user.described(preview)),
            _key(found),
            f'<div class="beside">{drawn}</div>',
            paragraph(f"Cosine of each view's representation to the original's: {each}.") if each else "",
        ]
    )


def _key(found: Sequence[Row]) -> str:
    """How to read the table, as far as it takes."""
    kinds = {cell.placed.what for row in found for cell in row.cells if cell is not None and cell.placed is not None}
    said = [
        ("shaded: chosen by a selector", any(row.selected for row in found)),
        ("bar: confidence, beside the largest of the sequence", any(row.confidence is not None for row in found)),
        ("grey: the original item", "kept" in kinds),
        ("coloured: another item", bool(kinds & {"replaced", "inserted", "moved"})),
        ("cosine: to the item that was there", "replaced" in kinds),
        ("another sequence: set so that both end together", "other" in kinds),
    ]
    words = [text for text, wanted in said if wanted]
    return listed(words, class_="key")


def _beside(preview: Preview, user: PreviewedUser, names: Sequence[str], found: Sequence[Row]) -> str:
    shown = short_names(names)
    largest = max((row.confidence for row in found if row.confidence is not None), default=None)
    head = ["", "original", *([] if largest is None else ["confidence"]), *shown]
    body = "".join(_row(preview, user, shown, row, largest) for row in found)
    kinds = {0: ' class="place"', 2: "" if largest is None else ' class="confidence"'}
    header = "".join(f'<th scope="col"{kinds.get(place, "")}>{escape(name)}</th>' for place, name in enumerate(head))
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"


def _row(preview: Preview, user: PreviewedUser, names: Sequence[str], row: Row, largest: float | None) -> str:
    place = "" if row.place is None else str(row.place) if row.place else "made up"
    title = "" if row.item is None else escape(preview.title(row.item))
    cells = [f'<td class="place">{place}</td>', f'<th scope="row">{title}</th>']
    if largest is not None:
        share = 0.0 if row.confidence is None or not largest else row.confidence / largest
        bar = f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>' if row.confidence is not None else ""
        cells.append(f'<td class="confidence">{confidence_text(row.confidence)}{bar}</td>')
    cells += [_cell(preview, user, name, cell) for name, cell in zip(names, row.cells, strict=True)]
    return f"<tr{' class=chosen' if row.selected else ''}>{''.join(cells)}</tr>"


_CLASSES: Mapping[str, str] = {"kept": "kept", "same": "same", "masked": "same", "inserted": "in"}


def _cell(preview: Preview, user: PreviewedUser, view: str, cell: Cell | None) -> str:
    def made(kind: str, markup: str) -> str:
        return f'<td class="view {kind}" data-view="{escape(view)}">{markup}</td>'

    if cell is None:
        return made("nothing", "")
    one = cell.placed
    if one is None:
        return made("out", "left out")
    if one.what == "masked":
        return made("same", '<span class="tag">MASK</span>')
    remarks = [escape(text) for text in _remarks(user, cell)]
    if one.later_true:
        remarks.append('<span class="later">taken later</span>')
    small = f"<small>{' · '.join(remarks)}</small>" if remarks else ""
    return made(_CLASSES.get(one.what, "new" if one.what != "other" else ""), escape(preview.title(one.item)) + small)


def _remarks(user: PreviewedUser, cell: Cell) -> Iterator[str]:
    """What stands below an item that is not as it was."""
    one = cell.placed
    assert one is not None
    if one.what == "same":
        yield "the original again"
    if one.what == "inserted":
        yield "inserted"
    if one.came_from is not None:
        yield f"from place {user.place(one.came_from)}"
    if one.what == "replaced" and one.similarity is not None:
        yield f"cosine {cosine_text(one.similarity)}"
    if one.in_history:
        yield "had before"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
