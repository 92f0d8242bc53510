"""What of an experiment fits into a time: seeds are cut first, then data sets, then epochs; never the items that are ranked.

The arithmetic is by estimates made before anything runs. A run may train up to its `epochs`; where early stopping ends it
sooner, the time is not used up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import RecipeError

__all__ = ["START", "Budget", "Cost", "Cut", "cut", "parse_budget"]

START = 10.0
"""Seconds that a run takes besides its epochs: a process, the rehearsal, the final ranking."""


@dataclass(frozen=True, slots=True)
class Budget:
    """text: as it was asked for. seconds: None for as long as it takes."""

    text: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one column costs on one data set. seconds: of an epoch with its share of validation. epochs: the most of each stage.

    finished: seeds whose runs exist; they cost nothing.
    """

    column: str
    data: str
    seconds: float
    epochs: tuple[int, ...]
    finished: frozenset[int] = frozenset()

    def of(self, seed: int) -> float:
        return 0.0 if seed in self.finished else START + self.seconds * sum(self.epochs)

    def shortened(self, epochs: int) -> float:
        """The cost of a seed with at most so many epochs a stage, which is another run than the finished ones."""
        return START + self.seconds * sum(min(epochs, own) for own in self.epochs)


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left. seeds: by data set, in order; a data set without is left out. epochs: None for the recipes' own.

    wanted: all seeds and data sets that were asked for. seconds: the estimate of what is left, finished runs not counted.
    """

    seeds: Mapping[str, tuple[int, ...]]
    epochs: int | None
    wanted_seeds: tuple[int, ...]
    wanted_data: tuple[str, ...]
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether nothing was cut."""
        return self.epochs is None and all(self.seeds.get(data) == self.wanted_seeds for data in self.wanted_data)

    def sentence(self, budget: Budget) -> str:
        """ "budget 30m: 1 of 10 seeds, beauty only, at most 7 epochs; this is not the paper's protocol"."""
        if self.complete:
            return f"budget {budget.text}: all {_counted(len(self.wanted_seeds), 'seed')}, all epochs"
        counts = {data: len(seeds) for data, seeds in self.seeds.items()}
        wanted = f"{len(self.wanted_seeds)} seed{'' if len(self.wanted_seeds) == 1 else 's'}"
        if len(set(counts.values())) == 1:
            told = f"{next(iter(counts.values()))} of {wanted}"
        else:
            told = ", ".join(f"{count} on {data}" for data, count in counts.items()) + f" of {wanted}"
        parts = [told]
        left_out = [data for data in self.wanted_data if data not in self.seeds]
        if left_out:
            parts.append(f"{', '.join(self.seeds)} only (not {', '.join(left_out)})")
        if self.epochs is not None:
            parts.append(f"at most {_counted(self.epochs, 'epoch')}")
        return f"budget {budget.text}: {', '.join(parts)}; this is not the paper's protocol"


def parse_budget(text: str) -> Budget:
    """ "30m", "2h", "1h30m", "90s", "full". Raises RecipeError for anything else."""
    plain = text.strip().lower()
    if plain == "full":
        return Budget(plain, None)
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", plain)
    seconds = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    if not seconds:
        raise RecipeError(f"--budget {text}: a time was expected, as in 30m, 2h or 1h30m, or the word full.")
    return Budget(plain, float(seconds))


def cut(costs: Sequence[Cost], budget: float | None, *, seeds: Sequence[int], data: Sequence[str], jobs: int = 1) -> Cut:
    """Make it fit. budget: seconds, None for all of it. data, seeds: in the order of their worth. jobs: runs at a time.

    1. As many leading seeds, on all data sets, as fit; at least one.
    2. If one does not fit: as many leading data sets as fit, with the first seed.
    3. If the first data set does not fit: that one, with the first seed and as many epochs as fit; at least one.
    A seed all of whose runs on a data set are finished is always kept, for it costs nothing; so is a data set that has one.
    """
    assert seeds and data and jobs > 0
    by_data = {one: [cost for cost in costs if cost.data == one] for one in data}

    def seconds(kept: Mapping[str, Sequence[int]]) -> float:
        return _wall([cost.of(seed) for one, some in kept.items() for cost in by_data[one] for seed in some], jobs)

    def free(one: str) -> tuple[int, ...]:
        return tuple(seed for seed in seeds if by_data[one] and not any(cost.of(seed) for cost in by_data[one]))

    def with_free(kept: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
        whole = {one: tuple(seed for seed in seeds if seed in {*kept.get(one, ()), *free(one)}) for one in data}
        return {one: some for one, some in whole.items() if some}

    def made(kept: Mapping[str, Sequence[int]]) -> Cut:
        whole = with_free(kept)
        return Cut(whole, None, tuple(seeds), tuple(data), seconds(whole))

    for count in range(len(seeds), 0, -1):
        kept = {one: tuple(seeds[:count]) for one in data}
        if budget is None or seconds(kept) <= budget:
            return made(kept)
    assert budget is not None
    for count in range(len(data) - 1, 0, -1):
        kept = {one: tuple(seeds[:1]) for one in data[:count]}
        if seconds(kept) <= budget:
            return made(kept)
    if with_free({}):
        return made({})
    first = by_data[data[0]]

    def shortened(epochs: int) -> float:
        return _wall([cost.shortened(epochs) for cost in first], jobs)

    most = max((own for cost in first for own in cost.epochs), default=1)
    epochs = next((some for some in range(most - 1, 0, -1) if shortened(some) <= budget), 1)
    fewer = epochs if epochs < most else None  # of one epoch nothing can be cut
    return Cut({data[0]: tuple(seeds[:1])}, fewer, tuple(seeds), tuple(data), shortened(epochs))


def _wall(runs: Sequence[float], jobs: int) -> float:
    """How long runs of these seconds take, so many at a time: no less than the longest."""
    return max(sum(runs) / jobs, max(runs, default=0.0))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
