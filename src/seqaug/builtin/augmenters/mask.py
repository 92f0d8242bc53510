"""Sequences with holes in them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field

from seqaug.api import PositionSelector, Step, Tensor, Use, View, ViewName, augmenters

__all__ = ["MaskedView"]


@augmenters.register("mask")
class MaskedView:
    """Puts the MASK item at chosen positions; the length stays.

    Sun et al. (2019), section 3.6; the first half of the conditional generator of Zhou et al. (2023).
    View: `masked`, whose `edited` are the masked positions, drawn anew for each batch. select: which ones; it is told no
    scores. view: the sequences that are masked. last: the chance, in [0, 1], that of a sequence only the latest position is
    masked instead, which is what the model meets when it recommends.
    """

    view_names: tuple[str, ...] = ("masked",)

    def __init__(
        self,
        *,
        select: Annotated[PositionSelector, Use("random")],
        view: ViewName = ViewName("clean"),  # noqa: B008
        last: Annotated[float, Field(ge=0, le=1)] = 0.0,
    ) -> None:
        self.select = select
        self.view = view
        self.last = last

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `masked`."""
        seen = step.view(self.view)
        chosen = self._chosen(step, seen)
        # Vectors, states and restorations that the view may have brought along belong to the items before.
        masked = seen.items.masked_fill(chosen, step.model.items.mask_id)
        return (replace(seen, items=masked, edited=chosen, embedded=None, representation=None, ask_restoration=None),)

    def _chosen(self, step: Step, seen: View) -> Tensor:
        """(N',) bool."""
        layout = seen.layout
        chosen = self.select.select(step.evidence(layout, seen.items, seen.items), step.generator(self.select))
        if self.last == 0:
            return chosen
        draws = torch.rand(layout.num_sequences, generator=step.generator(self), device=layout.device)
        only_last = (draws < self.last)[layout.sequence]
        return torch.where(only_last, layout.from_end == 0, chosen)
