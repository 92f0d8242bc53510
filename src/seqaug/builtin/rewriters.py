"""What is put in front of training sequences between two stages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn import functional

from seqaug.api import (
    DiffusionName,
    EncoderName,
    Generator,
    Histories,
    ItemScores,
    ItemTable,
    Layout,
    RecipeError,
    Recommender,
    Tensor,
    rewriters,
)

__all__ = ["PrependGenerated"]

BLOCK = 1024
"""Users who are generated for at once. Fixed, because each block draws after the one before it."""


@rewriters.register("prepend_generated")
class PrependGenerated:
    """M items in front of every user's history, made by a diffusion from the training part of that history alone.

    Liu et al. (2023): a deterministic chain (DDIM, eta 0) from pure noise, guided by the pooled vectors of the history; each
    vector at its end is rounded to the item 1..V of largest cosine. Repeats, and items of the history, are allowed. M is the
    diffusion's span.

    guidance: `classifier_free`, the noise is taken as e(c) + scale (e(c) - e(null)); `classifier_guided`, as e(c) + scale C_t
    grad L, where L = -log sigma of the inner product of the user's first item v_1 with the last state of `encoder`
    (pretrained) on the M noised vectors, each user's own, and C_t the noise level: a step towards spans that v_1 follows
    (docs/methods/diffuasr.md, rows 4-6); `none`, e(c), which scale = 0 is as well.
    steps: of the chain. start: `last`, it begins at t = T; `released`, at 1 + T - T / steps, as the released code does.
    pool: `mean` or `sum` of the history's vectors; standardised: whether these are divided by the spread of the item table;
    both as in training. at_scoring: whether the made-up items stand in front at scoring too, and not only in training.
    Raises RecipeError where the diffusion has no span or, with `classifier_free`, no null condition.
    """

    def __init__(
        self,
        *,
        diffusion: DiffusionName = DiffusionName("main"),  # noqa: B008
        guidance: Literal["classifier_free", "classifier_guided", "none"] = "classifier_free",
        scale: Annotated[float, Field(ge=0)] = 1.0,
        steps: Annotated[int, Field(ge=1)] = 5,
        start: Literal["last", "released"] = "last",
        pool: Literal["mean", "sum"] = "mean",
        standardised: bool = True,
        encoder: EncoderName = EncoderName("main"),  # noqa: B008
        at_scoring: bool = True,
    ) -> None:
        self.diffusion = diffusion
        self.guidance = guidance
        self.scale = scale
        self.steps = steps
        self.start: Literal["last", "released"] = start
        self.pool = pool
        self.standardised = standardised
        self.encoder = encoder
        self.at_scoring = at_scoring

    def bind(self, model: Recommender) -> None:
        """Hold the diffusion against what is asked of it."""
        diffusion = model.diffusion(self.diffusion)
        if diffusion.span is None:
            raise RecipeError(
                f"the rewriter 'prepend_generated' makes up a fixed number of items, but the diffusion {str(self.diffusion)!r} "
                f"has none; say how many, as in diffusions.{self.diffusion}.span = 10."
            )
        if self.guidance == "classifier_free" and self.scale and diffusion.null is None:
            raise RecipeError(
                f"classifier-free guidance asks what the diffusion {str(self.diffusion)!r} says without a condition; "
                f"set diffusions.{self.diffusion}.null_condition = true, or another guidance."
            )

    def rewrite(self, model: Recommender, histories: Histories, generator: Generator, /) -> Tensor:
        """The training part of U users -> (U, M) ids in 1..V, oldest first."""
        histories = histories.to(model.items.weight.device)
        made = []
        for begin in range(0, histories.num_users, BLOCK):
            users = Histories(histories.offsets[begin : begin + BLOCK + 1], histories.items, histories.num_items)
            made.append(self.generated(model, users, generator))
        return torch.cat(made)

    def generated(self, model: Recommender, users: Histories, generator: Generator) -> Tensor:
        """(b, M) for one block of users."""
        diffusion, device = model.diffusion(self.diffusion), model.items.weight.device
        assert diffusion.span is not None
        layout = Layout.of([diffusion.span] * users.num_users, device)
        # Drawn for a whole block, so that nobody's noise depends on how many there are.
        noise = diffusion.prior((BLOCK * diffusion.span, diffusion.dim), generator, device)
        vectors = diffusion.chain(
            noise[: layout.num_positions],
            layout,
            times=diffusion.chain_times(self.steps, self.start),
            guess=self.guess(model, self.condition(model, users), self.first(model, users)),
            method="ddim",
        )
        return _rounded(vectors, model.items).view(users.num_users, diffusion.span)

    def condition(self, model: Recommender, users: Histories) -> Tensor:
        """(b, D) the pooled vectors of the histories, cut as an encoder would see them."""
        kept = Layout.of(users.lengths.clamp(max=model.max_length), users.items.device)
        index = (users.offsets[1:] - kept.lengths)[kept.sequence] + kept.from_start
        pooled = kept.mean(model.items(users.items[index])) / self.spread(model.items)
        return pooled * kept.lengths[:, None] if self.pool == "sum" else pooled

    def spread(self, table: ItemTable) -> Tensor:
        """() what item vectors are divided by."""
        return table.spread if self.standardised else table.weight.new_ones(())

    def first(self, model: Recommender, users: Histories) -> Tensor:
        """(b, D) the vectors of v_1, each user's first item."""
        vectors: Tensor = model.items(users.items[users.offsets[:-1]])
        return vectors

    def guess(self, model: Recommender, condition: Tensor, first: Tensor) -> Callable[[Tensor, int], Tensor]:
        """What the chain believes z_0 to be at each of its steps: ((b M, D), t) -> (b M, D)."""
        diffusion = model.diffusion(self.diffusion)
        count = len(condition)
        assert diffusion.span is not None
        layout = Layout.of([diffusion.span] * count, condition.device)

        def guided(noised: Tensor, t: int) -> Tensor:
            step = torch.full((count,), t, dtype=torch.int64, device=noised.device)
            if self.guidance == "classifier_free":
                return diffusion.guided(noised, step, layout, condition, self.scale)
            clean = diffusion.restore(noised, step, layout, condition)
            if self.guidance == "none" or self.scale == 0:
                return clean
            # A noise that is larger by s C grad means a z_0 that is smaller by s C² / A grad.
            away = _gradient(model, self.encoder, noised, self.spread(model.items), layout, first)
            signal, level = diffusion.signal[t].clamp(min=1e-3), diffusion.noise_level[t]
            return clean - self.scale * level**2 / signal * away

        return guided


def _gradient(model: Recommender, encoder: str, noised: Tensor, spread: Tensor, layout: Layout, first: Tensor) -> Tensor:
    """(N, D) of -log sigma(<last state of the encoder on `noised` x spread, v_1>), each user's own."""
    with torch.enable_grad():
        vectors = noised.detach().requires_grad_()
        states = model.encode(vectors * spread, layout, encoder)[layout.last()]
        loss = functional.softplus(-(states * first).sum(1)).sum()
        (gradient,) = torch.autograd.grad(loss, vectors)
    return gradient


def _rounded(vectors: Tensor, table: ItemTable) -> Tensor:
    """(N, D) -> (N,) ids in 1..V, the item of largest cosine to each vector."""
    directions = functional.normalize(table.catalogue, dim=1)
    # The length of a vector changes nothing in the order of its cosines.
    scores = ItemScores.chunked(len(vectors), table.num_items, lambda part: vectors[part] @ directions.t(), vectors.device)
    return scores.top(1)[0][:, 0]
