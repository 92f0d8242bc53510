"""Telling the next item from sampled others, without the overconfidence that sampling teaches."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, HeadName, Layout, NegativeSampler, Step, Tensor, Use, ViewName, objectives

__all__ = ["NextItemGbce"]


@objectives.register("next_item_gbce")
class NextItemGbce:
    """Generalised binary cross-entropy: the likelihood of the next item is raised to a power that undoes negative sampling.

    -log(sigma(h.e_pos) ** beta) - sum over negatives of log(1 - sigma(h.e_neg)), with
    beta = alpha (t (1 - 1/alpha) + 1/alpha) and alpha = count / (V - 1), the share of the wrong items that are drawn.
    Petrov & Macdonald (2023), gSASRec, eq. 10-13. In nats; about (beta + count) log 2 when nothing has been learnt.
    calibration: t. 0 is plain binary cross-entropy (beta = 1), 1 gives well calibrated probabilities (beta = alpha); the
    authors use 0.75 with 256 negatives. negatives, count, view, head: as in next_item_bce; mean over the positions.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
        negatives: Annotated[NegativeSampler, Use("uniform", exclude="target")],
        count: Annotated[int, Field(ge=1)] = 256,
        calibration: Annotated[float, Field(ge=0, le=1)] = 0.75,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head
        self.negatives = negatives
        self.count = count
        self.calibration = calibration

    def beta(self, num_items: int) -> float:
        """The power, in (0, 1] as long as no more are drawn than there are wrong items. num_items: V, at least 2."""
        alpha = min(self.count / max(num_items - 1, 1), 1.0)
        return alpha * (self.calibration * (1 - 1 / alpha) + 1 / alpha)

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
        own = self.beta(scores.num_items) * functional.softplus(-asked[:, 0])
        return (own + functional.softplus(asked[:, 1:]).sum(1)).mean()
