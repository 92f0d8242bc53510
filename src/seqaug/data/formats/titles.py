"""Titles of items, from the file that stands beside the data."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ...errors import DataError
from .columns import named_like, plain
from .text import TextFile

__all__ = ["read_titles", "titles_beside", "titles_through"]

Quoting = Literal[0, 3]  # as csv has them: QUOTE_MINIMAL, QUOTE_NONE
TITLE_NAMES = ("title", "movietitle", "itemtitle", "name", "itemname", "productname", "description")


def titles_beside(path: Path, format: str) -> Path | None:
    """movies.dat beside ratings.dat, movies.csv beside ratings.csv, NAME.item beside NAME.inter, items.tsv beside
    events.csv and the like, items.tsv or movies.dat beside sequences.txt.

    Each with or without .gz. None where there is none.
    """
    stem, ending = path.name.removesuffix(".gz").rsplit(".", 1) if "." in path.name.removesuffix(".gz") else (path.name, "")
    if format == "dat":
        names = ["movies.dat"]
    elif format == "inter":
        names = [f"{stem}.item"]
    elif format in ("csv", "tsv") and stem == "ratings":
        names = [f"movies.{ending}", "items.tsv"]
    elif format == "sequences":
        # sequences-5core.txt and the like number their items anew: the titles of the whole would be wrong there.
        names = ["items.tsv", "movies.dat"] if stem == "sequences" else []
    else:
        names = ["items.tsv"]
    candidates = [path.with_name(name + packed) for name in names for packed in ("", ".gz")]
    return next((file for file in candidates if file.is_file() and file != path), None)


def read_titles(path: Path) -> dict[str, str]:
    """Item name -> title; HTML entities are unescaped, items without a title left out.

    `item::title::...`, or a table with a header that has an item and a title column. Text that is not UTF-8 is taken as
    Latin-1, as ml-1m's movies.dat is. Raises DataError where there is no such file or no title column in it.
    """
    text = _text(TextFile.at(path))
    first, _, rest = text.partition("\n")
    if "::" in first:
        pairs = [line.split("::", 2)[:2] for line in text.splitlines() if "::" in line]
    else:
        delimiter = "\t" if "\t" in first else ","
        quoting: Quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        names = [name.split(":")[0].strip() for name in next(csv.reader([first], delimiter=delimiter, quoting=quoting))]
        item = named_like(names, "item")
        title = next((place for place, name in enumerate(names) if plain(name) in TITLE_NAMES and place != item), None)
        if item is None or title is None:
            raise DataError(f"{path} has no item and title columns among {', '.join(names)}.")
        rows = csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter, quoting=quoting)
        pairs = [[row[item], row[title]] for row in rows if len(row) > max(item, title)]
    return {name.strip(): html.unescape(title).strip() for name, title in pairs if title.strip()}


def titles_through(ids: Path, titles: Mapping[str, str]) -> dict[str, str]:
    """Titles under other names: `ids` is a table (tabs, header) of new name and the name that `titles` knows."""
    pairs = [line.split("\t") for line in _text(TextFile.at(ids)).splitlines()[1:]]
    return {new: titles[old] for new, old in pairs if old in titles}


def _text(file: TextFile) -> str:
    with file.opened() as stream:
        content = stream.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
