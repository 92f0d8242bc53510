"""An ablation: a method with one thing exchanged at a time, over data sets and seeds, and what may be said of the differences.

Every run of one seed starts from the same weights and sees the same batches, whatever was exchanged: draws are seeded by the
names of those who draw (docs/architecture.md), so a difference between two variants is the exchange and not the dice.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..data.catalog import data_names
from ..errors import RecipeError, did_you_mean
from ..evaluation.comparison import Comparison, Scored, compared
from ..recipes.load import RecipeSource, load_recipe
from ..recipes.patches import Patch
from ..report.tables import as_csv, as_json, as_latex, as_markdown
from .choices import applied, combinations, parse_axes
from .compare import TABLE_METRICS, metric_name
from .estimate import Estimate, estimate
from .executors import LOCAL
from .files import write_json, write_text
from .matrix import Failed, Matrix, MatrixEvent, Member, PlannedMember, plan_matrix, run_matrix
from .matrix_folder import MatrixFolder, matrix_folder_name
from .prepare import prepare
from .records import Record
from .rehearse import rehearse
from .settings import RunSettings

__all__ = [
    "Ablated",
    "Ablation",
    "Estimated",
    "Request",
    "ablate",
    "estimates",
    "exit_code",
    "plan_ablation",
    "scored",
    "shown_names",
]


@dataclass(frozen=True, slots=True)
class Request:
    """What an ablation is asked for.

    settings: of all runs; `data`, `seed` and `ablation` of it are not used. data: names or paths. seeds: 0 to `seeds` - 1.
    variants: some of the recipe's ablations, None for all. axes: `place=choice,choice`, in the place of the ablations.
    results: a folder of finished runs; those count, and what finishes is copied there. out: the folder of the matrix.
    """

    settings: RunSettings
    data: tuple[str, ...] = ("movietweetings",)
    seeds: int = 5
    variants: tuple[str, ...] | None = None
    axes: tuple[str, ...] = ()
    results: Path | None = None
    out: Path | None = None


@dataclass(frozen=True, slots=True)
class _Variant:
    """A column: its name, the changes that make it, and what they left out of what was asked for."""

    name: str
    patches: tuple[Patch, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """An ablation that has been planned. Nothing of it is written yet.

    variants: the columns, the reference among them. data: the rows. notes: sentences for whoever reads the table.
    """

    request: Request
    recipe: str
    matrix: Matrix
    reference: str
    variants: tuple[str, ...]
    data: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ablated:
    """The end of an ablation. failed: the runs without a result. comparison: of all others, None where there is no run at all.

    seconds: what this command took; trained: what the runs took, those that were finished before included.
    """

    ablation: Ablation
    comparison: Comparison | None
    records: tuple[tuple[PlannedMember, Record], ...]
    failed: tuple[Failed, ...]
    seconds: float
    trained: float


@dataclass(frozen=True, slots=True)
class Estimated:
    """What a run would cost at most. seconds: of its training without an early stop, 0 where it is finished."""

    planned: PlannedMember
    estimate: Estimate | None
    seconds: float


# ---- planning ----


def plan_ablation(request: Request) -> Ablation:
    """Decide which runs there are, and see which are finished. Writes nothing.

    Raises RecipeError with all problems of all variants, DataError, PluginError.
    """
    settings = request.settings
    source = load_recipe(settings.recipe)
    names = shown_names(request.data)
    if request.axes and request.variants is not None:
        raise RecipeError("--variants picks from the recipe's ablations and --axis takes their place: give one of the two.")
    base = _Variant(source.name, tuple(settings.patches), ())
    variants = _factorial(source, settings, request.axes) if request.axes else [base, *_ablations(source, request, settings)]
    seeds = tuple(range(request.seeds))
    members = [
        Member(variant.name, names[data], seed, replace(settings, data=data, seed=seed, ablation=None, patches=variant.patches))
        for data in request.data
        for seed in seeds
        for variant in variants
    ]
    # The recipe as it stands is planned along, to be recognised in a grid that holds it.
    first = Member(base.name, names[request.data[0]], 0, replace(settings, data=request.data[0], seed=0, ablation=None))
    finished = [request.results] if request.results is not None else []
    found = plan_matrix([*members, first], finished=finished)
    planned, own = found.members[:-1], found.members[-1]
    alike = [one.member.variant for one in planned if one.hash == own.hash]
    reference = next(iter(alike), variants[0].name)
    matrix = replace(found, members=planned)
    return Ablation(
        request=request,
        recipe=source.name,
        matrix=matrix,
        reference=reference,
        variants=tuple(variant.name for variant in variants),
        data=tuple(names[data] for data in request.data),
        seeds=seeds,
        folder=request.out or settings.runs / matrix_folder_name("ablate", source.name, _content(matrix), reference),
        notes=(*_left_out(variants), *_same_runs(planned, reference), *_unlike(planned, own, request, reference)),
    )


def _ablations(source: RecipeSource, request: Request, settings: RunSettings) -> list[_Variant]:
    """The recipe's own, all or those that were asked for, by their names or what follows "w/o "."""
    table = source.table.get("ablations", {})
    known = list(table) if isinstance(table, dict) else []
    if not known:
        raise RecipeError(
            f"the recipe {source.name!r} has no [ablations]. Name what is to be exchanged, as in --axis encoder=transformer,gru"
        )
    chosen, problems = [], []
    for name in known if request.variants is None else request.variants:
        match = next((one for one in known if name in (one, one.removeprefix("w/o "))), None)
        if match is not None:
            chosen.append(match)
        elif name != source.name:
            near = did_you_mean(name, known)
            problems.append(f"the recipe {source.name!r} has no ablation {name!r}.{near} Known: {', '.join(known)}")
    if problems:
        raise RecipeError(problems)
    found = []
    for name in dict.fromkeys(chosen):
        changes = [Patch(path, value, f"ablation {name}") for path, value in table[name].items()]
        patches, notes = applied(source, settings.patches, changes)
        found.append(_Variant(name, patches, notes))
    return found


