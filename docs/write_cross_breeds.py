"""Writes docs/cross-breeds.md from what happens: `python docs/write_cross_breeds.py`, under a minute.

Every recipe in the box, with the plugin at each of its places exchanged for every other plugin of that kind, is planned and
rehearsed. A test compares the page with what this would write, recipe by recipe, so that it cannot go stale.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from seqaug.core.registries import REGISTRIES
from seqaug.core.registry import PluginInfo
from seqaug.errors import RecipeError
from seqaug.experiments.rehearse import rehearse
from seqaug.recipes.assemble import assemble
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.options import MISSING, read_signature
from seqaug.recipes.plan import Patch, Plan, UsedPlugin, make_plan

PAGE = Path(__file__).with_name("cross-breeds.md")
SMALL = Path(__file__).parents[1] / "tests" / "methods" / "small"
"""Settings with which a recipe takes a step in no time."""

COLUMNS = ["| recipe | pairs | by the name alone | with other names besides | refused |", "| --- | --- | --- | --- | --- |"]
HEAD = """\
<!-- Written by docs/write_cross_breeds.py from what happens when each pair is tried; change the plugins, not this page. -->

# Cross-breeds

Every place of every recipe takes every plugin of its kind, or says why not before anything is trained. For this page each
place of each recipe in the box was given every other plugin in the box of that kind; each pair was planned and
[rehearsed](architecture.md): one step of every update and one scoring in the toy world.

* Noises, selectors, samplers, schedules, encoders and denoisers mostly need no more than their name: `--noise gaussian`.
* Augmenters and objectives need other names besides, because they make other views or read other ones. The first table of a
  recipe says with which settings they were tried.
* The rest are refused, with exit code 2 and the sentence in the last column of the second table: objectives for the most part,
  which read what the recipe has not (a diffusion, a head) or leave a part of it without anything to learn from. Where a setting
  would help, the sentence names it.

That a pair can be trained does not say that it is a good idea.
"""


@dataclass(frozen=True)
class Pair:
    """A place in a recipe, another plugin for it, and what came of it.

    settings: what had to be said besides. problems: why it was refused; none where it was not.
    """

    path: str
    kind: str
    instead_of: str
    plugin: str
    settings: Mapping[str, Any]
    problems: tuple[str, ...]


def text() -> str:
    """The whole page."""
    recipes = recipe_names()
    return "\n".join([HEAD, *COLUMNS, *map(row, recipes), "", *map(section, recipes)]).rstrip() + "\n"


def row(recipe: str) -> str:
    """How many pairs of each sort a recipe has."""
    refusals = sum(bool(pair.problems) for pair in pairs(recipe))
    named = sum(bool(pair.settings) and not pair.problems for pair in pairs(recipe))
    return f"| `{recipe}` | {len(pairs(recipe))} | {len(pairs(recipe)) - named - refusals} | {named} | {refusals} |"


def section(recipe: str) -> str:
    """What the page says of one recipe."""
    lines = [f"## {recipe}", ""]
    named = [pair for pair in pairs(recipe) if pair.settings and not pair.problems]
    if named:
        lines += ["| place | takes | with |", "| --- | --- | --- |"]
        lines += [f"| `{pair.path}` | `{pair.plugin}` | {_settings(pair.settings)} |" for pair in named] + [""]
    rows: dict[tuple[str, str], list[str]] = {}
    for pair in pairs(recipe):
        if pair.problems:
            why = "<br>".join(_prose(problem, pair.path) for problem in pair.problems)
            rows.setdefault((pair.path, why), []).append(f"`{pair.plugin}`")
    if rows:
        lines += ["| place | refuses | because |", "| --- | --- | --- |"]
        lines += [f"| `{path}` | {', '.join(plugins)} | {why} |" for (path, why), plugins in rows.items()] + [""]
    if not named and not rows:
        lines += ["Nothing is refused.", ""]
    return "\n".join(lines)


# ---- trying ----


@cache
def pairs(recipe: str) -> tuple[Pair, ...]:
    """Every place of the recipe with every other plugin of its kind."""
    plan = planned(recipe)
    views = views_of(plan)
    own = [info for registry in REGISTRIES.values() for info in registry.all() if info.builtin]
    return tuple(
        tried(recipe, plan, views, used, info)
        for used in plan.plugins()
        for info in own
        if info.kind == used.info.kind and info.name != used.info.name
    )


def planned(recipe: str, **values: Any) -> Plan:
    """The recipe on histories of at most 12 items, with its small settings and some more on top."""
    own = SMALL / f"{recipe}.toml"
    small = {"data.max_length": 12, **(tomllib.loads(own.read_text(encoding="utf-8")) if own.exists() else {})}
    return make_plan(load_recipe(recipe), data=None, patches=[Patch(*one, "test") for one in {**small, **values}.items()])


def tried(recipe: str, plan: Plan, views: list[str], used: UsedPlugin, info: PluginInfo) -> Pair:
    """The plugin alone and, where that is refused, with the names that it needs."""
    settings: dict[str, Any] = {}
    problems = refused(recipe, {used.path: {"use": info.name}})
    if problems:
        settings, names = names_for(recipe, plan, views, used, info)
        if settings or names:
            problems = refused(recipe, {used.path: {"use": info.name, **names}, **settings})
            settings = {**{f"{used.path}.{key}": value for key, value in names.items()}, **settings}
    return Pair(used.path, info.kind, used.info.name, info.name, settings, problems)


def refused(recipe: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Plan and rehearse; what is wrong with it. Any other error is a defect, and raised."""
    try:
        rehearse(planned(recipe, **values))
    except RecipeError as error:
        return error.problems
    return ()


