"""What a page shows, before it is a page: plain facts, which `page` lays out and which a test can look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..evaluation.comparison import Comparison, Difference
from ..evaluation.hits import Bin
from ..evaluation.intervals import Estimate

__all__ = [
    "Closeness",
    "Contents",
    "Curve",
    "Grid",
    "Hits",
    "Ladder",
    "Provenance",
    "RecipeValues",
    "RunFacts",
    "Rung",
    "Scores",
]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run. metrics: metrics.json. environment: environment.json, None where it was not kept. command: the lines of
    command.txt.
    """

    method: str
    data: str
    seed: int
    folder: str
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any] | None
    command: Sequence[str]

    @property
    def hash(self) -> str | None:
        found = self.metrics.get("hash")
        return None if found is None else str(found)

    @property
    def note(self) -> str:
        """What the reader has to know of this run, such as that it was stopped by hand."""
        return str(self.metrics.get("note") or "")


@dataclass(frozen=True, slots=True)
class Scores:
    """A method on a data set: the mean of each metric over its seeds.

    estimates: (part, metric) -> estimate, of `test` (seen items kept) and `test_unseen` (removed). valid: those that chose the
    weights, which are therefore too good. seconds: of training, the mean over seeds. devices: what it was trained on.
    """

    method: str
    data: str
    seeds: tuple[int, ...]
    estimates: Mapping[tuple[str, str], Estimate]
    valid: Mapping[str, float]
    seconds: float
    epochs: float
    devices: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """How one run learnt. Every list has a value for each epoch of all stages together; NaN where there is none.

    monitor: the metric that the weights were chosen by. seconds: of training until the end of each epoch. best: the index of
    the chosen epoch, None where nothing was validated. stages: the name of each epoch's stage.
    """

    method: str
    data: str
    seed: int
    monitor: str
    stages: tuple[str, ...]
    losses: Mapping[str, Sequence[float]]
    records: Mapping[str, Sequence[float]]
    valid: Mapping[str, Sequence[float]]
    seconds: Sequence[float]
    best: int | None


@dataclass(frozen=True, slots=True)
class Hits:
    """A metric of each method over users in bins. what: "length of history" or "popularity of the target"."""

    data: str
    what: str
    bins: tuple[Bin, ...]
    values: Mapping[tuple[str, str], Sequence[Estimate]]
    """(method, metric) -> one a bin"""


@dataclass(frozen=True, slots=True)
class Rung:
    """A method of the ladder, and by how much it is above the one below, None for the lowest. kind: "floor", "baseline",
    "other".
    """

    method: str
    kind: str
    estimate: Estimate
    step: Difference | None


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every method of a data set in one metric, the weakest first."""

    data: str
    metric: str
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Runs that differ in one value alone: a line of figure 3 or 4.

    symbol: what the paper calls it. points: (value, estimate, number of seeds), by value.
    """

    figure: int
    symbol: str
    path: str
    data: str
    metric: str
    points: tuple[tuple[float, Estimate, int], ...]


@dataclass(frozen=True, slots=True)
class Closeness:
    """The numbers that belong to figure 5: how near the items of a sequence are in the item table, as cosines.

    rows: (column, within a sequence, the same items dealt out at random, the difference of the two). difference: the first
    column's minus the second's, None where there is only one.
    """

    data: str
    rows: tuple[tuple[str, Estimate, Estimate, Estimate], ...]
    difference: Estimate | None


@dataclass(frozen=True, slots=True)
class Provenance:
    """One value of a recipe. origin: who set it ("recipe", "variant beauty", "-s"). source, detail: where the number comes
    from.
    """

    path: str
    value: Any
    origin: str
    source: str
    detail: str


@dataclass(frozen=True, slots=True)
class RecipeValues:
    """Every value of a method's recipe; `values` is empty where resolved.json was not kept, and `missing` says so."""

    method: str
    data: tuple[str, ...]
    paper: str
    values: tuple[Provenance, ...]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """All of it. title, lead: what the page is about. notes: what the reader has to know first, in sentences.

    protocols: data set -> the protocol of its first run. comparison: None where there is one method. pictures: <svg> elements
    of figure 5. no_data: data set -> why its hits cannot be shown.
    """

    title: str
    lead: str
    made: str
    runs: Sequence[RunFacts]
    scores: Sequence[Scores]
    protocols: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str] = ()
    comparison: Comparison | None = None
    ladders: Sequence[Ladder] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[str] = ()
    closeness: Sequence[Closeness] = ()
    curves: Sequence[Curve] = ()
    hits: Sequence[Hits] = ()
    no_data: Mapping[str, str] = field(default_factory=dict)
    recipes: Sequence[RecipeValues] = ()
