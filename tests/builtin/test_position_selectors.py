"""Position selectors: real positions only, and exactly as many as their options say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from builtin.worlds import counts, drawing, evidence_of, seeds
from seqaug.builtin.position_selectors import (
    AllPositions,
    ConfidentPositions,
    LastPositions,
    LeastConfidentPositions,
    NoPositions,
    RandomPositions,
)
from seqaug.core.items import ItemScores
from seqaug.core.protocols import PositionSelector
from seqaug.core.views import Evidence
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

V = 10


def scored(lengths: list[int], seed: int) -> tuple[Evidence, Tensor]:
    """Evidence with random scores, and their confidences computed at length."""
    scores = 3 * torch.randn(sum(lengths), V, generator=drawing(seed))
    return evidence_of(lengths, V, seed, scores), torch.softmax(scores.double(), 1).amax(1)


def per_sequence(chosen: Tensor, layout: Layout) -> list[int]:
    return [int(chosen[layout.sequence == b].sum()) for b in range(layout.num_sequences)]


def law(length: int, ratio: float, rounding: str, at_least: int, at_most: int | None, except_first: bool) -> int:
    """How many, one sequence at a time."""
    exact = round(ratio * length, 6)
    wanted = {"floor": math.floor(exact), "ceil": math.ceil(exact), "round": math.floor(exact + 0.5)}[rounding]
    wanted = max(wanted, at_least)
    wanted = wanted if at_most is None else min(wanted, at_most)
    return min(wanted, length - int(except_first))


@given(
    lengths=counts,
    seed=seeds,
    ratio=st.integers(0, 100).map(lambda share: share / 100),
    rounding=st.sampled_from(["floor", "ceil", "round"]),
    at_least=st.integers(0, 3),
    more=st.none() | st.integers(0, 3),
    except_first=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_share_of_every_sequence_is_exactly_what_the_options_say(
    lengths: list[int], seed: int, ratio: float, rounding: str, at_least: int, more: int | None, except_first: bool
) -> None:
    at_most = None if more is None else at_least + more
    evidence, _ = scored(lengths, seed)
    options = {"rounding": rounding, "at_least": at_least, "at_most": at_most, "except_first": except_first}
    expected = [
        law(length, ratio, at_least=at_least, at_most=at_most, rounding=rounding, except_first=except_first)
        for length in lengths
    ]
    for kind in (RandomPositions, ConfidentPositions, LeastConfidentPositions):
        chosen = kind(ratio=ratio, **options).select(evidence, drawing(seed))  # type: ignore[arg-type]
        assert chosen.dtype == torch.bool and len(chosen) == sum(lengths)
        assert per_sequence(chosen, evidence.layout) == expected
        if except_first:
            assert not chosen[evidence.layout.first()].any()


@given(lengths=counts, seed=seeds, count=st.integers(0, 12))
@settings(deadline=None)
def test_a_fixed_count_is_taken_from_every_sequence_that_has_as_many(lengths: list[int], seed: int, count: int) -> None:
    evidence, _ = scored(lengths, seed)
    for kind in (RandomPositions, ConfidentPositions):
        chosen = kind(count=count, at_least=0).select(evidence, drawing(seed))
        assert per_sequence(chosen, evidence.layout) == [min(count, length) for length in lengths]


@given(lengths=counts, seed=seeds)
@settings(deadline=None)
def test_confidence_takes_the_positions_of_largest_probability_and_least_confidence_the_others(
    lengths: list[int], seed: int
) -> None:
    evidence, confidence = scored(lengths, seed)
    layout = evidence.layout
    most = ConfidentPositions(ratio=0.5).select(evidence, drawing())
    least = LeastConfidentPositions(ratio=0.5).select(evidence, drawing())
    for b in range(layout.num_sequences):
        here = (layout.sequence == b).nonzero()[:, 0].tolist()
        size = max(1, len(here) // 2)
        order = sorted(here, key=lambda n: -float(confidence[n]))
        assert {n for n in here if most[n]} == set(order[:size])
        assert {n for n in here if least[n]} == set(order[-size:])


def test_confidence_lies_between_1_over_v_and_1_and_is_1_over_v_for_constant_scores() -> None:
    _, confidence = scored([5, 3], 0)
    assert (confidence >= 1 / V).all() and (confidence <= 1).all()
    evidence = evidence_of([4, 1], V, scores=torch.full((5, V), 2.5))
    assert torch.allclose(evidence.scores.confidence(), torch.tensor(1 / V))
    # Nothing tells positions apart: the oldest are taken, the same ones every time.
    assert ConfidentPositions(ratio=0.5).select(evidence, drawing()).tolist() == [True, True, False, False, True]


def test_random_and_confidence_choose_equally_many_by_default() -> None:
    lengths = list(range(1, 40))
    evidence, _ = scored(lengths, 0)
    numbers = [max(1, length // 5) for length in lengths]
    for kind in (RandomPositions, ConfidentPositions, LeastConfidentPositions):
        assert per_sequence(kind().select(evidence, drawing()), evidence.layout) == numbers


def test_a_share_that_binary_numbers_miss_is_still_exact() -> None:
    """0.29 x 100 is 28.999999999999996 in binary, and 0.07 x 100 is 7.000000000000001."""
    evidence = evidence_of([100])
    for ratio, number in ((0.29, 29), (0.57, 57), (0.07, 7), (0.14, 14)):
        for rounding in ("floor", "ceil", "round"):
            selector = RandomPositions(ratio=ratio, rounding=rounding)  # type: ignore[arg-type]
            assert int(selector.select(evidence, drawing()).sum()) == number


def test_random_positions_are_uniform() -> None:
    evidence = evidence_of([5] * 2000)
    chosen = RandomPositions(count=2).select(evidence, drawing(1)).view(2000, 5)
    pairs = torch.tensor([2**a + 2**b for a in range(5) for b in range(a)])
    codes = (chosen.long() * 2 ** torch.arange(5)).sum(1)
    found = (codes[:, None] == pairs).sum(0)
    assert int(found.sum()) == 2000
    assert (found - 200).abs().max() < 5 * math.sqrt(200)  # ten pairs, 200 each


def test_a_probability_is_every_positions_own_chance() -> None:
    evidence = evidence_of([4] * 3000)
    chosen = RandomPositions(probability=0.3).select(evidence, drawing(1)).view(3000, 4)
    assert float(chosen.float().mean()) == pytest.approx(0.3, abs=0.015)
    share_of_none = float((chosen.sum(1) == 0).float().mean())
    assert share_of_none == pytest.approx(0.7**4, abs=0.03)
    spared = RandomPositions(probability=0.3, except_first=True).select(evidence, drawing(1)).view(3000, 4)
    assert not spared[:, 0].any() and float(spared[:, 1:].float().mean()) == pytest.approx(0.3, abs=0.015)


@given(lengths=counts, seed=seeds, except_first=st.booleans())
@settings(deadline=None)
def test_a_probability_obeys_the_bounds(lengths: list[int], seed: int, except_first: bool) -> None:
    evidence = evidence_of(lengths, seed=seed)
    bounded = RandomPositions(probability=0.5, at_least=1, at_most=2, except_first=except_first)
    numbers = per_sequence(bounded.select(evidence, drawing(seed)), evidence.layout)
    for number, length in zip(numbers, lengths, strict=True):
        there = length - int(except_first)
        assert min(1, there) <= number <= min(2, there)


@given(lengths=counts, count=st.integers(1, 4))
@settings(deadline=None)
def test_all_none_and_last_are_what_they_say(lengths: list[int], count: int) -> None:
    evidence = evidence_of(lengths)
    layout = evidence.layout
    assert AllPositions().select(evidence, drawing()).all()
    assert not NoPositions().select(evidence, drawing()).any()
    assert torch.equal(AllPositions(except_first=True).select(evidence, drawing()), layout.from_start > 0)
    last = LastPositions(count=count).select(evidence, drawing())
    assert per_sequence(last, layout) == [min(count, length) for length in lengths]
    assert last[layout.last()].all()


@pytest.mark.parametrize(
    "selector", [RandomPositions(), RandomPositions(probability=0.5), ConfidentPositions(), LastPositions()]
)
def test_only_the_generator_decides_and_nothing_is_changed(selector: PositionSelector) -> None:
    evidence, _ = scored([6, 3, 9], 0)
    items, state = evidence.items.clone(), torch.get_rng_state()
    first = selector.select(evidence, drawing(5))
    torch.rand(7)
    torch.set_rng_state(state)
    assert torch.equal(first, selector.select(evidence, drawing(5)))
    assert torch.equal(items, evidence.items) and torch.equal(state, torch.get_rng_state())


def test_confidence_of_a_sequence_does_not_depend_on_the_others() -> None:
    scores = torch.randn(9, V, generator=drawing(2))
    together = ConfidentPositions(ratio=0.4).select(evidence_of([4, 5], V, scores=scores), drawing())
    alone = ConfidentPositions(ratio=0.4).select(evidence_of([5], V, scores=scores[4:]), drawing())
    assert torch.equal(together[4:], alone)


def test_confidence_without_scores_says_so() -> None:
    with pytest.raises(RecipeError, match="nothing has been predicted"):
        ConfidentPositions().select(evidence_of([3]), drawing())


def test_no_gradient_passes_through_confidence() -> None:
    hidden = torch.randn(3, V, requires_grad=True)
    evidence = replace(evidence_of([3], V), ask_scores=lambda: ItemScores.dense(hidden))
    assert not ConfidentPositions().select(evidence, drawing()).requires_grad
    assert not evidence.scores.confidence().requires_grad


@pytest.mark.parametrize(
    "options",
    [
        {"ratio": 0.2, "count": 3},
        {"ratio": 0.2, "probability": 0.2},
        {"count": 1, "probability": 0.2},
        {"at_least": 3, "at_most": 2},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"give one of them|is more than at_most"):
        RandomPositions(**options)  # type: ignore[arg-type]
