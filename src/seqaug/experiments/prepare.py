"""From settings to everything that a run, a check or an estimate starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..core.plugin_files import file_of, loaded_files
from ..core.registries import REGISTRIES
from ..data.catalog import Loaded, find
from ..data.split import Split, leave_one_out
from ..recipes.load import RecipeSource, load_recipe
from ..recipes.plan import Plan, make_plan
from .environment import chosen_device, source_hash
from .folder import Identity, RunFolder
from .settings import RunSettings

__all__ = ["Identified", "Prepared", "identify", "plugin_files_of", "plugins_of", "prepare", "recipe_identity"]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A run that has been planned and whose data is read, before any model exists.

    plugins: path in the recipe -> kind, name, distribution, version and sha256 of the source of the plugin there.
    """

    settings: RunSettings
    source: RecipeSource
    plan: Plan
    loaded: Loaded
    split: Split
    device: torch.device
    plugins: Mapping[str, Mapping[str, str]]
    identity: Identity
    folder: RunFolder


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """A run that has been planned and has a name: enough to find it again, without its split or a device."""

    source: RecipeSource
    plan: Plan
    plugins: Mapping[str, Mapping[str, str]]
    identity: Identity
    folder: RunFolder


def prepare(settings: RunSettings) -> Prepared:
    """Look up the recipe, the data and the device. Writes nothing.

    Raises RecipeError, DataError or PluginError, whatever is wrong first.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    device = chosen_device(settings.device)
    source = load_recipe(settings.recipe)
    loaded = find(settings.data, **settings.data_options)
    found = identify(settings, source, loaded)
    return Prepared(
        settings=settings,
        source=source,
        plan=found.plan,
        loaded=loaded,
        split=leave_one_out(loaded.sequences),
        device=device,
        plugins=found.plugins,
        identity=found.identity,
        folder=found.folder,
    )


def identify(settings: RunSettings, source: RecipeSource, loaded: Loaded) -> Identified:
    """Plan the recipe for the data set and find the run's hash and folder. Writes nothing.

    source, loaded: what `settings.recipe` and `settings.data` stand for. Raises RecipeError or PluginError.
    """
    plan = make_plan(source, data=loaded.name, ablation=settings.ablation, patches=settings.patches)
    plugins = plugins_of(plan)
    identity = Identity(
        recipe=recipe_identity(plan),
        data=loaded.sha256,
        seed=settings.seed,
        precision=settings.precision,
        plugins={path: f"{known['kind']}/{known['name']} sha256:{known['sha256']}" for path, known in plugins.items()},
    )
    path = settings.out or RunFolder.default(settings.runs, plan.name, loaded.name, identity)
    return Identified(source, plan, plugins, identity, RunFolder(path, identity))


def plugins_of(plan: Plan) -> dict[str, dict[str, str]]:
    """Every plugin that a plan uses: path in the recipe -> kind, name, distribution, version, sha256 of its source; for one
    of a plugin file also `file`, its name, and `copy`, where the run folder keeps it."""
    found = {}
    for used in plan.plugins():
        info = used.info
        plugin = REGISTRIES[info.kind].get(f"{info.source}/{info.name}")
        found[used.path] = {
            "kind": info.kind,
            "name": info.name,
            "distribution": info.distribution or "",
            "version": info.version or "",
            "sha256": source_hash(plugin),
        }
        if (file := file_of(plugin.__module__)) is not None:
            found[used.path] |= {"file": file.path.name, "copy": file.copy}
    return found


def plugin_files_of(plugins: Mapping[str, Mapping[str, str]]) -> dict[str, bytes]:
    """The plugin files among `plugins` (as `plugins_of` gives them): where a run folder keeps each -> what was executed."""
    copies = {known["copy"] for known in plugins.values() if "copy" in known}
    return {file.copy: file.content for file in loaded_files() if file.copy in copies}


def recipe_identity(plan: Plan) -> dict[str, Any]:
    """The resolved values of a plan without the tables that offer choices and change no number by themselves."""
    offers = ("paper", "handles")
    values = {key: value for key, value in plan.values.items() if key not in offers}
    # Through JSON, so that it compares equal to what is read back from resolved.json.
    kept: dict[str, Any] = json.loads(json.dumps(values))
    return kept
