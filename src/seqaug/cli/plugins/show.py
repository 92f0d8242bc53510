"""seqaug plugins show"""

from __future__ import annotations

import inspect
from dataclasses import asdict

import click

from ..options import PluginName, plugin_file_option
from ..terminal import Output, common
from .facts import KINDS, facts, registries_with

__all__ = ["show"]


@click.command("show")
@click.argument("name", type=PluginName())
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only of this kind.")
@plugin_file_option()
@common
def show(output: Output, name: str, kind: str | None) -> None:
    """What the plugin NAME does and which options it has, read from its own signature.

    A name that several kinds have is shown for each of them. DISTRIBUTION/NAME picks one of two that share a name.
    """
    from ...recipes.options import describe_options, signature_of

    documents = []
    for registry in registries_with(name, kind):
        info, plugin = registry.describe(name), registry.get(name)
        signature_of(info, plugin)  # where it cannot be read, whose it is should be said
        options = describe_options(plugin)
        documents.append(
            {**facts(info), "doc": inspect.cleandoc(plugin.__doc__ or ""), "options": [asdict(one) for one in options]}
        )
    if output.document({"plugins": documents}):
        return
    for place, document in enumerate(documents):
        if place:
            click.echo()
        click.echo(f"{document['kind']} / {document['name']}  ({document['origin']}, {document['value']})\n")
        click.echo(document["doc"] + "\n")
        rows = [
            [one["name"], one["type"], one["default"] or "(needed)", " ".join(filter(None, (one["bounds"], one["docs"])))]
            for one in document["options"]
        ]
        if rows:
            output.table(["option", "type", "default", ""], rows)
        else:
            click.echo("It has no options.")
