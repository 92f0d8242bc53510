"""seqaug run"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    RecipeName,
    Sections,
    command_line,
    data_options,
    in_section,
    machine_options,
    patches,
    reading,
    recipe_options,
)
from .terminal import Output, bytes_text, common, counted, descriptor_of_results, say, seconds_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..experiments.run import Event, Finished, Planned
    from ..experiments.settings import RunSettings

__all__ = ["run"]


@click.command("run", cls=Sections)
@click.argument("recipe", type=RecipeName(), default="simdiffrec")
@data_options()
@recipe_options()
@machine_options()
@in_section(
    "Where the result goes",
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    metavar="DIR",
    help="The run folder itself; runs/<recipe>-<data>-<hash> otherwise.",
)
@in_section(
    "Where the result goes",
    "--fresh",
    is_flag=True,
    default=False,
    help="Start over, whatever the run folder holds of this run.",
)
@in_section(
    "Machine and seed",
    "--nproc",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes that do the run together, one a GPU; on several machines: torchrun ... -m seqaug run.",
)
@click.option(
    "--dry-run", is_flag=True, default=False, help="Resolve and rehearse, print parameters, memory and time; train nothing."
)
@common
@click.pass_context
def run(ctx: click.Context, /, output: Output, recipe: str, data: str, dry_run: bool, **options: Any) -> None:
    """Train RECIPE on a data set, evaluate the best weights, print the result.

    RECIPE is a name (seqaug recipes list) or a TOML file; simdiffrec by default. The same command after an interruption
    goes on where the run was; after its end it prints the result again.

    What changes a recipe, the later wins: its own variant for the data set, an ablation, the environment, -s, flags.
    """
    from ..experiments import together
    from ..experiments.settings import RunSettings
    from ..recipes.load import load_recipe

    load_recipe(recipe)  # a slip of the pen is answered before torch is imported
    nproc: int = options.pop("nproc")
    if nproc > 1 and not together.started_together() and not dry_run:
        code, message = together.launch(nproc, command_line()[1:], results=descriptor_of_results())
        if message:
            say(message, label="error")
        ctx.exit(code)
    settings = RunSettings(
        recipe=recipe,
        data=data,
        data_options=reading(options),
        seed=options["seed"],
        device=options["device"],
        precision=options["precision"],
        threads=options["threads"] or together.threads_of_each(),
        out=options["out"],
        patches=patches(options),
        ablation=options["ablation"],
        fresh=options["fresh"],
        command=command_line(),
    )
    if dry_run:
        if nproc > 1:
            output.note(
                f"what follows is for one process; with {nproc} of them each holds the whole batch and takes less time."
            )
        _dry_run(output, settings)
        return
    from ..experiments.run import run as events

    world = together.join(settings.device)
    try:
        if world.rank:
            for _ in events(settings, world=world):
                pass
            together.end_at_once()
        finished = _watch(output, events(settings, world=world))
    finally:
        together.leave()
    if finished.from_cache:
        output.tell(f"this run was finished before ({finished.metrics.get('finished', '?')}); --fresh starts it over")
    if output.document({**finished.metrics, "folder": str(finished.folder), "from_cache": finished.from_cache}):
        return
    from .scores import print_result

    print_result(output, finished.metrics, str(finished.folder))


def _watch(output: Output, events: Iterator[Event]) -> Finished:
    """Render a run as it happens. An interruption that strikes here, between two events, is handed to the run."""
    from ..experiments.run import BatchReport, EpochReport, Evaluated, Finished, Note, Planned, Rehearsed, Resumed
    from .progress import Training

    number = 0
    training: Training | None = None
    try:
        for event in events:
            match event:
                case BatchReport():
                    assert training is not None
                    training.batch(event)
                case EpochReport():
                    assert training is not None
                    number += 1
                    training.epoch(event, number)
                case Planned():
                    _describe(output, event)
                    training = Training(output, event.prepared.plan.training.monitor)
                case Note():
                    output.note(event.message)
                case Rehearsed():
                    output.detail(f"rehearsed on the toy world in {event.rehearsal.seconds:.1f} s")
                    assert training is not None
                    training.__enter__()
                case Resumed():
                    number = len(event.epochs)
                    assert training is not None
                    training.resumed(event.epochs)
                    training.tell(f"resumed after epoch {number}")
                case Evaluated():
                    output.detail(f"ranked validation and test in {event.seconds:.1f} s")
                case Finished():
                    return event
    except KeyboardInterrupt as error:
        # Thrown in at the place where the run waits, so that it can say what it has kept.
        events.throw(error)  # type: ignore[attr-defined]
        raise
    finally:
        if training is not None:
            training.__exit__(None, None, None)
    raise AssertionError("a run ends with its result")


def _describe(output: Output, planned: Planned) -> None:
    prepared = planned.prepared
    sequences = prepared.loaded.sequences
    output.tell(
        f"{prepared.plan.name} on {prepared.loaded.name} ({counted(sequences.num_users)} users, "
        f"{counted(sequences.num_items)} items, {counted(sequences.num_actions)} actions), "
        f"seed {prepared.settings.seed}, {prepared.device}"
    )
    if prepared.loaded.dropped_users:
        output.note(f"{counted(prepared.loaded.dropped_users)} users with fewer than 3 items were dropped.")
    output.detail(f"folder {prepared.folder.path}")
    for path, origin in prepared.plan.origins.items():
        if origin not in ("default", "plugin default", "recipe"):
            output.detail(f"{path}: from {origin}")


def _dry_run(output: Output, settings: RunSettings) -> None:
    from ..experiments.estimate import estimate
    from ..experiments.memory import refuse_a_width_that_cannot_fit
    from ..experiments.prepare import prepare
    from ..experiments.rehearse import rehearse

    prepared = prepare(settings)
    for message in prepared.loaded.notes:
        output.note(message)
    condition = prepared.folder.condition()
    refuse_a_width_that_cannot_fit(prepared.plan, prepared.split, prepared.device)  # in the order of the run itself
    rehearsal = rehearse(prepared.plan, device=prepared.device, precision=settings.precision, seed=settings.seed)
    found = estimate(prepared)
    if output.document(
        {
            "recipe": prepared.plan.name,
            "data": {"name": prepared.loaded.name, "sha256": prepared.loaded.sha256},
            "seed": settings.seed,
            "device": str(prepared.device),
            "precision": settings.precision,
            "folder": str(prepared.folder.path),
            "folder_condition": condition,
            "hash": prepared.identity.hash,
            "rehearsal": asdict(rehearsal),
            "estimate": asdict(found),
            "values": prepared.plan.values,
            "origins": prepared.plan.origins,
        }
    ):
        return
    _describe(output, _planned(prepared))
    values, origins = prepared.plan.values, prepared.plan.origins
    shown = [path for path in origins if path.partition(".")[0] not in ("name", "paper", "handles")]
    output.table(["path", "value", "from"], [[path, _short(_at(values, path)), origins[path]] for path in shown])
    rows = [[f"parameters of {name}", counted(count)] for name, count in found.parameters.items()]
    memory = found.memory
    batch = [f"the largest batch, {counted(memory.positions)} positions", bytes_text(memory.batch)]
    rows += [
        ["parameters in all", counted(sum(found.parameters.values()))],
        ["weights", bytes_text(found.weights_bytes)],
        *([["memory: Python, torch and the data", bytes_text(memory.base)]] if memory.base else []),
        ["weights, gradients, Adam, best copy", bytes_text(memory.model)],
        batch if memory.batch >= memory.ranking else ["a block of users, ranked", bytes_text(memory.ranking)],
        ["one chunk of catalogue scores, at most", bytes_text(memory.scores)],
        *([["what lies free between these, about", bytes_text(memory.holes)]] if memory.holes else []),
        ["memory at most, all of this, about", bytes_text(memory.peak)],
    ]
    if found.memory.available is not None:
        rows.append(["memory to be had on top of Python and data", bytes_text(found.memory.available)])
    rows += [
        *(
            [
                f"an epoch of {one.name}, {counted(one.batches_per_epoch)} batches, with its validation, about",
                seconds_text(one.seconds_per_epoch),
            ]
            for one in found.stages
        ),
        [f"{found.epochs} epochs, at most about", seconds_text(found.seconds_at_most)],
        ["run folder", f"{prepared.folder.path} ({condition})"],
    ]
    output.table(["estimate", ""], rows)


def _planned(prepared: Any) -> Planned:
    from ..experiments.run import Planned

    return Planned(prepared)


def _at(values: Any, path: str) -> Any:
    """The value at a dotted path through tables and lists."""
    for key in path.split("."):
        values = values[int(key)] if isinstance(values, list) else values[key]
    return values


def _short(value: Any) -> str:
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 48 else text[:45] + "..."
