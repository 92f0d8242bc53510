"""The same sequence, read once more."""

from __future__ import annotations

from dataclasses import replace

from seqaug.api import Step, View, augmenters

__all__ = ["DropoutView"]


@augmenters.register("dropout")
class DropoutView:
    """The sequence itself under another name, so that the encoder reads it again with another dropout.

    Gao et al. (2021); Qiu et al. (2022).
    View: `again`. Equal to "clean" in all but its name, under which dropout is drawn.
    """

    view_names: tuple[str, ...] = ("again",)

    def views(self, step: Step) -> tuple[View, ...]:
        """-> one view of the batch's own items."""
        return (replace(step.view("clean")),)
