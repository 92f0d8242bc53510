"""Where each value of a run comes from: the paper, published code, our own assumption, or the user.

A recipe says it in the comment behind the value, which TOML's readers drop, so its text is read again here. The first words of
the comment decide:

    paper           "paper 5.1", "paper and released code: p", "SimDiffRec's paper 5.1"
    released code   "released code: inner_size", "authors", "code: script"; and what else has been published as running code and
                    is named first: RecBole, DuoRec, "replication", "RecSys 2023", Hidasi, the data set whose command it is
    assumed         everything else: "assumed: ...", "as sasrec", "chosen on validation", "not tuned"
    user            -s, a flag, the environment; in a recipe of the user's own also what has no comment

"likewise" stands for the comment above. A value without a comment has that of its table's header, if that names a source. What
neither the recipe nor anybody else has set is our default, or a plugin's: assumed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..errors import RecipeError
from .load import RecipeSource
from .patches import parse_path
from .plan import Plan

__all__ = ["SOURCES", "Source", "Tag", "provenance", "source_of", "tags"]

Source = Literal["paper", "released code", "assumed", "user"]
SOURCES: tuple[Source, ...] = ("paper", "released code", "assumed", "user")

_PAPER = re.compile(r"(the |simdiffrec's )?paper\b", re.IGNORECASE)
_CODE = re.compile(
    r"(every command of the |the )?"
    r"(released code|authors|code|recbole|duorec|replication|recsys 2023|hidasi|yoochoose|kuairec|zhihu)\b",
    re.IGNORECASE,
)
_NO_VALUES = ("name", "paper", "handles")
"""Top-level keys that configure nothing."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tag:
    """Where a value comes from. detail: the recipe's own words, or who set it; "" where nothing more is known."""

    source: Source
    detail: str


def provenance(source: RecipeSource, plan: Plan) -> dict[str, Tag]:
    """Path -> tag for every value of a plan; `source` is the recipe that it was made from."""
    return tags(source.text, plan.origins, own=source.path is not None)


def tags(text: str, origins: Mapping[str, str], *, own: bool = False) -> dict[str, Tag]:
    """Path -> tag for every value of a run.

    text: of the recipe (a run folder's recipe.toml). origins: path -> who set it (`Plan.origins`, or those in resolved.json).
    own: the recipe is a file of the user's, not one in the box.
    """
    said = _Said(text)
    found = {}
    for path, origin in origins.items():
        keys = tuple(path.split("."))
        if keys[0] not in _NO_VALUES:
            found[path] = _tag(said, keys, origin, own)
    return found


def _tag(said: _Said, keys: Path, origin: str, own: bool) -> Tag:
    if origin == "default":
        return Tag("assumed", "our default")
    if origin == "plugin default":
        return Tag("assumed", "the plugin's default")
    if origin == "recipe":
        words, named = said.at((), keys), ""
    elif origin.startswith("variant "):
        words, named = said.at(("variants", origin.removeprefix("variant ")), keys), origin
    elif origin.startswith("ablation "):
        words, named = said.at(("ablations", origin.removeprefix("ablation ")), keys), origin
    elif _PAPER.match(origin):
        return Tag("paper", origin)
    else:
        return Tag("user", origin)
    if words is None:
        nothing = f"{named}: the recipe does not say" if named else "the recipe does not say"
        return Tag("user" if own else "assumed", nothing)
    return Tag(source_of(words), f"{named}: {words}" if named else words)


def source_of(words: str) -> Source:
    """The source that the first words of a comment name."""
    return "paper" if _PAPER.match(words) else "released code" if _CODE.match(words) else "assumed"


@dataclass(slots=True)
class _Comments:
    """Comments of one table of values: at keys, and at the headers of tables."""

    values: dict[Path, str] = field(default_factory=dict)
    headers: dict[Path, str] = field(default_factory=dict)


