"""Writes docs/reference/plugins.md from the plugins themselves: `python docs/write_references.py plugins`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from reference_markdown import code, prose, table, written_by

from seqaug.core.registries import REGISTRIES
from seqaug.core.registry import PluginInfo, Registry
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.options import OptionInfo, describe_options
from seqaug.recipes.plan import make_plan

PAGE = Path(__file__).with_name("plugins.md")

HEAD = f"""\
{written_by("reference/write_plugins.py", "the plugins' docstrings and signatures")}
# Plugins in the box

Every plugin by its kind, as `use = "..."` names it in a [recipe](../recipes.md), with the options of its constructor, where it
comes from and which of [our recipes](recipes.md) use it. Plugins that other packages bring are listed by `seqaug plugins list`;
[Plugins](../plugins.md) shows how one is written, and [Python API](api.md) has the interfaces in full.

B sequences, N positions in a batch, D width of the item table, V items (ids 1 to V), T diffusion steps, M negatives per
position.

"""

COMMON = {
    "encoder": "The encoder that reads, by its name in the recipe.",
    "diffusion": "The diffusion, by its name in the recipe.",
    "head": "A head that maps the states first, by its name in the recipe.",
    "view": "The view that is read.",
    "first": "One of the two views.",
    "second": "The other one.",
    "predicts": "What it gives: the `clean` vectors, or the `noise` in them.",
    "layers": "Blocks, one after the other.",
    "heads": "Of the attention; they divide the width.",
    "inner": "Width of the feed-forward half of a block.",
    "dropout": "Share of numbers that are dropped in training.",
    "attention_dropout": "Of the attention weights; as `dropout` where not given.",
    "causal": "Whether a position sees only itself and what was before it.",
    "norm": "LayerNorm behind each half of a block, or before it.",
    "activation": "Of the feed-forward half.",
    "steps": "T.",
    "temperature": "What the similarities are divided by.",
    "except_first": "A sequence's oldest position is never taken.",
    "count": "So many positions of each sequence.",
}
"""What an option is where neither a docstring nor `OWN` says more."""

OWN = {
    ("noise_sources", "gaussian", "scale"): "The standard deviation.",
    ("noise_sources", "mixture", "first"): "One kind of noise.",
    ("noise_sources", "mixture", "second"): "The other kind.",
    ("noise_sources", "mixture", "share"): "Of the first.",
    ("negative_samplers", "among_top", "k"): "How many items it chooses from.",
    ("negative_samplers", "rank", "rank"): "1 is the most likely item.",
    ("denoisers", "shared", "dropout"): "Of the vectors that go in.",
    ("heads", "linear", "bias"): "Whether the map is affine, or linear only.",
    ("heads", "linear", "activation"): "Of the result.",
    ("augmenters", "denoised", "replace"): "The positions at which restored items are put.",
    ("augmenters", "denoised", "positive"): "The item put there in the view `positive`.",
    ("augmenters", "denoised", "negative"): "The item put there in the view `negative`.",
    ("augmenters", "denoised", "chain_steps"): "Of a `chain`.",
    ("augmenters", "denoised", "copies"): "Pairs of views.",
    ("augmenters", "infill", "view"): "The masked view whose holes are filled.",
    ("augmenters", "learned", "head"): "The head that maps, by its name in the recipe.",
    ("augmenters", "random_edits", "crop"): "Share of the history that is kept.",
    ("augmenters", "random_edits", "mask"): "Share of the positions that are masked.",
    ("augmenters", "random_edits", "reorder"): "Share of the history that is shuffled.",
    ("augmenters", "random_edits", "insert"): "New items, as a share of the length.",
    ("augmenters", "random_edits", "substitute"): "Share of the positions that get another item.",
    ("augmenters", "random_edits", "delete"): "Share of the positions that are dropped.",
    ("objectives", "info_nce", "anchor"): "The view that asks.",
    ("objectives", "info_nce", "positive"): "The view with the right answers.",
    ("objectives", "info_nce", "negatives"): "Views with further wrong answers, one each.",
    ("objectives", "next_item_sampled_softmax", "power"): "Of (training actions + 1), with `popularity`.",
    ("objectives", "prefix_diffusion", "drop_condition"): "The chance, with `standard` guidance, that a condition is dropped.",
    ("objectives", "prefix_diffusion", "gamma"): "The strength of `released` guidance.",
    ("scorers", "item_knn", "similarity"): "`cosine`, damped, or the plain `count` of users who have both.",
    ("rewriters", "prepend_generated", "scale"): "The strength of the guidance.",
}
"""What an option of one plugin is, where its docstring says it in other words than `option: ...`."""


def text() -> str:
    """The whole page."""
    registries = list(REGISTRIES.values())
    return "\n".join([HEAD.rstrip("\n"), "", *_contents(registries), *map(_section, registries)]).rstrip() + "\n"


def _contents(registries: list[Registry[object]]) -> list[str]:
    lines = []
    for registry in registries:
        own = ", ".join(f"[`{info.name}`](#{anchor(info.kind, info.name)})" for info in _own(registry))
        lines.append(f"* **[{registry.kind}](#{registry.kind})**: {own}")
    return [*lines, ""]


def _own(registry: Registry[object]) -> list[PluginInfo]:
    return [info for info in registry.all() if info.builtin]


def anchor(kind: str, name: str) -> str:
    """Of a plugin on the page: several kinds have a `transformer`."""
    return f"{kind}-{name}".replace("_", "-")


# ---- a kind ----


def _section(registry: Registry[object]) -> str:
    lines = [f"## {registry.kind}", "", _prose(inspect.cleandoc(registry.protocol.__doc__ or "")), ""]
    lines += ["```python", *_interface(registry.protocol), "```", ""]
    lines += [f"In full: [{registry.protocol.__name__}](api.md#seqaug.core.protocols.{registry.protocol.__name__}).", ""]
    return "\n".join(lines) + "\n" + "\n".join(_plugin(registry, info) for info in _own(registry))


def _interface(protocol: type[object]) -> Iterator[str]:
    """The members of an interface, each method with the first line of what it says, laid out as ruff does."""
    yield f"class {protocol.__name__}(Protocol):"
    is_first = True
    for name, annotation in vars(protocol).get("__annotations__", {}).items():
        yield f"    {name}: {annotation}".replace("'", '"')
        is_first = False
    for name, member in vars(protocol).items():
        is_property = isinstance(member, property)
        if isinstance(member, property):
            assert member.fget is not None
            name, member = member.fget.__name__, member.fget
        elif not inspect.isfunction(member) or (name.startswith("_") and name != "__call__"):
            continue
        if not member.__module__.startswith("seqaug"):
            continue
        if not is_first:
            yield ""
        is_first = False
        if is_property:
            yield "    @property"
        yield f"    def {name}{_signature(member)}:"
        yield f'        """{inspect.cleandoc(member.__doc__ or "").splitlines()[0]}"""'


def _signature(function: object) -> str:
    """With its types as they are written."""
    return re.sub(r"'([^']*)'", r"\1", str(inspect.signature(function)))  # type: ignore[arg-type]


# ---- a plugin ----


def _plugin(registry: Registry[object], info: PluginInfo) -> str:
    cls = registry.get(info.name)
    options = describe_options(cls)
    rest, said = documented(inspect.cleandoc(cls.__doc__ or ""), [one.name for one in options])
    lines = [f"### `{info.name}` {{ #{anchor(info.kind, info.name)} }}", "", _prose(rest), ""]
    rows = [
        [code(one.name), code(one.type), code(one.default) or "*must be given*", _bounds(one), _what(info, one, said)]
        for one in options
    ]
    lines += table(["option", "type", "default", "bounds", "what it is"], rows)
    used = [f"[`{recipe}`](recipes/{recipe}.md)" for recipe in used_by().get((info.kind, info.name), [])]
    ablated = [one for one in used_by(ablations=True).get((info.kind, info.name), []) if f"`{one}`" not in " ".join(used)]
    where = "; ".join(
        [
            *([f"used by {', '.join(used)}"] if used else []),
            *([f"by ablations of {', '.join(f'[`{one}`](recipes/{one}.md)' for one in ablated)}"] if ablated else []),
        ]
    )
    lines += [f"`{info.value}`, {where or 'used by no recipe in the box'}.", ""]
    return "\n".join(lines)


def _bounds(option: OptionInfo) -> str:
    """ "1 <= k" as "≥ 1", "0 <= dropout < 1" as "0 ≤ … < 1"."""
    signs = option.bounds.replace("<=", "≤")
    one_sided = re.fullmatch(rf"(\S+) (≤|<) {option.name}", signs)
    if one_sided:
        return prose(f"{'≥' if one_sided[2] == '≤' else '>'} {one_sided[1]}")
    return prose(signs.replace(option.name, "…").removeprefix("… ")).replace(" ", "&nbsp;")


def _what(info: PluginInfo, option: OptionInfo, said: dict[str, str]) -> str:
    """The sentence of an option: its docstring's, else ours of this plugin, else ours of all options of that name."""
    own = OWN.get((info.kind, info.name, option.name)) or ("As in `confidence`." if info.name == "least_confidence" else None)
    told = said.get(option.name, "")
    if re.fullmatch(r"in [\[(][\d., ]+[\])]\.", told):
        told = ""  # the bounds say so
    found = told or own or COMMON.get(option.name)
    assert found, f"neither its docstring nor {Path(__file__).name} says what {info.kind}/{info.name}.{option.name} is"
    assert not (own and told), f"{info.name}.{option.name} is told twice"
    return _escaped(found[0].upper() + found[1:] if re.match(r"(a|[a-z]{2,})[ ,]", found) else found)


