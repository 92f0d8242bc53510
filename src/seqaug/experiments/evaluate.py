"""Does a run folder still give the numbers it holds?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..data.catalog import find_by_hash
from ..data.split import leave_one_out
from ..errors import SeqaugError
from ..evaluation.ranking import rank_held_out
from ..recipes.assemble import assembly_of
from ..recipes.plan import plan_from
from .environment import chosen_device
from .folder import read_json
from .prepare import plugins_of, recipe_identity
from .result import scores

__all__ = ["Evaluation", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the folder's weights score now, beside what metrics.json says.

    metrics, stored: {"valid": {...}, "test": {...}, "test_unseen": {...}}. equal: every metric and every user's ranks agree
    exactly. differences: where they do not, in sentences. notes: what has changed since the run and may be why.
    """

    folder: Path
    recipe: str
    data: str
    metrics: Mapping[str, Mapping[str, float]]
    stored: Mapping[str, Mapping[str, float]]
    equal: bool
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float


def evaluate(folder: Path, *, data: str | None = None, device: str = "cpu", threads: int | None = None) -> Evaluation:
    """Rank again with the weights in `folder`, on the data set found by its hash, and compare.

    data: where to look for the data first. Raises SeqaugError where the folder holds no finished run or its files do not fit
    together, DataError where no data set on this machine has the run's hash.
    """
    started = time.perf_counter()
    folder = Path(folder)
    if not folder.is_dir():
        raise SeqaugError(f"there is no run folder {folder}.")
    if not (folder / "resolved.json").exists():
        raise SeqaugError(f"{folder} is not a run folder: it has no resolved.json.")
    if not (folder / "metrics.json").exists():
        raise SeqaugError(f"the run in {folder} is not finished (no metrics.json). The command that began it goes on with it.")
    resolved, stored = read_json(folder / "resolved.json"), read_json(folder / "metrics.json")
    if resolved.get("hash") != stored.get("hash"):
        raise SeqaugError(f"resolved.json and metrics.json in {folder} are of different runs.")
    request = resolved["request"]
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = chosen_device(device)

    asked = request["data"]
    loaded = find_by_hash(asked["sha256"], hint=data or asked["reference"], options=asked["options"])
    plan = plan_from(resolved["values"])
    notes = _changes(resolved, plan_values=recipe_identity(plan), plugins=plugins_of(plan))

    if data is not None and data not in (loaded.name, str(loaded.path), loaded.reference):
        notes.append(f"{data} is not what the run used; {loaded.reference} is, and was taken.")

    split = leave_one_out(loaded.sequences)
    seed = int(request["seed"])
    assembly = assembly_of(plan, split, seed=seed, device=chosen)
    try:
        weights = load_file(folder / "model.safetensors")
        assembly.model.load_state_dict(weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        message = str(error).strip().splitlines()[0]
        problem = f"{folder / 'model.safetensors'} does not fit the recipe of the run: {message}"
        raise SeqaugError("\n  ".join([problem, *notes])) from error

    valid = rank_held_out(assembly, split.valid, seed=seed, device=chosen)
    test = rank_held_out(assembly, split.test, seed=seed, device=chosen)
    found = scores(valid, test)
    before = {part: stored.get(part, {}) for part in found}
    differences = list(_differences(found, before))
    differences += _rank_differences(folder / "per_user.npz", test.rank, test.rank_unseen)
    environment = read_json(folder / "environment.json") if (folder / "environment.json").exists() else {}
    there = environment.get("device", {}).get("type")
    if differences and there not in (None, str(chosen)):
        notes.append(f"the run was made on {there}, this evaluation on {chosen}: near ties may rank differently.")
    return Evaluation(
        folder=folder,
        recipe=str(stored.get("recipe")),
        data=loaded.name,
        metrics=found,
        stored=before,
        equal=not differences,
        differences=tuple(differences),
        notes=tuple(notes),
        seconds=time.perf_counter() - started,
    )


def _changes(
    resolved: Mapping[str, Any], *, plan_values: Mapping[str, Any], plugins: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """What the installed software makes of the recipe differently from the run."""
    notes = []
    identity = resolved["identity"]
    if identity["recipe"] != plan_values:
        notes.append("the installed seqaug resolves the recipe to other values than the run had (compare resolved.json).")
    for path, then in identity["plugins"].items():
        known = plugins.get(path)
        if known is None or not then.endswith(known["sha256"]):
            notes.append(f"{path}: the source of this plugin has changed since the run.")
    return notes


def _differences(found: Mapping[str, Mapping[str, float]], stored: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"{part} {name}: {value:.6f} now, {stored[part].get(name, float('nan')):.6f} stored"
        for part, metrics in found.items()
        for name, value in metrics.items()
        if stored[part].get(name) != value
    ]


def _rank_differences(file: Path, rank: np.ndarray[Any, Any], rank_unseen: np.ndarray[Any, Any]) -> list[str]:
    """Users whose ranks are not what per_user.npz says."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            pairs = (("rank", rank, stored["rank"]), ("rank_unseen", rank_unseen, stored["rank_unseen"]))
            found = []
            for name, now, then in pairs:
                if now.shape != then.shape:
                    found.append(f"per_user.npz has {len(then)} users, the data set {len(now)}")
                elif int((now != then).sum()):
                    found.append(f"per_user.npz: {name} differs for {int((now != then).sum())} of {len(now)} users")
            return found
    except (OSError, ValueError, KeyError) as error:
        return [f"per_user.npz cannot be read: {error}"]
