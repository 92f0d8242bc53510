"""seqaug report"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import DataName
from .terminal import Output, bytes_text, common, seconds_text

__all__ = ["report"]


@click.command("report")
@click.argument("source", type=click.Path(path_type=Path), metavar="RUN|FOLDER")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    metavar="FILE.html",
    help="RUN/report.html otherwise.",
)
@click.option(
    "--reference", default=None, metavar="METHOD", help="What the others are compared with; sasrec where it is there."
)
@click.option(
    "--data", type=DataName(), default=None, metavar="NAME|PATH", help="Where the data is; found by its hash otherwise."
)
@click.option("--open", "open_", is_flag=True, default=False, help="Show the page in a browser.")
@common
def report(output: Output, source: Path, out: Path | None, reference: str | None, data: str | None, open_: bool) -> None:
    """Write one HTML page about a run, or about all runs in a folder.

    RUN is a run folder, or what was kept of one (metrics.json and per_user.npz). FOLDER has many of them, or is that of an
    ablation. The page holds everything it shows: no network, no script.
    """
    from ..experiments.report import report as written

    found = written(source, out=out, reference=reference, data=data)
    for note in found.contents.notes:
        output.note(note)
    if not output.document(_document(found)):
        size = bytes_text(found.path.stat().st_size)
        click.echo(f"{found.path}")
        output.tell(f"{found.contents.title}: {size}, written in {seconds_text(found.seconds)}")
    if open_:
        import webbrowser

        if not webbrowser.open(found.path.absolute().as_uri()):
            output.note(f"no browser could be opened; the page is {found.path}.")


def _document(found: Any) -> dict[str, Any]:
    """What the page shows in numbers."""
    from ..report.sections import sections
    from ..report.tables import as_json

    contents = found.contents
    return {
        "page": str(found.path),
        "title": contents.title,
        "sections": [section.id for section in sections(contents)],
        "runs": [
            {"folder": run.folder, "method": run.method, "data": run.data, "seed": run.seed, "hash": run.hash, "note": run.note}
            for run in contents.runs
        ],
        "methods": [
            {
                "method": one.method,
                "data": one.data,
                "seeds": list(one.seeds),
                "valid": dict(one.valid),
                **{
                    part: {
                        name: {"mean": found.value, "low": found.low, "high": found.high}
                        for (where, name), found in one.estimates.items()
                        if where == part
                    }
                    for part in ("test", "test_unseen")
                },
                "seconds": one.seconds,
                "epochs": one.epochs,
            }
            for one in contents.scores
        ],
        "comparison": None if contents.comparison is None else as_json(contents.comparison),
        "notes": list(contents.notes),
    }
