"""Bins and their means, against naive loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.evaluation.hits import FEWEST, Bin, bins, by_bin
from seqaug.evaluation.metrics import per_user


def test_bins_double_in_width() -> None:
    counts = np.repeat(np.arange(1, 33), 40)
    assert [one.label for one in bins(counts)] == ["1", "2", "3-4", "5-8", "9-16", "17 or more"]
    assert [one.users for one in bins(counts)] == [40, 40, 80, 160, 320, 640]


def test_zero_stands_alone_however_few_have_it() -> None:
    found = bins(np.array([0] * 3 + [1] * 50 + [2] * 50))
    assert [(one.label, one.users) for one in found] == [("0", 3), ("1", 50), ("2 or more", 50)]
    assert bins(np.zeros(5, dtype=np.int64)) == [Bin(0, 0, 5)]


def test_a_small_bin_is_joined_to_the_next_and_the_last_to_the_one_before() -> None:
    found = bins(np.array([1] * 5 + [2] * 50 + [3] * 50 + [9] * 4))
    assert [(one.label, one.users) for one in found] == [("1-2", 55), ("3 or more", 54)]


def test_what_is_all_too_small_is_one_bin() -> None:
    assert bins(np.array([7, 8, 9])) == [Bin(5, None, 3)]
    assert bins(np.array([], dtype=np.int64)) == []


def test_an_empty_stretch_belongs_to_no_bin() -> None:
    found = bins(np.array([1] * 40 + [2] * 40 + [40] * 40))
    assert [one.label for one in found] == ["1", "2", "33 or more"]


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=300), st.integers(1, 40))
def test_every_user_is_in_exactly_one_bin(counts: list[int], fewest: int) -> None:
    known = np.array(counts, dtype=np.int64)
    found = bins(known, fewest=fewest)
    assert np.stack([one.holds(known) for one in found]).sum(axis=0).tolist() == [1] * len(counts)
    assert [one.users for one in found] == [int(one.holds(known).sum()) for one in found]
    positive = [one for one in found if one.first > 0]
    assert all(one.users >= fewest for one in positive) or len(positive) == 1
    assert [one.last for one in positive][-1:] in ([None], [])
    for before, after in pairwise(found):
        assert before.last is not None and before.last < after.first


@given(st.data())
def test_the_mean_of_a_bin_is_that_of_a_naive_loop(data: st.DataObject) -> None:
    users = data.draw(st.integers(1, 80))
    counts = np.array(data.draw(st.lists(st.integers(0, 70), min_size=users, max_size=users)), dtype=np.int64)
    draw = st.lists(st.integers(1, 30), min_size=users, max_size=users)
    ranks = [np.array(data.draw(draw), dtype=np.int64) for _ in range(data.draw(st.integers(1, 3)))]
    into = bins(counts, fewest=5)
    for metric in ("hr@10", "ndcg@10"):
        found = by_bin(counts, ranks, metric, into)
        for one, estimate in zip(into, found, strict=True):
            total, members = 0.0, 0
            for user in range(users):
                if one.first <= counts[user] and (one.last is None or counts[user] <= one.last):
                    members += 1
                    total += sum(per_user(rank[user : user + 1], metric)[0] for rank in ranks) / len(ranks)
            assert estimate.value == pytest.approx(total / members)
            assert estimate.low is not None and estimate.high is not None
            assert 0 <= estimate.low <= estimate.value + 1e-12 and estimate.value - 1e-12 <= estimate.high <= 1


def test_bins_of_the_default_size_hold_enough_users_for_an_interval() -> None:
    counts = np.random.default_rng(0).geometric(0.1, size=5000)
    assert all(one.users >= FEWEST for one in bins(counts))
