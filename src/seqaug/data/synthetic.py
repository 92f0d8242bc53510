"""The toy world: small, seeded, and learnable by anything that looks at the order of items."""

from __future__ import annotations

import numpy as np

from .sequences import UserSequences

__all__ = ["toy_world"]


def toy_world(num_users: int = 200, num_items: int = 300, max_length: int = 50, seed: int = 0) -> UserSequences:
    """Users who walk through a shop whose items form cycles.

    Items lie on rings of 10; a user stays on one ring for a while, going to the next item with probability 0.8 and to a
    random one of the
    ring otherwise, and changes ring with probability 0.1. Popularity says little (rings are equally likely), the last item says
    a lot. Lengths are spread over 3..max_length + 5, so that rows of one item and rows longer than max_length both occur,
    and every
    item occurs as long as there are about 5 actions an item.
    """
    draw = np.random.default_rng(seed)
    ring = 10
    rings = max(num_items // ring, 1)
    lengths = np.round(3 + (max_length + 2) * draw.random(num_users) ** 2).astype(int)
    lengths[: min(num_users, 4)] = [3, 4, max_length + 3, max_length + 5][: min(num_users, 4)]
    histories = []
    for user, length in enumerate(lengths):
        where, place, items = int(draw.integers(rings)), int(draw.integers(ring)), []
        for _ in range(length):
            items.append(str(min(where * ring + place, num_items - 1) + 1))
            if draw.random() < 0.1:
                where = int(draw.integers(rings))
            place = (place + 1) % ring if draw.random() < 0.8 else int(draw.integers(ring))
        histories.append((str(user + 1), items))
    return UserSequences.from_lists(histories)
