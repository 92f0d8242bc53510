"""Sequences edited at random: crop, mask, reorder, and their kin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from pydantic import Field

from seqaug.api import Generator, Layout, NegativeSampler, Step, Tensor, Use, View, augmenters

__all__ = ["RandomEdits"]

Operator = Literal["crop", "mask", "reorder", "insert", "substitute", "delete"]
Share = Annotated[float, Field(ge=0, le=1)]

ORDER: tuple[Operator, ...] = get_args(Operator)
SLACK = 1e-9  # 0.6 x 5 must stay 3 when it is written in binary


@augmenters.register("random_edits")
class RandomEdits:
    """Two views of each sequence, each edited by one operator drawn for that sequence.

    Xie et al. (2022), crop, mask and reorder; Liu et al. (2021), insert and substitute. Of a history of length l:
    crop keeps a contiguous run of max(1, floor(crop x l)); mask puts MASK at floor(mask x l) positions; reorder shuffles a
    contiguous run of floor(reorder x l); insert puts a new item before each of floor(insert x l) positions; substitute puts
    a new item at floor(substitute x l); delete drops floor(delete x l), never all. Places are uniform. A history of one item
    stays as it is; a view that outgrows max_length loses its oldest items. Targets are not touched.
    Views: `first`, `second`. operators: those to draw from, uniformly. distinct: the two views of a sequence have different
    operators, else ValueError where there is only one; without it each is drawn by itself. new_items: who gives what insert
    and substitute put in.
    """

    view_names: tuple[str, ...] = ("first", "second")

    def __init__(
        self,
        *,
        operators: Annotated[tuple[Operator, ...], Field(min_length=1)] = ("crop", "mask", "reorder"),
        crop: Annotated[float, Field(gt=0, le=1)] = 0.6,
        mask: Share = 0.3,
        reorder: Share = 0.6,
        insert: Share = 0.2,
        substitute: Share = 0.2,
        delete: Share = 0.2,
        distinct: bool = True,
        new_items: Annotated[NegativeSampler, Use("uniform")],
    ) -> None:
        if len(set(operators)) < len(operators):
            raise ValueError(f"operators names one twice: {', '.join(operators)}")
        if distinct and len(operators) < 2:
            raise ValueError(f"distinct = true needs two operators for the two views, but {operators[0]!r} is the only one")
        self.operators = tuple(operators)
        self.ratios = (crop, mask, reorder, insert, substitute, delete)
        self.distinct = distinct
        self.new_items = new_items

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `first`, `second`."""
        layout, items = step.batch.layout, step.batch.items
        generator = step.generator(self)
        # The operators say how long the views will be, which the host has to know: it draws them.
        host = generator if generator.device.type == "cpu" else step.host_generator(self)
        operators = self._drawn_operators(layout.num_sequences, host)
        new = items[:, None].expand(-1, 2)
        if {"insert", "substitute"} & set(self.operators):
            new = self.new_items.sample(step.evidence(layout, items, items), 2, step.generator(self.new_items))
        views = []
        for which in (0, 1):
            draws = _Draws.of(layout, generator)
            view = self._edited(layout, items, operators[:, which], new[:, which], draws, step.model.items.mask_id)
            views.append(_latest(view, step.model.max_length))
        return tuple(views)

    def _drawn_operators(self, size: int, generator: Generator) -> Tensor:
        """(B, 2) places in ORDER."""
        codes = torch.tensor([ORDER.index(name) for name in self.operators], device=generator.device)
        draws = torch.rand((size, 2, len(codes)), generator=generator, device=generator.device)
        first, second = draws.argmax(2).unbind(1)
        if self.distinct:
            taken = torch.nn.functional.one_hot(first, len(codes)).bool()
            second = draws[:, 1].masked_fill(taken, -1).argmax(1)
        return codes[torch.stack([first, second], dim=1)]

    def _edited(self, layout: Layout, items: Tensor, operator: Tensor, new: Tensor, draws: _Draws, mask_id: int) -> View:
        """items (N,), operator (B,) of the host, new (N,) -> one view, not yet cut to its latest positions."""
        lengths = torch.tensor(layout.counts)
        sizes = self._sizes(lengths, operator)
        counts = self._lengths_after(lengths, operator, sizes).tolist()
        operator, sizes = torch.stack([operator, sizes]).to(layout.device, non_blocking=True).unbind()
        by = {name: (operator == place)[layout.sequence] for place, name in enumerate(ORDER)}  # (N,) bool each
        chosen = layout.top(draws.positions, sizes)
        begin = torch.minimum((draws.starts * (layout.lengths - sizes + 1)).long(), layout.lengths - sizes)
        begin_N, sizes_N = begin[layout.sequence], sizes[layout.sequence]
        inside = (layout.from_start >= begin_N) & (layout.from_start < begin_N + sizes_N)

        # What stands where, the length unchanged: ranks of uniform draws inside the run are a uniform permutation of it.
        here = torch.arange(len(items), device=items.device)
        order = layout.rank(torch.where(inside, draws.positions, -1.0))
        to = torch.where(by["reorder"] & inside, layout.first()[layout.sequence] + begin_N + order, here)
        now = torch.empty_like(items).scatter_(0, to, items)
        now = torch.where(by["mask"] & chosen, mask_id, now)
        now = torch.where(by["substitute"] & chosen, new, now)

        # How often each position is written: not at all where it was cut away, twice where something new comes before it.
        inserts = by["insert"] & chosen
        dropped = (by["crop"] & ~inside) | (by["delete"] & chosen)
        times = 1 - dropped.long() + inserts.long()
        source = torch.repeat_interleave(here, times, output_size=sum(counts))
        is_new = inserts[source] & (source != source.roll(1))  # the first of the two
        return View(
            layout=Layout.of(counts, layout.device),
            items=torch.where(is_new, new[source], now[source]),
            edited=(now != items)[source] | is_new,
        )

    def _sizes(self, lengths: Tensor, operator: Tensor) -> Tensor:
        """lengths (B,), operator (B,) -> (B,) how many positions each operator keeps (crop) or touches (the others)."""
        ratio = torch.tensor(self.ratios, dtype=torch.float64)[operator]
        sizes = torch.floor(lengths * ratio + SLACK).long()
        is_crop = operator == ORDER.index("crop")
        sizes = torch.where(is_crop, sizes.clamp(min=1), sizes)
        sizes = torch.where(operator == ORDER.index("delete"), torch.minimum(sizes, lengths - 1), sizes)
        return torch.where(lengths == 1, is_crop.long(), sizes)

    def _lengths_after(self, lengths: Tensor, operator: Tensor, sizes: Tensor) -> Tensor:
        """(B,) how long each sequence is once its operator has touched `sizes` (B,) of its positions."""
        after = torch.where(operator == ORDER.index("crop"), sizes, lengths)
        after = torch.where(operator == ORDER.index("delete"), lengths - sizes, after)
        return torch.where(operator == ORDER.index("insert"), lengths + sizes, after)


@dataclass(frozen=True)
class _Draws:
    """All that one view draws, whatever its operators: positions (N,), starts (B,), uniform in [0, 1)."""

    positions: Tensor
    starts: Tensor

    @classmethod
    def of(cls, layout: Layout, generator: Generator) -> _Draws:
        device = generator.device
        positions = torch.rand(layout.num_positions, generator=generator, device=device)
        return cls(positions, torch.rand(layout.num_sequences, generator=generator, dtype=torch.float64, device=device))


def _latest(view: View, max_length: int) -> View:
    if view.layout.longest <= max_length:
        return view
    layout, index = view.layout.latest(max_length)
    return View(layout, view.items[index], view.edited[index])
