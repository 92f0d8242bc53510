"""What the verbs with many runs share: flags, what they watch while it happens, and what --dry-run prints."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import RecipeError
from .options import DataName, command_line, file_options, in_section, machine_options, patches, reading, recipe_options
from .terminal import Output, counted, counted_of, seconds_text

if TYPE_CHECKING:
    from ..experiments.ablate import Estimated
    from ..experiments.matrix import Failed, Matrix
    from ..experiments.settings import RunSettings

__all__ = ["common_settings", "executor_option", "listed", "matrix_options", "print_plan", "tell_failures", "watch", "workers"]

F = TypeVar("F", bound=Callable[..., Any])


class _DataNames(DataName):
    """Names or paths with commas between them."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        found = super().shell_complete(ctx, param, last)
        return [CompletionItem(before + comma + one.value, one.type) for one in found] if comma else found


def matrix_options(seeds: int) -> Callable[[F], F]:
    """Data sets, seeds, jobs, changes of the recipe, machine, folders. seeds: how many where none are asked for."""
    result = "Where the result goes"
    options = [
        in_section(
            "Data and seeds",
            "--data",
            metavar="NAME[,NAME]",
            type=_DataNames(),
            default="movietweetings",
            show_default=True,
            help="Data sets or files, with commas between them.",
        ),
        in_section(
            "Data and seeds",
            "--seeds",
            type=click.IntRange(min=1),
            default=seeds,
            show_default=True,
            help="How many: the seeds 0 to N-1.",
        ),
        file_options("Data, where it is a file"),
        recipe_options(ablation=False),
        in_section(
            "Machine",
            "--jobs",
            type=click.IntRange(min=1),
            default=None,
            help="Runs at a time, each in a process of its own; one a GPU, or one a core, otherwise.",
        ),
        executor_option(),
        machine_options(seed=False),
        in_section(
            result,
            "--out",
            type=click.Path(path_type=Path),
            default=None,
            metavar="DIR",
            help="The folder of the matrix. The runs lie under runs/ as always.",
        ),
        in_section(
            result,
            "--results",
            type=click.Path(path_type=Path, file_okay=False),
            default=None,
            metavar="DIR",
            help="Finished runs in it count, and what is worth keeping of each run that finishes is copied there.",
        ),
        in_section(result, "--fresh", is_flag=True, default=False, help="Start all runs over."),
        click.option(
            "--dry-run",
            is_flag=True,
            default=False,
            help="List the runs, which of them are finished, and about how long the others take; write nothing.",
        ),
    ]

    def decorate(command: F) -> F:
        for one in reversed(options):
            command = one(command)
        return command

    return decorate


def executor_option() -> Callable[[F], F]:
    """--executor: what executes the runs of a matrix."""
    return in_section(
        "Machine",
        "--executor",
        metavar="local|ray[:ADDRESS]",
        default="local",
        show_default=True,
        envvar="SEQAUG_EXECUTOR",
        help="Processes of this machine, or a Ray cluster. [env: SEQAUG_EXECUTOR]",
    )


def common_settings(recipe: str, options: Mapping[str, Any]) -> RunSettings:
    """What all runs of a matrix have in common."""
    from ..experiments.settings import RunSettings

    return RunSettings(
        recipe=recipe,
        data_options=reading(options),
        precision=options["precision"],
        threads=options["threads"],
        patches=patches(options),
        fresh=options["fresh"],
        command=command_line(),
    )


def listed(text: str, flag: str) -> tuple[str, ...]:
    """ "a,b" -> ("a", "b"), each once. Raises RecipeError where nothing stands between two commas."""
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise RecipeError(f"{flag} {text}: names with commas between them were expected.")
    return tuple(dict.fromkeys(found))


