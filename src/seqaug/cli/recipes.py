"""seqaug recipes list | show | copy"""

from __future__ import annotations

from pathlib import Path

import click

from .main import Verbs
from .options import RecipeName
from .terminal import Output, common

__all__ = ["recipes"]


@click.group("recipes", cls=Verbs)
def recipes() -> None:
    """The recipes: one TOML file a method."""


@recipes.command("list")
@common
def _list(output: Output) -> None:
    """Every recipe in the box."""
    from ..recipes.load import load_recipe, recipe_names

    found = [load_recipe(name) for name in recipe_names()]
    documents = [
        {
            "name": source.name,
            "paper": source.table.get("paper", ""),
            "handles": sorted(source.table.get("handles", {})),
            "variants": sorted(source.table.get("variants", {})),
            "ablations": sorted(source.table.get("ablations", {})),
        }
        for source in found
    ]
    if not output.document({"recipes": documents}):
        output.table(
            ["recipe", "handles", "variants", "paper"],
            [[one["name"], " ".join(one["handles"]), " ".join(one["variants"]), one["paper"]] for one in documents],
        )


@recipes.command("show")
@click.argument("name", type=RecipeName())
@common
def _show(output: Output, name: str) -> None:
    """The recipe NAME, word for word."""
    from ..recipes.load import load_recipe

    source = load_recipe(name)
    path = None if source.path is None else str(source.path)
    if output.document({"name": source.name, "path": path, "text": source.text, "table": source.table}):
        return
    if not output.to_terminal:
        click.echo(source.text, nl=not source.text.endswith("\n"))
        return
    from rich.syntax import Syntax

    output.console.print(Syntax(source.text.rstrip("\n"), "toml", background_color="default", word_wrap=False))


@recipes.command("copy")
@click.argument("name", type=RecipeName())
@click.argument("destination", type=click.Path(path_type=Path), default=None, required=False)
@common
def _copy(output: Output, name: str, destination: Path | None) -> None:
    """Write the recipe NAME to a file of your own (NAME.toml here, or DESTINATION). Nothing is overwritten."""
    from ..errors import RecipeError
    from ..recipes.load import load_recipe

    source = load_recipe(name)
    target = destination or Path(f"{source.name}.toml")
    if target.is_dir():
        target = target / f"{source.name}.toml"
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(source.text)
    except FileExistsError:
        raise RecipeError(f"{target} exists already, and nothing was overwritten. Name another file.") from None
    except OSError as error:
        raise RecipeError(f"{target} cannot be written: {error.strerror or error}.") from error
    if not output.document({"name": source.name, "path": str(target)}):
        click.echo(str(target))
        output.tell(f"try it: seqaug check {target}")
