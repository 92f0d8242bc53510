"""The page about a run, or about many: what it shows is gathered here, and written where it is asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.catalog import find_by_hash
from ..data.split import Split, leave_one_out
from ..errors import DataError, SeqaugError, UnknownName, did_you_mean
from ..evaluation.comparison import Comparison, Difference, Scored, Verdict, compared
from ..evaluation.hits import bins, by_bin
from ..evaluation.intervals import Estimate, means
from ..evaluation.metrics import METRICS, per_user
from ..evaluation.statistics import holm
from ..recipes.load import load_recipe, recipe_names
from ..recipes.provenance import tags
from ..report.contents import Contents, Curve, Grid, Hits, Ladder, Provenance, RecipeValues, RunFacts, Rung, Scores
from ..report.page import page
from .compare import TABLE_METRICS
from .environment import now
from .files import write_text
from .methods import Method, methods_of
from .records import Record
from .sources import Source, runs_in

__all__ = ["Report", "report"]

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


@dataclass(frozen=True, slots=True)
class Report:
    """The page that was written, and what it shows."""

    path: Path
    contents: Contents
    seconds: float


def report(source: Path, *, out: Path | None = None, reference: str | None = None, data: str | Path | None = None) -> Report:
    """Write the page about the run in `source`, or about all runs in the folders right below it.

    out: the file; `report.html` in `source` where not given. reference: the method that the others are compared with. data:
    where to look for the data set first. Raises SeqaugError where there is no finished run or a file of one cannot be read,
    UnknownName where no method is called `reference`.
    """
    started = time.perf_counter()
    source = Path(source)
    contents = _contents(runs_in(source), reference=reference, data=data)
    path = source / "report.html" if out is None else out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, page(contents))
    except OSError as error:
        raise SeqaugError(f"{path} cannot be written: {error.strerror or error}. Choose another --out.") from error
    return Report(path, contents, time.perf_counter() - started)


def _contents(found: Source, *, reference: str | None = None, data: str | Path | None = None) -> Contents:
    """Everything that the page shows."""
    methods, notes = methods_of(found.records, found.named)
    methods.sort(key=lambda method: found.order.index(method.name) if method.name in found.order else len(found.order))
    known, unreadable = _ranks(methods)
    scores = list(_scores(methods, known))
    named = list(dict.fromkeys(method.name for method in methods))
    if reference is not None and reference not in named:
        raise UnknownName(f"no method here is called {reference!r}.{did_you_mean(reference, named)} Known: {', '.join(named)}.")
    if found.reference in named:
        reference = reference or found.reference
    hits, no_data = _hits(methods, known, hint=data)
    readable = [method for method in methods if all(id(record) in known for record in method.records)]
    usual = _reference(readable)
    against = usual and (reference or usual)
    return Contents(
        title=_title(methods, found.title),
        lead=_lead(methods),
        made=now(),
        runs=[_facts(method, record) for method in methods for record in method.records],
        scores=scores,
        protocols=_protocols(methods),
        notes=[*found.notes, *notes, *unreadable, *_cautions(methods)],
        comparison=None if against is None else _comparison(readable, known, against),
        ladders=list(_ladders(readable, known, scores)),
        grids=list(_grids(methods, scores)),
        pictures=found.pictures,
        closeness=found.closeness,
        curves=[curve for method in methods for record in method.records if (curve := _curve(method, record)) is not None],
        hits=hits,
        no_data=no_data,
        recipes=list(_recipes(methods)),
    )


def _protocols(methods: Sequence[Method]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for method in methods:
        found.setdefault(method.data, method.first.metrics["protocol"])
    return found


_Known = Mapping[int, Mapping[str, NDArray[Any]]]
"""id of a record -> per_user.npz"""


def _ranks(methods: Iterable[Method]) -> tuple[_Known, list[str]]:
    """The ranks of every record, and the sentences about those that cannot be read."""
    found, problems = {}, []
    for method in methods:
        for record in method.records:
            try:
                found[id(record)] = record.per_user
            except SeqaugError as error:
                problems.append(f"{error} {method.name} on {method.data} is shown without intervals.")
    return found, problems


def _scores(methods: Sequence[Method], known: _Known) -> Iterator[Scores]:
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
            (where, name): Estimate(float(np.mean([one[where][name] for one in stored])), None, None, "per_user.npz is missing")
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


def _tables(method: Method, known: _Known) -> Iterator[NDArray[np.float64]]:
    for column in PARTS.values():
        ranks = [known[id(record)] for record in method.records]
        for name in METRICS:
            yield np.stack([per_user(_by_name(one)[column], name) for one in ranks])


def _by_name(stored: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The columns of per_user.npz with the users in one order, whatever order a run had them in."""
    order = np.argsort(stored["user"])
    return {name: column[order] for name, column in stored.items()}


