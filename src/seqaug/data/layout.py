"""The ragged shape of a batch, and everything that once needed a padding mask.

A batch is one flat run of N real positions: the B sequences after each other, oldest item first. There is no padding.
Where an operation needs a rectangle it asks the layout for one and gives it back.

B sequences, N positions, L the longest sequence, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .transfer import sent

__all__ = ["MERGED_CELLS", "Group", "Layout"]

MERGED_CELLS = {"cpu": 0, "cuda": 2**17}
"""Up to so many cells the sequences of a batch stand in one rectangle: 100 MB of queries, keys and values 64 wide. Without such
a bound a batch of a few long histories and many short ones would not fit into the memory of a GPU."""


@dataclass(frozen=True, slots=True)
class Group:
    """Sequences of similar length as one rectangle.

    sequences: (b,) which sequences of the batch. index: (b, l) the flat position of each cell; cells behind a
    sequence's end repeat its last position, so that reading them is harmless. real: (b, l) bool, or None where every cell is
    real.
    """

    sequences: Tensor
    index: Tensor
    real: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The lengths of B sequences, at least one position each, and the indices derived from them.

    `counts` stays on the host, so that no size is ever asked of the device; everything else is derived on first
    request, on `device`, and kept.
    """

    counts: tuple[int, ...]
    device: torch.device
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        assert self.counts and min(self.counts) >= 1, "a sequence of a layout is never empty"

    @classmethod
    def of(cls, lengths: Tensor | Sequence[int], device: torch.device | str = "cpu") -> Layout:
        """From the B lengths, given on the host."""
        counts = lengths.tolist() if isinstance(lengths, Tensor) else lengths
        return cls(tuple(int(count) for count in counts), torch.device(device))

    def to(self, device: torch.device | str) -> Layout:
        """The same shape with its indices on another device."""
        device = torch.device(device)
        return self if device == self.device else Layout(self.counts, device, {"host": self._host})

    def along(self, tensors: Sequence[Tensor], device: torch.device) -> tuple[Layout, list[Tensor]]:
        """This layout, of the host, and tensors of the host on another device, by one copy (`transfer.sent`)."""
        there, host = self.to(device), self._host
        own = [host._host_index(name) for name in _INDICES]
        moved = sent([*own, *tensors], device)
        there._kept.update(zip(_INDICES, moved, strict=False))
        return there, moved[len(own) :]

    # ---- sizes, known on the host ----

    @property
    def num_sequences(self) -> int:
        """B."""
        return len(self.counts)

    @property
    def num_positions(self) -> int:
        """N."""
        found = self._kept.get("num_positions")
        if found is None:
            found = self._kept["num_positions"] = sum(self.counts)
        return int(found)

    @property
    def longest(self) -> int:
        """L."""
        found = self._kept.get("longest")
        if found is None:
            found = self._kept["longest"] = max(self.counts)
        return int(found)

    # ---- indices, on the device ----

    @property
    def lengths(self) -> Tensor:
        """(B,) int64."""
        return self._index("lengths")

    @property
    def offsets(self) -> Tensor:
        """(B + 1,) int64: sequence b is flat[offsets[b]:offsets[b + 1]]."""
        return self._index("offsets")

    @property
    def sequence(self) -> Tensor:
        """(N,) which sequence each position belongs to."""
        return self._index("sequence")

    @property
    def from_start(self) -> Tensor:
        """(N,) 0 for the oldest position of a sequence."""
        return self._index("from_start")

    @property
    def from_end(self) -> Tensor:
        """(N,) 0 for the latest position of a sequence."""
        return self._index("from_end")

    def first(self) -> Tensor:
        """(B,) flat index of each sequence's oldest position."""
        return self.offsets[:-1]

    def last(self) -> Tensor:
        """(B,) flat index of each sequence's latest position."""
        return self._index("last")

    # ---- rectangles ----

    def padded(self, flat: Tensor, fill: float = 0) -> Tensor:
        """(N, ...) -> (B, L, ...), real positions first, `fill` behind them."""
        rectangle = flat.new_full((self.num_sequences, self.longest, *flat.shape[1:]), fill)
        return rectangle.index_put((self.sequence, self.from_start), flat)

    def packed(self, rectangle: Tensor) -> Tensor:
        """(B, L', ...) with L' >= L -> (N, ...), the inverse of `padded`."""
        return rectangle[self.sequence, self.from_start]

    def groups(self) -> tuple[Group, ...]:
        """The sequences as few rectangles of similar length.

        On the CPU at most twice the real positions in all. An accelerator starts a rectangle more slowly than it computes the
        cells behind the ends: there one holds all sequences, as long as it has no more than MERGED_CELLS cells. Every position
        stands in exactly one group. `ungrouped` puts results back in flat order.
        """
        return self._grouping().groups

    def grouped(self, flat: Tensor) -> Iterator[tuple[Group, Tensor]]:
        """(N, ...) -> each group with its (b, l, ...) cells.

        What stands behind the ends must be left out of what is made of them, or its gradient be 0: nobody adds it up.
        """
        grouping = self._grouping()
        if self.device.type == "cpu":
            for group in grouping.groups:
                yield group, flat[group.index]
            return
        cells = _Spread.apply(flat, grouping.index, grouping.back)  # type: ignore[no-untyped-call]
        sizes = [group.index.numel() for group in grouping.groups]
        for group, part in zip(grouping.groups, torch.split(cells, sizes), strict=True):
            yield group, part.view(*group.index.shape, *flat.shape[1:])

    def ungrouped(self, rectangles: Sequence[Tensor]) -> Tensor:
        """One (b, l, ...) result per group -> (N, ...)."""
        cells = _joined([rectangle.flatten(0, 1) for rectangle in rectangles])
        back = self._grouping().back
        if self.device.type == "cpu":
            return cells[back]
        gathered: Tensor = _Gather.apply(cells, back)  # type: ignore[no-untyped-call]
        return gathered

    def in_order(self, rows: Sequence[Tensor]) -> Tensor:
        """One (b, ...) result per group, a row for each of its sequences -> (B, ...)."""
        grouping = self._grouping()
        if len(rows) == 1:
            return rows[0]  # one group has its sequences in the order of the batch
        return torch.cat(tuple(rows))[grouping.order]

    def _grouping(self) -> _Grouping:
        found: _Grouping | None = self._kept.get("grouping")
        if found is None:
            found = self._host._made_groups(MERGED_CELLS.get(self.device.type, MERGED_CELLS["cuda"]))
            if self.device.type != "cpu":
                found = found.to(self.device)
            self._kept["grouping"] = found
        return found

    def _made_groups(self, cells: int) -> _Grouping:
        """On the host. cells: rectangles are joined as long as the result has no more of them."""
        lengths, starts = self.lengths, self.offsets[:-1]
        # 1, 2, 4, 8, ...: a cell's row is then at least half real.
        bucket = torch.ceil(torch.log2(lengths.double())).long()
        sizes = [[size] for size in torch.unique(bucket).tolist()]
        if cells:
            sizes = self._merged(sizes, torch.bincount(bucket).tolist(), cells)
        groups = []
        for size in sizes:
            chosen = (bucket >= size[0]) & (bucket <= size[-1])
            sequences = chosen.nonzero().squeeze(1)
            length = lengths[sequences]
            steps = torch.arange(int(length.max()))
            index = starts[sequences, None] + torch.minimum(steps[None, :], length[:, None] - 1)
            real = None if int(length.min()) == len(steps) else (steps[None, :] < length[:, None])
            groups.append(Group(sequences, index, real))
        where = torch.empty(self.num_positions, dtype=torch.int64)
        begin = 0
        for group in groups:
            places = torch.arange(begin, begin + group.index.numel()).view(group.index.shape)
            if group.real is None:
                where[group.index] = places
            else:
                where[group.index[group.real]] = places[group.real]
            begin += group.index.numel()
        return _Grouping(
            tuple(groups),
            _joined([group.index.flatten() for group in groups]),
            where,
            torch.argsort(torch.cat([group.sequences for group in groups])),
        )

    def _merged(self, sizes: list[list[int]], counts: list[int], cells: int) -> list[list[int]]:
        """Neighbouring buckets (ascending) joined from the longest down; counts: the sequences of each bucket."""
        merged: list[list[int]] = []
        held, width = 0, 0
        for size in reversed(sizes):
            number = counts[size[0]]
            if merged and (held + number) * width <= cells:
                merged[-1] = size + merged[-1]
                held += number
            else:
                merged.append(size)
                held, width = number, min(2 ** size[0], self.longest)
        return merged[::-1]

    # ---- per sequence ----

    def repeated(self, rows: Tensor) -> Tensor:
        """(B, ...) -> (N, ...): each sequence's row at every one of its positions.

        For what gradients pass through: those of `rows[layout.sequence]` are added up by several threads of the CPU at once,
        in an order that depends on how busy the machine is, so that two runs may differ in the last digit.
        """
        return rows.index_select(0, self.sequence)

    def mean(self, flat: Tensor, last: int | None = None) -> Tensor:
        """(N, D) -> (B, D): the mean over each sequence, or over its latest `last` positions."""
        share = 1 / self.lengths.to(flat.dtype)
        weights = share[self.sequence]
        if last is not None:
            kept = self.lengths.clamp(max=last).to(flat.dtype)
            weights = torch.where(self.from_end < last, 1 / kept[self.sequence], torch.zeros_like(weights))
        sums = flat.new_zeros((self.num_sequences, *flat.shape[1:]))
        return sums.index_add(0, self.sequence, flat * weights.view(-1, *[1] * (flat.dim() - 1)))

    def rank(self, scores: Tensor) -> Tensor:
        """(N,) -> (N,) 0 for the best position of each sequence, 1 for the next, and so on.

        Equal scores rank by position, the oldest first. NaN is not allowed.
        """
        by_score = torch.argsort(scores, descending=True, stable=True)
        order = by_score[torch.argsort(self.sequence[by_score], stable=True)]
        ranks = torch.empty_like(order)
        ranks[order] = self.from_start  # in this order the sequences again lie one after the other
        return ranks

    def top(self, scores: Tensor, counts: Tensor) -> Tensor:
        """(N,), (B,) -> (N,) bool: the best `counts[b]` positions of each sequence, all of them where it has fewer."""
        return self.rank(scores) < counts[self.sequence]

    def latest(self, max_length: int) -> tuple[Layout, Tensor]:
        """Every sequence cut to its latest `max_length` positions: the new layout and the (N',) flat indices that stay."""
        if self.longest <= max_length:
            return self, torch.arange(self.num_positions, device=self.device)
        kept = Layout(tuple(min(count, max_length) for count in self.counts), self.device)
        host, own = kept._host, self._host
        skipped = own.lengths - host.lengths
        index = host.from_start + (own.offsets[:-1] + skipped)[host.sequence]
        if self.device.type == "cpu":
            return kept, index
        kept, (index,) = host.along([index], self.device)
        return kept, index

    # ---- the host's side ----

    @property
    def _host(self) -> Layout:
        """This shape on the host, where all indices are made."""
        if self.device.type == "cpu":
            return self
        found: Layout | None = self._kept.get("host")
        if found is None:
            found = self._kept["host"] = Layout(self.counts, torch.device("cpu"))
        return found

    def _index(self, name: str) -> Tensor:
        found: Tensor | None = self._kept.get(name)
        if found is None:
            if self.device.type == "cpu":
                return self._host_index(name)
            host = self._host
            self._kept.update(zip(_INDICES, sent([host._host_index(one) for one in _INDICES], self.device), strict=True))
            found = self._kept[name]
        return found

    def _host_index(self, name: str) -> Tensor:
        found: Tensor | None = self._kept.get(name)
        if found is None:
            found = self._kept[name] = self._made(name)
        return found

    def _made(self, name: str) -> Tensor:
        if name == "lengths":
            return torch.tensor(self.counts, dtype=torch.int64)
        if name == "offsets":
            offsets = torch.zeros(self.num_sequences + 1, dtype=torch.int64)
            torch.cumsum(self.lengths, 0, out=offsets[1:])
            return offsets
        if name == "sequence":
            return torch.repeat_interleave(torch.arange(self.num_sequences), self.lengths)
        if name == "from_start":
            return torch.arange(self.num_positions) - self.offsets[:-1][self.sequence]
        if name == "from_end":
            return self.lengths[self.sequence] - 1 - self.from_start
        assert name == "last"
        return self.offsets[1:] - 1


