"""Telling what stood where the holes are."""

from __future__ import annotations

from seqaug.api import EncoderName, HeadName, Step, Tensor, ViewName, objectives

__all__ = ["Reconstruction"]


@objectives.register("reconstruction")
class Reconstruction:
    """The softmax cross-entropy of the original items at the edited positions of a view, over the whole catalogue, in nats.

    Taylor (1953), the cloze task; Sun et al. (2019), eq. 8. Mean over the edited positions, 0 where there is none; about log V
    when nothing has been learnt. view: has the positions of the batch, whose items are the originals; else RecipeError.
    head: maps the states first.
    """

    def __init__(
        self,
        *,
        view: ViewName,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        head: HeadName | None = None,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.head = head

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        seen = step.aligned(self.view, "what stood there is not known")
        if seen.edited.device.type != "cpu":
            # How many they are would have to be waited for. The others are scored too, and count nothing.
            weights = seen.edited / seen.edited.sum().clamp(min=1)
            return step.scores(step.hidden(self.view, self.encoder), self.head).nll(step.batch.items, weights)
        holes = seen.edited.nonzero()[:, 0]
        return step.scores(step.hidden(self.view, self.encoder)[holes], self.head).nll(step.batch.items[holes])
