"""Co-occurrence edits against what loops over the definitions say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqaug.api import Batch, Generator, Histories, Layout, View
from seqaug.testing import Subject, parametrize_with_checks

from seqaug_cooccurrence import CooccurrenceEdits, edits

V, MAX_LENGTH = 8, 12

sequences = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=MAX_LENGTH), min_size=1, max_size=6)
known = st.lists(st.lists(st.integers(1, V), max_size=10), min_size=1, max_size=6)
windows = st.none() | st.integers(1, 4)
seeds = st.integers(0, 2**31)
shares = st.floats(0.01, 1)


def histories_of(*users: list[int], num_items: int = V) -> Histories:
    flat = torch.tensor([item for one in users for item in one], dtype=torch.int64)
    return Histories(torch.tensor([0, *[len(one) for one in users]]).cumsum(0), flat, num_items)


@dataclass(frozen=True)
class Model:
    """As much of a recommender as the augmenter reads."""

    max_length: int


@dataclass(frozen=True)
class Asked:
    """As much of a step as the augmenter reads."""

    batch: Batch
    model: Model
    seed: int

    def generator(self, plugin: object) -> Generator:
        return Generator().manual_seed(self.seed)


def batch_of(rows: list[list[int]]) -> Batch:
    items = torch.tensor([item for one in rows for item in one])
    users = torch.arange(len(rows))
    return Batch(users, users, Layout.of([len(one) for one in rows]), items, torch.zeros_like(items))


def views_of(
    augmenter: CooccurrenceEdits, rows: list[list[int]], seed: int = 0, max_length: int = MAX_LENGTH
) -> tuple[View, ...]:
    return augmenter.views(Asked(batch_of(rows), Model(max_length), seed))  # type: ignore[arg-type]


def read(view: View) -> Iterator[tuple[list[int], list[bool]]]:
    """The items of each sequence, and which of them are edited."""
    assert view.layout.num_positions == len(view.items) == len(view.edited)
    items, edited, offsets = view.items.tolist(), view.edited.tolist(), view.layout.offsets.tolist()
    return ((items[begin:end], edited[begin:end]) for begin, end in pairwise(offsets))


def cor(users: list[list[int]], i: int, j: int, window: int | None) -> float:
    """By the definition, one user and one pair of places at a time."""
    total = 0.0
    for one in users:
        pairs = [(a, b) for a in range(len(one)) for b in range(len(one)) if one[a] == i and one[b] == j and i != j]
        if any(window is None or abs(a - b) <= window for a, b in pairs):
            total += 1 / math.log(1 + len(set(one)))
    had = [sum(item in one for one in users) for item in (i, j)]
    return total / math.sqrt(had[0] * had[1]) if total else 0.0


def nearest(users: list[list[int]], item: int, k: int, window: int | None) -> dict[int, float]:
    """The k items that have most to do with one, and how much."""
    found = {other: cor(users, item, other, window) for other in range(1, V + 1)}
    best = sorted((other for other, value in found.items() if value > 0), key=lambda other: (-round(found[other], 6), other))
    return {other: found[other] for other in best[:k]}


def informed(users: list[list[int]], **options: object) -> CooccurrenceEdits:
    augmenter = CooccurrenceEdits(**options)  # type: ignore[arg-type]
    augmenter.know(histories_of(*users))
    return augmenter


def kept(augmenter: CooccurrenceEdits, item: int) -> dict[int, float]:
    """What the augmenter holds to be correlated with an item."""
    found = augmenter._correlated
    assert found is not None
    values = found.upto[item].diff(prepend=torch.zeros(1, dtype=torch.float64))
    return {other: value for other, value in zip(found.items[item].tolist(), values.tolist(), strict=True) if value > 1e-12}


@parametrize_with_checks(
    CooccurrenceEdits,
    Subject(CooccurrenceEdits, options={"operations": ["substitute"], "substitute": 0.5, "window": None}),
    Subject(CooccurrenceEdits, options={"operations": ["insert"], "insert": 1.0, "k": 1}),
)
def test_conformance(check: Callable[[], None]) -> None:
    check()


# ---- what belongs together ----


def test_correlations_by_hand() -> None:
    # Users 1 and 2 had items 1 and 2 together; user 2 had three items, so that this tells less.
    augmenter = informed([[1, 2], [2, 1, 3], [4]])
    one, two = 1 / math.log(3), 1 / math.log(4)
    assert kept(augmenter, 1) == pytest.approx({2: (one + two) / 2, 3: two / math.sqrt(2)}, rel=1e-6)
    assert kept(augmenter, 3) == pytest.approx({1: two / math.sqrt(2), 2: two / math.sqrt(2)}, rel=1e-6)
    assert kept(augmenter, 4) == {}  # had alone


def test_a_window_keeps_apart_what_stands_far_apart() -> None:
    users = [[1, 2, 3, 4]]
    assert set(kept(informed(users, window=1), 1)) == {2}
    assert set(kept(informed(users, window=2), 1)) == {2, 3}
    assert set(kept(informed(users, window=None), 1)) == {2, 3, 4}


def test_what_a_user_had_twice_counts_once() -> None:
    assert kept(informed([[1, 2, 1, 2]]), 1) == pytest.approx({2: 1 / math.log(3)}, rel=1e-6)


@pytest.mark.parametrize("pairs", [1, 7, 2**21])
@given(users=known, window=windows, k=st.integers(1, V))
@settings(deadline=None, max_examples=40)
def test_counting_in_blocks_is_counting_one_pair_at_a_time(
    pairs: int, users: list[list[int]], window: int | None, k: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edits, "PAIRS", pairs)
        augmenter = informed(users, window=window, k=k)
    for item in range(1, V + 1):
        expected = nearest(users, item, k, window)
        assert list(kept(augmenter, item)) == list(expected)
        assert kept(augmenter, item) == pytest.approx(expected, rel=1e-6)


def test_a_new_item_has_a_chance_in_proportion_to_how_much_it_belongs() -> None:
    users = [[1, 2], [1, 2], [1, 2], [1, 3]]
    augmenter = informed(users, operations=("substitute",), short=0, substitute=1.0)
    first, _ = views_of(augmenter, [[1]] * 6000)
    share, values = Counter(first.items.tolist()), nearest(users, 1, 10, 10)
    assert set(share) == {2, 3}
    assert share[2] / 6000 == pytest.approx(values[2] / sum(values.values()), abs=0.03)


# ---- the views ----


@given(rows=sequences, users=known, share=shares, seed=seeds)
@settings(deadline=None)
def test_an_insert_puts_what_belongs_in_front_of_what_is_there(
    rows: list[list[int]], users: list[list[int]], share: float, seed: int
) -> None:
    augmenter = informed(users, operations=("insert",), insert=share, k=3)
    related = {item: set(nearest(users, item, 3, 10)) for item in range(1, V + 1)}
    for view in views_of(augmenter, rows, seed, max_length=2 * MAX_LENGTH):
        for before, (after, edited) in zip(rows, read(view), strict=True):
            places = min(math.ceil(share * len(before) - 1e-9), sum(bool(related[item]) for item in before))
            assert sum(edited) == places and len(after) == len(before) + places
            assert [item for item, new in zip(after, edited, strict=True) if not new] == before
            assert not edited[-1]  # the latest item stays the latest
            assert all(after[n] in related[after[n + 1]] for n, new in enumerate(edited) if new)


@given(rows=sequences, users=known, share=shares, seed=seeds)
@settings(deadline=None)
def test_a_substitute_stands_where_what_it_belongs_to_stood(
    rows: list[list[int]], users: list[list[int]], share: float, seed: int
) -> None:
    augmenter = informed(users, operations=("substitute",), substitute=share, k=3)
    related = {item: set(nearest(users, item, 3, 10)) for item in range(1, V + 1)}
    for view in views_of(augmenter, rows, seed):
        for before, (after, edited) in zip(rows, read(view), strict=True):
            places = min(math.ceil(share * len(before) - 1e-9), sum(bool(related[item]) for item in before))
            assert sum(edited) == places and len(after) == len(before)
            for old, new, is_edited in zip(before, after, edited, strict=True):
                assert is_edited == (old != new) and (new in related[old] if is_edited else True)


@given(rows=sequences, users=known, seed=seeds, max_length=st.integers(MAX_LENGTH, MAX_LENGTH + 3))
@settings(deadline=None)
def test_a_view_that_outgrows_the_model_loses_its_oldest(
    rows: list[list[int]], users: list[list[int]], seed: int, max_length: int
) -> None:
    augmenter = informed(users, insert=0.9, substitute=0.9)
    whole = views_of(augmenter, rows, seed, max_length=1000)
    for view, longer in zip(views_of(augmenter, rows, seed, max_length=max_length), whole, strict=True):
        for (items, edited), (all_items, all_edited) in zip(read(view), read(longer), strict=True):
            assert items == all_items[-max_length:] and edited == all_edited[-max_length:]


def test_a_share_that_binary_numbers_miss_is_still_exact() -> None:
    """0.07 x 100 is 7.000000000000001 in binary."""
    augmenter = informed([[1, 2]], operations=("substitute",), substitute=0.07)
    assert [sum(edited) for _, edited in read(views_of(augmenter, [[1] * 100], max_length=100)[0])] == [7]


def test_short_histories_are_only_inserted_into() -> None:
    augmenter = informed([[1, 2, 3]], short=2, insert=0.5, substitute=0.5)
    rows = [[1, 2]] * 200 + [[1, 2, 3]] * 200
    lengths = Counter(zip(map(len, rows), views_of(augmenter, rows)[0].layout.counts, strict=True))
    assert set(lengths) == {(2, 3), (3, 3), (3, 5)}
    assert 60 < lengths[3, 3] < 140
    only = informed([[1, 2, 3]], short=2, operations=("substitute",))
    assert set(views_of(only, rows)[0].layout.counts) == {2, 3}


def test_a_history_of_items_that_belong_to_nothing_stays_as_it_is() -> None:
    augmenter = informed([[1, 2], [3], [4, 4]])
    for view in views_of(augmenter, [[3, 4, 3], [5], [3, 1]]):
        (same, _), (alone, _), (mixed, edited) = read(view)
        assert same == [3, 4, 3] and alone == [5]
        assert mixed == [3, 2, 1] and edited == [False, True, False]


def test_one_position_alone_in_its_batch_is_inserted_into() -> None:
    for view in views_of(informed([[1, 2]]), [[1]]):
        assert list(read(view)) == [([2, 1], [True, False])]


def test_the_two_views_differ_and_the_same_seed_gives_them_again() -> None:
    augmenter, rows = informed([[1, 2, 3, 4, 5, 6, 7, 8]] * 3), [[1, 2, 3, 4, 5, 6, 7, 8]] * 10
    first, second = views_of(augmenter, rows)
    assert first.items.tolist() != second.items.tolist()
    again, other = views_of(augmenter, rows), views_of(augmenter, rows, seed=1)
    assert torch.equal(first.items, again[0].items) and torch.equal(second.edited, again[1].edited)
    assert first.items.tolist() != other[0].items.tolist()


def test_nothing_is_changed_in_place_and_nothing_is_drawn_from_elsewhere() -> None:
    augmenter, batch, state = informed([[1, 2, 3]]), batch_of([[1, 2, 3, 1, 2, 3]]), torch.get_rng_state()
    before = batch.items.clone()
    augmenter.views(Asked(batch, Model(MAX_LENGTH), 0))  # type: ignore[arg-type]
    assert torch.equal(batch.items, before) and torch.equal(torch.get_rng_state(), state)


def test_an_operation_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names one twice"):
        CooccurrenceEdits(operations=("insert", "insert"))
