"""Where a plugin stands while it is checked: in a small recipe, planned and assembled like any other.

The kit has two of them, tried in turn until the plugin takes one: `plain`, whose diffusion noises whole sequences with noise
made of their items, and `generating`, whose diffusion makes up spans of SPAN items out of pure noise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from ..core.assembly import Assembly
from ..core.names import DiffusionName, EncoderName, HeadName, ViewName
from ..core.registry import PluginInfo
from ..data.samples import Kind, Samples
from ..data.split import Histories, Split
from ..errors import PluginError, RecipeError
from ..recipes.assemble import assemble
from ..recipes.chosen import Chosen
from ..recipes.load import RecipeSource
from ..recipes.options import MISSING, Option, read_signature
from ..recipes.plan import Plan, PlannedTerm, make_plan
from ..recipes.reading import Reader
from ..recipes.schema import Share
from .subject import Subject
from .worlds import DIM, MAX_LENGTH, Size, popularity_of, split_of

__all__ = [
    "DEFAULT_PLUGINS",
    "HOSTS",
    "PLACES",
    "SPAN",
    "STEPS",
    "VIEWS",
    "Host",
    "Placed",
    "bare",
    "filled_in",
    "host_of",
    "read_options",
    "ways_to_place",
]

SPAN = 3
STEPS = 20

_COMMON = f"""
name = "host"

[data]
max_length = {MAX_LENGTH}

[items]
dim = {DIM}
std = 0.5

[encoders.main]
use = "seqaug/transformer"
layers = 1
inner = 64

[heads.main]
use = "seqaug/linear"

[heads.logit]
use = "seqaug/linear"
width = 1

[augmenters.diffused]
use = "seqaug/denoised"
corrupt = "seqaug/all"
replace = "seqaug/confidence"
positive = {{ use = "seqaug/rank", rank = 1, exclude_target = false }}
negative = {{ use = "seqaug/rank", rank = 2 }}

[augmenters.edited]
use = "seqaug/random_edits"
new_items = "seqaug/uniform"

[objectives.recommendation]
use = "seqaug/next_item_softmax"

[scorer]
use = "seqaug/last_position"

[diffusions.main]
null_condition = true
schedule = {{ use = "seqaug/linear", steps = {STEPS} }}
denoiser = {{ use = "seqaug/mlp", inner = 64 }}
"""

# Everything is named with its distribution: a stranger's plugin may share a name with one of ours.
HOSTS = {
    "plain": _COMMON + 'noise = { use = "seqaug/similarity", k = 3 }\n',
    "generating": _COMMON + f'noise = {{ use = "seqaug/gaussian" }}\nspan = {SPAN}\n',
}
"""The recipes, by their names."""

PLACES = {
    "encoders": "encoders.main",
    "noise_sources": "diffusions.main.noise",
    "position_selectors": "augmenters.diffused.replace",
    "negative_samplers": "augmenters.diffused.positive",
    "schedules": "diffusions.main.schedule",
    "denoisers": "diffusions.main.denoiser",
    "heads": "heads.main",
    "augmenters": "augmenters.subject",
    "objectives": "objectives.subject",
    "scorers": "scorer",
    "rewriters": "rewriters.subject",
}
"""Where the plugin of a kind is put."""

VIEWS = ("diffused.positive", "diffused.negative", "edited.first", "edited.second")
"""The host's views, in the order in which options that need one are given them."""

DEFAULT_PLUGINS = {
    "encoders": "seqaug/transformer",
    "noise_sources": "seqaug/gaussian",
    "position_selectors": "seqaug/random",
    "negative_samplers": "seqaug/uniform",
    "schedules": "seqaug/linear",
    "denoisers": "seqaug/mlp",
    "heads": "seqaug/linear",
    "augmenters": "seqaug/dropout",
    "objectives": "seqaug/next_item_softmax",
    "scorers": "seqaug/last_position",
    "rewriters": "seqaug/prepend_generated",
}
"""What an option that is itself a plugin, and has no default, is given."""


@dataclass(frozen=True, eq=False)
class Placed:
    """A plugin made inside an assembly, and the data around it."""

    plugin: Any
    assembly: Assembly
    histories: Histories
    split: Split

    def samples(self, kind: Kind = "sequences") -> Samples:
        """The training rows."""
        return Samples(self.split, kind=kind, max_length=MAX_LENGTH, device=self.device)

    @property
    def device(self) -> torch.device:
        return self.assembly.model.items.weight.device


@dataclass(frozen=True, eq=False)
class Host:
    """A recipe with the plugin in its place. resolved: every option of the plugin, as JSON holds it."""

    name: str
    subject: Subject
    chosen: Chosen
    resolved: Mapping[str, Any]
    plan: Plan

    def placed(self, size: Size, *, device: torch.device | str = "cpu", seed: int = 0) -> Placed:
        """The recipe assembled in a toy world of that size, with a new plugin in it."""
        return _placed(self.plan, self.chosen.path, size, device, seed)


