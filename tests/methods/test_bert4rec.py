"""bert4rec end to end: what its specification says a correct implementation must show."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from methods.test_recipes import built, fitted, planned
from seqaug.core.assembly import Assembly
from seqaug.core.step import Step
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world


@pytest.fixture(scope="module")
def world() -> Split:
    return leave_one_out(toy_world(num_users=250, num_items=100, max_length=12))


def step_on(made: Assembly, own: Samples, batch: Batch, index: int = 0) -> Step:
    return Step(made, own, batch, epoch=0, seed=(0, "main", 0, index))


def scored(made: Assembly, items: list[int]) -> Tensor:
    """(V,) the scores of a history at inference."""
    layout = Layout.of([len(items)])
    batch = Batch(torch.zeros(1), torch.zeros(1), layout, torch.tensor(items), torch.zeros(len(items)))
    with torch.no_grad():
        scores = made.scorer.score(made.model.eval(), batch, torch.Generator())
        return scores.of(torch.arange(1, 101)[None])[0]  # type: ignore[union-attr]


def test_an_item_behind_a_masked_position_changes_what_is_told_there(world: Split) -> None:
    """Must show 1, the opposite of sasrec's causality."""
    made, _ = built(planned("bert4rec"), world)
    model = made.model.eval()
    mask = model.items.mask_id
    states = [model.encode(model.items(torch.tensor([3, mask, after, 7])), Layout.of([4]))[1].detach() for after in (5, 6)]
    assert not torch.allclose(states[0], states[1], atol=1e-4)


def test_what_else_is_in_the_batch_changes_nothing(world: Split) -> None:
    """Must show 1: where pads would be there is nothing."""
    made, _ = built(planned("bert4rec"), world)
    model = made.model.eval()
    alone = model.encode(model.items(torch.tensor([3, 101, 5])), Layout.of([3]))
    items = torch.tensor([3, 101, 5, *range(1, 13)])
    assert torch.allclose(model.encode(model.items(items), Layout.of([3, 12]))[:3], alone, atol=1e-6)


def test_every_label_stands_behind_a_mask_and_every_mask_is_a_label(world: Split) -> None:
    """Must show 2."""
    made, own = built(planned("bert4rec"), world)
    batch = own.take(torch.arange(64))
    view = step_on(made, own, batch).view("holes.masked")
    assert torch.equal(view.items == made.model.items.mask_id, view.edited)
    assert torch.equal(view.items[~view.edited], batch.items[~view.edited])
    per_row = torch.zeros(64, dtype=torch.int64).index_add_(0, batch.layout.sequence, view.edited.long())
    assert int(per_row.min()) >= 1


def test_every_training_interaction_becomes_a_label_the_first_and_the_last_too(world: Split) -> None:
    """Must show 3, over 200 epochs."""
    made, own = built(planned("bert4rec"), world)
    batch = own.take(torch.arange(own.num_rows))
    kept = [history[-12:] for history in world.train.items.split(world.train.lengths.tolist())]
    assert torch.equal(batch.items, torch.cat(kept))  # s_1..s_{n-2}: nothing is held back as a target
    times = sum(step_on(made, own, batch, epoch).view("holes.masked").edited.long() for epoch in range(200))
    assert int(times.min()) > 0  # type: ignore[union-attr]
    latest = float(times[batch.layout.last()].float().mean())  # type: ignore[index]
    assert latest > float(times.float().mean())  # type: ignore[union-attr]


def test_neither_validation_nor_test_item_is_ever_trained_on(world: Split) -> None:
    """Section 2: unlike the authors' program, the validation item is not merged into training."""
    _, own = built(planned("bert4rec"), world)
    assert own.num_rows == world.train.num_users
    expected = [min(int(length) - 2, 12) for length in world.sequences.lengths]
    assert list(own.take(torch.arange(own.num_rows)).layout.counts) == expected


def test_it_starts_at_log_v_and_ends_up_better_at_the_latest_position_than_it_started(world: Split) -> None:
    """Must show 5."""
    plan = planned("bert4rec", **{"augmenters.holes.last": 1.0})
    made, own = built(plan, world)
    term = made.stages[0].updates[0].terms[0]
    batch = own.take(torch.arange(own.num_rows))
    with torch.no_grad():
        first = float(term.objective(step_on(made, own, batch)))
    assert first == pytest.approx(math.log(100), abs=0.2)
    trained, reports = fitted(planned("bert4rec", **{"training.epochs": 8}), world)
    assert reports[-1].losses["reconstruction"] < reports[0].losses["reconstruction"]
    made.model.load_state_dict(trained.model.state_dict())
    made.model.eval()
    with torch.no_grad():
        assert float(term.objective(step_on(made, own, batch))) < first - 0.1


def test_the_order_and_number_of_items_that_fit_are_read_at_the_mask(world: Split) -> None:
    """Must show 2 and section 6: the latest 11 of a longer history, all of a shorter one."""
    made, _ = built(planned("bert4rec"), world)
    history = list(range(20, 32))
    assert torch.allclose(scored(made, history), scored(made, [77, *history[1:]]), atol=1e-6)
    assert not torch.allclose(scored(made, history), scored(made, [history[0], 77, *history[2:]]), atol=1e-5)
    assert not torch.allclose(scored(made, history[:3]), scored(made, [77, *history[1:3]]), atol=1e-5)


def test_the_items_bias_is_added_to_the_scores(world: Split) -> None:
    """Section 1: one bias per item, 0 at first."""
    made, _ = built(planned("bert4rec"), world)
    assert made.model.items.bias is not None and not made.model.items.bias.any()
    before = scored(made, [1, 2, 3])
    with torch.no_grad():
        made.model.items.bias[4] = 2.5
    assert torch.allclose(scored(made, [1, 2, 3]) - before, 2.5 * torch.eye(100)[4], atol=1e-5)
