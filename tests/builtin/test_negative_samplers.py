"""Negative samplers: ids in 1..V, what is excluded never drawn, what is left drawn by its share."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from builtin.worlds import counts, drawing, evidence_of, seeds
from seqaug.builtin.negative_samplers import InBatchItems, PopularItems, RankedItem, UniformItems
from seqaug.core.protocols import NegativeSampler
from seqaug.core.views import Evidence
from seqaug.errors import RecipeError, SeqaugError

V = 10
EXCLUDE = ("nothing", "target", "history")


def makers(exclude: str) -> list[NegativeSampler]:
    return [
        UniformItems(exclude=exclude),  # type: ignore[arg-type]
        PopularItems(exclude=exclude),  # type: ignore[arg-type]
        PopularItems(power=0.5, exclude=exclude),  # type: ignore[arg-type]
        PopularItems(power=0.0, exclude=exclude),  # type: ignore[arg-type]
        InBatchItems(exclude=exclude),  # type: ignore[arg-type]
    ]


def banned(evidence: Evidence, n: int, exclude: str) -> set[int]:
    """What may not be drawn at position n."""
    out = {int(evidence.targets[n])} if exclude != "nothing" else set()
    if exclude == "history":
        out |= set(evidence.histories.of(int(evidence.users[evidence.layout.sequence[n]])).tolist())
    return out


@given(
    lengths=counts,
    seed=seeds,
    exclude=st.sampled_from(EXCLUDE),
    count=st.integers(1, 5),
    histories=st.lists(st.lists(st.integers(1, V), min_size=1, max_size=8), min_size=6, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_every_id_is_an_item_and_none_is_excluded(
    lengths: list[int], seed: int, exclude: str, count: int, histories: list[list[int]]
) -> None:
    evidence = evidence_of(lengths, V, seed, histories=histories)
    for sampler in makers(exclude):
        try:
            drawn = sampler.sample(evidence, count, drawing(seed))
        except SeqaugError as refusal:
            assert "no item is left" in str(refusal)
            continue
        assert drawn.shape == (sum(lengths), count) and drawn.dtype == torch.int64
        assert (drawn >= 1).all() and (drawn <= V).all()
        for n in range(len(drawn)):
            assert not banned(evidence, n, exclude) & set(drawn[n].tolist())
        if isinstance(sampler, InBatchItems):
            assert set(drawn.flatten().tolist()) <= set(evidence.items.tolist())


def shares(drawn: Tensor) -> Tensor:
    return torch.bincount(drawn.flatten(), minlength=V + 1).double() / drawn.numel()


@pytest.mark.parametrize("exclude", EXCLUDE)
@pytest.mark.parametrize("which", range(5))
def test_what_is_left_is_drawn_in_proportion_to_its_weight(which: int, exclude: str) -> None:
    evidence = evidence_of([2, 3], V, 3, histories=[[1, 2, 2, 5, 9, 10], [3, 4, 4, 4, 7, 8, 8]])
    evidence = replace(evidence, targets=torch.tensor([5, 6, 3, 1, 0]), items=torch.tensor([1, 2, 6, 6, 4]))
    popularity = evidence.popularity.double()
    in_batch = torch.bincount(evidence.items, minlength=V + 1).double()
    weights = [torch.ones(V + 1).double(), popularity, popularity**0.5, torch.ones(V + 1).double(), in_batch][which].clone()
    weights[0] = 0
    draws = 20_000
    drawn = makers(exclude)[which].sample(evidence, draws, drawing(which))
    for n in range(5):
        left = weights.clone()
        left[list(banned(evidence, n, exclude))] = 0
        expected = left / left.sum()
        assert (shares(drawn[n]) - expected).abs().max() < 5 * math.sqrt(0.25 / draws)
        assert ((shares(drawn[n]) > 0) == (expected > 0)).all()


def test_an_item_without_training_actions_is_not_popular() -> None:
    evidence = evidence_of([3], V, histories=[[1, 2, 3]])
    assert set(PopularItems().sample(evidence, 500, drawing()).flatten().tolist()) == {1, 2, 3}


@pytest.mark.parametrize(
    "sampler", [UniformItems(exclude="history"), PopularItems(exclude="history"), InBatchItems(exclude="history")]
)
def test_when_everything_is_excluded_a_sentence_says_so(sampler: NegativeSampler) -> None:
    evidence = evidence_of([2], 3, histories=[[1, 2, 3]])
    with pytest.raises(SeqaugError, match="Exclude less"):
        sampler.sample(evidence, 1, drawing())


def test_one_item_left_is_always_found() -> None:
    evidence = evidence_of([4], V, histories=[[item for item in range(1, V + 1) if item != 6]])
    evidence = replace(evidence, targets=torch.tensor([1, 2, 10, 9]))
    assert (UniformItems(exclude="history").sample(evidence, 50, drawing()) == 6).all()


@pytest.mark.parametrize("which", range(5))
def test_only_the_generator_decides_and_nothing_is_changed(which: int) -> None:
    evidence = evidence_of([4, 6], V, histories=[[1, 2], [3]])
    items, state = evidence.items.clone(), torch.get_rng_state()
    sampler = makers("history")[which]
    first = sampler.sample(evidence, 3, drawing(4))
    assert torch.equal(state, torch.get_rng_state()) and torch.equal(items, evidence.items)
    assert torch.equal(first, sampler.sample(evidence, 3, drawing(4)))
    assert not torch.equal(first, sampler.sample(evidence, 3, drawing(5)))


# ---- rank ----


def ranked(lengths: list[int], seed: int = 0) -> tuple[Evidence, Tensor]:
    """Evidence with random scores, and the items in their order."""
    scores = torch.randn(sum(lengths), V, generator=drawing(seed))
    return evidence_of(lengths, V, seed, scores), torch.argsort(scores, dim=1, descending=True) + 1


def test_rank_one_is_the_most_likely_item() -> None:
    evidence, order = ranked([3, 2])
    assert torch.equal(RankedItem(rank=1, exclude_target=False).sample(evidence, 1, drawing()), order[:, :1])


@pytest.mark.parametrize("rank", range(1, V))
@pytest.mark.parametrize("count", [1, 3])
def test_rank_r_is_the_rth_item_and_the_next_where_that_is_the_target(rank: int, count: int) -> None:
    evidence, order = ranked([4, 3])
    # The targets stand at the rank itself, before it, and behind it.
    where = torch.tensor([rank - 1, 0, V - 1, rank, min(rank + 1, V - 1), max(rank - 2, 0), rank - 1])
    evidence = replace(evidence, targets=order.gather(1, where[:, None])[:, 0])
    sampler = RankedItem(rank=rank)
    if rank - 1 + count + 1 > V:
        with pytest.raises(RecipeError, match="choose a smaller rank"):
            sampler.sample(evidence, count, drawing())
        return
    drawn = sampler.sample(evidence, count, drawing())
    for n in range(7):
        wanted = [item for item in order[n, rank - 1 :].tolist() if item != int(evidence.targets[n])][:count]
        assert drawn[n].tolist() == wanted


def test_rank_may_be_the_target_where_nothing_is_excluded() -> None:
    evidence, order = ranked([5])
    evidence = replace(evidence, targets=order[:, 4])
    assert torch.equal(RankedItem(rank=5, exclude_target=False).sample(evidence, 1, drawing())[:, 0], evidence.targets)


def test_ranks_are_the_same_under_a_shift_of_the_scores() -> None:
    scores = torch.randn(4, V, generator=drawing(1))
    sampler = RankedItem(rank=3)
    first = sampler.sample(evidence_of([4], V, scores=scores), 1, drawing())
    assert torch.equal(first, sampler.sample(evidence_of([4], V, scores=scores + 7.0), 1, drawing()))


def test_rank_without_scores_says_so() -> None:
    with pytest.raises(RecipeError, match="nothing has been predicted"):
        RankedItem().sample(evidence_of([2]), 1, drawing())
