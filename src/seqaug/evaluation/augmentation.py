"""What an augmentation does to sequences: item by item for one of them, in numbers over many.

L rows (positions of the original sequence), V items (ids 1..V; V + 1 is MASK).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import SequenceMatcher
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Augmented", "ItemFacts", "Placed", "Tally", "UserFacts", "ViewNumbers", "aligned", "judged", "left_out"]

What = Literal["kept", "same", "replaced", "masked", "moved", "inserted", "other"]


@dataclass(frozen=True, slots=True)
class Placed:
    """One item of an augmented sequence, and the row of the original that it stands beside.

    what: `kept`, not touched; `same`, a chosen position that got its own item back; `replaced`; `masked`; `moved`, an original
    item in another place; `inserted`, new where nothing stood; `other`, of a sequence that is not this one edited.
    row: 0 is the oldest; with `before` the item stands in front of that row (row L: behind the last). came_from: the row that
    a moved item had. similarity: cosine in the item table to the item that it replaces. later_true: it is an item that the
    user really takes after this place; in_history: one that the user had before it. None where there is nothing to compare.
    """

    item: int
    what: What
    row: int
    before: bool = False
    came_from: int | None = None
    similarity: float | None = None
    later_true: bool | None = None
    in_history: bool | None = None


def aligned(
    original: Sequence[int],
    augmented: Sequence[int],
    *,
    mask: int,
    selected: Sequence[bool] | None = None,
    edited: Sequence[bool] | None = None,
) -> tuple[Placed, ...]:
    """Lay an augmented sequence beside the original.

    mask: the id of MASK. selected: (L,) the positions that a selector chose, where one is known; then nothing has moved.
    edited: one bool an item of `augmented`, what its maker calls changed. Without `selected`: equal items in another order
    have moved; where all is new it is another sequence, set beside the original so that both end together; what differs
    in place has been replaced; and the rest is found by comparing the two.
    """
    if selected is not None:
        assert len(selected) == len(original) == len(augmented), "a selection speaks of the positions of the original"
        return tuple(_in_place(row, *pair, mask) for row, pair in enumerate(zip(original, augmented, selected, strict=True)))
    same_length = len(original) == len(augmented)
    if same_length and Counter(original) == Counter(augmented):
        return _reordered(original, augmented)
    marks = [False] * len(augmented) if edited is None else list(edited)
    if augmented and all(marks) and mask not in augmented:
        ahead = len(original) - len(augmented)
        return tuple(
            Placed(item, "other", max(ahead + place, 0), before=ahead + place < 0) for place, item in enumerate(augmented)
        )
    if same_length and all(mark or now == then for mark, now, then in zip(marks, augmented, original, strict=True)):
        return tuple(_in_place(row, *pair, False, mask) for row, pair in enumerate(zip(original, augmented, strict=True)))
    return _compared(original, augmented, mask)


def left_out(placed: Iterable[Placed], length: int) -> tuple[int, ...]:
    """The rows of the original (of `length`) whose item is not to be found in the augmented sequence any more.

    Another sequence leaves nothing out: it is not made of this one.
    """
    placed = tuple(placed)
    if any(one.what == "other" for one in placed):
        return ()
    still = {one.row for one in placed if not one.before and one.what in ("kept", "same")}
    still |= {one.came_from for one in placed if one.came_from is not None}
    exchanged = {one.row for one in placed if not one.before}
    return tuple(row for row in range(length) if row not in still | exchanged)


def _in_place(row: int, then: int, now: int, chosen: bool, mask: int) -> Placed:
    if now == then:
        return Placed(now, "same" if chosen else "kept", row)
    return Placed(now, "masked" if now == mask else "replaced", row)


def _reordered(original: Sequence[int], augmented: Sequence[int]) -> tuple[Placed, ...]:
    """The same items: each that stands elsewhere came from one of the rows that it has left, the oldest first."""
    left: dict[int, deque[int]] = defaultdict(deque)
    for row, (then, now) in enumerate(zip(original, augmented, strict=True)):
        if then != now:
            left[then].append(row)
    return tuple(
        Placed(now, "kept", row) if then == now else Placed(now, "moved", row, came_from=left[now].popleft())
        for row, (then, now) in enumerate(zip(original, augmented, strict=True))
    )


def _compared(original: Sequence[int], augmented: Sequence[int], mask: int) -> tuple[Placed, ...]:
    """By the longest common runs. What is gone in one place and new in another has moved."""
    found: list[Placed] = []
    for how, begin, end, start, stop in SequenceMatcher(None, original, augmented, autojunk=False).get_opcodes():
        new = augmented[start:stop]
        if how == "equal":
            found += [Placed(item, "kept", begin + place) for place, item in enumerate(new)]
        elif how == "replace" and end - begin == stop - start:
            pairs = zip(original[begin:end], new, strict=True)
            found += [_in_place(begin + place, then, now, False, mask) for place, (then, now) in enumerate(pairs)]
        else:
            found += [Placed(item, "inserted", end, before=True) for item in new]
    gone: dict[int, deque[int]] = defaultdict(deque)
    for row in left_out(found, len(original)):
        gone[original[row]].append(row)
    return tuple(
        replace(one, what="moved", before=True, came_from=gone[one.item].popleft())
        if one.what in ("inserted", "replaced") and gone[one.item]
        else one
        for one in found
    )


@dataclass(frozen=True, slots=True, eq=False)
class ItemFacts:
    """What is known of the catalogue.

    directions: (V + 2, D) the item table's rows, each of length 1 (or 0). log_popularity: (V + 2,) log(1 + training actions).
    percentile: (V + 2,) the share of the catalogue that is less popular, items of equal popularity counted half.
    """

    directions: NDArray[np.float32]
    log_popularity: NDArray[np.float64]
    percentile: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], popularity: NDArray[np.int64]) -> ItemFacts:
        """vectors: (V + 2, D), the item table. popularity: (V + 1,) training actions, index 0 unused."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        counts = popularity[1:]
        ordered = np.sort(counts)
        below, upto = (np.searchsorted(ordered, counts, side=side) for side in ("left", "right"))
        edge = np.zeros(1)
        return cls(
            directions=np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32),
            log_popularity=np.concatenate([edge, np.log1p(counts), edge]),
            percentile=np.concatenate([edge, (below + upto) / (2 * len(counts)), edge]),
        )

    def similarity(self, items: Sequence[int], others: Sequence[int]) -> NDArray[np.float64]:
        """(n,), (n,) -> (n,) cosines."""
        pairs = self.directions[np.asarray(items, int)], self.directions[np.asarray(others, int)]
        cosines: NDArray[np.float64] = np.einsum("nd,nd->n", *pairs, dtype=np.float64)
        return cosines

    @property
    def similarity_at_random(self) -> float | None:
        """The mean cosine over all pairs of different items: what a similarity has to be measured against. None for V = 1."""
        catalogue = self.directions[1:-1].astype(np.float64)
        size = len(catalogue)
        total = float(np.square(catalogue.sum(0)).sum() - np.square(catalogue).sum())
        return total / (size * (size - 1)) if size > 1 else None


