"""First plan, then build: a recipe's table, patched and read, with every problem found at once.

Precedence, lowest first: plugin default, recipe, variant, ablation, environment, `-s`, flag. The last three arrive as
patches in that order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ..core.discovery import load
from ..core.registries import REGISTRIES
from ..core.registry import PluginInfo
from ..errors import PluginError, RecipeError, did_you_mean
from .chosen import Chosen
from .load import RecipeSource
from .options import MISSING, complaints, read_signature
from .patches import SECTIONS, Patch, parse_plugin_flag, parse_set, path_text
from .reading import Reader
from .schema import DataOptions, ItemsOptions, Share, StageOptions, TrainingOptions, UpdateOptions

__all__ = [
    "Patch",
    "Plan",
    "PlannedStage",
    "PlannedTerm",
    "PlannedUpdate",
    "UsedPlugin",
    "make_plan",
    "parse_plugin_flag",
    "parse_set",
    "plan_from",
]

KEYS = ("name", "paper", *SECTIONS, "handles", "variants", "ablations")
PARTS = ("encoders", "diffusions", "heads")
"""Sections of what learns, kept by name in the model."""
DIFFUSION = "seqaug.core.diffusion:Diffusion"


@dataclass(frozen=True, slots=True)
class PlannedTerm:
    """An objective of the recipe with the share that its table gives it."""

    chosen: Chosen
    share: Share


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """moves: names of parts. weights: by objective."""

    moves: tuple[str, ...]
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage whose parts, rewriter and objectives exist. options: as in the recipe, `epochs` filled in, without updates."""

    name: str
    epochs: int
    options: StageOptions
    updates: tuple[PlannedUpdate, ...]


@dataclass(frozen=True, slots=True)
class UsedPlugin:
    """A plugin of a plan, and where in the recipe it stands."""

    path: str
    info: PluginInfo


@dataclass(frozen=True, eq=False)
class Plan:
    """A recipe with everything decided. Two plans are equal when everything in them is.

    values: the whole recipe with every default filled in, as JSON would hold it; `plan_from(values)` is the same plan.
    origins: who set each value ("default", "plugin default", "recipe", "variant beauty", ...), by path.
    handles: what --encoder, --noise, ... replace. variants, ablations: the names the recipe has for them.
    """

    name: str
    paper: str | None
    data: DataOptions
    items: ItemsOptions
    training: TrainingOptions
    handles: dict[str, str]
    values: dict[str, Any]
    origins: dict[str, str]
    variants: list[str]
    ablations: list[str]
    encoders: dict[str, Chosen] = field(repr=False)
    diffusions: dict[str, Chosen] = field(repr=False)
    heads: dict[str, Chosen] = field(repr=False)
    augmenters: dict[str, Chosen] = field(repr=False)
    objectives: dict[str, PlannedTerm] = field(repr=False)
    rewriters: dict[str, Chosen] = field(repr=False)
    scorer: Chosen = field(repr=False)
    stages: tuple[PlannedStage, ...] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]

    def plugins(self) -> list[UsedPlugin]:
        """Every plugin that the plan uses, nested ones included, in the order of the recipe."""
        tops = [*self.encoders.values(), *self.diffusions.values(), *self.heads.values(), *self.augmenters.values()]
        tops += [*(term.chosen for term in self.objectives.values()), *self.rewriters.values(), self.scorer]
        return [UsedPlugin(one.path, one.info) for top in tops for one in top.within() if one.info is not None]


def plan_from(values: Mapping[str, Any]) -> Plan:
    """The plan that a `Plan.values` (a run folder's `resolved.json`) came from."""
    return make_plan(RecipeSource(str(values.get("name", "")), "", dict(values)), data=None)


def make_plan(source: RecipeSource, *, data: str | None, ablation: str | None = None, patches: Sequence[Patch] = ()) -> Plan:
    """Decide everything that a recipe leaves open.

    data: the name of the data set, which picks one of the recipe's variants where it has one. ablation: one of the recipe's.
    patches: in rising precedence.
    Raises RecipeError with all problems; PluginError where plugins that will not load are the only problem.
    """
    planner = _Planner(source)
    variants, ablations = planner.table_of("variants"), planner.table_of("ablations")
    if data is not None and data in variants:
        planner.change(variants[data], f"variant {data}")
    if ablation is not None:
        if ablation in ablations:
            planner.change(ablations[ablation], f"ablation {ablation}")
        else:
            known = ", ".join(ablations) or "none"
            planner.problems.append(
                f"the recipe {source.name!r} has no ablation {ablation!r}.{did_you_mean(ablation, ablations)} Known: {known}"
            )
    for patch in patches:
        planner.patched.put(patch)
    return planner.plan(list(variants), list(ablations))


