"""What a reproduction of one of the paper's tables or figures consists of, and what a budget leaves of it.

What a budget leaves is decided once and written down (plan.json): the same command after an interruption goes on with the same
runs, whatever the machine's speed is by then.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..data.catalog import KNOWN, where
from ..errors import DataError
from ..recipes.load import load_recipe
from ..recipes.patches import Patch
from ..recipes.plan import Plan, make_plan
from .ablate import shown_names
from .artefacts import Artefact, Column, artefact
from .budget import Budget, Cost, Cut, cut
from .choices import applied
from .estimate import estimate
from .files import write_json
from .folder import read_json
from .matrix import Matrix, Member, PlannedMember, plan_matrix
from .prepare import prepare
from .settings import RunSettings

__all__ = [
    "Reproduction",
    "Request",
    "costs",
    "decided",
    "fitted",
    "plan_of",
    "plan_reproduction",
    "within",
    "write_decision",
]


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be reproduced.

    name: "table2", "table3", "fig3", "fig4" or "fig5". settings: of all runs; recipe, data and seed of it are not used. data:
    names or paths, None for those of the paper that are on this machine. seeds: 0 to `seeds` - 1. results: a folder of finished
    runs; those count, and what finishes is copied there. out: the folder of the result.
    """

    name: str
    settings: RunSettings
    budget: Budget
    data: tuple[str, ...] | None = None
    seeds: int = 10
    results: Path | None = None
    out: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reproduction:
    """A reproduction that has been planned. Nothing of it is written yet.

    matrix: what would be run; everything that was asked for until `within` a cut. data: as a table calls them. places: that ->
    how it is found. cut: None until something was decided.
    """

    request: Request
    artefact: Artefact
    matrix: Matrix
    data: tuple[str, ...]
    places: Mapping[str, str]
    folder: Path
    notes: tuple[str, ...]
    cut: Cut | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.request.seeds))


# ---- planning ----


def plan_reproduction(request: Request) -> Reproduction:
    """Decide which runs there are without any budget, and see which are finished. Writes nothing.

    Raises DataError where a data set that was asked for is not here, or none of the paper's is; RecipeError, PluginError.
    """
    found = artefact(request.name)
    names, notes = _data_sets(request, found)
    places = {shown: place for place, shown in shown_names(names).items()}
    seeds = range(request.seeds)
    members = _members(request, found, places, {data: tuple(seeds) for data in places}, None)
    matrix = plan_matrix(members, finished=_finished(request))
    return Reproduction(
        request=request,
        artefact=found,
        matrix=matrix,
        data=tuple(places),
        places=places,
        folder=request.out or request.settings.runs / f"reproduce-{request.name}-{_hash(request, matrix)[:8]}",
        notes=tuple(notes),
    )


def _finished(request: Request) -> list[Path]:
    """Where finished runs count besides the run folders; figure 5 asks for weights, which are not kept elsewhere."""
    return [] if request.results is None or request.name == "fig5" else [request.results]


def _data_sets(request: Request, found: Artefact) -> tuple[tuple[str, ...], list[str]]:
    if request.data is not None:
        return request.data, []
    here = tuple(name for name in found.data if where(name) is not None)
    absent = [name for name in found.data if name not in here]
    if not here:
        known = [name for name in absent if KNOWN[name].address is not None]
        get = f" `seqaug data get {known[0]}` fetches it." if known else ""
        raise DataError(
            f"{found.title.partition(':')[0]} is about {', '.join(absent)}, and none of these is on this machine.{get} "
            "SEQAUG_DATA names folders with data sets. --data movietweetings runs it on the bundled data, of which the paper "
            "has no numbers."
        )
    return here, [f"{name} is not on this machine and is left out." for name in absent]


def _members(
    request: Request,
    found: Artefact,
    places: Mapping[str, str],
    seeds: Mapping[str, Sequence[int]],
    epochs: int | None,
) -> list[Member]:
    """Data set by data set and seed by seed, so that what is there early can be compared."""
    patches = {(column.name, data): _patches(request, column, data, epochs) for data in seeds for column in found.columns}
    return [
        Member(
            column.name,
            data,
            seed,
            replace(
                request.settings,
                recipe=column.recipe,
                data=places[data],
                seed=seed,
                ablation=None,
                out=None,
                patches=patches[column.name, data],
            ),
        )
        for data, some in seeds.items()
        for seed in some
        for column in found.columns
    ]


def _patches(request: Request, column: Column, place: str, epochs: int | None) -> tuple[Patch, ...]:
    """What the user asked for, what makes the column, and what the budget leaves of the epochs of every stage."""
    source = load_recipe(column.recipe)
    patches, _ = applied(source, request.settings.patches, column.changes)
    if epochs is None:
        return patches
    origin = f"budget {request.budget.text}"
    plan = make_plan(source, data=_variant(place), patches=patches)
    fewer = []
    if plan.training.epochs > epochs:
        fewer.append(Patch("training.epochs", epochs, origin))
    for number, stage in enumerate(plan.values.get("stages", [])):
        if stage["epochs"] > epochs:
            fewer.append(Patch(f"stages.{number}.epochs", epochs, origin))
    return (*patches, *fewer)


