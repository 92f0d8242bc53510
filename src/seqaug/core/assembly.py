"""What a plan says will happen: stages, updates and weighted terms. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .protocols import Augmenter, Objective, Scorer
    from .recommender import Recommender

__all__ = ["Assembly", "Stage", "Term", "Update"]


@dataclass(frozen=True, slots=True)
class Term:
    """One objective with the weight it has in one update. It counts from epoch `from_epoch` (0 is the first) on."""

    name: str
    objective: Objective
    weight: float
    from_epoch: int = 0

    def weight_at(self, epoch: int) -> float:
        return self.weight if epoch >= self.from_epoch else 0.0


@dataclass(frozen=True, slots=True)
class Update:
    """These terms move these parts (names as in `Recommender.parts()`)."""

    moves: tuple[str, ...]
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A number of epochs, each batch going through every update in order."""

    name: str
    epochs: int
    updates: tuple[Update, ...]


@dataclass(frozen=True)
class Assembly:
    """A recipe made real: the parts that learn, and the strategies that use them.

    plugins: path in the recipe -> plugin object, nested ones included. The path is the slot under which the plugin draws.
    """

    model: Recommender
    augmenters: dict[str, Augmenter]
    stages: tuple[Stage, ...]
    scorer: Scorer
    plugins: dict[str, object]

    @cached_property
    def slots(self) -> dict[int, str]:
        """id(plugin) -> its path. The objects live as long as the assembly, so an id stays theirs."""
        return {id(plugin): path for path, plugin in self.plugins.items()}
