"""Methods beside each other: what a table of differences holds, cell by cell.

A comparison is a grid of data sets x metrics x methods. Each cell has the values of a method, one a seed; every cell but those
of the reference also has the difference to the reference, paired by seed and by user, and what may be said of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import SeqaugError
from .metrics import per_user
from .statistics import (
    FEW_SEEDS,
    Components,
    Numbers,
    bootstrap_means,
    components,
    holm,
    interval_from,
    seeds_needed,
    swap_test,
)

__all__ = ["Comparison", "ComparisonCell", "Difference", "Scored", "Verdict", "compared"]

Verdict = Literal["better", "worse", "not distinguishable"]


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One run as a comparison sees it.

    method: the column it belongs to. users: (U,) names of the users; rank: (U,) ranks of their held-out items, 1 is best.
    """

    method: str
    data: str
    seed: int
    users: NDArray[np.str_]
    rank: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Difference:
    """A method minus the reference, paired by seed and by user.

    mean: in units of the metric; above 0 the method is better. low, high: the interval at 1 - level of the comparison (95 %
    unless said otherwise), of this cell alone; None where nothing can be said.
    p: two-sided, of this cell alone; adjusted: after Holm's correction over all printed cells; None where there is one seed.
    seeds: those that both have. how: which statistics these are, in words. seeds_needed: how many seeds would tell a difference
    as large as the seen one with the stated power; None where no number of seeds would, or nothing is known.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    adjusted: float | None
    verdict: Verdict
    seeds: tuple[int, ...]
    how: str
    seeds_needed: int | None


@dataclass(frozen=True, slots=True)
class ComparisonCell:
    """values: one a seed, in the order of `seeds`. spread: their standard deviation (n - 1), None for one seed."""

    data: str
    metric: str
    method: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    mean: float
    spread: float | None
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole grid.

    cells: by (data, metric, method); a cell whose runs do not exist is missing. level: of the verdicts, over the whole table.
    compared: how many differences Holm's correction covers. notes: what a reader has to know, in sentences (which statistics,
    which runs are missing, what was forced).
    """

    reference: str
    data: tuple[str, ...]
    metrics: tuple[str, ...]
    methods: tuple[str, ...]
    cells: Mapping[tuple[str, str, str], ComparisonCell]
    level: float
    power: float
    compared: int
    notes: tuple[str, ...]


def compared(
    runs: Sequence[Scored],
    *,
    reference: str,
    methods: Sequence[str],
    data: Sequence[str],
    metrics: Sequence[str],
    level: float = 0.05,
    power: float = 0.8,
    resamples: int = 2000,
    seed: int = 0,
    notes: Sequence[str] = (),
) -> Comparison:
    """Every method beside the reference, on every data set, in every metric.

    methods, data, metrics: the columns and rows, in order; runs of others are left aside, and a reference that is not among
    the methods becomes the last of them. level: of the verdicts over the whole table, and 1 - level of each interval. power:
    with which `seeds_needed` would tell. resamples: of the bootstrap, and of the randomisation test at least as many (more
    where Holm's correction needs a finer p). seed: of both. notes: put before our own.

    A run that is missing makes a cell without it, or no cell, and a note. Raises SeqaugError where two runs of a data set have
    different users, or one method has two runs of one seed.
    """
    columns = list(dict.fromkeys([*methods, *([] if reference in methods else [reference])]))
    rows = list(dict.fromkeys(data))
    names = list(dict.fromkeys(metrics))
    assert 0 < level < 1 and 0 < power < 1 and resamples > 1
    said = _Said(list(notes))
    cells: dict[tuple[str, str, str], ComparisonCell] = {}
    judged: dict[tuple[str, str, str], Components] = {}
    # Fine enough a p for Holm's first step, and counted before anything is known of the cells.
    at_most = max(1, len(rows) * len(names) * (len(columns) - 1))
    swaps = max(resamples, math.ceil(10 * at_most / level))
    for place, row in enumerate(rows):
        ranks = _aligned([run for run in runs if run.data == row and run.method in columns], row)
        for method in columns:
            if not ranks.get(method):
                said.missing.append(f"{method} on {row}")
            for name in names:
                if ranks.get(method):
                    cells[row, name, method] = _cell(row, name, method, ranks[method])
        for seeds, group in _by_seeds(ranks, reference, columns, row, said).items():
            found = _differences(
                [(method, name, _table(ranks, method, reference, name, seeds)) for method in group for name in names],
                seeds,
                level=level,
                resamples=resamples,
                swaps=swaps,
                rng=np.random.default_rng([seed, place]),
            )
            for (method, name), (difference, known) in found.items():
                cells[row, name, method] = replace(cells[row, name, method], difference=difference)
                if known is not None:
                    judged[row, name, method] = known
    _judge(cells, judged, level=level, power=power)
    return Comparison(
        reference=reference,
        data=tuple(rows),
        metrics=tuple(names),
        methods=tuple(columns),
        cells=cells,
        level=level,
        power=power,
        compared=len(judged),
        notes=tuple(said.sentences(cells, reference, level=level, power=power, compared=len(judged))),
    )


