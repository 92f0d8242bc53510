"""Another training row with the same target, against rows counted out by hand."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from builtin.worlds import MAX_LENGTH, assembly_of, model_of, step_of, toy
from seqaug.builtin.augmenters.same_target import SameTarget
from seqaug.core.step import Step
from seqaug.core.views import View
from seqaug.data.samples import Samples
from seqaug.errors import RecipeError

V = 12
SAMPLES = toy(num_users=20, num_items=V, kind="prefixes")
Row = tuple[tuple[int, ...], int]


def prefixes(samples: Samples = SAMPLES) -> list[Row]:
    """(history, target) of every training row, in the order of the users and of time."""
    histories = samples.histories
    return [
        (tuple(items[:end].tolist())[-MAX_LENGTH:], int(items[end]))
        for items in histories.items.split(histories.lengths.tolist())
        for end in range(1, len(items))
    ]


def asked(seed: object = 0, samples: Samples = SAMPLES, rows: torch.Tensor | None = None) -> tuple[Step, View]:
    """A step on these rows, all of them by default, and its view."""
    batch = samples.take(torch.arange(samples.num_rows) if rows is None else rows)
    step = step_of(assembly_of(model_of(samples.num_items), same=SameTarget()), samples, batch, seed=seed)
    return step, step.view("same.other")


def sequences(view: View) -> list[tuple[int, ...]]:
    return [tuple(items.tolist()) for items in view.items.split(view.layout.counts)]


def test_every_positive_is_the_history_of_another_training_row_with_the_same_target() -> None:
    rows = prefixes()
    _, view = asked()
    edited = view.edited.split(view.layout.counts)
    for number, (drawn, changed) in enumerate(zip(sequences(view), edited, strict=True)):
        others = [history for place, (history, target) in enumerate(rows) if target == rows[number][1] and place != number]
        assert drawn in (others or [rows[number][0]])
        assert bool(changed.all()) == bool(others) and bool(changed.any()) == bool(others)


def test_a_positive_has_its_own_length() -> None:
    _, view = asked()
    assert any(len(drawn) != len(history) for drawn, (history, _) in zip(sequences(view), prefixes(), strict=True))
    assert view.layout.num_sequences == SAMPLES.num_rows and view.layout.num_positions == len(view.items)


def test_a_row_whose_target_nobody_else_has_stands_for_itself() -> None:
    samples = toy(num_users=4, num_items=60, kind="prefixes")
    rows = prefixes(samples)
    times = Counter(target for _, target in rows)
    alone = [number for number, (_, target) in enumerate(rows) if times[target] == 1]
    assert alone
    _, view = asked(samples=samples, rows=torch.tensor(alone))
    assert sequences(view) == [rows[number][0] for number in alone]
    assert not view.edited.any()


def test_every_candidate_is_drawn_about_equally_often() -> None:
    rows = prefixes()
    number = next(place for place, (_, target) in enumerate(rows) if sum(other == target for _, other in rows) >= 5)
    candidates = [history for place, (history, target) in enumerate(rows) if target == rows[number][1] and place != number]
    again = torch.full((120 * len(candidates),), number)
    draws = Counter(sequences(asked(rows=again)[1]))
    expected = Counter(candidates)
    assert set(draws) == set(expected)
    for history, times in expected.items():
        assert draws[history] == pytest.approx(120 * times, rel=0.4)


def test_the_order_of_the_batch_does_not_change_who_may_be_drawn() -> None:
    rows = prefixes()
    order = torch.randperm(SAMPLES.num_rows, generator=torch.Generator().manual_seed(5))
    _, view = asked(rows=order)
    for number, drawn in zip(order.tolist(), sequences(view), strict=True):
        assert drawn in [history for history, target in rows if target == rows[number][1]]


def test_a_step_repeats_its_draw_and_another_does_not() -> None:
    assert torch.equal(asked(3)[1].items, asked(3)[1].items)
    assert sequences(asked(3)[1]) != sequences(asked(4)[1])


def test_whole_sequences_share_the_target_of_their_last_position() -> None:
    samples = toy(num_users=30, num_items=6, kind="sequences")
    step, view = asked(samples=samples)
    histories = samples.histories
    last = {tuple(items.tolist()[-MAX_LENGTH - 1 :]) for items in histories.items.split(histories.lengths.tolist())}
    targets = step.batch.targets[step.batch.layout.last()].tolist()
    assert all((*drawn, target)[-MAX_LENGTH - 1 :] in last for drawn, target in zip(sequences(view), targets, strict=True))


def test_rows_without_targets_are_refused_in_words() -> None:
    with pytest.raises(RecipeError, match='"whole" gives no targets to have in common; use "prefixes" or "sequences"'):
        asked(samples=toy(kind="whole"))
