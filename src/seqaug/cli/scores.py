"""The final result as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .terminal import Output, counted, plain_rows, seconds_text

__all__ = ["print_result", "score_rows", "score_table"]

_PARTS = (("valid", "valid"), ("test", "test"), ("test_unseen", "test unseen"))
_NAMES = tuple((kind, k) for kind in ("hr", "ndcg", "mrr") for k in (5, 10, 20))
_WIDTH = 85


def score_rows(metrics: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """One row each for valid, test and test unseen: HR, NDCG, MRR at 5, 10 and 20."""
    return [
        [label, *(f"{metrics[part][f'{kind}@{k}']:.4f}" for kind, k in _NAMES)] for part, label in _PARTS if part in metrics
    ]


def score_table(output: Output, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """The nine metrics of each part: drawn on a terminal, plain ASCII elsewhere."""
    rows = score_rows(metrics)
    header = ["", *(f"{kind.upper()}@{k}" for kind, k in _NAMES)]
    if not output.to_terminal:
        click.echo("\n".join(plain_rows(header, rows, right=range(1, len(header)))))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = output.console
    if console.width < _WIDTH:
        header, *rows = [list(column) for column in zip(*[header, *rows], strict=True)]
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for place, name in enumerate(header):
            table.add_column(name, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
    else:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("")
        for kind, k in _NAMES:
            table.add_column(f"{kind.upper()}\n@{k}", justify="right")
        for row in rows:
            # The test row is the result; validation chose the weights and is therefore too good.
            table.add_row(*(Text(cell, style="bold" if row[0] == "test" else "") for cell in row))
    console.print(table)


def print_result(output: Output, found: Mapping[str, Any], folder: str) -> None:
    """The whole result of a run: what it was, the metrics, how they came about, where they lie."""
    data, seconds, selection = found["data"], found["seconds"], found["protocol"]["selection"]
    title = f"{found['recipe']} on {data['name']}, seed {found['seed']}"
    console = output.console
    if output.to_terminal:
        console.print(f"\n[bold]{title}[/bold]")
    else:
        click.echo(title)
    score_table(output, found)
    metric = selection["metric"]
    judged = (
        f"epoch {found['best_epoch']} of {found['epochs']} was best on validation "
        f"({metric} {found['valid'][metric]:.4f}); its weights were tested"
    )
    lines = [
        judged if found["epochs"] else "nothing was trained: the recipe has no parts that learn",
        f"{seconds_text(seconds['train'])} training ({seconds['per_epoch']:.2f} s an epoch), "
        f"{seconds_text(seconds['evaluate'])} evaluation, "
        f"{found['peak_memory_bytes'] / 2**20:,.0f} MiB at most, {counted(found['parameters'])} parameters",
        f"each of {counted(data['users'])} users' held-out item ranked among all {counted(data['items'])} items; "
        "seen items are kept in valid and test, removed in test unseen",
        str(folder),
    ]
    for line in lines:
        click.echo(line)
