"""Predicting the next item among all items."""

from __future__ import annotations

from seqaug.api import EncoderName, HeadName, Step, Tensor, ViewName, objectives

__all__ = ["NextItemSoftmax"]


@objectives.register("next_item_softmax")
class NextItemSoftmax:
    """The softmax cross-entropy of the item that followed, over the whole catalogue, in nats.

    Mean over the positions with a known next item: every one of them in whole sequences, the last ones of prefixes. About
    log V when nothing has been learnt. view: must have the positions of the batch, one target each. head: maps the states
    first.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        hidden, targets = step.predicting(self.view, self.encoder)
        return step.scores(hidden, self.head).nll(targets)
