"""A search for values: every combination of a grid, or the trials that Optuna proposes, over data sets and seeds.

Selection is on validation only: configurations are ranked by the mean over seeds of the metric that training monitors, and the
test numbers of the one that won are looked up afterwards. Nobody sees those of the others, so nobody can pick by them.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import statistics
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ..errors import RecipeError, SeqaugError
from ..recipes.load import RecipeSource, load_recipe
from ..recipes.patches import Patch, parse_value
from .ablate import shown_names
from .choices import Axis, applied, combinations, parse_axes, short_names
from .executors import LOCAL
from .files import write_json, write_text
from .folder import read_json
from .matrix import Failed, Matrix, MatrixEvent, Member, plan_matrix, run_matrix
from .matrix_folder import MatrixFolder, matrix_folder_name
from .records import Record
from .settings import RunSettings

__all__ = [
    "Range",
    "Ranked",
    "Selected",
    "Sweep",
    "SweepRequest",
    "Swept",
    "as_csv",
    "as_json",
    "parse_grid",
    "plan_sweep",
    "sweep",
]

SAMPLER_SEED = 0
"""Of Optuna's proposals: a repeated command proposes the same."""
_DIGITS = 6
"""Significant digits of a proposed number: what is printed is what was run."""


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from low to high, both included; whole ones where both ends are. log: their logarithms are spread evenly."""

    path: str
    low: float
    high: float
    whole: bool
    log: bool


@dataclass(frozen=True, slots=True)
class SweepRequest:
    """What a sweep is asked for.

    settings: of all runs; `data`, `seed` and `ablation` of it are not used. grid: `place=choice,choice`, and with trials also
    `place=low..high` or `place=low..high:log`. trials: that Optuna proposes on each data set, None for every combination.
    results: a folder of finished runs; those count, and what finishes is copied there. out: the folder of the matrix.
    """

    settings: RunSettings
    grid: tuple[str, ...]
    data: tuple[str, ...] = ("movietweetings",)
    seeds: int = 1
    trials: int | None = None
    results: Path | None = None
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class _Configuration:
    """One point of the search: its name, what stands at each place, and the changes that make it."""

    name: str
    values: tuple[str, ...]
    patches: tuple[Patch, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """A sweep that has been planned; nothing of it is written yet.

    base: the recipe as it stands on each data set. matrix: all runs of a grid; with trials, empty: they follow from results.
    data: shown name -> name or path. notes: what a change left out of what was asked for.
    """

    request: SweepRequest
    source: RecipeSource
    places: tuple[Axis | Range, ...]
    data: Mapping[str, str]
    seeds: tuple[int, ...]
    monitor: str
    base: Matrix
    matrix: Matrix
    configurations: Mapping[str, _Configuration]
    folder: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A configuration on one data set.

    values: one a place, as text. validation: of the monitored metric, one a seed that has finished. spread: their standard
    deviation (n - 1), None for one. place: 1 is best; None where a seed is missing, which ranks with nobody.
    """

    name: str
    values: tuple[str, ...]
    validation: tuple[float, ...]
    mean: float | None
    spread: float | None
    place: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Selected:
    """What won on one data set. scores: the means over its seeds, by part and metric. flags: what makes a run of it."""

    ranked: Ranked
    scores: Mapping[str, Mapping[str, float]]
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Swept:
    """The end of a sweep. ranked, selected: by the shown name of the data set; selected has no entry where nothing finished."""

    sweep: Sweep
    ranked: Mapping[str, tuple[Ranked, ...]]
    selected: Mapping[str, Selected]
    failed: tuple[Failed, ...]
    seconds: float
    trained: float


# ---- planning ----


def parse_grid(source: RecipeSource, texts: Sequence[str], *, ranges: bool) -> tuple[Axis | Range, ...]:
    """`place=choice,choice` and, where `ranges` may be there, `place=low..high` or `place=low..high:log`.

    Raises RecipeError with the problems of all.
    """
    found: dict[int, Axis | Range] = {}
    lists: list[tuple[int, str]] = []
    problems: list[str] = []
    for number, text in enumerate(texts):
        place, _, rest = (part.strip() for part in text.partition("="))
        if ".." not in rest:
            lists.append((number, text))
            continue
        try:
            found[number] = _range(place, rest, f"--grid {text}")
        except RecipeError as error:
            problems += error.problems
            continue
        if not ranges:
            problems.append(f"--grid {text}: a range has no end of values to try. Name them, or add --optuna TRIALS.")
    try:
        axes = parse_axes(source, [text for _, text in lists], "--grid")
        found |= {number: axis for (number, _), axis in zip(lists, axes, strict=True)}
    except RecipeError as error:
        problems += error.problems
    paths = [one.path for one in found.values()]
    problems += [f"--grid: {path} is there twice." for path in dict.fromkeys(paths) if paths.count(path) > 1]
    if not texts:
        problems.append("nothing is varied: name a place and its values, as in --grid training.learning_rate=1e-3,3e-4")
    if problems:
        raise RecipeError(problems)
    return tuple(found[number] for number in sorted(found))


