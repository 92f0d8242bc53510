"""Full ranking and its metrics: hand-written fractions, invariances, and the bounds that no table may break."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from seqaug.core.assembly import Assembly
from seqaug.core.heap import SLACK, give_back, resident
from seqaug.core.recommender import Recommender
from seqaug.data.batch import Batch
from seqaug.data.sequences import UserSequences
from seqaug.data.split import HeldOut, Histories, Split, leave_one_out
from seqaug.errors import Diverged
from seqaug.evaluation.metrics import METRICS, metrics, per_user
from seqaug.evaluation.ranking import rank_held_out

from ..small import assembly, toy_split


@pytest.mark.parametrize(
    ("rank", "expected"),
    [
        (1, {"hr@5": 1, "ndcg@5": 1, "mrr@5": 1}),
        (3, {"hr@5": 1, "ndcg@5": 0.5, "mrr@5": 1 / 3}),
        (5, {"hr@5": 1, "ndcg@5": 0.3869, "mrr@5": 0.2}),
        (10, {"hr@10": 1, "hr@5": 0, "ndcg@10": 0.2891, "ndcg@5": 0, "mrr@10": 0.1}),
        (11, {"hr@10": 0, "ndcg@10": 0, "mrr@10": 0, "hr@20": 1}),
        (21, dict.fromkeys(METRICS, 0)),
    ],
)
def test_metrics_of_one_rank_are_the_hand_written_ones(rank: int, expected: dict[str, float]) -> None:
    found = metrics(np.array([rank]))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=5e-5)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=50))
def test_no_set_of_ranks_breaks_the_bounds_between_the_metrics(ranks: list[int]) -> None:
    found = metrics(np.array(ranks))
    hits = found["hr@10"] - found["hr@5"]
    assert found["ndcg@10"] - found["ndcg@5"] <= hits / math.log2(7) + 1e-12
    assert found["ndcg@10"] - found["ndcg@5"] >= hits / math.log2(11) - 1e-12
    assert found["hr@5"] / math.log2(6) - 1e-12 <= found["ndcg@5"] <= found["hr@5"] + 1e-12
    assert found["hr@5"] <= found["hr@10"] <= found["hr@20"]
    assert all(found[name] == pytest.approx(per_user(np.array(ranks), name).mean()) for name in METRICS)


class Fixed:
    """Scores every history by a function of it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def score(self, model: Recommender, histories: Batch, generator: torch.Generator) -> Tensor:
        return self.answer(histories)  # type: ignore[operator, no-any-return]


def with_scorer(split: Split, answer: object) -> Assembly:
    made = assembly(split)
    return Assembly(made.model, {}, made.stages, Fixed(answer), {})


def test_a_constant_scorer_hits_nothing() -> None:
    split = toy_split()
    made = with_scorer(split, lambda histories: torch.zeros(histories.size, split.sequences.num_items))
    ranks = rank_held_out(made, split.test, seed=0)
    assert metrics(ranks.rank)["hr@20"] == 0


def test_a_random_scorer_hits_about_ten_in_v() -> None:
    split = toy_split(num_users=2000, num_items=200)
    generator = torch.Generator().manual_seed(0)
    made = with_scorer(split, lambda histories: torch.rand(histories.size, split.sequences.num_items, generator=generator))
    expected = 10 / split.sequences.num_items
    assert metrics(rank_held_out(made, split.test, seed=0).rank)["hr@10"] == pytest.approx(expected, rel=0.35)


