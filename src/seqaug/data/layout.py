"""The ragged shape of a batch, and everything that once needed a padding mask.

A batch is one flat run of N real positions: the B sequences after each other, oldest item first. There is no padding.
Where an operation needs a rectangle it asks the layout for one and gives it back.

B sequences, N positions, L the longest sequence, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Group", "Layout"]


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
        return self if device == self.device else Layout(self.counts, device)

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
        return self._keep("lengths", lambda: self._host_lengths())

    @property
    def offsets(self) -> Tensor:
        """(B + 1,) int64: sequence b is flat[offsets[b]:offsets[b + 1]]."""
        return self._keep("offsets", lambda: self._host_offsets())

    @property
    def sequence(self) -> Tensor:
        """(N,) which sequence each position belongs to."""
        return self._keep("sequence", lambda: self._host_sequence())

    @property
    def from_start(self) -> Tensor:
        """(N,) 0 for the oldest position of a sequence."""
        return self._keep("from_start", lambda: self._host_from_start())

    @property
    def from_end(self) -> Tensor:
        """(N,) 0 for the latest position of a sequence."""
        return self._keep("from_end", lambda: self._host_lengths()[self._host_sequence()] - 1 - self._host_from_start())

    def first(self) -> Tensor:
        """(B,) flat index of each sequence's oldest position."""
        return self.offsets[:-1]

    def last(self) -> Tensor:
        """(B,) flat index of each sequence's latest position."""
        return self._keep("last", lambda: self._host_offsets()[1:] - 1)

    # ---- rectangles ----

    def padded(self, flat: Tensor, fill: float = 0) -> Tensor:
        """(N, ...) -> (B, L, ...), real positions first, `fill` behind them."""
        rectangle = flat.new_full((self.num_sequences, self.longest, *flat.shape[1:]), fill)
        return rectangle.index_put((self.sequence, self.from_start), flat)

    def packed(self, rectangle: Tensor) -> Tensor:
        """(B, L', ...) with L' >= L -> (N, ...), the inverse of `padded`."""
        return rectangle[self.sequence, self.from_start]

    def groups(self) -> tuple[Group, ...]:
        """The sequences as few rectangles of similar length (at most twice the real positions in all).

        Every position stands in exactly one group. `ungrouped` puts results back in flat order.
        """
        found = self._kept.get("groups")
        if found is None:
            lengths, starts = self._host_lengths(), self._host_offsets()[:-1]
            # 1, 2, 4, 8, ...: a cell's row is then at least half real.
            bucket = torch.ceil(torch.log2(lengths.double())).long()
            groups = []
            for size in torch.unique(bucket).tolist():
                sequences = (bucket == size).nonzero().squeeze(1)
                length = lengths[sequences]
                steps = torch.arange(int(length.max()))
                index = starts[sequences, None] + torch.minimum(steps[None, :], length[:, None] - 1)
                real = None if int(length.min()) == len(steps) else (steps[None, :] < length[:, None])
                groups.append(
                    Group(sequences.to(self.device), index.to(self.device), None if real is None else real.to(self.device))
                )
            found = self._kept["groups"] = tuple(groups)
        return tuple(found)

    def ungrouped(self, rectangles: Sequence[Tensor]) -> Tensor:
        """One (b, l, ...) result per group -> (N, ...)."""
        cells = torch.cat([rectangle.flatten(0, 1) for rectangle in rectangles])
        return cells[self._keep("ungrouping", lambda: self._host_ungrouping())]

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
        skipped = self._host_lengths() - kept._host_lengths()
        index = kept._host_from_start() + (self._host_offsets()[:-1] + skipped)[kept._host_sequence()]
        return kept, index.to(self.device)

    # ---- the host's side ----

    def _keep(self, name: str, make: Any) -> Tensor:
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = make().to(self.device)
        return found  # type: ignore[no-any-return]

    def _host(self, name: str, make: Any) -> Tensor:
        if self.device.type == "cpu":
            return self._keep(name, make)
        found = self._kept.get("host " + name)
        if found is None:
            found = self._kept["host " + name] = make()
        return found  # type: ignore[no-any-return]

    def _host_lengths(self) -> Tensor:
        return self._host("lengths", lambda: torch.tensor(self.counts, dtype=torch.int64))

    def _host_offsets(self) -> Tensor:
        def make() -> Tensor:
            offsets = torch.zeros(self.num_sequences + 1, dtype=torch.int64)
            torch.cumsum(self._host_lengths(), 0, out=offsets[1:])
            return offsets

        return self._host("offsets", make)

    def _host_sequence(self) -> Tensor:
        return self._host("sequence", lambda: torch.repeat_interleave(torch.arange(self.num_sequences), self._host_lengths()))

    def _host_from_start(self) -> Tensor:
        return self._host(
            "from_start", lambda: torch.arange(self.num_positions) - self._host_offsets()[:-1][self._host_sequence()]
        )

    def _host_ungrouping(self) -> Tensor:
        where = torch.empty(self.num_positions, dtype=torch.int64)
        begin = 0
        for group in self.groups():
            index = group.index.cpu()
            cells = torch.arange(begin, begin + index.numel()).view(index.shape)
            if group.real is None:
                where[index] = cells
            else:
                real = group.real.cpu()
                where[index[real]] = cells[real]
            begin += index.numel()
        return where
