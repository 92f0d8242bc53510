"""From finished runs to what stands beside the paper: cells with their deviation, differences, curves, cosines, notes."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.catalog import KNOWN
from ..errors import SeqaugError
from ..evaluation.comparison import Comparison, compared
from ..evaluation.fidelity import deviation
from ..evaluation.intervals import means
from ..evaluation.metrics import per_user
from ..recipes.load import load_recipe
from ..recipes.provenance import provenance
from ..report.figures import Series, line_chart, scatter
from .ablate import scored
from .artefacts import Artefact, Column
from .audit import paper_blocks
from .embeddings import Closeness, closeness, picture, sampled
from .matrix import Failed
from .records import Record
from .reproduced import Cell, Reproduced, Run, Value
from .reproduction import Reproduction, plan_of
from .trained import trained

__all__ = ["reproduced"]

Done = Mapping[tuple[str, str, int], Record]


def reproduced(reproduction: Reproduction, done: Done, failed: Sequence[Failed]) -> Reproduced:
    """What a reproduction found. done: the finished runs by (column, data, seed). Raises SeqaugError where they do not fit."""
    assert reproduction.cut is not None
    found, request = reproduction.artefact, reproduction.request
    others = _other_data(found, done)
    cells = tuple(_cells(reproduction, done, others))
    comparison = _compared(reproduction, done)
    curves = {column.name: (column.curve, column.x) for column in found.columns if column.x is not None}
    near, figures = _closeness(reproduction, done) if found.name == "fig5" else ({}, {})
    figures = {**figures, **_charts(found, reproduction.data, cells)}
    configuration = _configuration(reproduction)
    budget = reproduction.cut.sentence(request.budget)
    return Reproduced(
        name=found.name,
        title=found.title,
        folder=reproduction.folder,
        budget=budget,
        complete=reproduction.cut.complete,
        columns=tuple(column.name for column in found.columns),
        methods={column.name: column.method for column in found.columns},
        curves=curves,
        data=reproduction.data,
        metrics=found.metrics,
        cells=cells,
        values=configuration,
        comparison=comparison,
        printed=dict(_printed_differences(found, [data for data in reproduction.data if data not in others])),
        closeness=near,
        figures=figures,
        says=found.says,
        notes=(*others.values(), *_notes(reproduction, cells, curves, configuration, comparison, failed)),
        runs=tuple(_runs(reproduction, done)),
        failed=tuple(failed),
    )


def _other_data(found: Artefact, done: Done) -> dict[str, str]:
    """What is called like a data set of the paper and is not it, with a sentence: the paper's numbers are of something else."""
    others = {}
    for (_, name, _), record in done.items():
        if name in found.data and name in KNOWN and name not in others:
            counts, known = record.metrics["data"], KNOWN[name].statistics
            if any(counts[key] != getattr(known, key) for key in ("users", "items", "actions")):
                size = f"{counts['users']:,} users, {counts['items']:,} items and {counts['actions']:,} actions"
                others[name] = f"What ran as {name} has {size}. The paper's {name} is another, so its numbers are left out."
    return others


def _cells(reproduction: Reproduction, done: Done, others: Container[str]) -> Iterator[Cell]:
    found = reproduction.artefact
    for data in reproduction.data:
        for column in found.columns:
            records = {seed: done[column.name, data, seed] for seed in reproduction.seeds if (column.name, data, seed) in done}
            if records:
                table = None if data in others else found.table
                yield from _column_cells(found, column, data, records, table)


def _column_cells(
    found: Artefact, column: Column, data: str, records: Mapping[int, Record], table_of_paper: str | None
) -> Iterator[Cell]:
    ranks = _aligned(list(records.values()))
    tables = np.stack([[per_user(rank, metric) for rank in ranks] for metric in found.metrics])
    block = None
    if table_of_paper is not None and column.method is not None:
        block = paper_blocks(table_of_paper).get((data, column.method))
    for metric, table, interval in zip(found.metrics, tables, means(tables), strict=True):
        values = tuple(float(one) for one in table.mean(axis=1))
        paper = None if block is None else block[0].values.get(metric)
        finding = None if block is None else block[1]
        target = None if paper is None or finding is not None or table.shape[1] < 2 else paper.value
        valid = [record.metrics["valid"][metric] for record in records.values() if "valid" in record.metrics]
        yield Cell(
            data=data,
            column=column.name,
            metric=metric,
            seeds=tuple(records),
            values=values,
            mean=interval.value,
            spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
            low=interval.low,
            high=interval.high,
            how=interval.how,
            valid=float(np.mean(valid)) if valid else None,
            paper=paper,
            impossible=() if finding is None else tuple(one.message for one in finding.contradictions),
            deviation=None if target is None else deviation(table, target),
        )


