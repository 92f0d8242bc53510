"""The floors, against naive loops over dictionaries and sets."""

from __future__ import annotations

import warnings
from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from builtin.worlds import drawing
from seqaug.builtin import floors
from seqaug.builtin.floors import ItemKnn, PopularityScorer
from seqaug.core.assembly import Assembly
from seqaug.core.items import ItemScores, ItemTable
from seqaug.core.recommender import Recommender
from seqaug.data.batch import Batch
from seqaug.data.layout import Layout
from seqaug.data.split import Histories, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.ranking import rank_held_out

NUM_ITEMS = 9
histories = st.lists(st.lists(st.integers(1, NUM_ITEMS), min_size=1, max_size=8), min_size=1, max_size=8)


def known(sequences: list[list[int]], num_items: int = NUM_ITEMS) -> Histories:
    offsets = torch.tensor([0, *map(len, sequences)]).cumsum(0)
    return Histories(offsets, torch.tensor([item for one in sequences for item in one]), num_items)


def asked(sequences: list[list[int]]) -> Batch:
    items = torch.tensor([item for one in sequences for item in one])
    rows = torch.arange(len(sequences))
    nothing = torch.zeros(0, dtype=torch.int64)
    return Batch(rows, rows, Layout.of([len(one) for one in sequences]), items, torch.zeros_like(items), nothing)


def model(num_items: int = NUM_ITEMS, popularity: Tensor | None = None, max_length: int = 50) -> Recommender:
    return Recommender(ItemTable(num_items, 4, popularity=popularity), encoders={}, max_length=max_length)


def written(scores: ItemScores) -> Tensor:
    """All of them, (B, V)."""
    ids, values = scores.top(scores.num_items)
    return torch.zeros_like(values).scatter(1, ids - 1, values)


def scored(train: list[list[int]], given_to: list[list[int]], **options: Any) -> Tensor:
    scorer = ItemKnn(**options)
    scorer.know(known(train))
    return written(scorer.score(model(), asked(given_to), drawing()))


def naive(
    train: list[list[int]],
    history: list[int],
    *,
    similarity: str = "cosine",
    neighbours: int | None = 100,
    latest: int | None = 10,
    decay: float = 0.8,
    damping: float = 20.0,
) -> list[float]:
    """The docstring of `ItemKnn`, loop by loop."""
    baskets = [set(one) for one in train]
    had = Counter(item for one in baskets for item in one)

    def similar(i: int, j: int) -> float:
        both = sum(i in one and j in one for one in baskets)
        if i == j or similarity == "count":
            return float(both) if i != j else 0.0
        return both / ((had[i] + damping) * (had[j] + damping)) ** 0.5 if both else 0.0

    scores = [0.0] * NUM_ITEMS
    for age, j in enumerate(reversed(history)):
        if latest is not None and age >= latest:
            break
        near = [i for i in range(1, NUM_ITEMS + 1) if similar(i, j) > 0]
        near.sort(key=lambda i: (-similar(i, j), i))
        for i in near[:neighbours]:
            scores[i - 1] += decay**age * similar(i, j)
    return scores


# ---- popularity ----


def test_popularity_scores_every_item_by_its_training_actions() -> None:
    train = known([[1, 2, 2], [2, 3], [9]])
    counts = torch.bincount(train.items, minlength=NUM_ITEMS + 1)
    found = written(PopularityScorer().score(model(popularity=counts), asked([[5], [1, 2, 3]]), drawing()))
    assert found.tolist() == [[1, 3, 1, 0, 0, 0, 0, 0, 1]] * 2


def test_equal_counts_are_ties_to_the_targets_harm() -> None:
    counts = torch.tensor([0, 4, 2, 2, 2, 0, 0, 0, 0, 1])
    scores = PopularityScorer().score(model(popularity=counts), asked([[1], [1], [1]]), drawing())
    assert scores.rank_of(torch.tensor([1, 3, 5]))[0].tolist() == [1, 4, 9]


def test_ranks_by_popularity_are_those_of_a_sort() -> None:
    split = leave_one_out(toy_world(80, 60, 12))
    scorer = PopularityScorer()
    made = Assembly(model(split.sequences.num_items, split.popularity, 12), {}, (), scorer, {"scorer": scorer})
    found = rank_held_out(made, split.test, seed=0)
    counts = split.popularity.tolist()
    for user, target, rank, unseen in zip(found.users, found.targets, found.rank, found.rank_unseen, strict=True):
        others = [count for item, count in enumerate(counts) if item > 0 and item != target]
        assert rank == 1 + sum(count >= counts[target] for count in others)
        seen = set(split.test.inputs.of(int(user)).tolist())
        fresh = [count for item, count in enumerate(counts) if item > 0 and item != target and item not in seen]
        expected = 1 + sum(count >= counts[target] for count in fresh)
        assert unseen == (expected if target not in seen else split.sequences.num_items + 1)


# ---- item_knn ----


