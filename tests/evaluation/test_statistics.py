"""The statistics of differences, against naive loops, scipy and simulated experiments whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from seqaug.evaluation import statistics
from seqaug.evaluation.statistics import (
    Components,
    bootstrap_means,
    components,
    holm,
    interval_from,
    seeds_needed,
    swap_test,
)

Numbers = NDArray[np.float64]


def drawn(cells: int, seeds: int, users: int, *, of_seeds: float, of_users: float, mean: float = 0.0, seed: int = 0) -> Numbers:
    """(cells, seeds, users) tables of mean + a_s + b_u + e_su with e_su of variance 1.

    of_seeds, of_users: how many times more a_s and b_u add to the variance of a table's mean than e_su does. mean: in standard
    errors of a table's mean.
    """
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(cells, seeds, 1)) * math.sqrt(of_seeds / users)
    b = rng.normal(size=(cells, 1, users)) * math.sqrt(of_users / seeds)
    error = math.sqrt((of_seeds + of_users + 1) / (seeds * users))
    return mean * error + a + b + rng.normal(size=(cells, seeds, users))


EFFECTS = {"neither": (0, 0), "seeds": (10, 0), "users": (0, 10), "both": (3, 3), "mostly seeds": (10, 1)}


def p_values(tables: Numbers) -> Numbers:
    """As `compared` has them: below five seeds the t-test's alone."""
    p = np.array([one.p for one in components(tables)])
    if tables.shape[1] >= statistics.FEW_SEEDS:
        p = np.maximum(p, swap_test(tables.mean(axis=1), swaps=999, rng=np.random.default_rng(1)))
    return p


# ---- the parts ----


def test_components_are_those_of_the_textbook_s_loops() -> None:
    tables = drawn(3, 4, 7, of_seeds=2, of_users=5, mean=1)
    for table, found in zip(tables, components(tables), strict=True):
        seeds, users = table.shape
        mean = sum(table[s][u] for s in range(seeds) for u in range(users)) / (seeds * users)
        row = [sum(table[s][u] for u in range(users)) / users for s in range(seeds)]
        column = [sum(table[s][u] for s in range(seeds)) / seeds for u in range(users)]
        square_seeds = users * sum((row[s] - mean) ** 2 for s in range(seeds)) / (seeds - 1)
        square_users = seeds * sum((column[u] - mean) ** 2 for u in range(users)) / (users - 1)
        rest = sum((table[s][u] - row[s] - column[u] + mean) ** 2 for s in range(seeds) for u in range(users))
        square_error = rest / ((seeds - 1) * (users - 1))
        assert found.mean == pytest.approx(mean)
        assert found.seeds == pytest.approx(square_seeds / users)
        assert found.users == pytest.approx(max(0, (square_users - square_error) / seeds))
        assert found.error == pytest.approx(square_error)


def test_components_are_unbiased() -> None:
    found = components(drawn(4000, 5, 40, of_seeds=4, of_users=6))
    for seen, true in (
        (np.mean([one.seeds for one in found]), (4 + 1) / 40),
        (np.mean([one.users for one in found]), 6 / 5),
        (np.mean([one.error for one in found]), 1),
    ):
        assert seen == pytest.approx(true, rel=0.03)


@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 10])
def test_without_a_share_of_the_users_p_is_that_of_the_paired_t_test_over_seeds(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    one, other = rng.normal(size=(2, seeds, 12))
    other[:, ::2] -= 0.3
    difference = one - other
    # Without an effect of the user: every user's mean over the seeds is the same.
    difference += difference.mean() - difference.mean(axis=0)
    (found,) = components(difference[None])
    assert found.users == 0
    expected = stats.ttest_rel(difference.mean(axis=1), np.zeros(seeds))
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)
    interval = expected.confidence_interval(0.95)
    assert found.mean + found.half_width(0.05) == pytest.approx(interval.high, rel=1e-8)


