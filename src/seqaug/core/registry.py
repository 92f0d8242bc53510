"""Names in, plugins out, and a helpful refusal.

A registry knows the plugins of one kind: those that installed distributions declare as entry points in the group
"seqaug.<kind>" (our own among them), and those that a script marks with `@registry.register("name")`. Listing imports
nothing; a plugin is imported when its name is asked for, and held against the interface of its kind before it is handed out.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ..errors import PluginError, UnknownName, did_you_mean
from . import discovery
from .disabled import OWN_DISTRIBUTION, disabled, remedy
from .interface import departures, other_version
from .isolation import SLOW, PluginNote, Visit

__all__ = ["PLUGIN_FILE", "PluginInfo", "Registry", "Use"]

P = TypeVar("P")
C = TypeVar("C", bound=type[Any])

PLUGIN_FILE = "seqaug_plugin_file_"
"""How the names of the modules begin that plugin files become."""


class Use:
    """The plugin that a recipe gets where it names none: `Annotated[NegativeSampler, Use("uniform", exclude="history")]`."""

    __slots__ = ("name", "options")

    def __init__(self, name: str, /, **options: Any) -> None:
        self.name = name
        self.options = options

    def __repr__(self) -> str:
        return f"Use({', '.join([repr(self.name), *(f'{key}={value!r}' for key, value in self.options.items())])})"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """Where a plugin comes from, known without importing it.

    kind: the registry. value: "module:Class", "my_noise.py:Class". distribution: in its one spelling, None for a class that
    only a decorator marked. file: the plugin file that defines it, None for an importable module. disabled: what has switched
    it off, None where nothing has.
    """

    kind: str
    name: str
    value: str
    distribution: str | None
    version: str | None
    builtin: bool
    file: str | None = None
    disabled: str | None = None

    @property
    def source(self) -> str:
        """What stands before the slash where a recipe picks one of several: the distribution, else the file's name without
        its ending, else the top-level module."""
        if self.file is not None:
            return Path(self.file).stem
        return self.distribution or self.value.partition(":")[0].partition(".")[0]

    @property
    def origin(self) -> str:
        """ "built in", "seqaug-popularity 0.1", "my_noise.py" or "defined in my_noise"."""
        if self.builtin:
            return "built in"
        if self.file is not None:
            return Path(self.file).name
        if self.distribution is None:
            return f"defined in {self.value.partition(':')[0]}"
        return f"{self.distribution} {self.version}"

    def __str__(self) -> str:
        return f"{self.name} ({self.origin}{', disabled' if self.disabled else ''})"


class Registry(Generic[P]):
    """The plugins of one kind.

    kind: the key of the recipe, "noise_sources". protocol_path: "module:Protocol", looked up when the first plugin is loaded.
    """

    def __init__(self, kind: str, protocol_path: str) -> None:
        self.kind = kind
        self.protocol_path = protocol_path
        self._marked: dict[str, list[type[Any]]] = {}
        self._checked: dict[int, type[Any]] = {}
        self._told: set[tuple[str, str]] = set()
        _EVERY.add(self)

    @property
    def noun(self) -> str:
        """One of them, in words: "noise source"."""
        return self.kind.removesuffix("s").replace("_", " ")

    @property
    def a_noun(self) -> str:
        """ "a noise source", "an encoder"."""
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    @property
    def protocol(self) -> type[Any]:
        """The interface that its plugins keep."""
        found = discovery.load(self.protocol_path)
        assert isinstance(found, type)
        return found

    def register(self, name: str) -> Callable[[C], C]:
        """Mark a class as the plugin `name`. An entry point of the same class under the same name is the same plugin.

        A class defined again (a notebook cell run twice) takes the place of its earlier self.
        """
        if not name or "/" in name:
            raise PluginError(f"{self.a_noun} cannot be called {name!r}: a name is not empty and has no slash")

        def mark(cls: C) -> C:
            asking = str(sys._getframe(1).f_globals.get("__name__", ""))
            if asking.startswith(PLUGIN_FILE) and cls.__module__ != asking:
                raise PluginError(
                    f"the plugin file registers {cls.__qualname__} of {cls.__module__} as {self.a_noun} called {name!r}, and a "
                    "plugin file registers classes of its own only, so that its hash says what ran. Derive one in it: "
                    f"class Mine({cls.__name__}): ..."
                )
            others = [one for one in self._marked.get(name, []) if _value_of(one) != _value_of(cls)]
            self._marked[name] = [*others, cls]
            return cls

        return mark

    def marks(self, cls: type[Any]) -> str | None:
        """The name under which a decorator has marked `cls` as a plugin of this kind, None where none has."""
        return next((name for name, classes in self._marked.items() if any(one is cls for one in classes)), None)

    def marked_in(self, module: str) -> list[PluginInfo]:
        """The plugins of this kind that a decorator marks in the module of that name."""
        return [info for info, cls in self._all() if cls is not None and cls.__module__ == module]

    def marked_class(self, info: PluginInfo) -> type[Any] | None:
        """The class that a decorator has marked as `info`, not held against anything; None where none has."""
        return next((cls for known, cls in self._all() if known == info), None)

    def marking_modules(self) -> set[str]:
        """The names of the modules in which a decorator has marked plugins of this kind."""
        return {cls.__module__ for classes in self._marked.values() for cls in classes}

    def forget(self, module: str) -> None:
        """Unmark what a decorator has marked in a module, which could not be read to its end."""
        for name in list(self._marked):
            kept = [cls for cls in self._marked[name] if cls.__module__ != module]
            self._marked[name] = kept
            if not kept:
                del self._marked[name]

    def names(self) -> list[str]:
        """Every known name, sorted. Imports no plugin."""
        return sorted({info.name for info, _ in self._all()})

    def all(self) -> list[PluginInfo]:
        """Every known plugin, sorted by name; a name that two distributions claim is there twice. Imports no plugin."""
        return [info for info, _ in self._all()]

    def describe(self, name: str) -> PluginInfo:
        """Where `name` or "distribution/name" comes from. Imports no plugin.

        Raises UnknownName; PluginError where two distributions claim the name, or where it is disabled.
        """
        return self._one(name)[0]

    def get(self, name: str) -> type[P]:
        """The class called `name` or "distribution/name", imported and held against the interface.

        Raises UnknownName; PluginError where it will not load, collides, is disabled, was written for another version of
        seqaug's interface, or does not keep it.
        """
        info, marked = self._one(name)
        return self._loaded(info, marked)

    def load(self, info: PluginInfo) -> type[P]:
        """The class that `info` (one of `all()`) stands for, whoever else claims its name. Raises PluginError as `get` does."""
        if info.disabled is not None:
            raise self._switched_off(info.name, [info])
        if "/" in info.name:
            raise PluginError(f"the {self.noun} {info.name!r} ({info.origin}) cannot be asked for: a name has no slash")
        return self._loaded(info, self.marked_class(info))

    def collisions(self) -> list[str]:
        """A sentence for each name that several installed distributions claim. Imports no plugin."""
        claims: dict[str, list[PluginInfo]] = {}
        for info in self.all():
            if info.distribution is not None and info.disabled is None:
                claims.setdefault(info.name, []).append(info)
        return [self._collision(name, found) for name, found in claims.items() if len(found) > 1]

    # ---- finding ----

    def _all(self) -> list[tuple[PluginInfo, type[Any] | None]]:
        group = f"{discovery.PREFIX}{self.kind}"
        found: list[tuple[PluginInfo, type[Any] | None]] = []
        covered: set[int] = set()
        installed = discovery.installed()
        off = disabled(installed)
        for entry in installed.entries:
            if entry.group != group:
                continue
            marked = next((cls for cls in self._marked.get(entry.name, ()) if _is_same(entry.value, cls)), None)
            if marked is not None:
                covered.add(id(marked))
            own = entry.distribution == OWN_DISTRIBUTION
            by = off.by(entry.distribution, entry.name)
            where = (entry.distribution, entry.version)
            found.append((PluginInfo(self.kind, entry.name, entry.value, *where, own, disabled=by), marked))
        for name, classes in self._marked.items():
            for cls in classes:
                if id(cls) not in covered:
                    file = _file_of(cls)
                    value = _value_of(cls) if file is None else f"{Path(file).name}:{cls.__qualname__}"
                    found.append((PluginInfo(self.kind, name, value, None, None, False, file), cls))
        return sorted(found, key=lambda one: (one[0].name, one[0].distribution or "", one[0].value))

    def _one(self, name: str) -> tuple[PluginInfo, type[Any] | None]:
        source, _, short = name.rpartition("/")
        known = self._all()
        found = [one for one in known if one[0].name == short]
        if source:
            found = [one for one in found if discovery.normalised(one[0].source) == discovery.normalised(source)]
        if not found:
            raise UnknownName(self._refusal(name, [info for info, _ in known]))
        enabled = [one for one in found if one[0].disabled is None]
        if not enabled:
            raise self._switched_off(short, [info for info, _ in found])
        found = enabled
        if len(found) > 1 and any(info.distribution is None for info, _ in found):
            found = self._without_doubles(found)
        if len(found) > 1:
            raise PluginError(self._collision(short, [info for info, _ in found]))
        return found[0]

    def _without_doubles(self, found: list[tuple[PluginInfo, type[Any] | None]]) -> list[tuple[PluginInfo, type[Any] | None]]:
        """A marked class may be declared under the name of a package that only passes it on: known after loading that one."""
        declared = {id(self._loaded(info, marked)) for info, marked in found if info.distribution is not None}
        return [(info, marked) for info, marked in found if info.distribution is not None or id(marked) not in declared]

    def _collision(self, name: str, found: list[PluginInfo]) -> str:
        claims = " and ".join(f"{info.source} ({info.origin})" for info in found)
        picks = list(dict.fromkeys(f'use = "{info.source}/{info.name}"' for info in found))
        count = "two" if len(found) == 2 else str(len(found))
        told = f"{count} plugins are {self.a_noun} called {name!r}: {claims}."
        if len(picks) == len(found):
            return f"{told} Write {' or '.join(picks)} to pick one."
        files = sorted({Path(info.file).name for info in found if info.file is not None})
        way = f"Leave {' and '.join(files)} away, or give" if files else "Give"
        return f"{told} {way} one of them another name: {' and '.join(picks)} would name more than one."

    def _switched_off(self, name: str, found: list[PluginInfo]) -> PluginError:
        told = " ".join(f"({info.origin}) is disabled by {info.disabled}. {remedy(info.disabled or '')}" for info in found)
        return PluginError(f"the {self.noun} {name!r} {told}", state="disabled")

    def _refusal(self, name: str, known: list[PluginInfo]) -> str:
        names = [info.name for info in known] + [f"{info.source}/{info.name}" for info in known if "/" in name]
        lines = [f"no {self.noun} is called {name!r}.{did_you_mean(name, names)}"]
        lines.append(f"  known: {', '.join(str(info) for info in known) or 'none'}")
        lines += [f"  elsewhere: {one.name!r} in [{one.group}] of {one.distribution}" for one in self._elsewhere(name)]
        if not known and all(entry.distribution != OWN_DISTRIBUTION for entry in discovery.installed().entries):
            lines.append("  seqaug itself is not installed, so not even its own plugins are known: run `pip install -e .`")
        lines += [f"  not read: {one}" for one in discovery.installed().broken]
        return "\n".join(lines)

    def _elsewhere(self, name: str) -> list[discovery.EntryPoint]:
        """What has the name in another group: another kind, or a group that is misspelt."""
        own = f"{discovery.PREFIX}{self.kind}"
        return [one for one in discovery.installed().entries if one.name == name and one.group != own]

    # ---- loading ----

    def _loaded(self, info: PluginInfo, marked: type[Any] | None) -> type[P]:
        who = f"the {self.noun} {info.name!r} ({info.origin})"
        found: object = marked
        if marked is None:
            try:
                found = discovery.load(info.value) if info.builtin else self._visited(info)
            except KeyboardInterrupt:
                raise  # Ctrl-C, whoever's module was being imported
            except BaseException as error:
                _forget_unfinished(info.value)
                raise PluginError(f"{who} will not load: {_cause(error, info.value)}") from error
        if not isinstance(found, type):
            raise PluginError(f"{who} is not a class: {info.value} is a {type(found).__name__}")
        if id(found) not in self._checked:
            other = other_version(found, info.distribution or info.origin)
            if other:
                raise PluginError(f"{who} {other}", state="incompatible")
            problems = list(departures(found, self.protocol))
            if problems:
                raise PluginError(f"{who} does not keep the interface of {self.a_noun}:\n" + "\n".join(problems))
            self._checked[id(found)] = found
        return found

    def _visited(self, info: PluginInfo) -> object:
        """A stranger's plugin, imported so that it harms nobody. Raises whatever the import raises."""
        visit = Visit()
        try:
            with visit:
                return discovery.load(info.value)
        finally:
            who = f"importing {info.origin} (the {self.noun} {info.name!r})"
            if visit.seconds > SLOW:
                self._tell(info, "slow", f"{who} took {visit.seconds:.1f} s, and every command that uses it waits as long.")
            if visit.changed:
                what = ", ".join(visit.changed)
                self._tell(info, "changed", f"{who} changed what the whole process shares: {what}. That was put back.")

    def _tell(self, info: PluginInfo, what: str, message: str) -> None:
        module = info.value.partition(":")[0]
        if (module, what) not in self._told:
            self._told.add((module, what))
            warnings.warn(message, PluginNote, stacklevel=2)


