"""Any finished runs beside each other: which of them are one method, whether they were measured alike, and what differs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckFailed, RecipeError, SeqaugError, UnknownName, did_you_mean
from ..evaluation.comparison import Comparison, Scored, compared
from ..evaluation.metrics import METRICS
from .methods import methods_of
from .records import PROTOCOL, Record, find_records, protocol_differences, read_record

__all__ = ["TABLE_METRICS", "Given", "compare", "given", "metric_name"]

TABLE_METRICS = ("hr@5", "ndcg@5", "hr@10", "ndcg@10")
"""The rows of the SimDiffRec paper's Table 3."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """Runs as somebody named them. label: what their column is called; None to find that out. notes: what was passed over."""

    records: tuple[Record, ...]
    label: str | None = None
    notes: tuple[str, ...] = ()


def given(word: str | Path) -> Given:
    """The runs that `FOLDER` or `LABEL=FOLDER` stands for: a run folder, or a folder with run folders in it.

    Runs that are not finished are passed over where others are, with a note. Raises SeqaugError where there is no finished run.
    """
    label, equals, path = str(word).partition("=")
    if not equals or Path(word).exists():
        label, path = "", str(word)
    elif not label:
        raise RecipeError(f"{word}: LABEL=FOLDER was expected, e.g. plain=runs/sasrec-beauty-1a2b3c4d.")
    folder = Path(path)
    records = [read_record(folder)] if (folder / "metrics.json").exists() else find_records(folder)
    if not records:
        read_record(folder)  # says what is missing
    unfinished = [one.name for one in sorted(folder.iterdir()) if (one / "resolved.json").exists()]
    unfinished = [name for name in unfinished if not (folder / name / "metrics.json").exists()]
    notes = (f"Not finished, so left out, in {folder}: {', '.join(unfinished)}.",) if unfinished else ()
    return Given(tuple(records), label or None, notes)


