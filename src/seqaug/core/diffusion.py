"""The diffusion process: how vectors are noised, and how a denoiser undoes it. It knows the process and no method.

B sequences, N positions, D width, T steps. The next item is a span of length one, so everything from whole
sequences to a single item goes through here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ..data.layout import Layout
from ..errors import RecipeError
from .blocks import StepEmbedding
from .items import ItemTable
from .precision import parts_in_single
from .protocols import Denoiser, NoiseSource, Schedule
from .world import divided_rows, divided_sequences

__all__ = ["Diffusion"]


class Diffusion(nn.Module):
    """Schedule + noise source + denoiser, and the time embedding that learns beside them.

    Forward: z_t = A_t z_0 + C_t n, the closed form of Choi et al. (2025), eq. 8-9. Reverse: the denoiser guesses z_0 from
    z_t in one
    pass, along a deterministic chain of the same noise (`reverse`), or along a chain of posteriors (`chain`; Ho et al., 2020,
    eq. 6-7; Song et al., 2021).
    span: length of what is noised, at least 1 (else ValueError), where it always is the same; the denoiser is told, and no
    longer sequence comes. Whole sequences where not given.
    time_embedding: `learned` is a table of T vectors, N(0, 0.02); `sinusoidal` has no parameters (Ho et al., 2020); `mlp` is
    the latter through Linear(D, 4 D), SiLU, Linear(4 D, D); `none` adds nothing, for a denoiser that looks at the step itself.
    noise_gradient: whether gradients reach the item table through the noise.
    null_condition: whether a vector (D,), N(0, 1), is learnt that stands for "no condition" (Ho & Salimans, 2022).
    start_noise: whether `started` adds noise of one step to the clean vectors (Li et al., 2022).
    """

    signal: Tensor
    noise_level: Tensor

    def __init__(
        self,
        dim: int,
        max_length: int,
        /,
        *,
        schedule: Schedule,
        noise: NoiseSource,
        denoiser: Denoiser,
        span: int | None = None,
        time_embedding: Literal["learned", "sinusoidal", "mlp", "none"] = "learned",
        noise_gradient: bool = True,
        null_condition: bool = False,
        start_noise: bool = False,
    ) -> None:
        super().__init__()
        if span is not None and span < 1:
            raise ValueError(f"span = {span}, but a diffusion noises at least one vector")
        self.dim = dim
        self.max_length = max_length
        self.span = span
        self.schedule = schedule
        self.noise = noise
        self.noise_gradient = noise_gradient
        self.start_noise = start_noise
        signal, level = schedule.coefficients()
        self._exact = ([1.0, *signal.double().tolist()], [0.0, *level.double().tolist()])
        # Row 0 is t = 0, nothing noised yet, so that steps index the tables as the paper counts them.
        self.register_buffer("signal", torch.cat([torch.ones(1), signal.float()]), persistent=False)
        self.register_buffer("noise_level", torch.cat([torch.zeros(1), level.float()]), persistent=False)
        assert isinstance(denoiser, nn.Module)
        self.denoiser = denoiser
        self.times: nn.Embedding | StepEmbedding | None = None
        if time_embedding == "learned":
            self.times = nn.Embedding(self.steps, dim)
            nn.init.normal_(self.times.weight, 0, 0.02)
        elif time_embedding != "none":
            self.times = StepEmbedding(dim, 4 * dim if time_embedding == "mlp" else None)
        self.null = nn.Parameter(torch.empty(dim).normal_(0, 1)) if null_condition else None

    @property
    def steps(self) -> int:
        """T."""
        return self.schedule.steps

    def draw_steps(self, count: int, generator: Generator) -> Tensor:
        """(count,) steps, uniform on 1..T."""
        return torch.randint(1, self.steps + 1, (count,), generator=generator, device=generator.device)

    def last_step(self, count: int, device: torch.device) -> Tensor:
        """(count,) of T."""
        return torch.full((count,), self.steps, dtype=torch.int64, device=device)

    # ---- forward ----

    def started(self, clean: Tensor, generator: Generator) -> Tensor:
        """(N, D) z_0 of the vectors `clean` (N, D): clean + C_1 N(0, 1) where the diffusion has start noise, else `clean`."""
        if not self.start_noise:
            return clean
        return clean + self.noise_level[1] * torch.randn(clean.shape, generator=generator, device=generator.device).to(clean)

    def noise_for(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        """(N, D) what will be mixed into `clean` (N, D), the vectors of `items` (N,)."""
        drawn = self.noise.draw(clean, items, table, generator)
        return drawn if self.noise_gradient else drawn.detach()

    def mix(self, clean: Tensor, noise: Tensor, step: Tensor, layout: Layout, where: Tensor | None = None) -> Tensor:
        """z_t = A_t clean + C_t noise (eq. 9), t = step (B,) in 0..T per sequence. Positions outside `where` (N,) stay
        clean.
        """
        t = step[layout.sequence]
        noised = self.signal[t][:, None] * clean + self.noise_level[t][:, None] * noise
        return noised if where is None else torch.where(where[:, None], noised, clean)

    # ---- one pass back ----

    def predict(self, noised: Tensor, step: Tensor, layout: Layout, condition: Tensor | None = None) -> Tensor:
        """(N, D) what the denoiser itself says of z_t: z_0, or the noise where it predicts that. Arguments as `restore`."""
        timed = noised if self.times is None else noised + layout.repeated(self.time(step))
        denoiser: Denoiser = self.denoiser

        def run(vectors: Tensor, share: Layout, sequences: slice) -> Tensor:
            told = condition if condition is None else divided_rows(condition, layout.counts)
            return denoiser(vectors, step[sequences], told, share)

        with parts_in_single(timed.device):
            return divided_sequences(run, timed, layout, training=self.denoiser.training)

    def restore(self, noised: Tensor, step: Tensor, layout: Layout, condition: Tensor | None = None) -> Tensor:
        """(N, D) the denoiser's guess of z_0 from z_t in one pass; step (B,) in 1..T, condition (B, D) or None."""
        guess = self.predict(noised, step, layout, condition)
        denoiser: Denoiser = self.denoiser
        if denoiser.predicts == "clean":
            return guess
        # A noise prediction says nothing about z_0 where no signal is left; the clamp bounds the error there.
        t = step[layout.sequence]
        return (noised - self.noise_level[t][:, None] * guess) / self.signal[t][:, None].clamp(min=1e-3)

    def guided(self, noised: Tensor, step: Tensor, layout: Layout, condition: Tensor, weight: float) -> Tensor:
        """(N, D) (1 + w) f(z_t, condition) - w f(z_t, null), f = `restore` (Ho & Salimans, 2022, eq. 6); weight = w >= 0.

        Where w = 0 one pass with the condition (B, D). Otherwise raises RecipeError where no null condition is learnt.
        """
        told = self.restore(noised, step, layout, condition)
        if weight == 0:
            return told
        if self.null is None:
            raise RecipeError(
                f"guidance of weight {weight} needs to know what no condition looks like; "
                "set null_condition = true in the diffusion, or the weight to 0."
            )
        untold = self.restore(noised, step, layout, self.null.expand_as(condition))
        return (1 + weight) * told - weight * untold

    # ---- chains ----

    @property
    def has_prior(self) -> bool:
        """Whether a chain can start from noise alone."""
        return hasattr(self.noise, "prior")

    def prior(self, shape: tuple[int, ...], generator: Generator, device: torch.device) -> Tensor:
        """Noise of that shape, drawn where no clean item is known. Raises RecipeError where the noise source has none."""
        if not self.has_prior:
            raise RecipeError(
                f"a chain is to start from noise alone, but {type(self.noise).__name__} disturbs items that it is shown; "
                "use a noise source with a prior, such as gaussian."
            )
        drawn: Tensor = self.noise.prior(shape, generator)  # type: ignore[attr-defined]
        return drawn.to(device)

    def chain_times(self, steps: int | None = None, start: Literal["last", "released"] = "last") -> list[int]:
        """The steps t that a chain visits, descending: all T of them, or `steps` evenly spaced ones.

        start: `last`, from t = T; `released`, as in the released code of Liu et al. (2023): every (T // steps)-th up from 1,
        for T = 1000 and 5 steps 801, 601, ..., 1. Raises RecipeError where there are fewer than `steps`.
        """
        if steps is None:
            return list(range(self.steps, 0, -1))
        if not 1 <= steps <= self.steps:
            raise RecipeError(f"a chain of {steps} steps does not fit a diffusion of {self.steps}; ask for 1 to {self.steps}.")
        if start == "released":
            return [1 + place * (self.steps // steps) for place in range(steps)][::-1]
        spaced: list[int] = torch.linspace(self.steps, 0, steps + 1).round().long().tolist()
        return spaced[:-1]

    def posterior(self, now: int, after: int) -> tuple[float, float, float]:
        """c_0, c_t, v of z_{after} = c_0 z_0 + c_t z_{now} + sqrt(v) n, for 0 <= after < now <= T.

        Ho et al. (2020), eq. 7, between any two steps: with a = A_t / A_s and b = C_t^2 - a^2 C_s^2 (t = now, s = after),
        c_0 = A_s b / C_t^2, c_t = a C_s^2 / C_t^2, v = b C_s^2 / C_t^2; (1, 0, 0) for s = 0.
        """
        signal, level = self._exact
        before = level[now] ** 2
        # A schedule may have used up all signal by s; then t adds nothing that could be told apart.
        ratio = signal[now] / signal[after] if signal[after] > 0 else 0.0
        rate = max(before - ratio**2 * level[after] ** 2, 0.0)
        return signal[after] * rate / before, ratio * level[after] ** 2 / before, rate * level[after] ** 2 / before

    def chain(
        self,
        start: Tensor,
        layout: Layout,
        *,
        times: Sequence[int],
        guess: Callable[[Tensor, int], Tensor] | None = None,
        method: Literal["ddpm", "ddim"] = "ddpm",
        generator: Generator | None = None,
    ) -> Tensor:
        """(N, D) z_0, from `start` = z_{times[0]} through `times` (descending, in 1..T).

        guess: of z_0, from (z_t, t); `restore` without a condition where not given. method: `ddpm`, a draw from the posterior
        at each step (Ho et al., 2020, algorithm 2), noise from the prior by `generator`; `ddim`, without noise (Song et al.,
        2021, eq. 12 with sigma = 0): the guess is noised to the next step with the noise that it leaves of z_t. The last step
        is the guess itself. Raises RecipeError where `ddpm` finds no prior.
        """
        signal, level = self._exact
        state = start
        for now, after in pairwise([*times, 0]):
            if guess is None:
                steps = torch.full((layout.num_sequences,), now, dtype=torch.int64, device=start.device)
                clean = self.restore(state, steps, layout)
            else:
                clean = guess(state, now)
            if after == 0:
                state = clean
            elif method == "ddim":
                noise = (state - signal[now] * clean) / level[now]
                state = signal[after] * clean + level[after] * noise
            else:
                assert generator is not None, "a chain of posteriors draws"
                of_clean, of_state, variance = self.posterior(now, after)
                noise = self.prior(tuple(state.shape), generator, state.device).to(state.dtype)
                state = of_clean * clean + of_state * state + variance**0.5 * noise
        return state

    def reverse(
        self, noise: Tensor, layout: Layout, steps: int, clean: Tensor | None = None, where: Tensor | None = None
    ) -> Tensor:
        """(N, D) z_0 along a deterministic chain of `steps` evenly spaced steps from t = T (eq. 10-11 without variance).

        At each t: z_0' = restore(z_t), then z_{t'} = A_{t'} z_0' + C_{t'} noise. It starts from pure A_T clean + C_T noise
        (clean = 0 where
        None); positions outside `where` are held at `clean` throughout. `steps` >= 1; 1 is `restore` at t = T.
        """
        start = torch.zeros_like(noise) if clean is None else clean
        count = layout.num_sequences
        times = torch.linspace(self.steps, 0, steps + 1).round().long().tolist()
        state = self.mix(start, noise, self.last_step(count, noise.device), layout, where)
        guess = state
        for now, after in pairwise(times):
            guess = self.restore(state, torch.full((count,), now, dtype=torch.int64, device=noise.device), layout)
            if where is not None:
                guess = torch.where(where[:, None], guess, start)
            state = self.mix(guess, noise, torch.full((count,), after, dtype=torch.int64, device=noise.device), layout, where)
        return guess

    def time(self, step: Tensor) -> Tensor:
        """(B,) in 1..T -> (B, D) the time embedding, 0 where there is none."""
        if self.times is None:
            return torch.zeros(len(step), self.dim, device=step.device)
        embedded: Tensor = self.times(step - 1 if isinstance(self.times, nn.Embedding) else step)
        return embedded
