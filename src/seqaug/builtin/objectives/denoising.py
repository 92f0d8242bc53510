"""Learning to undo the noise."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import RecipeError, Restoration, Step, Tensor, ViewName, objectives

__all__ = ["Denoising"]


@objectives.register("denoising")
class Denoising:
    """How well the original items can be told from what a diffusion restored.

    Choi et al. (2025), eq. 12-13: -log softmax(restored . items^T) of the original item, in nats, about log V when nothing
    has been learnt; plus squared_error x ||restored - clean||^2, summed over D. The step t is drawn anew for every sequence,
    so the sum over t of eq. 13 appears as its mean.
    view: one that comes from a diffusion, else RecipeError. squared_error: weight of the squared term; 0 as in the released
    code (docs/methods/simdiffrec.md, row 6), 1 as in the paper. detach_target: no gradient to the clean vectors through the
    squared term, which would otherwise shrink them. positions: `all`, or the `corrupted` only. average: over the
    `positions` of the whole batch; or over those of each sequence first and then over the `sequences`, as CaDiRec has it,
    where a sequence without a corrupted position counts as 0.
    """

    def __init__(
        self,
        *,
        view: ViewName,
        squared_error: Annotated[float, Field(ge=0)] = 0.0,
        detach_target: bool = True,
        positions: Literal["all", "corrupted"] = "all",
        average: Literal["positions", "sequences"] = "positions",
    ) -> None:
        self.view = view
        self.squared_error = squared_error
        self.detach_target = detach_target
        self.positions = positions
        self.average = average

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        made = step.view(self.view).restoration
        if made is None:
            raise RecipeError(f"the view {str(self.view)!r} comes from no diffusion, so there is nothing to learn to restore.")
        scores, items, restored, clean = made.scores, made.items, made.restored, made.clean
        weights = self._weights(made)
        if weights is not None and self.positions == "corrupted" and weights.device.type == "cpu":
            # Mostly few: the others need not be held against the catalogue. Elsewhere how few would have to be waited for.
            rows = weights.nonzero()[:, 0]
            items, restored, clean, weights = items[rows], restored[rows], clean[rows], weights[rows]
            scores = step.scores(restored)
        loss = scores.nll(items, weights)
        if self.squared_error:
            target = clean.detach() if self.detach_target else clean
            errors = (restored - target).square().sum(1)
            loss = loss + self.squared_error * (errors.mean() if weights is None else (errors * weights).sum())
        return loss

    def _weights(self, made: Restoration) -> Tensor | None:
        """(N,) the share of each position in the average, None where all are the same."""
        corrupted = made.corrupted if self.positions == "corrupted" else None
        if self.average == "positions":
            if corrupted is None:
                return None
            counted = corrupted.float()
            return counted / counted.sum().clamp(min=1)  # a batch without a corrupted position costs nothing
        layout = made.layout
        counted = torch.ones_like(made.restored[:, 0]) if corrupted is None else corrupted.to(made.restored.dtype)
        each = torch.zeros_like(layout.lengths, dtype=counted.dtype).index_add_(0, layout.sequence, counted)
        return counted / each.clamp(min=1)[layout.sequence] / layout.num_sequences