def test_a_nan_score_is_an_error() -> None:
    split = toy_split()
    made = with_scorer(split, lambda histories: torch.full((histories.size, split.sequences.num_items), math.nan))
    with pytest.raises(Diverged):
        rank_held_out(made, split.test, seed=0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is asked to hand memory back")
def test_ranking_hands_back_what_scoring_has_left_free_on_the_heap() -> None:
    split = toy_split()
    kept: list[bytearray] = []
    grown: list[int] = []

    def answer(histories: Batch) -> Tensor:
        # Every second block stays, and blocks are larger each time, so that the holes between them are of no use.
        blocks = [bytearray(b"x") * (65_536 + 8_192 * len(grown)) for _ in range(1_536)]
        kept.extend(blocks[::2])
        grown.append((resident() or 0) - begin)
        return torch.zeros(histories.size, split.sequences.num_items)

    give_back()
    begin = resident() or 0
    rank_held_out(with_scorer(split, answer), split.test, seed=0, batch_size=-(-len(split.test.users) // 6))
    assert max(grown) > grown[0] + SLACK, "it has not grown so far that anybody had to look after it"
    assert (resident() or 0) - begin < SLACK and len(kept) == 6 * 768


def perfect(split: Split) -> Assembly:
    def answer(histories: Batch) -> Tensor:
        scores = torch.zeros(histories.size, split.sequences.num_items)
        scores[torch.arange(histories.size), split.test.targets[histories.users] - 1] = math.inf
        return scores

    return with_scorer(split, answer)


def test_a_perfect_scorer_gets_everything_but_the_repeats_once_seen_items_are_removed() -> None:
    """Two of four users come back to an item they had: with seen items removed it cannot be reached."""
    data = UserSequences.from_lists([("a", "1234"), ("b", "1251"), ("c", "3453"), ("d", "4512")])
    split = leave_one_out(data)
    ranks = rank_held_out(perfect(split), split.test, seed=0)
    assert ranks.rank.tolist() == [1, 1, 1, 1]
    assert ranks.rank_unseen.tolist() == [1, data.num_items + 1, data.num_items + 1, 1]


def test_seen_items_are_those_of_the_whole_history_not_of_its_kept_end() -> None:
    data = UserSequences.from_lists([("a", [str(item) for item in range(30)]), ("b", "0 1 2".split())])
    split = leave_one_out(data)
    made = with_scorer(split, lambda histories: torch.zeros(histories.size, 30))
    ranks = rank_held_out(made, split.test, seed=0)
    assert made.model.max_length == 10
    assert ranks.rank.tolist() == [30, 30]
    assert ranks.rank_unseen.tolist() == [1, 28]


def test_without_repeats_removing_seen_items_helps_every_user() -> None:
    draw = np.random.default_rng(0)
    data = UserSequences.from_lists(
        (str(u), [str(i) for i in draw.permutation(60)[: draw.integers(3, 20)]]) for u in range(200)
    )
    split = leave_one_out(data)
    ranks = rank_held_out(assembly(split), split.test, seed=0)
    assert (ranks.rank_unseen <= ranks.rank).all()
    assert (ranks.rank_unseen < ranks.rank).any()


def trained_enough(split: Split) -> Assembly:
    made = assembly(split)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def test_ranks_do_not_depend_on_batch_size_or_on_the_order_of_users() -> None:
    split = toy_split(num_users=150)
    made = trained_enough(split)
    whole = rank_held_out(made, split.test, seed=0)
    for batch_size in (1, 7, 64):
        assert np.array_equal(rank_held_out(made, split.test, seed=0, batch_size=batch_size).rank, whole.rank)
    order = torch.randperm(150)
    lists = [split.test.inputs.of(int(row)) for row in order]
    offsets = torch.tensor([0, *map(len, lists)]).cumsum(0)
    shuffled = HeldOut(
        split.test.users[order], Histories(offsets, torch.cat(lists), split.test.inputs.num_items), split.test.targets[order]
    )
    again = rank_held_out(made, shuffled, seed=0)
    assert np.array_equal(again.rank, whole.rank[order.numpy()])
    assert np.array_equal(again.rank_unseen, whole.rank_unseen[order.numpy()])


def test_ranks_equal_a_brute_force_sort() -> None:
    split = toy_split()
    made = trained_enough(split)
    found = rank_held_out(made, split.test, seed=0)
    ((_, batch),) = split.test.batches(1000, 10)
    model = made.model.eval()
    hidden = model.encode(model.items(batch.items), batch.layout)[batch.layout.last()]
    scores = (hidden @ model.items.catalogue.t()).detach().numpy()
    for row in range(len(scores)):
        order = np.argsort(-scores[row], kind="stable") + 1
        assert found.rank[row] == int(np.flatnonzero(order == int(split.test.targets[row]))[0]) + 1


def test_an_evaluation_leaves_the_model_in_training_mode_as_it_was() -> None:
    split = toy_split()
    made = assembly(split)
    made.model.train()
    rank_held_out(made, split.test, seed=0)
    assert made.model.training