def _range(place: str, text: str, where: str) -> Range:
    ends, _, scale = text.partition(":")
    first, _, last = ends.partition("..")
    low, high = parse_value(first), parse_value(last)
    numbers = [type(value) in (int, float) for value in (low, high)]
    if not place or not all(numbers) or scale.strip() not in ("", "log"):
        raise RecipeError(f"{where}: a range is LOW..HIGH or LOW..HIGH:log, as in training.learning_rate=1e-4..1e-2:log")
    log = scale.strip() == "log"
    if not low < high or (log and low <= 0):
        raise RecipeError(f"{where}: a range goes from less to more{', and a logarithmic one starts above 0' if log else ''}.")
    return Range(place, low, high, whole=isinstance(low, int) and isinstance(high, int), log=log)


def plan_sweep(request: SweepRequest) -> Sweep:
    """Decide which runs there are, and see which are finished. Writes nothing.

    Raises RecipeError with all problems of all configurations, DataError, PluginError; SeqaugError where Optuna is wanted and
    is not installed.
    """
    settings = request.settings
    if request.trials is not None:
        _optuna()
    source = load_recipe(settings.recipe)
    places = parse_grid(source, request.grid, ranges=request.trials is not None)
    data = {shown: name for name, shown in shown_names(request.data).items()}
    seeds = tuple(range(request.seeds))
    finished = [request.results] if request.results is not None else []
    base = plan_matrix(
        [
            Member(source.name, shown, seed, replace(settings, data=name, seed=seed, ablation=None))
            for shown, name in data.items()
            for seed in seeds
        ],
        finished=finished,
    )
    found: dict[str, _Configuration] = {}
    notes: list[str] = []
    if request.trials is None:
        axes = [place for place in places if isinstance(place, Axis)]
        for name, changes in combinations(axes):
            texts = [part for _, part in _parts(axes, changes)]
            patches, left_out = applied(source, settings.patches, changes)
            found[name] = _Configuration(name, tuple(texts), patches)
            notes += [f"{name}: {note}" for note in left_out]
    members = [
        Member(one.name, shown, seed, replace(settings, data=name, seed=seed, ablation=None, patches=one.patches))
        for shown, name in data.items()
        for one in found.values()
        for seed in seeds
    ]
    matrix = plan_matrix(members, finished=finished) if members else Matrix((), base.notes)
    monitors = {planned.monitor for planned in (*base.members, *matrix.members)}
    if len(monitors) > 1:
        raise RecipeError(f"training.monitor differs ({', '.join(sorted(monitors))}), and a sweep ranks by one metric.")
    content = [[*planned.member.place, planned.hash] for planned in matrix.members or base.members]
    tried = [str(place) for place in places] if request.trials is not None else []
    return Sweep(
        request=request,
        source=source,
        places=places,
        data=data,
        seeds=seeds,
        monitor=monitors.pop(),
        base=base,
        matrix=matrix,
        configurations=found,
        folder=request.out or settings.runs / matrix_folder_name("sweep", source.name, content, tried),
        notes=tuple(notes),
    )


def _parts(axes: Sequence[Axis], changes: Sequence[Patch]) -> Iterator[tuple[str, str]]:
    """Place and text of each change of a combination."""
    for axis, change in zip(axes, changes, strict=True):
        yield axis.path, next(choice.text for choice in axis.choices if choice.patch is change)


# ---- running ----


