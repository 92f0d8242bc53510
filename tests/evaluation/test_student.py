"""Student's t and its neighbours against scipy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from seqaug.evaluation.student import critical, power_of_t, t_critical, tails

DEGREES = [1, 1.3, 2, 4, 4.7, 10, 100, 1e4, 1e6]


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("distance", [0, 1e-9, 0.1, 1, 2, 5, 30])
def test_tails_are_those_of_student_s_t(distance: float, degrees: float) -> None:
    expected = 2 * stats.t.sf(distance, degrees)
    assert tails(distance, student=1, normal=0, degrees=degrees) == pytest.approx(expected, rel=1e-8, abs=1e-15)
    assert tails(-3 * distance, student=3, normal=0, degrees=degrees) == pytest.approx(expected, rel=1e-8, abs=1e-15)


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("level", [0.9, 0.5, 0.05, 0.001, 1e-6])
def test_quantiles_are_those_of_student_s_t(level: float, degrees: float) -> None:
    assert t_critical(level, degrees) == pytest.approx(stats.t.isf(level / 2, degrees), rel=1e-10)


def test_numbers_that_can_be_looked_up() -> None:
    assert tails(1, student=1, normal=0, degrees=1) == pytest.approx(0.5)
    assert tails(2, student=0, normal=1, degrees=1) == pytest.approx(0.04550026)
    assert t_critical(0.05, 1) == pytest.approx(12.7062047)
    assert t_critical(0.05, math.inf) == pytest.approx(1.959963985)


@pytest.mark.parametrize("degrees", [1, 2, 4, 9])
@pytest.mark.parametrize("normal", [0.1, 1, 10])
@pytest.mark.parametrize("distance", [1, 3, 12])
def test_tails_of_two_shares_are_the_integral_over_both(distance: float, normal: float, degrees: float) -> None:
    def beyond(t: float) -> float:
        here = stats.t.pdf(t, degrees)
        return float(here * (stats.norm.sf((distance - t) / normal) + stats.norm.cdf((-distance - t) / normal)))

    pieces = pairwise([-np.inf, -distance, 0, distance, np.inf])
    expected = sum(integrate.quad(beyond, low, high, epsabs=1e-13, limit=200)[0] for low, high in pieces)
    assert tails(distance, student=1, normal=normal, degrees=degrees) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("student", "normal"), [(1, 0), (0, 1), (1, 1), (0.1, 2), (3, 0.01)])
@pytest.mark.parametrize("level", [0.5, 0.05, 1e-4])
def test_the_critical_distance_has_the_tails_it_was_asked_for(level: float, student: float, normal: float) -> None:
    distance = critical(level, student=student, normal=normal, degrees=4)
    assert tails(distance, student=student, normal=normal, degrees=4) == pytest.approx(level, rel=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 4.7, 30, 1e4])
@pytest.mark.parametrize("effect", [0, 0.5, 2, 5])
@pytest.mark.parametrize("level", [0.05, 0.001])
def test_power_is_that_of_the_noncentral_t(effect: float, degrees: float, level: float) -> None:
    beyond = stats.t.isf(level / 2, degrees)
    expected = stats.nct.sf(beyond, degrees, effect) + stats.nct.cdf(-beyond, degrees, effect)
    assert power_of_t(effect, degrees=degrees, beyond=beyond) == pytest.approx(expected, abs=1e-8)


def test_power_without_an_effect_is_the_level_and_with_an_infinite_one_certainty() -> None:
    assert power_of_t(0, degrees=4, beyond=t_critical(0.05, 4)) == pytest.approx(0.05)
    assert power_of_t(math.inf, degrees=4, beyond=t_critical(0.05, 4)) == 1
    normal = stats.norm.sf(1.96 - 3) + stats.norm.cdf(-1.96 - 3)
    assert power_of_t(3, degrees=math.inf, beyond=1.96) == pytest.approx(normal, abs=1e-6)