def _hash(request: Request, matrix: Matrix) -> str:
    """Of what was asked for: 64 hex digits."""
    runs = [[one.member.variant, one.member.data, one.member.seed, one.hash] for one in matrix.members]
    return hashlib.sha256(json.dumps([request.name, request.budget.text, runs]).encode()).hexdigest()


# ---- the budget ----


def costs(reproduction: Reproduction, *, device: str = "auto", threads: int | None = None) -> Iterator[Cost]:
    """What each column takes on each data set, by doing a little of it; one after the other. Writes nothing.

    device, threads: of each run. Data sets that no longer fit are not timed: they cost infinitely much. Nothing is timed where
    there is no budget.
    """
    budget = reproduction.request.budget.seconds
    spent = 0.0
    for data in reproduction.data:
        known: dict[str, float] = {}
        there: set[str] = set()
        for column in reproduction.artefact.columns:
            runs = [one for one in reproduction.matrix.members if (one.member.variant, one.member.data) == (column.name, data)]
            # A point that two curves share is one run.
            finished = frozenset(one.member.seed for one in runs if one.record is not None or one.hash in there)
            there |= {one.hash for one in runs}
            if len(finished) == len(runs) or budget is None:
                seconds = 0.0
            elif spent > budget and data != reproduction.data[0]:  # the first one is what is left when epochs are cut
                seconds = math.inf
            else:
                if column.like not in known:
                    known[column.like] = _timed(runs[0], device, threads)
                seconds = known[column.like]
            cost = Cost(column.name, data, seconds, tuple(stage.epochs for stage in plan_of(runs[0].member).stages), finished)
            if math.isfinite(seconds):
                spent += cost.of(reproduction.seeds[0])
            yield cost


def _timed(planned: PlannedMember, device: str, threads: int | None) -> float:
    """Seconds of an epoch."""
    settings = replace(planned.member.settings, device=device)
    return estimate(prepare(replace(settings, threads=threads or settings.threads))).seconds_per_epoch


def plan_of(member: Member) -> Plan:
    """What the recipe of a member comes to."""
    settings = member.settings
    return make_plan(load_recipe(settings.recipe), data=_variant(settings.data), patches=settings.patches)


def _variant(place: str) -> str:
    """The name under which a data set picks a recipe's variant."""
    return shown_names([place])[place]


def decided(reproduction: Reproduction) -> Cut | None:
    """What an earlier start of the same command has decided, with the seeds that are finished since; None where none has."""
    path = reproduction.folder / "plan.json"
    if not path.exists():
        return None
    stored = read_json(path)
    more = {data: _finished_seeds(reproduction, data) for data in reproduction.data}
    if stored["epochs"] is not None and any(more.values()):
        return None  # somebody has run it in full since, which is worth more than few epochs
    seeds = {
        data: tuple(seed for seed in reproduction.seeds if seed in {*stored["seeds"].get(data, ()), *more[data]})
        for data in reproduction.data
    }
    kept = {data: some for data, some in seeds.items() if some}
    return Cut(kept, stored["epochs"], reproduction.seeds, reproduction.data, float(stored["seconds"]))


def _finished_seeds(reproduction: Reproduction, data: str) -> set[int]:
    """Seeds all of whose columns are finished on a data set."""
    runs = [one for one in reproduction.matrix.members if one.member.data == data]
    return {one.member.seed for one in runs} - {one.member.seed for one in runs if one.record is None}


def within(reproduction: Reproduction, found: Cut) -> Reproduction:
    """The same with what a cut leaves. Raises as `plan_reproduction` does."""
    request = reproduction.request
    if found.epochs is None:
        wanted = {(data, seed) for data, seeds in found.seeds.items() for seed in seeds}
        kept = tuple(one for one in reproduction.matrix.members if (one.member.data, one.member.seed) in wanted)
        matrix = replace(reproduction.matrix, members=kept)
    else:
        members = _members(request, reproduction.artefact, reproduction.places, found.seeds, found.epochs)
        matrix = plan_matrix(members, finished=_finished(request))
    return replace(reproduction, matrix=matrix, data=tuple(found.seeds), cut=found)


def fitted(reproduction: Reproduction, found: Sequence[Cost], jobs: int) -> Cut:
    """What the budget leaves, by these costs."""
    return cut(found, reproduction.request.budget.seconds, seeds=reproduction.seeds, data=reproduction.data, jobs=jobs)


def write_decision(reproduction: Reproduction) -> None:
    """plan.json: what a cut has left, for `decided`."""
    assert reproduction.cut is not None
    write_json(
        reproduction.folder / "plan.json",
        {
            "artefact": reproduction.request.name,
            "budget": reproduction.request.budget.text,
            "says": reproduction.cut.sentence(reproduction.request.budget),
            "seeds": {data: list(seeds) for data, seeds in reproduction.cut.seeds.items()},
            "epochs": reproduction.cut.epochs,
            "seconds": reproduction.cut.seconds,
        },
    )
