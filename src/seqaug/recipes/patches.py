"""Changes of a recipe: a value at a path, from a variant, an ablation, the environment or the command line.

Naming the plugin that is already in place keeps its options; another plugin replaces the table whole (an objective keeps its
`weight` and `from_epoch`, which are the recipe's and not the plugin's).
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from ..core.discovery import normalised
from ..errors import RecipeError, did_you_mean

__all__ = ["Patch", "Patched", "parse_path", "parse_plugin_flag", "parse_set", "parse_value", "path_text", "split_commas"]

SECTIONS = (
    "data",
    "items",
    "encoders",
    "diffusions",
    "heads",
    "augmenters",
    "objectives",
    "rewriters",
    "scorer",
    "training",
    "stages",
)
"""The keys of a recipe that a patch may reach into."""

NAMED = ("encoders", "diffusions", "heads", "augmenters", "objectives", "rewriters")
"""Sections whose second key is a name of the author's choosing."""

KEPT = ("weight", "from_epoch")


@dataclass(frozen=True, slots=True)
class Patch:
    """One change.

    path: dotted, may start with a handle. origin: who wants it, in words: "variant beauty", "-s", "flag --noise".
    """

    path: str
    value: Any
    origin: str


def parse_path(text: str) -> tuple[str, ...]:
    """`objectives.contrast.weight` -> its keys; quoted as in TOML where they hold a dot or a space. Raises RecipeError."""
    try:
        if "\n" in text:
            raise ValueError
        node: Any = tomllib.loads(f"{text} = 0")
    except ValueError:
        raise RecipeError(f"{text!r} is not a path: keys with dots between them, as in objectives.contrast.weight") from None
    keys = []
    while isinstance(node, dict):
        ((key, node),) = node.items()
        keys.append(key)
    return tuple(keys)


def path_text(keys: Sequence[str]) -> str:
    """The keys with dots between them."""
    return ".".join(keys)


def parse_set(text: str) -> tuple[str, Any]:
    """`objectives.contrast.weight=0.2` -> (path, value). The value is read as TOML, and as a string where it is none.

    Raises RecipeError where there is no path or no `=`.
    """
    path, equals, raw = text.partition("=")
    if not equals:
        raise RecipeError(f"{text!r} sets nothing: write path=value, as in objectives.contrast.weight=0.2")
    parse_path(path.strip())
    return path.strip(), parse_value(raw)


def parse_value(raw: str) -> Any:
    """TOML where it is TOML, else the string itself: 0.2, true, [1, 2], { use = "rank" }, cosine."""
    try:
        table = tomllib.loads(f"value = {raw.strip()}")
    except tomllib.TOMLDecodeError:
        return raw.strip()
    value = table.get("value")
    # A date is nothing that an option takes, and a line break would smuggle in other keys: both were meant as text.
    return raw.strip() if set(table) != {"value"} or isinstance(value, date | datetime | time) else value


def parse_plugin_flag(text: str) -> dict[str, Any]:
    """`similarity:k=30,metric=cosine` -> {"use": "similarity", "k": 30, "metric": "cosine"}. Raises RecipeError."""
    name, _, rest = text.partition(":")
    if not name.strip():
        raise RecipeError(f"{text!r} names no plugin: write name or name:option=value,option=value")
    table: dict[str, Any] = {"use": name.strip()}
    for part in split_commas(rest):
        key, equals, raw = part.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"{part.strip()!r} in {text!r} is no option: write {name.strip()}:option=value,option=value")
        table[key.strip()] = parse_value(raw)
    return table


def split_commas(text: str) -> Iterator[str]:
    """At the commas that stand in no bracket and no quote."""
    depth, quote, start = 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "[{":
            depth += 1
        elif sign in "]}":
            depth -= 1
        elif sign == "," and depth == 0:
            yield text[start:place]
            start = place + 1
    if text[start:].strip():
        yield text[start:]


