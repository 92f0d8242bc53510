"""How the catalogue is ranked for a history."""

from __future__ import annotations

import torch

from seqaug.api import Batch, EncoderName, Generator, HeadName, ItemScores, Layout, Recommender, Tensor, scorers

__all__ = ["LastPosition", "MaskedPosition"]


@scorers.register("last_position")
class LastPosition:
    """The inner product of every item with the encoder's state at the latest position (Kang & McAuley, 2018).

    No augmenter or diffusion takes part. head: maps the state first, where one is named.
    """

    def __init__(self, *, encoder: EncoderName = EncoderName("main"), head: HeadName | None = None) -> None:  # noqa: B008
        self.encoder = encoder
        self.head = head

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores:
        """B histories -> scores of items 1..V. Draws nothing."""
        return model.scores(model.latest(model.items(histories.items), histories.layout, self.encoder), self.head)


@scorers.register("masked_position")
class MaskedPosition:
    """The inner product of every item with the encoder's state at a MASK behind the latest item (Sun et al., 2019).

    What was longer is cut to its latest max_length - 1 items, so that the MASK has a place. head: maps the state first, where
    one is named.
    """

    def __init__(self, *, encoder: EncoderName = EncoderName("main"), head: HeadName | None = None) -> None:  # noqa: B008
        self.encoder = encoder
        self.head = head

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores:
        """B histories -> scores of items 1..V. Draws nothing."""
        layout, items = self.asked(model, histories)
        return model.scores(model.latest(model.items(items), layout, self.encoder), self.head)

    def asked(self, model: Recommender, histories: Batch) -> tuple[Layout, Tensor]:
        """The histories with a MASK behind each: their layout and (N',) items."""
        layout = Layout.of([min(count + 1, model.max_length) for count in histories.layout.counts], histories.layout.device)
        # Counted from the end, place i holds the item that was at i - 1; at 0 stands the MASK.
        source = (histories.layout.last()[layout.sequence] + 1 - layout.from_end).clamp(max=len(histories.items) - 1)
        return layout, torch.where(layout.from_end == 0, model.items.mask_id, histories.items[source])
