"""Keeping a contrast from becoming too easy."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from seqaug.api import EncoderName, Step, Tensor, ViewName, comparable, objectives

__all__ = ["ContrastMargin"]


@objectives.register("contrast_margin")
class ContrastMargin:
    """How far positives stand above the hardest negative, and negatives below the positive.

    Qin et al. (2023), eq. 11-13, the regulariser of their learned augmentations. It pulls the other way than nt_xent: positive
    similarities down to o_min = min(positive, hardest negative), negative ones up to o_max = max(positive, hardest negative).
    Mean of the positives' [p - o_min]+ over the 2 B representations plus mean of the negatives' [o_max - n]+ over 2 B (2 B -
    2) pairs; positives and negatives as in nt_xent. At least 0, and 0 where all similarities are equal or B = 1.
    scope: o_min and o_max of each `row` by itself, as in the released code (docs/methods/mclrec.md, row 5), or of the whole
    `batch`, from the lowest positive and the highest negative of all, as in the paper. similarity: `dot` product, or
    `cosine`. also: further pairs of views, whose terms are added.
    """

    def __init__(
        self,
        *,
        first: ViewName,
        second: ViewName,
        also: tuple[tuple[ViewName, ViewName], ...] = (),
        scope: Literal["row", "batch"] = "row",
        similarity: Literal["dot", "cosine"] = "dot",
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
    ) -> None:
        self.pairs = ((first, second), *also)
        self.scope = scope
        self.similarity = similarity
        self.encoder = encoder

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        return torch.stack([self._term(step, pair) for pair in self.pairs]).sum()

    def _term(self, step: Step, pair: tuple[ViewName, ViewName]) -> Tensor:
        views = torch.cat(comparable((view, step.representation(view, self.encoder)) for view in pair))
        if self.similarity == "cosine":
            views = functional.normalize(views, dim=1)
        size = len(views) // 2
        if size == 1:
            return views.sum() * 0  # nothing stands against the positive
        with torch.autocast(views.device.type, enabled=False):
            scores = views.float() @ views.float().t()
        place = torch.arange(2 * size, device=views.device)
        partner = (place + size) % (2 * size)
        # One's own column and the partner's are no negatives. Masked and not cut out: a gather of all the others costs more
        # than the product.
        barred = (place[:, None] == place) | (partner[:, None] == place)
        positive = scores.gather(1, partner[:, None])  # (2 B, 1)
        lowest, hardest = positive, scores.masked_fill(barred, float("-inf")).amax(1, keepdim=True)
        if self.scope == "batch":
            lowest, hardest = positive.amin(), hardest.amax()
        above = functional.relu(positive - torch.minimum(lowest, hardest))
        below = functional.relu(torch.maximum(lowest, hardest) - scores).masked_fill(barred, 0)
        return above.mean() + below.sum() / (2 * size * (2 * size - 2))