class Patched:
    """A recipe's table with patches put on it one after the other, and who set what.

    `problems` collects what cannot be done; everything else that is wrong (options that no plugin has, say) shows when the
    table is read.
    """

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        self.name = name
        self.table: dict[str, Any] = copy.deepcopy(dict(table))
        handles = self.table.get("handles")
        self.handles = (
            {key: path for key, path in handles.items() if isinstance(path, str)} if isinstance(handles, dict) else {}
        )
        self.problems: list[str] = []
        self.replaced: set[tuple[str, ...]] = set()
        """Where another plugin was put in the place of the recipe's."""
        self._origins: dict[tuple[str, ...], str] = {}

    def origin(self, path: Sequence[str]) -> str:
        """Who set the value at a path that the table has: "recipe", or the latest patch."""
        for end in range(len(path), 0, -1):
            found = self._origins.get(tuple(path[:end]))
            if found is not None:
                return found
        return "recipe"

    def put(self, patch: Patch) -> None:
        """Apply one patch."""
        try:
            keys = self._from_handle(parse_path(patch.path), patch)
        except RecipeError as error:
            self.problems += [f"{problem} (set by {patch.origin})" for problem in error.problems]
            return
        self._put(keys, patch.value, patch)

    def _from_handle(self, keys: tuple[str, ...], patch: Patch) -> tuple[str, ...]:
        first = keys[0]
        if first in SECTIONS:
            return keys
        if first in self.handles:
            return (*parse_path(self.handles[first]), *keys[1:])
        handles = ", ".join(self.handles) or "none"
        if len(keys) == 1:
            near = did_you_mean(first, self.handles)
            raise RecipeError(f"{patch.path}: the recipe {self.name!r} has no handle {first!r}.{near} Its handles: {handles}")
        near = did_you_mean(first, [*SECTIONS, *self.handles])
        raise RecipeError(
            f"{patch.path}: a recipe has no part {first!r}.{near} Known: {', '.join(SECTIONS)}; handles: {handles}"
        )

    def _put(self, keys: tuple[str, ...], value: Any, patch: Patch) -> None:
        if isinstance(value, dict) and "use" not in value and value:
            for key, inner in value.items():
                try:
                    more = parse_path(key)
                except RecipeError as error:
                    self.problems += error.problems
                    continue
                self._put((*keys, *more), inner, patch)
            return
        if keys[-1] == "use" and len(keys) > 1:
            keys, value = keys[:-1], {"use": value}
        node = self._table_at(keys, value, patch)
        if node is None:
            return
        last, there = keys[-1], _get(node, keys[-1])
        if isinstance(there, dict) and isinstance(value, str):
            value = {"use": value}
        if isinstance(value, dict) and "use" in value:
            self._put_plugin(node, keys, there, value, patch)
            return
        self._forget(keys)
        self._origins[keys] = patch.origin
        _set(node, last, copy.deepcopy(value))

    def _put_plugin(self, node: Any, keys: tuple[str, ...], there: Any, value: dict[str, Any], patch: Patch) -> None:
        if isinstance(there, str):
            there = {"use": there}
        if isinstance(there, dict) and _is_same_plugin(there.get("use"), value["use"]):
            _set(node, keys[-1], there)
            for key, inner in value.items():
                self._forget((*keys, key))
                self._origins[(*keys, key)] = patch.origin
                there[key] = copy.deepcopy(inner)
            return
        kept = {}
        if keys[0] == "objectives" and len(keys) == 2 and isinstance(there, dict):
            kept = {key: there[key] for key in KEPT if key in there and key not in value}
        origins = {key: self.origin((*keys, key)) for key in kept}
        self._forget(keys)
        self._origins[keys] = patch.origin
        self._origins |= {(*keys, key): origin for key, origin in origins.items()}
        self.replaced.add(keys)
        _set(node, keys[-1], {**copy.deepcopy(value), **kept})

    def _table_at(self, keys: tuple[str, ...], value: Any, patch: Patch) -> Any:
        """The table (or list) that holds the last key, made where it is missing and may be."""
        node: Any = self.table
        for place, key in enumerate(keys[:-1]):
            inner = _get(node, key)
            if inner is None:
                if isinstance(node, list) or (place == 1 and keys[0] in NAMED):
                    known = list(node) if isinstance(node, dict) else [str(number) for number in range(len(node))]
                    where, near = path_text(keys[:place]), did_you_mean(key, known)
                    self._refuse(
                        keys, f"the recipe has no {key!r} in {where}.{near} Known: {', '.join(known) or 'none'}", patch
                    )
                    return None
                inner = {}
                _set(node, key, inner)
            elif isinstance(inner, str) and place > 0:
                inner = {"use": inner}
                self._origins.setdefault((*keys[: place + 1], "use"), self.origin(keys[: place + 1]))
                _set(node, key, inner)
            elif not isinstance(inner, dict | list):
                self._refuse(keys, f"{path_text(keys[: place + 1])} is {inner!r}, which has nothing inside", patch)
                return None
            node = inner
        if isinstance(node, list) and _get(node, keys[-1]) is None:
            self._refuse(keys, f"{path_text(keys[:-1])} is a list of {len(node)}, counted from 0", patch)
            return None
        named = len(keys) == 2 and keys[0] in NAMED and keys[0] != "diffusions"
        if named and keys[1] not in node and not (isinstance(value, dict) and "use" in value) and not isinstance(value, str):
            self._refuse(keys, f"a new part needs a table with `use`, found {value!r}", patch)
            return None
        return node

    def _refuse(self, keys: tuple[str, ...], what: str, patch: Patch) -> None:
        self.problems.append(f"{path_text(keys)}: {what} (set by {patch.origin})")

    def _forget(self, keys: tuple[str, ...]) -> None:
        self._origins = {path: origin for path, origin in self._origins.items() if path[: len(keys)] != keys}


def _get(node: Any, key: str) -> Any:
    if isinstance(node, list):
        return node[int(key)] if key.isdigit() and int(key) < len(node) else None
    return node.get(key)


def _set(node: Any, key: str, value: Any) -> None:
    if isinstance(node, list):
        node[int(key)] = value
    else:
        node[key] = value


def _is_same_plugin(there: object, named: object) -> bool:
    """ "Seqaug_Popularity/popularity" is "seqaug-popularity/popularity"."""
    if not isinstance(there, str) or not isinstance(named, str):
        return False
    (source, _, name), (other, _, short) = there.rpartition("/"), named.rpartition("/")
    return name == short and normalised(source) == normalised(other)
