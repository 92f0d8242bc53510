"""Which plugin is checked: its class, its kind, and the options it is made with."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ..core.registries import REGISTRIES
from ..errors import PluginError, RecipeError, did_you_mean

__all__ = ["Subject", "kinds_of"]


class Subject:
    """A plugin's class as it is to be checked.

    kind: its registry, "noise_sources"; found from `@registry.register("name")` or the entry point where not given. options: as
    a recipe would give them; the rest are its defaults. Raises PluginError where the kind cannot be told, RecipeError where
    there is no such kind.
    """

    def __init__(self, plugin: type[Any], /, *, kind: str | None = None, options: Mapping[str, Any] | None = None) -> None:
        if not isinstance(plugin, type):
            raise PluginError(f"a class is checked, and {plugin!r} is none; hand over the plugin's class itself.")
        if kind is not None and kind not in REGISTRIES:
            raise RecipeError(f"there is no kind {kind!r}.{did_you_mean(kind, REGISTRIES)} Known: {', '.join(REGISTRIES)}.")
        self.plugin = plugin
        self.kind = kind or _only_kind(plugin)
        self.options = dict(options or {})

    @property
    def name(self) -> str:
        """The class, and the options that differ from its defaults: "SimilarityNoise(k=3)"."""
        inner = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return self.plugin.__name__ + (f"({inner})" if inner else "")

    @property
    def value(self) -> str:
        """ "module:Class"."""
        return f"{self.plugin.__module__}:{self.plugin.__qualname__}"

    def __repr__(self) -> str:
        return f"Subject({self.name}, kind={self.kind!r})"


def kinds_of(plugin: type[Any]) -> tuple[str, ...]:
    """The kinds of which a class is a plugin, by its mark or by an entry point. Imports nothing."""
    return tuple(
        kind
        for kind, registry in REGISTRIES.items()
        if registry.marks(plugin) is not None or any(_names(info.value, plugin) for info in registry.all())
    )


def _only_kind(plugin: type[Any]) -> str:
    known = kinds_of(plugin)
    if len(known) == 1:
        return known[0]
    what = f"is a plugin of several kinds ({', '.join(known)})" if known else "is marked as no kind of plugin"
    raise PluginError(
        f"the class {plugin.__qualname__} {what}. Say which one is meant, as in Subject({plugin.__name__}, "
        f'kind="noise_sources"). Known: {", ".join(REGISTRIES)}.'
    )


def _names(value: str, plugin: type[Any]) -> bool:
    """Whether "module:Class" is this class, told from what is imported already."""
    module, _, attributes = value.partition(":")
    found: object = sys.modules.get(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute, None)
    return found is plugin
