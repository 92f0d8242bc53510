"""Random edits: the laws of length and content of each operator (specification of cl4srec, sections 3 and "must show")."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from builtin.worlds import MAX_LENGTH, assembly_of, batch_of, model_of, seeds, step_of, toy
from seqaug.builtin.augmenters.dropout import DropoutView
from seqaug.builtin.augmenters.random_edits import ORDER, RandomEdits
from seqaug.builtin.negative_samplers import UniformItems
from seqaug.core.views import View
from seqaug.data.batch import Batch

V = 20
MASK = V + 1
SAMPLES = toy(num_items=V)
MODEL = model_of(V)

histories = st.lists(st.lists(st.integers(1, V), min_size=1, max_size=MAX_LENGTH), min_size=1, max_size=6)


def edits(*operators: str, **options: object) -> RandomEdits:
    return RandomEdits(operators=operators, distinct=len(operators) > 1, new_items=UniformItems(), **options)  # type: ignore[arg-type]


def views_of(augmenter: RandomEdits, batch: Batch, seed: int = 0) -> tuple[View, View]:
    step = step_of(assembly_of(MODEL, edits=augmenter), SAMPLES, batch, seed)
    return step.view("edits.first"), step.view("edits.second")


def split(view: View) -> list[list[int]]:
    return [part.tolist() for part in torch.split(view.items, view.layout.counts)]


def flags(view: View) -> list[list[bool]]:
    return [part.tolist() for part in torch.split(view.edited, view.layout.counts)]


def floor(ratio: float, length: int) -> int:
    return 0 if length == 1 else math.floor(round(ratio * length, 6))


ratios = st.integers(0, 10).map(lambda tenths: tenths / 10)


@given(sequences=histories, seed=seeds, ratio=st.integers(1, 10).map(lambda tenths: tenths / 10))
@settings(deadline=None)
def test_a_crop_is_a_contiguous_run_of_the_right_length(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("crop", crop=ratio), batch_of(*sequences), seed):
        assert not view.edited.any()
        for before, after in zip(sequences, split(view), strict=True):
            assert len(after) == (1 if len(before) == 1 else max(1, floor(ratio, len(before))))
            assert any(before[start : start + len(after)] == after for start in range(len(before)))


@given(sequences=histories, seed=seeds, ratio=ratios)
@settings(deadline=None)
def test_a_mask_changes_exactly_its_share_and_only_to_mask(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("mask", mask=ratio), batch_of(*sequences), seed):
        for before, after, edited in zip(sequences, split(view), flags(view), strict=True):
            assert len(after) == len(before)
            changed = [n for n in range(len(before)) if after[n] != before[n]]
            assert len(changed) == floor(ratio, len(before))
            assert all(after[n] == MASK for n in changed)
            assert edited == [n in changed for n in range(len(before))]


@given(sequences=histories, seed=seeds, ratio=ratios)
@settings(deadline=None)
def test_a_reorder_is_a_permutation_inside_one_window(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("reorder", reorder=ratio), batch_of(*sequences), seed):
        for before, after in zip(sequences, split(view), strict=True):
            assert Counter(after) == Counter(before)
            changed = [n for n in range(len(before)) if after[n] != before[n]]
            if changed:
                assert changed[-1] - changed[0] < floor(ratio, len(before))


@given(sequences=histories, seed=seeds, ratio=ratios)
@settings(deadline=None)
def test_an_insert_grows_by_its_share_and_keeps_the_latest(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("insert", insert=ratio), batch_of(*sequences), seed):
        for before, after, edited in zip(sequences, split(view), flags(view), strict=True):
            grown = len(before) + floor(ratio, len(before))
            assert len(after) == min(grown, MAX_LENGTH)
            assert all(1 <= item <= V for item in after)
            kept = [item for item, new in zip(after, edited, strict=True) if not new]
            assert kept == before[len(before) - len(kept) :]
            assert after[-1] == before[-1]  # new items come before old ones
            if grown <= MAX_LENGTH:
                assert sum(edited) == floor(ratio, len(before))


@given(sequences=histories, seed=seeds, ratio=ratios)
@settings(deadline=None)
def test_a_substitution_touches_at_most_its_share(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("substitute", substitute=ratio), batch_of(*sequences), seed):
        for before, after, edited in zip(sequences, split(view), flags(view), strict=True):
            assert len(after) == len(before) and all(1 <= item <= V for item in after)
            assert edited == [a != b for a, b in zip(after, before, strict=True)]
            assert sum(edited) <= floor(ratio, len(before))  # the new item may be the old one


def test_a_substitution_touches_exactly_its_share_where_the_target_is_excluded() -> None:
    augmenter = RandomEdits(operators=("substitute",), substitute=0.5, distinct=False, new_items=UniformItems(exclude="target"))
    batch = batch_of([3] * 10, [4] * 7, [5])
    for view in views_of(augmenter, batch):
        assert [sum(edited) for edited in flags(view)] == [5, 3, 0]


@given(sequences=histories, seed=seeds, ratio=ratios)
@settings(deadline=None)
def test_a_deletion_drops_its_share_and_never_all(sequences: list[list[int]], seed: int, ratio: float) -> None:
    for view in views_of(edits("delete", delete=ratio), batch_of(*sequences), seed):
        for before, after in zip(sequences, split(view), strict=True):
            assert len(after) == len(before) - min(floor(ratio, len(before)), len(before) - 1)
            remaining = iter(before)
            assert all(item in remaining for item in after)  # a subsequence, in order


def test_a_share_that_binary_numbers_miss_is_still_exact() -> None:
    """0.58 x 50 is 28.999999999999996 in binary."""
    model = model_of(V)
    model.max_length = 50
    assembly = assembly_of(model, edits=edits("crop", crop=0.58))
    assert step_of(assembly, SAMPLES, batch_of([1] * 50)).view("edits.first").layout.counts == (29,)


@given(sequences=histories, seed=seeds)
@settings(deadline=None)
def test_with_all_operators_nothing_is_empty_too_long_or_changed_in_place(sequences: list[list[int]], seed: int) -> None:
    batch = batch_of(*sequences)
    items, targets, state = batch.items.clone(), batch.targets.clone(), torch.get_rng_state()
    augmenter = edits(*ORDER, insert=0.9, mask=0.9, delete=0.9, substitute=0.9)
    for view in views_of(augmenter, batch, seed):
        assert view.layout.num_sequences == len(sequences)
        assert view.layout.num_positions == len(view.items) == len(view.edited)
        assert min(view.layout.counts) >= 1 and max(view.layout.counts) <= MAX_LENGTH
        for before, after in zip(sequences, split(view), strict=True):
            if len(before) == 1:
                assert after == before
    assert torch.equal(batch.items, items) and torch.equal(batch.targets, targets)
    assert torch.equal(torch.get_rng_state(), state)


def operator_of(before: list[int], after: list[int]) -> str:
    """Which of crop, mask and reorder was at work on ten different items."""
    if len(after) < len(before):
        return "crop"
    return "mask" if MASK in after else "reorder"


def test_the_two_views_use_different_operators_each_pair_a_third_of_the_time() -> None:
    sequence, size = list(range(1, 11)), 3000
    batch = batch_of(*[sequence] * size)
    first, second = (split(view) for view in views_of(edits("crop", "mask", "reorder"), batch))
    found = Counter((operator_of(sequence, a), operator_of(sequence, b)) for a, b in zip(first, second, strict=True))
    assert len(found) == 6 and all(a != b for a, b in found)
    for times in found.values():
        assert abs(times - size / 6) < 5 * math.sqrt(size / 6)


def test_without_distinct_each_view_draws_by_itself() -> None:
    sequence, size = list(range(1, 11)), 3000
    augmenter = RandomEdits(distinct=False, new_items=UniformItems())
    first, second = (split(view) for view in views_of(augmenter, batch_of(*[sequence] * size)))
    found = Counter((operator_of(sequence, a), operator_of(sequence, b)) for a, b in zip(first, second, strict=True))
    assert len(found) == 9
    for times in found.values():
        assert abs(times - size / 9) < 5 * math.sqrt(size / 9)


def test_every_start_of_a_crop_and_every_order_of_a_window_is_equally_likely() -> None:
    size = 4000
    batch = batch_of(*[[1, 2, 3, 4]] * size)
    crops = Counter(part[0] for part in split(views_of(edits("crop", crop=0.5), batch)[0]))
    assert set(crops) == {1, 2, 3}
    orders = Counter(tuple(part) for part in split(views_of(edits("reorder", reorder=1.0), batch)[0]))
    assert len(orders) == 24
    for found, cells in ((crops, 3), (orders, 24)):
        for times in found.values():
            assert abs(times - size / cells) < 5 * math.sqrt(size / cells)


def test_the_run_decides_the_edits_and_the_epoch_changes_them() -> None:
    assembly, batch = assembly_of(MODEL, edits=edits(*ORDER)), batch_of(list(range(1, 11)), list(range(5, 15)))
    same = [step_of(assembly, SAMPLES, batch, seed=1).view("edits.first").items for _ in range(2)]
    assert torch.equal(*same)
    other = step_of(assembly, SAMPLES, batch, seed=1, epoch=1).view("edits.first").items
    assert other.shape != same[0].shape or not torch.equal(other, same[0])


def test_an_epoch_of_edits_leaves_the_training_data_as_it_was() -> None:
    samples = toy(num_items=V)
    before = samples.histories.items.clone()
    assembly = assembly_of(MODEL, edits=edits(*ORDER))
    for batch in samples.batches(5, torch.Generator().manual_seed(0)):
        step_of(assembly, samples, batch).view("edits.second")
    assert torch.equal(samples.histories.items, before)


def test_one_operator_cannot_be_two_different_ones() -> None:
    with pytest.raises(ValueError, match="needs two operators"):
        RandomEdits(operators=("crop",), new_items=UniformItems())
    with pytest.raises(ValueError, match="names one twice"):
        RandomEdits(operators=("crop", "crop"), new_items=UniformItems())


def test_dropout_gives_the_same_items_and_another_forward_pass() -> None:
    step = step_of(assembly_of(MODEL, again=DropoutView()), SAMPLES)
    again = step.view("again.again")
    assert torch.equal(again.items, step.batch.items) and not again.edited.any()
    assert not torch.equal(step.representation("again.again"), step.representation("clean"))
    MODEL.eval()
    still = step_of(assembly_of(MODEL, again=DropoutView()), SAMPLES)
    assert torch.equal(still.representation("again.again"), still.representation("clean"))
    MODEL.train()
