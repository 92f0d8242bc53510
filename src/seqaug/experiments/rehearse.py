"""The rehearsal: the first second of every run and the whole of `seqaug check`.

One step of every update, every term of non-zero weight whatever its `from_epoch`, and one scoring, on a toy world of 300
items with histories of one item up to more than `max_length`, on the run's own device and precision. What a plan cannot
know (shapes, gradients, numbers that are not finite) goes wrong here, with the path of the plugin, and not after an hour.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..core.seeds import derived, seeded
from ..core.step import Step
from ..data.split import HeldOut, Histories, leave_one_out
from ..data.synthetic import toy_world
from ..errors import RecipeError, SeqaugError
from ..evaluation.ranking import rank_held_out
from ..recipes.assemble import assembly_of, samples_of
from ..training.stages import Stages
from .settings import Precision

if TYPE_CHECKING:
    from ..core.assembly import Assembly, Stage, Update
    from ..data.samples import Samples
    from ..recipes.plan import Plan

__all__ = ["Rehearsal", "first_users", "rehearse"]

_ROWS = 16
_SCORED = 32


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal without problems has seen.

    terms: "stage.update.objective" -> its unweighted value on the toy world. parameters: part -> numbers that it trains
    there (the item table's depends on the catalogue). seconds: how long it took.
    """

    terms: Mapping[str, float]
    parameters: Mapping[str, int]
    seconds: float


def rehearse(plan: Plan, *, device: torch.device | str = "cpu", precision: Precision = "float32", seed: int = 0) -> Rehearsal:
    """Walk the whole plan once in the toy world.

    Raises RecipeError with every problem found, each with its path in the recipe. Leaves torch's global random state,
    and everything else, as it was.
    """
    started = time.perf_counter()
    device = torch.device(device)
    with seeded(derived(seed, "rehearsal"), device):
        split = leave_one_out(toy_world(max_length=plan.data.max_length, seed=seed))
        samples = samples_of(plan, split, device)
        assembly = assembly_of(plan, split, seed=seed, device=device)
        problems: list[str] = []
        for path, plugin in assembly.plugins.items():
            start_epoch = getattr(plugin, "start_epoch", None)
            if start_epoch is not None:
                with _naming(assembly, path, problems):
                    start_epoch(assembly.model.items, 0)
        terms: dict[str, float] = {}
        stages = Stages(assembly, samples, seed)
        for stage in assembly.stages:
            failed = len(problems)
            with _naming(assembly, f"stages.{stage.name}", problems):
                stages.enter(stage)
                samples = stages.samples_for(stage)
            if len(problems) > failed:
                break
            for number, update in enumerate(stage.updates):
                # An update that moves everything names nothing: a part may then rest because its terms have weight 0.
                names_nothing = set(update.moves) == set(assembly.model.parts())
                may_rest = names_nothing and len(update.terms) < len(plan.objectives)
                _one_step(assembly, samples, stage, update, number, seed, precision, problems, terms, may_rest)
        if not problems:  # a model that cannot take a step says nothing new when it is asked for scores
            with _naming(assembly, "scorer", problems):
                rank_held_out(assembly, first_users(split.test, _SCORED), seed=seed, device=device)
    if problems:
        raise RecipeError(list(dict.fromkeys(problems)))
    parameters = {name: sum(p.numel() for p in part.parameters()) for name, part in assembly.model.parts().items()}
    return Rehearsal(terms, parameters, time.perf_counter() - started)


def _one_step(
    assembly: Assembly,
    samples: Samples,
    stage: Stage,
    update: Update,
    number: int,
    seed: int,
    precision: Precision,
    problems: list[str],
    terms: dict[str, float],
    may_rest: bool,
) -> None:
    """Every term of one update, and its gradient."""
    model = assembly.model.train()
    parts = model.parts()
    for part in parts.values():
        part.zero_grad(set_to_none=True)
    moved = set(update.moves)
    for name, part in parts.items():
        part.requires_grad_(name in moved)
    # The first rows of the toy world hold its shortest and its longest histories.
    batch = samples.take(torch.arange(min(_ROWS, samples.num_rows)))
    step = Step(assembly, samples, batch, epoch=0, seed=(seed, "rehearsal", stage.name, 0, 0), update=number)
    where = f"stages.{stage.name}.updates.{number}"
    total: Tensor | None = None
    failed = len(problems)
    try:
        for term in update.terms:
            path = f"objectives.{term.name}"
            with (
                _naming(assembly, path, problems),
                torch.autocast(batch.items.device.type, torch.bfloat16, enabled=precision == "bfloat16"),
            ):
                value = term.objective(step)
                if not isinstance(value, Tensor) or value.dim() != 0:
                    found = (
                        f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
                    )
                    problems.append(
                        f"{path}: an objective returns one number, a tensor of shape (); this one returned {found}."
                    )
                    continue
                number_found = float(value.detach())
                terms[f"{stage.name}.{number}.{term.name}"] = number_found
                if not math.isfinite(number_found):
                    problems.append(f"{path}: its value is {number_found} in the first step on the toy world.")
                    continue
                total = term.weight * value if total is None else total + term.weight * value
        if len(problems) > failed or total is None:
            return
        if not total.requires_grad:
            problems.append(f"{where}: none of its terms depends on what it moves ({', '.join(sorted(moved))}).")
            return
        with _naming(assembly, where, problems):
            total.backward()  # type: ignore[no-untyped-call]
            _check_gradients({name: parts[name] for name in update.moves}, where, problems, may_rest)
    finally:
        for part in parts.values():
            part.requires_grad_(True)
            part.zero_grad(set_to_none=True)


def _check_gradients(parts: Mapping[str, nn.Module], where: str, problems: list[str], may_rest: bool) -> None:
    for name, part in parts.items():
        parameters = list(part.parameters())
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if parameters and not gradients and may_rest:
            continue
        if parameters and not gradients:
            problems.append(f"{name}: no gradient reaches this part, although {where} moves it: no term of the update uses it.")
        elif any(not bool(torch.isfinite(gradient).all()) for gradient in gradients):
            problems.append(f"{name}: its gradient is not finite in the first step on the toy world.")


@contextmanager
def _naming(assembly: Assembly, path: str, problems: list[str]) -> Iterator[None]:
    """Turn what goes wrong inside into a problem that starts with the path of the plugin it came from."""
    try:
        yield
    except RecipeError as error:
        problems.extend(f"{_culprit(assembly, error.__traceback__, path)}: {problem}" for problem in error.problems)
    except SeqaugError as error:
        problems.append(f"{_culprit(assembly, error.__traceback__, path)}: {error}")
    except Exception as error:
        line = _line(error.__traceback__)
        message = str(error).strip().splitlines()
        problems.append(
            f"{_culprit(assembly, error.__traceback__, path)}: {type(error).__name__}"
            f"{': ' + message[0] if message else ''} (at {line}, on the toy world)"
        )


def _culprit(assembly: Assembly, trace: TracebackType | None, otherwise: str) -> str:
    """The path of the innermost plugin whose method was running."""
    path = otherwise
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        path = assembly.slots.get(id(owner), path)
        trace = trace.tb_next
    return path


def _line(trace: TracebackType | None) -> str:
    """file:line of the innermost frame."""
    place = "?"
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def first_users(held_out: HeldOut, count: int) -> HeldOut:
    """The questions of the first `count` users, or of all where there are fewer."""
    offsets = held_out.inputs.offsets[: count + 1]
    inputs = Histories(offsets, held_out.inputs.items[: int(offsets[-1])], held_out.inputs.num_items)
    return HeldOut(held_out.users[:count], inputs, held_out.targets[:count])
