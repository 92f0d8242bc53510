"""Another history that led to the same item."""

from __future__ import annotations

import torch

from seqaug.api import RecipeError, Step, View, augmenters

__all__ = ["SameTarget"]


@augmenters.register("same_target")
class SameTarget:
    """For each row another training row that predicts the same item at its last position.

    Qiu et al. (2022), the semantic positive. Drawn uniformly at every step, among all training rows, those of the same user
    included; a row whose target nobody else has stands for itself.
    View: `other`, the other row's history, of its own length; its positions count as edited, but for rows that stand for
    themselves.
    Raises RecipeError where the rows have no targets.
    """

    view_names: tuple[str, ...] = ("other",)

    def views(self, step: Step) -> tuple[View, ...]:
        """-> `other`."""
        if step.samples.kind == "whole":
            raise RecipeError('data.samples = "whole" gives no targets to have in common; use "prefixes" or "sequences".')
        rows = step.batch.rows
        other = step.samples.same_target(rows, step.host_generator(self))
        batch = step.samples.take(other)
        edited = torch.repeat_interleave(other != rows, torch.tensor(batch.layout.counts))
        return (View(batch.layout, batch.items, edited.to(batch.items.device, non_blocking=True)),)