def _reference(methods: Sequence[Method]) -> str | None:
    """What the others are compared with: sasrec, for it is what an augmentation has to beat, else the first.

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
    return max(most, key=_valid).name if most[0].first.recipe == BASELINE else most[0].name


def _valid(method: Method) -> float:
    return float(np.mean([record.metrics.get("valid", {}).get(LADDER, 0.0) for record in method.records]))


def _scored(methods: Iterable[Method], known: _Known) -> list[Scored]:
    return [
        Scored(method.name, method.data, record.seed, known[id(record)]["user"], known[id(record)]["rank"])
        for method in methods
        for record in method.records
    ]


def _comparison(methods: Sequence[Method], known: _Known, reference: str) -> Comparison:
    return compared(
        _scored(methods, known),
        reference=reference,
        methods=list(dict.fromkeys(method.name for method in methods)),
        data=list(dict.fromkeys(method.data for method in methods)),
        metrics=TABLE_METRICS,
    )


def _ladders(methods: Sequence[Method], known: _Known, scores: Sequence[Scores]) -> Iterator[Ladder]:
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


def _step(lower: Method, upper: Method, known: _Known) -> Difference | None:
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


def _grids(methods: Sequence[Method], scores: Sequence[Scores]) -> Iterator[Grid]:
    """The largest family of each data set in which one value varies and every other is equal."""
    estimates = {(one.method, one.data): one for one in scores}
    for figure, symbol, path in GRIDS:
        families: dict[tuple[str, str], dict[float, Method]] = {}
        for method in methods:
            resolved = method.first.resolved
            leaves = {} if resolved is None else dict(_leaves(resolved["identity"]["recipe"]))
            value = leaves.pop(path, None)
            if isinstance(value, int | float) and not isinstance(value, bool):
                families.setdefault((method.data, repr(sorted(leaves.items()))), {})[float(value)] = method
        for data in dict.fromkeys(method.data for method in methods):
            family = max((one for (where, _), one in families.items() if where == data), key=len, default={})
            if len(family) < FEWEST_POINTS:
                continue
            points = []
            for value in sorted(family):
                found = estimates[family[value].name, data]
                points.append((value, found.estimates["test", "hr@10"], len(found.seeds)))
            yield Grid(figure, symbol, path, data, "hr@10", tuple(points))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _curve(method: Method, record: Record) -> Curve | None:
    events = record.events
    if not events:
        return None
    best = int(record.metrics.get("best_epoch", 0)) - 1
    losses, records, valid = ({name: _over(events, part, name) for name in _names(events, part)} for part in _RECORDED)
    return Curve(
        method=method.name,
        data=method.data,
        seed=record.seed,
        monitor=str(record.metrics["protocol"].get("selection", {}).get("metric", LADDER)),
        stages=tuple(str(event.get("stage", "")) for event in events),
        losses=losses,
        records=records,
        valid=valid,
        seconds=np.cumsum([float(event["seconds"]["train"]) for event in events]).tolist(),
        best=best if 0 <= best < len(events) else None,
    )


_RECORDED = ("losses", "records", "valid")


def _names(events: Iterable[Mapping[str, Any]], part: str) -> list[str]:
    return list(dict.fromkeys(name for event in events for name in event.get(part) or {}))


def _over(events: Iterable[Mapping[str, Any]], part: str, name: str) -> list[float]:
    return [float((event.get(part) or {}).get(name, math.nan)) for event in events]


def _hits(methods: Sequence[Method], known: _Known, *, hint: str | Path | None) -> tuple[list[Hits], dict[str, str]]:
    """Hits by length of history and by popularity of the target, and why there are none where the data is not here."""
    found, missing = [], {}
    for data in dict.fromkeys(method.data for method in methods):
        there = [m for m in methods if m.data == data and all(id(record) in known for record in m.records)]
        if not there:
            continue
        try:
            split = _split(there, hint)
        except DataError:
            # Its own words name folders of this machine, and a page may travel.
            sha256 = there[0].first.metrics["data"]["sha256"]
            missing[data] = f"no data set on the machine that made this page has the hash {sha256[:12]}…"
            continue
        rows = {name: row for row, name in enumerate(split.sequences.user_ids[split.test.users.numpy()].tolist())}
        lengths, popularity = split.test.inputs.lengths.numpy(), split.popularity[split.test.targets].numpy()
        for what, counts in (("length of history", lengths), ("popularity of the target", popularity)):
            into = bins(counts)
            values = {}
            for method in there:
                columns = [known[id(record)] for record in method.records]
                ranks = []
                for column in columns:
                    placed = np.empty(len(counts), dtype=np.int64)
                    placed[[rows[name] for name in column["user"].tolist()]] = column["rank"]
                    ranks.append(placed)
                for metric in ("hr@10", "ndcg@10"):
                    values[method.name, metric] = by_bin(counts, ranks, metric, into)
            found.append(Hits(data, what, tuple(into), values))
    return found, missing


def _split(methods: Sequence[Method], hint: str | Path | None) -> Split:
    """The data set of these runs, split as they had it. Raises DataError where it is not on this machine."""
    first = next((method.first for method in methods if method.first.resolved is not None), methods[0].first)
    asked = {} if first.resolved is None else first.resolved["request"]["data"]
    where = hint or asked.get("reference") or first.data
    return leave_one_out(find_by_hash(first.metrics["data"]["sha256"], hint=where, options=asked.get("options")).sequences)


def _recipes(methods: Sequence[Method]) -> Iterator[RecipeValues]:
    """The values of every method; data sets on which they are the same share one table."""
    groups: dict[tuple[str, str], list[Method]] = {}
    for method in methods:
        resolved = method.first.resolved
        groups.setdefault((method.name, "" if resolved is None else repr(resolved["values"])), []).append(method)
    for (name, _), members in groups.items():
        data, first = tuple(method.data for method in members), members[0].first
        if first.resolved is None:
            why = "resolved.json was not kept, so the values of this recipe are not known here."
            yield RecipeValues(name, data, "", (), why)
        else:
            paper = str(first.resolved["values"].get("paper") or "")
            yield RecipeValues(name, data, paper, tuple(_values(first)))


def _values(record: Record) -> Iterator[Provenance]:
    """Every value of a recipe that configures something, with where it comes from as far as the recipe's text is known."""
    resolved = record.resolved
    assert resolved is not None
    text, own = _recipe_text(record)
    known = tags(text, resolved["origins"], own=own)
    for path, value in _leaves(resolved["values"]):
        if path in known:
            tag = known[path]
            yield Provenance(path, value, resolved["origins"][path], tag.source, tag.detail)


