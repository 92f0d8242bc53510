"""The small linear programme, with scipy as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from seqaug.evaluation.shares import extremes, feasible

# Its own is 1e-7, as wide as the intervals below.
EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


@st.composite
def programmes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Intervals around the image of real shares, some of them moved away from it."""
    height, width = draw(st.integers(1, 8)), draw(st.integers(1, 25))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = generator.uniform(0, 1, (height, width)) * (generator.uniform(size=(height, width)) < 0.7)
    shares = generator.dirichlet(np.ones(width)) * generator.uniform(0, 1)
    middle = rows @ shares + generator.normal(size=height) * draw(st.sampled_from([0.0, 1e-3, 0.05]))
    off = draw(st.sampled_from([0.0, 5e-5, 5e-3]))
    return rows, middle - off - 1e-7, middle + off + 1e-7


@settings(max_examples=150, deadline=None)
@given(programmes())
def test_it_agrees_with_scipy(programme: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rows, low, high = programme
    matrix = np.vstack([rows, -rows, np.ones((1, rows.shape[1]))])
    bounds = np.concatenate([high, -low, [1.0]])
    weights = np.linspace(1, 0.1, rows.shape[1])
    solved = linprog(weights, A_ub=matrix, b_ub=bounds, bounds=(0, None), method="highs", options=EXACT)
    assert feasible(rows, low, high) == (solved.status == 0)
    found = extremes(weights, rows, low, high)
    assert (found is None) == (solved.status != 0)
    if found is not None:
        most = -linprog(-weights, A_ub=matrix, b_ub=bounds, bounds=(0, None), method="highs", options=EXACT).fun
        assert found == pytest.approx((solved.fun, most), abs=1e-7)


def test_without_rows_anything_is_possible() -> None:
    nothing = np.zeros((0, 3))
    assert feasible(nothing, np.zeros(0), np.zeros(0))
    assert extremes(np.asarray([0.5, 1.0, 0.2]), nothing, np.zeros(0), np.zeros(0)) == pytest.approx((0.0, 1.0))


def test_shares_are_at_most_one_in_all() -> None:
    rows = np.ones((1, 2))
    assert feasible(rows, np.asarray([1.0]), np.asarray([1.0]))
    assert not feasible(rows, np.asarray([1.00001]), np.asarray([2.0]))


def test_a_bound_that_is_met_exactly_is_met() -> None:
    rows = np.asarray([[1.0, 1.0], [1.0, 1 / 3]])
    assert feasible(rows, np.asarray([0.3, 0.1]), np.asarray([0.3, 0.1]))
    assert not feasible(rows, np.asarray([0.3, 0.0]), np.asarray([0.3, 0.099999]))
