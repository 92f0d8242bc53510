"""What several runs differ in: a place of a recipe, and what may stand there.

`noise=similarity:k=10,metric=cosine,gaussian` is a place with two plugins, `training.learning_rate=1e-3,3e-4` one with two
values.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import RecipeError
from ..recipes.load import RecipeSource
from ..recipes.patches import Patch, Patched, parse_path, parse_plugin_flag, parse_value, split_commas
from ..recipes.plan import make_plan

__all__ = ["Axis", "Choice", "applied", "combinations", "parse_axes", "parse_axis", "short_names"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One value at a place. text: as it was written. patch: what it does to a recipe."""

    text: str
    patch: Patch


@dataclass(frozen=True, slots=True)
class Axis:
    """A place, which is a handle or a dotted path, and its choices in the order in which they were written."""

    path: str
    choices: tuple[Choice, ...]


def parse_axes(source: RecipeSource, texts: Iterable[str], flag: str) -> tuple[Axis, ...]:
    """Several axes, each with a place of its own. Raises RecipeError with the problems of all."""
    found: list[Axis] = []
    problems: list[str] = []
    for text in texts:
        try:
            axis = parse_axis(source, text, flag)
        except RecipeError as error:
            problems += error.problems
            continue
        if axis.path in (other.path for other in found):
            problems.append(f"{flag} {text}: {axis.path} has an axis already; write all its choices into one.")
        found.append(axis)
    if problems:
        raise RecipeError(problems)
    return tuple(found)


def parse_axis(source: RecipeSource, text: str, flag: str) -> Axis:
    """`place=choice,choice`. flag: the word of the command line, for messages.

    Choices are parted by commas. Where the recipe has a plugin, each is one, with its options after a colon; a part that has
    an equals sign before any colon goes on with the options of the plugin before it. Elsewhere each is a value, read as by -s.
    Commas in brackets and quotes part nothing. Raises RecipeError where the text cannot be read.
    """
    place, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not place:
        raise RecipeError(f"{flag} {text}: PLACE=CHOICE,CHOICE was expected, as in {flag} noise=similarity,gaussian")
    keys = _keys(source, place)
    parts = [part.strip() for part in split_commas(rest)]
    if not parts or not all(parts):
        raise RecipeError(f"{flag} {text}: a choice is missing. Write {place}=CHOICE,CHOICE")
    plugin = _has_plugin(source, keys)
    if plugin:
        parts = _with_options(parts, f"{flag} {text}")
    if len(set(parts)) < len(parts):
        twice = next(part for part in parts if parts.count(part) > 1)
        raise RecipeError(f"{flag} {text}: {twice} is there twice.")
    values = [parse_plugin_flag(part) if plugin else parse_value(part) for part in parts]
    return Axis(
        place, tuple(Choice(part, Patch(place, value, f"flag {flag}")) for part, value in zip(parts, values, strict=True))
    )


def _with_options(parts: Sequence[str], where: str) -> list[str]:
    """Put options and the plugin they belong to together again."""
    found: list[str] = []
    for part in parts:
        name, equals, _ = part.partition("=")
        if not equals or ":" in name:
            found.append(part)
        elif found and ":" in found[-1]:
            found[-1] += f",{part}"
        else:
            before = found[-1] if found else "PLUGIN"
            raise RecipeError(f"{where}: {part} is an option of no plugin. Options follow a colon: {before}:{part}")
    return found


def combinations(axes: Sequence[Axis]) -> Iterator[tuple[str, tuple[Patch, ...]]]:
    """Every combination of the choices, the last axis moving fastest: "noise=gaussian, positions=random", and its patches."""
    short = short_names([axis.path for axis in axes])
    for chosen in itertools.product(*(axis.choices for axis in axes)):
        name = ", ".join(f"{place}={choice.text}" for place, choice in zip(short, chosen, strict=True))
        yield name, tuple(choice.patch for choice in chosen)


def short_names(paths: Sequence[str]) -> list[str]:
    """As few of the last keys of each path as tell it from the others: "learning_rate" of training.learning_rate."""
    found = []
    for path in paths:
        keys = path.split(".")
        ends = (".".join(keys[-count:]) for count in range(1, len(keys) + 1))
        found.append(next(end for end in ends if sum(f".{one}".endswith(f".{end}") for one in paths) == 1))
    return found


def applied(
    source: RecipeSource, asked: Sequence[Patch], changes: Sequence[Patch]
) -> tuple[tuple[Patch, ...], tuple[str, ...]]:
    """A method as it was `asked` for (by environment, -s and flags) with `changes` made to it, and what that left out.

    A change comes after what was asked for: a flag describes the method that things are then exchanged in. What was asked for
    inside a plugin that a change exchanges is asked for again of the new one, where that has such an option; where it has not,
    a sentence says so.
    """
    patched = Patched(source.name, source.table)
    for patch in asked:
        patched.put(patch)
    patched.replaced.clear()
    for patch in changes:
        patched.put(patch)
    patches, notes = [*asked, *changes], []
    for patch in asked:
        keys = _keys(source, patch.path)
        exchanged = any(keys[: len(at)] == at and len(keys) > len(at) for at in patched.replaced)
        if not exchanged or any(_keys(source, one.path) == keys for one in changes):
            continue
        try:
            make_plan(source, data=None, patches=[*patches, patch])
        except RecipeError:
            notes.append(f"{patch.path} (set by {patch.origin}) is left out: the plugin there has no such option.")
        else:
            patches.append(patch)
    return tuple(patches), tuple(notes)


def _keys(source: RecipeSource, path: str) -> tuple[str, ...]:
    """The keys of a path, a handle at its beginning followed. Raises RecipeError where it is no path."""
    keys = parse_path(path)
    handles = source.table.get("handles")
    target = handles.get(keys[0]) if isinstance(handles, dict) else None
    return (*parse_path(target), *keys[1:]) if isinstance(target, str) else keys


def _has_plugin(source: RecipeSource, keys: Sequence[str]) -> bool:
    """Whether the recipe has a plugin there, so that a name is one."""
    if keys == ("scorer",):
        return True
    node: Any = source.table
    for key in keys:
        if isinstance(node, list):
            node = node[int(key)] if key.isdigit() and int(key) < len(node) else None
        else:
            node = node.get(key) if isinstance(node, dict) else None
    return isinstance(node, dict)
