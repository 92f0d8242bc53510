"""The registries, one line each. Which interface belongs to which is decided here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import did_you_mean
from . import discovery
from .disabled import disabled
from .registry import Registry

if TYPE_CHECKING:
    from .protocols import (
        Augmenter,
        Denoiser,
        Encoder,
        Head,
        NegativeSampler,
        NoiseSource,
        Objective,
        PositionSelector,
        Rewriter,
        Schedule,
        Scorer,
    )

__all__ = [
    "REGISTRIES",
    "augmenters",
    "denoisers",
    "encoders",
    "heads",
    "misplaced",
    "negative_samplers",
    "noise_sources",
    "objectives",
    "position_selectors",
    "registry_for_protocol",
    "rewriters",
    "schedules",
    "scorers",
]

encoders: Registry[Encoder] = Registry("encoders", "seqaug.core.protocols:Encoder")
noise_sources: Registry[NoiseSource] = Registry("noise_sources", "seqaug.core.protocols:NoiseSource")
position_selectors: Registry[PositionSelector] = Registry("position_selectors", "seqaug.core.protocols:PositionSelector")
negative_samplers: Registry[NegativeSampler] = Registry("negative_samplers", "seqaug.core.protocols:NegativeSampler")
schedules: Registry[Schedule] = Registry("schedules", "seqaug.core.protocols:Schedule")
denoisers: Registry[Denoiser] = Registry("denoisers", "seqaug.core.protocols:Denoiser")
heads: Registry[Head] = Registry("heads", "seqaug.core.protocols:Head")
augmenters: Registry[Augmenter] = Registry("augmenters", "seqaug.core.protocols:Augmenter")
objectives: Registry[Objective] = Registry("objectives", "seqaug.core.protocols:Objective")
scorers: Registry[Scorer] = Registry("scorers", "seqaug.core.protocols:Scorer")
rewriters: Registry[Rewriter] = Registry("rewriters", "seqaug.core.protocols:Rewriter")

REGISTRIES: dict[str, Registry[Any]] = {
    registry.kind: registry
    for registry in (
        encoders,
        noise_sources,
        position_selectors,
        negative_samplers,
        schedules,
        denoisers,
        heads,
        augmenters,
        objectives,
        scorers,
        rewriters,
    )
}


def registry_for_protocol(protocol: object) -> Registry[Any] | None:
    """The registry whose plugins keep `protocol`, None where it is none of the eleven."""
    where = f"{getattr(protocol, '__module__', '')}:{getattr(protocol, '__qualname__', '')}"
    return next((registry for registry in REGISTRIES.values() if registry.protocol_path == where), None)


def misplaced() -> list[str]:
    """A sentence for each installed plugin whose group is no kind of plugin, so that no recipe can name it."""
    groups = [f"{discovery.PREFIX}{kind}" for kind in REGISTRIES]
    return [
        f"{one.distribution} {one.version} declares {one.name!r} in the group {one.group!r}, which is no kind of plugin."
        f"{did_you_mean(one.group, groups)}"
        for one in discovery.installed().entries
        if one.group not in groups and disabled().by(one.distribution, one.name) is None
    ]