_NAMES = r"(?:\w+(?:, | \| ))*\w+"
_ASIDE = re.compile(r"(?<=[.;]) (?=(?:Raises|Needs|Costs|Weights|Several negatives|An item without|The step's|Gradient) )")
"""Where what is said of an option ends and the plugin is spoken of again."""


def documented(doc: str, options: list[str]) -> tuple[str, dict[str, str]]:
    """A docstring without what it says of the options as "name: sentences.", and that by option."""
    said: dict[str, str] = {}
    kept: list[str] = []
    for paragraph in re.split(r"\n\s*\n", doc):
        flat = " ".join(paragraph.split())
        parts = re.split(rf"(?:^|(?<=[.;)]) )(?={_NAMES}: )", flat)
        rest = []
        for part in parts:
            names, colon, words = part.partition(": ")
            split = re.split(r", | \| ", names)
            if not colon or not set(split) <= set(options):
                rest.append(part)
                continue
            own, *aside = _ASIDE.split(words, maxsplit=1)
            rest += aside
            for name in split:
                said.setdefault(name, own.rstrip(" .;") + ".")
        kept.append("\n".join(one for one in rest if one))
    return "\n\n".join(one for one in kept if one), said


@cache
def used_by(ablations: bool = False) -> dict[tuple[str, str], list[str]]:
    """(kind, name) -> the recipes in the box that name the plugin; or those of whose variants and ablations one does."""
    found: dict[tuple[str, str], list[str]] = {}
    for recipe in recipe_names():
        source = load_recipe(recipe)
        plans = [make_plan(source, data=None)]
        if ablations:
            plans = [make_plan(source, data=None, ablation=name) for name in plans[0].ablations]
        for key in dict.fromkeys((used.info.kind, used.info.name) for plan in plans for used in plan.plugins()):
            found.setdefault(key, []).append(recipe)
    return found


# ---- words ----


def _prose(doc: str) -> str:
    """A docstring as paragraphs; a line that begins with "name: " or "Views: " begins a new one."""
    shown: list[str] = []
    for line in doc.splitlines():
        begins = line.split(":")[0].replace(", ", "").replace("_", "").isalnum() and ": " in line
        if begins and shown and shown[-1]:
            shown.append("")
        shown.append(_escaped(line))
    return "\n".join(shown)


def _escaped(text: str) -> str:
    """As it stands, with links to the pages of our own documentation that it names."""
    return re.sub(r"docs/(methods/(\w+)\.md)", lambda found: f"[{found[2].replace('_', ' ')}](../{found[1]})", prose(text))


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
