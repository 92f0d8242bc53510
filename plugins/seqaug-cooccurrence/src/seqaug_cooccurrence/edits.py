"""Sequences edited with items that co-occur with those around them.

B sequences, N positions, V items (ids 1..V), U users, K correlated items kept of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field
from seqaug.api import Generator, Histories, Layout, Step, Tensor, View, augmenters

__all__ = ["CooccurrenceEdits"]

Operation = Literal["insert", "substitute"]
Share = Annotated[float, Field(gt=0, le=1)]

OPERATIONS: tuple[Operation, ...] = get_args(Operation)

PAIRS = 2**21
"""How many pairs of positions are looked at in one go while counting; one item's pairs are never parted."""

GRID = 2.0**24, 2.0**40
"""Weights of users, and what comes out, are rounded to multiples of 1 / these: sums over up to 2^28 users are then exact,
whatever their order, and what is equal on paper is equal here."""

SLACK = 1e-9  # 0.07 x 100 is 7.000000000000001 in binary, and seven places are meant


@augmenters.register("cooccurrence")
class CooccurrenceEdits:
    """Two views of each sequence, into which items were put that users had together with those already there.

    After Liu et al. (2021), arXiv:2108.06479: what is put in belongs to what is there, so that a short history is disturbed
    less than by random items. For each sequence and view one operation is drawn, and ceil(share x length) places: insert puts
    a correlated item in front of each, substitute puts one in its stead. Places are uniform among those whose item has a
    correlated one, or all of those where they are fewer; a sequence without any stays as it is. A view that outgrows
    max_length loses its oldest items. Targets are not touched.

    cor(i, j) = sum over the users who had both of 1 / log(1 + items the user had), over sqrt(n(i) n(j)), where n(i) users had
    i: the cosine of item-based filtering in which users who had everything tell less (Breese et al., 1998).
    operations: those to draw from, with equal chances, else ValueError where one is named twice. insert, substitute: the share
    of the places. short: a history of at most so many items is only inserted into, where insert is among the operations,
    because a substitute leaves too little of it. k: a new item is one of the k that have most to do with the old one, equal
    ones in the order of their ids, each with a chance in proportion to cor. window: a user had both where they stand at
    most so many places apart in the training history; None for anywhere in it.

    Views: `first`, `second`. Learns from the training histories through `know`, and keeps 2 (V + 1) k numbers. Counting looks
    at 2 x window pairs per training action, in blocks of items with about 2^21 of them, and never at V x V.
    """

    seqaug_api = 1
    view_names: tuple[str, ...] = ("first", "second")

    def __init__(
        self,
        *,
        operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = ("insert", "substitute"),
        insert: Share = 0.2,
        substitute: Share = 0.2,
        short: Annotated[int, Field(ge=0)] = 4,
        k: Annotated[int, Field(ge=1)] = 10,
        window: Annotated[int, Field(ge=1)] | None = 10,
    ) -> None:
        if len(set(operations)) < len(operations):
            raise ValueError(f"operations names one twice: {', '.join(operations)}")
        self.operations = tuple(operations)
        self.shares = (insert, substitute)
        self.short = short
        self.k = k
        self.window = window
        self._correlated: _Correlated | None = None

    def know(self, histories: Histories) -> None:
        """Count what was had together."""
        self._correlated = _Correlated.of(histories, self.k, self.window)

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `first`, `second`."""
        assert self._correlated is not None, "cooccurrence is asked for views before it knows the training histories"
        correlated = self._correlated = self._correlated.to(step.batch.items.device)
        generator = step.generator(self)
        views = (self._view(step.batch.layout, step.batch.items, correlated, generator) for _ in self.view_names)
        return tuple(_latest(view, step.model.max_length) for view in views)

    def _view(self, layout: Layout, items: Tensor, correlated: _Correlated, generator: Generator) -> View:
        """items (N,) -> one view, not yet cut to its latest positions. Draws the same numbers whatever the items are."""
        by_sequence = _drawn(layout.num_sequences, generator)
        where, what = _drawn(layout.num_positions, generator), _drawn(layout.num_positions, generator)
        operation = self._operation(layout.lengths, by_sequence)  # (B,) places in OPERATIONS
        shares = torch.tensor(self.shares, dtype=torch.float64, device=items.device)[operation]
        sizes = torch.ceil(layout.lengths * shares - SLACK).long()
        possible = correlated.known(items)
        chosen = possible & layout.top(torch.where(possible, where, -1.0), sizes)
        new = correlated.drawn(items, what)

        inserted = chosen & (operation == OPERATIONS.index("insert"))[layout.sequence]
        substituted = chosen & ~inserted
        now = torch.where(substituted, new, items)
        # A place that something comes in front of is written twice: the new item, then the old one.
        times = 1 + inserted.long()
        counts = torch.zeros_like(layout.lengths).index_add_(0, layout.sequence, times).tolist()
        source = torch.repeat_interleave(torch.arange(len(items), device=items.device), times, output_size=sum(counts))
        is_new = inserted[source] & (source.diff(prepend=source.new_full((1,), -1)) > 0)  # the first of the two
        return View(
            layout=Layout.of(counts, layout.device),
            items=torch.where(is_new, new[source], now[source]),
            edited=is_new | substituted[source],
        )

    def _operation(self, lengths: Tensor, points: Tensor) -> Tensor:
        """lengths (B,), points (B,) in [0, 1) -> (B,) places in OPERATIONS."""
        codes = torch.tensor([OPERATIONS.index(name) for name in self.operations], device=lengths.device)
        drawn = codes[(points * len(codes)).long().clamp(max=len(codes) - 1)]
        if "insert" not in self.operations:
            return drawn
        return torch.where(lengths <= self.short, OPERATIONS.index("insert"), drawn)


@dataclass(frozen=True, slots=True)
class _Correlated:
    """The K items that have most to do with each item, best first.

    items: (V + 1, K) ids, where there are fewer the item itself behind them. upto: (V + 1, K) sums of cor up to that column.
    """

    items: Tensor
    upto: Tensor

    @classmethod
    def of(cls, histories: Histories, k: int, window: int | None) -> _Correlated:
        """Counted from the training histories."""
        size, device = histories.num_items + 1, histories.items.device
        items = torch.arange(size, device=device)[:, None].repeat(1, k)
        values = torch.zeros((size, k), dtype=torch.float64, device=device)
        for row, column, value in _correlations(histories, window):
            # By row, then by value, then by id: the entries come sorted by row and column, and stable sorts keep that.
            order = torch.sort(value, descending=True, stable=True).indices
            order = order[torch.sort(row[order], stable=True).indices]
            row, column, value = row[order], column[order], value[order]
            place = torch.arange(len(row), device=device) - torch.searchsorted(row, row)
            near = place < k
            items[row[near], place[near]] = column[near]
            values[row[near], place[near]] = value[near]
        return cls(items, torch.cumsum(values, 1))

    def to(self, device: torch.device) -> _Correlated:
        """The same on another device."""
        return self if self.items.device == device else _Correlated(self.items.to(device), self.upto.to(device))

    def known(self, items: Tensor) -> Tensor:
        """items (N,) -> (N,) bool, whether any other item has to do with it."""
        return self.upto[items, -1] > 0

    def drawn(self, items: Tensor, points: Tensor) -> Tensor:
        """items (N,), points (N,) in [0, 1) -> (N,) ids, each with a chance in proportion to cor; the item itself where no
        other has to do with it.
        """
        upto = self.upto[items]
        place = torch.searchsorted(upto, (points * upto[:, -1])[:, None], right=True).clamp(max=upto.shape[1] - 1)
        return self.items[items].gather(1, place).squeeze(1)


def _correlations(histories: Histories, window: int | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Blocks of rows (n,), columns (n,) and cor (n,) > 0, sorted by row and column. A row stands in one block only."""
    items, users, size = histories.items, histories.num_users, histories.num_items + 1
    device = items.device
    owner = torch.repeat_interleave(torch.arange(users, device=device), histories.lengths)
    had = torch.unique(owner * size + items)  # an item that a user has twice is one that the user has
    count = torch.bincount(had % size, minlength=size).double()
    breadth = torch.bincount(had // size, minlength=users).double()
    weight = torch.round(GRID[0] / torch.log1p(breadth.clamp(min=1))) / GRID[0]

    position = torch.arange(len(items), device=device)
    begin, end = histories.offsets[owner], histories.offsets[owner + 1]
    if window is not None:
        begin, end = torch.maximum(begin, position - window), torch.minimum(end, position + window + 1)
    reach = end - begin
    by_item = torch.argsort(items, stable=True)
    starts = torch.searchsorted(items[by_item], torch.arange(size + 1, device=device))
    before = torch.cat([reach.new_zeros(1), torch.cumsum(reach[by_item], 0)])[starts]  # pairs of the items before each
    for first, last in _blocks(before.tolist()):
        here = by_item[starts[first] : starts[last]]
        reached = reach[here]
        own = torch.repeat_interleave(here, reached)
        step = torch.arange(len(own), device=device) - torch.repeat_interleave(torch.cumsum(reached, 0) - reached, reached)
        other = begin[own] + step
        row, column = items[own], items[other]
        apart = row != column
        # Each user counts once for a pair, however often the two stand together there.
        key = torch.unique(((row[apart] - first) * size + column[apart]) * users + owner[own[apart]])
        pair, group = torch.unique_consecutive(key // users, return_inverse=True)
        total = torch.zeros(len(pair), dtype=torch.float64, device=device).index_add_(0, group, weight[key % users])
        row, column = pair // size + first, pair % size
        cor = total / torch.sqrt(count[row] * count[column])
        yield row, column, torch.round(cor * GRID[1]) / GRID[1]


def _blocks(before: list[int]) -> Iterator[tuple[int, int]]:
    """before: (V + 2,) pairs of the items before each -> runs [first, last) with at most PAIRS pairs, or of one item."""
    first = 1
    for last in range(2, len(before)):
        if last == len(before) - 1 or before[last + 1] - before[first] > PAIRS:
            if before[last] > before[first]:
                yield first, last
            first = last


def _drawn(size: int, generator: Generator) -> Tensor:
    """(size,) uniform in [0, 1)."""
    return torch.rand(size, dtype=torch.float64, generator=generator, device=generator.device)


def _latest(view: View, max_length: int) -> View:
    if view.layout.longest <= max_length:
        return view
    layout, index = view.layout.latest(max_length)
    return View(layout, view.items[index], view.edited[index])
