from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.report.axes import axis, nice_ticks, tick_labels


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 100, (0, 25, 50, 75, 100)),
        (0, 10, (0, 2.5, 5, 7.5, 10)),
        (1, 68, (20, 40, 60)),
        (0, 0.0828, (0, 0.02, 0.04, 0.06, 0.08)),
        (-0.004, 0.006, (-0.0025, 0, 0.0025, 0.005)),
        (0, 1, (0, 0.25, 0.5, 0.75, 1)),
    ],
)
def test_ticks_are_round_numbers_within_the_range(low: float, high: float, ticks: tuple[float, ...]) -> None:
    assert nice_ticks(low, high) == ticks


def test_outer_ticks_hold_the_range() -> None:
    assert nice_ticks(0.003, 0.0828, outer=True) == (0, 0.02, 0.04, 0.06, 0.08, 0.1)
    assert nice_ticks(7.3, 9.1, outer=True) == (7, 7.5, 8, 8.5, 9, 9.5)


@given(st.floats(-1e6, 1e6, allow_nan=False), st.floats(1e-6, 1e6, allow_nan=False), st.integers(3, 8), st.booleans())
def test_ticks_rise_evenly_and_are_few(low: float, span: float, count: int, outer: bool) -> None:
    high = low + span
    if high - low < 1e-9 * max(1.0, abs(low)):
        return
    ticks = nice_ticks(low, high, count, outer=outer)
    steps = [after - before for before, after in pairwise(ticks)]
    assert all(step > 0 for step in steps)
    assert max(steps, default=1) - min(steps, default=1) <= 1e-6 * max(1.0, abs(low), span)
    assert len(ticks) <= 2 * count + 2
    if outer:
        slack = 1e-6 * max(steps)
        assert ticks[0] <= low + slack and ticks[-1] >= high - slack


def test_labels_have_the_decimals_that_the_finest_needs() -> None:
    assert tick_labels((0, 0.02, 0.04)) == ("0.00", "0.02", "0.04")
    assert tick_labels((0, 2.5, 5)) == ("0.0", "2.5", "5.0")
    assert tick_labels((0, 1000, 20000)) == ("0", "1,000", "20,000")
    assert tick_labels((0, 2e-6)) == ("0", "2e-06")


def test_an_axis_places_its_ends_and_its_middle() -> None:
    straight = axis([0, 10], loose=True)
    assert (straight.low, straight.high) == (0, 10)
    assert (straight.at(0), straight.at(5), straight.at(10)) == (0, 0.5, 1)
    curved = axis([1, 100], log=True)
    assert curved.at(10) == pytest.approx(0.5)
    assert curved.ticks == (1, 2, 5, 10, 20, 50, 100)


def test_known_places_are_the_ticks() -> None:
    found = axis([1, 100], log=True, ticks=[1, 2, 5, 10, 25, 50, 100])
    assert found.ticks == (1, 2, 5, 10, 25, 50, 100)
    assert found.labels == ("1", "2", "5", "10", "25", "50", "100")


def test_what_is_counted_has_whole_ticks() -> None:
    assert axis([1, 3], whole=True).ticks == (1, 2, 3)
    assert axis([1, 2], whole=True).ticks == (1, 2)
    assert axis([4], whole=True).ticks == (4,)


def test_one_value_has_an_axis_around_it() -> None:
    found = axis([0.5])
    assert found.low < 0.5 < found.high
    zero = axis([0.0])
    assert (zero.low, zero.high) == (-1, 1)


def test_what_is_not_finite_is_left_out_and_nothing_left_is_refused() -> None:
    assert axis([1.0, math.nan, 2.0, math.inf], loose=True).high == 2
    with pytest.raises(ValueError, match="finite"):
        axis([math.nan])
    with pytest.raises(ValueError, match="above 0"):
        axis([0.0, 1.0], log=True)
