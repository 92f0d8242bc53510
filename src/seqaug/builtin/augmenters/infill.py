"""Sequences whose holes an encoder has filled."""

from __future__ import annotations

import torch

from seqaug.api import EncoderName, HeadName, Step, View, ViewName, augmenters

__all__ = ["InfilledView"]


@augmenters.register("infill")
class InfilledView:
    """Puts at the holes of a masked view what an encoder holds most likely there.

    Zhou et al. (2023): the invasive augmentation of ECL-SR. The item is the best of 1..V by the encoder's states on the masked
    view, which `reconstruction` learns from: both ask the step for the same states, so there is one draw and one pass. No
    gradient passes through the choice.
    View: `infilled`, whose `edited` are the positions where it differs from the batch: a hole filled with the original item is
    as it was. Raises RecipeError where the masked view has other positions than the batch.

    Records `recovered_rate`, the share of the holes that got their original item back.
    """

    view_names: tuple[str, ...] = ("infilled",)

    def __init__(self, *, view: ViewName, encoder: EncoderName, head: HeadName | None = None) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `infilled`."""
        masked, original = step.aligned(self.view, "what was filled in cannot be compared"), step.batch.items
        # Not under no_grad as a whole: these are the states that `reconstruction` learns from.
        hidden = step.hidden(self.view, self.encoder)
        if hidden.device.type == "cpu":
            holes = masked.edited.nonzero()[:, 0]
            with torch.no_grad():
                best = step.scores(hidden[holes], self.head).top(1)[0][:, 0]
            items = masked.items.index_put((holes,), best)
        else:
            # How many holes there are would have to be waited for: every position is filled, and the holes are kept.
            with torch.no_grad():
                every = step.scores(hidden, self.head).top(1)[0][:, 0]
            items = torch.where(masked.edited, every, masked.items)
        edited = items != original
        step.record("recovered_rate", (masked.edited & ~edited).sum(), masked.edited.sum())
        return (View(masked.layout, items, edited),)
