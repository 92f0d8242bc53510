"""seqaug compare"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .terminal import Output, common, plain_rows

if TYPE_CHECKING:
    from ..evaluation.comparison import Comparison

__all__ = ["FORMATS", "compare", "print_comparison"]

FORMATS = ("text", "markdown", "latex", "csv", "json")


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, metavar="[LABEL=]RUN...")
@click.option(
    "--reference", default=None, metavar="METHOD|RUN", help="What the others are compared with; the first method otherwise."
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=(),
    metavar="NAME",
    help="hr@K, ndcg@K or mrr@K; repeatable. HR and NDCG at 5 and 10 otherwise.",
)
@click.option("--unseen", is_flag=True, default=False, help="The ranks with seen items removed.")
@click.option("--force", is_flag=True, default=False, help="Compare what was not measured alike, and say so.")
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Of the verdicts, over the whole table.",
)
@click.option(
    "--power",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="With which so many seeds would tell.",
)
@click.option(
    "--resamples", type=click.IntRange(min=100), default=2000, show_default=True, help="Of the bootstrap, from 5 seeds on."
)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="What is printed on stdout."
)
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the table there too.")
@click.option("--latex", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the table there too.")
@click.option("--csv", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the table there too.")
@common
def compare(
    output: Output,
    runs: tuple[str, ...],
    reference: str | None,
    metrics: tuple[str, ...],
    unseen: bool,
    force: bool,
    level: float,
    power: float,
    resamples: int,
    form: str,
    markdown: Path | None,
    latex: Path | None,
    csv: Path | None,
) -> None:
    """Compare finished runs: paired differences, and a verdict for each.

    RUN is a run folder, or a folder with run folders in it. Runs that differ in nothing but the seed are one method; LABEL=RUN
    names a method, and runs of one label are one. Runs that were not measured alike (data, split, seen items, ties) are refused
    with exit code 5.
    """
    from ..experiments.compare import TABLE_METRICS, given
    from ..experiments.compare import compare as comparison
    from ..experiments.files import write_text
    from ..report.tables import as_csv, as_latex, as_markdown

    found = comparison(
        [given(word) for word in runs],
        reference=reference,
        metrics=metrics or TABLE_METRICS,
        unseen=unseen,
        force=force,
        level=level,
        power=power,
        resamples=resamples,
    )
    for path, make in ((markdown, as_markdown), (latex, as_latex), (csv, as_csv)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, make(found))
            output.tell(f"written: {path}")
    print_comparison(output, found, form)


def print_comparison(output: Output, found: Comparison, form: str = "text") -> None:
    """The table with its legend and notes on stdout, in one of FORMATS; as the one JSON document where that was asked for.

    CSV and JSON hold no legend; the notes of CSV go to stderr.
    """
    from ..report.tables import as_csv, as_json, as_latex, as_markdown, as_text_rows, legend
    from .terminal import print_json

    if output.json or form == "json":
        print_json(as_json(found))
    elif form == "csv":
        click.echo(as_csv(found), nl=False)
        for note in found.notes:
            output.note(note)
    elif form != "text":
        click.echo(as_markdown(found) if form == "markdown" else as_latex(found), nl=False)
    else:
        header, rows = as_text_rows(found)
        if output.to_terminal and max(map(len, plain_rows(header, rows))) > output.console.width:
            header, rows = as_text_rows(found, tall=True)
        output.table(header, rows)
        for line in (*legend(found), *found.notes):
            click.echo(line)