class _Planner(Reader):
    """Reads the sections of a recipe. Goes on after a problem, so that all are found."""

    # ---- the whole ----

    def plan(self, variants: list[str], ablations: list[str]) -> Plan:
        for key in self.table:
            if key not in KEYS:
                self.problems.append(f"{key}: a recipe has no such key.{did_you_mean(key, KEYS)} Known: {', '.join(KEYS)}")
        name, paper = self.table.get("name"), self.table.get("paper")
        if not isinstance(name, str) or not name:
            self.problems.append('name: is missing: a recipe starts with name = "..."')
        if paper is not None and not isinstance(paper, str):
            self.problems.append(f"paper: is {paper!r}; it should be a string")
        values: dict[str, Any] = {"name": name} | ({} if paper is None else {"paper": paper})
        data = self.options("data", DataOptions, values)
        items = self.options("items", ItemsOptions, values)
        # A recipe with neither is trained on nothing: its scorer knows what it needs.
        learns = bool(self.table_of("encoders") or self.table_of("objectives")) or "scorer" not in self.table
        encoders = self.named("encoders", values, needed=learns)
        diffusions = self.diffusions(values)
        heads = self.named("heads", values)
        augmenters = self.named("augmenters", values)
        objectives = self.objectives(values, needed=learns)
        rewriters = self.named("rewriters", values)
        scorer, values["scorer"] = self.plugin(self.table.get("scorer", MISSING), "scorer", REGISTRIES["scorers"])
        training = self.options("training", TrainingOptions, values)
        strategies = [*augmenters.values(), *(term.chosen for term in objectives.values()), *rewriters.values(), scorer]
        strategies += [
            inner for one in [*encoders.values(), *heads.values(), *diffusions.values()] if one for inner in one.nested.values()
        ]
        given = ({} if data is None else {"max_length": data.max_length}) | ({} if items is None else {"dim": items.dim})
        made = {one.path: self.tried(one, given) for one in strategies if one is not None and not one.learns}
        self.check_views(augmenters, made)
        named = zip(PARTS, (encoders, diffusions, heads), strict=True)
        parts = ["items", *(f"{key}.{name}" for key, found in named for name in found)]
        stages = self.stages(training, parts, objectives, [*rewriters], values) if learns else ()
        if not learns and self.table.get("stages"):
            self.problem("stages", "the recipe has no encoder and no objective, so there is nothing to learn")
        if rewriters and data is not None and data.samples == "whole":
            self.problem("rewriters", 'data.samples = "whole" has no targets to keep apart from what a rewriter puts in front')
        handles = self.handles(values)
        if self.problems:
            raise RecipeError([*dict.fromkeys(self.problems), *dict.fromkeys(self.broken)])
        if self.broken:
            raise PluginError("\n".join(dict.fromkeys(self.broken)))
        assert data is not None and items is not None and training is not None and scorer is not None and isinstance(name, str)
        return Plan(
            name=name,
            paper=paper,
            data=data,
            items=items,
            training=training,
            handles=handles,
            values=values,
            origins=dict(self.origins(values)),
            variants=variants,
            ablations=ablations,
            encoders=_whole(encoders),
            diffusions=_whole(diffusions),
            heads=_whole(heads),
            augmenters=_whole(augmenters),
            objectives=objectives,
            rewriters=_whole(rewriters),
            scorer=scorer,
            stages=stages,
        )

    # ---- sections ----

    def named(self, key: str, values: dict[str, Any], *, needed: bool = False) -> dict[str, Chosen | None]:
        """A section of plugins under names of the author's choosing."""
        found: dict[str, Chosen | None] = {}
        table = self.table_of(key)
        if needed and not table:
            self.problems.append(f"{key}: the recipe has none; it needs at least one, as in [{key}.main]")
        resolved: dict[str, Any] = {}
        for name, raw in table.items():
            path = f"{key}.{name}"
            if self.is_name(key, name):
                found[name], resolved[name] = self.plugin(raw, path, REGISTRIES[key])
        if resolved:
            values[key] = resolved
        return found

    def is_name(self, key: str, name: str) -> bool:
        """Whether parts can be found again under it, in paths and in the saved weights."""
        from torch.nn import ModuleDict

        if re.fullmatch(r"[A-Za-z_][\w-]*", name) and not (key in PARTS and hasattr(ModuleDict, name)):
            return True
        self.problems.append(f"{key}: {name!r} cannot be a name; take another of letters, digits, '_' and '-'")
        return False

    def diffusions(self, values: dict[str, Any]) -> dict[str, Chosen | None]:
        """`[diffusions.NAME]`: no plugin, but its constructor is read by the same rules."""
        found: dict[str, Chosen | None] = {}
        table = self.table_of("diffusions")
        if not table:
            return found
        cls = load(DIFFUSION)
        assert isinstance(cls, type)
        signature = read_signature(cls)
        resolved: dict[str, Any] = {}
        for name, raw in table.items():
            path = f"diffusions.{name}"
            if not self.is_name("diffusions", name):
                continue
            if not isinstance(raw, dict):
                self.problem(path, f"should be a table with {', '.join(signature.options)}, found {raw!r}")
                continue
            found[name], resolved[name] = self.read(raw, path, None, "a diffusion", signature)
        values["diffusions"] = resolved
        return found

    def objectives(self, values: dict[str, Any], *, needed: bool) -> dict[str, PlannedTerm]:
        found: dict[str, PlannedTerm] = {}
        table = self.table_of("objectives")
        if needed and not table:
            self.problems.append("objectives: the recipe has none; it needs at least one, as in [objectives.recommendation]")
        resolved: dict[str, Any] = {}
        for name, raw in table.items():
            path = f"objectives.{name}"
            if not self.is_name("objectives", name):
                continue
            own = {key: raw[key] for key in Share.model_fields if key in raw} if isinstance(raw, dict) else {}
            rest = {key: value for key, value in raw.items() if key not in own} if isinstance(raw, dict) else raw
            share = None
            try:
                share = Share.model_validate(own)
            except ValidationError as error:
                for key, what in complaints(error):
                    self.problem(f"{path}.{key}", what)
            chosen, inner = self.plugin(rest, path, REGISTRIES["objectives"], beside=tuple(Share.model_fields))
            if chosen is not None and share is not None:
                found[name] = PlannedTerm(chosen, share)
                resolved[name] = {"use": inner.pop("use"), **share.model_dump(), **inner}
        values["objectives"] = resolved
        return found

    def stages(
        self,
        training: TrainingOptions | None,
        parts: list[str],
        objectives: dict[str, PlannedTerm],
        rewriters: list[str],
        values: dict[str, Any],
    ) -> tuple[PlannedStage, ...]:
        known = list(self.table_of("objectives"))
        weights = {name: term.share.weight for name, term in objectives.items()}
        raw = self.table.get("stages", [])
        if not isinstance(raw, list):
            self.problem("stages", "should be a list of tables, [[stages]]")
            return ()
        options: list[StageOptions] = []
        for number, one in enumerate(raw):
            try:
                options.append(StageOptions.model_validate(one))
            except ValidationError as error:
                for key, what in complaints(error):
                    self.problem(f"stages.{number}.{key}" if key else f"stages.{number}", what)
        if len({one.name for one in options}) < len(options):
            self.problem("stages", "two have the same name, under which they would draw the same numbers")
        epochs = training.epochs if training is not None else 1
        planned = []
        if options and not any(epochs if stage.epochs is None else stage.epochs for stage in options):
            self.problem("stages", "every stage has 0 epochs, so there is nothing to learn")
        for name in rewriters if not raw else ():
            self.problem(f"rewriters.{name}", f'no stage uses it: one of [[stages]] says rewrite = "{name}"')
        for number, stage in enumerate(options if raw else [StageOptions(name="main")]):
            if stage.rewrite != "none" and stage.rewrite not in self.table_of("rewriters"):
                near = did_you_mean(stage.rewrite, rewriters)
                self.problem(
                    f"stages.{number}.rewrite",
                    f"there is no rewriter {stage.rewrite!r}.{near} Known: {', '.join([*rewriters, 'none'])}",
                )
            for part in stage.reset:
                if part not in parts:
                    self.problem(
                        f"stages.{number}.reset",
                        f"there is no part {part!r}.{did_you_mean(part, parts)} Known: {', '.join(parts)}",
                    )
            updates = []
            for place, update in enumerate(stage.updates):
                path = f"stages.{number}.updates.{place}" if raw else "objectives"
                for part in update.moves or ():
                    if part not in parts:
                        self.problem(
                            f"{path}.moves", f"there is no part {part!r}.{did_you_mean(part, parts)} Known: {', '.join(parts)}"
                        )
                for name in update.weights or ():
                    if name not in known:
                        self.problem(
                            f"{path}.weights",
                            f"there is no objective {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}",
                        )
                moved = weights if update.weights is None else update.weights
                # Said only where every objective could be read: what is missing here is named elsewhere.
                if len(objectives) == len(known) and known and not any(moved.values()):
                    self.problem(path, "every weight is 0, so there is nothing to learn")
                updates.append(PlannedUpdate(tuple(parts if update.moves is None else update.moves), dict(moved)))
            own = epochs if stage.epochs is None else stage.epochs
            filled = stage.model_copy(update={"epochs": own, "updates": [UpdateOptions()]})
            planned.append(PlannedStage(stage.name, own, filled, tuple(updates)))
        if raw:
            values["stages"] = [
                {
                    **one.options.model_dump(mode="json", exclude={"updates"}, exclude_none=True),
                    "epochs": one.epochs,
                    "updates": [{"moves": list(update.moves), "weights": dict(update.weights)} for update in one.updates],
                }
                for one in planned
            ]
        return tuple(planned)

    def handles(self, values: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, path in self.table_of("handles").items():
            where = f"handles.{name}"
            if name in KEYS:
                self.problem(where, "is the name of a part of every recipe; a handle needs another")
            elif not isinstance(path, str):
                self.problem(where, f"should be the path of a plugin, found {path!r}")
            elif path in self.slots:
                found[name] = path
            # Where its owner was exchanged for another plugin the handle goes too; where that could not be read, it is told.
            elif not any(path.startswith(f"{gone}.") for gone in {*map(path_text, self.patched.replaced), *self.unread}):
                self.problem(where, f"no plugin stands at {path!r}.{did_you_mean(path, self.slots)}")
        if found:
            values["handles"] = found
        return found


def _whole(found: Mapping[str, Chosen | None]) -> dict[str, Chosen]:
    return {name: one for name, one in found.items() if one is not None}
