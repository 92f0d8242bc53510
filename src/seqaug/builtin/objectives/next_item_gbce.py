"""Telling the next item from sampled others, without the overconfidence that sampling teaches."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, Generator, HeadName, Step, Tensor, ViewName, objectives

__all__ = ["NextItemGbce"]


@objectives.register("next_item_gbce")
class NextItemGbce:
    """Generalised binary cross-entropy: the likelihood of the next item is raised to a power that undoes negative sampling.

    -log(sigma(h.e_pos) ** beta) - sum over negatives of log(1 - sigma(h.e_neg)), with
    beta = alpha (t (1 - 1/alpha) + 1/alpha), where alpha is the share of the wrong items that are drawn.
    Petrov & Macdonald (2023), gSASRec, eq. 10-13. Unlike there the negatives are drawn once for the whole batch, uniformly and
    with replacement, so that alpha = count / V and they cost one product; a position that has one of them as its target leaves
    it out. In nats; about (beta + count) log 2 when nothing has been learnt; mean over the positions.
    calibration: t. 0 is plain binary cross-entropy (beta = 1), 1 gives well calibrated probabilities (beta = alpha); the
    authors use 0.75 with 256 negatives. count: negatives of the batch. view, head: as in next_item_bce.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
        count: Annotated[int, Field(ge=1)] = 256,
        calibration: Annotated[float, Field(ge=0, le=1)] = 0.75,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head
        self.count = count
        self.calibration = calibration

    def beta(self, num_items: int) -> float:
        """The power, in (0, 1]. num_items: V."""
        alpha = min(self.count / num_items, 1.0)
        return alpha * (self.calibration * (1 - 1 / alpha) + 1 / alpha)

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        hidden, targets = step.predicting(self.view, self.encoder)
        ids = self._drawn(step.samples.num_items, step.generator(self))
        scores = step.scores(hidden, self.head)
        own = scores.of(targets[:, None])[:, 0].float()
        others = scores.columns(ids).float()  # (M, count)
        against = functional.softplus(others).masked_fill(ids == targets[:, None], 0).sum(1)
        return (self.beta(step.samples.num_items) * functional.softplus(-own) + against).mean()

    def _drawn(self, num_items: int, generator: Generator) -> Tensor:
        """(count,) ids in 1..V."""
        return torch.randint(1, num_items + 1, (self.count,), generator=generator, device=generator.device)
