"""First plan, then build: a recipe's table, patched and read, with every problem found at once.

Precedence, lowest first: plugin default, recipe, variant, ablation, environment, `-s`, flag. The last three arrive as
patches in that order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..core.discovery import load
from ..core.names import DiffusionName, EncoderName, HeadName, ViewName
from ..core.registries import REGISTRIES
from ..core.registry import PluginInfo, Registry
from ..errors import PluginError, RecipeError, UnknownName, did_you_mean
from .chosen import Chosen, Made, build
from .load import RecipeSource
from .options import MISSING, Option, Signature, complaints, read_signature, validated
from .patches import SECTIONS, Patch, Patched, parse_path, parse_plugin_flag, parse_set, path_text
from .schema import DataOptions, ItemsOptions, Share, StageOptions, TrainingOptions

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
SECTION_OF = {EncoderName: "encoders", DiffusionName: "diffusions", HeadName: "heads"}
DIFFUSION = "seqaug.core.diffusion:Diffusion"
PROBE = {"dim": 64, "max_length": 50, "num_items": 300}
"""What a strategy is given when it is only made to be asked: its view names, and whether it takes its options."""

M = TypeVar("M", bound=BaseModel)


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
    """A stage with everything filled in."""

    name: str
    epochs: int
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
    scorer: Chosen = field(repr=False)
    stages: tuple[PlannedStage, ...] = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.values == other.values

    __hash__ = None  # type: ignore[assignment]

    def plugins(self) -> list[UsedPlugin]:
        """Every plugin that the plan uses, nested ones included, in the order of the recipe."""
        tops = [*self.encoders.values(), *self.diffusions.values(), *self.heads.values(), *self.augmenters.values()]
        tops += [*(term.chosen for term in self.objectives.values()), self.scorer]
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
    reader = _Reader(source)
    variants, ablations = reader.table_of("variants"), reader.table_of("ablations")
    if data is not None and isinstance(variants.get(data), dict):
        reader.change(variants[data], f"variant {data}")
    if ablation is not None:
        if ablation in ablations:
            reader.change(ablations[ablation], f"ablation {ablation}")
        else:
            known = ", ".join(ablations) or "none"
            reader.problems.append(
                f"the recipe {source.name!r} has no ablation {ablation!r}.{did_you_mean(ablation, ablations)} Known: {known}"
            )
    for patch in patches:
        reader.patched.put(patch)
    return reader.plan(list(variants), list(ablations))


class _Reader:
    """Reads one patched table. Goes on after a problem, so that all are found."""

    def __init__(self, source: RecipeSource) -> None:
        self.source = source
        self.patched = Patched(source.name, source.table)
        self.table = self.patched.table
        self.problems = self.patched.problems
        self.broken: list[str] = []
        self.slots: set[str] = set()
        self.views: list[tuple[str, str]] = []
        self.defaults_of: set[tuple[str, ...]] = set()

    def change(self, table: Any, origin: str) -> None:
        if not isinstance(table, dict):
            self.problems.append(f"{origin}: should be a table of paths and values, found {table!r}")
            return
        for path, value in table.items():
            self.patched.put(Patch(path, value, origin))

    def table_of(self, key: str) -> dict[str, Any]:
        """A top-level table, empty where it is missing or none."""
        found = self.table.get(key, {})
        if isinstance(found, dict):
            return found
        self.problems.append(f"{key}: should be a table, found {found!r}")
        return {}

    def problem(self, path: str, what: str) -> None:
        origin = self.patched.origin(parse_path(path)) if re.fullmatch(r"[\w.-]+", path) else "recipe"
        self.problems.append(f"{path}: {what}" + ("" if origin == "recipe" else f" (set by {origin})"))

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
        encoders = self.named("encoders", values, needed=True)
        diffusions = self.diffusions(values)
        heads = self.named("heads", values)
        augmenters = self.named("augmenters", values)
        objectives = self.objectives(values)
        if self.table_of("rewriters"):
            self.problems.append("rewriters: no stage of this version rewrites its samples, so they would do nothing")
        values["scorer"] = {}
        scorer, values["scorer"] = self.plugin(self.table.get("scorer", MISSING), "scorer", REGISTRIES["scorers"])
        training = self.options("training", TrainingOptions, values)
        strategies = [*augmenters.values(), *(term.chosen for term in objectives.values()), scorer]
        strategies += [
            inner for one in [*encoders.values(), *heads.values(), *diffusions.values()] if one for inner in one.nested.values()
        ]
        made = {one.path: self.tried(one) for one in strategies if one is not None and not one.learns}
        self.check_views(augmenters, made)
        stages = self.stages(training, [*encoders], [*diffusions], [*heads], objectives, values)
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
            scorer=scorer,
            stages=stages,
        )

    # ---- sections ----

    def options(self, key: str, model: type[M], values: dict[str, Any]) -> M | None:
        """A section that is no plugin."""
        table = self.table.get(key, {})
        if not isinstance(table, dict):
            self.problem(key, f"should be a table, found {table!r}")
            return None
        try:
            made = model.model_validate(table)
        except ValidationError as error:
            for inner, what in complaints(error):
                self.problem(
                    f"{key}.{inner}", what if inner in model.model_fields else _no_such(f"[{key}]", inner, model.model_fields)
                )
            return None
        values[key] = made.model_dump(mode="json")
        return made

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

        if re.fullmatch(r"[A-Za-z_][\w-]*", name) and not (key in SECTION_OF.values() and hasattr(ModuleDict, name)):
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

    def objectives(self, values: dict[str, Any]) -> dict[str, PlannedTerm]:
        found: dict[str, PlannedTerm] = {}
        table = self.table_of("objectives")
        if not table:
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
        encoders: list[str],
        diffusions: list[str],
        heads: list[str],
        objectives: dict[str, PlannedTerm],
        values: dict[str, Any],
    ) -> tuple[PlannedStage, ...]:
        parts = ["items", *(f"encoders.{one}" for one in encoders), *(f"diffusions.{one}" for one in diffusions)]
        parts += [f"heads.{one}" for one in heads]
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
        for number, stage in enumerate(options if raw else [StageOptions(name="main")]):
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
            planned.append(PlannedStage(stage.name, stage.epochs or epochs, tuple(updates)))
        if raw:
            values["stages"] = [
                {
                    "name": one.name,
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
            elif not any(path_text(place) == path[: len(path_text(place))] for place in self.patched.replaced):
                if not self.problems and not self.broken:
                    self.problem(where, f"no plugin stands at {path!r}.{did_you_mean(path, self.slots)}")
        if found:
            values["handles"] = found
        return found

    # ---- one plugin ----

    def plugin(
        self, raw: Any, path: str, registry: Registry[Any], option: Option | None = None, beside: Sequence[str] = ()
    ) -> tuple[Chosen | None, Any]:
        """A plugin with its options, and its table with everything filled in; (None, None) where it is absent or wrong.

        beside: keys of the same table that belong to the recipe, named when an unknown one is refused.
        """
        self.slots.add(path)
        use = option.use if option is not None else None
        optional = option is not None and option.optional
        # "none" for an absent plugin, where TOML has no word for it; a plugin that is really called so goes first.
        if optional and (raw is None or (raw == "none" and "none" not in registry.names())):
            return None, None
        if raw is MISSING:
            if use is None:
                if optional and option is not None and option.default is None:
                    return None, None
                known = ", ".join(str(info) for info in registry.all())
                self.problem(path, f"is missing: name a {registry.noun}\n  known: {known or 'none'}")
                return None, None
            raw = {}
        if isinstance(raw, str):
            raw = {"use": raw}
        if not isinstance(raw, dict):
            self.problem(path, f"should be a {registry.noun}, its name or a table with `use`; found {raw!r}")
            return None, None
        name = raw.get("use", use.name if use is not None else None)
        if not isinstance(name, str):
            known = ", ".join(str(info) for info in registry.all())
            self.problem(path, f"does not say which {registry.noun} to `use`\n  known: {known or 'none'}")
            return None, None
        rest = {key: value for key, value in raw.items() if key != "use"}
        if use is not None and use.name == name:
            rest = {**use.options, **rest}
        try:
            info, cls = registry.describe(name), registry.get(name)
            signature = read_signature(cls)
        except UnknownName as error:
            self.problem(path, str(error))
            return None, None
        except PluginError as error:
            self.broken.append(f"{path}: {error}")
            return None, None
        return self.read(rest, path, info, f"the {registry.noun} {info.name!r}", signature, use=name, beside=beside)

    def read(
        self,
        raw: Mapping[str, Any],
        path: str,
        info: PluginInfo | None,
        who: str,
        signature: Signature,
        *,
        use: str | None = None,
        beside: Sequence[str] = (),
    ) -> tuple[Chosen | None, dict[str, Any]]:
        """Options held against a constructor."""
        before = len(self.problems) + len(self.broken)
        for key in raw:
            if key not in signature.options:
                self.problem(f"{path}.{key}", _no_such(who, key, [*beside, *signature.options]))
        python: dict[str, Any] = {}
        nested: dict[str, Chosen | None] = {}
        plain = {}
        for key, option in signature.options.items():
            if option.kind == "value" and key in raw:
                # TOML has no word for "nothing given".
                plain[key] = None if option.optional and raw[key] == "none" and not _takes_word(option) else raw[key]
        made, json, wrong = validated(signature, plain)
        for key, what in wrong:
            self.problem(f"{path}.{key}" if key else path, what)
        python |= made
        resolved: dict[str, Any] = {} if use is None else {"use": use}
        for key, option in signature.options.items():
            where = f"{path}.{key}"
            if option.kind == "value":
                resolved[key] = json.get(key)
            elif option.registry is not None:
                nested[key], resolved[key] = self.plugin(raw.get(key, MISSING), where, option.registry, option)
            else:
                python[key] = resolved[key] = self.names(raw.get(key, MISSING), where, option)
                if option.kind == "names" and python[key] is not None:
                    python[key] = tuple(python[key])
        if len(self.problems) + len(self.broken) > before:
            return None, resolved
        return Chosen(path, info, signature, python, nested), resolved

    def names(self, raw: Any, path: str, option: Option) -> Any:
        """The name, or the list of names, that an option gives; checked to exist (views later, when they are known)."""
        if raw is MISSING:
            if option.default is MISSING:
                self.problem(path, "is missing")
                return None
            raw = option.default
        if raw is None or (option.optional and raw == "none"):
            return None
        found = list(raw) if option.kind == "names" and isinstance(raw, list | tuple) else [raw]
        assert option.name_type is not None
        if option.kind == "names" and not isinstance(raw, list | tuple):
            self.problem(path, f"is {raw!r}; it should be a list of names")
            return None
        for one in found:
            if not isinstance(one, str):
                self.problem(path, f"is {one!r}; it should be a name")
            elif issubclass(option.name_type, ViewName):
                self.views.append((path, str(one)))
            else:
                section = SECTION_OF[option.name_type]
                known = list(self.table_of(section))
                if one not in known:
                    near = did_you_mean(one, known) + f" Known: {', '.join(known) or 'none'}"
                    self.problem(path, f"this recipe has no {section[:-1]} called {one!r}.{near}")
        texts = [str(one) for one in found]
        return texts if option.kind == "names" else texts[0]

    def tried(self, chosen: Chosen) -> Any:
        """A strategy, made to see whether it takes its options; None where it does not."""
        made: list[Made] = []
        steps = {"steps": 1000} if chosen.path.startswith("diffusions.") else {}
        try:
            return build(chosen, {**PROBE, **steps}, made)
        except RecipeError as error:
            self.problems += error.problems
        except PluginError as error:
            self.broken.append(str(error))
        return None

    def check_views(self, augmenters: dict[str, Chosen | None], made: dict[str, Any]) -> None:
        known = ["clean"]
        unread = set(self.table_of("augmenters"))
        for name, chosen in augmenters.items():
            thing = made.get(chosen.path) if chosen is not None else None
            if thing is not None:
                known += [f"{name}.{view}" for view in thing.view_names]
                unread.discard(name)
        for path, view in self.views:
            # The views of an augmenter that could not be read are unknown for that reason, which is already told.
            if view not in known and view.partition(".")[0] not in unread:
                self.problem(path, f"no augmenter makes a view {view!r}.{did_you_mean(view, known)} Known: {', '.join(known)}")

    # ---- who set what ----

    def origins(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path in _leaves(values, ()):
            if self.has(path):
                yield path_text(path), self.patched.origin(path)
            elif path[0] not in ("data", "items", "training", "stages") and path[-1] not in Share.model_fields:
                yield path_text(path), "plugin default"
            else:
                yield path_text(path), "default"

    def has(self, path: Sequence[str]) -> bool:
        """Whether the patched table itself says something at a path."""
        node: Any = self.table
        for key in path:
            if isinstance(node, str):
                return key == "use"
            if isinstance(node, list):
                node = node[int(key)] if key.isdigit() and int(key) < len(node) else MISSING
            else:
                node = node.get(key, MISSING) if isinstance(node, dict) else MISSING
            if node is MISSING:
                return False
        return True


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(node, dict) and node:
        for key, inner in node.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(node, list) and any(isinstance(one, dict) for one in node):
        for number, inner in enumerate(node):
            yield from _leaves(inner, (*path, str(number)))
    else:
        yield path


def _whole(found: Mapping[str, Chosen | None]) -> dict[str, Chosen]:
    return {name: one for name, one in found.items() if one is not None}


def _no_such(who: str, key: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    return f"{who} has no option {key!r}.{did_you_mean(key, known)} Its options: {', '.join(known) or 'none'}"


def _takes_word(option: Option) -> bool:
    """Whether the string "none" is a value of the option's own type."""
    try:
        TypeAdapter(option.annotation).validate_python("none")
    except ValidationError:
        return False
    return True
