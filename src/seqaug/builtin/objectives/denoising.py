"""Learning to undo the noise."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seqaug.api import RecipeError, Step, Tensor, ViewName, objectives

__all__ = ["Denoising"]


@objectives.register("denoising")
class Denoising:
    """How well the original items can be told from what a diffusion restored.

    Choi et al. (2025), eq. 12-13: -log softmax(restored . items^T) of the original item, in nats, about log V when nothing
    has been learnt; plus squared_error x ||restored - clean||^2, summed over D. The step t is drawn anew for every sequence,
    so the sum over t of eq. 13 appears as its mean. Mean over real positions.
    view: one that comes from a diffusion, else RecipeError. squared_error: weight of the squared term; 0 as in the released
    code (docs/methods/simdiffrec.md, row 6), 1 as in the paper. detach_target: no gradient to the clean vectors through the
    squared term, which would otherwise shrink them. positions: `all`, or the `corrupted` only.
    """

    def __init__(
        self,
        *,
        view: ViewName,
        squared_error: Annotated[float, Field(ge=0)] = 0.0,
        detach_target: bool = True,
        positions: Literal["all", "corrupted"] = "all",
    ) -> None:
        self.view = view
        self.squared_error = squared_error
        self.detach_target = detach_target
        self.positions = positions

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        made = step.view(self.view).restoration
        if made is None:
            raise RecipeError(f"the view {str(self.view)!r} comes from no diffusion, so there is nothing to learn to restore.")
        weights: Tensor | None = None
        if self.positions == "corrupted" and made.corrupted is not None:
            counted = made.corrupted.float()
            weights = counted / counted.sum().clamp(min=1)  # a batch without a corrupted position costs nothing
        loss = made.scores.nll(made.items, weights)
        if self.squared_error:
            target = made.clean.detach() if self.detach_target else made.clean
            errors = (made.restored - target).square().sum(1)
            loss = loss + self.squared_error * (errors.mean() if weights is None else (errors * weights).sum())
        return loss
