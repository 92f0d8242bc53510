"""Finds the entry points that installed distributions declare. The only file that knows how.

They are read with the `entrypoints` package, in one pass over `sys.path`. It gives up on everything as soon as one
entry_points.txt is malformed, whoever it belongs to; then the files are read one by one through `importlib.metadata`, the
broken distribution is named, and nobody else loses anything.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import entrypoints  # type: ignore[import-untyped,unused-ignore]

from .disabled import disabled, normalised
from .isolation import PluginNote

__all__ = ["BrokenDistribution", "Discovered", "EntryPoint", "installed", "load", "metadata_files", "normalised", "refresh"]

PREFIX = "seqaug."


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One plugin as its distribution declares it: in `group`, `name` stands for `value` ("module:object")."""

    group: str
    name: str
    value: str
    distribution: str
    version: str


@dataclass(frozen=True, slots=True)
class BrokenDistribution:
    """A distribution whose entry_points.txt cannot be read, and why."""

    distribution: str
    version: str
    problem: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} has a malformed entry_points.txt: {self.problem}"


@dataclass(frozen=True, slots=True)
class Discovered:
    """Everything that is installed under groups called "seqaug.*", and whose files are broken."""

    entries: tuple[EntryPoint, ...]
    broken: tuple[BrokenDistribution, ...]


def installed() -> Discovered:
    """What is installed now. Imports no plugin. Read once for each state of `sys.path`; `refresh()` forgets."""
    return _installed(tuple(sys.path))


def refresh() -> None:
    """Forget what was found, so that a distribution installed meanwhile is seen."""
    _installed.cache_clear()


@lru_cache(maxsize=8)
def _installed(path: tuple[str, ...]) -> Discovered:
    try:
        return Discovered(tuple(_read_at_once(path)), ())
    except Exception:  # whatever a stranger's file makes the parser raise: it must not harm anybody else
        found = _read_one_by_one(path)
        for one in found.broken:
            if disabled().by(one.distribution) is None:
                warnings.warn(f"{one}. Every other plugin was found all the same.", PluginNote, stacklevel=3)
        return found


def _read_at_once(path: tuple[str, ...]) -> Iterator[EntryPoint]:
    """Through the `entrypoints` package. Raises whatever the first malformed file makes it raise."""
    seen: set[str] = set()
    # "all": which of two copies counts is decided below, by whole names; `entrypoints` would compare them up to the first dash.
    for config, distribution in entrypoints.iter_files_distros(path=list(path), repeated_distro="all"):
        name, version = _split(distribution.name, distribution.version)
        # The first on the path hides the others, as it does for imports.
        if name in seen:
            continue
        seen.add(name)
        for group in config.sections():
            if not group.startswith(PREFIX):
                continue
            for plugin, value in config[group].items():
                parsed = entrypoints.EntryPoint.from_string(value, plugin, distribution)
                target = parsed.module_name + (f":{parsed.object_name}" if parsed.object_name else "")
                yield EntryPoint(group, plugin, target, name, version or _version(name))


def _split(name: str, version: str | None) -> tuple[str, str]:
    """Name and version from what `entrypoints` made of a folder's name, which it cuts at the first dash: a folder that spells
    its dashes out (`seqaug-pink-0.1`) must not pass for `seqaug`."""
    whole = f"{name}-{version}" if version else name
    parts = re.fullmatch(r"(.+?)-(\d.*)", whole)
    return (normalised(parts[1]), parts[2]) if parts else (normalised(whole), "")


def _version(distribution: str) -> str:
    """For an .egg-info folder, whose name carries no version."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _read_one_by_one(path: tuple[str, ...]) -> Discovered:
    """Through `importlib.metadata`, one distribution at a time, each line of a broken file for itself."""
    entries: list[EntryPoint] = []
    broken: list[BrokenDistribution] = []
    seen: set[str] = set()
    for distribution in metadata.distributions(path=list(path)):
        name, version = _identity(distribution)
        if name in seen:
            continue
        seen.add(name)
        try:
            text = distribution.read_text("entry_points.txt") or ""
        except UnicodeDecodeError as error:
            broken.append(BrokenDistribution(name, version, f"it is not UTF-8 ({error.reason} at byte {error.start})"))
            continue
        problems: list[str] = []
        entries += _read_lines(text.splitlines(), name, version, problems)
        if problems:
            broken.append(BrokenDistribution(name, version, "; ".join(problems)))
    return Discovered(tuple(entries), tuple(broken))


def _identity(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version, from the folder's name where the metadata file is missing, as half-removed distributions have it."""
    try:
        name, version = distribution.metadata["Name"], distribution.version
    except Exception:  # the interpreter's versions differ in what they raise
        name, version = "", ""
    if not name:
        name, version = _split(Path(str(getattr(distribution, "_path", "unknown"))).stem, None)
    return normalised(name), version or "unknown"


def _read_lines(lines: Iterable[str], distribution: str, version: str, problems: list[str]) -> Iterator[EntryPoint]:
    group: str | None = None
    known: set[tuple[str, str]] = set()
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        target = re.fullmatch(r"(\w+(?:\.\w+)*(?::\w+(?:\.\w+)*)?)\s*(?:\[.*\])?", value)
        if group is None or not equals or not name or target is None:
            problems.append(f"line {number} reads {line!r}, where 'name = module:object' under a [group] was expected")
        elif (group, name) in known:
            problems.append(f"line {number} declares {name!r} in [{group}] a second time")
        else:
            known.add((group, name))
            if group.startswith(PREFIX):
                yield EntryPoint(group, name, target[1], distribution, version)


def metadata_files(distribution: str) -> list[Path]:
    """The entry_points.txt of each installed copy of a distribution; the first hides the others, as it does for imports.

    What an editable install leaves beside the source that it reads is no copy of its own.
    """
    found: list[Path] = []
    source: Path | None = None
    for one in metadata.distributions(path=list(sys.path)):
        folder = getattr(one, "_path", None)
        if folder is None or _identity(one)[0] != distribution:
            continue
        if source is not None and Path(str(folder)).resolve().is_relative_to(source):
            continue
        source = source or _editable_source(one)
        found.append(Path(str(folder)) / "entry_points.txt")
    return list(dict.fromkeys(found))


def _editable_source(one: metadata.Distribution) -> Path | None:
    """The folder that an editable install reads; None where it is another sort of install."""
    try:
        told = json.loads(one.read_text("direct_url.json") or "{}")
        if not told.get("dir_info", {}).get("editable"):
            return None
        return Path(url2pathname(urlsplit(told["url"]).path)).resolve()
    except (ValueError, KeyError, AttributeError, TypeError):  # whatever stands in it, it is somebody else's file
        return None


def load(value: str) -> object:
    """Import what "module:object" names. Raises whatever the import raises."""
    module, _, attributes = value.partition(":")
    found: object = import_module(module)
    for attribute in attributes.split(".") if attributes else ():
        found = getattr(found, attribute)
    return found
