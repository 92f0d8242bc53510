"""Made-up items stand in front of real ones: as context only, and the first to be cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seqaug.data.context import in_front
from seqaug.data.layout import Layout
from seqaug.data.samples import Samples
from seqaug.data.split import leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import DataError

rows = st.lists(
    st.tuples(
        st.lists(st.integers(1, 9), min_size=1, max_size=6),  # the real items
        st.lists(st.integers(0, 9), min_size=4, max_size=4),  # the context, 0 for none
    ),
    min_size=1,
    max_size=5,
)


@given(rows=rows, max_length=st.integers(6, 11))
def test_context_is_put_before_the_items_and_cut_from_its_oldest(
    rows: list[tuple[list[int], list[int]]], max_length: int
) -> None:
    layout = Layout.of([len(items) for items, _ in rows])
    flat = torch.tensor([item for items, _ in rows for item in items])
    longer, read, places = in_front(torch.tensor([made for _, made in rows]), layout, flat, max_length)
    expected = []
    for items, made in rows:
        whole = [*(item for item in made if item), *items]
        expected.append(whole[-max_length:])
    assert [one.tolist() for one in read.split(longer.counts)] == expected
    assert torch.equal(read[places], flat)
    assert torch.equal(longer.sequence[places], layout.sequence)


@pytest.mark.parametrize("kind", ["sequences", "prefixes"])
def test_the_targets_are_those_without_context(kind: str) -> None:
    split = leave_one_out(toy_world(30, 40, 10))
    plain = Samples(split, kind=kind, max_length=12)  # type: ignore[arg-type]
    context = torch.randint(0, 41, (plain.num_users, 3), generator=torch.Generator().manual_seed(0))
    behind = plain.behind(context)
    chosen = torch.arange(plain.num_rows)
    one, two = plain.take(chosen), behind.take(chosen)
    assert behind.num_targets == plain.num_targets
    assert two.predicted is not None
    told = one.targets if one.predicted is None else one.targets[one.predicted]
    assert torch.equal(two.targets[two.predicted], told), "what is predicted, and how often"
    assert int((two.targets > 0).sum()) == len(two.predicted), "nothing made up is a target, and it predicts nothing"
    for user, items in zip(two.users.tolist(), two.items.split(two.layout.counts), strict=True):
        assert len(items) <= 12
        made = [int(item) for item in context[user] if item]
        real = split.train.of(user).tolist()
        assert any(
            (made + real)[-12 - cut :][:12] == items.tolist() or (made + real[:end])[-12:] == items.tolist()
            for cut in (0,)
            for end in range(1, len(real) + 1)
        )


def test_no_context_changes_nothing() -> None:
    split = leave_one_out(toy_world(30, 40, 10))
    plain = Samples(split, max_length=8)
    same = plain.behind(torch.zeros((plain.num_users, 3), dtype=torch.int64)).take(torch.arange(9))
    one = plain.take(torch.arange(9))
    assert torch.equal(same.items, one.items) and torch.equal(same.targets, one.targets)


def test_histories_are_scored_behind_their_users_context() -> None:
    split = leave_one_out(toy_world(30, 40, 10))
    context = torch.arange(1, 31)[:, None].repeat(1, 2)
    for part, batch in split.test.batches(7, 9, context):
        for user, items in zip(batch.users.tolist(), batch.items.split(batch.layout.counts), strict=True):
            whole = [user + 1, user + 1, *split.test.inputs.of(user).tolist()]
            assert items.tolist() == whole[-9:], part


def test_only_users_with_enough_training_items_make_rows() -> None:
    split = leave_one_out(toy_world(30, 40, 10))
    samples = Samples(split, max_length=8)
    longest = int(split.train.lengths.max())
    few = samples.at_least(6)
    assert set(few.take(torch.arange(few.num_rows)).users.tolist()) == {
        user for user in range(30) if int(split.train.lengths[user]) >= 6
    }
    assert samples.num_rows > few.num_rows > 0, "and the original is as it was"
    with pytest.raises(DataError, match=f"no user has {longest + 1} training items"):
        samples.at_least(longest + 1)
