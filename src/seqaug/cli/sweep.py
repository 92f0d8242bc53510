"""seqaug sweep"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from .matrix import common_settings, listed, matrix_options, print_plan, tell_failures, watch, workers
from .options import RecipeName, Sections, in_section
from .terminal import Output, common, counted_of, seconds_text

if TYPE_CHECKING:
    from ..experiments.sweep import Sweep, Swept

__all__ = ["sweep"]


@click.command("sweep", cls=Sections)
@click.argument("recipe", type=RecipeName())
@in_section(
    "What is varied",
    "--grid",
    metavar="PLACE=CHOICE,CHOICE",
    multiple=True,
    default=(),
    help="Values of a path, or plugins at a handle, e.g. --grid training.learning_rate=1e-3,3e-4. Repeatable.",
)
@in_section(
    "What is varied",
    "--optuna",
    "trials",
    metavar="TRIALS",
    type=click.IntRange(min=1),
    default=None,
    help="So many proposals instead of every combination; --grid then also takes LOW..HIGH and LOW..HIGH:log. [extra: tuning]",
)
@matrix_options(seeds=1)
@common
@click.pass_context
def sweep(ctx: click.Context, /, output: Output, recipe: str, **options: Any) -> None:
    """Search values of RECIPE: rank them on validation, and test what won.

    Selection sees the validation only, and test numbers are printed of the selected configuration only. Each run is a run of
    its own; the same command after an interruption goes on, and after its end it prints the ranking again.
    """
    from ..recipes.load import load_recipe

    load_recipe(recipe)  # a slip of the pen is answered before torch is imported
    data = listed(options["data"], "--data")
    settings = common_settings(recipe, options)

    from ..experiments.ablate import estimates, exit_code
    from ..experiments.sweep import SweepRequest, plan_sweep
    from ..experiments.sweep import sweep as events

    plan = plan_sweep(
        SweepRequest(
            settings=settings,
            grid=options["grid"],
            data=data,
            seeds=options["seeds"],
            trials=options["trials"],
            results=options["results"],
            out=options["out"],
        )
    )
    left = len(plan.matrix.unfinished) if plan.request.trials is None else plan.request.trials * len(plan.seeds)
    devices, jobs, threads = workers(options["executor"], options["device"], options["jobs"], options["threads"], left)
    _describe(output, plan)
    if options["dry_run"]:
        matrix, times = (plan.matrix, 1) if plan.request.trials is None else (plan.base, plan.request.trials)
        rows = list(estimates(matrix, device=devices[0], threads=threads))
        if plan.request.trials is not None:
            output.note(f"each row stands for {times} trials, timed as the recipe is.")
        more = {"recipe": plan.source.name, "grid": list(plan.request.grid), "trials": plan.request.trials}
        print_plan(output, rows, jobs=jobs, threads=threads, folder=plan.folder, more=more, times=times)
        return
    done: Swept = watch(
        output, events(plan, jobs=jobs, threads=threads, devices=devices, executor=options["executor"]), plan.matrix, jobs
    )
    tell_failures(done.failed)
    _print(output, done)
    if done.failed:
        ctx.exit(exit_code(done.failed))


def _describe(output: Output, plan: Sweep) -> None:
    request = plan.request
    many = counted_of(*((len(plan.configurations), "configuration") if request.trials is None else (request.trials, "trial")))
    places, data = ", ".join(place.path for place in plan.places), ", ".join(plan.data)
    output.tell(f"{plan.source.name}: {many} of {places}; on {data}; {_seeds(len(plan.seeds))}")
    for note in plan.notes:
        output.note(note)
    output.detail(f"folder {plan.folder}")


def _print(output: Output, done: Swept) -> None:
    from ..experiments.choices import short_names
    from ..experiments.sweep import as_json
    from .scores import score_table

    plan = done.sweep
    if output.document({**as_json(done), "folder": str(plan.folder), "seconds": round(done.seconds, 3)}):
        return
    for data, rows in done.ranked.items():
        if not rows:
            continue
        click.echo(f"{plan.source.name} on {data}, by the mean {plan.monitor} on validation over {_seeds(len(plan.seeds))}")
        output.table(
            ["rank", *short_names([place.path for place in plan.places]), plan.monitor, "+-", "seeds", "time"],
            [
                [
                    "-" if row.place is None else str(row.place),
                    *row.values,
                    "-" if row.mean is None else f"{row.mean:.4f}",
                    "-" if row.spread is None else f"{row.spread:.4f}",
                    f"{len(row.validation)}",
                    seconds_text(row.seconds),
                ]
                for row in rows
            ],
            right=[0, *range(1 + len(plan.places), 5 + len(plan.places))],
        )
        if any(row.place is None for row in rows):
            click.echo("without a rank: not all of its seeds have finished")
        selected = done.selected.get(data)
        if selected is None:
            continue
        click.echo(f"selected on validation: {selected.ranked.name}")
        click.echo("its means; the test played no part in the selection, and no other configuration's is shown")
        score_table(output, selected.scores)
        click.echo(f"as flags of seqaug run: {shlex.join(selected.flags)}")
        click.echo("")
    click.echo(f"the runs took {seconds_text(done.trained)} together; this command took {seconds_text(done.seconds)}")
    click.echo(str(plan.folder))


def _seeds(number: int) -> str:
    return f"{number} seed{'s' if number != 1 else ''}"
