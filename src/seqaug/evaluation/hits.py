"""Who is hit: users in bins of a count, such as the length of their history or the popularity of what they took next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .intervals import Estimate, score_interval
from .metrics import per_user

__all__ = ["FEWEST", "Bin", "bins", "by_bin"]

FEWEST = 30
"""A bin of fewer users is joined to its neighbour: an interval over so few says nothing."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The users whose count lies in first..last, both included; `last` None is open."""

    first: int
    last: int | None
    users: int

    @property
    def label(self) -> str:
        """ "0", "3-4", "33 or more"."""
        if self.last is None:
            return f"{self.first:,} or more"
        return f"{self.first:,}" if self.first == self.last else f"{self.first:,}-{self.last:,}"

    def holds(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(U,) counts -> (U,) whether each lies in it."""
        return (counts >= self.first) & (counts <= self.last if self.last is not None else True)


def bins(counts: NDArray[np.int64], *, fewest: int = FEWEST) -> list[Bin]:
    """(U,) counts, 0 and more -> bins that hold every user once: 0, 1, 2, 3-4, 5-8, 9-16, ...

    A bin of fewer than `fewest` users is joined to the next, the last ones to the one before; 0 always stands alone, because it
    means something else (a target that nobody was trained on). Empty ones at either end are left out; the last is open.
    """
    if not len(counts):
        return []
    assert counts.min() >= 0, "a count is not negative"
    found = [Bin(0, 0, int((counts == 0).sum()))] if (counts == 0).any() else []
    first, last, waiting = 1, 1, 0
    joined: list[Bin] = []
    largest = int(counts.max())
    while last < 2 * largest:
        low = last // 2 + 1 if last > 1 else 1
        waiting += int(((counts >= low) & (counts <= last)).sum())
        if waiting >= fewest:
            joined.append(Bin(first, last, waiting))
            first, waiting = last + 1, 0
        elif not waiting:
            first = last + 1
        last *= 2
    if waiting and joined:
        before = joined.pop()
        joined.append(Bin(before.first, None, before.users + waiting))
    elif waiting:
        joined.append(Bin(first, None, waiting))
    elif joined:
        tail = joined.pop()
        joined.append(Bin(tail.first, None, tail.users))
    return found + joined


def by_bin(
    counts: NDArray[np.int64], ranks: Sequence[NDArray[np.int64]], metric: str, into: Sequence[Bin], *, level: float = 0.05
) -> list[Estimate]:
    """The mean of a metric in each bin. ranks: (U,) of each seed; their mean is taken user by user, so the interval is over
    users.

    Every bin holds a user.
    """
    values = np.mean([per_user(rank, metric) for rank in ranks], axis=0)
    found = []
    for one in into:
        inside = values[one.holds(counts)]
        low, high = score_interval(inside, level=level)
        found.append(Estimate(float(inside.mean()), low, high, f"Wilson's score over {len(inside):,} users"))
    return found