@settings(deadline=None, max_examples=60)
@given(
    train=histories,
    asked_for=histories,
    similarity=st.sampled_from(["cosine", "count"]),
    neighbours=st.sampled_from([None, 1, 2, 100]),
    latest=st.sampled_from([None, 1, 3]),
    decay=st.sampled_from([1.0, 0.5]),
    damping=st.sampled_from([0.0, 20.0]),
)
def test_the_scores_are_those_of_the_naive_loop(train: list[list[int]], asked_for: list[list[int]], **options: Any) -> None:
    expected = torch.tensor([naive(train, history, **options) for history in asked_for])
    torch.testing.assert_close(scored(train, asked_for, **options), expected, rtol=1e-5, atol=1e-6)


def test_two_items_of_one_user_are_worth_what_the_formula_says() -> None:
    """n(1, 2) = 2 of n(1) = 2 and n(2) = 3 users."""
    train = [[1, 2], [2, 1, 1], [2, 3]]
    assert scored(train, [[1]], damping=0.0)[0, 1].item() == pytest.approx(2 / 6**0.5)
    assert scored(train, [[1]], damping=20.0)[0, 1].item() == pytest.approx(2 / (22 * 23) ** 0.5)
    assert scored(train, [[1]], similarity="count")[0].tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0]


def test_the_weight_of_a_vote_falls_with_its_age() -> None:
    train = [[1, 2], [3, 4], [5, 6]]
    found = scored(train, [[5, 3, 1]], similarity="count", decay=0.5, latest=None)[0]
    assert found.tolist() == [0, 1, 0, 0.5, 0, 0.25, 0, 0, 0]
    assert scored(train, [[5, 3, 1]], similarity="count", decay=0.5, latest=2)[0, 5] == 0


def test_an_item_does_not_vote_for_itself() -> None:
    assert scored([[1, 2]], [[1]])[0, 0] == 0


def test_equally_similar_neighbours_are_kept_in_the_order_of_their_ids() -> None:
    train = [[5, 9, 7, 3, 1]]
    assert scored(train, [[5]], neighbours=2)[0].nonzero().flatten().tolist() == [0, 2]


def test_an_item_that_nobody_had_gets_and_gives_no_vote() -> None:
    assert not scored([[1, 2]], [[8]]).any()


def test_only_the_training_part_is_counted() -> None:
    split = leave_one_out(toy_world(60, 40, 10))
    scorer = ItemKnn(neighbours=None, similarity="count")
    scorer.know(split.train)
    pairs = {(i, j) for one in range(split.train.num_users) for i in set(split.train.of(one).tolist())
             for j in set(split.train.of(one).tolist()) if i != j}  # fmt: skip
    assert scorer._similar is not None
    assert set(map(tuple, scorer._similar.indices().t().tolist())) == pairs


@pytest.mark.parametrize("pairs", [1, 50, 2**22])
def test_the_neighbours_do_not_depend_on_how_many_pairs_are_looked_at_at_once(
    monkeypatch: pytest.MonkeyPatch, pairs: int
) -> None:
    split = leave_one_out(toy_world(80, 60, 12))
    whole, parts = ItemKnn(neighbours=7), ItemKnn(neighbours=7)
    whole.know(split.train)
    monkeypatch.setattr(floors, "PAIRS", pairs)
    parts.know(split.train)
    assert whole._similar is not None and parts._similar is not None
    assert torch.equal(whole._similar.to_dense(), parts._similar.to_dense())


def test_scores_do_not_depend_on_the_batch_to_the_last_bit() -> None:
    split = leave_one_out(toy_world(80, 60, 12))
    scorer = ItemKnn()
    scorer.know(split.train)
    small = model(split.sequences.num_items, split.popularity, 12)
    (_, whole), *_ = split.test.batches(1024, 12)
    together = written(scorer.score(small, whole, drawing()))
    alone = [written(scorer.score(small, batch, drawing())) for _, batch in split.test.batches(1, 12)]
    assert torch.equal(together, torch.cat(alone))


def test_sums_are_exact() -> None:
    """Sums of rounded similarities times rounded votes are fractions that float64 holds."""
    split = leave_one_out(toy_world(80, 60, 12))
    scorer = ItemKnn(decay=0.7)
    scorer.know(split.train)
    assert scorer._similar is not None
    similar = scorer._similar.to_dense()
    for _, batch in split.test.batches(1, 12):
        total = [Fraction(0)] * (len(similar) - 1)
        for age, j in enumerate(reversed(batch.items.tolist()[-10:])):
            vote = Fraction(round(0.7**age * 2**16), 2**16)
            total = [one + vote * Fraction(float(similar[j, i + 1])) for i, one in enumerate(total)]
        found = written(scorer.score(model(60, max_length=12), batch, drawing()))
        assert found[0].tolist() == [torch.tensor(float(one), dtype=torch.float64).float().item() for one in total]


def test_no_more_than_the_neighbours_is_kept_and_never_the_square_of_the_catalogue() -> None:
    train = [[item, item % 500 + 1, 500] for item in range(1, 500)]
    scorer = ItemKnn(neighbours=5)
    scorer.know(known(train, num_items=500))
    assert scorer._similar is not None and scorer._similar.is_sparse
    assert scorer._similar.indices()[0].bincount().max() <= 5


def test_before_it_knows_the_histories_it_has_no_scores() -> None:
    with pytest.raises(AssertionError, match="knows"):
        ItemKnn().score(model(), asked([[1]]), drawing())


def test_nobody_is_warned_of_what_torch_does_inside() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored([[1, 2], [2, 3]], [[1], [2, 3]])