def _aligned(records: Sequence[Record]) -> list[NDArray[np.int64]]:
    """(U,) ranks of each run, the users in the order of the first."""
    first = records[0].per_user["user"]
    found = []
    for record in records:
        users, rank = record.per_user["user"], record.per_user["rank"]
        if len(users) != len(first) or (users != first).any():
            order = np.argsort(users)
            places = order[np.searchsorted(users, first, sorter=order).clip(max=len(users) - 1)]
            if len(users) != len(first) or (users[places] != first).any():
                raise SeqaugError(f"{record.folder} has other users than {records[0].folder}, so their runs have no mean.")
            rank = rank[places]
        found.append(rank)
    return found


def _compared(reproduction: Reproduction, done: Done) -> Comparison | None:
    found = reproduction.artefact
    if found.reference is None or not done:
        return None
    members = [one.member for one in reproduction.matrix.members if one.member.place in done]
    return compared(
        [scored(member, done[member.place]) for member in members],
        reference=found.reference,
        methods=[column.name for column in found.columns],
        data=reproduction.data,
        metrics=found.metrics,
    )


def _printed_differences(found: Artefact, data: Iterable[str]) -> Iterator[tuple[tuple[str, str, str], float]]:
    """The paper's differences to its full method, of blocks that can be right."""
    if found.table is None or found.reference is None:
        return
    blocks = paper_blocks(found.table)
    full = next(column.method for column in found.columns if column.name == found.reference)
    for name in data:
        reference = blocks.get((name, full or ""))
        for column in found.columns:
            own = blocks.get((name, column.method or ""))
            if column.name == found.reference or own is None or reference is None or own[1] or reference[1]:
                continue
            for metric in found.metrics:
                digits = own[0].values[metric].decimals
                yield (
                    (name, metric, column.name),
                    round(own[0].values[metric].value - reference[0].values[metric].value, digits),
                )


def _configuration(reproduction: Reproduction) -> dict[tuple[str, str], tuple[Value, ...]]:
    found: dict[tuple[str, str], tuple[Value, ...]] = {}
    for one in reproduction.matrix.members:
        place = one.member.variant, one.member.data
        if place not in found:
            plan = plan_of(one.member)
            tags = provenance(load_recipe(one.member.settings.recipe), plan)
            found[place] = tuple(Value(path, _at(plan.values, path), tag.source, tag.detail) for path, tag in tags.items())
    return found


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values[int(key)] if isinstance(values, list) else values[key]
    return values


def _runs(reproduction: Reproduction, done: Done) -> Iterator[Run]:
    for one in reproduction.matrix.members:
        record = done.get(one.member.place)
        if record is not None:
            yield Run(
                column=one.member.variant,
                data=one.member.data,
                seed=one.member.seed,
                hash=one.hash,
                folder=str(record.folder),
                epochs=int(record.metrics.get("epochs", 0)),
                best_epoch=int(record.metrics.get("best_epoch", 0)),
            )


# ---- in words ----


def _notes(
    reproduction: Reproduction,
    cells: Sequence[Cell],
    curves: Mapping[str, tuple[str, float]],
    configuration: Mapping[tuple[str, str], Sequence[Value]],
    comparison: Comparison | None,
    failed: Sequence[Failed],
) -> Iterator[str]:
    found = reproduction.artefact
    yield from reproduction.notes
    for name in reproduction.data:
        if name not in found.data and found.table is not None:
            yield f"The paper has no {name}: our numbers stand alone there."
    if found.table is None:
        shown = "curves" if any(column.curve for column in found.columns) else "pictures"
        yield f"The paper prints no numbers for this figure, only {shown}; what it says of them is quoted above."
    if any(cell.deviation is not None for cell in cells):
        yield (
            "errors: ours minus the paper's, in standard errors: that of our mean over seeds (over users where there is one "
            "seed) and the binomial error that one run of the paper would have on these users (docs/reproduce.md)."
        )
    mine = sorted({one.path for values in configuration.values() for one in values if one.source == "user"})
    if mine:
        yield f"Set by the user: {', '.join(mine)}."
    told = set()
    for cell in cells:
        if cell.impossible and (cell.data, cell.column) not in told:
            told.add((cell.data, cell.column))
            yield (
                f"The paper's {cell.column} on {cell.data} is impossible and no target: {'; '.join(cell.impossible)} "
                "(seqaug audit paper)."
            )
    for one in dict.fromkeys(cell.how for cell in cells):
        yield f"95 % intervals: {one}."
    if curves:
        yield from _readings(cells, curves)
        yield (
            "To choose a value by the test curve would be to select on test. The paper says that it tuned on validation, which "
            "stands beside it."
        )
    if comparison is not None:
        yield from comparison.notes
    for failure in failed:
        yield f"{failure.member.label} failed and is missing: {failure.message.splitlines()[0]}"


