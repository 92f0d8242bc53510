"""The distribution of an error of two shares: one whose size is itself estimated from few draws, and one whose size is known.

    error = student * T + normal * Z      T: Student's t with `degrees` of freedom, Z: the standard normal, independent

With `normal` = 0 that is Student's t, with `student` = 0 the normal distribution; between the two it is the distribution of
Behrens and Fisher with one variance known (Fisher 1935). Both are standard errors, at least 0 and not both 0.

All of it is one sum. T is Z over s, where s^2 is chi-squared over its degrees of freedom; given s the error is normal; and over
log s everything is smooth and falls off exponentially at both ends, where a sum over equal steps is as good as exact.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["critical", "power_of_t", "t_critical", "tails"]

_NORMAL = NormalDist()
_POINTS = 300
_MOST_DEGREES = 1e12
"""From here on nothing in double precision tells Student's t from the normal distribution."""


def tails(distance: float, *, student: float, normal: float, degrees: float) -> float:
    """How likely the error is at least as far from 0 as `distance`, on either side.

    1 at distance 0; 0.5 at distance 1 for student = 1, normal = 0 and one degree of freedom; 0.0455 at 2 for the normal alone.
    """
    if not student:
        return math.erfc(abs(distance) / normal / math.sqrt(2))
    scales, weights = _scales(degrees)
    spread = np.hypot(student / scales, normal) * math.sqrt(2)
    return math.fsum(w * math.erfc(z) for w, z in zip(weights.tolist(), (abs(distance) / spread).tolist(), strict=True))


def critical(level: float, *, student: float, normal: float, degrees: float) -> float:
    """The distance whose `tails` are `level`, in (0, 1): 12.7062 for 0.05, student = 1, normal = 0, one degree of freedom."""
    z = -_NORMAL.inv_cdf(level / 2)
    if not student:
        return z * normal
    scales, weights = _scales(degrees)
    spread = np.hypot(student / scales, normal)
    distance = z * math.hypot(student, normal)
    # Newton's steps on log tails over log distance, which bends downwards: the first one may overstep, the others come back.
    for _ in range(100):
        z_at = distance / spread
        both = float(np.dot(weights, [math.erfc(value / math.sqrt(2)) for value in z_at.tolist()]))
        slope = float(np.dot(weights, z_at * np.exp(-(z_at**2) / 2))) * math.sqrt(2 / math.pi)
        step = math.log(both / level) * both / slope
        distance *= math.exp(step)
        if abs(step) < 1e-12:
            break
    return distance


def t_critical(level: float, degrees: float) -> float:
    """The same for Student's t alone; for the normal distribution where `degrees` is infinite: 1.9600 for 0.05."""
    alone = math.isinf(degrees)
    return critical(level, student=float(not alone), normal=float(alone), degrees=degrees)


def power_of_t(effect: float, *, degrees: float, beyond: float) -> float:
    """How likely |t| is above `beyond`, where the true mean is `effect` standard errors from 0: the noncentral t's two tails.

    degrees: of the standard error that t divides by. effect: may be infinite.
    """
    if math.isinf(effect):
        return 1.0
    scales, weights = (array.tolist() for array in _scales(degrees))
    both = (w * (_upper(beyond * s - effect) + _upper(beyond * s + effect)) for s, w in zip(scales, weights, strict=True))
    return min(1.0, math.fsum(both))


def _upper(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2


def _scales(degrees: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) values of s, and how much each weighs; the weights add up to 1."""
    degrees = min(degrees, _MOST_DEGREES)
    width = 1 / math.sqrt(2 * degrees)
    log = np.linspace(-37 / degrees - 9 * width, math.log1p(12 * width), _POINTS)
    density = np.exp(degrees * (log - np.expm1(2 * log) / 2))
    return np.exp(log), density / density.sum()