def sweep(
    plan: Sweep, *, jobs: int = 1, threads: int | None = None, devices: Sequence[str] = (), executor: str = LOCAL
) -> Generator[MatrixEvent | Matrix | Swept, None, None]:
    """Run what is not finished, then rank. The last event is `Swept`; with trials, each `Matrix` says which runs come next.

    Writes matrix.json as it goes, and ranking.csv and ranking.json at the end. Raises Interrupted, all states kept.
    """
    began = time.monotonic()
    facts = {
        "recipe": plan.source.name,
        "grid": list(plan.request.grid),
        "trials": plan.request.trials,
        "data": list(plan.data),
        "seeds": list(plan.seeds),
        "monitor": plan.monitor,
        "command": shlex.join(plan.request.settings.command),
    }
    at_once = _at_once(plan, jobs)
    folder = MatrixFolder(plan.folder, {**facts, "at_once": at_once} if plan.request.trials is not None else facts)
    configurations = dict(plan.configurations)

    def run(matrix: Matrix) -> Generator[MatrixEvent, None, None]:
        folder.add(matrix)
        events = run_matrix(matrix, jobs=jobs, threads=threads, devices=devices, keep=plan.request.results, executor=executor)
        try:
            for event in events:
                folder.hear(event)
                yield event
        except KeyboardInterrupt as error:
            # It struck between two events of the matrix, which has states to keep.
            events.throw(error)
            raise

    if plan.request.trials is None:
        yield from run(plan.matrix)
    else:
        for data in plan.data:
            study = _Study(plan, data)
            while batch := study.ask(min(at_once, plan.request.trials - study.asked)):
                configurations |= {one.name: one for one in batch}
                matrix = _planned(plan, data, batch)
                yield matrix
                yield from run(matrix)
                study.tell({one.name: _mean(_validation(folder, plan, one.name, data)) for one in batch})
    ranked = {data: _ranking(plan, folder, data, configurations) for data in plan.data}
    selected = {
        data: _selected(plan, folder, data, rows[0], configurations[rows[0].name])
        for data, rows in ranked.items()
        if rows and rows[0].place is not None
    }
    end = Swept(plan, ranked, selected, tuple(folder.failed.values()), time.monotonic() - began, folder.seconds())
    folder.write()
    write_text(plan.folder / "ranking.csv", as_csv(end))
    write_json(plan.folder / "ranking.json", as_json(end))
    yield end