@dataclass(frozen=True, slots=True, eq=False)
class UserFacts:
    """What a user really did, for telling false negatives; the test item is not among it.

    history: the training items, oldest first. valid: the validation item. begin: where in the history the sequence begins;
    made_up: how many of its first rows are no items of the history but made-up context in front of it.
    """

    history: Sequence[int]
    valid: int
    begin: int
    made_up: int = 0

    def place(self, row: int) -> int:
        """Where in the history a row of the sequence is; a made-up one is before all of it."""
        return max(self.begin + row - self.made_up, -1)


def judged(
    placed: Iterable[Placed], original: Sequence[int], user: UserFacts, items: ItemFacts, *, mask: int
) -> tuple[Placed, ...]:
    """The same with `similarity`, `later_true` and `in_history` where an item was put in.

    An item that stands beside row r is compared with what the user takes after r and had before r; one in front of r with
    what the user takes from r on and had before r. Other sequences and moved items are not judged.
    """
    found = []
    for one in placed:
        if one.what not in ("same", "replaced", "inserted") or one.item == mask:
            found.append(one)
            continue
        place = user.place(one.row)
        after = max(place + (not one.before), 0)
        similarity = None if one.before else float(items.similarity([one.item], [original[one.row]])[0])
        later = one.item == user.valid or one.item in user.history[after:]
        found.append(
            replace(one, similarity=similarity, later_true=later, in_history=one.item in user.history[: max(place, 0)])
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, eq=False)
class Augmented:
    """One view of one sequence, judged.

    original, items: ids, oldest first. selected: (L,) as the selector chose, None where none is known. confidence: (L,) the
    probability of the most likely item where something was predicted, NaN at rows where nothing was; None where nowhere.
    representation: cosine between the encoder's representations of the view and of the original.
    restored: where a diffusion stands behind the view, how many rows its most likely items give back.
    """

    original: tuple[int, ...]
    items: tuple[int, ...]
    placed: tuple[Placed, ...]
    selected: tuple[bool, ...] | None = None
    confidence: tuple[float, ...] | None = None
    representation: float | None = None
    restored: int | None = None

    @property
    def equal(self) -> bool:
        return self.items == self.original