def workers(executor: str, device: str, jobs: int | None, threads: int | None, left: int) -> tuple[tuple[str, ...], int, int]:
    """Devices, jobs and threads of each as they will be. left: runs that are not finished; more jobs than that help nobody.

    Raises RecipeError where there is no such executor or device.
    """
    from ..experiments.executors import ray_address
    from ..experiments.matrix import cores, devices_of, jobs_for

    address = ray_address(executor)
    if address is not None:
        from ..experiments.on_ray import room

        there = room(address)
        if jobs is None:
            jobs = max(1, min(there.jobs(threads=threads, gpu=device != "cpu" and there.gpus > 0), left))
        return (device,), jobs, threads or there.threads(jobs)
    devices = devices_of(device)
    at_once = jobs if jobs is not None else max(1, min(jobs_for(devices), left))
    return devices, at_once, threads or max(1, cores() // at_once)


def watch(output: Output, events: Generator[Any, None, None], matrix: Matrix, jobs: int) -> Any:
    """Show a matrix as it runs, and return what its last event is, which is none of a matrix's own. A `Matrix` among the
    events says which runs come next.

    An interruption that strikes here, between two events, is handed to the matrix, so that every run keeps its state.
    """
    from ..experiments.matrix import Matrix
    from .matrix_progress import MatrixProgress

    for note in matrix.notes:
        output.note(note)
    left = len(matrix.unfinished)
    there = sum(planned.record is not None for planned in matrix.members)
    if left:
        before = f", {there} finished before" if there else ""
        output.tell(f"{counted(len(matrix.members))} runs{before}, {min(jobs, left)} at a time")
    last = None
    with MatrixProgress(output) as progress:
        progress.add(matrix)
        try:
            for last in events:
                if isinstance(last, Matrix):
                    progress.add(last)
                elif hasattr(last, "member"):
                    progress.show(last)
        except KeyboardInterrupt as error:
            events.throw(error)
            raise
    assert last is not None and not hasattr(last, "member"), "a matrix ends with its result"
    return last


def tell_failures(failed: Sequence[Failed]) -> None:
    """Each run that failed, and why: an error, so it is said even when quiet."""
    from .terminal import say

    for one in failed:
        say(f"{one.member.label}: {one.message}", label="error")


def print_plan(
    output: Output,
    rows: Sequence[Estimated],
    *,
    jobs: int,
    threads: int,
    folder: Path,
    more: Mapping[str, Any],
    times: int = 1,
) -> None:
    """What a dry run found: one row a run, and the time that all of them, each so many `times`, take at most."""
    seconds = times * sum({row.planned.hash: row.seconds for row in rows}.values())
    if output.document(
        {
            **more,
            "folder": str(folder),
            "jobs": jobs,
            "threads": threads,
            "seconds_at_most": seconds / jobs,
            "runs": [
                {
                    "variant": row.planned.member.variant,
                    "data": row.planned.member.data,
                    "seed": row.planned.member.seed,
                    "condition": row.planned.condition,
                    "epochs": row.planned.epochs,
                    "seconds_at_most": row.seconds,
                    "hash": row.planned.hash,
                    "folder": str(row.planned.folder),
                }
                for row in rows
            ],
        }
    ):
        return
    output.table(
        ["variant", "data", "seed", "condition", "epochs", "at most about"],
        [
            [
                row.planned.member.variant,
                row.planned.member.data,
                str(row.planned.member.seed),
                row.planned.condition,
                counted(row.planned.epochs),
                "-" if row.planned.record is not None else seconds_text(row.seconds),
            ]
            for row in rows
        ],
        right=[2, 4, 5],
    )
    left = times * len({row.planned.hash for row in rows if row.planned.record is None})
    each = f"{threads} thread{'s' if threads != 1 else ''} each"
    total = times * len(rows)
    if left:
        how = f"with {jobs} at a time ({each}), early stopping not counted"
        runs = f"{left} of {counted_of(total, 'run')} {'is' if left == 1 else 'are'} left"
        click.echo(f"{runs}: at most about {seconds_text(seconds / jobs)} {how}")
    else:
        click.echo(f"all {total} runs are finished")