def _recipe_text(record: Record) -> tuple[str, bool]:
    """The run's recipe.toml, else the recipe of its name in the box, else nothing; and whether it is a user's own."""
    assert record.resolved is not None
    name = str(record.resolved["request"]["recipe"])
    own = name not in recipe_names()
    file = record.folder / "recipe.toml"
    if file.exists():
        return file.read_text(encoding="utf-8"), own
    return ("" if own else load_recipe(name).text), own


def _facts(method: Method, record: Record) -> RunFacts:
    log = record.folder / "command.txt"
    command = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return RunFacts(method.name, method.data, record.seed, record.folder.name, record.metrics, record.environment, command)


def _title(methods: Sequence[Method], given: str) -> str:
    data = list(dict.fromkeys(method.data for method in methods))
    names = list(dict.fromkeys(method.name for method in methods))
    if given:
        return f"{given} on {_listed(data)}"
    if len(names) == 1:
        return f"{names[0]} on {_listed(data)}"
    return f"{_count(len(names), 'method')} on {_listed(data)}"


def _lead(methods: Sequence[Method]) -> str:
    runs = sum(len(method.records) for method in methods)
    if runs == 1:
        found = methods[0].first.metrics
        if not found["epochs"]:
            return "Nothing was trained: the recipe has no parts that learn."
        stopped = f"Trained for {_count(found['epochs'], 'epoch')} with seed {found['seed']}; "
        return f"{stopped}epoch {found['best_epoch']} was best on validation, and its weights were tested."
    seeds = sorted({len(method.records) for method in methods})
    each = f"{_count(seeds[0], 'seed')} each" if len(seeds) == 1 else f"{seeds[0]} to {_count(seeds[-1], 'seed')} each"
    return f"{runs} finished runs, {each}. Every number is of the weights that were best on validation."


def _cautions(methods: Sequence[Method]) -> Iterator[str]:
    """What has to be known before any number is read."""
    if any(len(method.records) == 1 for method in methods):
        which = "One seed is one draw" if len(methods) == 1 else "A method with one seed is one draw"
        yield f"{which}: its intervals are over users alone and say nothing about other seeds."
    for method in methods:
        for record in method.records:
            if record.metrics.get("note"):
                yield f"{method.name} on {method.data}, seed {record.seed}: {record.metrics['note']}."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
