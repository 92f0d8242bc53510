"""Learning to make up what came before a history."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from seqaug.api import DiffusionName, Layout, RecipeError, Recommender, Step, Tensor, objectives

__all__ = ["PrefixDiffusion"]


@objectives.register("prefix_diffusion")
class PrefixDiffusion:
    """How well a diffusion tells the noise in the first M items of a history, given the rest of it.

    Liu et al. (2023): of every user of the batch with more than M + 2 training items, the vectors of the first M are noised
    to a drawn step t, and the denoiser is asked for the noise (or for the vectors, where it predicts those) under the
    condition of the rest. Mean squared error over users x M x D: the variance of the noise where nothing has been learnt. 0,
    which moves nothing, where the batch has no such user. M is the diffusion's span.

    pool: `mean` or `sum` of the rest's item vectors (its latest max_length) is the condition; the sum grows with the length.
    guidance: `standard`, each condition is dropped for the diffusion's null condition with probability drop_condition (Ho &
    Salimans, 2022); `released`, nothing is dropped, both answers are asked for and e(c) + gamma (e(c) - e(null)) is held
    against the noise, as in the released code (docs/methods/diffuasr.md, row 3); `none`, there is always the condition.
    standardised: item vectors are divided by the standard deviation of the whole table's numbers, a constant without gradient:
    next to noise of variance 1, the small vectors of a trained recommender would be lost (as in Rombach et al., 2022).
    antithetic: half of the users get t, uniform on 1..T, the other half T + 1 - t.
    Raises RecipeError where the diffusion has no span, or no null condition although the guidance needs one.
    """

    def __init__(
        self,
        *,
        diffusion: DiffusionName = DiffusionName("main"),  # noqa: B008
        pool: Literal["mean", "sum"] = "mean",
        guidance: Literal["standard", "released", "none"] = "standard",
        drop_condition: Annotated[float, Field(ge=0, le=1)] = 0.1,
        gamma: Annotated[float, Field(ge=0)] = 1.0,
        standardised: bool = True,
        antithetic: bool = True,
    ) -> None:
        self.diffusion = diffusion
        self.pool = pool
        self.guidance = guidance
        self.drop_condition = drop_condition
        self.gamma = gamma
        self.standardised = standardised
        self.antithetic = antithetic

    def bind(self, model: Recommender) -> None:
        """Hold the diffusion against what is asked of it."""
        diffusion = model.diffusion(self.diffusion)
        if diffusion.span is None:
            raise RecipeError(
                f"the objective 'prefix_diffusion' learns to make up a fixed number of items, but the diffusion "
                f"{str(self.diffusion)!r} has none; say how many, as in diffusions.{self.diffusion}.span = 10."
            )
        if diffusion.null is None and self.guidance != "none":
            raise RecipeError(
                f"{self.guidance} guidance asks what the diffusion {str(self.diffusion)!r} says without a condition; "
                f"set diffusions.{self.diffusion}.null_condition = true, or guidance = \"none\" in 'prefix_diffusion'."
            )

    def __call__(self, step: Step, /) -> Tensor:
        """-> ()."""
        diffusion = step.model.diffusion(self.diffusion)
        span, table, device = diffusion.span, step.model.items, step.batch.items.device
        assert span is not None
        # On the host, which has to know how many users there are and how long their histories.
        histories = step.samples.host_histories
        users = step.batch.users if device.type == "cpu" else step.samples.users_of(step.batch.rows)
        users = torch.unique(users)  # one span a user, however many of its prefixes the batch holds
        lengths = histories.lengths[users]
        chosen = (lengths > span + 2).nonzero()[:, 0]
        if not len(chosen):
            return torch.zeros((), device=device)
        users, lengths = users[chosen], lengths[chosen]
        begin, end = histories.offsets[users], histories.offsets[users + 1]
        items = histories.items[(begin[:, None] + torch.arange(span)).flatten()]
        layout = Layout.of([span] * len(users), device)
        rest = Layout.of((lengths - span).clamp(max=step.model.max_length))
        index = (end - rest.lengths)[rest.sequence] + rest.from_start
        rest, (items, others) = rest.along([items, histories.items[index]], device)
        spread = table.spread if self.standardised else 1.0
        condition = rest.mean(table(others)) / spread
        if self.pool == "sum":
            condition = condition * rest.lengths[:, None]

        clean = table(items) / spread
        noise = diffusion.noise_for(clean, items, table, step.generator(diffusion.noise))
        generator = step.generator(self)
        t = self._steps(diffusion.steps, len(users), generator)
        noised = diffusion.mix(clean, noise, t, layout)
        with step.dropout(f"diffusions.{self.diffusion}", step.assembly.slots[id(self)]):
            if self.guidance == "standard":
                assert diffusion.null is not None
                dropped = torch.rand(len(users), generator=generator, device=generator.device) < self.drop_condition
                condition = torch.where(dropped[:, None], diffusion.null, condition)
            guess = diffusion.predict(noised, t, layout, condition)
            if self.guidance == "released":
                assert diffusion.null is not None
                unguided = diffusion.predict(noised, t, layout, diffusion.null.expand_as(condition))
                guess = guess + self.gamma * (guess - unguided)
        target = noise if diffusion.denoiser.predicts == "noise" else clean
        return (guess - target).square().mean()

    def _steps(self, steps: int, count: int, generator: torch.Generator) -> Tensor:
        """(count,) in 1..T."""
        drawn = (count + 1) // 2 if self.antithetic else count
        t = torch.randint(1, steps + 1, (drawn,), generator=generator, device=generator.device)
        return torch.cat([t, steps + 1 - t])[:count] if self.antithetic else t
