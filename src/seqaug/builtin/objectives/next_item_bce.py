"""Telling the next item from sampled others."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, HeadName, Layout, NegativeSampler, Step, Tensor, Use, ViewName, objectives

__all__ = ["NextItemBce"]


@objectives.register("next_item_bce")
class NextItemBce:
    """Binary cross-entropy of the next item against sampled ones.

    -log sigma(h.e_pos) - sum over negatives of log(1 - sigma(h.e_neg)).
    Kang & McAuley (2018); eq. 3 of Choi et al. (2025). In nats; about (1 + count) log 2 when nothing has been learnt.
    negatives: who draws them; it is told the states' own scores, so that ranked negatives work. count: per position.
    reduction: `mean` over the positions with a known next item, or their `sum`, as eq. 3 is written. view, head: as in
    next_item_softmax.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
        negatives: Annotated[NegativeSampler, Use("uniform", exclude="history")],
        count: Annotated[int, Field(ge=1)] = 1,
        reduction: Literal["mean", "sum"] = "mean",
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head
        self.negatives = negatives
        self.count = count
        self.reduction = reduction

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        hidden, targets = step.predicting(self.view, self.encoder)
        batch = step.batch
        layout, items, users = batch.layout, batch.items, batch.users
        if batch.predicted is not None:
            # Each position that predicts stands alone from here on: a sequence of length one.
            items, users = items[batch.predicted], users[layout.sequence[batch.predicted]]
            layout = Layout.of([1] * len(batch.predicted), layout.device)
        scores = step.scores(hidden, self.head)
        evidence = replace(step.evidence(layout, items, targets, scores=lambda: scores), users=users)
        negatives = self.negatives.sample(evidence, self.count, step.generator(self.negatives))
        asked = scores.of(torch.cat([targets[:, None], negatives], dim=1)).float()  # (M, 1 + count)
        terms = functional.softplus(-asked[:, 0]) + functional.softplus(asked[:, 1:]).sum(1)
        return terms.mean() if self.reduction == "mean" else terms.sum()