def _at_once(plan: Sweep, jobs: int) -> int:
    """How many trials are proposed before their results are known: as the first command had it, so that a later one with other
    jobs proposes the same.
    """
    before = plan.folder / "matrix.json"
    if before.exists() and not plan.request.settings.fresh:
        # A file that cannot be read is an error: other proposals than before would be made without a word.
        kept = read_json(before).get("at_once")
        if isinstance(kept, int) and kept > 0:
            return kept
    return -(-jobs // len(plan.seeds))


def _planned(plan: Sweep, data: str, batch: Sequence[_Configuration]) -> Matrix:
    settings, results = plan.request.settings, plan.request.results
    members = [
        Member(one.name, data, seed, replace(settings, data=plan.data[data], seed=seed, ablation=None, patches=one.patches))
        for one in batch
        for seed in plan.seeds
    ]
    return plan_matrix(members, finished=[results] if results is not None else [])


# ---- ranking ----


def _validation(folder: MatrixFolder, plan: Sweep, name: str, data: str) -> list[float]:
    """The monitored metric of each seed; fewer where one has no result."""
    records = _records(folder, plan, name, data)
    return [float(record.metrics["valid"][plan.monitor]) for record in records]


def _records(folder: MatrixFolder, plan: Sweep, name: str, data: str) -> list[Record]:
    return [folder.done[name, data, seed] for seed in plan.seeds if (name, data, seed) in folder.done]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _ranking(plan: Sweep, folder: MatrixFolder, data: str, configurations: Mapping[str, _Configuration]) -> tuple[Ranked, ...]:
    """Best first; among equals the earlier; those that miss a seed last, without a place."""
    rows = []
    for one in configurations.values():
        if not any((one.name, data, seed) in place for seed in plan.seeds for place in (folder.done, folder.failed)):
            continue
        values = _validation(folder, plan, one.name, data)
        spent = [record.metrics.get("seconds", {}) for record in _records(folder, plan, one.name, data)]
        rows.append(
            Ranked(
                name=one.name,
                values=one.values,
                validation=tuple(values),
                mean=_mean(values),
                spread=statistics.stdev(values) if len(values) > 1 else None,
                place=None if len(values) < len(plan.seeds) else 0,
                seconds=sum(float(each.get("train", 0.0)) + float(each.get("evaluate", 0.0)) for each in spent),
            )
        )
    whole = sorted((row for row in rows if row.place is not None), key=lambda row: -(row.mean or 0.0))
    ranked = [replace(row, place=place) for place, row in enumerate(whole, start=1)]
    return (*ranked, *(row for row in rows if row.place is None))


def _selected(plan: Sweep, folder: MatrixFolder, data: str, row: Ranked, configuration: _Configuration) -> Selected:
    records = _records(folder, plan, row.name, data)
    scores = {
        part: {
            name: statistics.fmean(float(record.metrics[part][name]) for record in records) for name in records[0].metrics[part]
        }
        for part in ("valid", "test", "test_unseen")
    }
    asked = len(plan.request.settings.patches)
    flags: list[str] = []
    for patch in configuration.patches[asked : asked + len(plan.places)]:
        flags += ["-s", f"{patch.path}={_toml(patch.value)}"]
    return Selected(row, scores, tuple(flags))


def _toml(value: Any) -> str:
    """A value as -s reads it."""
    if isinstance(value, dict):
        if set(value) == {"use"}:
            return str(value["use"])
        return "{ " + ", ".join(f"{key} = {json.dumps(inner, ensure_ascii=False)}" for key, inner in value.items()) + " }"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_csv(end: Swept) -> str:
    """One row a configuration and data set, best first; no test number stands there."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    paths = [place.path for place in end.sweep.places]
    writer.writerow(["data", "rank", *paths, f"valid {end.sweep.monitor}", "spread", "seeds"])
    for data, rows in end.ranked.items():
        for row in rows:
            writer.writerow([data, row.place, *row.values, row.mean, row.spread, len(row.validation)])
    return file.getvalue()


def as_json(end: Swept) -> dict[str, Any]:
    """For json.dumps: the ranking of each data set by validation, and the test numbers of what won there."""
    paths = [place.path for place in end.sweep.places]
    return {
        "recipe": end.sweep.source.name,
        "monitor": end.sweep.monitor,
        "selection": "the mean over seeds of the monitored metric on validation; the test played no part",
        "seeds": list(end.sweep.seeds),
        "data": {
            data: {
                "ranking": [
                    {
                        "rank": row.place,
                        "values": dict(zip(paths, row.values, strict=True)),
                        "validation": list(row.validation),
                        "mean": row.mean,
                        "spread": row.spread,
                    }
                    for row in rows
                ],
                "selected": None
                if data not in end.selected
                else {
                    "values": dict(zip(paths, end.selected[data].ranked.values, strict=True)),
                    "flags": list(end.selected[data].flags),
                    "means": {part: dict(scores) for part, scores in end.selected[data].scores.items()},
                },
            }
            for data, rows in end.ranked.items()
        },
        "failed": [
            {"variant": one.member.variant, "data": one.member.data, "seed": one.member.seed, "message": one.message}
            for one in end.failed
        ],
    }


# ---- proposals ----


def _optuna() -> Any:
    """The module. Raises SeqaugError where it is not installed."""
    try:
        import optuna  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise SeqaugError(
            "--optuna needs the package optuna, which is not installed: pip install 'seqaug[tuning]'. "
            "Without it, --grid with named values tries every combination."
        ) from error
    return optuna


class _Study:
    """Optuna's proposals for one data set: a function of the places, a fixed seed and the results told so far.

    Nothing is stored. A command that is repeated asks and tells the same in the same order, the results of finished runs at
    once, and so arrives where it was.
    """

    def __init__(self, plan: Sweep, data: str) -> None:
        optuna = _optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan = plan
        self.asked = 0
        sampler = optuna.samplers.TPESampler(seed=SAMPLER_SEED, constant_liar=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._open: dict[str, list[Any]] = {}

    def ask(self, count: int) -> list[_Configuration]:
        """The next `count` proposals, those that are alike once; none where `count` is 0."""
        found: dict[str, _Configuration] = {}
        for trial in islice(iter(self._study.ask, None), count):
            self.asked += 1
            one = self._configuration(trial)
            found[one.name] = one
            self._open.setdefault(one.name, []).append(trial)
        return list(found.values())

    def tell(self, results: Mapping[str, float | None]) -> None:
        """The mean on validation of each proposal that is open; None where no run of it has finished."""
        optuna = _optuna()
        for name, trials in self._open.items():
            value = results[name]
            for trial in trials:
                if value is None:
                    self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
                else:
                    self._study.tell(trial, value)
        self._open = {}

    def _configuration(self, trial: Any) -> _Configuration:
        texts: list[str] = []
        changes: list[Patch] = []
        for place in self.plan.places:
            if isinstance(place, Axis):
                text = trial.suggest_categorical(place.path, [choice.text for choice in place.choices])
                changes.append(next(choice.patch for choice in place.choices if choice.text == text))
                texts.append(text)
            else:
                number = _suggested(trial, place)
                changes.append(Patch(place.path, number, "flag --grid"))
                texts.append(repr(number))
        short = short_names([place.path for place in self.plan.places])
        name = ", ".join(f"{place}={text}" for place, text in zip(short, texts, strict=True))
        patches, _ = applied(self.plan.source, self.plan.request.settings.patches, changes)
        return _Configuration(name, tuple(texts), patches)


def _suggested(trial: Any, place: Range) -> float:
    if place.whole:
        return int(trial.suggest_int(place.path, int(place.low), int(place.high), log=place.log))
    exact = trial.suggest_float(place.path, place.low, place.high, log=place.log)
    return min(max(float(f"{exact:.{_DIGITS}g}"), place.low), place.high)
