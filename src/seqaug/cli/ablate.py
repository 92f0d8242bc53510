"""seqaug ablate"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .compare import FORMATS, print_comparison
from .matrix import common_settings, listed, matrix_options, print_plan, tell_failures, watch, workers
from .options import RecipeName, Sections, in_section
from .terminal import Output, common, counted, seconds_text

if TYPE_CHECKING:
    from ..experiments.ablate import Ablated, Ablation

__all__ = ["ablate"]


@click.command("ablate", cls=Sections)
@click.argument("recipe", type=RecipeName(), default="simdiffrec")
@in_section(
    "What is exchanged",
    "--variants",
    metavar="NAME[,NAME]",
    default=None,
    help="Some of the recipe's ablations; all otherwise. The full method is always there.",
)
@in_section(
    "What is exchanged",
    "--axis",
    "axes",
    metavar="HANDLE=PLUGIN,PLUGIN",
    multiple=True,
    default=(),
    help="Every combination of these instead, e.g. --axis noise=similarity:k=10,gaussian. Repeatable.",
)
@matrix_options(seeds=5)
@in_section(
    "The table",
    "--metric",
    "metrics",
    metavar="NAME",
    multiple=True,
    default=(),
    help="hr@K, ndcg@K or mrr@K, e.g. ndcg@10. Repeatable; those of the paper's Table 3 otherwise.",
)
@in_section("The table", "--unseen", is_flag=True, default=False, help="Rank without the items that a user has seen.")
@in_section(
    "The table",
    "--level",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Of the verdicts, over the whole table.",
)
@in_section(
    "The table", "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="Of the table."
)
@common
@click.pass_context
def ablate(ctx: click.Context, /, output: Output, recipe: str, **options: Any) -> None:
    """Train RECIPE whole and with one idea taken out at a time, over data sets and seeds, and say what is known of each.

    simdiffrec and its Table 3 by default. Each run is a run of its own; the same command after an interruption goes on, and
    after its end it prints the table again.
    """
    from ..recipes.load import load_recipe

    load_recipe(recipe)  # a slip of the pen is answered before torch is imported
    variants = None if options["variants"] is None else listed(options["variants"], "--variants")
    data = listed(options["data"], "--data")
    settings = common_settings(recipe, options)

    from ..experiments.ablate import Request, estimates, exit_code, plan_ablation
    from ..experiments.ablate import ablate as events
    from ..experiments.compare import TABLE_METRICS, metric_name

    metrics = tuple(dict.fromkeys(metric_name(part) for name in options["metrics"] for part in listed(name, "--metric")))
    request = Request(
        settings=settings,
        data=data,
        seeds=options["seeds"],
        variants=variants,
        axes=options["axes"],
        results=options["results"],
        out=options["out"],
    )
    ablation = plan_ablation(request)
    devices, jobs, threads = workers(
        options["executor"], options["device"], options["jobs"], options["threads"], len(ablation.matrix.unfinished)
    )
    _describe(output, ablation)
    if options["dry_run"]:
        rows = list(estimates(ablation.matrix, device=devices[0], threads=threads))
        more = {"recipe": ablation.recipe, "reference": ablation.reference, "notes": list(ablation.notes)}
        print_plan(output, rows, jobs=jobs, threads=threads, folder=ablation.folder, more=more)
        return
    done: Ablated = watch(
        output,
        events(
            ablation,
            jobs=jobs,
            threads=threads,
            devices=devices,
            executor=options["executor"],
            metrics=metrics or TABLE_METRICS,
            unseen=options["unseen"],
            level=options["level"],
        ),
        ablation.matrix,
        jobs,
    )
    tell_failures(done.failed)
    _print(output, done, options["form"])
    if done.failed:
        ctx.exit(exit_code(done.failed))


def _describe(output: Output, ablation: Ablation) -> None:
    seeds = f"{len(ablation.seeds)} seed{'s' if len(ablation.seeds) != 1 else ''}"
    output.tell(f"{ablation.recipe}: {', '.join(ablation.variants)}; on {', '.join(ablation.data)}; {seeds}")
    for note in ablation.notes:
        output.note(note)
    output.detail(f"folder {ablation.folder}")


def _print(output: Output, done: Ablated, form: str) -> None:
    from ..report.tables import as_json

    ablation, comparison = done.ablation, done.comparison
    if output.document(
        {
            "recipe": ablation.recipe,
            "folder": str(ablation.folder),
            "seconds": round(done.seconds, 3),
            "seconds_of_runs": round(done.trained, 3),
            "table": None if comparison is None else as_json(comparison),
            "runs": [
                {**_place(planned.member), "hash": planned.hash, "folder": str(record.folder)}
                for planned, record in done.records
            ],
            "failed": [{**_place(one.member), "message": one.message, "exit_code": one.exit_code} for one in done.failed],
        }
    ):
        return
    if comparison is None:
        return
    print_comparison(output, comparison, form)
    if form == "text":
        runs = len({planned.hash for planned, _ in done.records})
        click.echo(
            f"{counted(runs)} runs took {seconds_text(done.trained)} together; this command took {seconds_text(done.seconds)}"
        )
        click.echo(str(ablation.folder))


def _place(member: Any) -> dict[str, Any]:
    return {"variant": member.variant, "data": member.data, "seed": member.seed}
