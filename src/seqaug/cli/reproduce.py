"""seqaug reproduce"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .matrix import executor_option, listed, tell_failures, watch, workers
from .options import DataName, Sections, command_line, in_section, machine_options, patches, plugin_file_option
from .terminal import Output, common, counted, counted_of, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..experiments.budget import Cut
    from ..experiments.data_sets import CountedData
    from ..experiments.reproduced import Reproduced
    from ..experiments.reproduction import Reproduction

__all__ = ["reproduce"]

ARTEFACTS = ("table1", "table2", "table3", "fig3", "fig4", "fig5")
FORMATS = ("text", "markdown", "csv", "json")
RESULT = "Where the result goes"


@click.command("reproduce", cls=Sections)
@click.argument("what", metavar="|".join(ARTEFACTS), type=click.Choice(ARTEFACTS))
@in_section(
    "How much of it",
    "--data",
    metavar="NAME[,NAME]",
    type=DataName(),
    default=None,
    help="Data sets, with commas between them; those of the paper that are on this machine otherwise.",
)
@in_section(
    "How much of it", "--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="How many: the seeds 0 to N-1."
)
@in_section(
    "How much of it",
    "--budget",
    metavar="TIME|full",
    default="30m",
    show_default=True,
    help="30m, 2h, ... cuts seeds, then data sets, then epochs, never the items that are ranked; full is all of it.",
)
@in_section(
    "How much of it",
    "--replan",
    is_flag=True,
    default=False,
    help="Spend the budget anew, on top of what is finished by now; the same command otherwise stays with its runs.",
)
@in_section(
    "Changes of the recipes",
    "-s",
    "--set",
    "set_",
    metavar="PATH=VALUE",
    multiple=True,
    default=(),
    help="Set a value of every recipe; it is tagged `user`. Repeatable. [env: SEQAUG_SET, entries separated by ';']",
)
@plugin_file_option("Changes of the recipes")
@in_section(
    "Machine",
    "--jobs",
    type=click.IntRange(min=1),
    default=None,
    help="Runs at a time, each in a process of its own; one a GPU, or one a core, otherwise.",
)
@executor_option()
@machine_options(seed=False)
@in_section(
    RESULT,
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="The folder of the result; runs/reproduce-<what>-<hash> otherwise.",
)
@in_section(
    RESULT,
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    metavar="DIR",
    help="Finished runs in it count, and what is worth keeping of each run that finishes is copied there.",
)
@in_section(
    RESULT, "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Of what is printed."
)
@click.option(
    "--dry-run", is_flag=True, default=False, help="Say what the budget leaves and which runs are finished; write nothing."
)
@common
@click.pass_context
def reproduce(ctx: click.Context, /, output: Output, what: str, **options: Any) -> None:
    """Run a table or a figure of the paper (arXiv 2507.11866) and set what comes of it beside what was printed.

    Our mean, spread and interval, the paper's value, the deviation in standard errors; values that the paper's own table
    contradicts are marked and are no targets; every configuration value is tagged paper, released code, assumed or user.
    table1 is counted and trains nothing. The same command after an interruption goes on.
    """
    data = None if options["data"] is None else listed(options["data"], "--data")
    if what == "table1":
        _table_1(output, data, options)
        return
    changes = patches(options)

    from ..experiments.budget import parse_budget
    from ..experiments.reproduce import reproduce as events
    from ..experiments.reproduction import Request, costs, decided, fitted, plan_reproduction, within
    from ..experiments.settings import RunSettings

    request = Request(
        name=what,
        settings=RunSettings(
            precision=options["precision"], threads=options["threads"], patches=changes, command=command_line()
        ),
        budget=parse_budget(options["budget"]),
        data=data,
        seeds=options["seeds"],
        results=options["results"],
        out=options["out"],
    )
    planned = plan_reproduction(request)
    for note in planned.notes:
        output.note(note)
    devices, jobs, threads = workers(
        options["executor"], options["device"], options["jobs"], options["threads"], len(planned.matrix.unfinished)
    )
    found = None if options["replan"] else decided(planned)
    if found is None:
        known = []
        for cost in costs(planned, device=devices[0], threads=threads):
            if cost.seconds not in (0.0, float("inf")):
                output.detail(f"{cost.column} on {cost.data}: about {seconds_text(cost.seconds)} an epoch")
            known.append(cost)
        found = fitted(planned, known, jobs)
    left = within(planned, found)
    output.tell(f"{left.artefact.title}\n{found.sentence(request.budget)}")
    if request.budget.seconds is not None and found.seconds:
        output.tell(f"at most about {seconds_text(found.seconds)}, early stopping not counted")
    if options["dry_run"]:
        _dry_run(output, left, found, jobs, threads)
        return
    done: Reproduced = watch(
        output, events(left, jobs=jobs, threads=threads, devices=devices, executor=options["executor"]), left.matrix, jobs
    )
    tell_failures(done.failed)
    _print(output, done, options["form"])
    if done.failed:
        from ..experiments.ablate import exit_code

        ctx.exit(exit_code(done.failed))


def _dry_run(output: Output, left: Reproduction, found: Cut, jobs: int, threads: int) -> None:
    members = left.matrix.members
    if output.document(
        {
            "artefact": left.artefact.name,
            "budget": found.sentence(left.request.budget),
            "complete": found.complete,
            "seeds": {data: list(seeds) for data, seeds in found.seeds.items()},
            "epochs": found.epochs,
            "seconds_at_most": found.seconds,
            "jobs": jobs,
            "threads": threads,
            "folder": str(left.folder),
            "runs": [
                {
                    "column": one.member.variant,
                    "data": one.member.data,
                    "seed": one.member.seed,
                    "condition": one.condition,
                    "epochs": one.epochs,
                    "hash": one.hash,
                    "folder": str(one.folder),
                }
                for one in members
            ],
        }
    ):
        return
    output.table(
        ["column", "data", "seed", "condition", "epochs"],
        [[one.member.variant, one.member.data, str(one.member.seed), one.condition, counted(one.epochs)] for one in members],
        right=[2, 4],
    )
    number = len(left.matrix.unfinished)
    click.echo(f"{number} of {counted_of(len({one.hash for one in members}), 'run')} {'is' if number == 1 else 'are'} left")
    click.echo(found.sentence(left.request.budget))


def _print(output: Output, done: Reproduced, form: str) -> None:
    if output.json or form == "json":
        Output(json=True).document(done.document())
        return
    if form == "markdown":
        click.echo(done.markdown(), nl=False)
        return
    if form == "csv":
        click.echo(done.csv(), nl=False)
        return
    click.echo(done.title)
    click.echo(done.budget)
    header, rows = done.table()
    output.table(header, rows, right=_numbers(header))
    for part in (done.differences(), done.near(), done.sources()):
        if part is not None:
            click.echo()
            output.table(*part, right=_numbers(part[0]))
    if output.verbose:
        click.echo()
        click.echo(done.values_csv(), nl=False)
    click.echo()
    for line in done.says:
        click.echo(f"The paper: {line}")
    for line in done.notes:
        click.echo(line)
    click.echo(f"{counted(len({run.hash for run in done.runs}))} runs; every value with its source in values.csv")
    click.echo(str(done.folder))


def _numbers(header: Sequence[str]) -> list[int]:
    """Columns of numbers."""
    words = ("data", "method", "metric", "curve", "verdict", "configuration", "", "95 % interval", "paper")
    return [place for place, name in enumerate(header) if name not in words]


# ---- Table 1 ----


def _table_1(output: Output, data: tuple[str, ...] | None, options: dict[str, Any]) -> None:
    from ..experiments.data_sets import (
        counted_csv,
        counted_data,
        counted_document,
        counted_markdown,
        counted_rows,
        write_counted,
    )

    rows = counted_data(data)
    folder = options["out"]
    if not options["dry_run"]:
        folder = write_counted(rows, folder)
    form = "json" if output.json else options["form"]
    if form == "json":
        Output(json=True).document(counted_document(rows))
    elif form == "markdown":
        click.echo(counted_markdown(rows), nl=False)
    elif form == "csv":
        click.echo(counted_csv(rows), nl=False)
    else:
        click.echo("Table 1: statistics of the data sets (nothing is trained)")
        header, cells = counted_rows(rows)
        output.table(header, cells, right=range(2, len(header)))
        _reasons(rows)
        if folder is not None:
            click.echo(str(folder))


def _reasons(rows: Sequence[CountedData]) -> None:
    for row in rows:
        for reason in row.reasons:
            click.echo(f"{row.data}: {reason}")
