"""Methods beside each other: what a table of differences holds, cell by cell.

A comparison is a grid of data sets x metrics x methods. Each cell has the values of a method, one a seed; every cell but those
of the reference also has the difference to the reference, paired by seed and by user, and what may be said of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Comparison", "ComparisonCell", "Difference", "Scored", "Verdict"]

Verdict = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One run as a comparison sees it.

    method: the column it belongs to. users: (U,) names of the users; rank: (U,) ranks of their held-out items, 1 is best.
    """

    method: str
    data: str
    seed: int
    users: NDArray[np.str_]
    rank: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A method minus the reference, paired by seed and by user.

    mean: in units of the metric; above 0 the method is better. low, high: the 95 % interval, None where nothing can be said.
    p: two-sided, of this cell alone; adjusted: after Holm's correction over all printed cells; None where there is one seed.
    seeds: those that both have. how: which statistics these are, in words. seeds_needed: how many seeds would tell a difference
    as large as the seen one with the stated power; None where no number of seeds would, or nothing is known.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    verdict: Verdict
    seeds: tuple[int, ...]
    how: str
    seeds_needed: int | None


@dataclass(frozen=True, slots=True)
class ComparisonCell:
    """values: one a seed, in the order of `seeds`. spread: their standard deviation (n - 1), None for one seed."""

    data: str
    metric: str
    method: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    spread: float | None
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole grid.

    cells: by (data, metric, method); a cell whose runs do not exist is missing. level: of the verdicts, over the whole table.
    compared: how many differences Holm's correction covers. notes: what a reader has to know, in sentences (which statistics,
    which runs are missing, what was forced).
    """

    reference: str
    data: tuple[str, ...]
    metrics: tuple[str, ...]
    methods: tuple[str, ...]
    cells: Mapping[tuple[str, str, str], ComparisonCell]
    level: float
    power: float
    compared: int
    notes: tuple[str, ...]