def _factorial(source: RecipeSource, settings: RunSettings, axes: Sequence[str]) -> list[_Variant]:
    """Every combination of the axes' choices."""
    found = []
    for name, changes in combinations(parse_axes(source, axes, "--axis")):
        patches, notes = applied(source, settings.patches, changes)
        found.append(_Variant(name, patches, notes))
    return found


def shown_names(data: Iterable[str]) -> dict[str, str]:
    """What a table calls each data set: a known one by its name, a file by its stem where that tells it apart."""
    known = set(data_names())
    short = {one: one if one in known else Path(one).name.removesuffix(".gz").rsplit(".", 1)[0] for one in data}
    names = list(short.values())
    return {one: name if names.count(name) == 1 else one for one, name in short.items()}


def _content(matrix: Matrix) -> list[list[Any]]:
    """Which runs stand where."""
    return [[*planned.member.place, planned.hash] for planned in matrix.members]


def _left_out(variants: Sequence[_Variant]) -> list[str]:
    return [f"{variant.name}: {note}" for variant in variants for note in variant.notes]


def _same_runs(planned: Sequence[PlannedMember], reference: str) -> list[str]:
    """Variants that are the reference, or each other, under another name."""
    names: dict[str, list[str]] = {}
    for one in planned:
        names.setdefault(one.hash, []).append(one.member.variant)
    twins = {tuple(sorted(group, key=lambda name: name != reference)) for group in names.values() if len(group) > 1}
    return [f"{' and '.join(group)} are the same run: nothing was exchanged between them." for group in sorted(twins)]


def _unlike(planned: Sequence[PlannedMember], own: PlannedMember, request: Request, reference: str) -> list[str]:
    """Where the recipe as it stands is not in a grid."""
    if not request.axes or any(one.hash == own.hash for one in planned):
        return []
    return [f"The recipe's own plugins are no combination of these axes, so the first, {reference}, is the reference."]


