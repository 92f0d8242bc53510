"""How methods stand beside each other: their means with intervals, the differences, the ladder of baselines, lines over one
value.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SeqaugError
from ..evaluation.comparison import Comparison, Difference, Scored, Verdict, compared
from ..evaluation.intervals import Estimate, means
from ..evaluation.metrics import METRICS, per_user
from ..evaluation.statistics import holm
from ..report.contents import Grid, Ladder, Rung, Scores
from .compare import TABLE_METRICS
from .methods import Method

__all__ = ["Known", "comparison_of", "grids_of", "ladders_of", "leaves", "ranks_of", "scores_of", "usual_reference"]

FLOORS = ("popularity", "item_knn")
BASELINE = "sasrec"
LADDER = "ndcg@10"
PARTS = {"test": "rank", "test_unseen": "rank_unseen"}
GRIDS = (
    (3, "α", "objectives.contrast.weight"),
    (3, "β", "objectives.denoising.weight"),
    (4, "k_sample", "augmenters.diffused.negative.rank"),
    (4, "k_noise", "diffusions.main.noise.k"),
)
"""Figure, the paper's symbol, the value that varies (sections 5.4 and 5.5)."""
FEWEST_POINTS = 3
"""Of a line of figure 3 or 4."""
_AT_ONCE = 200_000_000
"""Bytes of metrics by user that are resampled together."""

Known = Mapping[int, Mapping[str, NDArray[Any]]]
"""id of a record -> its per_user.npz, the users sorted by name"""


def ranks_of(methods: Iterable[Method]) -> tuple[Known, list[str]]:
    """The ranks of every record, and a sentence about each that cannot be read."""
    found, problems = {}, []
    for method in methods:
        for record in method.records:
            try:
                stored = record.per_user
            except (SeqaugError, zipfile.BadZipFile):
                told = (
                    f"per_user.npz of {record.folder.name} cannot be read, so {method.name} on {method.data} has no intervals"
                )
                problems.append(f"{told} and is not compared.")
                continue
            order = np.argsort(stored["user"])
            found[id(record)] = {name: column[order] for name, column in stored.items()}
    return found, problems


