"""From a plan to an assembly: parts initialised under their names, strategies made, everything bound together."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from ..core.assembly import Assembly, Stage, Term, Update
from ..core.diffusion import Diffusion
from ..core.items import ItemTable
from ..core.recommender import Recommender
from ..core.registry import PluginInfo
from ..core.seeds import derived, seeded
from ..data.samples import Samples
from ..data.split import Histories, Split
from ..errors import PluginError, RecipeError
from .chosen import Chosen, Made, build
from .plan import Plan

__all__ = ["assemble", "assembly_of", "samples_of"]


def samples_of(plan: Plan, split: Split, device: torch.device | str = "cpu") -> Samples:
    """The training rows that a plan's [data] asks for, on `device`."""
    options = plan.data
    return Samples(
        split, kind=options.samples, prefix_targets=options.prefix_targets, max_length=options.max_length, device=device
    )


def assembly_of(plan: Plan, split: Split, *, seed: int, device: torch.device | str = "cpu") -> Assembly:
    """`assemble`, with all that it may know of a data set."""
    return assemble(
        plan,
        num_items=split.sequences.num_items,
        popularity=split.popularity,
        histories=split.train,
        seed=seed,
        device=device,
    )


def assemble(
    plan: Plan,
    *,
    num_items: int,
    popularity: Tensor | None,
    seed: int,
    device: torch.device | str = "cpu",
    histories: Histories | None = None,
) -> Assembly:
    """Make everything that a plan chose.

    num_items: V. popularity: (V + 1,) training actions per item. histories: the training part, which plugins with a method
    `know` are told. Each plugin that learns is initialised on the CPU under
    (seed, its path), so that what stands elsewhere in the recipe changes none of its weights; then everything moves to
    `device`. Objectives of weight 0 are left out. Raises RecipeError where a constructor refuses its options, PluginError
    where one fails.
    """
    given = {"dim": plan.items.dim, "max_length": plan.data.max_length, "num_items": num_items}
    made: list[Made] = []

    def around(path: str) -> AbstractContextManager[None]:
        return seeded(derived(seed, "init", path))

    def all_of(chosen: Mapping[str, Chosen]) -> dict[str, Any]:
        return {name: build(one, given, made, around=around) for name, one in chosen.items()}

    with around("items"):
        items = ItemTable(num_items, plan.items.dim, bias=plan.items.bias, std=plan.items.std, popularity=popularity)
    model = Recommender(
        items,
        encoders=_modules(plan.encoders, all_of(plan.encoders)),
        diffusions={name: one for name, one in all_of(plan.diffusions).items() if isinstance(one, Diffusion)},
        heads=_modules(plan.heads, all_of(plan.heads)),
        max_length=plan.data.max_length,
    )
    augmenters = all_of(plan.augmenters)
    objectives = all_of({name: term.chosen for name, term in plan.objectives.items()})
    rewriters = all_of(plan.rewriters)
    scorer = build(plan.scorer, given, made, around=around)
    model.to(device)
    stages = tuple(
        Stage(
            stage.name,
            stage.epochs,
            tuple(
                Update(
                    update.moves,
                    tuple(
                        Term(name, objectives[name], weight, plan.objectives[name].share.from_epoch)
                        for name, weight in update.weights.items()
                        if weight != 0
                    ),
                )
                for update in stage.updates
            ),
            batch_size=stage.options.batch_size,
            learning_rate=stage.options.learning_rate,
            validate_every=stage.options.validate_every,
            patience=stage.options.patience,
            monitor=stage.options.monitor,
            min_length=stage.options.min_length,
            reset=tuple(stage.options.reset),
            rewrite=None if stage.options.rewrite == "none" else stage.options.rewrite,
        )
        for stage in plan.stages
        if stage.epochs
    )
    for one in made:
        try:
            if callable(bind := getattr(one.thing, "bind", None)):
                bind(model)
            if histories is not None and callable(know := getattr(one.thing, "know", None)):
                know(histories)
        except RecipeError as error:
            raise RecipeError([f"{one.path}: {problem}" for problem in error.problems]) from error
    return Assembly(
        model=model,
        augmenters=augmenters,
        stages=stages,
        scorer=scorer,
        plugins={one.path: one.thing for one in made},
        rewriters=rewriters,
    )


def _modules(chosen: Mapping[str, Chosen], built: Mapping[str, Any]) -> dict[str, nn.Module]:
    for name, thing in built.items():
        if not isinstance(thing, nn.Module):
            info = chosen[name].info
            who = str(info) if isinstance(info, PluginInfo) else type(thing).__name__
            raise PluginError(f"{chosen[name].path}: {who} is a part that learns, so it has to be an nn.Module")
    return dict(built)
