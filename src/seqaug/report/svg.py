"""SVG as strings: elements, the colours of all figures, and how wide a text will be.

Colours are CSS custom properties, so a figure follows dark and light; every rule first names a plain colour, for viewers of
.svg files that know no custom properties. The eight hues are those of Okabe and Ito (2008), which readers with any colour
vision tell apart; on dark ground they are lighter. Series beyond the eighth are dashed, groups beyond the eighth have other
shapes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from html import escape
from xml.etree import ElementTree

__all__ = [
    "COLOURS",
    "STYLE",
    "coordinates",
    "document",
    "element",
    "embedded",
    "number",
    "shape",
    "text",
    "text_width",
    "wrapped",
    "written",
]

COLOURS = 8
"""How many hues there are; the rest is told by dashes and shapes."""

_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b0528c", "#c98500", "#2f9bd8", "#6f5bb5", "#5b6470")
_DARK = ("#5aaeea", "#ff8f4a", "#3fc79a", "#e08cbf", "#f0b840", "#8fd0ff", "#a99bec", "#a7b0bb")
_INKS = {
    "ink": ("#1d242b", "#e4e8ec"),
    "soft": ("#5a6570", "#a2acb6"),
    "grid": ("#e3e7ea", "#333b43"),
    "paper": ("#ffffff", "#15191d"),
}


def _style() -> str:
    names = {**_INKS, **{str(place): pair for place, pair in enumerate(zip(_LIGHT, _DARK, strict=True), start=1)}}
    light, dark = (";".join(f"--plot-{name}:{pair[which]}" for name, pair in names.items()) for which in (0, 1))
    rules = [
        f":where(.plot){{{light};color-scheme:light dark}}",
        f"@media screen and (prefers-color-scheme:dark){{:where(.plot){{{dark}}}}}",
        ".plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}",
        ".plot{font-size:12px;font-variant-numeric:tabular-nums}",
        f".plot text{{fill:{_INKS['soft'][0]};fill:var(--plot-soft)}}",
        f".plot .strong{{fill:{_INKS['ink'][0]};fill:var(--plot-ink)}}",
        f".plot .halo{{paint-order:stroke;stroke:{_INKS['paper'][0]};stroke:var(--plot-paper)}}",
        ".plot .halo{stroke-width:4px;stroke-linejoin:round}",
        ".plot .title{font-size:14px;font-weight:600}",
        f".plot .ground{{fill:{_INKS['paper'][0]};fill:var(--plot-paper)}}",
        f".plot .grid{{stroke:{_INKS['grid'][0]};stroke:var(--plot-grid);stroke-width:1;fill:none}}",
        f".plot .axis{{stroke:{_INKS['soft'][0]};stroke:var(--plot-soft);stroke-width:1;fill:none}}",
        ".plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}",
        ".plot .fine{stroke-width:1.3}",
        ".plot .thin{fill:none;stroke-width:1;stroke-opacity:.45}",
        ".plot .bar{fill:none;stroke-width:1.5}",
        f".plot .error{{stroke:{_INKS['ink'][0]};stroke:var(--plot-ink);stroke-width:1.25}}",
        ".plot .block{fill-opacity:.6}",
        ".plot .area{stroke:none;fill-opacity:.16}",
        ".plot .ring{stroke-width:2}",
        ".plot .dash-1{stroke-dasharray:7 4}.plot .dash-2{stroke-dasharray:2 4}",
    ]
    for place, colour in enumerate(_LIGHT, start=1):
        rules.append(f".plot .s{place}{{stroke:{colour};stroke:var(--plot-{place})}}")
        rules.append(f".plot .f{place}{{fill:{colour};fill:var(--plot-{place})}}")
    # Last, so that a ring is hollow whatever hue it has.
    rules.append(f".plot .hollow{{fill:{_INKS['paper'][0]};fill:var(--plot-paper)}}")
    return "".join(rules)


STYLE = _style()
"""The rules of all figures. A page that shows figures made with `standalone=False` holds them once."""


def number(value: float) -> str:
    """A coordinate: one decimal at most, never "-0"."""
    shown = f"{value:.1f}".removesuffix(".0")
    return "0" if shown == "-0" else shown


def element(tag: str, content: str = "", **attributes: str | float | None) -> str:
    """One element. content: markup. Attributes are escaped; `class_` is "class", "_" else "-"; None leaves an attribute out."""
    pairs = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{written(value) if isinstance(value, str) else number(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{pairs}>{content}</{tag}>" if content else f"<{tag}{pairs}/>"


def text(x: float, y: float, words: str, *, class_: str | None = None, anchor: str | None = None) -> str:
    """A line of text, escaped, on the base line (x, y)."""
    return element("text", written(words), x=x, y=y, class_=class_, text_anchor=anchor)


def shape(place: int, x: float, y: float, *, size: float = 3, class_: str, title: str = "") -> str:
    """The mark of the group `place` (from 0): circle, square, triangle, diamond in turn, after every eight hues."""
    content = element("title", written(title)) if title else ""
    which = (place // COLOURS) % 4
    if which == 0:
        return element("circle", content, cx=x, cy=y, r=size, class_=class_)
    side = size * 0.9
    corners = {
        1: [(-side, -side), (side, -side), (side, side), (-side, side)],
        2: [(0, -1.3 * size), (1.2 * size, size), (-1.2 * size, size)],
        3: [(0, -1.4 * size), (1.4 * size, 0), (0, 1.4 * size), (-1.4 * size, 0)],
    }[which]
    return element("polygon", content, points=coordinates((x + dx, y + dy) for dx, dy in corners), class_=class_)


def coordinates(pairs: Iterable[tuple[float, float]]) -> str:
    """ "1,2 3,4" """
    return " ".join(f"{number(x)},{number(y)}" for x, y in pairs)


def document(parts: Iterable[str], *, width: float, height: float, title: str, standalone: bool) -> str:
    """The <svg> around `parts`. standalone: with its own rules and ground, so that the string is a whole .svg file."""
    inside = element("title", written(title))
    if standalone:
        inside += element("style", STYLE) + element("rect", width=width, height=height, class_="ground")
    return element(
        "svg",
        inside + "".join(parts),
        xmlns="http://www.w3.org/2000/svg",
        class_="plot",
        viewBox=f"0 0 {number(width)} {number(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=_plain(title),
    )


_TAGS = {"svg", "title", "style", "rect", "path", "polyline", "polygon", "circle", "text"}


def embedded(picture: str) -> str | None:
    """A figure of ours that was written to a file, as it stands in a page; None where it is anything else.

    Elements that we never write, links and handlers are not ours.
    """
    try:
        root = ElementTree.fromstring(picture)
    except ElementTree.ParseError:
        return None
    for one in root.iter():
        names = [name.rpartition("}")[2].lower() for name in one.attrib]
        if one.tag.rpartition("}")[2] not in _TAGS or any(name.startswith("on") or name in ("href", "style") for name in names):
            return None
        if one.tag.endswith("style") and one.text != STYLE:
            return None
    return re.sub(r"<style>.*?</style>", "", picture, flags=re.DOTALL)


def written(words: str) -> str:
    """Words as markup: escaped, and without the control characters that XML cannot hold."""
    return escape(_plain(words))


def text_width(words: str, size: float = 12) -> float:
    """About how wide a text is in pixels: a reader's own font decides, so leave room."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in words)
    return size * (0.6 * (len(words) - wide) + wide)


def wrapped(words: str, width: float, size: float = 12) -> list[str]:
    """The text in lines of about `width` pixels, broken at spaces; a longer word stands alone."""
    lines: list[str] = []
    for word in _plain(words).split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _plain(words: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in words)
