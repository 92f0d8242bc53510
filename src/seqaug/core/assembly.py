"""What a plan says will happen: stages, updates and weighted terms. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .protocols import Augmenter, Objective, Rewriter, Scorer
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
    """A number of epochs, each batch going through every update in order.

    batch_size, learning_rate, validate_every, patience, monitor: None where [training] says it for all stages; monitor
    "loss" goes by the sum of the training terms and validates nothing. min_length: only users with so many training items make
    rows. reset: parts that are put back to their initial weights when the stage begins. rewrite: the rewriter that runs then.
    """

    name: str
    epochs: int
    updates: tuple[Update, ...]
    batch_size: int | None = None
    learning_rate: float | None = None
    validate_every: int | None = None
    patience: int | None = None
    monitor: str | None = None
    min_length: int = 1
    reset: tuple[str, ...] = ()
    rewrite: str | None = None


@dataclass(frozen=True)
class Assembly:
    """A recipe made real: the parts that learn, and the strategies that use them.

    plugins: path in the recipe -> plugin object, nested ones included. The path is the slot under which the plugin draws.
    Without stages nothing is trained.
    """

    model: Recommender
    augmenters: dict[str, Augmenter]
    stages: tuple[Stage, ...]
    scorer: Scorer
    plugins: dict[str, object]
    rewriters: dict[str, Rewriter] = field(default_factory=dict)

    @property
    def scoring_context(self) -> Tensor | None:
        """What stands in front of the histories that are scored: the model's context where its rewriter wants that."""
        return self.model.context if any(one.at_scoring for one in self.rewriters.values()) else None

    @cached_property
    def slots(self) -> dict[int, str]:
        """id(plugin) -> its path. The objects live as long as the assembly, so an id stays theirs."""
        return {id(plugin): path for path, plugin in self.plugins.items()}