_EVERY: weakref.WeakSet[Registry[Any]] = weakref.WeakSet()


def _value_of(cls: type[Any]) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _file_of(cls: type[Any]) -> str | None:
    """The plugin file in which a class stands, None where it stands in an importable module."""
    module = sys.modules.get(cls.__module__)
    return getattr(module, "__file__", None) if cls.__module__.startswith(PLUGIN_FILE) else None


def _is_same(value: str, cls: type[Any]) -> bool:
    """Whether an entry point's "module:Class" is `cls`, told without importing anything."""
    if value == _value_of(cls):
        return True
    module, _, attributes = value.partition(":")
    found: object = sys.modules.get(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute, None)
    return found is cls


def _forget_unfinished(value: str) -> None:
    """Unmark what the modules of a package have marked before one of them failed: Python has thrown those modules away."""
    package = value.partition(":")[0].partition(".")[0]
    for registry in _EVERY:
        for module in registry.marking_modules():
            if module.partition(".")[0] == package and module not in sys.modules:
                registry.forget(module)


_OWN_FILES = (__file__, discovery.__file__)


def _cause(error: BaseException, value: str) -> str:
    """The error in one line, with the last place outside the import machinery that it passed through."""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SystemExit):
        text = f"it ends the process when imported (SystemExit: {error.code})"
    place = error.__traceback__
    where = ""
    while place is not None:
        file = place.tb_frame.f_code.co_filename
        if not file.startswith("<frozen") and "importlib" not in file and file not in _OWN_FILES:
            where = f" ({file}:{place.tb_lineno})"
        place = place.tb_next
    return f"{value}: {text}{where}"