def _readings(cells: Sequence[Cell], curves: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    """Where each curve is best, and whether that means anything."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.data, curves[cell.column][0]), []).append(cell)
    for (data, curve), points in groups.items():
        if len(points) < 2:
            continue
        best = max(points, key=lambda one: one.mean)
        worst = min(points, key=lambda one: one.mean)
        chosen = max(points, key=lambda one: -1.0 if one.valid is None else one.valid)
        half = None if best.low is None or best.high is None else (best.high - best.low) / 2
        size = "" if half is None else f"; half an interval is {half:.4f}"
        yield (
            f"{data}, {curve}: best on validation at {curves[chosen.column][1]:g} (test {chosen.mean:.4f}), best on test at "
            f"{curves[best.column][1]:g} ({best.mean:.4f}); the whole curve spans {best.mean - worst.mean:.4f}{size}."
        )


# ---- figures ----


def _charts(found: Artefact, data: Sequence[str], cells: Sequence[Cell]) -> dict[str, str]:
    """A chart for each curve and data set: test with its intervals, validation beside it."""
    drawn = {}
    for curve in dict.fromkeys(column.curve for column in found.columns if column.curve):
        places = {column.name: column.x for column in found.columns if column.curve == curve and column.x is not None}
        for name in data:
            points = [cell for cell in cells if cell.data == name and cell.column in places]
            if not points:
                continue
            xs = [places[cell.column] for cell in points]
            valid = [math.nan if cell.valid is None else cell.valid for cell in points]
            known = [value for value in valid if math.isfinite(value)]
            series = [
                Series(
                    "test",
                    xs,
                    [cell.mean for cell in points],
                    low=[math.nan if cell.low is None else cell.low for cell in points],
                    high=[math.nan if cell.high is None else cell.high for cell in points],
                    bars=True,
                ),
                Series("validation", xs, valid, chosen=valid.index(max(known)) if known else None),
            ]
            drawn[f"{found.name}-{curve}-{_plain(name)}.svg"] = line_chart(
                series,
                title=f"{name}: {found.metrics[0].upper()} over {curve}",
                x_label=curve,
                y_label=found.metrics[0].upper(),
                log_x=found.name == "fig4",
                x_ticks=sorted(places.values()),
                chosen_name="best on validation",
            )
    return drawn


def _closeness(reproduction: Reproduction, done: Done) -> tuple[dict[str, Closeness], dict[str, str]]:
    """How near the items of a sequence are under each column, and the pictures of the first seed."""
    columns = [column.name for column in reproduction.artefact.columns]
    near, drawn = {}, {}
    for data in reproduction.data:
        seeds = [seed for seed in reproduction.seeds if all((name, data, seed) in done for name in columns)]
        if not seeds:
            continue
        sequences = None
        tables: dict[str, list[NDArray[np.float64]]] = {name: [] for name in columns}
        for name in columns:
            for seed in seeds:
                run = trained(done[name, data, seed].folder, data=reproduction.places[data])
                items = run.assembly.model.items
                tables[name].append(items.weight.detach()[: items.num_items + 1].double().numpy())
                sequences = sampled(run.split.train) if sequences is None else sequences
        assert sequences is not None
        near[data] = closeness(tables, sequences, seeds)
        for name in columns:
            one = picture(tables[name][0], sequences, seed=seeds[0])
            above = near[data].above[name]
            drawn[f"fig5-{_plain(name)}-{_plain(data)}.svg"] = scatter(
                one.points,
                one.groups,
                title=f"{data}, {name}: items of {len(dict.fromkeys(one.groups))} sequences ({one.how})",
                note=(
                    f"mean cosine within a sequence {near[data].within[name].value:.3f}, dealt out at random "
                    f"{near[data].random[name].value:.3f}, difference {above.value:+.3f}"
                ),
                legend=False,
            )
    return near, drawn


def _plain(name: str) -> str:
    """A name as part of a file's."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in name)
