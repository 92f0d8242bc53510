"""What a file says before it becomes sequences: one row an action, in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .sequences import UserSequences

__all__ = ["Actions", "Duplicates", "Numbering", "keep_mask", "renumbered", "sequences_from"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Duplicates = Literal["keep", "first", "last"]
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Actions:
    """A rows in file order; users and items numbered from 0 by first appearance in the file.

    users, items: (A,) int64. times: (A,) int64 keys, or None where the file's order is the order of time.
    ratings: (A,) float64 where they were asked for. period: two keys, first and last, where one was asked for.
    """

    users: Ints
    items: Ints
    user_names: Sequence[str]
    item_names: Sequence[str]
    times: Ints | None = None
    ratings: NDArray[np.float64] | None = None
    period: tuple[int, int] | None = None

    def where(self, rows: Bools | Ints) -> Actions:
        """Only these rows, or the rows in this order."""
        return Actions(
            self.users[rows],
            self.items[rows],
            self.user_names,
            self.item_names,
            None if self.times is None else self.times[rows],
            None if self.ratings is None else self.ratings[rows],
            self.period,
        )

    def in_order(self) -> Actions:
        """Users together, each user's actions oldest first; actions of one moment stay in the order of the file."""
        if self.times is None or not len(self.users):
            return self.where(np.argsort(self.users, kind="stable"))
        earliest = int(self.times.min())
        span = int(self.times.max()) - earliest + 1
        if span * (int(self.users.max()) + 1) < 2**63:
            # User and time as one number: one sort in the place of two.
            return self.where(np.argsort(self.users * span + (self.times - earliest), kind="stable"))
        return self.where(np.lexsort((self.times, self.users)))


class Numbering:
    """Names to numbers from 0, by first appearance, over several chunks.

    Blanks around a name are not part of it. ValueError for a name that cannot be one: see `problem_with`.
    """

    LONGEST = 256

    def __init__(self) -> None:
        # Every text that has been seen, names among them.
        self._numbers: dict[str, int] = {}
        self.names: list[str] = []

    def of(self, column: Sequence[str]) -> Ints:
        """(len(column),) int64."""
        numbers = self._numbers
        for text in dict.fromkeys(column):
            if text not in numbers:
                self._enter(text)
        return np.fromiter(map(numbers.__getitem__, column), np.int64, len(column))

    def _enter(self, text: str) -> None:
        name = text.strip()
        if self.problem_with(name):
            raise ValueError(name)
        number = self._numbers.setdefault(name, len(self.names))
        if number == len(self.names):
            self.names.append(name)
        if text != name:
            self._numbers[text] = number

    @classmethod
    def problem_with(cls, name: str) -> str | None:
        """Why `name` cannot name a user or an item, or None."""
        if not name.strip():
            return "nothing"
        if len(name) > cls.LONGEST:
            return f"a name of {len(name)} characters"
        if CONTROL.search(name):
            return f"control characters in {name!r}"
        return None


def keep_mask(users: Ints, items: Ints, duplicates: Duplicates) -> Bools:
    """(A,) which actions stay when each user keeps the first or last action with each item. Rows oldest first."""
    if duplicates == "keep" or not len(items):
        return np.ones(len(items), dtype=np.bool_)
    pairs = users * (items.max() + 1) + items
    if duplicates == "last":
        pairs = pairs[::-1]
    stays = np.zeros(len(items), dtype=np.bool_)
    stays[np.unique(pairs, return_index=True)[1]] = True
    return stays[::-1] if duplicates == "last" else stays


def sequences_from(actions: Actions, titles: Mapping[str, str] | None = None) -> UserSequences:
    """Sequences of actions that are in order (`Actions.in_order`). Users in the file's order, items by first appearance."""
    counts = np.bincount(actions.users, minlength=len(actions.user_names))
    present = np.flatnonzero(counts)
    counts = counts[present]
    return renumbered(
        UserSequences(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items=actions.items + 1,
            user_ids=np.asarray([actions.user_names[user] for user in present.tolist()], dtype=np.str_),
            item_ids=np.asarray(["", *actions.item_names], dtype=np.str_),
            titles=titles or {},
        )
    )


def renumbered(sequences: UserSequences) -> UserSequences:
    """The same with items numbered by first appearance, user by user; items that nobody has leave.

    So one data set has one numbering, whichever file it was read from: initial weights depend on it.
    """
    first = np.full(sequences.num_items + 1, sequences.num_actions, dtype=np.int64)
    np.minimum.at(first, sequences.items, np.arange(sequences.num_actions))
    distinct = np.flatnonzero(first < sequences.num_actions)
    order = distinct[np.argsort(first[distinct])]
    number = np.zeros(sequences.num_items + 1, dtype=np.int64)
    number[order] = np.arange(1, len(order) + 1)
    item_ids = sequences.item_ids[np.concatenate([np.zeros(1, np.int64), order])]
    names = set(item_ids.tolist()) if sequences.titles else set()
    return UserSequences(
        offsets=sequences.offsets,
        items=number[sequences.items],
        user_ids=sequences.user_ids,
        item_ids=item_ids,
        titles={name: title for name, title in sequences.titles.items() if name in names},
    )
