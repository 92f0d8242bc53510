"""How the generated pages say things in Markdown."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterable, Sequence

__all__ = ["cell", "code", "help_text", "prose", "table", "written_by"]


def written_by(script: str, instead: str) -> str:
    """The first line of a generated page: who writes it, and what is to be changed instead of it."""
    return f"<!-- Written by docs/{script}; change {instead}, not this page. -->\n"


def prose(text: str) -> str:
    """Plain text as Markdown that shows it letter by letter; what stands in backticks is code."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(code(piece[1:-1]) if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_\[\]|])", r"\\\1", text).replace("<", "&lt;")


def code(value: str) -> str:
    """As code, fit for the cell of a table; nothing where there is nothing."""
    if not value:
        return ""
    if "|" in value:  # of a bar between backticks, the site would show the backslash that it needs in a table
        return f"<code>{html.escape(value, quote=False).replace('|', '&#124;')}</code>"
    return f"``{value}``" if "`" in value else f"`{value}`"


def cell(text: str) -> str:
    """One line of a table."""
    return " ".join(text.split())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table with a blank one behind it; none where there are no rows, and no column in which nothing stands."""
    kept = [[cell(one) for one in row] for row in rows]
    if not kept:
        return []
    shown = [place for place in range(len(header)) if any(row[place] for row in kept)]
    lines = [[header[place] for place in shown], ["---"] * len(shown), *([row[place] for place in shown] for row in kept)]
    return [*("".join(f"| {one} " if one else "| " for one in line) + "|" for line in lines), ""]


def help_text(text: str) -> list[str]:
    """The lines of a help text of click: paragraphs, and blocks that begin with \\b as they stand."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        rows = paragraph.splitlines()
        if rows and rows[0].strip() == "\b":
            lines += ["```", *rows[1:], "```", ""]
        elif rows:
            lines += [prose(" ".join(rows)), ""]
    return lines
