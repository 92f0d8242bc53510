"""What the commands about plugins share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.registry import PluginInfo, Registry

__all__ = ["KINDS", "facts", "registries_with"]

KINDS = (
    "encoders", "noise_sources", "position_selectors", "negative_samplers", "schedules", "denoisers",
    "heads", "augmenters", "objectives", "scorers", "rewriters",
)  # fmt: skip


def facts(info: PluginInfo) -> dict[str, Any]:
    """Of one plugin, for --json."""
    return {
        "kind": info.kind,
        "name": info.name,
        "value": info.value,
        "distribution": info.distribution,
        "version": info.version,
        "origin": info.origin,
        "builtin": info.builtin,
        "file": info.file,
        "disabled": info.disabled,
    }


def registries_with(name: str, kind: str | None) -> list[Registry[Any]]:
    """Those of one kind, or of all, that know a plugin called `name` or "distribution/name". Imports no plugin.

    Raises UnknownName, with the nearest name and with what might have been it, where there is none.
    """
    from ...core import discovery
    from ...core.registries import REGISTRIES, misplaced
    from ...errors import UnknownName, did_you_mean

    source, _, short = name.rpartition("/")
    chosen = [registry for key, registry in REGISTRIES.items() if kind in (None, key)]
    claims = [(registry, info) for registry in chosen for info in registry.all()]
    named = [(registry, info) for registry, info in claims if info.name == short]
    having = [one for one, info in named if not source or discovery.normalised(info.source) == discovery.normalised(source)]
    if having:
        return list(dict.fromkeys(having))
    known = sorted({info.name for _, info in claims})
    if source and named:
        known = sorted({f"{info.source}/{short}" for _, info in named})
    others = [key for key, registry in REGISTRIES.items() if kind not in (None, key) and short in registry.names()]
    of_kind = f"{chosen[0].noun} is" if kind else "plugin is"
    lines = [f"no {of_kind} called {name!r}.{did_you_mean(name if named else short, known)} Known: {', '.join(known)}."]
    lines += [f"  --kind {other} has one of that name" for other in others]
    lines += [f"  {one}" for one in misplaced() if f" declares {short!r} " in one]
    lines += [f"  not read: {one}" for one in discovery.installed().broken]
    raise UnknownName("\n".join(lines))