_Ranks = dict[str, dict[int, NDArray[np.int64]]]
"""Method -> seed -> (U,) ranks, the users of all of them in one order."""


def _aligned(runs: Sequence[Scored], data: str) -> _Ranks:
    found: _Ranks = {}
    first: Scored | None = None
    sorted_users: NDArray[np.str_] | None = None
    for run in runs:
        if run.seed in found.setdefault(run.method, {}):
            raise SeqaugError(f"{run.method} has two runs of seed {run.seed} on {data}; one of them has to go.")
        order = np.argsort(run.users)
        users = run.users[order]
        if first is None or sorted_users is None:
            first, sorted_users = run, users
            if (users[1:] == users[:-1]).any():
                raise SeqaugError(f"{run.method}, seed {run.seed}, on {data} ranks the same user twice.")
        elif not np.array_equal(users, sorted_users):
            here, there = (set(one.users.tolist()) for one in (run, first))
            raise SeqaugError(
                f"runs on {data} have different users: {run.method}, seed {run.seed}, has {len(here):,} and {first.method}, "
                f"seed {first.seed}, has {len(there):,}, of which {len(here & there):,} are the same. "
                "A difference is taken user by user, so the data have to be the same."
            )
        found[run.method][run.seed] = run.rank[order]
    return found


def _cell(data: str, metric: str, method: str, ranks: Mapping[int, NDArray[np.int64]]) -> ComparisonCell:
    seeds = tuple(sorted(ranks))
    values = tuple(float(per_user(ranks[seed], metric).mean()) for seed in seeds)
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return ComparisonCell(data, metric, method, seeds, values, float(np.mean(values)), spread, None)


def _by_seeds(
    ranks: _Ranks, reference: str, columns: Iterable[str], data: str, said: _Said
) -> dict[tuple[int, ...], list[str]]:
    """The methods that can be compared, by the seeds that they have in common with the reference."""
    found: dict[tuple[int, ...], list[str]] = {}
    theirs = ranks.get(reference, {})
    for method in columns:
        own = ranks.get(method, {})
        if method == reference or not own or not theirs:
            continue
        both = tuple(sorted(own.keys() & theirs.keys()))
        if own.keys() != theirs.keys():
            said.unpaired(method, own, reference, theirs, both, data)
        if both:
            found.setdefault(both, []).append(method)
    return found


def _table(ranks: _Ranks, method: str, reference: str, metric: str, seeds: Iterable[int]) -> Numbers:
    """(S, U) differences."""
    return np.stack([per_user(ranks[method][seed], metric) - per_user(ranks[reference][seed], metric) for seed in seeds])


def _differences(
    tables: Sequence[tuple[str, str, Numbers]],
    seeds: tuple[int, ...],
    *,
    level: float,
    resamples: int,
    swaps: int,
    rng: np.random.Generator,
) -> dict[tuple[str, str], tuple[Difference, Components | None]]:
    """By (method, metric), not corrected and not judged yet: what each difference is, and its components where there is a p."""
    stacked = np.stack([table for _, _, table in tables])
    count, users = stacked.shape[1:]
    found: dict[tuple[str, str], tuple[Difference, Components | None]] = {}
    if users < 2:
        for method, name, table in tables:
            found[method, name] = _unjudged(float(table.mean()), None, None, seeds, "one user: nothing can be said"), None
        return found
    if count == 1:
        drawn = bootstrap_means(stacked, resamples=resamples, rng=rng)
        how = f"one seed: bootstrap over {users:,} users, which says nothing about other seeds"
        for cell, (method, name, table) in enumerate(tables):
            low, high = (float(edge) for edge in np.quantile(drawn[:, cell], [level / 2, 1 - level / 2]))
            found[method, name] = _unjudged(float(table.mean()), (low, high), None, seeds, how), None
        return found
    known = components(stacked)
    if count < FEW_SEEDS:
        how = f"Student's t over {count} seeds ({count - 1} degrees of freedom), the users' share added"
        for (method, name, _), one in zip(tables, known, strict=True):
            half = one.half_width(level)
            found[method, name] = _unjudged(one.mean, (one.mean - half, one.mean + half), one.p, seeds, how), one
        return found
    drawn = bootstrap_means(stacked, resamples=resamples, rng=rng)
    swapped = swap_test(stacked.mean(axis=1), swaps=swaps, rng=rng)
    how = (
        f"bootstrap over {count} seeds and {users:,} users; p is the larger of a t-test's over seeds and users "
        "and of a randomisation test's within users"
    )
    for cell, ((method, name, _), one) in enumerate(zip(tables, known, strict=True)):
        interval = interval_from(drawn[:, cell], one, level=level)
        found[method, name] = _unjudged(one.mean, interval, max(one.p, float(swapped[cell])), seeds, how), one
    return found


