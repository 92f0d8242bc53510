"""Plugins that somebody has switched off: SEQAUG_DISABLE_PLUGINS, and --no-plugins, which is "all" in it.

Only what is installed can be switched off. What is built in cannot, since every recipe rests on it; and a class that a script
or a plugin file brings in was asked for by whoever runs it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import did_you_mean
from .isolation import PluginNote

if TYPE_CHECKING:
    from .discovery import Discovered

__all__ = ["VARIABLE", "Disabled", "disabled", "no_plugins", "normalised", "remedy"]

VARIABLE = "SEQAUG_DISABLE_PLUGINS"
FLAG = "--no-plugins"
OWN_DISTRIBUTION = "seqaug"

_by_flag = False


def normalised(distribution: str) -> str:
    """The one spelling of a distribution's name: `Seqaug_Popularity` -> `seqaug-popularity` (PEP 503)."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@dataclass(frozen=True, slots=True)
class Disabled:
    """What is switched off. entries: as they were written, commas between them. by_flag: --no-plugins was given."""

    entries: tuple[str, ...]
    by_flag: bool = False

    def by(self, distribution: str, plugin: str | None = None) -> str | None:
        """What switched off a plugin, or a whole distribution: "--no-plugins" or "SEQAUG_DISABLE_PLUGINS=seqaug-pink"; None
        where nothing did."""
        if normalised(distribution) == OWN_DISTRIBUTION:
            return None
        if self.by_flag:
            return FLAG
        for entry in self.entries:
            whose, slash, short = entry.partition("/")
            named = normalised(whose) == normalised(distribution) and (not slash or short == plugin)
            if entry == "all" or named:
                return f"{VARIABLE}={entry}"
        return None

    def unmatched(self, found: Discovered) -> Iterator[str]:
        """A sentence for each entry that switches nothing off."""
        if self.by_flag:
            return
        plugins: dict[str, set[str]] = {one.distribution: set() for one in found.broken}
        own: set[str] = set()
        for one in found.entries:
            if one.distribution == OWN_DISTRIBUTION:
                own.add(one.name)
            else:
                plugins.setdefault(one.distribution, set()).add(one.name)
        for entry in self.entries:
            whose, slash, short = entry.partition("/")
            distribution = normalised(whose)
            said = f"{VARIABLE} names {entry!r}, and"
            if entry == "all":
                continue
            if distribution == OWN_DISTRIBUTION:
                yield f"{said} what is built in cannot be disabled."
            elif distribution not in plugins:
                having = sorted(f"{one}/{whose}" for one, names in plugins.items() if whose in names)
                near = f" Did you mean {' or '.join(having)}?" if having else did_you_mean(distribution, plugins)
                if whose in own and not having:
                    near = f" {whose!r} is built in, and what is built in cannot be disabled."
                yield f"{said} no distribution of that name has plugins of seqaug.{near}"
            elif slash and short not in plugins[distribution]:
                yield f"{said} {distribution} has no plugin of that name.{did_you_mean(short, plugins[distribution])}"


def disabled(found: Discovered | None = None) -> Disabled:
    """What is switched off now. found: what is installed; entries that match nothing of it are warned of, once."""
    now = _read(os.environ.get(VARIABLE, ""), _by_flag)
    if found is not None:
        _warn(now, found)
    return now


@lru_cache(maxsize=8)
def _read(text: str, by_flag: bool) -> Disabled:
    return Disabled(tuple(entry.strip() for entry in text.split(",") if entry.strip()), by_flag)


@lru_cache(maxsize=8)
def _warn(now: Disabled, found: Discovered) -> None:
    for message in now.unmatched(found):
        warnings.warn(message, PluginNote, stacklevel=2)


@contextmanager
def no_plugins() -> Iterator[None]:
    """Meanwhile everything that is not built in is switched off, in the processes that are started too."""
    global _by_flag
    before, was_flag = os.environ.get(VARIABLE), _by_flag
    os.environ[VARIABLE], _by_flag = "all", True
    try:
        yield
    finally:
        _by_flag = was_flag
        if before is None:
            del os.environ[VARIABLE]
        else:
            os.environ[VARIABLE] = before


def remedy(by: str) -> str:
    """What to do about something that `by` switched off."""
    if by == FLAG:
        return f"Leave {FLAG} out to use it."
    entry = by.removeprefix(f"{VARIABLE}=")
    return f"Unset {VARIABLE} to use it." if entry == "all" else f"Take {entry!r} out of {VARIABLE} to use it."
