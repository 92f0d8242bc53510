"""seqaug check"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from .options import DataName, RecipeName, Sections, machine_options, patches, recipe_options
from .terminal import Output, common, counted

__all__ = ["check"]


@click.command("check", cls=Sections)
@click.argument("recipe", type=RecipeName())
@click.option(
    "--data", type=DataName(), default=None, metavar="NAME", help="Check the variant for this data set; no data is read."
)
@recipe_options()
@machine_options()
@common
@click.pass_context
def check(ctx: click.Context, /, output: Output, recipe: str, data: str | None, **options: Any) -> None:
    """Plan RECIPE and rehearse it: one step of everything on a toy world, on the device and precision given.

    Takes about a second. Ends with exit code 5 where something is wrong, and prints all of it at once.
    """
    from ..recipes.load import load_recipe

    source = load_recipe(recipe)  # a slip of the pen is answered before torch is imported
    changes = patches(options)

    import torch

    from ..errors import RecipeError
    from ..experiments.environment import chosen_device
    from ..experiments.rehearse import rehearse
    from ..recipes.plan import make_plan

    if options["threads"] is not None:
        torch.set_num_threads(options["threads"])
    device = chosen_device(options["device"])
    try:
        plan = make_plan(source, data=data, ablation=options["ablation"], patches=changes)
        rehearsal = rehearse(plan, device=device, precision=options["precision"], seed=options["seed"])
    except RecipeError as error:
        if not output.document({"recipe": source.name, "fine": False, "problems": list(error.problems)}):
            click.echo(f"{source.name}: {len(error.problems)} problem{'s' if len(error.problems) != 1 else ''}")
            for problem in error.problems:
                click.echo("  " + problem.replace("\n", "\n  "))
        ctx.exit(5)
    plugins = [(used.path, used.info) for used in plan.plugins()]
    if output.document(
        {
            "recipe": plan.name,
            "fine": True,
            "problems": [],
            "rehearsal": asdict(rehearsal),
            "plugins": {
                path: {"kind": info.kind, "name": info.name, "distribution": info.distribution} for path, info in plugins
            },
            "values": plan.values,
            "origins": plan.origins,
        }
    ):
        return
    click.echo(f"{plan.name}: fine")
    output.table(["path", "plugin", "from"], [[path, info.name, info.origin] for path, info in plugins])
    output.table(
        ["term", "value on the toy world"], [[name, f"{value:.4f}"] for name, value in rehearsal.terms.items()], right=[1]
    )
    output.tell(
        f"{counted(sum(rehearsal.parameters.values()))} parameters with 300 items, rehearsed in {rehearsal.seconds:.1f} s"
    )
