"""Split and samples: who is trained on what, and nothing of the held-out part."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqaug.data.samples import Samples
from seqaug.data.sequences import UserSequences
from seqaug.data.split import Histories, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import DataError


def sequences(*histories: list[int]) -> UserSequences:
    return UserSequences.from_lists((f"u{row}", [f"i{item}" for item in items]) for row, items in enumerate(histories))


def numbered(data: UserSequences, names: list[int]) -> list[int]:
    return [int(np.flatnonzero(data.item_ids == f"i{name}")[0]) for name in names]


histories = st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=12), min_size=1, max_size=6)


@given(histories)
def test_the_last_occurrence_is_the_test_and_the_one_before_it_the_validation(lists: list[list[int]]) -> None:
    data = sequences(*lists)
    split = leave_one_out(data)
    for row, items in enumerate(lists):
        ids = numbered(data, items)
        assert split.train.of(row).tolist() == ids[:-2]
        assert split.valid.inputs.of(row).tolist() == ids[:-2]
        assert split.valid.targets[row] == ids[-2]
        assert split.test.inputs.of(row).tolist() == ids[:-1]
        assert split.test.targets[row] == ids[-1]
    assert len(split.test.targets) == data.num_users


def test_a_user_with_two_items_cannot_be_split() -> None:
    with pytest.raises(DataError, match="fewer than 3 items"):
        leave_one_out(sequences([1, 2, 3], [1, 2]))


@given(histories, st.integers(1, 6))
def test_sequences_predict_the_next_item_at_every_position(lists: list[list[int]], max_length: int) -> None:
    data = sequences(*lists)
    if max(map(len, lists)) < 4:
        with pytest.raises(DataError, match="at least 4"):
            Samples(leave_one_out(data), max_length=max_length)
        return
    samples = Samples(leave_one_out(data), max_length=max_length)
    rows = {int(user): row for row, user in enumerate(samples._users)}
    assert sorted(rows) == [row for row, items in enumerate(lists) if len(items) >= 4]
    for user, row in rows.items():
        batch = samples.take(torch.tensor([row]))
        ids = numbered(data, lists[user])
        assert batch.items.tolist() == ids[:-3][-max_length:]
        assert batch.targets.tolist() == ids[1:-2][-max_length:]
        assert batch.predicted is None


@given(histories, st.integers(1, 6))
def test_prefixes_are_every_start_with_its_next_item(lists: list[list[int]], max_length: int) -> None:
    data = sequences(*lists)
    if max(map(len, lists)) < 4:
        return
    samples = Samples(leave_one_out(data), kind="prefixes", max_length=max_length)
    expected = []
    for user, items in enumerate(lists):
        ids = numbered(data, items)
        expected += [(user, ids[:t][-max_length:], ids[t]) for t in range(1, len(ids) - 2)]
    found = []
    for row in range(samples.num_rows):
        batch = samples.take(torch.tensor([row]))
        assert batch.predicted is not None and batch.predicted.tolist() == [len(batch.items) - 1]
        assert batch.targets[:-1].sum() == 0
        found.append((int(batch.users[0]), batch.items.tolist(), int(batch.targets[-1])))
    assert found == expected
    assert samples.num_rows == samples.num_targets == sum(max(len(items) - 3, 0) for items in lists)


def test_prefixes_with_all_targets_know_every_next_item() -> None:
    samples = Samples(leave_one_out(sequences([1, 2, 3, 4, 5])), kind="prefixes", prefix_targets="all")
    batch = samples.take(torch.tensor([0, 1]))
    assert batch.items.tolist() == [1, 1, 2]
    assert batch.targets.tolist() == [2, 2, 3]
    assert batch.predicted is None


def test_whole_rows_hold_all_training_items_and_no_target() -> None:
    samples = Samples(leave_one_out(sequences([1, 2, 3, 4], [5, 6, 7])), kind="whole")
    batch = samples.take(torch.tensor([0, 1]))
    assert batch.items.tolist() == [1, 2, 5]
    assert batch.targets.sum() == 0 and samples.num_targets == 0


@pytest.mark.parametrize("kind", ["sequences", "prefixes"])
def test_an_epoch_holds_every_row_once_in_an_order_that_the_generator_decides(kind: str) -> None:
    samples = Samples(leave_one_out(toy_world()), kind=kind)  # type: ignore[arg-type]
    orders = []
    for seed in (1, 1, 2):
        batches = list(samples.batches(64, torch.Generator().manual_seed(seed)))
        assert len(batches) == samples.num_batches(64)
        orders.append(torch.cat([batch.rows for batch in batches]).tolist())
    assert sorted(orders[0]) == list(range(samples.num_rows))
    assert orders[0] == orders[1] != orders[2]


def test_no_training_row_holds_a_held_out_occurrence() -> None:
    """Every action gets an item of its own, so that an item names an occurrence."""
    lists = [list(range(100 * row, 100 * row + 3 + row)) for row in range(1, 9)]
    data = sequences(*lists)
    split = leave_one_out(data)
    held_out = {*split.valid.targets.tolist(), *split.test.targets.tolist()}
    for kind in ("sequences", "prefixes", "whole"):
        samples = Samples(split, kind=kind)  # type: ignore[arg-type]
        for batch in samples.batches(3, torch.Generator().manual_seed(0)):
            assert not held_out & {*batch.items.tolist(), *batch.targets.tolist()}
    assert not {*split.valid.inputs.items.tolist()} & held_out
    assert {*split.test.inputs.items.tolist()} & held_out == {*split.valid.targets.tolist()}


def test_same_target_gives_another_row_with_the_same_next_item_uniformly() -> None:
    samples = Samples(leave_one_out(sequences([1, 9, 3, 4], [2, 9, 3, 4], [3, 9, 3, 4], [4, 8, 3, 4])))
    rows = torch.zeros(4000, dtype=torch.int64)
    drawn = samples.same_target(rows, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=4)
    assert counts[0] == 0 and counts[3] == 0
    assert abs(int(counts[1]) - 2000) < 200
    alone = samples.same_target(torch.tensor([3]), torch.Generator().manual_seed(0))
    assert alone.tolist() == [3]


@settings(max_examples=40)
@given(histories, st.data())
def test_a_history_contains_exactly_its_items(lists: list[list[int]], data: st.DataObject) -> None:
    lengths = torch.tensor([0, *map(len, lists)]).cumsum(0)
    known = Histories(lengths, torch.tensor([item for one in lists for item in one]), 12)
    users = torch.arange(len(lists))
    items = torch.arange(1, 13).expand(len(lists), 12)
    found = known.contains(users, items)
    for row, own in enumerate(lists):
        assert found[row].nonzero().squeeze(1).add(1).tolist() == sorted(set(own))
    shift = data.draw(st.integers(0, len(lists) - 1))
    assert torch.equal(known.contains(users.roll(shift), items), found.roll(shift, 0))


def test_held_out_batches_are_the_latest_items_without_targets() -> None:
    data = sequences([1, 2, 3, 4, 5], [6, 7, 8])
    ((part, batch),) = leave_one_out(data).test.batches(10, max_length=2)
    assert (part.start, part.stop) == (0, 2)
    assert batch.items.tolist() == [3, 4, 6, 7]
    assert batch.targets.sum() == 0
