"""UserSequences: the k-core, the counts, the hash, and the ways in and out."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.data import sequences as sequences_module
from seqaug.data.actions import keep_mask, renumbered
from seqaug.data.sequences import UserSequences, num_repeats

Histories = list[tuple[str, list[str]]]

user_names = st.text("abc01é", min_size=1, max_size=3)
lists_of_items = st.lists(st.sampled_from("pqrstuv"), max_size=12)
histories = st.dictionaries(user_names, lists_of_items, max_size=8).map(lambda drawn: list(drawn.items()))


def naive_core(data: Histories, k: int) -> Histories:
    """Drop one user or item at a time until nothing falls short."""
    data = [(user, list(items)) for user, items in data if items]
    while True:
        short_user = next((user for user, items in data if len(items) < k), None)
        counts = Counter(item for _, items in data for item in items)
        short_item = next((item for item, count in counts.items() if count < k), None)
        if short_user is not None:
            data = [(user, items) for user, items in data if user != short_user]
        elif short_item is not None:
            data = [(user, [item for item in items if item != short_item]) for user, items in data]
            data = [(user, items) for user, items in data if items]
        else:
            return data


@given(data=histories)
def test_lists_go_in_and_come_out_unchanged(data: Histories) -> None:
    assert list(UserSequences.from_lists(data)) == data


@given(data=histories, k=st.integers(0, 4))
def test_the_k_core_equals_dropping_one_at_a_time(data: Histories, k: int) -> None:
    core = UserSequences.from_lists(data).k_core(k)
    assert list(core) == naive_core(data, k)
    assert set(core.item_ids[1:]) == {item for _, items in core for item in items}


@given(data=histories, k=st.integers(1, 4))
def test_the_k_core_is_a_fixed_point(data: Histories, k: int) -> None:
    core = UserSequences.from_lists(data).k_core(k)
    counts = np.bincount(core.items, minlength=core.num_items + 1)[1:]
    assert (core.lengths >= k).all() and (counts >= k).all()
    again = core.k_core(k)
    assert np.array_equal(again.items, core.items) and list(again) == list(core)


@given(rows=st.lists(st.tuples(st.sampled_from("uvw"), st.sampled_from("abc")), max_size=20))
def test_pairs_are_grouped_by_user_and_keep_their_order(rows: list[tuple[str, str]]) -> None:
    users = np.asarray([user for user, _ in rows], dtype=np.str_)
    items = np.asarray([item for _, item in rows], dtype=np.str_)
    expected = [(user, [item for who, item in rows if who == user]) for user in dict.fromkeys(users.tolist())]
    sequences = UserSequences.from_pairs(users, items)
    assert list(sequences) == expected
    assert sequences.item_ids.tolist() == ["", *dict.fromkeys(items.tolist())]


def test_items_are_numbered_by_first_appearance() -> None:
    sequences = UserSequences.from_lists([("x", ["b", "a", "b"]), ("y", ["c", "a"])])
    assert sequences.items.tolist() == [1, 2, 1, 3, 2]
    assert sequences.item_ids.tolist() == ["", "b", "a", "c"]


@given(data=histories, k=st.integers(0, 3))
def test_renumbering_gives_the_numbering_that_lists_give(data: Histories, k: int) -> None:
    core = UserSequences.from_lists(data).k_core(k)
    fresh, expected = renumbered(core), UserSequences.from_lists(list(core))
    assert np.array_equal(fresh.items, expected.items) and np.array_equal(fresh.item_ids, expected.item_ids)
    assert list(fresh) == list(core) and fresh.sha256 == core.sha256


@given(data=histories)
def test_counts_agree_with_a_naive_loop(data: Histories) -> None:
    found = UserSequences.from_lists(data).statistics()
    lengths = [len(items) for _, items in data]
    distinct = {item for _, items in data for item in items}
    assert (found.users, found.items, found.actions) == (len(data), len(distinct), sum(lengths))
    assert (found.shortest, found.longest) == (min(lengths, default=0), max(lengths, default=0))
    assert found.repeats == sum(len(items) - len(set(items)) for _, items in data)
    assert found.average_length == pytest.approx(sum(lengths) / len(data) if data else 0)
    assert found.median_length == (np.median(lengths) if data else 0)
    if data and distinct:
        assert found.sparsity == pytest.approx(1 - sum(lengths) / (len(data) * len(distinct)))


@given(data=histories, at_once=st.sampled_from([1, 2, 3, 1 << 14]))
def test_the_hash_is_that_of_the_lines_in_circulation(data: Histories, at_once: int) -> None:
    lines = "".join(" ".join([user, *items]) + "\n" for user, items in data)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sequences_module, "USERS_AT_ONCE", at_once)
        assert UserSequences.from_lists(data).sha256 == hashlib.sha256(lines.encode()).hexdigest()


def test_the_hash_sees_order_names_and_users() -> None:
    variants = [
        [("u", ["a", "b"]), ("v", ["c"])],
        [("u", ["b", "a"]), ("v", ["c"])],
        [("u", ["a", "b"]), ("w", ["c"])],
        [("v", ["c"]), ("u", ["a", "b"])],
        [("u", ["a", "b", "c"])],
        [("u", ["a", "b"]), ("v", ["0c"])],
    ]
    assert len({UserSequences.from_lists(variant).sha256 for variant in variants}) == len(variants)


def test_the_arrays_cannot_be_changed() -> None:
    sequences = UserSequences.from_lists([("u", ["a", "b", "c"])])
    for array in (sequences.items, sequences.offsets, sequences.user_ids, sequences.item_ids):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[-1]


def test_a_title_falls_back_to_the_name() -> None:
    sequences = UserSequences.from_lists([("u", ["a", "b"])], titles={"a": "Alien"})
    assert (sequences.title(1), sequences.title(2)) == ("Alien", "b")


@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=15))
def test_keeping_first_or_last_leaves_each_pair_once(rows: list[tuple[int, int]]) -> None:
    users = np.asarray([user for user, _ in rows], dtype=np.int64)
    items = np.asarray([item for _, item in rows], dtype=np.int64)
    first = [row not in rows[:place] for place, row in enumerate(rows)]
    last = [row not in rows[place + 1 :] for place, row in enumerate(rows)]
    assert keep_mask(users, items, "first").tolist() == first
    assert keep_mask(users, items, "last").tolist() == last
    assert keep_mask(users, items, "keep").all()


@given(rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=15))
def test_repeats_are_the_actions_beyond_the_first_of_each_pair(rows: list[tuple[int, int]]) -> None:
    users = np.asarray([user for user, _ in rows], dtype=np.int64)
    items = np.asarray([item for _, item in rows], dtype=np.int64)
    assert num_repeats(users, items) == len(rows) - len(set(rows))
    assert [*zip(users.tolist(), items.tolist(), strict=True)] == rows  # which are left as they were
