"""What a table of differences, seeds by users, says about the method behind it.

The difference of seed s and user u is taken apart as D_su = mu + a_s + b_u + e_su: what is common to all, what this training
run has, what this user has, and the rest. mu is what we ask for; the seeds and the users both are a sample. docs/comparing.md
says the same in words, with its sources and with what it was checked by.

C  cells (metric x method) that share their seeds and users    S  seeds    U  users    R  resamples
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .student import critical, power_of_t, t_critical, tails

__all__ = [
    "FEW_SEEDS",
    "Components",
    "bootstrap_means",
    "components",
    "holm",
    "interval_from",
    "seeds_needed",
    "swap_test",
]

Numbers = NDArray[np.float64]

FEW_SEEDS = 5
"""Below this many seeds nothing is resampled: so few say too little of how seeds are distributed."""

MOST_SEEDS = 10_000
"""Where the search for the number of seeds ends."""

_AT_ONCE = 4_000_000
"""Weights held at a time while resampling: 32 MB."""


@dataclass(frozen=True, slots=True)
class Components:
    """The mean of one table of differences, and where its uncertainty comes from.

    seeds: the variance of the means of the seeds, that of a_s + (the mean of e_su over the users). Where all seeds have the
    same mean although they have not the same users, as two that count 23 hits instead of 24 may by chance, it is what the mean
    of e_su alone has: a variance of 0 would make certain what nobody knows. users: the variance of b_u, 0 where the estimate is
    negative. error: that of e_su. All are unbiased but for that and the cut at 0: the mean squares of a crossed design without
    replication (Searle, Casella and McCulloch 1992, chapter 4).
    """

    mean: float
    num_seeds: int
    num_users: int
    seeds: float
    users: float
    error: float

    @property
    def p(self) -> float:
        """Two-sided, of the mean being 0, with seeds and users both a sample.

        The share of the seeds is as uncertain as its few degrees of freedom say (Student), that of the users is taken as known.
        Without a share of the users it is Student's paired t-test of the seeds' means.
        """
        student, normal, degrees = self._shares(self.num_seeds)
        return tails(self.mean, student=student, normal=normal, degrees=degrees) if student or normal else float(not self.mean)

    def half_width(self, level: float) -> float:
        """Of the interval around the mean that leaves out `level`: 0 is outside of it where `p` is below `level`."""
        student, normal, degrees = self._shares(self.num_seeds)
        return critical(level, student=student, normal=normal, degrees=degrees) if student or normal else 0.0

    def power(self, num_seeds: int, *, level: float) -> float:
        """How likely another experiment with `num_seeds` and the same users has a `p` of at most `level`.

        The true mean and variances taken to be those seen. The standard error then varies as Satterthwaite (1946) has it.
        """
        student, normal, degrees = self._shares(num_seeds)
        error = math.hypot(student, normal)
        if not error:
            return float(bool(self.mean))
        satterthwaite = degrees * (error / student) ** 4 if student else math.inf
        beyond = critical(level, student=student, normal=normal, degrees=degrees) / error
        return power_of_t(abs(self.mean) / error, degrees=satterthwaite, beyond=beyond)

    def _shares(self, num_seeds: int) -> tuple[float, float, float]:
        """What the seeds and the users add to the standard error of the mean, and the degrees of freedom of the first.

        Where no seed changes anything, as for methods that draw nothing, the users' share is the one that was estimated.
        """
        of_users = math.sqrt(self.users / self.num_users)
        if not self.seeds:
            return of_users, 0.0, self.num_users - 1
        return math.sqrt(self.seeds / num_seeds), of_users, num_seeds - 1


def components(differences: Numbers) -> list[Components]:
    """(C, S, U) differences, S >= 2 and U >= 2 -> what each cell is made of."""
    cells, seeds, users = differences.shape
    assert seeds > 1 and users > 1, "variances need two seeds and two users"
    of_seeds, of_users = differences.mean(axis=2), differences.mean(axis=1)
    mean = of_seeds.mean(axis=1)
    between_seeds, between_users = of_seeds.var(axis=1, ddof=1), of_users.var(axis=1, ddof=1)
    between_seeds = np.where(np.ptp(of_seeds, axis=1) > 0, between_seeds, 0.0)  # equal seeds vary by nothing, rounding or not
    # Sums of squares add up; the rest of the rest is rounding.
    squares = np.einsum("csu,csu->c", differences, differences) - seeds * users * mean**2
    rest = squares - (seeds - 1) * users * between_seeds - (users - 1) * seeds * between_users
    rest = np.where(rest > 1e-12 * squares, rest, 0.0)
    error = rest / ((seeds - 1) * (users - 1))
    return [
        Components(
            mean=float(mean[cell]),
            num_seeds=seeds,
            num_users=users,
            seeds=float(between_seeds[cell] or error[cell] / users),
            users=max(0.0, float(between_users[cell] - error[cell] / seeds)),
            error=float(error[cell]),
        )
        for cell in range(cells)
    ]


def bootstrap_means(differences: Numbers, *, resamples: int, rng: np.random.Generator) -> Numbers:
    """(C, S, U) -> (R, C): the means of tables whose seeds and whose users are both drawn anew, with replacement.

    All cells share the draws. One seed is left as it is, so that the users alone vary.
    """
    cells, seeds, users = differences.shape
    moved = _moved(differences)
    by_user = moved.reshape(cells * seeds, moved.shape[-1]).T
    drawn_seeds = _counted(rng.integers(seeds, size=resamples * seeds), np.full(resamples, seeds), seeds) / seeds
    found = [weights @ by_user for weights in _drawn_users(len(by_user), users, resamples, rng)]
    by_cell: Numbers = np.einsum("rcs,rs->rc", np.concatenate(found).reshape(resamples, cells, seeds), drawn_seeds)
    return by_cell


def _moved(differences: Numbers) -> Numbers:
    """(..., U) -> (..., M): the users with any difference at all. The others add nothing to any sum."""
    return differences[..., differences.any(axis=tuple(range(differences.ndim - 1)))]


def _drawn_users(moved: int, users: int, resamples: int, rng: np.random.Generator) -> Iterator[Numbers]:
    """(r, M) at a time: how often each of the first M users is drawn in U draws among all U, over U."""
    at_once = max(1, _AT_ONCE // max(1, moved))
    for begin in range(0, resamples, at_once):
        among = rng.binomial(users, moved / users, size=min(at_once, resamples - begin))
        yield _counted(rng.integers(max(1, moved), size=among.sum()), among, moved) / users


def _counted(drawn: NDArray[np.int64], lengths: NDArray[np.int64], among: int) -> NDArray[np.int64]:
    """Draws of several rows, one row after the other -> (rows, among): how often each number was drawn in each row."""
    row = np.repeat(np.arange(len(lengths)), lengths)
    return np.bincount(drawn + among * row, minlength=len(lengths) * among).reshape(len(lengths), among)


def interval_from(means: Numbers, known: Components, *, level: float) -> tuple[float, float]:
    """(R,) resampled means -> the interval that leaves out `level`.

    The quantiles of the bootstrap give the shape. Their width would be wrong in both directions: resampled tables count e_su
    up to three times (Owen 2007), and few seeds vary too little and do not know by how much. So they are stretched to the
    half-width that `known` has, as Hesterberg (2015) expands them for small samples.
    """
    spread = float(means.std(ddof=1))
    if not spread:
        return known.mean, known.mean
    low, high = (float(edge) for edge in np.quantile(means, [level / 2, 1 - level / 2]) - means.mean())
    stretch = known.half_width(level) / (t_critical(level, math.inf) * spread)
    return known.mean + stretch * low, known.mean + stretch * high


def swap_test(of_users: Numbers, *, swaps: int, rng: np.random.Generator) -> Numbers:
    """(C, U) differences of each user, meaned over seeds -> (C,) p of a randomisation test, at least 1 / (swaps + 1).

    If a method were as good as the reference for these users, exchanging the two for any of them would change nothing but the
    sign of that user's difference. p: the share of such exchanges, the seen table among them, whose mean is as far from 0 as
    the seen one. All cells share the exchanges.
    """
    moved = _moved(of_users)
    seen = np.abs(moved.sum(axis=1))
    # Sums that are equal on paper differ in the last digits.
    seen = seen - 1e-12 * np.abs(moved).sum(axis=1)
    as_far = np.ones(len(moved))
    at_once = max(1, _AT_ONCE // max(1, moved.shape[1]))
    for begin in range(0, swaps, at_once):
        rows = min(at_once, swaps - begin)
        signs = rng.integers(2, size=(rows, moved.shape[1]), dtype=np.int8) * 2.0 - 1.0
        as_far += (np.abs(signs @ moved.T) >= seen).sum(axis=0)
    return as_far / (swaps + 1)


def holm(p: Sequence[float]) -> list[float]:
    """The p of m cells, corrected for there being m of them (Holm 1979): the smallest times m, the next times m - 1, ...

    Never smaller than that of a cell with a smaller p, never above 1.
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for step, cell in enumerate(sorted(range(len(p)), key=lambda cell: p[cell])):
        largest = max(largest, (len(p) - step) * p[cell])
        adjusted[cell] = min(1.0, largest)
    return adjusted


def seeds_needed(known: Components, *, level: float, power: float) -> int | None:
    """The fewest seeds with which `Components.p` tells a difference as large as the seen one at `level`, with `power`.

    The same users, and variances as estimated. None where the difference is 0, where the users alone are too few for any number
    of seeds, or where more than 10,000 would be needed.
    """
    if not known.mean or known.power(MOST_SEEDS, level=level) < power:
        return None
    low, high = 1, 2  # too few; enough
    while known.power(high, level=level) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if known.power(middle, level=level) >= power else (middle, high)
    return high