# ---- what it would cost ----


def estimates(matrix: Matrix, *, device: str = "auto", threads: int | None = None) -> Iterator[Estimated]:
    """One run after the other: what it would take, timed once for each variant and data set. Trains nothing that is kept.

    device, threads: of each run. Raises RecipeError where a rehearsal finds something wrong.
    """
    known: dict[tuple[str, str], Estimate] = {}
    for planned in matrix.members:
        if planned.record is not None:
            yield Estimated(planned, None, 0.0)
            continue
        key = planned.member.variant, planned.member.data
        if key not in known:
            settings = planned.member.settings
            prepared = prepare(replace(settings, device=device, threads=threads or settings.threads))
            rehearse(prepared.plan, device=prepared.device, precision=settings.precision, seed=settings.seed)
            known[key] = estimate(prepared)
        yield Estimated(planned, known[key], known[key].seconds_at_most)


# ---- running ----


def ablate(
    ablation: Ablation,
    *,
    jobs: int = 1,
    threads: int | None = None,
    devices: Sequence[str] = (),
    executor: str = LOCAL,
    metrics: Sequence[str] = TABLE_METRICS,
    unseen: bool = False,
    level: float = 0.05,
) -> Generator[MatrixEvent | Ablated, None, None]:
    """Run what is not finished, then compare. The last event is `Ablated`.

    executor: as `executors.executor_named` takes it. metrics: the rows of each data set. unseen: by the ranks with seen items
    removed. level: of the verdicts over the table.
    Writes matrix.json as it goes, and table.md, .tex, .csv and .json at the end. Raises Interrupted, all states kept.
    """
    metrics = [metric_name(name) for name in metrics]
    began = time.monotonic()
    request = ablation.request
    folder = MatrixFolder(
        ablation.folder,
        {
            "recipe": ablation.recipe,
            "reference": ablation.reference,
            "variants": list(ablation.variants),
            "data": list(ablation.data),
            "seeds": list(ablation.seeds),
            "command": shlex.join(request.settings.command),
        },
    )
    folder.add(ablation.matrix)
    events = run_matrix(ablation.matrix, jobs=jobs, threads=threads, devices=devices, keep=request.results, executor=executor)
    try:
        for event in events:
            folder.hear(event)
            yield event
    except KeyboardInterrupt as error:
        # It struck between two events of the matrix, which has states to keep.
        events.throw(error)
        raise
    found = folder.finished()
    comparison = None
    if found:
        notes = [*ablation.notes, *(["Items a user has seen are removed from the ranking."] if unseen else [])]
        comparison = compared(
            [scored(planned.member, record, unseen=unseen) for planned, record in found],
            reference=ablation.reference,
            methods=[name for name in ablation.variants if name != ablation.reference] + [ablation.reference],
            data=ablation.data,
            metrics=metrics,
            level=level,
            notes=notes,
        )
        _write_table(ablation.folder, comparison)
    yield Ablated(
        ablation=ablation,
        comparison=comparison,
        records=tuple(found),
        failed=tuple(folder.failed.values()),
        seconds=time.monotonic() - began,
        trained=folder.seconds(),
    )


def exit_code(failed: Sequence[Failed]) -> int:
    """0 where nothing failed; what all that failed have in common, else 1."""
    codes = {one.exit_code for one in failed}
    return 0 if not codes else codes.pop() if len(codes) == 1 else 1


def scored(member: Member, record: Record, *, unseen: bool = False) -> Scored:
    """A run as a comparison takes it."""
    users = record.per_user
    rank = users["rank_unseen" if unseen else "rank"]
    return Scored(method=member.variant, data=member.data, seed=member.seed, users=users["user"], rank=rank)


def _write_table(folder: Path, comparison: Comparison) -> None:
    write_text(folder / "table.md", as_markdown(comparison))
    write_text(folder / "table.tex", as_latex(comparison))
    write_text(folder / "table.csv", as_csv(comparison))
    write_json(folder / "table.json", as_json(comparison))
