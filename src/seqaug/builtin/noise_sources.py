"""What is mixed into the clean vectors.

N positions, D width, V items (ids 1..V).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, cast

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import Generator, ItemScores, ItemTable, NoiseSource, RecipeError, Tensor, Use, noise_sources

__all__ = ["GaussianNoise", "MixtureNoise", "SimilarityNoise"]


@noise_sources.register("gaussian")
class GaussianNoise:
    """Independent normal noise with standard deviation `scale` (Ho et al., 2020).

    Stands in for the similarity noise in "w/o k_noise" of Choi et al. (2025), table 3.
    """

    def __init__(self, *, scale: Annotated[float, Field(gt=0)] = 1.0) -> None:
        self.scale = scale

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) -> (N, D)."""
        return self.prior(tuple(clean.shape), generator).to(clean.dtype)

    def prior(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        """What a reverse chain starts from where no clean item is known."""
        return self.scale * torch.randn(shape, generator=generator, device=generator.device)


@noise_sources.register("similarity")
class SimilarityNoise:
    """Noise that resembles what it disturbs: the mean of the vectors of an item's k nearest other items.

    Choi et al. (2025), eq. 6-7. The noise depends on the item alone, so neighbours are looked up once per distinct item
    (on the CPU), without gradient; the mean of their vectors has one. Candidates are the items 1..V without the item itself.
    k: neighbours, at most V - 1, else RecipeError. metric: `dot` product as in the paper, or `cosine`.
    refresh: `step`, neighbours as the item vectors now have them; `epoch`, a table over all items made at the first draw of
    an epoch and kept until the next, which is faster and a little stale.
    """

    def __init__(
        self,
        *,
        k: Annotated[int, Field(ge=1)] = 25,
        metric: Literal["dot", "cosine"] = "dot",
        refresh: Literal["step", "epoch"] = "step",
    ) -> None:
        self.k = k
        self.metric = metric
        self.refresh = refresh
        self._kept: Tensor | None = None

    def start_epoch(self, table: ItemTable, epoch: int) -> None:
        """Forget the neighbours of the last epoch."""
        self._kept = None

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) ids in 1..V -> (N, D). Draws nothing: it is a function of the item table."""
        if items.device.type == "cpu":
            distinct, place = torch.unique(items, return_inverse=True)
        else:
            distinct, place = items, None  # how many are distinct would have to be waited for
        if self.refresh == "epoch":
            if self._kept is None:
                self._kept = self.neighbours(torch.arange(1, table.num_items + 1, device=items.device), table)
            near = self._kept[distinct - 1]
        else:
            near = self.neighbours(distinct, table)
        means = functional.embedding_bag(near, table.weight, mode="mean")
        return means if place is None else means[place]

    @torch.no_grad()
    def neighbours(self, items: Tensor, table: ItemTable) -> Tensor:
        """items (n,) ids in 1..V -> (n, k) ids of the most similar others, best first. Raises RecipeError where k > V - 1."""
        if self.k > table.num_items - 1:
            raise RecipeError(
                f"similarity noise is to average k = {self.k} neighbours, but each of the {table.num_items} items "
                f"has only {table.num_items - 1} others; choose a smaller k."
            )
        vectors = table.catalogue
        if self.metric == "cosine":
            vectors = functional.normalize(vectors, dim=1)
        scores = ItemScores(vectors[items - 1], cast(ItemTable, _Candidates(vectors)))
        best, _ = scores.top(self.k + 1)
        # An item need not be among its own nearest by dot product: then the last of the k + 1 is one too many.
        is_self = best == items[:, None]
        skip = is_self.cumsum(1)[:, : self.k]
        return best.gather(1, torch.arange(self.k, device=items.device) + skip)


@dataclass(frozen=True)
class _Candidates:
    """As much of an item table as `ItemScores` reads: other vectors in its place, and no popularity bias on a similarity."""

    catalogue: Tensor
    bias: None = None

    @property
    def num_items(self) -> int:
        return len(self.catalogue)


@noise_sources.register("mixture")
class MixtureNoise:
    """A weighted sum of two kinds of noise: share x first + (1 - share) x second. share in [0, 1]."""

    def __init__(
        self,
        *,
        first: Annotated[NoiseSource, Use("similarity")],
        second: Annotated[NoiseSource, Use("gaussian")],
        share: Annotated[float, Field(ge=0, le=1)] = 0.5,
    ) -> None:
        self.first = first
        self.second = second
        self.share = share

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) -> (N, D). Both draw from `generator`, `first` first."""
        first = self.first.draw(clean, items, table, generator)
        second = self.second.draw(clean, items, table, generator)
        return self.share * first + (1 - self.share) * second
