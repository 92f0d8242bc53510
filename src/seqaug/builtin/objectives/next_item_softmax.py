"""Predicting the next item among all items."""

from __future__ import annotations

from seqaug.api import EncoderName, HeadName, RecipeError, Step, Tensor, ViewName, objectives

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
        batch = step.batch
        hidden, targets = step.hidden(self.view, self.encoder), batch.targets
        if step.view(self.view).layout.counts != batch.layout.counts:
            raise RecipeError(
                f"the view {str(self.view)!r} has other positions than the batch, so their next items are not known."
            )
        if batch.predicted is not None:
            if not len(batch.predicted):
                raise RecipeError('data.samples = "whole" gives no next items to predict; use "sequences" or "prefixes".')
            hidden, targets = hidden[batch.predicted], targets[batch.predicted]
        return step.scores(hidden, self.head).nll(targets)
