"""Learning to restore the next item from noise, told what came before it."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from seqaug.api import DiffusionName, EncoderName, Layout, RecipeError, Recommender, Step, Tensor, ViewName, objectives

__all__ = ["NextItemDiffusion"]


@objectives.register("next_item_diffusion")
class NextItemDiffusion:
    """The squared error of the next item's vector, restored from noise under the condition of the history before it.

    Yang et al. (2023), algorithm 1: x_0 the vector of the item that followed a position, t uniform on 1..T, the condition the
    encoder's state there; the mean over targets and D. No negatives: nothing but the items' own starting distance keeps their
    vectors apart. About the mean square of the item vectors when nothing has been learnt.
    view: must have the positions of the batch, one target each. drop_condition: the probability, per target, that the
    diffusion's null condition stands in for the state, so that a scorer can be guided; above 0 it needs null_condition = true,
    else RecipeError. detach_target: no gradient to the vectors as targets; as what is noised they keep theirs.
    standardised: item vectors are divided by the standard deviation of the whole table's numbers, a constant without gradient:
    next to noise of variance 1, the small vectors of a trained recommender would be lost. The scorer has to do the same.

    Records `target_std`, the standard deviation of the targets' vectors over the batch (mean over D): it falls to 0 where they
    collapse.
    """

    def __init__(
        self,
        *,
        view: ViewName = ViewName("clean"),  # noqa: B008
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        diffusion: DiffusionName = DiffusionName("main"),  # noqa: B008
        drop_condition: Annotated[float, Field(ge=0, le=1)] = 0.1,
        detach_target: bool = False,
        standardised: bool = False,
    ) -> None:
        self.view = view
        self.encoder = encoder
        self.diffusion = diffusion
        self.drop_condition = drop_condition
        self.detach_target = detach_target
        self.standardised = standardised

    def bind(self, model: Recommender) -> None:
        """See that there is something to put in place of a dropped condition."""
        if self.drop_condition > 0 and model.diffusion(self.diffusion).null is None:
            raise RecipeError(
                f"next_item_diffusion drops conditions (drop_condition = {self.drop_condition}), but the diffusion "
                f"{str(self.diffusion)!r} has nothing to put in their place; give it null_condition = true, or drop none."
            )

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        hidden, targets = step.predicting(self.view, self.encoder)
        table, diffusion = step.model.items, step.model.diffusion(self.diffusion)
        layout = Layout.of([1] * len(targets), targets.device)
        draw = step.generator(self)
        t = diffusion.draw_steps(len(targets), draw)
        if self.drop_condition > 0:
            dropped = torch.rand(len(targets), generator=draw, device=draw.device) < self.drop_condition
            assert diffusion.null is not None, "bind() has not been called"
            hidden = torch.where(dropped[:, None], diffusion.null, hidden)
        clean = table(targets)
        if self.standardised:
            clean = clean / table.spread
        noise = diffusion.noise_for(clean, targets, table, step.generator(diffusion.noise))
        slot = step.assembly.slots[id(self)]
        with step.dropout(f"diffusions.{self.diffusion}", slot):
            noised = diffusion.mix(diffusion.started(clean, draw), noise, t, layout)
            restored = diffusion.restore(noised, t, layout, hidden)
        spread = clean.detach().std(0, correction=0).mean()
        step.record("target_std", spread, torch.ones_like(spread))
        errors: Tensor = (restored - (clean.detach() if self.detach_target else clean)).square()
        return errors.mean()
