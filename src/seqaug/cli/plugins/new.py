"""seqaug plugins new"""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..terminal import Output, common
from .facts import KINDS

__all__ = ["new"]


def _kinds(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


@click.command("new")
@click.argument("name")
@click.option("--kind", metavar="KIND", default=None, shell_complete=_kinds, help="encoders, noise_sources, ...; needed.")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="Where the folder NAME goes.",
)
@click.option("--plugin", metavar="PLUGIN", default=None, help="Its name in recipes; NAME without 'seqaug-' otherwise.")
@click.option("--author", metavar="TEXT", default=None, help="Whom the licence names; git's user.name otherwise.")
@common
@click.pass_context
def new(
    ctx: click.Context,
    /,
    output: Output,
    name: str,
    kind: str | None,
    directory: Path,
    plugin: str | None,
    author: str | None,
) -> None:
    """Write the package NAME of a new plugin: it works, is documented and tested, and can be installed as it is.

    Its tests, ruff and mypy pass unedited; change the plugin from there. NAME is that of a package, as in my-noise. Nothing is
    fetched.
    """
    from datetime import date

    from ...scaffold.package import author_for, new_package, write_package

    if kind is None:
        raise click.UsageError(f"say what the plugin shall be: --kind, one of {', '.join(KINDS)}.", ctx)
    package = new_package(name, kind, author=author_for(name, author), year=date.today().year, plugin=plugin)
    folder = write_package(package, directory)
    names = package.names
    commands = {
        "enter": f"cd {_quoted(folder)}",
        "install": "pip install -e '.[test]'",
        "test": "pytest",
        "lint": "ruff check . && ruff format --check . && mypy",
        "check": f"seqaug plugins check {names.plugin} --kind {package.kind}",
        "run": f"seqaug run {package.recipe} {package.change}",
        "ablate": f"seqaug ablate {package.recipe} {package.ablation} --seeds 5",
    }
    if output.document(
        {
            "folder": str(folder),
            "kind": package.kind,
            "plugin": names.plugin,
            "distribution": names.distribution,
            "module": names.module,
            "class": names.class_name,
            "files": list(package.files),
            "commands": commands,
        }
    ):
        return
    click.echo(f"{folder}: {names.class_name}, the plugin {names.plugin!r} in {package.kind}")
    for path in package.files:
        click.echo(f"  {path}")
    output.tell("\n  ".join(["next:", *commands.values()]))


def _quoted(folder: Path) -> str:
    import shlex

    return shlex.quote(str(folder))
