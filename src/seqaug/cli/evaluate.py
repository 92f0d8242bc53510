"""seqaug evaluate"""

from __future__ import annotations

from pathlib import Path

import click

from .options import DataName, plugin_file_option
from .terminal import Output, common, say, seconds_text

__all__ = ["evaluate"]


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), metavar="RUN")
@click.option(
    "--data", type=DataName(), default=None, metavar="NAME|PATH", help="Where the data is; found by its hash otherwise."
)
@click.option(
    "--device", default="auto", show_default=True, envvar="SEQAUG_DEVICE", help="auto, cpu, cuda, ... [env: SEQAUG_DEVICE]"
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="CPU threads; torch's choice otherwise.")
@plugin_file_option()
@common
@click.pass_context
def evaluate(ctx: click.Context, output: Output, run: Path, data: str | None, device: str, threads: int | None) -> None:
    """Rank again with the weights in the folder RUN, and compare with the numbers it holds.

    Ends with exit code 1 where any of them differs.
    """
    from ..experiments.evaluate import evaluate as evaluation

    found = evaluation(run, data=data, device=device, threads=threads)
    for note in found.notes:
        output.note(note)
    if not output.document(
        {
            "folder": str(found.folder),
            "recipe": found.recipe,
            "data": found.data,
            **found.metrics,
            "stored": found.stored,
            "equal": found.equal,
            "differences": list(found.differences),
            "notes": list(found.notes),
            "seconds": round(found.seconds, 3),
        }
    ):
        from .scores import score_table

        click.echo(f"{found.recipe} on {found.data}, evaluated again in {seconds_text(found.seconds)}")
        score_table(output, found.metrics)
        if found.equal:
            click.echo(f"equal to what {found.folder} holds, every metric and every user's rank")
    if not found.equal:
        say("\n  ".join([f"{found.folder} holds other numbers:", *found.differences]), label="error")
        ctx.exit(1)
