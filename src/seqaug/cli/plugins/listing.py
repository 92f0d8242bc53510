"""seqaug plugins list"""

from __future__ import annotations

import click

from ..options import plugin_file_option
from ..terminal import Output, common
from .facts import KINDS, facts

__all__ = ["listing"]


@click.command("list")
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only of this kind.")
@plugin_file_option()
@common
def listing(output: Output, kind: str | None) -> None:
    """Kind, name and origin of every plugin. Imports none of them."""
    from ...core import discovery
    from ...core.registries import REGISTRIES

    found = [info for name, registry in REGISTRIES.items() if kind in (None, name) for info in registry.all()]
    broken = discovery.installed().broken
    if output.document(
        {
            "plugins": [facts(info) for info in found],
            "broken": [{"distribution": one.distribution, "version": one.version, "problem": one.problem} for one in broken],
        }
    ):
        return
    output.table(
        ["kind", "name", "distribution", "version"],
        [[info.kind, info.name, info.distribution or info.origin, info.version or ""] for info in found],
    )
