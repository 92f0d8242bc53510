"""How far a mean over users, or over seeds and users, could be off: intervals of single values, not of differences."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .statistics import FEW_SEEDS, Numbers, bootstrap_means, components, interval_from
from .student import t_critical

__all__ = ["Estimate", "means", "score_interval"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval, None where nothing can be said. how: which statistics the interval is, in words."""

    value: float
    low: float | None
    high: float | None
    how: str


def means(tables: Numbers, *, level: float = 0.05, resamples: int = 2000, seed: int = 0) -> list[Estimate]:
    """(C, S, U) values of one metric each, by seed and user -> C means with intervals at 1 - level.

    The same statistics as those of the differences of `comparison.compared`: one seed, a bootstrap over the users alone; 2 to
    4, Student's t over the seeds; 5 and more, a bootstrap over both. seed: of the bootstrap, whose draws all cells share.
    """
    cells, seeds, users = tables.shape
    found = [float(value) for value in tables.mean(axis=(1, 2))]
    if users < 2:
        return [Estimate(value, None, None, "one user: nothing can be said") for value in found]
    if seeds == 1:
        drawn = bootstrap_means(tables, resamples=resamples, rng=np.random.default_rng(seed))
        edges = np.quantile(drawn, [level / 2, 1 - level / 2], axis=0)
        how = f"bootstrap over {users:,} users; one seed says nothing about other seeds"
        return [Estimate(found[cell], float(edges[0, cell]), float(edges[1, cell]), how) for cell in range(cells)]
    known = components(tables)
    if seeds < FEW_SEEDS:
        how = f"Student's t over {seeds} seeds, with the users' share"
        halves = [one.half_width(level) for one in known]
        return [Estimate(value, value - half, value + half, how) for value, half in zip(found, halves, strict=True)]
    drawn = bootstrap_means(tables, resamples=resamples, rng=np.random.default_rng(seed))
    how = f"bootstrap over {seeds} seeds and {users:,} users"
    return [Estimate(found[cell], *interval_from(drawn[:, cell], known[cell], level=level), how) for cell in range(cells)]


def score_interval(values: Numbers, *, level: float = 0.05) -> tuple[float, float]:
    """(U,) values in [0, 1], one a user -> the interval of their mean by Wilson's score.

    Unlike a bootstrap it says something where nobody was hit: 0 of n has the upper end z^2 / (n + z^2), about 3.84 / n at 95 %.
    For values that are not 0 or 1 the number of users is replaced by the one that a share of this mean would need for the seen
    variance (the effective sample size of surveys: Franco et al. 2019).
    """
    users = len(values)
    assert users, "there is no user to average over"
    mean, spread = float(values.mean()), float(values.var())
    effective = users * mean * (1 - mean) / spread if spread > 0 and 0 < mean < 1 else float(users)
    z = t_critical(level, math.inf)
    shrink = 1 + z**2 / effective
    middle = (mean + z**2 / (2 * effective)) / shrink
    half = z / shrink * math.sqrt(mean * (1 - mean) / effective + z**2 / (4 * effective**2))
    return max(0.0, middle - half), min(1.0, middle + half)
