"""How far our mean is from a printed number, in standard errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Deviation", "deviation"]


@dataclass(frozen=True, slots=True)
class Deviation:
    """Our mean minus the printed number.

    ours: the standard error of our mean. theirs: that of the printed number. errors: difference over both together, None where
    neither has any.
    """

    difference: float
    ours: float
    theirs: float

    @property
    def errors(self) -> float | None:
        both = math.hypot(self.ours, self.theirs)
        return self.difference / both if both else None


def deviation(values: NDArray[np.float64], theirs: float) -> Deviation:
    """values: (S, U), a metric of each user under each seed. theirs: the printed mean over the same users.

    Ours: from two seeds on the standard deviation of the seeds' means (S - 1) over the root of S; with one seed that of the
    users' values over the root of U, which for HR is the binomial error.
    Theirs: nobody printed it, so it is taken as that of one run whose users are independent: for HR the binomial error, the
    root of P (1 - P) / U; for a metric with values between 0 and 1, whose mean of squares is taken to be in the same relation r
    to its mean as ours, the root of P (r - P) / U. It is an upper bound of how a run varies on given users, so the deviation is
    rather too small than too large.
    """
    seeds, users = values.shape
    assert users > 1, "an error needs two users"
    means = values.mean(axis=1)
    own = float(means.std(ddof=1)) / math.sqrt(seeds) if seeds > 1 else float(values[0].std(ddof=1)) / math.sqrt(users)
    total = float(values.sum())
    ratio = float((values**2).sum()) / total if total else 1.0
    return Deviation(float(means.mean()) - theirs, own, math.sqrt(max(0.0, theirs * (ratio - theirs)) / users))