_INDICES = ("lengths", "offsets", "sequence", "from_start", "from_end", "last")
"""What a layout takes along to another device."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grouping:
    """The groups of a layout, and the ways there and back. C cells in all groups.

    index: (C,) the flat position of each cell. back: (N,) the cell of each flat position. order: (B,) where the groups, one
    after the other, have each sequence.
    """

    groups: tuple[Group, ...]
    index: Tensor
    back: Tensor
    order: Tensor

    def to(self, device: torch.device) -> _Grouping:
        """The same on another device, by one copy."""
        reals = [group.real for group in self.groups if group.real is not None]
        index, back, order, *rest = sent(
            [self.index, self.back, self.order, *(group.sequences for group in self.groups), *reals], device
        )
        sequences, real = rest[: len(self.groups)], iter(rest[len(self.groups) :])
        groups, begin = [], 0
        for own, group in zip(sequences, self.groups, strict=True):
            size = group.index.numel()
            cells = index[begin : begin + size].view(group.index.shape)
            groups.append(Group(own, cells, None if group.real is None else next(real)))
            begin += size
        return _Grouping(tuple(groups), index, back, order)


class _Spread(torch.autograd.Function):
    """flat (N, ...) -> (C, ...) cells. Each position counts once in the gradient: what repeats behind the ends has none.

    Adding up what could not be added up takes an accelerator a sort.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return flat.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradients[0].index_select(0, back), None, None


class _Gather(torch.autograd.Function):
    """cells (C, ...) -> (N, ...), each cell at most once; the gradient of the others is 0."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        ctx.size = len(cells)
        return cells.index_select(0, back)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (back,) = ctx.saved_tensors
        gradient = gradients[0]
        return gradient.new_zeros((ctx.size, *gradient.shape[1:])).index_copy_(0, back, gradient), None


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))
