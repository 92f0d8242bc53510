"""How the catalogue is ranked for a history."""

from __future__ import annotations

from seqaug.api import Batch, EncoderName, Generator, HeadName, ItemScores, Recommender, scorers

__all__ = ["LastPosition"]


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
        hidden = model.encode(model.items(histories.items), histories.layout, self.encoder)
        return model.scores(hidden[histories.layout.last()], self.head)