class _Said:
    """What a recipe's text says behind its values."""

    def __init__(self, text: str) -> None:
        handles = tomllib.loads(text.replace("\r\n", "\n")).get("handles", {}) if text else {}
        self.handles = {name: path for name, path in handles.items() if isinstance(path, str)}
        self.of: dict[Path, _Comments] = {}
        self._read(text)

    def at(self, scope: Path, keys: Path) -> str | None:
        """The comment that covers a value: the nearest at or around it, else that of a header around it which names a source.

        scope: () for the recipe itself, ("variants", "beauty"), ("ablations", "w/o c_aug").
        """
        comments = self.of.get(scope)
        if comments is None:
            return None
        around = [keys[:end] for end in range(len(keys), -1, -1)]
        found = next((comments.values[path] for path in around if path in comments.values), "")
        if found:
            return found
        headers = (comments.headers[path] for path in around if path in comments.headers)
        return next((words for words in headers if source_of(words) != "assumed" or words.startswith("as ")), None)

    def _read(self, text: str) -> None:
        table: Path = ()
        counts: dict[Path, int] = {}
        before = ""
        for statement, comment in _statements(text):
            if statement.startswith("[["):
                outer = _indexed(parse_path(statement[2:-2].strip()), counts)
                counts[outer] = counts.get(outer, -1) + 1
                table = (*outer, str(counts[outer]))
                self._note(table, comment, header=True)
            elif statement.startswith("["):
                table = _indexed(parse_path(statement[1:-1].strip()), counts)
                self._note(table, comment, header=True)
            elif statement:
                if comment == "likewise":
                    comment = before
                before = comment or before
                self._note((*table, *parse_path(_key(statement))), comment, header=False)

    def _note(self, path: Path, comment: str, *, header: bool) -> None:
        scope, rest = (path[:2], path[2:]) if path[0] in ("variants", "ablations") else ((), path)
        comments = self.of.setdefault(scope, _Comments())
        if scope:
            rest = tuple(key for one in rest for key in parse_path(_quoted(one)))
            if rest and rest[0] in self.handles:
                rest = (*parse_path(self.handles[rest[0]]), *rest[1:])
        if header:
            if comment:
                comments.headers[rest] = comment
        else:
            comments.values[rest] = comment


def _quoted(key: str) -> str:
    """A key of a variant is itself a path; one that cannot be read as such is taken whole."""
    try:
        parse_path(key)
    except RecipeError:
        return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return key


def _indexed(keys: Sequence[str], counts: Mapping[Path, int]) -> Path:
    """A header's path with the number of the latest entry behind each array of tables on its way."""
    path: Path = ()
    for place, key in enumerate(keys):
        path = (*path, key)
        if path in counts and place < len(keys) - 1:
            path = (*path, str(counts[path]))
    return path


def _key(statement: str) -> str:
    """What stands before the first "=" outside of quotes."""
    quote = ""
    for place, sign in enumerate(statement):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign == "=":
            return statement[:place].strip()
    return statement


def _statements(text: str) -> Iterator[tuple[str, str]]:
    """(statement, comment) of a TOML text, in order: headers and key/value pairs, over several lines where they are."""
    statement, comments, quote, depth, place = "", [], "", 0, 0
    text = text.replace("\r\n", "\n") + "\n"
    while place < len(text):
        sign = text[place]
        if quote:
            if sign == "\\" and quote[0] == '"':
                statement, place = statement + text[place : place + 2], place + 2
                continue
            if text.startswith(quote, place):
                statement, place, quote = statement + quote, place + len(quote), ""
                continue
        elif sign in "\"'":
            quote = sign * 3 if text.startswith(sign * 3, place) else sign
            statement, place = statement + quote, place + len(quote)
            continue
        elif sign == "#":
            end = text.index("\n", place)
            comments.append(text[place + 1 : end].strip())
            place = end
            continue
        elif sign == "\n" and depth == 0:
            if statement.strip():
                yield statement.strip(), " ".join(comments)
            statement, comments, place = "", [], place + 1
            continue
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        statement, place = statement + sign, place + 1