def scores_of(methods: Sequence[Method], known: Known) -> Iterator[Scores]:
    """Each method's metrics with intervals; methods of one data set and as many seeds are resampled together."""
    groups: dict[tuple[str, int, int], list[Method]] = {}
    for method in methods:
        counts = [len(known[id(record)]["rank"]) if id(record) in known else 0 for record in method.records]
        groups.setdefault((method.data, len(counts), min(counts) if len(set(counts)) == 1 else 0), []).append(method)
    intervals: dict[int, dict[tuple[str, str], Estimate]] = {}
    for (_, seeds, users), members in groups.items():
        at_once = max(1, _AT_ONCE // (len(PARTS) * len(METRICS) * seeds * max(users, 1) * 8))
        for begin in range(0, len(members) if users else 0, at_once):
            part = members[begin : begin + at_once]
            tables = np.stack([table for method in part for table in _tables(method, known)])
            answers = iter(means(tables))
            for method in part:
                intervals[id(method)] = {(where, name): next(answers) for where in PARTS for name in METRICS}
    for method in methods:
        stored = [record.metrics for record in method.records]
        estimates = intervals.get(id(method)) or {
            (where, name): Estimate(
                float(np.mean([one[where][name] for one in stored])), None, None, "per_user.npz cannot be read"
            )
            for where in PARTS
            for name in METRICS
            if all(name in one.get(where, {}) for one in stored)
        }
        yield Scores(
            method=method.name,
            data=method.data,
            seeds=method.seeds,
            estimates=estimates,
            valid={name: float(np.mean([one["valid"][name] for one in stored])) for name in stored[0].get("valid", {})},
            seconds=float(np.mean([one["seconds"]["train"] for one in stored])),
            epochs=float(np.mean([one["epochs"] for one in stored])),
            devices=tuple(dict.fromkeys(f"{one['device']}, {_count(one['threads'], 'thread')}" for one in stored)),
            note=next((str(one["note"]) for one in stored if one.get("note")), ""),
        )


def _tables(method: Method, known: Known) -> Iterator[NDArray[np.float64]]:
    for column in PARTS.values():
        ranks = [known[id(record)] for record in method.records]
        for name in METRICS:
            yield np.stack([per_user(one[column], name) for one in ranks])


def usual_reference(methods: Sequence[Method]) -> str | None:
    """What the others are compared with: sasrec, for it is what an augmentation has to beat, else the first that is
    no ablation, for what was taken out of a method is judged by the method, else the first.

    Of several the one that stands beside others on most data sets, then the best on validation. None where no data set has
    two methods.
    """
    on: dict[str, list[str]] = {}
    for method in methods:
        on.setdefault(method.data, []).append(method.name)
    beside = [method for method in methods if len(on[method.data]) > 1]
    if not beside:
        return None
    candidates = [method for method in beside if method.first.recipe == BASELINE] or beside
    count = {one.name: sum(other.name == one.name for other in candidates) for one in candidates}
    most = [one for one in candidates if count[one.name] == max(count.values())]
    return max(most, key=_valid).name if most[0].first.recipe == BASELINE else min(most, key=_ablated).name


def _ablated(method: Method) -> bool:
    resolved = method.first.resolved
    return resolved is not None and resolved["request"].get("ablation") is not None


def _valid(method: Method) -> float:
    return float(np.mean([record.metrics.get("valid", {}).get(LADDER, 0.0) for record in method.records]))


def _scored(methods: Iterable[Method], known: Known) -> list[Scored]:
    return [
        Scored(method.name, method.data, record.seed, known[id(record)]["user"], known[id(record)]["rank"])
        for method in methods
        for record in method.records
    ]


def comparison_of(methods: Sequence[Method], known: Known, reference: str) -> Comparison:
    """The rows of Table 3: every method minus the reference, on every data set."""
    return compared(
        _scored(methods, known),
        reference=reference,
        methods=list(dict.fromkeys(method.name for method in methods)),
        data=list(dict.fromkeys(method.data for method in methods)),
        metrics=TABLE_METRICS,
    )


def ladders_of(methods: Sequence[Method], known: Known, scores: Sequence[Scores]) -> Iterator[Ladder]:
    """One for each data set on which a floor and sasrec were run."""
    for data in dict.fromkeys(method.data for method in methods):
        there = [method for method in methods if method.data == data]
        if not ({method.first.recipe for method in there} & set(FLOORS) and any(m.first.recipe == BASELINE for m in there)):
            continue
        estimates = {one.method: one.estimates["test", LADDER] for one in scores if one.data == data}
        climbed = sorted(there, key=lambda method: estimates[method.name].value)
        steps = [_step(lower, upper, known) for lower, upper in pairwise(climbed)]
        yield Ladder(
            data=data,
            metric=LADDER,
            rungs=tuple(
                Rung(method.name, _kind(method), estimates[method.name], step)
                for method, step in zip(climbed, [None, *_corrected(steps)], strict=True)
            ),
        )


def _kind(method: Method) -> str:
    recipe = method.first.recipe
    return "floor" if recipe in FLOORS else BASELINE if recipe == BASELINE else "other methods"


def _step(lower: Method, upper: Method, known: Known) -> Difference | None:
    """The higher rung minus the lower."""
    found = compared(
        _scored([lower, upper], known),
        reference=lower.name,
        methods=[upper.name, lower.name],
        data=[lower.data],
        metrics=[LADDER],
    )
    return found.cells[lower.data, LADDER, upper.name].difference


def _corrected(steps: Sequence[Difference | None], level: float = 0.05) -> list[Difference | None]:
    """Holm's correction over the steps of one ladder."""
    tested = [index for index, step in enumerate(steps) if step is not None and step.p is not None]
    found = list(steps)
    for index, adjusted in zip(tested, holm([p for i in tested if (s := steps[i]) and (p := s.p) is not None]), strict=True):
        step = steps[index]
        assert step is not None
        told = adjusted <= level and step.mean != 0
        verdict: Verdict = ("better" if step.mean > 0 else "worse") if told else "not distinguishable"
        found[index] = replace(step, adjusted=adjusted, verdict=verdict, seeds_needed=None)
    return found


def grids_of(methods: Sequence[Method], scores: Sequence[Scores]) -> Iterator[Grid]:
    """The largest family of each data set in which one value varies and every other is equal."""
    estimates = {(one.method, one.data): one for one in scores}
    for figure, symbol, path in GRIDS:
        families: dict[tuple[str, str], dict[float, Method]] = {}
        for method in methods:
            resolved = method.first.resolved
            values = {} if resolved is None else dict(leaves(resolved["identity"]["recipe"]))
            value = values.pop(path, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                families.setdefault((method.data, repr(sorted(values.items()))), {})[float(value)] = method
        for data in dict.fromkeys(method.data for method in methods):
            family = max((one for (where, _), one in families.items() if where == data), key=len, default={})
            if len(family) < FEWEST_POINTS:
                continue
            points = []
            for value in sorted(family):
                found = estimates[family[value].name, data]
                points.append((value, found.estimates["test", "hr@10"], len(found.seeds)))
            yield Grid(figure, symbol, path, data, "hr@10", tuple(points))


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of everything in a table of tables that is not a table."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
