"""seqaug preview"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import RecipeName, Sections, command_line, data_options, in_section, patches, reading, recipe_options
from .terminal import Output, common, counted

if TYPE_CHECKING:
    from ..evaluation.augmentation import Placed
    from ..report.preview import Cell, Preview, PreviewedUser, Row, ViewFacts

__all__ = ["preview"]

MACHINE = "Machine and seed"
SHOWN = "What is shown"
PLAIN_WIDTH = 120
"""Columns of a line where there is no terminal to say how many it has."""
TITLE = (14, 44)
"""The least and the most columns that a title gets."""
GAP, CONFIDENCE = 2, 7
BESIDE = 4 + GAP + 1 + GAP + CONFIDENCE + GAP
"""Columns that are taken before the first title: place, mark, confidence."""


@click.command("preview", cls=Sections)
@click.argument("subject", type=RecipeName(), default="simdiffrec", metavar="[RECIPE|RUN]")
@in_section(
    SHOWN, "--user", "users", metavar="NAME", multiple=True, default=(), help="This user, named as in the data. Repeatable."
)
@in_section(
    SHOWN, "--sample", type=click.IntRange(min=0), default=None, help="So many users drawn at random; 3, with --user none."
)
@in_section(
    SHOWN, "--over", type=click.IntRange(min=1), default=1000, show_default=True, help="Of how many users the numbers are."
)
@in_section(
    SHOWN,
    "--rows",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="At most so many positions of a sequence in the terminal, the latest ones; 0 for all.",
)
@in_section(
    SHOWN, "--html", type=click.Path(path_type=Path, dir_okay=False), default=None, metavar="FILE", help="Write a page as well."
)
@data_options()
@recipe_options()
@in_section(
    MACHINE,
    "--seed",
    type=click.IntRange(min=0),
    default=None,
    envvar="SEQAUG_SEED",
    help="Of the draws, the sample, and a recipe's initial weights; the run's own, else 0. [env: SEQAUG_SEED]",
)
@in_section(
    MACHINE, "--device", default="auto", show_default=True, envvar="SEQAUG_DEVICE", help="auto, cpu, ... [env: SEQAUG_DEVICE]"
)
@in_section(MACHINE, "--threads", type=click.IntRange(min=1), default=None, help="CPU threads; torch's choice otherwise.")
@common
@click.pass_context
def preview(ctx: click.Context, /, output: Output, subject: str, **options: Any) -> None:
    """What the augmenters make of sequences: the original beside every view, and numbers over many users.

    Of a finished run's folder (RUN) with its trained weights, or of a RECIPE with its initial ones. Looks at training items
    and, to count false negatives, at validation items; never at a test item.
    """
    folder = _run_folder(subject)
    if folder is None:
        from ..recipes.load import load_recipe

        _refuse_lost_folder(subject)
        load_recipe(subject)  # a slip of the pen is answered before torch is imported
    else:
        _refuse_changes(ctx, subject)
    from ..experiments.preview import Asked, preview_recipe, preview_run

    sample = (0 if options["users"] else 3) if options["sample"] is None else options["sample"]
    with _watched(output) as seen:
        asked = Asked(options["users"], sample, options["over"], options["seed"], seen)
        if folder is None:
            found = preview_recipe(_settings(subject, options), asked)
        else:
            given = None if ctx.get_parameter_source("data") == click.core.ParameterSource.DEFAULT else options["data"]
            found = preview_run(folder, asked, data=given, device=options["device"], threads=options["threads"])
    if options["html"] is not None:
        _write_page(options["html"], found)
        output.tell(f"written: {options['html']}")
    from ..report.preview import document

    if not output.document(document(found)):
        _Printer(output, options["rows"]).print(found)


def _run_folder(subject: str) -> Path | None:
    """The run folder that is meant; None where it is a recipe. A recipe's name wins over a folder that holds no run."""
    from ..recipes.load import recipe_names

    path = Path(subject)
    if not path.is_dir() or (subject in recipe_names() and not (path / "resolved.json").exists()):
        return None
    return path


def _refuse_lost_folder(subject: str) -> None:
    """Raises SeqaugError where a path was given that neither is there nor ends as a recipe's file does."""
    from ..errors import SeqaugError

    path = Path(subject)
    if len(path.parts) > 1 and path.suffix != ".toml" and not path.exists():
        raise SeqaugError(f"there is no run folder {subject}.")


def _refuse_changes(ctx: click.Context, subject: str) -> None:
    """A finished run is as it was made. Raises RecipeError where a flag would change its recipe or its data."""
    from ..errors import RecipeError

    stays = {"subject", "users", "sample", "over", "rows", "html", "data", "seed", "device", "threads"}
    stays |= {"as_json", "quiet", "verbose", "debug"}
    given = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name is not None
        and parameter.name not in stays
        and ctx.get_parameter_source(parameter.name) == click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise RecipeError(
            f"{', '.join(given)}: {subject} is a finished run, whose recipe and data cannot be changed any more. Leave "
            f"{'it' if len(given) == 1 else 'them'} out, or preview the recipe: seqaug preview RECIPE {given[0]} ..."
        )