# ---- what has to be named besides ----


def names_for(
    recipe: str, plan: Plan, views: list[str], used: UsedPlugin, info: PluginInfo
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings elsewhere in the recipe, and options of the plugin, that name what it needs.

    An option that the plugin before it had as well keeps its value, unless that is "clean". Else a part is the recipe's last
    of its kind, and views are taken in the order in which its augmenters make them, without those made from the views that go.
    """
    old = [view for view in views if used.path == f"augmenters.{view.partition('.')[0]}"]
    before = table_at(plan.values, used.path)
    augmenters = plan.values.get("augmenters", {})
    from_old = {name for name, table in augmenters.items() if any(naming(table, old))}
    others = [view for view in views if view not in old and view.partition(".")[0] not in from_old]
    known = {"EncoderName": [*plan.encoders][-1:], "HeadName": [*plan.heads][-1:], "ViewName": others or ["clean"]}
    names: dict[str, Any] = {}
    for key, option in read_signature(REGISTRIES[info.kind].get(info.name)).options.items():
        if option.name_type is None or option.default is not MISSING:
            continue
        kind = option.name_type.__name__
        if isinstance(before.get(key), str) and before[key] != "clean":
            names[key] = before[key]
        elif known.get(kind):
            names[key] = known[kind][0]
            known[kind] = [*known[kind][1:], names[key]]
    return (renamed(recipe, plan, used, {"use": info.name, **names}, old) if old else {}), names


def table_at(values: dict[str, Any], path: str) -> dict[str, Any]:
    """The table of the plugin at a path."""
    for key in path.split("."):
        values = values[key]
    return values


def views_of(plan: Plan) -> list[str]:
    """Every view that the plan's augmenters make."""
    made = assemble(plan, num_items=50, popularity=None, seed=0)
    return [f"{name}.{view}" for name, augmenter in made.augmenters.items() for view in augmenter.view_names]


def renamed(recipe: str, plan: Plan, used: UsedPlugin, table: dict[str, Any], old: list[str]) -> dict[str, Any]:
    """Wherever the recipe names a view of the augmenter that goes, a view of the one that comes."""
    away = {path: exchanged(value, dict.fromkeys(old, "clean")) for path, value in naming(plan.values, old)}
    try:
        views = views_of(planned(recipe, **{used.path: table}, **away))
    except RecipeError:
        return {}
    new = [view for view in views if used.path == f"augmenters.{view.partition('.')[0]}"]
    instead = {view: new[place % len(new)] for place, view in enumerate(old)}
    return {path: exchanged(value, instead) for path, value in naming(plan.values, old) if exchanged(value, instead) != value}


def naming(node: Any, views: list[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below `node` that holds one of the views, by its path."""
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from naming(inner, views, f"{path}.{key}".lstrip("."))
    elif exchanged(node, dict.fromkeys(views, "")) != node:
        yield path, node


def exchanged(value: Any, instead: Mapping[str, str]) -> Any:
    """A view or a list of views with others in their place."""
    if isinstance(value, list):
        return [exchanged(one, instead) for one in value]
    return instead.get(value, value) if isinstance(value, str) else value


# ---- writing ----


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"`{path} = {_toml(value)}`" for path, value in settings.items())


def _toml(value: Any) -> str:
    return (
        f'"{value}"'
        if isinstance(value, str)
        else f"[{', '.join(map(_toml, value))}]"
        if isinstance(value, list)
        else str(value)
    )


def _prose(problem: str, path: str) -> str:
    """One problem as the cell of a table, without who set what, and without the place that stands beside it."""
    said = problem.replace(" (set by test)", "").replace("\n", " ").removeprefix(f"{path}: ")
    return re.sub(r"([|\[*])", r"\\\1", said)


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(text(), encoding="utf-8")
