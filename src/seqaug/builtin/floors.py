"""Floors: rankings that need no training. What a trained recipe does not beat has not learnt to read a history.

B histories, V items (ids 1..V), U users. Both are exact: every sum is one of numbers that float64 holds without rounding, so
that neither the order of the terms nor the size of a batch changes a bit.
"""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import Batch, Generator, Histories, ItemScores, Recommender, Tensor, scorers

__all__ = ["ItemKnn", "PopularityScorer"]

PAIRS = 2**22
"""How many co-occurring pairs are looked at in one go."""

GRID = 2.0**24, 2.0**16
"""Similarities and votes are rounded to multiples of 1 / these: their products, and sums of them to 2^13, fit into float64."""


@scorers.register("popularity")
class PopularityScorer:
    """Every item by the number of its training actions, whatever the history.

    Equal counts are ties, which the ranking counts against the target. Draws nothing, trains nothing.
    """

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores:
        """B histories -> the same scores B times, made when asked for."""
        counts = model.items.popularity[1:].float()

        def rows(part: slice) -> Tensor:
            return counts.expand(part.stop - part.start, -1).clone()

        return ItemScores.chunked(histories.size, len(counts), rows, counts.device)


@scorers.register("item_knn")
class ItemKnn:
    """The items that the users of the latest items had as well.

    score(i) = sum over the `latest` items j of the history of decay^age(j) sim(i, j), where the latest item has age 0 and
    sim(j, j) = 0. n(i, j) users have both items in training, n(i) have i:
    cosine: sim(i, j) = n(i, j) / sqrt((n(i) + damping) (n(j) + damping)), which is Sarwar et al. (2001) on the binary matrix of
    users and items, damped against coincidences of rare items as in Hidasi et al. (2016), section 4.
    count: sim(i, j) = n(i, j), the plain co-occurrence.
    neighbours: item j votes for its so many most similar items only (Deshpande & Karypis, 2004), equal ones in the order of
    their ids; None for all that co-occur with it. latest: None for all that the model reads; an item that stands there twice
    votes twice. decay: in (0, 1], 1 for votes of equal weight. damping: >= 0, of no effect with `count`.

    Learns from the training histories through `know`. Keeps `neighbours` numbers an item, with None one for every pair of
    items that some user has; never V x V. Draws nothing, trains nothing.
    """

    def __init__(
        self,
        *,
        similarity: Literal["cosine", "count"] = "cosine",
        neighbours: Annotated[int, Field(ge=1)] | None = 100,
        latest: Annotated[int, Field(ge=1)] | None = 10,
        decay: Annotated[float, Field(gt=0, le=1)] = 0.8,
        damping: Annotated[float, Field(ge=0)] = 20.0,
    ) -> None:
        self.similarity = similarity
        self.neighbours = neighbours
        self.latest = latest
        self.decay = decay
        self.damping = damping
        self._similar: Tensor | None = None

    def know(self, histories: Histories) -> None:
        """Count who had what together: row j of the kept sparse (V + 1, V + 1) matrix holds the neighbours of item j."""
        size, wide = histories.num_items + 1, histories.num_users
        owner = torch.repeat_interleave(torch.arange(wide, device=histories.items.device), histories.lengths)
        pairs = torch.unique(histories.items * wide + owner)  # an item that a user has twice is one that the user has
        items, users = pairs // wide, pairs % wide
        had = torch.bincount(items, minlength=size)
        ones = torch.ones(len(pairs), dtype=torch.float64, device=pairs.device)
        has, had_by = _sparse(users, items, ones, (wide, size)), _sparse(items, users, ones, (size, wide))
        kept: list[tuple[Tensor, Tensor, Tensor]] = []
        for part in self._parts(items, torch.bincount(users, minlength=wide)[users], size):
            counts = _product(_rows(had_by, part), has).coalesce()
            row, column = counts.indices()
            other = row + part.start != column
            kept.append(self._nearest(row[other] + part.start, column[other], counts.values()[other], had))
        rows, columns, values = (torch.cat(one) for one in zip(*kept, strict=True))
        self._similar = _sparse(rows, columns, values, (size, size))

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores:
        """B histories -> scores of items 1..V, made when asked for; 0 where no vote fell."""
        assert self._similar is not None, "item_knn is asked for scores before it knows the training histories"
        similar = self._similar = self._similar.to(histories.items.device)
        layout = histories.layout
        age = layout.from_end
        votes = age < (layout.longest if self.latest is None else self.latest)
        weight = torch.round(self.decay ** age[votes].double() * GRID[1]) / GRID[1]
        voting = _sparse(layout.sequence[votes], histories.items[votes], weight, (histories.size, len(similar)))

        def rows(part: slice) -> Tensor:
            return _product(_rows(voting, part), similar).to_dense()[:, 1:].float()

        return ItemScores.chunked(histories.size, len(similar) - 1, rows, weight.device)

    def _parts(self, items: Tensor, others: Tensor, size: int) -> list[slice]:
        """Runs of items with about PAIRS pairs together. items: (n,) with the length (n,) of a history that each is in."""
        before = torch.cumsum(torch.bincount(items, weights=others.double(), minlength=size), 0).long() // PAIRS
        ends = [*(torch.nonzero(before.diff()).flatten() + 1).tolist(), size]
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]

    def _nearest(self, row: Tensor, column: Tensor, counts: Tensor, had: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows and columns (n,), sorted by both, with their counts -> rows, columns and similarities of those that are kept."""
        values = counts
        if self.similarity == "cosine":
            norm = (had + self.damping).double().sqrt()
            values = torch.round(counts / (norm[row] * norm[column]) * GRID[0]) / GRID[0]
        if self.neighbours is not None:
            order = torch.sort(values, descending=True, stable=True).indices
            order = order[torch.sort(row[order], stable=True).indices]
            row, column, values = row[order], column[order], values[order]
            place = torch.arange(len(row), device=row.device) - torch.searchsorted(row, row)
            near = place < self.neighbours
            row, column, values = row[near], column[near], values[near]
        return row, column, values


def _sparse(rows: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A matrix whose entries at the same place are added up, sorted by row and column."""
    return torch.sparse_coo_tensor(torch.stack([rows, columns]), values, size, check_invariants=False).coalesce()


def _rows(matrix: Tensor, part: slice) -> Tensor:
    """Some rows of such a matrix."""
    rows = matrix.indices()[0].contiguous()
    first, last = torch.searchsorted(rows, torch.tensor([part.start, part.stop], device=rows.device)).tolist()
    return _sparse(
        rows[first:last] - part.start,
        matrix.indices()[1, first:last],
        matrix.values()[first:last],
        (part.stop - part.start, matrix.shape[1]),
    )


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Of two sparse matrices, itself sparse."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # torch multiplies them in that form
        product: Tensor = torch.sparse.mm(left, right)
    return product
