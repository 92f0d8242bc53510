"""Views with holes and views whose holes are filled (specifications of bert4rec and ecl_sr, "must show")."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, batch_of, counts, drawing, evidence_of, model_of, seeds, step_of, toy
from seqaug.builtin.augmenters.infill import InfilledView
from seqaug.builtin.augmenters.mask import MaskedView
from seqaug.builtin.augmenters.random_edits import RandomEdits
from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.builtin.negative_samplers import UniformItems
from seqaug.builtin.position_selectors import LastPositions, NoPositions, RandomPositions
from seqaug.core.recommender import Recommender
from seqaug.core.step import Step
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

V = 20
MASK = V + 1
SAMPLES = toy(num_items=V)

histories = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=MAX_LENGTH), min_size=1, max_size=6)


def two_encoders(num_items: int = V, generator: nn.Module | None = None) -> Recommender:
    """A causal encoder, and one that reads both ways for the holes."""
    model = model_of(num_items)
    torch.manual_seed(5)
    model.encoders["generator"] = generator or TransformerEncoder(DIM, MAX_LENGTH, inner=16, causal=False)
    return model


def step_with(batch: Batch, select: object, seed: int = 0, model: Recommender | None = None, **options: Any) -> Step:
    holes = MaskedView(select=select, **options)  # type: ignore[arg-type]
    filled = InfilledView(view="holes.masked", encoder="generator")  # type: ignore[arg-type]
    return step_of(assembly_of(model or two_encoders(), holes=holes, filled=filled), SAMPLES, batch, seed)


# ---- mask ----


@given(sequences=histories, seed=seeds)
@settings(deadline=None)
def test_the_mask_stands_at_the_edited_positions_and_nowhere_else(sequences: list[list[int]], seed: int) -> None:
    batch = batch_of(*sequences)
    view = step_with(batch, RandomPositions(ratio=0.4), seed).view("holes.masked")
    assert view.layout.counts == batch.layout.counts
    assert torch.equal(view.edited, view.items == MASK)
    assert torch.equal(view.items[~view.edited], batch.items[~view.edited])
    assert MASK not in batch.items


def test_masks_are_drawn_anew_for_each_batch_and_repeat_for_the_same_one() -> None:
    batch = batch_of(list(range(1, 13)), list(range(5, 15)))
    first, again, other = (step_with(batch, RandomPositions(ratio=0.3), seed).view("holes.masked") for seed in (0, 0, 1))
    assert torch.equal(first.items, again.items) and not torch.equal(first.items, other.items)


def test_with_last_one_the_latest_position_alone_is_masked() -> None:
    batch = batch_of([1, 2, 3], [4], [5, 6, 7, 8, 9])
    view = step_with(batch, RandomPositions(ratio=0.9), last=1.0).view("holes.masked")
    assert torch.equal(view.edited, batch.layout.from_end == 0)


def test_last_is_the_share_of_sequences_of_which_only_the_latest_position_is_masked() -> None:
    batch = batch_of(*[[1, 2, 3, 4]] * 4000)
    view = step_with(batch, NoPositions(), last=0.25).view("holes.masked")
    assert view.edited.sum() == view.edited[batch.layout.last()].sum()
    assert float(view.edited[batch.layout.last()].float().mean()) == pytest.approx(0.25, abs=0.03)


def test_last_does_not_shift_what_the_selector_draws() -> None:
    batch = batch_of(*[[1, 2, 3, 4, 5, 6, 7]] * 50)
    plain = step_with(batch, RandomPositions(ratio=0.4)).view("holes.masked").edited
    some = step_with(batch, RandomPositions(ratio=0.4), last=0.5).view("holes.masked").edited
    changed = torch.zeros(50, dtype=torch.bool).index_put((batch.layout.sequence[plain != some],), torch.tensor(True))
    assert 10 < int(changed.sum()) < 40
    assert torch.equal(plain[~changed[batch.layout.sequence]], some[~changed[batch.layout.sequence]])


def test_a_masked_view_may_be_one_of_another_augmenter() -> None:
    edits = RandomEdits(operators=("crop",), distinct=False, new_items=UniformItems())
    holes = MaskedView(select=LastPositions(), view="edits.first")  # type: ignore[arg-type]
    step = step_of(assembly_of(two_encoders(), edits=edits, holes=holes), SAMPLES, batch_of(list(range(1, 11))))
    before, view = step.view("edits.first"), step.view("holes.masked")
    assert view.layout.counts == before.layout.counts and view.items[-1] == MASK
    assert torch.equal(view.items[:-1], before.items[:-1]) and MASK not in before.items


@given(lengths=counts, seed=seeds, tenths=st.integers(0, 10))
@settings(deadline=None)
def test_above_is_the_next_whole_number_but_never_the_oldest_position(lengths: list[int], seed: int, tenths: int) -> None:
    """specification of ecl_sr, section 3: k = floor(ratio l + 1) among all but the first."""
    evidence = evidence_of(lengths, V, seed)
    select = RandomPositions(ratio=tenths / 10, rounding="above", except_first=True)
    chosen = select.select(evidence, drawing(seed))
    found = [int(part.sum()) for part in chosen.split(lengths)]
    assert found == [min(tenths * length // 10 + 1, length - 1) for length in lengths]
    assert not chosen[evidence.layout.first()].any()


@given(lengths=counts, seed=seeds)
@settings(deadline=None)
def test_with_a_probability_there_are_at_least_one_and_at_most_so_many_masks(lengths: list[int], seed: int) -> None:
    """specification of bert4rec, must show 4."""
    select = RandomPositions(probability=0.6, at_least=1, at_most=3)
    found = [int(part.sum()) for part in select.select(evidence_of(lengths, V, seed), drawing(seed)).split(lengths)]
    assert all(1 <= number <= 3 for number in found)


@pytest.mark.parametrize("rho", [0.2, 0.6])
def test_the_mean_number_of_masks_is_rho_times_the_length(rho: float) -> None:
    """specification of bert4rec, must show 4; at_least moves the mean up by the chance of none."""
    length, rows = 8, 4000
    chosen = RandomPositions(probability=rho, at_least=1).select(evidence_of([length] * rows, V), drawing())
    assert float(chosen.sum()) / rows == pytest.approx(rho * length + (1 - rho) ** length, rel=0.03)


# ---- infill ----


@given(sequences=histories, seed=seeds)
@settings(deadline=None, max_examples=30)
def test_a_filled_view_differs_at_masked_positions_only_and_has_the_length_of_the_batch(
    sequences: list[list[int]], seed: int
) -> None:
    """specification of ecl_sr, must show 1."""
    batch = batch_of(*sequences)
    step = step_with(batch, RandomPositions(ratio=0.4, rounding="above", except_first=True), seed)
    masked, filled = step.view("holes.masked"), step.view("filled.infilled")
    assert filled.layout.counts == batch.layout.counts
    assert torch.equal(filled.items[~masked.edited], batch.items[~masked.edited])
    assert torch.equal(filled.items[batch.layout.first()], batch.items[batch.layout.first()])
    assert bool(((filled.items >= 1) & (filled.items <= V)).all())
    assert torch.equal(filled.edited, filled.items != batch.items)
    assert not (filled.edited & ~masked.edited).any()


def test_the_item_filled_in_is_the_best_by_the_states_on_the_masked_view() -> None:
    batch = batch_of(list(range(1, 9)), [3, 4, 5])
    step = step_with(batch, RandomPositions(ratio=0.5))
    masked, filled = step.view("holes.masked"), step.view("filled.infilled")
    scores = step.hidden("holes.masked", "generator") @ step.model.items.catalogue.t()
    expected = torch.where(masked.edited, scores.argmax(1) + 1, batch.items)
    assert torch.equal(filled.items, expected)


def test_filling_leaves_the_gradient_to_the_states_it_shares() -> None:
    step = step_with(batch_of(list(range(1, 9))), RandomPositions(ratio=0.5))
    step.view("filled.infilled")
    assert step.hidden("holes.masked", "generator").requires_grad


class Knowing(nn.Module):
    """Says at each place what it was told stands there."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return self.answer


