"""seqaug plugins show"""

from __future__ import annotations

import inspect
from dataclasses import asdict

import click

from ..options import PluginName, plugin_file_option
from ..terminal import Output, common
from .facts import KINDS, facts

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
    from ...core.registries import REGISTRIES
    from ...errors import UnknownName, did_you_mean
    from ...recipes.options import describe_options

    short = name.rpartition("/")[2]
    chosen = [registry for key, registry in REGISTRIES.items() if kind in (None, key)]
    having = [registry for registry in chosen if short in registry.names()]
    if not having:
        known = sorted({one for registry in chosen for one in registry.names()})
        of_kind = f"{chosen[0].noun} is" if kind else "plugin is"
        raise UnknownName(f"no {of_kind} called {name!r}.{did_you_mean(short, known)} Known: {', '.join(known)}.")
    documents = []
    for registry in having:
        info, plugin = registry.describe(name), registry.get(name)
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
