"""The interfaces of the eleven kinds of plugin, with shapes.

B sequences, N positions, D width of the item table, V items (ids 1..V; 0 is "none", V + 1 is MASK), T diffusion steps,
M negatives per position. A plugin is any class with these methods: nothing has to be inherited.

How a constructor is read: positional-only parameters are given by the assembly, matched by name (`dim`, `max_length`,
`num_items`, `steps`, `span`); keyword-only ones are chosen by the recipe; a parameter whose type is one of these protocols is
itself a plugin; one whose type is a Name is checked to exist.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from torch import Generator, Tensor

from ..data.batch import Batch
from ..data.layout import Layout
from ..data.split import Histories
from .views import Evidence, View

if TYPE_CHECKING:
    from .items import ItemScores, ItemTable
    from .recommender import Recommender
    from .step import Step

__all__ = [
    "Augmenter",
    "Denoiser",
    "Encoder",
    "Head",
    "NegativeSampler",
    "NoiseSource",
    "Objective",
    "PositionSelector",
    "Rewriter",
    "Schedule",
    "Scorer",
]


@runtime_checkable
class Encoder(Protocol):
    """A part: reads sequences of item vectors. An `nn.Module`.

    May also have `latest(embedded, layout) -> (B, D)`, the same states at each sequence's latest position where they are to be
    had for less; prefixes and scorers, which look at no other, then ask for that.
    """

    def __call__(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        """(N, D) -> (N, D), the state at each position."""
        ...


@runtime_checkable
class Head(Protocol):
    """A part: maps states to states. An `nn.Module`."""

    def __call__(self, hidden: Tensor, /) -> Tensor:
        """(..., D) -> (..., D')."""
        ...


@runtime_checkable
class NoiseSource(Protocol):
    """What is mixed into the clean vectors. May also have `prior(shape, generator)`, the noise that a reverse chain starts
    from where no clean item is known; a scorer that starts from noise refuses a source without it."""

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) -> noise (N, D). Changes nothing in place; depends on no other sequence of the batch."""
        ...


@runtime_checkable
class Schedule(Protocol):
    """How much of the clean vector is left after each step, and how much noise has come in: z_t = signal z_0 + noise n."""

    steps: int

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """signal (T,), noise (T,), float64, for t = 1..T."""
        ...


@runtime_checkable
class Denoiser(Protocol):
    """What learns to undo the noise. An `nn.Module`, part of its diffusion."""

    predicts: Literal["clean", "noise"]

    def __call__(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        """noised (N, D) with the time embedding already added; step (B,) in 1..T; condition (B, D) or None -> (N, D).

        `layout.repeated` puts a row of each sequence at its positions.
        """
        ...


@runtime_checkable
class PositionSelector(Protocol):
    """Which positions of a sequence are changed."""

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        """-> (N,) bool, may be all False."""
        ...


@runtime_checkable
class NegativeSampler(Protocol):
    """Which items stand in for, or against, the true one."""

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        ...


@runtime_checkable
class Augmenter(Protocol):
    """Makes named views of the batch. Objectives ask for them as "<augmenter>.<view>"."""

    @property
    def view_names(self) -> tuple[str, ...]:
        """The views it makes, in the order in which `views` returns them. Known without data."""
        ...

    def views(self, step: Step) -> tuple[View | Callable[[], View], ...]:
        """The views of this step's batch, or promises of them that are kept when the view is asked for.

        Called at most once a step, when the first of them is asked for; a promise likewise.
        """
        ...


@runtime_checkable
class Objective(Protocol):
    """Something to be made small."""

    def __call__(self, step: Step, /) -> Tensor:
        """-> (), the unweighted term."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Ranks the catalogue for a history."""

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores | Tensor:
        """histories (targets all 0, cut to max_length) -> the scores of items 1..V for each of the B histories."""
        ...


@runtime_checkable
class Rewriter(Protocol):
    """Puts made-up context in front of training sequences, when a stage begins."""

    at_scoring: bool
    """Whether the context also stands in front of the histories that are scored."""

    def rewrite(self, model: Recommender, histories: Histories, generator: Generator, /) -> Tensor:
        """The training part of all U users -> (U, M) ids, oldest first, 0 for none.

        They are context: never targets, never "seen", the first to be cut. Called without gradients and with dropout off.
        """
        ...
