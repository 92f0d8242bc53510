"""Ranking by an item that is made up."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import (
    Batch,
    DiffusionName,
    EncoderName,
    Generator,
    ItemScores,
    Layout,
    RecipeError,
    Recommender,
    Tensor,
    scorers,
)

__all__ = ["GeneratedItem"]


@scorers.register("generated_item")
class GeneratedItem:
    """Walks a diffusion back from noise to the item a history asks for, and ranks the catalogue by likeness to it.

    Yang et al. (2023), algorithm 2. guidance: w >= 0; every guess is (1 + w) x the one under the history less w x the one under
    no history (Ho & Salimans, 2021). Above 0 it needs null_condition = true, else RecipeError.
    method: `ddpm` draws noise at every step but the last, `ddim` only at the start. steps: how many of the T, evenly spaced;
    all where not given, and never more, else RecipeError. samples: vectors generated per history, of which the mean is used
    (for the inner product that is the mean of their scores; for the cosine they are brought to length 1 before, so that it is
    too). standardised: the diffusion has learnt vectors divided by the standard deviation of the whole table's numbers; what it
    generates is multiplied by it. similarity: inner product, with the bias of the table where it has one, or `cosine`,
    without.
    Costs 2 x steps x samples denoiser passes for a batch of histories, half of them at w = 0. Raises RecipeError where the
    noise source has no prior to start from.
    """

    def __init__(
        self,
        *,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        diffusion: DiffusionName = DiffusionName("main"),  # noqa: B008
        guidance: Annotated[float, Field(ge=0)] = 2.0,
        method: Literal["ddpm", "ddim"] = "ddpm",
        steps: Annotated[int, Field(ge=1)] | None = None,
        samples: Annotated[int, Field(ge=1)] = 1,
        standardised: bool = False,
        similarity: Literal["dot", "cosine"] = "dot",
    ) -> None:
        self.encoder = encoder
        self.diffusion = diffusion
        self.guidance = guidance
        self.method: Literal["ddpm", "ddim"] = method
        self.steps = steps
        self.samples = samples
        self.standardised = standardised
        self.similarity = similarity

    def bind(self, model: Recommender) -> None:
        """See that the diffusion can be walked so, before anything is trained."""
        diffusion, name = model.diffusion(self.diffusion), str(self.diffusion)
        if not diffusion.has_prior:
            raise RecipeError(
                f"the scorer 'generated_item' starts from pure noise, but the noise of the diffusion {name!r} is made from "
                "clean items, which a history to score has not; use a source with a prior (gaussian)."
            )
        if self.guidance > 0 and diffusion.null is None:
            raise RecipeError(
                f"the scorer 'generated_item' is guided (guidance = {self.guidance}), but the diffusion {name!r} has learnt "
                "nothing without a condition; give it null_condition = true, or no guidance."
            )
        if self.steps is not None and self.steps > diffusion.steps:
            raise RecipeError(
                f"the scorer 'generated_item' is to walk {self.steps} steps, but the diffusion {name!r} has only "
                f"{diffusion.steps}; choose fewer, or leave `steps` out for all of them."
            )

    def score(self, model: Recommender, histories: Batch, generator: Generator) -> ItemScores:
        """B histories -> scores of items 1..V."""
        made = self.generated(model, histories, generator)
        if self.similarity == "dot":
            return model.scores(made.mean(1))
        towards = functional.normalize(made, dim=2).mean(1)
        items = functional.normalize(model.items.catalogue, dim=1)

        def rows(part: slice) -> Tensor:
            return towards[part] @ items.t()

        return ItemScores.chunked(len(towards), len(items), rows, device=towards.device)

    def generated(self, model: Recommender, histories: Batch, generator: Generator) -> Tensor:
        """(B, samples, D) the vectors at the end of the chains, as large as those of the table."""
        hidden = model.latest(model.items(histories.items), histories.layout, self.encoder)
        condition = hidden.repeat_interleave(self.samples, 0)
        diffusion = model.diffusion(self.diffusion)
        layout = Layout.of([1] * len(condition), condition.device)

        def guess(state: Tensor, t: int) -> Tensor:
            step = torch.full((1,), t, dtype=torch.int64, device=condition.device).expand(len(condition))
            return diffusion.guided(state, step, layout, condition, self.guidance)

        start = diffusion.prior(tuple(condition.shape), generator, condition.device)
        times = diffusion.chain_times(self.steps)
        ends = diffusion.chain(start, layout, times=times, guess=guess, method=self.method, generator=generator)
        if self.standardised:
            ends = ends * model.items.spread
        return ends.view(histories.size, self.samples, -1)
