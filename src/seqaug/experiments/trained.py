"""A finished run as something to ask: its recipe, its data and its weights, put together again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..core.assembly import Assembly
from ..core.registries import REGISTRIES
from ..data.catalog import Loaded, find_by_hash
from ..data.split import Split, leave_one_out
from ..errors import RecipeError, SeqaugError
from ..recipes.assemble import assembly_of
from ..recipes.plan import Plan, plan_from
from .environment import chosen_device
from .folder import read_json
from .prepare import plugins_of, recipe_identity

__all__ = ["Trained", "trained"]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A run's assembly with its best weights, on `device`.

    metrics: the content of metrics.json. seed: the run's. notes: what is not as it was when the run was
    made, or not as it was asked for; sentences.
    """

    folder: Path
    plan: Plan
    loaded: Loaded
    split: Split
    assembly: Assembly
    seed: int
    metrics: Mapping[str, Any]
    device: torch.device
    notes: tuple[str, ...]


def trained(folder: Path, *, data: str | None = None, device: str = "cpu", threads: int | None = None) -> Trained:
    """The finished run in `folder`, its data found by their hash.

    data: where to look for them first. Raises SeqaugError where the folder holds no finished run, has no weights, or its files
    do not fit together, RecipeError where it used a plugin file that was not named now; DataError where no data set on this
    machine has the run's hash.
    """
    if not folder.is_dir():
        raise SeqaugError(f"there is no run folder {folder}.")
    if not (folder / "resolved.json").exists():
        raise SeqaugError(f"{folder} is not a run folder: it has no resolved.json.")
    if not (folder / "metrics.json").exists():
        raise SeqaugError(f"the run in {folder} is not finished (no metrics.json). The command that began it goes on with it.")
    resolved, stored = read_json(folder / "resolved.json"), read_json(folder / "metrics.json")
    if resolved.get("hash") != stored.get("hash"):
        raise SeqaugError(f"resolved.json and metrics.json in {folder} are of different runs.")
    weights = folder / "model.safetensors"
    if not weights.exists():
        raise SeqaugError(f"{folder} has no model.safetensors: what was kept of this run are its numbers, not its weights.")
    _ask_for_plugin_files(folder)
    if threads is not None:
        torch.set_num_threads(threads)
    chosen = chosen_device(device)
    request = resolved["request"]
    asked, seed = request["data"], int(request["seed"])
    loaded = find_by_hash(asked["sha256"], hint=data or asked["reference"], options=asked["options"])
    plan, split = plan_from(resolved["values"]), leave_one_out(loaded.sequences)
    notes = tuple(_changes(resolved["identity"], plan))
    if data is not None and data not in (loaded.name, str(loaded.path), loaded.reference):
        notes += (f"{data} is not what the run used; {loaded.reference} is, and was taken.",)
    assembly = assembly_of(plan, split, seed=seed, device=chosen)
    try:
        assembly.model.load_state_dict(load_file(weights))
    except (OSError, RuntimeError, SafetensorError) as error:
        problem = f"{weights} does not fit the recipe of the run: {str(error).strip().splitlines()[0]}"
        raise SeqaugError("\n  ".join([problem, *notes])) from error
    return Trained(folder, plan, loaded, split, assembly, seed, stored, chosen, notes)


def _ask_for_plugin_files(folder: Path) -> None:
    """Raise RecipeError where the run used plugin files that nobody has named now. What lies in a folder is not executed
    because it lies there."""
    environment = read_json(folder / "environment.json") if (folder / "environment.json").exists() else {}
    missing = {}
    for path, known in environment.get("plugins", {}).items():
        if "file" in known and known["name"] not in REGISTRIES[known["kind"]].names():
            missing[path] = known
    if missing:
        copies = sorted({one["copy"] for one in missing.values()})
        flags = " ".join(f"--plugin-file {shlex.quote(str(folder / copy))}" for copy in copies)
        raise RecipeError(
            [
                f"{path}: {known['name']!r} came from the plugin file {known['file']} (sha256 {known['sha256'][:12]}...), "
                f"which is executed only when it is named. The run has kept it; read it, and add {flags}"
                for path, known in missing.items()
            ]
        )


def _changes(identity: Mapping[str, Any], plan: Plan) -> Iterator[str]:
    """What the installed software makes of the recipe differently from the run."""
    if identity["recipe"] != recipe_identity(plan):
        yield "the installed seqaug resolves the recipe to other values than the run had (compare resolved.json)."
    plugins = plugins_of(plan)
    for path, then in identity["plugins"].items():
        known = plugins.get(path)
        if known is None or not then.endswith(known["sha256"]):
            yield f"{path}: the source of this plugin has changed since the run."
