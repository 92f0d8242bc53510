"""What a new plugin, its package, module and class are called; and which names cannot be had."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ..core.discovery import normalised
from ..core.registries import REGISTRIES
from ..core.registry import Registry
from ..errors import RecipeError, UnknownName, did_you_mean

__all__ = ["LONGEST", "Names", "names_of", "registry_of"]

LONGEST = 40
"""Signs in a name. With longer ones the lines of the templates would have to be broken elsewhere."""

PREFIX = re.compile(r"^seqaug[-_.]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Names:
    """What one new plugin goes by: "my-noise" on a package index and in recipes, `my_noise` to import, `MyNoise` the class."""

    distribution: str
    module: str
    class_name: str
    plugin: str


def registry_of(kind: str) -> Registry[object]:
    """The registry of that kind. Raises UnknownName with the kind that was meant, also for "noise" and "encoder"."""
    found = REGISTRIES.get(kind)
    if found is None:
        asked = kind.lower().replace("-", "_").replace(" ", "_")
        stem = asked.removesuffix("s")
        begins = [one for one in REGISTRIES if stem and (one.startswith(stem) or one.rpartition("_")[2].startswith(stem))]
        near = f" Did you mean {begins[0]!r}?" if begins else did_you_mean(asked, REGISTRIES)
        raise UnknownName(f"no kind of plugin is called {kind!r}.{near}\n  known: {', '.join(REGISTRIES)}")
    return found


def names_of(name: str, registry: Registry[object], plugin: str | None = None) -> Names:
    """The names that follow from `name`: `my-noise` -> module `my_noise`, class `MyNoise`, plugin "my-noise".

    plugin: what recipes are to call it; otherwise `name` without a leading "seqaug-".
    Raises RecipeError with everything that stands against them.
    """
    problems = list(_spelling(name))
    module = re.sub(r"[-_.]+", "_", name).lower()
    short = PREFIX.sub("", name).replace(".", "-") if plugin is None else plugin
    if not problems:
        problems += list(_module(name, module)) or list(_distribution(name))
    if plugin is not None or not problems:
        problems += _plugin(short, registry)
    if problems:
        raise RecipeError(problems)
    parts = re.split(r"[-_.]+", name)
    return Names(name, module, "".join(part[:1].upper() + part[1:] for part in parts), short)


def _spelling(name: str) -> Iterator[str]:
    """A distribution's name (PEP 508) that also is a module's."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        yield (
            f"a package cannot be called {name!r}: a name has letters, digits, '-', '_' and '.', and begins and ends with "
            "a letter or digit, as in my-noise."
        )
    elif name[0].isdigit():
        yield f"a package of plugins cannot be called {name!r}: no Python module begins with a digit. Begin with a letter."
    elif len(name) > LONGEST:
        yield f"{name!r} is too long for a name: it has {len(name)} signs, and at most {LONGEST} are read at a glance."


def _module(name: str, module: str) -> Iterator[str]:
    another = f"Choose another name, as in {name}-2." if name.startswith("my-") else f"Choose another name, as in my-{name}."
    if keyword.iskeyword(module):
        yield f"{name!r} would have to be imported as {module!r}, which is a word of Python's own. {another}"
    elif module in sys.stdlib_module_names:
        yield f"{name!r} would hide the module {module!r} of Python's standard library. {another}"
    elif module in ("tests", "conftest"):
        yield f"{name!r} would be taken for the tests of the package. {another}"
    else:
        where = _installed_at(module)
        if where:
            yield f"{name!r} would hide the module {module!r}, which is installed ({where}). {another}"


def _installed_at(module: str) -> str:
    """Where that module would be imported from, "" where nowhere. What only lies where we stand is not installed."""
    try:
        found = find_spec(module)
    except ValueError:  # made by some program and not read from a file
        return "already imported"
    if found is None:
        return ""
    places = found.submodule_search_locations or [found.origin or module]
    if all(Path(place).resolve().parent == Path.cwd() for place in places):
        return ""
    return found.origin or ", ".join(places)


def _distribution(name: str) -> Iterator[str]:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return
    yield f"a package {name!r} is installed already (version {version}). Choose another name, or uninstall that one first."


def _plugin(plugin: str, registry: Registry[object]) -> Iterator[str]:
    """The name in recipes: what a flag and an entry point can hold, and nobody else's."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", plugin):
        yield (
            f"a plugin cannot be called {plugin!r}: its name begins with a letter and has letters, digits, '-' and '_', so "
            "that it can stand in a flag and in a recipe. Give another one with --plugin."
        )
    elif len(plugin) > LONGEST:
        yield f"{plugin!r} is too long for a plugin: it has {len(plugin)} signs, and at most {LONGEST} are read at a glance."
    else:
        taken = [info for info in registry.all() if normalised(info.name) == normalised(plugin)]
        if taken:
            known = ", ".join(registry.names())
            yield (
                f"there already is {registry.a_noun} called {taken[0].name!r} ({taken[0].origin}). Choose another name for the "
                f"package, or give the plugin one of its own with --plugin. Taken: {known}."
            )
