"""Recognising the other view of the same sequence."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, Step, Tensor, ViewName, objectives

__all__ = ["NtXent"]


@objectives.register("nt_xent")
class NtXent:
    """How well each of two views of a sequence recognises the other among all 2 B views of the batch.

    Chen et al. (2020), eq. 1; as the contrastive term of Xie et al. (2022). The 2 B representations ask each other, never
    themselves: 2 B - 2 negatives, those of the same view among them. Symmetric in the views. In nats, mean over 2 B: log(2 B
    - 1) where nothing tells them apart. similarity: `dot` product, or `cosine`; they want different temperatures.
    exclude_same_user: other rows of the same user do not count as negatives.
    """

    def __init__(
        self,
        *,
        first: ViewName,
        second: ViewName,
        temperature: Annotated[float, Field(gt=0)] = 1.0,
        similarity: Literal["dot", "cosine"] = "dot",
        exclude_same_user: bool = False,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
    ) -> None:
        self.first = first
        self.second = second
        self.temperature = temperature
        self.similarity = similarity
        self.exclude_same_user = exclude_same_user
        self.encoder = encoder

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        views = torch.cat([step.representation(view, self.encoder) for view in (self.first, self.second)])
        if self.similarity == "cosine":
            views = functional.normalize(views, dim=1)
        size = len(views) // 2
        place = torch.arange(2 * size, device=views.device)
        partner = (place + size) % (2 * size)
        barred = torch.eye(2 * size, dtype=torch.bool, device=views.device)
        if self.exclude_same_user:
            users = step.batch.users.repeat(2)
            barred = (users[:, None] == users[None, :]).scatter(1, partner[:, None], False)
        with torch.autocast(views.device.type, enabled=False):  # half precision would be amplified by a small temperature
            logits = views.float() @ views.float().t() / self.temperature
        return functional.cross_entropy(logits.masked_fill(barred, float("-inf")), partner)
