"""Who consumed what, in which order: the one form in which data enters seqaug."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

__all__ = ["Statistics", "UserSequences", "num_repeats"]

Ints = NDArray[np.int64]
Strings = NDArray[np.str_]
USERS_AT_ONCE = 1 << 14


@dataclass(frozen=True, slots=True)
class Statistics:
    """The counts by which a data set is recognised. `sparsity` is a share in 0..1; lengths count actions."""

    users: int
    items: int
    actions: int
    average_length: float
    median_length: float
    shortest: int
    longest: int
    sparsity: float
    repeats: int


@dataclass(frozen=True)
class UserSequences:
    """Every user's items, oldest first, in one flat run (CSR). Immutable.

    offsets: (U + 1,) int64, the run of user u is items[offsets[u]:offsets[u + 1]].
    items: (actions,) int64 ids in 1..V; 0 is never an item.
    user_ids: (U,) the names the source gave; item_ids: (V + 1,) likewise, with "" at 0.
    titles: item name -> title, where the source has one.
    """

    offsets: Ints
    items: Ints
    user_ids: Strings
    item_ids: Strings
    titles: Mapping[str, str]

    def __post_init__(self) -> None:
        assert self.offsets.ndim == 1 and self.offsets[0] == 0 and self.offsets[-1] == len(self.items)
        assert len(self.user_ids) == len(self.offsets) - 1
        assert not len(self.items) or (self.items.min() >= 1 and self.items.max() < len(self.item_ids))
        for array in (self.offsets, self.items, self.user_ids, self.item_ids):
            array.setflags(write=False)

    @classmethod
    def from_lists(
        cls, histories: Iterable[tuple[str, Sequence[str]]], titles: Mapping[str, str] | None = None
    ) -> UserSequences:
        """From (user, items oldest first) pairs with names as the source writes them.

        Items are numbered 1..V by first appearance, users by their order.
        """
        numbers: dict[str, int] = {}
        users: list[str] = []
        flat: list[int] = []
        offsets = [0]
        for user, history in histories:
            users.append(str(user))
            flat.extend(numbers.setdefault(str(item), len(numbers) + 1) for item in history)
            offsets.append(len(flat))
        return cls(
            offsets=np.asarray(offsets, dtype=np.int64),
            items=np.asarray(flat, dtype=np.int64),
            user_ids=np.asarray(users, dtype=np.str_),
            item_ids=np.asarray(["", *numbers], dtype=np.str_),
            titles=dict(titles or {}),
        )

    @classmethod
    def from_pairs(cls, users: Strings, items: Strings, titles: Mapping[str, str] | None = None) -> UserSequences:
        """From one row an action, already in the order of time (stable), users in any interleaving.

        Users and items are numbered by first appearance.
        """
        user_names, user_number = _numbered(users)
        item_names, item_number = _numbered(items)
        order = np.argsort(user_number, kind="stable")
        counts = np.bincount(user_number, minlength=len(user_names)) if len(user_names) else np.zeros(0, np.int64)
        return cls(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items=(item_number[order] + 1).astype(np.int64),
            user_ids=user_names,
            item_ids=np.concatenate([np.asarray([""], dtype=np.str_), item_names]),
            titles=dict(titles or {}),
        )

    @property
    def num_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_items(self) -> int:
        """V, the size of the catalogue. Ids run from 1 to V."""
        return len(self.item_ids) - 1

    @property
    def num_actions(self) -> int:
        return len(self.items)

    @cached_property
    def lengths(self) -> Ints:
        """(U,) actions of each user."""
        return np.diff(self.offsets)

    def history(self, row: int) -> Ints:
        """The items of the user in `row`, oldest first."""
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        """(user, items) with the source's own names, as `from_lists` takes them."""
        for row in range(self.num_users):
            yield str(self.user_ids[row]), [str(name) for name in self.item_ids[self.history(row)]]

    def title(self, item: int) -> str:
        """The title of item id `item`, or the source's name for it where no title is known."""
        name = str(self.item_ids[item])
        return self.titles.get(name, name)

    @cached_property
    def sha256(self) -> str:
        """Hash of the sequences as `user item item ...` lines with the source's own names, in hex.

        Equal for equal sequences, whatever file format they came in and however ids were numbered.
        """
        digest = hashlib.sha256()
        names = self.item_ids.tolist()
        for start in range(0, self.num_users, USERS_AT_ONCE):
            bounds = self.offsets[start : start + USERS_AT_ONCE + 1].tolist()
            items = [names[item] for item in self.items[bounds[0] : bounds[-1]].tolist()]
            users = self.user_ids[start : start + USERS_AT_ONCE].tolist()
            lines = [
                " ".join([user, *items[begin - bounds[0] : end - bounds[0]]])
                for user, begin, end in zip(users, bounds[:-1], bounds[1:], strict=True)
            ]
            digest.update(("\n".join(lines) + "\n").encode())
        return digest.hexdigest()

    def known_as(self, sha256: str) -> UserSequences:
        """The same, for whom somebody vouches that this is their `sha256`: it is then not computed."""
        self.__dict__["sha256"] = sha256
        return self

    def statistics(self) -> Statistics:
        """Counts and lengths. A repeat is an item that the same user had before."""
        lengths = self.lengths
        cells = self.num_users * self.num_items
        return Statistics(
            users=self.num_users,
            items=self.num_items,
            actions=self.num_actions,
            average_length=self.num_actions / self.num_users if self.num_users else 0.0,
            median_length=float(np.median(lengths)) if self.num_users else 0.0,
            shortest=int(lengths.min(initial=self.num_actions)),
            longest=int(lengths.max(initial=0)),
            sparsity=1 - self.num_actions / cells if cells else 0.0,
            repeats=num_repeats(np.repeat(np.arange(self.num_users), lengths), self.items),
        )

    def users_kept(self, keep: NDArray[np.bool_]) -> UserSequences:
        """Only the users marked in `keep` (U,). Items that nobody has any more leave the catalogue."""
        return self._kept(np.repeat(keep, self.lengths), keep)

    def k_core(self, k: int) -> UserSequences:
        """The largest part in which every user and every item has at least `k` actions (iterated until stable)."""
        user_of = np.repeat(np.arange(self.num_users), self.lengths)
        alive = np.ones(self.num_actions, dtype=np.bool_)
        while True:
            per_user = np.bincount(user_of[alive], minlength=self.num_users)
            per_item = np.bincount(self.items[alive], minlength=self.num_items + 1)
            still = alive & (per_user[user_of] >= k) & (per_item[self.items] >= k)
            if still.sum() == alive.sum():
                break
            alive = still
        keep_user = np.bincount(user_of[alive], minlength=self.num_users) > 0
        return self._kept(alive, keep_user)

    def _kept(self, actions: NDArray[np.bool_], users: NDArray[np.bool_]) -> UserSequences:
        user_of = np.repeat(np.arange(self.num_users), self.lengths)
        counts = np.bincount(user_of[actions], minlength=self.num_users)[users]
        items = self.items[actions]
        # Items keep their relative numbering, so that a data set without losses comes back unchanged.
        present = np.zeros(self.num_items + 1, dtype=np.bool_)
        present[items] = True
        number = np.cumsum(present)
        present[0] = True
        return UserSequences(
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            items=number[items].astype(np.int64),
            user_ids=self.user_ids[users].copy(),
            item_ids=self.item_ids[present].copy(),
            titles=self.titles,
        )


def num_repeats(users: Ints, items: Ints) -> int:
    """How many of the actions (A,) are with an item that the same user has another one with, all but one counted."""
    if not len(items):
        return 0
    pairs = users * (items.max() + 1) + items
    pairs.sort()  # numpy.unique would put them into a hash table, which is twenty times slower
    return int((pairs[1:] == pairs[:-1]).sum())


def _numbered(names: Strings) -> tuple[Strings, Ints]:
    """The distinct names in order of first appearance, and each row's number among them."""
    distinct, first, inverse = np.unique(names, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return distinct[order], rank[inverse].astype(np.int64)
