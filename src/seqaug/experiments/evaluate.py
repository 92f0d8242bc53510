"""Does a run folder still give the numbers it holds?"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.ranking import rank_held_out
from .folder import read_json
from .result import scores
from .trained import trained

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
    run = trained(Path(folder), data=data, device=device, threads=threads)
    folder, loaded, split, assembly, seed, stored = run.folder, run.loaded, run.split, run.assembly, run.seed, run.metrics
    notes = list(run.notes)

    valid = rank_held_out(assembly, split.valid, seed=seed, device=run.device)
    test = rank_held_out(assembly, split.test, seed=seed, device=run.device)
    found = scores(valid, test)
    before = {part: stored.get(part, {}) for part in found}
    differences = list(_differences(found, before))
    differences += _rank_differences(folder / "per_user.npz", test.rank, test.rank_unseen)
    environment = read_json(folder / "environment.json") if (folder / "environment.json").exists() else {}
    there = environment.get("device", {}).get("type")
    if differences and there not in (None, str(run.device)):
        notes.append(f"the run was made on {there}, this evaluation on {run.device}: near ties may rank differently.")
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