def _placed(plan: Plan, path: str | None, size: Size, device: torch.device | str, seed: int) -> Placed:
    split = split_of(size)
    assembly = assemble(
        plan,
        num_items=split.sequences.num_items,
        popularity=popularity_of(split.train),
        histories=split.train,
        seed=seed,
        device=device,
    )
    assembly.model.eval()
    return Placed(None if path is None else assembly.plugins[path], assembly, split.train.to(device), split)


def bare(name: str, size: Size) -> Placed:
    """A host as it is, without a plugin that is checked, assembled in a toy world of that size."""
    _, plan = _bare(name)
    return _placed(plan, None, size, "cpu", 0)


def ways_to_place(subject: Subject) -> tuple[tuple[str, str], ...]:
    """(host, head) pairs that are worth a try, the usual one first. head: what an option that names one is given."""
    asks = any(
        one.name_type is HeadName and one.default is MISSING and one.name not in subject.options
        for one in read_signature(subject.plugin).options.values()
    )
    heads = ("main", "logit") if asks else ("main",)
    return tuple((name, head) for name in HOSTS for head in heads)


@lru_cache(maxsize=4)
def _bare(name: str) -> tuple[RecipeSource, Plan]:
    text = HOSTS[name]
    source = RecipeSource("host", text, tomllib.loads(text))
    return source, make_plan(source, data=None)


def read_options(subject: Subject, options: Mapping[str, Any], *, host: str = "plain") -> tuple[Chosen, dict[str, Any]]:
    """A plugin's options as a recipe is read: what it will be made of, and all of them filled in as JSON holds them.

    Raises RecipeError with every problem, PluginError where the constructor cannot be read.
    """
    source, _ = _bare(host)
    reader = Reader(source)
    path = PLACES[subject.kind]
    info = PluginInfo(
        kind=subject.kind, name=subject.plugin.__name__, value=subject.value, distribution=None, version=None, builtin=False
    )
    signature = read_signature(subject.plugin)
    chosen, resolved = reader.read(dict(options), path, info, f"the plugin {subject.plugin.__name__}", signature)
    known = ("clean", *VIEWS)
    problems = [*reader.problems]
    problems += [
        f"{where}: the kit's host has no view {view!r}; it has {', '.join(known)}"
        for where, view in reader.views
        if view not in known
    ]
    if problems:
        raise RecipeError([*problems, *reader.broken])
    if chosen is None:
        raise PluginError("\n".join(reader.broken))
    return chosen, resolved


def host_of(subject: Subject, name: str, head: str) -> Host:
    """The recipe of that name with the plugin in its place.

    Raises RecipeError where its options are wrong, PluginError where its constructor cannot be read.
    """
    options = {**filled_in(subject, head), **subject.options}
    chosen, resolved = read_options(subject, options, host=name)
    _, plan = _bare(name)
    return Host(name, subject, chosen, resolved, _with(plan, subject.kind, chosen))


def filled_in(subject: Subject, head: str = "main") -> dict[str, Any]:
    """A value for each option that has no default and is not among the subject's. Raises RecipeError, naming those that only
    their author can choose.
    """
    made: dict[str, Any] = {}
    unknown: list[str] = []
    views = iter(VIEWS * 8)
    for option in read_signature(subject.plugin).options.values():
        if option.name in subject.options or option.default is not MISSING or option.use is not None:
            continue
        if option.registry is not None:
            if not option.optional:
                made[option.name] = DEFAULT_PLUGINS[option.registry.kind]
        elif option.name_type is not None:
            made[option.name] = _names(option, views, head)
        else:
            unknown.append(option.name)
    if unknown:
        first = unknown[0]
        raise RecipeError(
            f"{subject.plugin.__name__} has no default for {', '.join(map(repr, unknown))}, and the kit cannot know one. Give "
            f"it: Subject({subject.plugin.__name__}, options={{{first!r}: ...}}), or NAME:{first}=VALUE on the command line."
        )
    return made


def _names(option: Option, views: Iterator[str], head: str) -> Any:
    def one() -> str:
        if option.name_type is ViewName:
            return next(views)
        return {EncoderName: "main", DiffusionName: "main", HeadName: head}[option.name_type]  # type: ignore[index]

    return one() if option.kind == "name" else [one()] if option.kind == "names" else [[one(), one()]]


def _with(plan: Plan, kind: str, chosen: Chosen) -> Plan:
    """The plan with the plugin in the place of its kind."""
    section, _, rest = chosen.path.partition(".")
    if kind == "scorers":
        return replace(plan, scorer=chosen)
    name, _, inner = rest.partition(".")
    if kind == "objectives":
        return replace(plan, objectives={**plan.objectives, name: PlannedTerm(chosen, Share())})
    owners = getattr(plan, section)
    if inner:
        owner = owners[name]
        chosen = replace(owner, nested={**owner.nested, inner: chosen})
    changes: dict[str, Any] = {section: {**owners, name: chosen}}
    return replace(plan, **changes)
