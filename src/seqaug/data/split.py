"""Leave-one-out: a user's last item is the test, the one before it the validation, the rest is training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .batch import Batch
from .context import in_front
from .layout import Layout
from .sequences import UserSequences

__all__ = ["HeldOut", "Histories", "Split", "leave_one_out"]


class Histories:
    """Items of every user in CSR form: a training history, or what a scorer is given. Immutable.

    offsets: (U + 1,) int64, items: (actions,) int64 ids in 1..V, both on `device`.
    """

    def __init__(self, offsets: Tensor, items: Tensor, num_items: int) -> None:
        self.offsets = offsets
        self.items = items
        self.num_items = num_items
        self._keys: Tensor | None = None

    @property
    def num_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Tensor:
        """(U,)"""
        return self.offsets[1:] - self.offsets[:-1]

    def of(self, user: int) -> Tensor:
        """The items of one user, oldest first."""
        return self.items[int(self.offsets[user]) : int(self.offsets[user + 1])]

    def contains(self, users: Tensor, items: Tensor) -> Tensor:
        """users (n,), items (n, m) -> (n, m) bool: whether the user's history has the item."""
        if self._keys is None:
            owner = torch.repeat_interleave(torch.arange(self.num_users, device=self.items.device), self.lengths)
            self._keys = torch.sort(owner * (self.num_items + 1) + self.items).values
        if not len(self._keys):
            return torch.zeros_like(items, dtype=torch.bool)
        wanted = users[:, None] * (self.num_items + 1) + items
        place = torch.searchsorted(self._keys, wanted).clamp(max=len(self._keys) - 1)
        return self._keys[place] == wanted

    def to(self, device: torch.device | str) -> Histories:
        device = torch.device(device)
        if device == self.items.device:
            return self
        return Histories(self.offsets.to(device), self.items.to(device), self.num_items)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What a scorer is asked, and what came next.

    users: (R,) rows in the data. inputs: the full histories in that order. targets: (R,) ids in 1..V.
    """

    users: Tensor
    inputs: Histories
    targets: Tensor

    def batches(self, batch_size: int, max_length: int, context: Tensor | None = None) -> Iterator[tuple[slice, Batch]]:
        """The histories cut to their latest `max_length` items, `batch_size` at a time in the order of `users`, without
        targets. context: (U, M) ids, 0 for none, on the host, which stand in front of each user's history.
        """
        lengths = self.inputs.lengths
        for start in range(0, len(self.users), batch_size):
            part = slice(start, min(start + batch_size, len(self.users)))
            kept = lengths[part].clamp(max=max_length)
            layout = Layout.of(kept)
            begin = self.inputs.offsets[part.start + 1 : part.stop + 1] - kept
            items = self.inputs.items[torch.repeat_interleave(begin, kept) + layout.from_start]
            if context is not None:
                layout, items, _ = in_front(context[self.users[part]], layout, items, max_length)
            yield (
                part,
                Batch(
                    rows=torch.arange(part.start, part.stop),
                    users=self.users[part],
                    layout=layout,
                    items=items,
                    targets=torch.zeros(len(items), dtype=torch.int64),
                    predicted=torch.zeros(0, dtype=torch.int64),
                ),
            )


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A data set in its three parts. `train` holds s_1..s_{n-2} of every user, whoever it is."""

    sequences: UserSequences
    train: Histories
    valid: HeldOut
    test: HeldOut

    @property
    def popularity(self) -> Tensor:
        """(V + 1,) training actions per item; 0 at index 0 and for items that only validation or test have."""
        return torch.bincount(self.train.items, minlength=self.sequences.num_items + 1)


def leave_one_out(sequences: UserSequences) -> Split:
    """Split every user's s_1..s_n: train s_1..s_{n-2}, validation s_{n-1} after s_1..s_{n-2}, test s_n after s_1..s_{n-1}.

    The n-th *occurrence* is held out, not the item: a repeat stays in the history. Raises DataError where a user has
    fewer than 3 items (readers drop and count such users).
    """
    lengths = sequences.lengths
    if not len(lengths):
        raise DataError("no user is left: nothing can be split into training, validation and test.")
    if lengths.min() < 3:
        short = int((lengths < 3).sum())
        raise DataError(f"{short} users have fewer than 3 items; each needs one to train on, one to validate and one to test.")

    def up_to(held_back: int) -> Histories:
        # A mask, not indices: those would take eight times the memory of what they choose.
        stays = np.ones(sequences.num_actions, dtype=np.bool_)
        for back in range(1, held_back + 1):
            stays[sequences.offsets[1:] - back] = False
        offsets = sequences.offsets - held_back * np.arange(len(sequences.offsets))
        return Histories(torch.from_numpy(offsets), torch.from_numpy(sequences.items[stays]), sequences.num_items)

    def last_but(back: int) -> Tensor:
        return torch.from_numpy(sequences.items[sequences.offsets[1:] - 1 - back])

    users = torch.arange(sequences.num_users)
    train = up_to(2)
    return Split(
        sequences=sequences,
        train=train,
        valid=HeldOut(users, train, last_but(1)),
        test=HeldOut(users, up_to(1), last_but(0)),
    )
