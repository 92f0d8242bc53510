"""What the commands about plugins share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...core.registry import PluginInfo

__all__ = ["KINDS", "facts"]

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
    }
