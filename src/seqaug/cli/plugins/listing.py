"""seqaug plugins list"""

from __future__ import annotations

from collections import Counter

import click

from ..options import plugin_file_option
from ..terminal import Output, common
from .facts import KINDS, facts

__all__ = ["listing"]


@click.command("list")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only of this kind.")
@click.option(
    "--load", is_flag=True, default=False, help="Import each and say how it stands: ok, broken, incompatible, disabled."
)
@plugin_file_option()
@common
def listing(output: Output, kind: str | None, load: bool) -> None:
    """Kind, name and origin of every plugin. Imports none of them, but with --load all that are not disabled.

    A list is no check: where some are broken, --load says so and the exit code is 0 all the same; that of `seqaug doctor` is 5.
    """
    from ...core import discovery
    from ...core.registries import REGISTRIES, misplaced

    found = [info for name, registry in REGISTRIES.items() if kind in (None, name) for info in registry.all()]
    states = ["disabled" if info.disabled else "" for info in found]
    causes: list[str] = []
    documents = [facts(info) for info in found]
    if load:
        from ...recipes.condition import condition_of

        conditions = [condition_of(info) for info in found]
        states = [one.state for one in conditions]
        causes = [f"{one.state}: {one.cause}" for one in conditions if one.cause and one.state != "disabled"]
        for document, one in zip(documents, conditions, strict=True):
            document |= {"state": one.state, "cause": one.cause, "api": one.api}
    broken = discovery.installed().broken
    collisions = [message for name, registry in REGISTRIES.items() if kind in (None, name) for message in registry.collisions()]
    for message in [*misplaced(), *collisions]:
        output.note(message)
    if output.document(
        {
            "plugins": documents,
            "broken": [{"distribution": one.distribution, "version": one.version, "problem": one.problem} for one in broken],
            "misplaced": misplaced(),
            "collisions": collisions,
        }
    ):
        return
    rows = [[info.kind, info.name, info.distribution or info.origin, info.version or ""] for info in found]
    header = ["kind", "name", "distribution", "version"]
    if any(states):
        header, rows = [*header, "state"], [[*row, state] for row, state in zip(rows, states, strict=True)]
    output.table(header, rows)
    for cause in causes:
        click.echo(f"\n{cause}")
    if load:
        output.tell(", ".join(f"{count} {state}" for state, count in Counter(states).items()))
