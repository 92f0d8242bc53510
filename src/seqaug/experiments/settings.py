"""What a run is asked for, before anything is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ..recipes.plan import Patch

__all__ = ["Precision", "RunSettings"]

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """One run: a recipe on a data set under a seed.

    recipe, data: a known name or a path. data_options: how the file is read, as `data.catalog.find` takes it.
    device: "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:1".
    out: the run folder itself; None for the default, `runs/<recipe>-<data>-<hash>` under `runs`.
    patches: changes of the recipe in rising precedence. threads: for torch on the CPU, None to leave as it is.
    fresh: forget what the folder already holds. command: what the user typed, for messages and `command.txt`.
    """

    recipe: str = "simdiffrec"
    data: str = "movietweetings"
    data_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    device: str = "auto"
    precision: Precision = "float32"
    threads: int | None = None
    out: Path | None = None
    runs: Path = Path("runs")
    patches: Sequence[Patch] = ()
    ablation: str | None = None
    fresh: bool = False
    command: tuple[str, ...] = ()
