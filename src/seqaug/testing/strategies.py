"""Hypothesis strategies: layouts, batches and evidences of any shape, for properties of plugins.

    from hypothesis import given
    from seqaug.testing.strategies import evidences

    @given(evidences())
    def test_only_real_positions_are_selected(evidence): ...

Needs hypothesis (`pip install "seqaug[testing]"`). Examples shrink towards one sequence of one item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies
from hypothesis.strategies import SearchStrategy

from ..core.items import ItemScores
from ..core.views import Evidence
from ..data.batch import Batch
from ..data.layout import Layout
from ..data.split import Histories

__all__ = ["batches", "evidences", "layouts"]


def layouts(*, max_sequences: int = 6, max_length: int = 12) -> SearchStrategy[Layout]:
    """Shapes of 1 to max_sequences sequences of 1 to max_length positions."""
    lengths = strategies.lists(strategies.integers(1, max_length), min_size=1, max_size=max_sequences)
    return lengths.map(Layout.of)


@strategies.composite
def batches(
    draw: Callable[[SearchStrategy[Any]], Any],
    *,
    num_items: int = 20,
    max_sequences: int = 6,
    max_length: int = 12,
    targets: bool = True,
) -> Batch:
    """Batches of ids in 1..num_items; row and user of each sequence are its place. targets: ids as well, else all 0."""
    layout = draw(layouts(max_sequences=max_sequences, max_length=max_length))
    items = draw(_ids(layout, 1, num_items))
    follows = draw(_ids(layout, 1, num_items)) if targets else torch.zeros_like(items)
    rows = torch.arange(layout.num_sequences)
    return Batch(rows, rows.clone(), layout, items, follows, None if targets else torch.zeros(0, dtype=torch.int64))


@strategies.composite
def evidences(
    draw: Callable[[SearchStrategy[Any]], Any], *, num_items: int = 20, max_sequences: int = 6, max_length: int = 12
) -> Evidence:
    """All that selectors and samplers may know of such a batch.

    A user's history is what stands in the sequence and its last target. Some positions have no target (0), some are corrupted.
    The scores are distinct whole numbers, no two of a position equal.
    """
    batch = draw(batches(num_items=num_items, max_sequences=max_sequences, max_length=max_length))
    layout = batch.layout
    known = torch.tensor(draw(_flags(layout.num_positions)))
    corrupted = torch.tensor(draw(_flags(layout.num_positions)))
    offsets = layout.offsets + torch.arange(layout.num_sequences + 1)
    histories = torch.empty(layout.num_positions + layout.num_sequences, dtype=torch.int64)
    histories[torch.arange(layout.num_positions) + layout.sequence] = batch.items
    histories[offsets[1:] - 1] = batch.targets[layout.last()]
    order = torch.Generator()
    order.manual_seed(draw(strategies.integers(0, 2**31)))
    scores = torch.argsort(torch.rand((layout.num_positions, num_items), generator=order), dim=1).float()
    return Evidence(
        layout=layout,
        users=batch.users,
        items=batch.items,
        targets=torch.where(known, batch.targets, 0),
        histories=Histories(offsets, histories, num_items),
        popularity=torch.bincount(histories, minlength=num_items + 1),
        num_items=num_items,
        corrupted=corrupted,
        ask_scores=lambda: ItemScores.dense(scores),
    )


def _ids(layout: Layout, low: int, high: int) -> SearchStrategy[torch.Tensor]:
    count = layout.num_positions
    return strategies.lists(strategies.integers(low, high), min_size=count, max_size=count).map(
        lambda ids: torch.tensor(ids, dtype=torch.int64)
    )


def _flags(count: int) -> SearchStrategy[list[bool]]:
    return strategies.lists(strategies.booleans(), min_size=count, max_size=count)