def test_a_share_of_the_users_makes_p_larger_and_the_interval_wider() -> None:
    without = Components(mean=0.1, num_seeds=4, num_users=50, seeds=0.01, users=0.0, error=1.0)
    with_it = Components(mean=0.1, num_seeds=4, num_users=50, seeds=0.01, users=1.0, error=1.0)
    assert with_it.p > without.p and with_it.half_width(0.05) > without.half_width(0.05)


@pytest.mark.parametrize("level", [0.5, 0.05, 0.001])
def test_the_interval_ends_at_0_where_p_is_the_level(level: float) -> None:
    known = Components(mean=0.0, num_seeds=4, num_users=50, seeds=0.02, users=1.0, error=2.0)
    edge = known.half_width(level)
    assert Components(edge, 4, 50, 0.02, 1.0, 2.0).p == pytest.approx(level, rel=1e-8)


def test_methods_that_draw_nothing_are_judged_over_users_alone() -> None:
    once = np.random.default_rng(0).normal(0.5, size=30)
    (found,) = components(np.tile(once, (3, 1))[None])
    assert found.seeds == 0 and found.error == 0
    assert found.p == pytest.approx(stats.ttest_1samp(once, 0).pvalue, rel=1e-8)


def test_no_difference_at_all_is_p_1_and_an_interval_of_nothing() -> None:
    nothing = np.zeros((1, 5, 20))
    (found,) = components(nothing)
    assert found.p == 1 and found.half_width(0.05) == 0
    means = bootstrap_means(nothing, resamples=50, rng=np.random.default_rng(0))
    assert interval_from(means[:, 0], found, level=0.05) == (0, 0)
    assert swap_test(nothing.mean(axis=1), swaps=99, rng=np.random.default_rng(0)).tolist() == [1]
    assert seeds_needed(found, level=0.05, power=0.8) is None


# ---- the bootstrap ----


def test_the_bootstrap_is_the_naive_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = drawn(2, 5, 30, of_seeds=3, of_users=3)
    tables[:, :, ::3] = 0  # users without any difference are drawn too
    monkeypatch.setattr(statistics, "_AT_ONCE", 1000)  # several chunks
    found = bootstrap_means(tables, resamples=4000, rng=np.random.default_rng(0))
    rng = np.random.default_rng(1)
    naive = np.empty((4000, 2))
    for resample in range(4000):
        seeds, users = rng.integers(5, size=5), rng.integers(30, size=30)
        naive[resample] = [table[np.ix_(seeds, users)].mean() for table in tables]
    assert found.mean(axis=0) == pytest.approx(naive.mean(axis=0), abs=0.01)
    assert found.std(axis=0) == pytest.approx(naive.std(axis=0), rel=0.05)
    levels = [0.025, 0.25, 0.75, 0.975]
    assert np.quantile(found, levels, axis=0) == pytest.approx(np.quantile(naive, levels, axis=0), abs=0.02)
    # Cells share their draws, so their means go together as the tables do.
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(np.corrcoef(naive.T)[0, 1], abs=0.06)


def test_one_seed_leaves_the_users_to_vary() -> None:
    table = drawn(1, 1, 400, of_seeds=0, of_users=0)
    means = bootstrap_means(table, resamples=4000, rng=np.random.default_rng(0))
    assert means.std() == pytest.approx(table.std() / math.sqrt(400), rel=0.05)


def test_the_bootstrap_does_not_depend_on_how_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = drawn(1, 3, 11, of_seeds=1, of_users=1)
    whole = bootstrap_means(tables, resamples=200, rng=np.random.default_rng(7)).std()
    monkeypatch.setattr(statistics, "_AT_ONCE", 1)
    assert bootstrap_means(tables, resamples=200, rng=np.random.default_rng(7)).std() == pytest.approx(whole, rel=0.2)