@dataclass(frozen=True, slots=True)
class ViewNumbers:
    """What a view does, over many sequences. None where there was nothing to count.

    sequences, positions: looked at. equal_views: share of sequences that the view leaves as they are. selected: share of
    positions that a selector chose. put_in: items that were put at a chosen position, exchanged or inserted (MASK is none);
    the next two are shares of them. identity_rate: share of the chosen positions with an item put in whose item is the
    original. later_true: is an item that the user takes after that place, in training or as the validation item.
    in_history: one that the user had before. similarity: mean cosine of the items that differ to those they replace.
    popularity_drift, percentile_drift: mean log(1 + actions), and share of the catalogue that is less popular, of the items
    put in (of an other sequence: all of it) minus those of the items they replace (where they replace none: of the sequence).
    masked, replaced, moved, inserted, dropped: per position of the originals. confidence_selected, confidence_elsewhere:
    means. representation: mean cosine. restored: share of positions that the diffusion behind the view gives back.
    """

    sequences: int
    positions: int
    equal_views: float | None
    selected: float | None
    put_in: int
    identity_rate: float | None
    similarity: float | None
    popularity_drift: float | None
    percentile_drift: float | None
    later_true: float | None
    in_history: float | None
    masked: float | None
    replaced: float | None
    moved: float | None
    inserted: float | None
    dropped: float | None
    confidence_selected: float | None
    confidence_elsewhere: float | None
    representation: float | None
    restored: float | None


class _Mean:
    """Of the values that were there."""

    def __init__(self) -> None:
        self.total, self.count = 0.0, 0

    def add(self, value: float, weight: int = 1) -> None:
        self.total, self.count = self.total + value, self.count + weight

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


class Tally:
    """Adds up what a view does to one sequence after the other."""

    def __init__(self, items: ItemFacts) -> None:
        self._items = items
        self._shares: dict[str, _Mean] = defaultdict(_Mean)
        self._counts: Counter[str] = Counter()

    def add(self, one: Augmented) -> None:
        length, means = len(one.original), self._shares
        self._counts["sequences"] += 1
        self._counts["positions"] += length
        means["equal_views"].add(one.equal)
        what = Counter(placed.what for placed in one.placed)
        for name in ("masked", "replaced", "moved", "inserted"):
            means[name].add(what[name], length)
        means["dropped"].add(len(left_out(one.placed, length)), length)
        if one.selected is not None:
            means["selected"].add(sum(one.selected), length)
            means["identity_rate"].add(
                what["same"],
                what["same"] + sum(placed.what == "replaced" and one.selected[placed.row] for placed in one.placed),
            )
        if one.representation is not None:
            means["representation"].add(one.representation)
        if one.restored is not None:
            means["restored"].add(one.restored, length)
        self._add_confidence(one)
        self._add_put_in(one)

    def _add_confidence(self, one: Augmented) -> None:
        chosen = one.selected or (False,) * len(one.original)
        for confidence, here in zip(one.confidence or (), chosen, strict=False):
            if confidence == confidence:
                self._shares["confidence_selected" if here else "confidence_elsewhere"].add(confidence)

    def _add_put_in(self, one: Augmented) -> None:
        facts, means = self._items, self._shares
        usual: dict[str, float] = {}
        scales = {"popularity_drift": facts.log_popularity, "percentile_drift": facts.percentile}
        for name, scale in scales.items():
            usual[name] = float(scale[list(one.original)].mean())
        for placed in one.placed:
            if placed.what not in ("same", "replaced", "inserted", "other"):
                continue
            replaces = None if placed.before or placed.what == "other" else one.original[placed.row]
            for name, scale in scales.items():
                means[name].add(float(scale[placed.item]) - (usual[name] if replaces is None else float(scale[replaces])))
            if placed.what == "other":
                continue
            self._counts["put_in"] += 1
            means["later_true"].add(bool(placed.later_true))
            means["in_history"].add(bool(placed.in_history))
            if placed.what == "replaced" and placed.similarity is not None:
                means["similarity"].add(placed.similarity)

    def numbers(self) -> ViewNumbers:
        """What has been added up so far."""
        counts = {name: self._counts[name] for name in ("sequences", "positions", "put_in")}
        found: dict[str, Any] = {one.name: self._shares[one.name].value for one in fields(ViewNumbers)}
        return ViewNumbers(**{**found, **counts})
