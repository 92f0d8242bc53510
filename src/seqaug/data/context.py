"""Made-up items in front of real ones."""

from __future__ import annotations

import torch
from torch import Tensor

from .layout import Layout

__all__ = ["in_front"]


def in_front(context: Tensor, layout: Layout, items: Tensor, max_length: int) -> tuple[Layout, Tensor, Tensor]:
    """Put each sequence's context before it, as much of its latest part as `max_length` has room for. On the host.

    context: (B, M) ids, oldest first, 0 for none. items: (N,) with `layout`, no sequence longer than max_length.
    -> the new layout, its items (N',), and the places (N,) in it where the real items now stand.
    """
    given = context > 0
    latest = given.flip(1).cumsum(1).flip(1)  # how many are still to come, this one included
    kept = torch.minimum(given.sum(1), max_length - layout.lengths)
    stays = given & (latest <= kept[:, None])
    longer = Layout.of(layout.lengths + kept)
    places = (longer.first() + kept)[layout.sequence] + layout.from_start
    made_up = torch.ones(longer.num_positions, dtype=torch.bool)
    made_up[places] = False
    read = torch.empty(longer.num_positions, dtype=items.dtype)
    read[places] = items
    read[made_up] = context[stays].to(items.dtype)
    return longer, read, places
