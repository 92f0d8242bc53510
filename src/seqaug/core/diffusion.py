"""The diffusion process: how vectors are noised, and how a denoiser undoes it. It knows the process and no method.

B sequences, N positions, D width, T steps. The next item is a span of length one, so everything from whole
sequences to a single item goes through here.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from ..data.layout import Layout
from .items import ItemTable
from .protocols import Denoiser, NoiseSource, Schedule

__all__ = ["Diffusion"]


class Diffusion(nn.Module):
    """Schedule + noise source + denoiser, and the time embedding that learns beside them.

    Forward: z_t = A_t z_0 + C_t n, the closed form of Choi et al. (2025), eq. 8-9. Reverse: the denoiser guesses z_0 from
    z_t in one
    pass, or along a deterministic chain (eq. 10-11 with zero variance).
    time_embedding: `learned` is a table of T vectors, N(0, 0.02); `sinusoidal` has no parameters (Ho et al., 2020).
    noise_gradient: whether gradients reach the item table through the noise.
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
        time_embedding: Literal["learned", "sinusoidal"] = "learned",
        noise_gradient: bool = True,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.max_length = max_length
        self.schedule = schedule
        self.noise = noise
        self.noise_gradient = noise_gradient
        signal, level = schedule.coefficients()
        # Row 0 is t = 0, nothing noised yet, so that steps index the tables as the paper counts them.
        self.register_buffer("signal", torch.cat([torch.ones(1), signal.float()]), persistent=False)
        self.register_buffer("noise_level", torch.cat([torch.zeros(1), level.float()]), persistent=False)
        assert isinstance(denoiser, nn.Module)
        self.denoiser = denoiser
        self.times = nn.Embedding(self.steps, dim) if time_embedding == "learned" else None
        if self.times is not None:
            nn.init.normal_(self.times.weight, 0, 0.02)

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

    def restore(self, noised: Tensor, step: Tensor, layout: Layout, condition: Tensor | None = None) -> Tensor:
        """(N, D) the denoiser's guess of z_0 from z_t in one pass; step (B,) in 1..T, condition (B, D) or None."""
        denoiser: Denoiser = self.denoiser
        guess = denoiser(noised + self.time(step)[layout.sequence], step, condition, layout)
        if denoiser.predicts == "clean":
            return guess
        # A noise prediction says nothing about z_0 where no signal is left; the clamp bounds the error there.
        t = step[layout.sequence]
        return (noised - self.noise_level[t][:, None] * guess) / self.signal[t][:, None].clamp(min=1e-3)

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
        """(B,) in 1..T -> (B, D) the time embedding."""
        if self.times is not None:
            embedded: Tensor = self.times(step - 1)
            return embedded
        half = self.dim // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=step.device) / max(half, 1))
        angles = step[:, None].float() * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=1)
        return nn.functional.pad(waves, (0, self.dim - waves.shape[1]))
