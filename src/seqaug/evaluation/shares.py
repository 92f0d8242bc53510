"""A small linear programme: are there shares p >= 0 with a sum of at most 1 whose weighted sums lie in given intervals?

The simplex method on a table of at most a few dozen rows, with Bland's rule, so that it ends. "No" is only said with a proof in
hand (Farkas): multipliers under which the rows contradict each other, checked again by plain products.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["extremes", "feasible"]

Vector = NDArray[np.float64]

_TINY = 1e-11
"""Below it a number of the table counts as zero. Weights, shares and bounds are of the order of 1e-3 to 1."""


def feasible(rows: Vector, low: Vector, high: Vector) -> bool:
    """Whether some p (K,), p >= 0, sum <= 1, has low <= rows p <= high. What is within float error of yes is yes.

    rows: (M, K), M may be 0. low, high: (M,).
    """
    return _Simplex(rows, low, high).possible


def extremes(weights: Vector, rows: Vector, low: Vector, high: Vector) -> tuple[float, float] | None:
    """The least and the largest weights · p over those p; None where there is none. weights: (K,)."""
    programme = _Simplex(rows, low, high)
    if not programme.possible:
        return None
    return programme.least(weights), -programme.least(-weights)


class _Simplex:
    """The table after its first phase: a corner of the region where there is one, else the proof that there is none."""

    def __init__(self, rows: Vector, low: Vector, high: Vector) -> None:
        count, self.width = rows.shape
        self.matrix = np.vstack([rows, -rows, np.ones((1, self.width))])
        self.bounds = np.concatenate([high, -low, [1.0]])
        self.height = 2 * count + 1
        # Columns: shares, one slack a row, one artificial variable for each row whose slack would begin below zero.
        signs = np.where(self.bounds < 0, -1.0, 1.0)
        short = np.flatnonzero(signs < 0)
        artificial = np.zeros((self.height, len(short)))
        artificial[short, np.arange(len(short))] = 1.0
        self.table = np.hstack([self.matrix * signs[:, None], np.diag(signs), artificial, (self.bounds * signs)[:, None]])
        self.basis = self.width + np.arange(self.height)
        self.basis[short] = self.width + self.height + np.arange(len(short))
        self.real = self.width + self.height
        costs = np.zeros(self.table.shape[1] - 1)
        costs[self.real :] = 1.0
        reduced = self._descend(costs, self.table.shape[1] - 1)
        self.possible = not self._refuted(np.clip(reduced[self.width : self.real], 0.0, None))
        self._drive_out()

    def least(self, weights: Vector) -> float:
        """The minimum of weights · p, from the corner where the table stands, which moves."""
        costs = np.zeros(self.table.shape[1] - 1)
        costs[: self.width] = weights
        self._descend(costs, self.real)
        return float(costs[self.basis] @ self.table[:, -1])

    def _refuted(self, multipliers: Vector) -> bool:
        """Whether `multipliers` (>= 0, one a row) prove that no p meets all rows: then their sum asks for less than nothing."""
        asked = float(multipliers @ self.bounds)
        smallest = min(0.0, float((multipliers @ self.matrix).min()))
        return asked < smallest - 1e-9 * float(multipliers.sum())

    def _descend(self, costs: Vector, columns: int) -> Vector:
        """Pivot among the first `columns` until nothing gets cheaper; returns the reduced costs."""
        while True:
            reduced = costs - costs[self.basis] @ self.table[:, :-1]
            cheaper = np.flatnonzero(reduced[:columns] < -_TINY)
            if not len(cheaper):
                return np.asarray(reduced)
            enter = int(cheaper[0])
            column = self.table[:, enter]
            candidates = np.flatnonzero(column > _TINY)
            assert len(candidates), "a region inside the simplex is bounded"
            ratios = self.table[candidates, -1] / column[candidates]
            tied = candidates[ratios <= ratios.min() + _TINY * 1e-3]
            self._pivot(int(tied[np.argmin(self.basis[tied])]), enter)

    def _pivot(self, row: int, column: int) -> None:
        self.table[row] /= self.table[row, column]
        others = self.table[:, column].copy()
        others[row] = 0.0
        self.table -= np.outer(others, self.table[row])
        self.basis[row] = column

    def _drive_out(self) -> None:
        """Artificial variables that stayed in the basis, at zero, leave it, so that they stay at zero."""
        for row in np.flatnonzero(self.basis >= self.real):
            column = int(np.argmax(np.abs(self.table[row, : self.real])))
            if abs(self.table[row, column]) > _TINY:
                self._pivot(int(row), column)
