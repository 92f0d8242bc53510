"""Predicting the next item among a sample of the catalogue, corrected for how the sample was drawn."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import EncoderName, Generator, HeadName, Step, Tensor, ViewName, objectives

__all__ = ["NextItemSampledSoftmax"]


@objectives.register("next_item_sampled_softmax")
class NextItemSampledSoftmax:
    """The softmax cross-entropy of the next item, its partition function estimated from items drawn for the whole batch.

    Bengio & Senecal (2008); the correction by the log of the proposal as in Yi et al. (2019), for the negatives only: the
    target is in the sum by itself and not by being drawn, so its score is left as it is. The sum over the drawn items is then
    an unbiased estimate of the sum over all others, and the loss that of next_item_softmax in the limit of many.
    In nats; about log V when nothing has been learnt, whatever `count` is. Costs (positions x count) where the softmax costs
    (positions x V); where half as many would be drawn as there are items, or more, it is the softmax.

    count: items drawn for each batch, with replacement, the same for all its positions; a drawn item that is a position's
    target is left out there. proposal: `uniform` over the catalogue, or in proportion to (training actions + 1) ** `power`,
    which is 0.75 in word2vec. view, head: as in next_item_softmax.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
        count: Annotated[int, Field(ge=1)] = 1000,
        proposal: Literal["uniform", "popularity"] = "popularity",
        power: Annotated[float, Field(ge=0, le=1)] = 1.0,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head
        self.count = count
        self.proposal = proposal
        self.power = power

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        hidden, targets = step.predicting(self.view, self.encoder)
        if 2 * self.count >= step.samples.num_items:
            return step.scores(hidden, self.head).nll(targets)  # exact, and cheaper
        ids, log_expected = self._drawn(step.samples.popularity, step.generator(self))
        scores = step.scores(hidden, self.head)
        own = scores.of(targets[:, None]).float()  # (M, 1)
        others = scores.columns(ids).float() - log_expected  # (M, count)
        others = others.masked_fill(ids == targets[:, None], -math.inf)
        return (torch.logsumexp(torch.cat([own, others], 1), 1) - own[:, 0]).mean()

    def _drawn(self, popularity: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """popularity (V + 1,) -> ids (count,) in 1..V, and the log of how often each was to be expected (count,)."""
        num_items = len(popularity) - 1
        if self.proposal == "uniform":
            ids = torch.randint(1, num_items + 1, (self.count,), generator=generator, device=generator.device)
            return ids, torch.full((self.count,), math.log(self.count / num_items), device=ids.device)
        weights = (popularity[1:].double() + 1) ** self.power
        upto = weights.cumsum(0)
        point = torch.rand(self.count, dtype=torch.float64, generator=generator, device=generator.device) * upto[-1]
        at = torch.searchsorted(upto, point, right=True).clamp(max=num_items - 1)
        return at + 1, (weights[at] * (self.count / upto[-1])).log().float()