def compare(
    runs: Sequence[Given | Record | Path],
    *,
    reference: str | None = None,
    metrics: Sequence[str] = TABLE_METRICS,
    unseen: bool = False,
    force: bool = False,
    level: float = 0.05,
    power: float = 0.8,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """The methods among `runs` beside each other, on every data set that they ran on.

    Runs that differ in nothing but the seed are one method; so are all that were given under one label. reference: a method's
    name, or the folder of one of its runs; the first method where not given. unseen: the ranks with seen items removed. force:
    compare what was not measured alike, and say so; where the data differ, by the users that all have. Notes say what else
    differs (device, threads, versions, how long histories are, what the weights were chosen by).

    Raises CheckFailed where runs were not measured alike, with every difference; RecipeError where there is one method only or
    a metric or the reference is unknown; SeqaugError where a method has two runs of one seed.
    """
    names = [metric_name(name) for name in metrics]
    parts = [_as_given(one) for one in runs]
    columns, notes = _columns(parts)
    if len(columns) < 2:
        only = next(iter(columns), "nothing")
        raise RecipeError(
            f"all runs given are {only}: there is nothing to compare. What differs in the seed alone is one method."
        )
    chosen = _reference(reference, columns)
    rows = _rows(columns)
    unlike = [line for row in rows.values() for line in _unlike(row)] + _alone(chosen, rows)
    if unlike and not force:
        raise CheckFailed("\n- ".join(["these runs were not measured alike (--force compares them all the same):", *unlike]))
    if unlike:
        notes.insert(0, "Forced: these runs were not measured alike. " + ". ".join(unlike) + ".")
    scored: list[Scored] = []
    for data, row in rows.items():
        found, said = _scored(data, row, unseen=unseen)
        scored += found
        notes += said
    notes.append("Test ranks, seen items " + ("removed." if unseen else "kept."))
    notes += _remarks(rows)
    return compared(
        scored,
        reference=chosen,
        methods=list(columns),
        data=list(dict.fromkeys(one.data for one in scored)),
        metrics=names,
        level=level,
        power=power,
        resamples=resamples,
        seed=seed,
        notes=notes,
    )


_Row = list[tuple[str, Record]]
"""The runs on one data set, each with the method that it belongs to."""


def metric_name(name: str) -> str:
    """ "NDCG@10" -> "ndcg@10". Raises UnknownName where that is no metric."""
    lower = name.lower()
    if re.fullmatch(r"(hr|ndcg|mrr)@[1-9]\d*", lower) is None:
        raise UnknownName(
            f"no metric is called {name!r}.{did_you_mean(lower, METRICS)} Known: hr@K, ndcg@K and mrr@K, e.g. hr@10."
        )
    return lower


def _as_given(one: Given | Record | Path) -> Given:
    if isinstance(one, Given):
        return one
    return Given((one,)) if isinstance(one, Record) else given(one)


def _columns(parts: Sequence[Given]) -> tuple[dict[str, list[Record]], list[str]]:
    """Name of a method -> its runs, in the order in which they were given, and what is to be said of that."""
    notes = [note for part in parts for note in part.notes]
    unnamed = _once(record for part in parts if part.label is None for record in part.records)
    methods, _ = methods_of(unnamed)
    twice: dict[tuple[str, str], int] = {}
    for method in methods:
        twice[method.name, method.first.data] = twice.get((method.name, method.first.data), 0) + 1
    called: dict[int, str] = {}
    for method in methods:
        # Unlike protocols make rows of their own there; here they end in one row, if that is forced.
        alone = twice[method.name, method.first.data] == 1
        for record in method.records:
            called[id(record)] = method.name if alone else f"{method.name} ({method.first.folder.name})"
    for record in unnamed:
        if id(record) not in called:
            same = [
                other for other in unnamed if id(other) in called and (other.recipe, other.seed) == (record.recipe, record.seed)
            ]
            beside = same[0].folder if same else "another run"
            raise SeqaugError(
                f"{record.folder} and {beside} are two runs of one method and one seed ({record.seed}), and not the same run. "
                f"Leave one out, or name them apart: A={beside} B={record.folder}."
            )
    columns: dict[str, list[Record]] = {}
    for part in parts:
        for record in part.records:
            name = part.label if part.label is not None else called.get(id(record))
            if name is not None:
                columns.setdefault(name, []).append(record)
    for label in dict.fromkeys(part.label for part in parts if part.label is not None):
        columns[label] = _once(columns[label])
        if any(columns[label] and called.get(id(record)) == label for record in unnamed):
            raise RecipeError(f"{label} is what another method here is called by itself. Choose another label.")
        notes += _joined(label, columns[label])
    return columns, notes


def _once(records: Iterable[Record]) -> list[Record]:
    """Runs of one hash, or of one folder, are one run, wherever they lie."""
    found: dict[str, Record] = {}
    for record in records:
        found.setdefault(record.hash or str(record.folder.resolve()), record)
    return list(found.values())


def _joined(label: str, records: Sequence[Record]) -> Iterator[str]:
    """What has to be said of runs that a label has made one method."""
    by_seed: dict[tuple[str, int], Record] = {}
    for record in records:
        other = by_seed.setdefault((record.data, record.seed), record)
        if other is not record:
            raise SeqaugError(
                f"{label} has two runs of seed {record.seed} on {record.data}: {other.folder} and {record.folder}. "
                "Leave one out, or name them apart."
            )
    methods, _ = methods_of(records)
    for data in dict.fromkeys(method.data for method in methods):
        several = [method.name for method in methods if method.data == data]
        if len(several) > 1:
            yield f"{label} on {data} joins runs that differ in more than the seed: {'; '.join(several)}."


def _reference(asked: str | None, columns: Mapping[str, Sequence[Record]]) -> str:
    if asked is None:
        return next(iter(columns))
    if asked in columns:
        return asked
    folder = Path(asked.rpartition("=")[2])
    for name, records in columns.items():
        if any(record.folder.resolve() == folder.resolve() for record in records):
            return name
    raise UnknownName(f"no method here is called {asked!r}.{did_you_mean(asked, columns)} Known: {', '.join(columns)}.")


def _rows(columns: Mapping[str, Sequence[Record]]) -> dict[str, _Row]:
    rows: dict[str, _Row] = {}
    for name, records in columns.items():
        for record in records:
            rows.setdefault(record.data, []).append((name, record))
    return rows


def _unlike(row: _Row) -> list[str]:
    """Where the runs of a row were not measured alike, each way of measuring named once."""
    ways: dict[str, Record] = {}
    for _, record in row:
        protocol = record.metrics["protocol"]
        way = [record.metrics["data"]["sha256"], *(protocol.get(key) for key in PROTOCOL)]
        ways.setdefault(json.dumps(way, sort_keys=True), record)
    first, *others = ways.values()
    return list(dict.fromkeys(line for other in others for line in protocol_differences(first, other)))


def _alone(reference: str, rows: Mapping[str, _Row]) -> list[str]:
    """A sentence where no row has the reference and another method."""
    ran = {data: list(dict.fromkeys(name for name, _ in row)) for data, row in rows.items()}
    if any(reference in names and len(names) > 1 for names in ran.values()):
        return []
    return ["data: nothing ran where " + reference + " did: " + "; ".join(f"{', '.join(ran[data])} on {data}" for data in ran)]


def _scored(data: str, row: _Row, *, unseen: bool) -> tuple[list[Scored], list[str]]:
    """The runs of a row by the users that all of them have; as rows of their own where there is no such user."""
    ranks = "rank_unseen" if unseen else "rank"
    order = [np.argsort(record.per_user["user"]) for _, record in row]
    stored = [{key: array[by] for key, array in record.per_user.items()} for (_, record), by in zip(row, order, strict=True)]
    users = stored[0]["user"]
    every = users
    for one in stored[1:]:
        if not np.array_equal(one["user"], stored[0]["user"]):
            users, every = np.intersect1d(users, one["user"]), np.union1d(every, one["user"])
    notes = []
    if not len(users):
        names = [f"{data} ({str(record.metrics['data']['sha256'])[:8]})" for _, record in row]
        notes.append(f"The runs on {data} have no user in common, so there are values and no differences.")
    else:
        names = [data] * len(row)
        if len(users) < len(every):
            notes.append(
                f"The runs on {data} have different users; compared by the {len(users):,} of {len(every):,} that all have."
            )
        for place, one in enumerate(stored):
            kept = np.isin(one["user"], users)
            stored[place] = {key: array[kept] for key, array in one.items()}
        targets = np.stack([one["target"] for one in stored])
        moved = int((targets != targets[0]).any(axis=0).sum())
        if moved:
            notes.append(f"The runs on {data} ask {moved:,} of the {len(users):,} users for different items.")
    found = [
        Scored(name, where, record.seed, one["user"], one[ranks])
        for (name, record), where, one in zip(row, names, stored, strict=True)
    ]
    return found, notes


def _remarks(rows: Mapping[str, _Row]) -> list[str]:
    """What differs between the runs of a row without making them incomparable."""
    said: dict[str, list[str]] = {}
    for data, row in rows.items():
        for what, of in _FACTS.items():
            values: dict[str, list[str]] = {}
            for name, record in row:
                value = of(record)
                if value is not None and name not in values.setdefault(str(value), []):
                    values[str(value)].append(name)
            if len(values) > 1:
                told = "; ".join(f"{value} for {' and '.join(names)}" for value, names in values.items())
                said.setdefault(f"{what}: {told}", []).append(data)
    return [f"Not alike on {' and '.join(where)}, {line}." for line, where in said.items()]


def _torch(record: Record) -> Any:
    return None if record.environment is None else record.environment.get("versions", {}).get("torch")


_FACTS = {
    "selected by": lambda record: record.metrics["protocol"].get("selection", {}).get("metric"),
    "longest history": lambda record: record.metrics["protocol"].get("max_length"),
    "device": lambda record: record.metrics.get("device"),
    "precision": lambda record: record.metrics.get("precision"),
    "threads": lambda record: record.metrics.get("threads"),
    "torch": _torch,
}
