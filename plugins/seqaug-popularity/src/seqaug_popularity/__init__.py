"""Noise and negatives that are as popular as what they stand in for, for seqaug.

Two questions that popularity confuses become clean with it: whether a noise source helps because it knows what is similar or
because it brings popular items, and whether a model tells items apart or only the popular from the rare.

N positions, M negatives per position, V items (ids 1..V), D width.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from seqaug.api import (
    Evidence,
    Generator,
    Histories,
    ItemTable,
    RecipeError,
    SeqaugError,
    Tensor,
    negative_samplers,
    noise_sources,
)
from torch.nn import functional

__all__ = ["PopularityMatchedItems", "PopularityMatchedNoise"]

Window = Annotated[int, Field(ge=1)]


class _Ranking:
    """The items from the most popular to the least, and for each the run of those that are about as popular.

    popularity: (V + 1,) training actions. items: (V,) ids, most popular first; place: (V + 1,) where an item stands in
    there, that of item 0 without meaning. The run of an item reaches `window` places up and down from where it stands, where
    there are so many, and goes on to the last of the equally popular on either side: whether an item belongs to it never
    hangs on its id.
    """

    def __init__(self, popularity: Tensor, window: int) -> None:
        self.of = popularity
        counts = popularity[1:]
        order = torch.sort(counts, descending=True, stable=True).indices
        self.items = order + 1
        self.place = torch.zeros_like(popularity, dtype=torch.int64)
        self.place[self.items] = torch.arange(len(order), device=order.device)
        falling = -counts[order]  # searchsorted wants rising numbers
        here = torch.arange(len(order), device=order.device)
        top, bottom = falling[(here - window).clamp(min=0)], falling[(here + window).clamp(max=len(order) - 1)]
        self.begin = torch.searchsorted(falling, top)
        self.end = torch.searchsorted(falling, bottom, right=True)

    def run(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """items (n,) ids, 0 for none -> begin (n,), end (n,) of their runs; that of "none" is the whole catalogue."""
        place, known = self.place[items], items > 0
        return torch.where(known, self.begin[place], 0), torch.where(known, self.end[place], len(self.items))


@noise_sources.register("popularity_matched")
class PopularityMatchedNoise:
    """The mean of the vectors of some other items that are as popular as the item, whatever else they are like.

    Similarity noise without the similarity: it is made of the catalogue's own vectors, at the popularity that similar items
    tend to share.
    k: how many are drawn, for each position by itself, each with the same chance, with replacement. window: candidates are
    the others from so many places above the item in the ranking by training actions to so many below it, and whoever is as
    popular as one of these. Gradients reach the vectors that were drawn. Raises RecipeError where the catalogue has no
    other item.
    """

    seqaug_api = 1

    def __init__(self, *, k: Annotated[int, Field(ge=1)] = 1, window: Window = 50) -> None:
        self.k = k
        self.window = window
        self._ranking: _Ranking | None = None

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """clean (N, D), items (N,) ids in 1..V -> (N, D)."""
        if table.num_items < 2:
            raise RecipeError("popularity-matched noise is made of other items, but the catalogue has only one.")
        if self._ranking is None or self._ranking.of is not table.popularity:
            self._ranking = _Ranking(table.popularity, self.window)
        ranking = self._ranking
        begin, end = ranking.run(items)
        points = torch.rand((len(items), self.k), dtype=torch.float64, generator=generator, device=generator.device)
        place = begin[:, None] + _scaled(points.to(items.device), end - begin - 1)
        place = place + (place >= ranking.place[items][:, None])  # past the item itself
        drawn = functional.embedding_bag(ranking.items[place], table.weight, mode="mean")
        return drawn.to(clean.dtype)


@negative_samplers.register("popularity_matched")
class PopularityMatchedItems:
    """Items that are as popular as the target, each with the same chance, with replacement.

    Uniform negatives are mostly rare items, so that knowing what is popular is enough to tell them from the target; popular
    negatives teach the opposite mistake. Against these, popularity tells nothing.
    window: candidates are the items from so many places above the target in the ranking by training actions to so many
    below it, and whoever is as popular as one of these. exclude: `target`, or `history`, the target and everything in
    the user's training history. Where that leaves none of them, and where no target is known, every item that is not excluded
    is a candidate. Raises SeqaugError where even then no item is left.
    """

    seqaug_api = 1

    def __init__(self, *, window: Window = 50, exclude: Literal["target", "history"] = "history") -> None:
        self.window = window
        self.exclude = exclude
        self._ranking: _Ranking | None = None
        self._had: _Had | None = None

    def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
        """-> (N, count) ids in 1..V."""
        if self._ranking is None or self._ranking.of is not evidence.popularity:
            self._ranking, self._had = _Ranking(evidence.popularity, self.window), None
        ranking, targets = self._ranking, evidence.targets
        if self._had is None or self._had.of is not evidence.histories:
            self._had = _Had(evidence.histories, ranking, nothing=self.exclude == "target")
        had, users = self._had, evidence.users[evidence.layout.sequence]
        begin, end = ranking.run(targets)
        place = ranking.place[targets]
        # The target is one more to leave out, unless it is known to the history already.
        extra = (targets > 0) & ~had.contains(users, place)
        free = had.free(users, begin, end) - extra.long()
        spent = free <= 0
        begin, end = torch.where(spent, 0, begin), torch.where(spent, len(ranking.items), end)
        free = torch.where(spent, had.free(users, begin, end) - extra.long(), free)
        if bool((free <= 0).any()):
            excluded = "the target" if self.exclude == "target" else "the user's history"
            raise SeqaugError(
                f"no item is left to draw as a popularity-matched negative: {excluded} is the whole catalogue of "
                f'{evidence.num_items} items. Exclude less (exclude = "target"), or use more items.'
            )
        points = torch.rand((len(targets), count), dtype=torch.float64, generator=generator, device=generator.device)
        nth = had.free_before(users, begin)[:, None] + _scaled(points.to(targets.device), free)
        nth = nth + (extra[:, None] & (nth >= had.free_before(users, place)[:, None]))
        return ranking.items[had.place_of_free(users, nth)]


class _Had:
    """Which places of the ranking each user's history takes, so that the free ones can be counted and found.

    Key of a place p of user u: u x (V + 1) + p, sorted and distinct. With `nothing`, no place is taken.
    """

    def __init__(self, histories: Histories, ranking: _Ranking, *, nothing: bool) -> None:
        self.of = histories
        items = histories.items
        self.wide = histories.num_items + 1
        owner = torch.repeat_interleave(torch.arange(histories.num_users, device=items.device), histories.lengths)
        keys = torch.unique(owner * self.wide + ranking.place[items])
        self.keys = keys[:0] if nothing else keys
        self.first = torch.searchsorted(self.keys, torch.arange(histories.num_users, device=items.device) * self.wide)
        # How many free places stand before each taken one: never falls within a user.
        taken_before = torch.arange(len(self.keys), device=items.device) - self.first[self.keys // self.wide]
        self.free_keys = self.keys - taken_before

    def contains(self, users: Tensor, place: Tensor) -> Tensor:
        """users (n,), place (n,) -> (n,) bool, whether the place is taken."""
        key = users * self.wide + place
        return torch.searchsorted(self.keys, key, right=True) > torch.searchsorted(self.keys, key)

    def free_before(self, users: Tensor, place: Tensor) -> Tensor:
        """users (n,), place (n,) -> (n,) how many places before that one are free."""
        return place - (torch.searchsorted(self.keys, users * self.wide + place) - self.first[users])

    def free(self, users: Tensor, begin: Tensor, end: Tensor) -> Tensor:
        """users (n,), begin (n,), end (n,) -> (n,) how many places of the run are free."""
        return self.free_before(users, end) - self.free_before(users, begin)

    def place_of_free(self, users: Tensor, nth: Tensor) -> Tensor:
        """users (n,), nth (n, m) -> (n, m) the free place that has so many free ones before it."""
        passed = torch.searchsorted(self.free_keys, users[:, None] * self.wide + nth, right=True) - self.first[users][:, None]
        return nth + passed


def _scaled(points: Tensor, sizes: Tensor) -> Tensor:
    """points (n, m) in [0, 1), sizes (n,) >= 1 -> (n, m) int64 in 0..size - 1."""
    return (points * sizes[:, None]).long().clamp(max=sizes[:, None] - 1)
