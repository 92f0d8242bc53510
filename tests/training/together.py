"""What each of several processes does in tests/training/test_together.py, started as torchrun starts them.

    python together.py OUT RECIPE ...

Every recipe is trained for an epoch without dropout; process 0 writes what came of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from methods.test_recipes import small
from seqaug.core.world import World
from seqaug.data.split import leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.ranking import rank_held_out
from seqaug.experiments.together import join
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.fit import EpochReport, Fit


def without_dropout(values: Any, path: str = "") -> list[Patch]:
    """A patch for each option called dropout."""
    found = []
    for key, value in values.items() if isinstance(values, dict) else ():
        here = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            found += without_dropout(value, here)
        elif key in ("dropout", "input_dropout", "hidden_dropout", "attention_dropout") and isinstance(value, float):
            found.append(Patch(here, 0.0, "test"))
    return found


def trained(recipe: str, world: World) -> dict[str, Any]:
    """One epoch of each stage: losses of every term, weights, ranks."""
    values = {**small(recipe), "training.epochs": 1}
    patches = [Patch(path, value, "test") for path, value in values.items()]
    plan = make_plan(load_recipe(recipe), data=None, patches=patches)
    parts = {key: value for key, value in plan.values.items() if key in ("encoders", "diffusions", "augmenters", "heads")}
    patches += without_dropout(parts)
    patches += [Patch(f"stages.{number}.epochs", 1, "test") for number, _ in enumerate(plan.values.get("stages", ()))]
    plan = make_plan(load_recipe(recipe), data=None, patches=patches)
    split = leave_one_out(toy_world(num_users=70, num_items=60, max_length=12))
    assembly = assembly_of(plan, split, seed=0)
    fit = Fit(
        assembly,
        samples_of(plan, split),
        seed=0,
        options=plan.training,
        validate=lambda: {plan.training.monitor: 0.0},
        world=world,
    )
    losses = [report.losses for report in fit.reports() if isinstance(report, EpochReport)]
    ranks = rank_held_out(assembly, split.test, seed=0, world=world)
    weights = {name: tensor.clone() for name, tensor in assembly.model.state_dict().items()}
    return {"losses": losses, "weights": weights, "ranks": torch.from_numpy(ranks.rank), "users": torch.from_numpy(ranks.users)}


def main() -> None:
    torch.set_num_threads(1)
    out, *recipes = sys.argv[1:]
    world = join("cpu")
    found = {recipe: trained(recipe, world) for recipe in recipes}
    if world.rank == 0:
        torch.save(found, out)


if __name__ == "__main__":
    main()
