"""Recognising the other view of the same sequence."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, RecipeError, Step, Tensor, ViewName, comparable, objectives

__all__ = ["NtXent"]


@objectives.register("nt_xent")
class NtXent:
    """How well each of two views of a sequence recognises the other among all 2 B views of the batch.

    Chen et al. (2020), eq. 1; as the contrastive term of Xie et al. (2022). The 2 B representations ask each other, never
    themselves: 2 B - 2 negatives, those of the same view among them. Symmetric in the views. In nats, mean over 2 B: log(2 B
    - 1) where nothing tells them apart. similarity: `dot` product, or `cosine`; they want different temperatures.
    exclude_same_user: other rows of the same user do not count as negatives. exclude_same_target: nor do other rows with the
    same last target; RecipeError where rows have none. also: further pairs of views, whose terms are added.
    """

    def __init__(
        self,
        *,
        first: ViewName,
        second: ViewName,
        also: tuple[tuple[ViewName, ViewName], ...] = (),
        temperature: Annotated[float, Field(gt=0)] = 1.0,
        similarity: Literal["dot", "cosine"] = "dot",
        exclude_same_user: bool = False,
        exclude_same_target: bool = False,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
    ) -> None:
        self.pairs = ((first, second), *also)
        self.temperature = temperature
        self.similarity = similarity
        self.exclude_same_user = exclude_same_user
        self.exclude_same_target = exclude_same_target
        self.encoder = encoder

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        size = step.batch.size
        place = torch.arange(2 * size, device=step.batch.items.device)
        partner = (place + size) % (2 * size)
        barred = place[:, None] == place[None, :]
        for one in self._shared(step):
            barred = barred | (one[:, None] == one[None, :]).repeat(2, 2)
        barred = barred.scatter(1, partner[:, None], False)
        total, *others = (self._term(step, pair, barred, partner) for pair in self.pairs)
        for other in others:
            total = total + other
        return total

    def _term(self, step: Step, pair: tuple[ViewName, ViewName], barred: Tensor, partner: Tensor) -> Tensor:
        views = torch.cat(comparable((view, step.representation(view, self.encoder)) for view in pair))
        if self.similarity == "cosine":
            views = functional.normalize(views, dim=1)
        with torch.autocast(views.device.type, enabled=False):  # half precision would be amplified by a small temperature
            logits = views.float() @ views.float().t() / self.temperature
        return functional.cross_entropy(logits.masked_fill(barred, float("-inf")), partner)

    def _shared(self, step: Step) -> list[Tensor]:
        """(B,) each: rows that have one of these in common are no negatives of each other."""
        batch = step.batch
        found = [batch.users] if self.exclude_same_user else []
        if self.exclude_same_target:
            if batch.predicted is not None and not len(batch.predicted):
                raise RecipeError('data.samples = "whole" gives no targets to have in common; use "prefixes" or "sequences".')
            found.append(batch.targets[batch.layout.last()])
        return found