def test_the_interval_of_a_symmetric_bootstrap_has_the_half_width_of_the_components() -> None:
    known = Components(mean=0.3, num_seeds=5, num_users=50, seeds=0.02, users=1.0, error=2.0)
    means = 0.3 + stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000) * 123
    low, high = interval_from(means, known, level=0.05)
    assert (low + high) / 2 == pytest.approx(0.3, abs=1e-6)
    assert (high - low) / 2 == pytest.approx(known.half_width(0.05), rel=1e-3)


# ---- the randomisation test ----


def test_the_randomisation_test_is_the_naive_loop_over_all_exchanges() -> None:
    users = np.random.default_rng(3).normal(0.4, size=(1, 9))
    means = [np.mean([sign if bits >> place & 1 else -sign for place, sign in enumerate(users[0])]) for bits in range(2**9)]
    exact = np.mean([abs(mean) >= abs(users.mean()) - 1e-12 for mean in means])
    found = swap_test(users, swaps=20_000, rng=np.random.default_rng(0))
    assert found[0] == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


def test_the_randomisation_test_counts_the_seen_table_and_ties() -> None:
    one_sided = np.ones((1, 40))
    assert swap_test(one_sided, swaps=99, rng=np.random.default_rng(0))[0] == 1 / 100
    one_user = np.array([[0.1, 0.0, 0.0]])
    assert swap_test(one_user, swaps=99, rng=np.random.default_rng(0))[0] == 1


# ---- Holm ----


@given(st.lists(st.floats(0, 1), min_size=0, max_size=12))
def test_holm_rejects_what_the_step_down_loop_rejects(p: list[float]) -> None:
    adjusted = holm(p)
    for level in (0.01, 0.05, 0.2):
        rejected: set[int] = set()
        for step, cell in enumerate(np.argsort(p, kind="stable")):
            if (len(p) - step) * p[cell] > level:
                break
            rejected.add(int(cell))
        assert {cell for cell, value in enumerate(adjusted) if value <= level} == rejected
    assert all(one <= value <= 1 for one, value in zip(p, adjusted, strict=True))


def test_holm_of_three() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


# ---- seeds needed ----


def test_without_users_the_seeds_needed_are_those_of_the_noncentral_t() -> None:
    known = Components(mean=0.1, num_seeds=5, num_users=1000, seeds=0.04, users=0.0, error=1.0)
    expected = next(
        seeds
        for seeds in range(2, 1000)
        if stats.nct.sf(stats.t.isf(0.005, seeds - 1), seeds - 1, 0.1 / math.sqrt(0.04 / seeds)) >= 0.8
    )
    assert seeds_needed(known, level=0.01, power=0.8) == expected


@settings(max_examples=25, deadline=None)
@given(st.floats(0.01, 1), st.floats(1e-4, 1), st.floats(0, 1))
def test_the_seeds_needed_are_the_fewest_with_that_power(mean: float, seeds: float, users: float) -> None:
    known = Components(mean, 5, 100, seeds, users, 1.0)
    needed = seeds_needed(known, level=0.01, power=0.8)
    if needed is None:
        assert known.power(10_000, level=0.01) < 0.8
    else:
        assert known.power(needed, level=0.01) >= 0.8
        assert needed == 2 or known.power(needed - 1, level=0.01) < 0.8


def test_users_that_are_too_few_are_too_few_for_any_number_of_seeds() -> None:
    error = math.sqrt(1.0 / 100)
    few = Components(mean=2.0 * error, num_seeds=5, num_users=100, seeds=0.01, users=1.0, error=1.0)
    enough = Components(mean=3.5 * error, num_seeds=5, num_users=100, seeds=0.01, users=1.0, error=1.0)
    assert seeds_needed(few, level=0.05, power=0.8) is None
    assert seeds_needed(enough, level=0.05, power=0.8) is not None


