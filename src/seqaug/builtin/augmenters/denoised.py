"""Sequences as a diffusion would rather have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Annotated, Literal
from weakref import ref

import torch
from pydantic import Field

from seqaug.api import (
    Diffusion,
    DiffusionName,
    Evidence,
    ItemScores,
    NegativeSampler,
    PositionSelector,
    Restoration,
    Step,
    Tensor,
    Use,
    View,
    augmenters,
    quiet,
)

__all__ = ["DenoisedViews"]


@augmenters.register("denoised")
class DenoisedViews:
    """Noises the items of a sequence, restores them, and puts restored items in place of some of the originals.

    Choi et al. (2025), sections 4.3-4.4; with other selectors and samplers the augmenter of CaDiRec. Nothing is computed
    before it is asked for, and no gradient passes through positions, ranks or items.

    Views: `restored`, the original items; `positive` and, where `negative` is given, `negative`: the original items, with
    those at the positions that `replace` chose exchanged for what each sampler gives. All have the training restoration (at
    a drawn t, with gradient) behind them. With copies > 1 `positive_1`, `negative_1`, `positive_2`, ..., one draw of the
    samplers each.

    corrupt: which positions are noised.
    confidence_step: where the scores come from that `replace`, `positive` and `negative` are told. `last`: one more
    restoration, of the fully noised sequence (t = T), without gradient and without dropout. `drawn`: the training
    restoration, as in the released code (docs/methods/simdiffrec.md, row 4).
    reverse: from t = T to 0 in `one_step`, or along a deterministic `chain` of chain_steps (eq. 10-11); a chain with `drawn`
    raises ValueError.
    freeze_items: the views look their items up in a table that does not learn from them, as in CaDiRec, so that a contrast
    between the views moves the encoder alone.

    Records `identity_rate`, the share of the chosen positions whose most likely item is the original.
    """

    def __init__(
        self,
        *,
        diffusion: DiffusionName = DiffusionName("main"),  # noqa: B008
        corrupt: Annotated[PositionSelector, Use("all")],
        replace: Annotated[PositionSelector, Use("confidence")],
        positive: Annotated[NegativeSampler, Use("rank", rank=1, exclude_target=False)],
        negative: NegativeSampler | None = None,
        confidence_step: Literal["last", "drawn"] = "last",
        reverse: Literal["one_step", "chain"] = "one_step",
        chain_steps: Annotated[int, Field(ge=2)] = 10,
        copies: Annotated[int, Field(ge=1)] = 1,
        freeze_items: bool = False,
    ) -> None:
        if reverse == "chain" and confidence_step == "drawn":
            raise ValueError('reverse = "chain" starts from t = T, so it needs confidence_step = "last"')
        self.diffusion = diffusion
        self.corrupt = corrupt
        self.replace = replace
        self.positive = positive
        self.negative = negative
        self.confidence_step = confidence_step
        self.chain_steps = chain_steps if reverse == "chain" else 1
        self.copies = copies
        self.freeze_items = freeze_items
        names = ["positive"] if negative is None else ["positive", "negative"]
        copied = names if copies == 1 else [f"{name}_{copy}" for copy in range(1, copies + 1) for name in names]
        self.view_names: tuple[str, ...] = ("restored", *copied)

    def views(self, step: Step) -> tuple[Callable[[], View], ...]:
        """-> promises of the views: `restored` first, then the copies."""
        made = _Denoising(self, step)
        samplers = [self.positive] if self.negative is None else [self.positive, self.negative]
        exchanged = [partial(made.exchanged, sampler, copy) for copy in range(self.copies) for sampler in samplers]
        return (made.untouched, *exchanged)


class _Denoising:
    """What the views of one step share, each made when first needed and kept.

    The step owns the views and these own this, so it must not own the step: such a ring would keep every step's tensors until
    Python's collector comes by.
    """

    def __init__(self, options: DenoisedViews, step: Step) -> None:
        self.options = options
        self.diffusion: Diffusion = step.model.diffusion(options.diffusion)
        self.layout, self.items = step.batch.layout, step.batch.items
        self.learning = torch.is_grad_enabled()
        self._step = ref(step)
        self._sampled: dict[int, Tensor] = {}

    @property
    def step(self) -> Step:
        step = self._step()
        assert step is not None, "a view outlived its step"
        return step

    # ---- views ----

    def untouched(self) -> View:
        """The originals, with what the diffusion made of them."""
        clean = self.step.view("clean")
        return self.view(clean.items, clean.edited)

    def exchanged(self, sampler: NegativeSampler, copy: int) -> View:
        """The originals, with a sampler's items at the chosen positions."""
        chosen = self.chosen  # before sampling: the pass over the catalogue for the confidence keeps the best items as well
        items = torch.where(chosen, self.sampled(sampler)[:, copy], self.items)
        same = self.scores.top(1)[0][:, 0] == self.items
        self.step.record("identity_rate", (same & chosen).sum(), chosen.sum())
        return self.view(items, items != self.items)

    def view(self, items: Tensor, edited: Tensor) -> View:
        """Items in the shape of the batch, with the restoration behind them."""
        frozen = self.step.model.items(items).detach() if self.options.freeze_items else None
        return View(self.layout, items, edited, embedded=frozen, ask_restoration=lambda: self.restoration)

    # ---- what they share ----

    @cached_property
    def corrupted(self) -> Tensor:
        """(N,) bool."""
        selector = self.options.corrupt
        evidence = self.step.evidence(self.layout, self.items, self.items)
        return selector.select(evidence, self.step.generator(selector))

    @cached_property
    def noise(self) -> tuple[Tensor, Tensor]:
        """clean (N, D), noise (N, D): one noise for both restorations, whichever is asked for first."""
        source = self.diffusion.noise
        with torch.set_grad_enabled(self.learning):
            clean = self.step.embedded("clean")
            if self.diffusion.start_noise:
                clean = self.diffusion.started(clean, self.step.generator(self.diffusion))
            return clean, self.diffusion.noise_for(clean, self.items, self.step.model.items, self.step.generator(source))

    @cached_property
    def restoration(self) -> Restoration:
        """At a drawn t, with gradient and dropout: what the denoising objective learns from."""
        clean, noise = self.noise
        t = self.diffusion.draw_steps(self.layout.num_sequences, self.step.generator(self.options))
        slot = self.step.assembly.slots[id(self.options)]
        with torch.set_grad_enabled(self.learning), self.step.dropout(f"diffusions.{self.options.diffusion}", slot):
            noised = self.diffusion.mix(clean, noise, t, self.layout, self.corrupted)
            restored = self.diffusion.restore(noised, t, self.layout)
            scores = self.step.scores(restored)
        return Restoration(self.layout, self.items, clean, noised, restored, t, self.corrupted, scores)

    @cached_property
    @torch.no_grad()
    def scores(self) -> ItemScores:
        """What positions and items are chosen by: the restoration from t = T (eq. 10-12), or the drawn one."""
        if self.options.confidence_step == "drawn":
            return self.step.scores(self.restoration.restored.detach())
        clean, noise = self.noise
        with quiet(self.diffusion):
            restored = self.diffusion.reverse(noise, self.layout, self.options.chain_steps, clean, self.corrupted)
        return self.step.scores(restored)

    def evidence(self) -> Evidence:
        """What is known when positions and items are chosen."""
        return self.step.evidence(self.layout, self.items, self.items, corrupted=self.corrupted, scores=lambda: self.scores)

    @cached_property
    @torch.no_grad()
    def chosen(self) -> Tensor:
        """(N,) bool, the positions whose item is exchanged."""
        selector = self.options.replace
        return selector.select(self.evidence(), self.step.generator(selector))

    @torch.no_grad()
    def sampled(self, sampler: NegativeSampler) -> Tensor:
        """(N, copies) ids in 1..V."""
        found = self._sampled.get(id(sampler))
        if found is None:
            generator = self.step.generator(sampler)
            found = self._sampled[id(sampler)] = sampler.sample(self.evidence(), self.options.copies, generator)
        return found
