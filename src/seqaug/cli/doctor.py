"""seqaug doctor"""

from __future__ import annotations

from dataclasses import asdict

import click

from .terminal import Output, common

__all__ = ["doctor"]


@click.command("doctor")
@common
@click.pass_context
def doctor(ctx: click.Context, output: Output) -> None:
    """Check Python, torch, plugins, recipes, data and what can be written. Ends with exit code 5 where something is wrong."""
    from ..experiments.doctor import doctor as checks

    found = list(checks())
    wrong = [check for check in found if check.state == "wrong"]
    if not output.document({"fine": not wrong, "checks": [asdict(check) for check in found]}):
        output.table(["check", "", "found"], [[check.name, check.state, check.message] for check in found])
    if wrong:
        ctx.exit(5)