@pytest.mark.parametrize("effects", EFFECTS.values(), ids=EFFECTS)
@pytest.mark.parametrize("seeds", [4, 5, 10])
def test_the_power_that_is_foretold_is_the_power_that_comes(seeds: int, effects: tuple[float, float]) -> None:
    of_seeds, of_users = effects
    true = Components(
        mean=5 * math.sqrt((of_seeds + of_users + 1) / (seeds * 60)),
        num_seeds=99,
        num_users=60,
        seeds=(of_seeds + 1) / 60,
        users=of_users / seeds,
        error=1.0,
    )
    tables = drawn(1500, seeds, 60, of_seeds=of_seeds, of_users=of_users, mean=5)
    seen = np.mean([one.p <= 0.01 for one in components(tables)])
    assert true.power(seeds, level=0.01) == pytest.approx(seen, abs=0.05)


# ---- what it is all for: how often a method is called different from itself ----


@pytest.mark.parametrize("effects", EFFECTS.values(), ids=EFFECTS)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_identical_methods_are_told_apart_about_as_often_as_the_level_says(seeds: int, effects: tuple[float, float]) -> None:
    of_seeds, of_users = effects
    p = p_values(drawn(2000, seeds, 60, of_seeds=of_seeds, of_users=of_users))
    for level in (0.05, 0.01):
        assert (p <= level).mean() <= level + 3 * math.sqrt(level / 2000), "told apart too often"
    assert (p <= 0.05).mean() >= (0.01 if seeds > 2 else 0.005), "so careful that it is of no use"


@pytest.mark.parametrize("effects", EFFECTS.values(), ids=EFFECTS)
@pytest.mark.parametrize(("seeds", "least"), [(3, 0.65), (5, 0.9), (10, 0.97)])
def test_a_difference_of_five_standard_errors_is_mostly_told(seeds: int, effects: tuple[float, float], least: float) -> None:
    of_seeds, of_users = effects
    p = p_values(drawn(500, seeds, 60, of_seeds=of_seeds, of_users=of_users, mean=5))
    assert (p <= 0.05).mean() >= least


def test_a_test_that_ignores_the_seeds_would_not_pass() -> None:
    tables = drawn(1000, 5, 60, of_seeds=10, of_users=0)
    over_users = swap_test(tables.mean(axis=1), swaps=999, rng=np.random.default_rng(1))
    assert (over_users <= 0.05).mean() > 0.4
    of_one_seed = stats.ttest_1samp(tables[:, 0], 0, axis=1).pvalue
    assert (of_one_seed <= 0.05).mean() > 0.4


def test_a_t_test_over_seeds_that_ignores_the_users_would_not_pass() -> None:
    tables = drawn(1000, 5, 60, of_seeds=0, of_users=10)
    over_seeds = stats.ttest_1samp(tables.mean(axis=2), 0, axis=1).pvalue
    assert (over_seeds <= 0.05).mean() > 0.3


@pytest.mark.parametrize("effects", EFFECTS.values(), ids=EFFECTS)
@pytest.mark.parametrize("seeds", [5, 10])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(seeds: int, effects: tuple[float, float]) -> None:
    of_seeds, of_users = effects
    tables = drawn(1000, seeds, 60, of_seeds=of_seeds, of_users=of_users)
    means = bootstrap_means(tables, resamples=1000, rng=np.random.default_rng(2))
    intervals = [interval_from(means[:, cell], one, level=0.05) for cell, one in enumerate(components(tables))]
    held = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.93 <= held <= 0.985


def test_two_seeds_that_agree_to_the_last_hit_by_chance_know_no_more_than_others() -> None:
    """Each seed loses one user, another one: the means are equal, and say nothing."""
    differences = np.zeros((1, 2, 4000))
    differences[0, 0, 7] = differences[0, 1, 11] = -1
    (found,) = components(differences)
    assert found.seeds == pytest.approx(found.error / 4000) and found.error > 0
    assert found.p > 0.2
    assert found.half_width(0.05) > abs(found.mean)


def test_seeds_that_change_nothing_leave_the_users_share() -> None:
    differences = np.tile(np.random.default_rng(0).normal(size=(1, 1, 50)), (1, 3, 1))
    (found,) = components(differences)
    assert (found.seeds, found.error) == (0, 0) and found.users > 0
