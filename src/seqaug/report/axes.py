"""Axes: where a value stands, and at which round numbers the ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Axis", "axis", "nice_ticks", "tick_labels"]


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, with ticks between; `log` where equal ratios are equally far apart."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False

    def at(self, value: float) -> float:
        """0 at `low`, 1 at `high`."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis(
    values: Iterable[float],
    *,
    log: bool = False,
    loose: bool = False,
    include: Iterable[float] = (),
    ticks: Sequence[float] | None = None,
    count: int = 5,
    whole: bool = False,
) -> Axis:
    """The axis that holds all finite `values` and what it should `include`.

    loose: ends at ticks, else a little beyond the outermost values. ticks: exactly these, where they are known better; else
    about `count` round ones. whole: the values are counted, so ticks are whole numbers. Raises ValueError where nothing is
    finite, or where a logarithm is asked of a value that is not positive.
    """
    known = [float(value) for value in (*values, *include, *(ticks or ())) if math.isfinite(value)]
    if not known:
        raise ValueError("an axis needs at least one finite value")
    low, high = min(known), max(known)
    if log:
        if low <= 0:
            raise ValueError(f"a logarithmic axis needs values above 0, and one is {low}")
        room = (high / low) ** 0.04 if high > low else 2.0
        low, high = low / room, high * room
        chosen = tuple(ticks) if ticks else _log_ticks(low, high)
        return Axis(low, high, chosen, tuple(_shown(tick) for tick in chosen), log=True)
    if high == low:
        room = abs(low) * 0.1 or 1.0
        low, high = low - room, high + room
    elif loose and not ticks:
        chosen = nice_ticks(low, high, count, outer=True)
        return Axis(chosen[0], chosen[-1], chosen, tick_labels(chosen))
    else:
        room = (high - low) * 0.03
        low, high = low - room, high + room
    chosen = tuple(ticks) if ticks else nice_ticks(low, high, count)
    if whole:
        chosen = tuple(tick for tick in chosen if tick == round(tick)) or (float(round(known[0])),)
    return Axis(low, high, chosen, tick_labels(chosen))


def nice_ticks(low: float, high: float, count: int = 5, *, outer: bool = False) -> tuple[float, ...]:
    """About `count` multiples of 1, 2, 2.5 or 5 times a power of ten between low and high; `outer`: one beyond each end where
    needed.
    """
    step, decimals = _step((high - low) / max(1, count - 1))
    nudge = 1e-9
    first = math.floor(low / step + nudge) if outer else math.ceil(low / step - nudge)
    last = math.ceil(high / step - nudge) if outer else math.floor(high / step + nudge)
    return tuple(round(place * step, decimals) + 0.0 for place in range(first, last + 1))


def tick_labels(ticks: Sequence[float]) -> tuple[str, ...]:
    """All with the decimals that the finest needs: 0, 0.02, 0.04 -> 0.00, 0.02, 0.04; thousands have commas."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if 0 < largest < 1e-5 or largest >= 1e15:
        return tuple(f"{tick:g}" for tick in ticks)
    needed = max((len(f"{tick:.10f}".rstrip("0").partition(".")[2]) for tick in ticks), default=0)
    return tuple(f"{tick:,.{needed}f}" for tick in ticks)


def _step(rough: float) -> tuple[float, int]:
    """The round number nearest to `rough` by ratio, and how many decimals its multiples have."""
    exponent = math.floor(math.log10(rough))
    candidates = [
        (mantissa * 10.0**power, mantissa, power) for power in (exponent, exponent + 1) for mantissa in (1.0, 2.0, 2.5, 5.0)
    ]
    step, mantissa, power = min(candidates, key=lambda one: abs(math.log(one[0] / rough)))
    decimals = max(0, -power + (1 if mantissa == 2.5 else 0))
    return round(step, decimals + 2), decimals


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    mantissas = (1, 2, 5) if math.log10(high / low) < 3.5 else (1,)
    found = tuple(
        value
        for power in powers
        for mantissa in mantissas
        if low <= (value := round(mantissa * 10.0**power, max(0, -power))) <= high
    )
    return found if len(found) > 1 else nice_ticks(low, high)


def _shown(value: float) -> str:
    """As few digits as name the value: 0.25, 1,000, 1e-05."""
    if value and not 1e-4 <= abs(value) < 1e15:
        return f"{value:g}"
    return f"{value:,.10f}".rstrip("0").rstrip(".")
