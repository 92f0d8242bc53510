"""A sound plugin of each kind, as small as one can be: what planted defects are grafted upon."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from seqaug.api import (
    Batch,
    Evidence,
    Generator,
    Histories,
    ItemTable,
    Layout,
    Recommender,
    Step,
    Tensor,
    View,
)

__all__ = ["METHODS", "SOUND"]


class Noise:
    """The clean vectors, halved, and a little normal noise."""

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        return 0.5 * clean + self.prior(tuple(clean.shape), generator)

    def prior(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return 0.1 * torch.randn(shape, generator=generator, device=generator.device)


class Selector:
    """Every other position, by a coin."""

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        return torch.rand(evidence.layout.num_positions, generator=generator, device=generator.device) < 0.5


class Sampler:
    """Any item."""

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        size = (len(evidence.items), count)
        return torch.randint(1, evidence.num_items + 1, size, generator=generator, device=generator.device)


class Schedule:
    """Signal and noise are shares of a whole. steps: T."""

    def __init__(self, *, steps: Annotated[int, Field(ge=1)] = 20) -> None:
        self.steps = steps

    def coefficients(self) -> tuple[Tensor, Tensor]:
        noise = torch.arange(1, self.steps + 1, dtype=torch.float64) / (self.steps + 1)
        return 1 - noise, noise


class Encoder(nn.Module):
    """A linear map of the mean of all that came so far."""

    def __init__(self, dim: int, /) -> None:
        super().__init__()
        self.map = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        so_far = layout.packed(layout.padded(embedded).cumsum(1)) / (layout.from_start + 1)[:, None]
        mapped: Tensor = self.map(self.dropout(so_far))
        return mapped


class Denoiser(nn.Module):
    """A linear map of vector and condition, position by position."""

    predicts: Literal["clean", "noise"] = "clean"

    def __init__(self, dim: int, /) -> None:
        super().__init__()
        self.map = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        told = noised if condition is None else noised + layout.repeated(condition)
        mapped: Tensor = self.map(self.dropout(told))
        return mapped


class Head(nn.Module):
    """A linear map."""

    def __init__(self, dim: int, /) -> None:
        super().__init__()
        self.map = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(0.3)

    def forward(self, hidden: Tensor, /) -> Tensor:
        mapped: Tensor = self.map(self.dropout(hidden))
        return mapped


class Augmenter:
    """MASK at every third position, with vectors of its own."""

    view_names: tuple[str, ...] = ("masked",)

    def views(self, step: Step) -> tuple[View, ...]:
        seen = step.view("clean")
        holes = seen.layout.from_start % 3 == 1
        items = seen.items.masked_fill(holes, step.model.items.mask_id)
        return (replace(seen, items=items, edited=holes, embedded=step.model.items(items)),)


class Objective:
    """The softmax cross-entropy of the next item."""

    def __call__(self, step: Step, /) -> Tensor:
        hidden, targets = step.predicting()
        return step.scores(hidden).nll(targets)


class Scorer:
    """The inner product with the latest state, written down."""

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> Tensor:
        states = model.latest(model.items(histories.items), histories.layout)
        return states @ model.items.catalogue.t()


class Rewriter:
    """Three items, whichever."""

    at_scoring: Any = False

    def rewrite(self, model: Recommender, histories: Histories, generator: Generator, /) -> Tensor:
        size = (histories.num_users, 3)
        return torch.randint(1, histories.num_items + 1, size, generator=generator, device=generator.device)


SOUND: dict[str, type[Any]] = {
    "encoders": Encoder,
    "noise_sources": Noise,
    "position_selectors": Selector,
    "negative_samplers": Sampler,
    "schedules": Schedule,
    "denoisers": Denoiser,
    "heads": Head,
    "augmenters": Augmenter,
    "objectives": Objective,
    "scorers": Scorer,
    "rewriters": Rewriter,
}

METHODS = {
    "encoders": "forward",
    "noise_sources": "draw",
    "position_selectors": "select",
    "negative_samplers": "sample",
    "schedules": "coefficients",
    "denoisers": "forward",
    "heads": "forward",
    "augmenters": "views",
    "objectives": "__call__",
    "scorers": "score",
    "rewriters": "rewrite",
}
"""The method that does the work of a kind."""
