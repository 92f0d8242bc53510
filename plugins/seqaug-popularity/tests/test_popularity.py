"""Popularity-matched noise and negatives against what a loop over the definition says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqaug.api import Evidence, Generator, Histories, ItemTable, Layout, RecipeError, SeqaugError, Tensor
from seqaug.testing import Subject, parametrize_with_checks

from seqaug_popularity import PopularityMatchedItems, PopularityMatchedNoise

counts = st.lists(st.integers(0, 6), min_size=2, max_size=12)
windows = st.integers(1, 5)
seeds = st.integers(0, 2**31)
MANY = 400


def drawing(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def matched(popularity: list[int], item: int, window: int) -> set[int]:
    """The candidates of an item by the definition. popularity: of the items 1, 2, ..."""
    items = sorted(range(1, len(popularity) + 1), key=lambda one: (-popularity[one - 1], one))
    place = items.index(item)
    near = items[max(place - window, 0) : place + window + 1]
    levels = {popularity[one - 1] for one in near}
    return {one for one in items if popularity[one - 1] in levels} - {item}


def table_of(popularity: list[int]) -> ItemTable:
    """Item i has the vector of zeros with a one at i - 1, so that a mean of vectors tells whose they were."""
    table = ItemTable(len(popularity), len(popularity), popularity=torch.tensor([0, *popularity]))
    with torch.no_grad():
        table.weight[1:-1] = torch.eye(len(popularity))
        table.weight[0] = table.weight[-1] = 1e6  # neither the row of no item nor MASK may ever be drawn
    return table


def evidence_of(popularity: list[int], targets: list[int], histories: list[list[int]]) -> Evidence:
    """One sequence of one position for each target, each of the next user."""
    flat = torch.tensor([item for one in histories for item in one], dtype=torch.int64)
    offsets = torch.tensor([0, *[len(one) for one in histories]]).cumsum(0)
    return Evidence(
        layout=Layout.of([1] * len(targets)),
        users=torch.arange(len(targets)),
        items=torch.ones(len(targets), dtype=torch.int64),
        targets=torch.tensor(targets),
        histories=Histories(offsets, flat, len(popularity)),
        popularity=torch.tensor([0, *popularity]),
        num_items=len(popularity),
    )


def sampled(popularity: list[int], target: int, history: list[int], **options: object) -> set[int]:
    """All that turns up in many draws."""
    evidence = evidence_of(popularity, [target], [history])
    found: Tensor = PopularityMatchedItems(**options).sample(evidence, MANY, drawing())  # type: ignore[arg-type]
    return set(found[0].tolist())


@parametrize_with_checks(
    PopularityMatchedNoise,
    Subject(PopularityMatchedNoise, options={"k": 3, "window": 1}),
    PopularityMatchedItems,
    Subject(PopularityMatchedItems, options={"window": 1, "exclude": "target"}),
)
def test_conformance(check: Callable[[], None]) -> None:
    check()


# ---- the noise ----


def test_ties_are_never_cut_and_the_ends_of_the_ranking_reach_one_way() -> None:
    popularity = [9, 7, 5, 5, 5, 2, 1]  # the items 1 to 7
    assert matched(popularity, 1, 1) == {2}
    assert matched(popularity, 2, 1) == {1, 3, 4, 5}
    assert matched(popularity, 4, 1) == {3, 5}
    assert matched(popularity, 7, 2) == {3, 4, 5, 6}
    table = table_of(popularity)
    for item in range(1, 8):
        drawn = PopularityMatchedNoise(window=1).draw(table(torch.tensor([item])), torch.tensor([item]), table, drawing())
        assert int(drawn[0].argmax()) + 1 in matched(popularity, item, 1)


@given(popularity=counts, window=windows, seed=seeds)
@settings(deadline=None)
def test_noise_is_the_vector_of_an_item_of_about_the_same_popularity(popularity: list[int], window: int, seed: int) -> None:
    table, items = table_of(popularity), torch.arange(1, len(popularity) + 1).repeat(3)
    noise = PopularityMatchedNoise(window=window).draw(table(items), items, table, drawing(seed))
    assert torch.equal(noise.sum(1), torch.ones(len(items)))
    for item, drawn in zip(items.tolist(), (noise.argmax(1) + 1).tolist(), strict=True):
        assert drawn in matched(popularity, item, window)


def test_every_candidate_has_the_same_chance() -> None:
    popularity = [8, 8, 6, 4, 4, 3]
    table, items = table_of(popularity), torch.full((6000,), 3)
    noise = PopularityMatchedNoise(window=2).draw(table(items), items, table, drawing())
    share = noise.mean(0)
    assert share[2] == 0 and share[5] == 0
    assert torch.allclose(share[[0, 1, 3, 4]], torch.full((4,), 0.25), atol=0.03)


def test_the_mean_of_k_is_a_mean_of_k_vectors() -> None:
    table, items = table_of([3, 3, 3, 3]), torch.tensor([1, 2, 3, 4])
    noise = PopularityMatchedNoise(k=5).draw(table(items), items, table, drawing())
    assert torch.allclose(noise.sum(1), torch.ones(4)) and torch.allclose((noise * 5).round(), noise * 5, atol=1e-5)


def test_the_gradient_reaches_what_was_drawn_and_nothing_else() -> None:
    table, items = table_of([5, 4, 3, 2, 1]), torch.tensor([3])
    noise = PopularityMatchedNoise(k=2, window=1).draw(table(items).detach(), items, table, drawing())
    drawn = noise[0].detach()
    noise.sum().backward()  # type: ignore[no-untyped-call]
    assert table.weight.grad is not None
    assert torch.equal(table.weight.grad[:, 0], torch.cat([torch.zeros(1), drawn, torch.zeros(1)]))


def test_another_order_of_the_popular_is_seen_although_the_source_has_drawn_before() -> None:
    source, items = PopularityMatchedNoise(window=1), torch.ones(50, dtype=torch.int64)
    for popularity in ([9, 8, 1], [9, 1, 8]):
        table = table_of(popularity)
        assert set((source.draw(table(items), items, table, drawing()).argmax(1) + 1).tolist()) == matched(popularity, 1, 1)


def test_a_catalogue_of_one_item_has_nothing_to_make_noise_of() -> None:
    table = table_of([4])
    with pytest.raises(RecipeError, match="only one"):
        PopularityMatchedNoise().draw(table(torch.tensor([1])), torch.tensor([1]), table, drawing())


# ---- the negatives ----


@given(
    popularity=counts,
    window=windows,
    seed=seeds,
    histories=st.lists(st.lists(st.integers(1, 12), max_size=8), min_size=1, max_size=4),
    exclude=st.sampled_from(["target", "history"]),
    data=st.data(),
)
@settings(deadline=None)
def test_negatives_are_exactly_the_candidates_that_the_definition_leaves(
    popularity: list[int], window: int, seed: int, histories: list[list[int]], exclude: str, data: st.DataObject
) -> None:
    size = len(popularity)
    histories = [[item for item in one if item <= size] for one in histories]
    targets = [data.draw(st.integers(0, size), label="target") for _ in histories]
    allowed = []
    for target, history in zip(targets, histories, strict=True):
        barred = {target, *history} if exclude == "history" else {target}
        near = matched(popularity, target, window) - barred if target else set()
        allowed.append(near or set(range(1, size + 1)) - barred)
    sampler = PopularityMatchedItems(window=window, exclude=exclude)  # type: ignore[arg-type]
    evidence = evidence_of(popularity, targets, histories)
    if not all(allowed):
        with pytest.raises(SeqaugError, match="no item is left"):
            sampler.sample(evidence, 3, drawing(seed))
        return
    found = sampler.sample(evidence, MANY, drawing(seed))
    assert found.shape == (len(targets), MANY)
    for row, candidates in zip(found.tolist(), allowed, strict=True):
        assert set(row) == candidates  # at most 12 candidates: 400 draws leave none of them out but once in 10^14


def test_matched_negatives_by_hand() -> None:
    popularity = [9, 8, 8, 7, 2, 1]
    assert sampled(popularity, 2, [2, 5], window=1) == {1, 3}
    assert sampled(popularity, 2, [2, 1], window=1) == {3}
    assert sampled(popularity, 2, [2, 1], window=1, exclude="target") == {1, 3}
    # All that is as popular has been had: whatever has not, more popular or less.
    assert sampled(popularity, 2, [1, 2, 3, 4], window=1) == {5, 6}
    assert sampled(popularity, 6, [6, 5], window=1) == {1, 2, 3, 4}
    # No target: nothing to match.
    assert sampled(popularity, 0, [1, 2], window=1) == {3, 4, 5, 6}


def test_the_chances_are_equal_past_the_history() -> None:
    evidence = evidence_of([5, 5, 5, 5, 5], [2], [[4, 4, 2]])
    found = PopularityMatchedItems().sample(evidence, 9000, drawing())
    share = torch.bincount(found[0], minlength=6) / 9000
    assert torch.allclose(share, torch.tensor([0, 1 / 3, 0, 1 / 3, 0, 1 / 3]), atol=0.03)


def test_other_histories_are_seen_although_the_sampler_has_drawn_before() -> None:
    sampler, first = PopularityMatchedItems(), evidence_of([5, 5, 5], [1], [[2]])
    second = replace(first, histories=evidence_of([5, 5, 5], [1], [[3]]).histories)
    assert set(sampler.sample(first, 50, drawing())[0].tolist()) == {3}
    assert set(sampler.sample(second, 50, drawing())[0].tolist()) == {2}


def test_a_position_draws_the_same_whatever_follows_it_in_the_batch() -> None:
    popularity = [5, 4, 4, 3, 2, 1]
    alone = PopularityMatchedItems(window=2).sample(evidence_of(popularity, [3], [[1]]), 4, drawing())
    among = PopularityMatchedItems(window=2).sample(evidence_of(popularity, [3, 6, 1], [[1], [6, 2], [3]]), 4, drawing())
    assert torch.equal(alone[0], among[0])
