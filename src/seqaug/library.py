"""seqaug from a script or a notebook: a whole run in one call, or its steps one by one for whoever wants to stand between them.

    run(recipe, data)                                             what `seqaug run` does
    find -> leave_one_out -> plan_of -> assembly_of -> Fit        the same by hand: data, split, plan, model, training,
         -> rank_held_out -> metrics                              ranks, numbers
    compare(folders)                                              what `seqaug compare` prints, as numbers

A plugin needs nothing of this: it imports `seqaug.api`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .data.catalog import Loaded, find
from .data.split import Split, leave_one_out
from .evaluation.comparison import Comparison
from .evaluation.metrics import metrics
from .evaluation.ranking import rank_held_out
from .experiments import run as told
from .experiments.compare import compare
from .experiments.run import Finished
from .experiments.settings import RunSettings
from .recipes.assemble import assembly_of, samples_of
from .recipes.load import load_recipe
from .recipes.plan import Patch, Plan, make_plan
from .training.fit import BatchReport, EpochReport, Fit

__all__ = [
    "ORIGIN",
    "BatchReport",
    "Comparison",
    "EpochReport",
    "Finished",
    "Fit",
    "Loaded",
    "Plan",
    "Split",
    "assembly_of",
    "compare",
    "find",
    "leave_one_out",
    "metrics",
    "plan_of",
    "rank_held_out",
    "run",
    "samples_of",
]

ORIGIN = "a script"
"""Who has set a value that a script has changed, in resolved.json."""


def plan_of(
    recipe: str | Path, data: str | None = None, *, changes: Mapping[str, Any] | None = None, ablation: str | None = None
) -> Plan:
    """A recipe with everything decided that it leaves open.

    recipe: a known name or a TOML file. data: the name of the data set, which picks the recipe's variant for it.
    changes: dotted path or handle -> value, a later one wins: `{"training.epochs": 3, "noise": "gaussian"}`; a plugin with
    options is a table, `{"noise": {"use": "similarity", "k": 10}}`.
    Raises RecipeError with every problem at once, UnknownName, PluginError where a plugin will not load.
    """
    return make_plan(load_recipe(str(recipe)), data=data, ablation=ablation, patches=_patches(changes))


def run(
    recipe: str | Path = "simdiffrec",
    data: str | Path = "movietweetings",
    *,
    changes: Mapping[str, Any] | None = None,
    ablation: str | None = None,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    out: str | Path | None = None,
    fresh: bool = False,
) -> Finished:
    """What `seqaug run` does, without a word: train, evaluate the best weights, keep the run folder, return the result.

    recipe, changes, ablation: as in `plan_of`. data: a known name or a file. device: "auto", "cpu", "cuda" or "cuda:1".
    threads: of the CPU, None to leave as it is. out: the run folder; None for `runs/<recipe>-<data>-<hash>`. fresh: start over.
    `.metrics` is the content of metrics.json: `result.metrics["test"]["ndcg@10"]`. A run that was stopped goes on, and one that
    was finished before gives its result at once (`.from_cache`).
    Raises RecipeError, DataError, PluginError, Diverged; Interrupted in the place of KeyboardInterrupt.
    """
    settings = RunSettings(
        recipe=str(recipe),
        data=str(data),
        seed=seed,
        device=device,
        threads=threads,
        out=None if out is None else Path(out),
        patches=_patches(changes),
        ablation=ablation,
        fresh=fresh,
    )
    *_, last = told.run(settings)
    assert isinstance(last, Finished), "a run ends with its result"
    return last


def _patches(changes: Mapping[str, Any] | None) -> tuple[Patch, ...]:
    return tuple(Patch(path, value, ORIGIN) for path, value in (changes or {}).items())
