"""How fast the signal fades: A_t and C_t of z_t = A_t z_0 + C_t n for t = 1..T, in float64."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from seqaug.api import Tensor, schedules

__all__ = ["ConvexSchedule", "CosineSchedule", "ExponentialSchedule", "LinearSchedule", "SqrtSchedule"]

Steps = Annotated[int, Field(ge=2)]
Rate = Annotated[float, Field(gt=0, lt=1)]


def _rising(steps: int, first: float, last: float) -> Tensor:
    """(T,) the rates b_t, evenly spaced from `first` to `last`."""
    if first > last:
        raise ValueError(f"the rates of a schedule rise, but first = {first} is larger than last = {last}")
    return torch.linspace(first, last, steps, dtype=torch.float64)


def _variance_preserving(signal: Tensor) -> tuple[Tensor, Tensor]:
    """A and C = sqrt(1 - A^2)."""
    return signal, torch.sqrt(1 - signal**2)


@schedules.register("linear")
class LinearSchedule:
    """Rates that rise linearly: A_t = sqrt(prod_{i <= t} (1 - b_i)), C_t = sqrt(1 - A_t^2).

    Ho et al. (2020). zero_terminal_snr: A is shifted and rescaled so that A_1 stays and A_T = 0, as in the released code of
    Choi et al. (2025) after Lin et al. (2024): at t = T nothing but noise is left, and eq. 8-9 hold with alpha_t = A_t /
    A_{t-1}, beta_t = C_t - alpha_t C_{t-1}. Without it A_T = 0.0064 at the defaults.
    steps: T. first, last: b_1 and b_T in (0, 1), first <= last, else ValueError.
    """

    def __init__(self, *, steps: Steps = 1000, first: Rate = 1e-4, last: Rate = 0.02, zero_terminal_snr: bool = True) -> None:
        self.steps = steps
        self.zero_terminal_snr = zero_terminal_snr
        self._rates = _rising(steps, first, last)

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """A (T,), C (T,)."""
        signal = torch.sqrt(torch.cumprod(1 - self._rates, 0))
        if self.zero_terminal_snr:
            signal = (signal - signal[-1]) * signal[0] / (signal[0] - signal[-1])
        return _variance_preserving(signal)


def _from_retained(retained: Tensor, max_rate: float) -> Tensor:
    """(T + 1,) retained variance at t = 0..T -> (T,) A. No single step removes more than `max_rate` of what is left."""
    rates = (1 - retained[1:] / retained[:-1]).clamp(max=max_rate)
    return torch.sqrt(torch.cumprod(1 - rates, 0))


@schedules.register("cosine")
class CosineSchedule:
    """The retained variance follows a squared cosine: A_t^2 = f(t) / f(0), f(t) = cos^2(((t / T + s) / (1 + s)) pi / 2).

    Nichol & Dhariwal (2021), eq. 17. offset: s. max_rate: the largest share of the variance that one step removes.
    """

    def __init__(self, *, steps: Steps = 1000, offset: Rate = 0.008, max_rate: Rate = 0.999) -> None:
        self.steps = steps
        self.offset = offset
        self.max_rate = max_rate

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """A (T,), C (T,)."""
        share = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        retained = torch.cos((share + self.offset) / (1 + self.offset) * math.pi / 2) ** 2
        return _variance_preserving(_from_retained(retained, self.max_rate))


@schedules.register("sqrt")
class SqrtSchedule:
    """The noise comes in fast at first: A_t^2 = f(t) / f(0), f(t) = 1 - sqrt(t / T + s).

    Li et al. (2022), as DiffuSeq and CaDiRec use it: A_1^2 = 0.9766 at T = 1000. offset: s. max_rate: the largest share of
    the variance that one step removes (it bounds the last step, where f would be negative).
    """

    def __init__(self, *, steps: Steps = 1000, offset: Rate = 1e-4, max_rate: Rate = 0.999) -> None:
        self.steps = steps
        self.offset = offset
        self.max_rate = max_rate

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """A (T,), C (T,)."""
        share = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        return _variance_preserving(_from_retained(1 - torch.sqrt(share + self.offset), self.max_rate))


@schedules.register("convex")
class ConvexSchedule:
    """Signal and noise are shares of a whole: C_t = 1 - A_t.

    alpha_t = 1 - b_t and beta_t = b_t in eq. 8 of Choi et al. (2025): the
    other bounded reading of that equation for a noise that stays the same along the chain. A_T = 4.0e-5 at the defaults.
    steps: T. first, last: b_1 and b_T in (0, 1), first <= last, else ValueError.
    """

    def __init__(self, *, steps: Steps = 1000, first: Rate = 1e-4, last: Rate = 0.02) -> None:
        self.steps = steps
        self._rates = _rising(steps, first, last)

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """A (T,), C (T,)."""
        signal = torch.cumprod(1 - self._rates, 0)
        return signal, 1 - signal


@schedules.register("exponential")
class ExponentialSchedule:
    """A rate that rises linearly in time, integrated over each step: b_i = 1 - exp(-r_0 / T - x_i (r_1 - r_0) / (2 T^2)).

    The variance-preserving process of Song et al. (2021) in T steps, as the code of Yang et al. (2023) has it: x_i evenly
    spaced from 1 to 2 T + 1, where the integral itself would end at 2 T - 1. A_T^2 = 0.0063 at T = 500. steps: T. lowest,
    highest: r_0 and r_1, the rates at both ends of the process in units of its whole length, lowest <= highest, else
    ValueError.
    """

    def __init__(
        self,
        *,
        steps: Steps = 500,
        lowest: Annotated[float, Field(gt=0)] = 0.1,
        highest: Annotated[float, Field(gt=0)] = 10.0,
    ) -> None:
        if lowest > highest:
            raise ValueError(f"the rates of a schedule rise, but lowest = {lowest} is larger than highest = {highest}")
        self.steps = steps
        self.lowest = lowest
        self.highest = highest

    def coefficients(self) -> tuple[Tensor, Tensor]:
        """A (T,), C (T,)."""
        place = torch.linspace(1, 2 * self.steps + 1, self.steps, dtype=torch.float64)
        integrals = self.lowest / self.steps + place * (self.highest - self.lowest) / (2 * self.steps**2)
        return _variance_preserving(torch.exp(-torch.cumsum(integrals, 0) / 2))
