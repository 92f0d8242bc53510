from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from seqaug.evaluation.intervals import means, score_interval


@pytest.mark.parametrize(("hits", "users"), [(0, 50), (1, 50), (8, 100), (50, 100), (100, 100), (1853, 22363)])
def test_the_score_interval_of_a_share_is_that_of_wilson(hits: int, users: int) -> None:
    values = np.zeros(users)
    values[:hits] = 1
    wilson = stats.binomtest(hits, users).proportion_ci(method="wilson")
    assert score_interval(values) == pytest.approx((wilson.low, wilson.high), abs=1e-12)
    wide = stats.binomtest(hits, users).proportion_ci(0.99, method="wilson")
    assert score_interval(values, level=0.01) == pytest.approx((wide.low, wide.high), abs=1e-12)


def test_nobody_hit_still_has_an_upper_end() -> None:
    low, high = score_interval(np.zeros(100))
    assert low == 0 and high == pytest.approx(3.8415 / 103.8415, abs=1e-5)


def test_values_that_vary_less_than_a_share_have_a_narrower_interval() -> None:
    rng = np.random.default_rng(0)
    hit = (rng.random(400) < 0.3).astype(float)
    softer = hit * rng.uniform(0.3, 1.0, size=400)
    low, high = score_interval(softer)
    as_share_of_its_mean = stats.binomtest(round(400 * softer.mean()), 400).proportion_ci(method="wilson")
    assert high - low < as_share_of_its_mean.high - as_share_of_its_mean.low
    normal = 2 * 1.96 * softer.std() / np.sqrt(400)
    assert high - low == pytest.approx(normal, rel=0.03), "the same width as the central limit gives, here"


def test_the_score_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(2000):
        hit = (rng.random(200) < 0.08) * 1 / np.log2(rng.integers(1, 11, size=200) + 1)
        low, high = score_interval(hit)
        held += low <= 0.08 * np.mean(1 / np.log2(np.arange(1, 11) + 1.0)) <= high
    assert 0.93 <= held / 2000 <= 0.975


def test_one_seed_has_a_bootstrap_over_users() -> None:
    values = (np.random.default_rng(2).random((2, 1, 3000)) < [[[0.1]], [[0.5]]]).astype(float)
    rare, often = means(values)
    for one, row in zip((rare, often), values[:, 0], strict=True):
        assert one.value == pytest.approx(row.mean())
        error = row.std() / np.sqrt(3000)
        assert one.low == pytest.approx(row.mean() - 1.96 * error, abs=0.15 * error)
        assert one.high == pytest.approx(row.mean() + 1.96 * error, abs=0.15 * error)
    assert "bootstrap over 3,000 users" in rare.how and "other seeds" in rare.how


def test_two_seeds_have_an_interval_of_student() -> None:
    rng = np.random.default_rng(3)
    values = rng.random((1, 2, 500)) + np.array([0.0, 0.1])[None, :, None]
    (found,) = means(values)
    of_seeds = values[0].mean(axis=1)
    least = stats.t.ppf(0.975, 1) * of_seeds.std(ddof=1) / np.sqrt(2)
    assert found.value == pytest.approx(values.mean()) and "Student" in found.how
    assert found.low is not None and found.value - found.low >= least - 1e-12, "the users add to the error of the seeds"


def test_five_seeds_have_a_bootstrap_over_both() -> None:
    values = np.random.default_rng(4).random((1, 5, 400))
    (found,) = means(values)
    assert "5 seeds and 400 users" in found.how
    assert found.low is not None and found.high is not None and found.low < found.value < found.high


def test_the_same_values_have_the_same_interval() -> None:
    values = np.random.default_rng(5).random((3, 1, 200))
    assert means(values) == means(values)
    assert means(values, seed=1) != means(values)


def test_of_one_user_nothing_can_be_said() -> None:
    (found,) = means(np.ones((1, 3, 1)))
    assert (found.value, found.low, found.high) == (1.0, None, None)