def _settings(recipe: str, options: dict[str, Any]) -> Any:
    from ..experiments.settings import RunSettings

    return RunSettings(
        recipe=recipe,
        data=options["data"],
        data_options=reading(options),
        seed=options["seed"] or 0,
        device=options["device"],
        threads=options["threads"],
        patches=patches(options),
        ablation=options["ablation"],
        command=command_line(),
    )


def _write_page(path: Path, found: Preview) -> None:
    from ..errors import SeqaugError
    from ..experiments.files import write_text
    from ..report.preview_page import preview_page

    try:
        write_text(path, preview_page(found))
    except OSError as error:
        raise SeqaugError(f"{path} cannot be written: {error.strerror or error}.") from error


@contextmanager
def _watched(output: Output) -> Iterator[Callable[[int, int], None]]:
    """A bar while the sequences are looked at, where there is a terminal for one."""
    from .progress import bars_wanted

    if not bars_wanted(output):
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("users", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


# ---- printing ----


MARKS = {
    ".": "the original item",
    "*": "a position that a selector chose",
    "=": "it got its own item back",
    "+": "an item inserted",
    "^": "an original item in another place",
    "-": "the original item is left out",
    "!": "the user takes this item later",
    "<": "the user had this item before",
    "0.71": "cosine to the item that was there",
    "another sequence": "is set so that both end together",
}


class _Printer:
    """Lays a preview out for a terminal of whatever width, or for a file."""

    def __init__(self, output: Output, most_rows: int) -> None:
        self.output = output
        self.most_rows = most_rows
        self.drawn = output.to_terminal
        self.console = output.console
        self.width = self.console.width if self.drawn else PLAIN_WIDTH
        self.used: set[str] = set()

    def print(self, preview: Preview) -> None:
        from ..report.preview import LOOKED_AT, verdicts

        self.line(f"{preview.recipe} on {preview.data}, seed {preview.seed}", style="bold")
        self.line(preview.weights, style="" if preview.trained else "yellow")
        for note in preview.notes:
            self.line(note)
        if not preview.over:
            return
        for view in preview.views:
            self.line(f"{view.name} ({view.use}): {view.read}{'' if view.words is None else f'; {view.words}'}", indent=2)
        for user in preview.shown:
            self.user(preview, user)
        told = [f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in self.used]
        if told:
            self.line("")
            self.line("; ".join(told))
        self.numbers(preview)
        self.line("")
        for verdict in verdicts(preview):
            self.line(verdict)
        self.line(LOOKED_AT, style="dim")

    def line(self, text: str, *, style: str = "", indent: int = 0) -> None:
        """A paragraph, wrapped at words on a terminal."""
        if not self.drawn:
            click.echo(" " * indent + text)
            return
        from rich.padding import Padding
        from rich.text import Text

        self.console.print(Padding(Text(text, style=style), (0, 0, 0, indent)), soft_wrap=False)

    def shortened(self, text: str, width: int) -> str:
        """At most `width` columns of a terminal, with a mark for what was cut off."""
        from rich.cells import cell_len, set_cell_size

        text, mark = " ".join(text.split()), "\u2026" if self.drawn else "..."
        return text if cell_len(text) <= width else set_cell_size(text, max(width - len(mark), 0)).rstrip() + mark

    # ---- one user ----

    def user(self, preview: Preview, user: PreviewedUser) -> None:
        from ..report.preview import rows

        names = [view.name for view in preview.views if view.words is None]
        self.line("")
        self.line(f"user {user.user}: {user.described(preview)}", style="bold")
        for part in self.parts(names) or [[]]:
            found = rows(user, part)
            earlier, latest = (found[: -self.most_rows], found[-self.most_rows :]) if self.most_rows else ([], found)
            hidden = [row for row in earlier if row.place != 0]  # made-up items come first, and are what there is to see
            if hidden:
                changed = sum(row.changed for row in hidden)
                of_them = f" ({changed} of them changed)" if changed else ""
                self.line(f"{len(hidden)} earlier rows are not shown{of_them}: --rows 0 shows all", style="dim")
            self.table(preview, user, part, [*(row for row in earlier if row.place == 0), *latest])
        told = {name: view.representation for name, view in user.views.items() if view.representation is not None}
        if told:
            from ..report.preview import cosine_text

            each = ", ".join(f"{name} {cosine_text(cosine)}" for name, cosine in told.items())
            self.line(f"cosine of the representation to the original's: {each}", style="dim")

    def parts(self, names: Sequence[str]) -> list[list[str]]:
        """The views in as many tables as it takes to give each title a readable width."""
        fits = max((self.width - BESIDE) // (TITLE[0] + GAP) - 1, 1)
        return [list(names[start : start + fits]) for start in range(0, len(names), fits)]

    def table(self, preview: Preview, user: PreviewedUser, names: Sequence[str], found: Sequence[Row]) -> None:
        """The original with the views `names` beside it."""
        from ..report.preview import confidence_text, short_names

        confident = any(row.confidence is not None for row in found)
        room = self.width - BESIDE + (0 if confident else CONFIDENCE + GAP)
        width = max(TITLE[0], min((room + GAP) // (len(names) + 1) - GAP, TITLE[1]))
        header = ["", "", *(["conf."] if confident else []), "original"]
        header += [self.shortened(name, width) for name in short_names(names)]
        lines: list[list[tuple[str, str]]] = []
        for row in found:
            if row.selected:
                self.used.add("*")
            place = "" if row.place is None else str(row.place) if row.place else "made"
            cells = [(place, "dim"), ("*" if row.selected else "", "bold yellow")]
            if confident:
                cells.append((confidence_text(row.confidence), "bold" if row.selected else "dim"))
            cells.append(
                (self.shortened("" if row.item is None else preview.title(row.item), width), "dim" if row.place == 0 else "")
            )
            cells += [self.cell(preview, user, cell, width) for cell in row.cells]
            lines.append(cells)
        right = [0, *([2] if confident else [])]
        self.grid(header, lines, right)

    def cell(self, preview: Preview, user: PreviewedUser, cell: Cell | None, width: int) -> tuple[str, str]:
        """(text, style)"""
        if cell is None:
            return "", ""
        one = cell.placed
        if one is None:
            self.used.add("-")
            return "-", "red"
        if one.what in ("kept", "other"):
            self.used.add("." if one.what == "kept" else "another sequence")
        if one.what in ("kept", "masked", "other"):
            text = {"kept": ".", "masked": "[MASK]"}.get(one.what) or self.shortened(preview.title(one.item), width)
            return text, {"kept": "dim", "masked": "magenta"}.get(one.what, "")
        before = {"same": "=", "inserted": "+", "moved": "^"}.get(one.what, "")
        behind = self.behind(user, one)
        self.used.update(mark for mark in (before, *behind.split()) if mark in MARKS)
        if one.similarity is not None and one.what == "replaced":
            self.used.add("0.71")
        room = width - len(before) - bool(before) - len(behind) - bool(behind)
        title = _padded(self.shortened(preview.title(one.item), room), room if behind else 0)
        text = " ".join(word for word in (before, title, behind) if word)
        style = {"same": "cyan", "moved": "blue", "inserted": "green"}.get(one.what, "bold yellow")
        return text, "bold red" if one.later_true else style

    def behind(self, user: PreviewedUser, one: Placed) -> str:
        """What stands after a title: the similarity, whether it comes true, whether it was there before, whence it came."""
        if one.came_from is not None:
            return f"from {user.place(one.came_from)}"
        told = [] if one.similarity is None or one.what == "same" else [f"{one.similarity:.2f}"]
        return " ".join([*told, *(["!"] if one.later_true else []), *(["<"] if one.in_history else [])])

    # ---- all users ----

    def numbers(self, preview: Preview) -> None:
        from ..report.preview import table_of_made_up

        self.line("")
        self.line(f"over {counted(preview.over)} of {counted(preview.users)} users", style="bold")
        label, column = 30, max((max(map(len, view.name.split("."))) for view in preview.views), default=0) + 2
        fits = max((self.width - label) // max(column, 10), 1)
        for start in range(0, len(preview.views), fits):
            self.columns(preview.views[start : start + fits])
        if preview.made_up is not None:
            lines = [[(name, ""), (text, "")] for name, text in table_of_made_up(preview.made_up)]
            self.grid(["", "made up"], lines, [1])

    def columns(self, views: Sequence[ViewFacts]) -> None:
        from ..report.preview import table_of_numbers

        lines = [[(label, ""), *((text, "") for text in texts)] for label, texts in table_of_numbers(views)]
        joint = "\n" if self.drawn else "."
        self.grid(["", *(view.name.replace(".", joint, 1) for view in views)], lines, range(1, len(views) + 1))

    def grid(self, header: Sequence[str], lines: Sequence[Sequence[tuple[str, str]]], right: Sequence[int]) -> None:
        """Cells (text, style) under a header."""
        if not self.drawn:
            from .terminal import plain_rows

            click.echo("\n".join(plain_rows(header, [[text for text, _ in line] for line in lines], right=right)))
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 1, 0, 0))
        for place, name in enumerate(header):
            table.add_column(Text(name), justify="right" if place in right else "left", no_wrap=True)
        for line in lines:
            table.add_row(*(Text(text, style=style) for text, style in line))
        self.line("")
        self.console.print(table)


def _padded(text: str, width: int) -> str:
    from rich.cells import cell_len

    return text + " " * max(width - cell_len(text), 0)
