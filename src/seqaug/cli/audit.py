"""seqaug audit"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .terminal import Output, common, counted

if TYPE_CHECKING:
    from ..experiments.audit import Audit

__all__ = ["audit"]


@click.command("audit")
@click.argument("table", metavar="FILE|paper")
@click.option("--percent", is_flag=True, default=False, help="The values are percentages: 5.72 for .0572.")
@click.option(
    "--slack",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    metavar="UNITS",
    help="How far off a value may be, in units of its last printed digit: 0.5 after one rounding, 1 where rounded values were "
    "averaged.",
)
@common
@click.pass_context
def audit(ctx: click.Context, /, output: Output, table: str, percent: bool, slack: float) -> None:
    """Check the arithmetic of a table of HR, NDCG and MRR: is there any ranking that gives these numbers?

    FILE is CSV (method,dataset,metric,value) or Markdown (one column a method, or one column a metric); the word `paper` stands
    for Tables 2 and 3 of arXiv 2507.11866. The metrics must be of one held-out item a user, of one run or a mean of runs.

    Ends with exit code 5 where a block of values is impossible; --json lists the impossible blocks only.
    """
    from ..experiments.audit import audit_file, audit_paper

    if table == "paper" and percent:
        raise click.UsageError("the paper's values are no percentages: leave --percent out.")
    found = audit_paper(slack=slack) if table == "paper" else audit_file(table, percent=percent, slack=slack)
    for note in found.notes:
        output.note(note)
    if not output.document([one.document() for one in found.findings]):
        _print(found)
    if found.findings:
        ctx.exit(5)


def _print(found: Audit) -> None:
    for one in found.findings:
        click.echo(f"{one.block.label} ({one.block.table}) is impossible")
        for wrong in one.contradictions:
            click.echo(f"  {wrong.message}")
        for sentence in one.advice:
            click.echo(f"    {sentence}")
    count = len(found.findings)
    verdict = "all possible" if not count else f"{count} impossible"
    blocks = f"{counted(len(found.blocks))} block{'s' if len(found.blocks) != 1 else ''}"
    click.echo(f"{blocks}, {counted(found.values)} values: {verdict}")
