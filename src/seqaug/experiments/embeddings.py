"""Figure 5 of the paper as numbers and as a picture: are the items of one sequence near each other in the item table?

The paper shows t-SNE pictures and says that confidence positions make items within a sequence more similar than random
positions do. A picture of t-SNE cannot be measured, so beside it stands the mean cosine between the item vectors of one
sequence. A table whose vectors all point one way has a high one too; so the same items, dealt out to sequences of the same
lengths at random, are measured beside it, and what counts is the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.split import Histories
from ..errors import DataError
from ..evaluation.intervals import Estimate, means
from ..report.projection import projected

__all__ = ["Closeness", "Picture", "closeness", "dealt", "picture", "sampled", "within"]

Items = NDArray[np.int64]
Vectors = NDArray[np.float64]

SEQUENCES = 500
SHOWN = 8
SHORTEST = 5
DEALS = 10


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near the items of a sequence are, over the same sampled sequences for every variant; cosines, with 95 % intervals.

    within: variant -> the mean over sequences. random: the same items dealt out at random. above: within minus random.
    difference: the first variant's `above` minus that of the second, paired by sequence and seed; None where there is only one.
    """

    sequences: int
    seeds: tuple[int, ...]
    within: Mapping[str, Estimate]
    random: Mapping[str, Estimate]
    above: Mapping[str, Estimate]
    difference: Estimate | None

    def document(self) -> dict[str, Any]:
        """Fit for JSON."""

        def shown(one: Estimate) -> dict[str, Any]:
            return {"mean": one.value, "low": one.low, "high": one.high, "how": one.how}

        return {
            "sequences": self.sequences,
            "seeds": list(self.seeds),
            "variants": {
                name: {
                    "within": shown(self.within[name]),
                    "random": shown(self.random[name]),
                    "above": shown(self.above[name]),
                }
                for name in self.within
            },
            "difference": None if self.difference is None else shown(self.difference),
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """points: (N, 2), the items of a few sequences. groups: (N,) which sequence each belongs to. how: "t-SNE" or "PCA"."""

    points: Vectors
    groups: tuple[str, ...]
    how: str


def sampled(histories: Histories, *, count: int = SEQUENCES, seed: int = 0) -> list[Items]:
    """The distinct training items of `count` users drawn at random, or of all; only users with at least five.

    Raises DataError where no user has so many.
    """
    found = [np.unique(histories.of(user).numpy()) for user in range(histories.num_users)]
    long = [items for items in found if len(items) >= SHORTEST]
    if not long:
        raise DataError(f"no user has {SHORTEST} different training items, so there are no sequences to look at.")
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(long))[:count]
    return [long[row] for row in chosen.tolist()]


def within(vectors: Vectors, sequences: Sequence[Items]) -> Vectors:
    """(V + 1, D), the vector of each item (row 0 is not looked at) -> the mean cosine over the pairs of each sequence.

    Sequences have at least two items. 1 where all vectors of a sequence point the same way, about 0 where they are random.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1.0)
    found = np.empty(len(sequences))
    for place, items in enumerate(sequences):
        own = unit[items]
        total, count = own.sum(axis=0), len(items)
        # The square of a sum is the sum of the squares and of twice every pair.
        found[place] = (total @ total - (own * own).sum()) / (count * (count - 1))
    return found


def dealt(sequences: Sequence[Items], generator: np.random.Generator) -> list[Items]:
    """The same items, as often as before, in sequences of the same lengths, but at random."""
    flat = generator.permutation(np.concatenate(list(sequences)))
    ends = np.cumsum([len(items) for items in sequences])
    return list(np.split(flat, ends[:-1]))


def closeness(tables: Mapping[str, Sequence[Vectors]], sequences: Sequence[Items], seeds: Sequence[int]) -> Closeness:
    """tables: variant -> the item vectors (V + 1, D) of each seed, in the order of `seeds`."""
    generator = np.random.default_rng(0)
    hands = [dealt(sequences, generator) for _ in range(DEALS)]
    inside = {name: np.stack([within(one, sequences) for one in some]) for name, some in tables.items()}
    outside = {
        name: np.stack([np.mean([within(one, hand) for hand in hands], axis=0) for one in some])
        for name, some in tables.items()
    }
    names = list(tables)
    rows = (
        [inside[name] for name in names] + [outside[name] for name in names] + [inside[name] - outside[name] for name in names]
    )
    if len(names) > 1:
        rows.append(rows[2 * len(names)] - rows[2 * len(names) + 1])
    found = means(np.stack(rows))
    size = len(names)
    return Closeness(
        sequences=len(sequences),
        seeds=tuple(seeds),
        within=dict(zip(names, found[:size], strict=True)),
        random=dict(zip(names, found[size : 2 * size], strict=True)),
        above=dict(zip(names, found[2 * size : 3 * size], strict=True)),
        difference=found[-1] if size > 1 else None,
    )


def picture(vectors: Vectors, sequences: Sequence[Items], *, seed: int = 0) -> Picture:
    """The items of the first eight sequences, among those of all: every sampled item has a part in the projection."""
    items = np.unique(np.concatenate(list(sequences)))
    points, how = projected(vectors[items], seed=seed)
    shown = sequences[:SHOWN]
    rows = np.concatenate([np.searchsorted(items, one) for one in shown])
    groups = tuple(f"sequence {place + 1}" for place, one in enumerate(shown) for _ in range(len(one)))
    return Picture(points[rows], groups, how)
