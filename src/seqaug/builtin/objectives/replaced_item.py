"""Telling which items were replaced."""

from __future__ import annotations

from torch.nn import functional

from seqaug.api import EncoderName, HeadName, RecipeError, Step, Tensor, ViewName, objectives

__all__ = ["ReplacedItem"]


@objectives.register("replaced_item")
class ReplacedItem:
    """How well an encoder that has read the original sequence says of each item of an edited one whether it was replaced.

    Clark et al. (2020), replaced token detection; Zhou et al. (2023), conditioned on the original. The encoder reads, position
    by position, the sum of the edited view's item vectors and its own states on the clean sequence; the head makes one logit
    of each new state; binary cross-entropy against the view's `edited`, in nats, mean over all positions: log 2 when nothing
    has been learnt. Gradient reaches the encoder twice, the item table and the head, but not what chose the items.
    view: has the positions of the batch, else RecipeError. head: of width 1, else RecipeError.
    """

    def __init__(
        self,
        *,
        view: ViewName,
        head: HeadName,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
    ) -> None:
        self.view = view
        self.head = head
        self.encoder = encoder

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        seen = step.view(self.view)
        logits = self.logits(step)
        return functional.binary_cross_entropy_with_logits(logits.float(), seen.edited.float())

    def logits(self, step: Step) -> Tensor:
        """-> (N,) above 0 where the item is held to be a replacement."""
        seen = step.aligned(self.view, "no state of the original belongs to them")
        read = step.embedded(self.view) + step.hidden("clean", self.encoder)
        with step.dropout(f"encoders.{self.encoder}", self.view):
            states = step.model.encode(read, seen.layout, self.encoder)
            logits: Tensor = step.model.heads[self.head](states)
        if logits.shape[-1] != 1:
            raise RecipeError(f"the head {str(self.head)!r} gives {logits.shape[-1]} numbers a position; it needs width = 1.")
        return logits[:, 0]