def knowing(batch: Batch) -> Recommender:
    """A generator that is never wrong: items are unit vectors, and its states are those of the originals."""
    model = two_encoders(DIM, Knowing(torch.eye(DIM)[batch.items - 1]))
    with torch.no_grad():
        model.items.weight[1 : DIM + 1] = torch.eye(DIM)
    return model


def test_a_hole_that_gets_its_own_item_back_is_as_it_was() -> None:
    """specification of ecl_sr, must show 2."""
    batch = batch_of([1, 2, 3, 4], [8, 7, 6])
    step = step_with(batch, RandomPositions(ratio=0.5), model=knowing(batch))
    assert step.view("holes.masked").edited.any()
    assert torch.equal(step.view("filled.infilled").items, batch.items)
    assert not step.view("filled.infilled").edited.any()
    amount, out_of = step.records["recovered_rate"]
    assert int(amount) == int(out_of) == int(step.view("holes.masked").edited.sum())


def test_without_holes_nothing_is_filled() -> None:
    batch = batch_of([1], [2])
    step = step_with(batch, RandomPositions(ratio=0.2, rounding="above", except_first=True))
    assert torch.equal(step.view("filled.infilled").items, batch.items)
    assert not step.view("filled.infilled").edited.any()


def test_holes_of_another_layout_cannot_be_compared() -> None:
    edits = RandomEdits(operators=("crop",), distinct=False, new_items=UniformItems())
    holes = MaskedView(select=LastPositions(), view="edits.first")  # type: ignore[arg-type]
    filled = InfilledView(view="holes.masked", encoder="generator")  # type: ignore[arg-type]
    assembly = assembly_of(two_encoders(), edits=edits, holes=holes, filled=filled)
    with pytest.raises(RecipeError, match="has other positions than the batch"):
        step_of(assembly, SAMPLES, batch_of(list(range(1, 11)))).view("filled.infilled")
