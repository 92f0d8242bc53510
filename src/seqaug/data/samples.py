"""Training rows: whole sequences or every prefix, in seeded batches."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Literal

import torch
from torch import Generator, Tensor

from ..errors import DataError
from .batch import Batch
from .context import in_front
from .layout import Layout
from .split import Split

__all__ = ["Kind", "Samples"]

Kind = Literal["sequences", "prefixes", "whole"]


class Samples:
    """The training rows of a split. Every row is a run of the training items s_1..s_{n-2} of one user.

    kind: `sequences`, one row a user, s_1..s_{n-3}, every position predicts the next item; `prefixes`, a row for every
    s_1..s_t with t <= n-3, which predicts s_{t+1} at its last position (or the next item at every position, with
    prefix_targets = "all": each early item is then a target again and again); `whole`, one row a user, all training items,
    no targets.
    Rows are cut to their latest max_length items. Users without a training target make no row, except in `whole`.
    Batches arrive on `device`; the last one of an epoch may be smaller. `histories`, everybody's training items, are there too;
    `host_histories` are the same on the host, for who has to know how long they are.
    """

    def __init__(
        self,
        split: Split,
        *,
        kind: Kind = "sequences",
        prefix_targets: Literal["last", "all"] = "last",
        max_length: int = 50,
        device: torch.device | str = "cpu",
    ) -> None:
        self.kind = kind
        self.max_length = max_length
        self.device = torch.device(device)
        self.num_items = split.sequences.num_items
        self._every_target = kind == "sequences" or (kind == "prefixes" and prefix_targets == "all")
        self.host_histories = self._train = split.train  # on the host, where sizes are known
        self.histories = split.train.to(self.device)
        self.popularity = split.popularity.to(self.device)
        lengths = split.train.lengths
        users = torch.arange(len(lengths))
        if kind == "whole":
            self._users, self._ends = users, lengths
        elif kind == "sequences":
            self._users = users[lengths >= 2]
            self._ends = lengths[self._users] - 1
        else:
            counts = (lengths - 1).clamp(min=0)
            self._users = torch.repeat_interleave(users, counts)
            before = torch.cumsum(counts, 0) - counts
            self._ends = torch.arange(len(self._users)) - before[self._users] + 1
        if not len(self._users):
            raise DataError("no user has enough items to train on: each needs at least 4 (two in the training part).")
        self._begins = split.train.offsets[self._users]
        self._context: Tensor | None = None
        self._same: tuple[Tensor, Tensor, Tensor, Tensor, Tensor] | None = None

    def behind(self, context: Tensor | None) -> Samples:
        """The same rows with made-up items in front of them, which are never predicted: (U, M) ids, 0 for none."""
        made = copy(self)
        made._context = None if context is None else context.cpu()
        return made

    def at_least(self, min_length: int) -> Samples:
        """The rows of the users with so many training items. Raises DataError where there is none."""
        if min_length <= 1:
            return self
        made = copy(self)
        stays = self._train.lengths[self._users] >= min_length
        made._users, made._ends, made._begins = self._users[stays], self._ends[stays], self._begins[stays]
        made._same = None
        if not len(made._users):
            longest = int(self._train.lengths.max())
            raise DataError(f"no user has {min_length} training items (the longest history has {longest}).")
        return made

    @property
    def num_rows(self) -> int:
        return len(self._users)

    def users_of(self, rows: Tensor) -> Tensor:
        """(B,) the user of each of these rows; both on the host."""
        return self._users[rows]

    @property
    def row_lengths(self) -> Tensor:
        """(rows,) positions of each row, on the host, made-up context not counted."""
        return self._ends.clamp(max=self.max_length)

    @property
    def only_last(self) -> bool:
        """Whether rows predict at their last position only."""
        return self.kind == "prefixes" and not self._every_target

    @property
    def num_users(self) -> int:
        """Of the data set, with or without a training row."""
        return self.histories.num_users

    @property
    def num_targets(self) -> int:
        """Positions that predict something in an epoch."""
        kept = self._ends.clamp(max=self.max_length)
        return 0 if self.kind == "whole" else int(kept.sum()) if self._every_target else self.num_rows

    def num_batches(self, batch_size: int) -> int:
        return -(-self.num_rows // batch_size)

    def batches(self, batch_size: int, generator: Generator) -> Iterator[Batch]:
        """One epoch in an order drawn from `generator` (of the host)."""
        order = torch.randperm(self.num_rows, generator=generator)
        for start in range(0, self.num_rows, batch_size):
            yield self.take(order[start : start + batch_size])

    def take(self, rows: Tensor) -> Batch:
        """The batch of these rows (B,), given on the host."""
        ends = self._ends[rows]
        kept = ends.clamp(max=self.max_length)
        layout = Layout.of(kept)
        index = torch.repeat_interleave(self._begins[rows] + ends - kept, kept) + layout.from_start
        items = self._train.items[index]
        predicted: Tensor | None = None
        if self._every_target:
            targets = self._train.items[index + 1]
        else:
            targets = torch.zeros_like(items)
            predicted = torch.zeros(0, dtype=torch.int64)
            if self.kind == "prefixes":
                predicted = layout.last()
                targets[predicted] = self._train.items[index[predicted] + 1]
        if self._context is not None:
            layout, items, places = in_front(self._context[self._users[rows]], layout, items, self.max_length)
            targets = torch.zeros_like(items).index_put((places,), targets)
            predicted = places if predicted is None else places[predicted]
        return Batch(rows, self._users[rows], layout, items, targets, predicted).to(self.device)

    def last_targets(self) -> Tensor:
        """(rows,) the item that follows each row's last position, on the host."""
        assert self.kind != "whole", "rows of kind 'whole' have no targets"
        return self._train.items[self._begins + self._ends]

    def same_target(self, rows: Tensor, generator: Generator) -> Tensor:
        """(B,) for each row another one, uniform among those that predict the same last target; the row itself where it is
        alone.

        rows and the generator are of the host.
        """
        if self._same is None:
            targets = self.last_targets()
            order = torch.argsort(targets, stable=True)
            counts = torch.bincount(targets, minlength=self.num_items + 1)
            place = torch.empty_like(order)
            place[order] = torch.arange(len(order))
            self._same = (targets, counts, order, torch.cumsum(counts, 0) - counts, place)
        every_target, every_count, order, begin, place = self._same
        targets = every_target[rows]
        counts = every_count[targets]
        others = (counts - 1).clamp(min=1)
        draw = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * others).long()
        own = place[rows] - begin[targets]
        chosen = torch.where(counts > 1, draw + (draw >= own), own)
        return order[begin[targets] + chosen]
