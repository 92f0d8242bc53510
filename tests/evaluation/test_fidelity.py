"""The deviation from a printed number, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from seqaug.evaluation.fidelity import deviation
from seqaug.evaluation.metrics import per_user


def test_three_seeds_by_hand() -> None:
    """HR of 4 users: 1/4, 2/4, 3/4; their standard deviation is 1/4, the error of the mean 1/4 / sqrt(3)."""
    values = np.asarray([[1.0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])
    found = deviation(values, 0.2)
    assert found.difference == pytest.approx(0.3)
    assert found.ours == pytest.approx(0.25 / math.sqrt(3))
    assert found.theirs == pytest.approx(math.sqrt(0.2 * 0.8 / 4))
    assert found.errors == pytest.approx(0.3 / math.sqrt(1 / 48 + 0.04))


def test_one_seed_has_the_binomial_error() -> None:
    values = np.asarray([[1.0] * 83 + [0.0] * 917])
    found = deviation(values, 0.0932)
    assert found.ours == pytest.approx(math.sqrt(0.083 * 0.917 / 999))
    assert found.theirs == pytest.approx(math.sqrt(0.0932 * 0.9068 / 1000))


def test_the_binomial_error_on_beauty_is_the_one_of_the_papers_notes() -> None:
    """shared/paper: .0019 on Beauty's 22,363 users."""
    hits = np.zeros((1, 22_363))
    hits[0, :1800] = 1
    assert deviation(hits, 0.0932).theirs == pytest.approx(0.0019, abs=5e-5)


def test_ndcg_varies_less_than_hits_do() -> None:
    ranks = np.asarray([1, 3, 7, 20] * 50)
    ndcg = per_user(ranks, "ndcg@10")[None]
    found = deviation(ndcg, float(ndcg.mean()))
    # With the printed number equal to ours the two errors are the same but for U - 1.
    assert found.theirs == pytest.approx(found.ours * math.sqrt(199 / 200))
    assert found.difference == 0 and found.errors == 0


def test_where_nothing_varies_there_is_no_unit() -> None:
    assert deviation(np.zeros((2, 5)), 0.0).errors is None
    assert deviation(np.zeros((2, 5)), 0.5).errors == pytest.approx(-0.5 / math.sqrt(0.25 / 5))


def test_a_run_drawn_from_the_same_users_is_rarely_two_errors_away() -> None:
    """Users who hit independently with chances of their own: the bound is on the safe side."""
    generator = np.random.default_rng(0)
    chances = generator.beta(0.3, 3, size=2000)
    far = 0
    for _ in range(300):
        runs = (generator.uniform(size=(4, 2000)) < chances).astype(float)
        found = deviation(runs[:3], float(runs[3].mean()))
        far += abs(found.errors or 0.0) > 2
    assert far / 300 < 0.05
