"""Whether a plugin can be used: loaded, held against its interface, its constructor read, and what came of it in one word."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from ..core.interface import api_version
from ..core.registries import REGISTRIES
from ..core.registry import PluginInfo
from ..errors import PluginError
from .options import signature_of

__all__ = ["Condition", "condition_of"]


@dataclass(frozen=True, slots=True)
class Condition:
    """How it stands with one plugin.

    state: "ok"; "broken", it does not import or does not keep its contract; "incompatible", it was written for another version
    of the contract; "disabled", somebody has switched it off, and it was not imported. cause: why it is not ok, in sentences.
    api: the version that it says it was written for, None where it says none or was not loaded. file: its source, where known.
    """

    state: Literal["ok", "broken", "incompatible", "disabled"]
    cause: str | None = None
    api: int | None = None
    file: str | None = None


def condition_of(info: PluginInfo) -> Condition:
    """Load the plugin that `info` stands for, whoever else claims its name, and say how it stands."""
    try:
        plugin = REGISTRIES[info.kind].load(info)
        file = getattr(sys.modules.get(plugin.__module__), "__file__", None)
        said = api_version(plugin)
        signature_of(info, plugin)
    except PluginError as error:
        return Condition(error.state, str(error))
    return Condition("ok", None, said if isinstance(said, int) else None, file)
