"""Augmentation of the representation instead of the sequence."""

from __future__ import annotations

from dataclasses import replace

from seqaug.api import EncoderName, HeadName, Step, View, ViewName, augmenters

__all__ = ["LearnedViews"]


@augmenters.register("learned")
class LearnedViews:
    """Another view's representation, mapped by a head that learns.

    Qin et al. (2023), the learnable augmentation of the model.
    View: `mapped`, the positions of `view` with head(representation) for its representation.
    """

    view_names: tuple[str, ...] = ("mapped",)

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

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `mapped`."""
        representation = step.representation(self.view, self.encoder)
        with step.dropout(f"heads.{self.head}", self.view):
            mapped = step.model.heads[self.head](representation)
        return (replace(step.view(self.view), representation=mapped),)
