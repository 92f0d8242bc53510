"""Who asks the whole catalogue, and how much they write down at once: a few rows of scores, however many rows are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from seqaug.builtin.noise_sources import SimilarityNoise
from seqaug.core.items import CHUNK_BYTES, LEAST_ROWS, ItemScores, ItemTable
from seqaug.data.sequences import UserSequences
from seqaug.data.split import Split, leave_one_out
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.assemble import assembly_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan

ITEMS, DIM = 300_000, 4
# 16 rows of 300,000 scores are more than the budget of a chunk: that many are held at once, and no more.
CHUNK = LEAST_ROWS * ITEMS * 4


class Largest(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation returns."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for one in made if isinstance(made, tuple) else (made,):
            if isinstance(one, Tensor):
                self.bytes = max(self.bytes, one.numel() * one.element_size())
        return made


def largest(work: Callable[[], object]) -> int:
    with Largest() as watched:
        work()
    return watched.bytes


def world(users: int) -> Split:
    """Users with five random items each, over a catalogue of which most items have no action."""
    items = np.random.default_rng(0).integers(1, ITEMS + 1, 5 * users)
    names = np.arange(ITEMS + 1).astype(np.str_)
    return leave_one_out(UserSequences(np.arange(0, 5 * users + 1, 5), items, np.arange(users).astype(np.str_), names, {}))


def test_a_chunk_of_so_many_items_is_as_wide_as_the_fewest_rows() -> None:
    assert CHUNK > CHUNK_BYTES["cpu"]


@pytest.mark.parametrize("rows", [20, 120])
def test_the_neighbours_of_some_items_need_one_chunk_of_scores_however_many_they_are(rows: int) -> None:
    table = ItemTable(ITEMS, DIM)
    asked = torch.arange(1, rows + 1)
    assert largest(lambda: SimilarityNoise(k=5).neighbours(asked, table)) == CHUNK


@pytest.mark.parametrize("rows", [20, 120])
def test_the_loss_over_all_items_needs_one_chunk_of_scores_however_many_positions_there_are(rows: int) -> None:
    table = ItemTable(ITEMS, DIM)
    hidden = torch.randn(rows, DIM, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def step() -> None:
        ItemScores(hidden, table).nll(torch.arange(1, rows + 1)).backward()  # type: ignore[no-untyped-call]

    assert largest(step) == CHUNK


@pytest.mark.parametrize("rows", [20, 120])
def test_ranking_needs_one_chunk_of_scores_however_many_users_there_are(rows: int) -> None:
    split = world(rows)
    plan = make_plan(load_recipe("sasrec"), data=None, patches=[Patch("items.dim", DIM, "test")])
    made = assembly_of(plan, split, seed=0)
    assert largest(lambda: rank_held_out(made, split.test, seed=0)) == CHUNK