def _unjudged(
    mean: float, interval: tuple[float, float] | None, p: float | None, seeds: tuple[int, ...], how: str
) -> Difference:
    low, high = interval or (None, None)
    return Difference(mean, low, high, p, None, "not distinguishable", seeds, how, None)


def _judge(
    cells: dict[tuple[str, str, str], ComparisonCell],
    judged: Mapping[tuple[str, str, str], Components],
    *,
    level: float,
    power: float,
) -> None:
    """Correct the p of all cells together, and say of each what may be said."""
    raw = {place: difference.p for place in judged if (difference := cells[place].difference) and difference.p is not None}
    for (place, _), adjusted in zip(raw.items(), holm(list(raw.values())), strict=True):
        difference = cells[place].difference
        assert difference is not None
        verdict: Verdict = "not distinguishable"
        if adjusted <= level and difference.mean:
            verdict = "better" if difference.mean > 0 else "worse"
        needed = seeds_needed(judged[place], level=level / len(raw), power=power)
        told = replace(difference, adjusted=adjusted, verdict=verdict, seeds_needed=needed)
        cells[place] = replace(cells[place], difference=told)


@dataclass(slots=True)
class _Said:
    """What a reader has to know, gathered on the way."""

    given: list[str]
    missing: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)

    def unpaired(
        self,
        method: str,
        own: Iterable[int],
        reference: str,
        theirs: Iterable[int],
        both: Sequence[int],
        data: str,
    ) -> None:
        mine, other = (", ".join(map(str, sorted(seeds))) for seeds in (own, theirs))
        used = f"the difference uses {', '.join(map(str, both))}" if both else "without a seed in common there is no difference"
        self.incomplete.append(f"{method} has the seeds {mine} on {data} and {reference} has {other}; {used}.")

    def sentences(
        self,
        cells: Mapping[tuple[str, str, str], ComparisonCell],
        reference: str,
        *,
        level: float,
        power: float,
        compared: int,
    ) -> list[str]:
        counts = {len(cell.difference.seeds) for cell in cells.values() if cell.difference is not None}
        found = list(self.given)
        if self.missing:
            found.append(f"No run of {'; '.join(self.missing)}.")
        found += self.incomplete
        if not counts:
            return [*found, f"Nothing could be compared with {reference}."]
        found.append(
            f"A difference is the method minus {reference}, paired by seed and by user; "
            f"its {100 * (1 - level):g} % interval is of that cell alone."
        )
        if 1 in counts:
            found.append("One seed says nothing about other seeds: its interval is over users alone, and there is no verdict.")
        if any(1 < count < FEW_SEEDS for count in counts):
            found.append(
                f"Below {FEW_SEEDS} seeds p and interval are Student's t over the seeds, the users' share of the error added."
            )
        if any(count >= FEW_SEEDS for count in counts):
            found.append(
                f"From {FEW_SEEDS} seeds on the interval is a bootstrap over users and seeds, and p the larger of a t-test's "
                "over seeds and users and of a randomisation test's within users."
            )
        if compared:
            found.append(
                f"Holm's correction covers all {compared} differences; a verdict is given where the corrected p is at most "
                f"{level:g}. Seeds needed: as many as would tell a difference as large as the seen one with power {power:g} "
                f"at {level:g}/{compared}, Holm's first step; not said where no number would."
            )
        return found
