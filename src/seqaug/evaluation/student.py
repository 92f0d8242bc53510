"""Student's t in a few lines: its tails, its quantiles, the power of a test with it. Degrees of freedom need not be whole."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

__all__ = ["power_of_t", "t_critical", "t_tails"]

_NORMAL = NormalDist()
_AS_NORMAL = 1e7
"""Degrees of freedom from which on Student's t is the normal distribution to eight digits."""


def t_tails(t: float, degrees: float) -> float:
    """Both tails of Student's t: the probability of at least |t|. t may be infinite; degrees > 0 may be too.

    1 at t = 0; 0.5 at t = 1 with one degree of freedom.
    """
    t = abs(t)
    if math.isinf(t):
        return 0.0
    if degrees >= _AS_NORMAL:
        return math.erfc(t / math.sqrt(2))
    # 1 - x is computed by itself: near t = 0 it is lost in x.
    return _incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t), t * t / (degrees + t * t))


def t_critical(level: float, degrees: float) -> float:
    """The t whose two tails hold `level`, in (0, 1): 12.7062 for 0.05 and one degree of freedom, 1.9600 for infinitely many."""
    assert 0 < level < 1 and degrees > 0
    t = -_NORMAL.inv_cdf(level / 2)
    if degrees >= _AS_NORMAL:
        return t
    # Newton's steps on log tails over log t, which bends downwards: from below the first one oversteps, the others come back.
    for _ in range(100):
        tails = t_tails(t, degrees)
        step = (math.log(tails) - math.log(level)) * tails / (2 * t * _density(t, degrees))
        t *= math.exp(step)
        if abs(step) < 1e-13:
            break
    return t


def power_of_t(effect: float, degrees: float, level: float) -> float:
    """How likely a two-sided t-test at `level` rejects where the true mean is `effect` standard errors away from 0.

    The two tails of the noncentral t beyond the critical values; `level` itself at effect 0. effect: may be infinite.
    """
    if math.isinf(effect):
        return 1.0
    critical = t_critical(level, degrees)
    if degrees >= _AS_NORMAL:
        return _NORMAL.cdf(effect - critical) + _NORMAL.cdf(-effect - critical)
    # T = (Z + effect) / s with s^2 = chi^2 / degrees. Over x = log s all is smooth and both ends fall off exponentially, so the
    # plain sum over equal steps is as good as exact.
    width = 1 / math.sqrt(2 * degrees)
    low, high = -37 / degrees - 9 * width, math.log1p(12 * width)
    x = np.linspace(low, high, 801)
    log_density = degrees * (x - np.expm1(2 * x) / 2)
    weight = np.exp(log_density - log_density.max())
    beyond = [_upper(critical * s - effect) + _upper(critical * s + effect) for s in np.exp(x).tolist()]
    return min(1.0, float(np.dot(weight, beyond) / weight.sum()))


def _upper(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


def _density(t: float, degrees: float) -> float:
    log = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2
    return math.exp(log - (degrees + 1) / 2 * math.log1p(t * t / degrees))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularised incomplete beta function I_x(a, b), where rest is 1 - x: the continued fraction DLMF 8.17.22."""
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, rest, x)  # the fraction converges fast on this side only
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest)) / a
    # Lentz's method, term by term from the front: value is the fraction so far, above and below the ratios of its convergents.
    value, above, below = 1.0, 1.0, 0.0
    for term in range(1, 100_000):
        m, odd = divmod(term - 1, 2)
        if odd:
            m += 1
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        below = 1 / (1 + numerator * below)
        above = 1 + numerator / above
        value *= above * below
        if abs(above * below - 1) < 1e-15:
            break
    return front / value
