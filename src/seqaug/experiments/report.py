"""The page about a run, or about many: what it shows is gathered here, and written where it is asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.catalog import find_by_hash
from ..data.split import Split, leave_one_out
from ..errors import DataError, SeqaugError, UnknownName, did_you_mean
from ..evaluation.hits import bins, by_bin
from ..recipes.load import load_recipe, recipe_names
from ..recipes.provenance import tags
from ..report.contents import Contents, Curve, Hits, Provenance, RecipeValues, RunFacts
from ..report.page import page
from .environment import now
from .files import write_text
from .methods import Method, methods_of
from .records import Record
from .sources import Source, runs_in
from .standings import Known, comparison_of, grids_of, ladders_of, leaves, ranks_of, scores_of, usual_reference

__all__ = ["Report", "report"]

MONITOR = "ndcg@10"
"""Where a result does not say what chose its weights."""


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
    known, unreadable = ranks_of(methods)
    scores = list(scores_of(methods, known))
    named = list(dict.fromkeys(method.name for method in methods))
    if reference is not None and reference not in named:
        raise UnknownName(f"no method here is called {reference!r}.{did_you_mean(reference, named)} Known: {', '.join(named)}.")
    if found.reference in named:
        reference = reference or found.reference
    hits, no_data = _hits(methods, known, hint=data)
    readable = [method for method in methods if all(id(record) in known for record in method.records)]
    usual = usual_reference(readable)
    against = usual and (reference or usual)
    return Contents(
        title=_title(methods, found.title),
        lead=_lead(methods),
        made=now(),
        runs=[_facts(method, record) for method in methods for record in method.records],
        scores=scores,
        protocols=_protocols(methods),
        notes=[*found.notes, *notes, *unreadable, *_cautions(methods)],
        comparison=None if against is None else comparison_of(readable, known, against),
        ladders=list(ladders_of(readable, known, scores)),
        grids=list(grids_of(methods, scores)),
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
        monitor=str(record.metrics["protocol"].get("selection", {}).get("metric", MONITOR)),
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


def _hits(methods: Sequence[Method], known: Known, *, hint: str | Path | None) -> tuple[list[Hits], dict[str, str]]:
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
                ranks = [_placed(known[id(record)], rows) for record in method.records]
                for metric in ("hr@10", "ndcg@10"):
                    values[method.name, metric] = by_bin(counts, ranks, metric, into)
            found.append(Hits(data, what, tuple(into), values))
    return found, missing


def _placed(stored: Mapping[str, NDArray[Any]], rows: Mapping[str, int]) -> NDArray[np.int64]:
    """The ranks in the order of the data set's test users."""
    found = np.empty(len(rows), dtype=np.int64)
    found[[rows[name] for name in stored["user"].tolist()]] = stored["rank"]
    return found


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
    for path, value in leaves(resolved["values"]):
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
