"""Picking one's own positive out of the batch."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import EncoderName, Step, Tensor, ViewName, comparable, objectives

__all__ = ["InfoNce"]


@objectives.register("info_nce")
class InfoNce:
    """How well each sequence's representation picks its own positive out of the batch.

    van den Oord et al. (2018); Choi et al. (2025), eq. 17. Anchors, positives and negatives are representations (B, D) of
    views. Row u of the logits is [sim(a_u, p_1..p_B), sim(a_u, n_1..n_B), ...] / temperature, (B, B (1 + M)) with M views of
    negatives, and its label is u. In nats, mean over B: log(B (1 + M)) where nothing tells them apart. One direction: only
    anchors are asked. in_batch: `positives_and_negatives` of the others stand against an anchor, as above; with `positives`
    only their positives and the anchor's own M negatives do: (B, B + M). similarity: `cosine`, or `dot` product.
    exclude_same_user: other rows of the anchor's user (prefixes of one history) do not count against it. last: a
    representation is the mean of the states at the latest so many positions, of all where there are fewer.
    """

    def __init__(
        self,
        *,
        anchor: ViewName = ViewName("clean"),  # noqa: B008
        positive: ViewName,
        negatives: tuple[ViewName, ...] = (),
        temperature: Annotated[float, Field(gt=0)] = 0.05,
        in_batch: Literal["positives_and_negatives", "positives"] = "positives_and_negatives",
        similarity: Literal["cosine", "dot"] = "cosine",
        exclude_same_user: bool = True,
        last: Annotated[int, Field(ge=1)] = 1,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
    ) -> None:
        self.anchor = anchor
        self.positive = positive
        self.negatives = tuple(negatives)
        self.temperature = temperature
        self.in_batch = in_batch
        self.similarity = similarity
        self.exclude_same_user = exclude_same_user
        self.last = last
        self.encoder = encoder

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        views = (self.anchor, self.positive, *self.negatives)
        found = comparable((view, step.representation(view, self.encoder, self.last)) for view in views)
        anchor, positive, *negatives = map(self._vectors, found)
        logits = self.logits(anchor, positive, negatives, step.batch.users)
        return functional.cross_entropy(logits, torch.arange(len(anchor), device=anchor.device))

    def logits(self, anchor: Tensor, positive: Tensor, negatives: list[Tensor], users: Tensor) -> Tensor:
        """anchor, positive (B, D), M negatives (B, D), users (B,) -> (B, B (1 + M)) or (B, B + M)."""
        others_too = self.in_batch == "positives_and_negatives"
        with torch.autocast(anchor.device.type, enabled=False):  # half precision would be amplified by a small temperature
            anchor, positive, *negatives = (one.float() for one in (anchor, positive, *negatives))
            blocks = [anchor @ positive.t()]
            blocks += [anchor @ one.t() if others_too else (anchor * one).sum(1, keepdim=True) for one in negatives]
        if self.exclude_same_user:
            same = users[:, None] == users[None, :]
            same.fill_diagonal_(False)  # one's own positive and own negatives count
            blocks = [block.masked_fill(same, float("-inf")) if block.shape == same.shape else block for block in blocks]
        return torch.cat(blocks, dim=1) / self.temperature

    def _vectors(self, representation: Tensor) -> Tensor:
        return functional.normalize(representation, dim=1) if self.similarity == "cosine" else representation
