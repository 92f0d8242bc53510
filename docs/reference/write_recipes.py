"""Writes docs/reference/recipes.md and a page for each recipe in the box: `python docs/write_references.py recipes`."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from reference_markdown import code, prose, table, written_by

from seqaug.cli.options import HANDLES
from seqaug.recipes.assemble import assemble
from seqaug.recipes.load import RecipeSource, load_recipe, recipe_names
from seqaug.recipes.plan import Plan, make_plan
from seqaug.recipes.provenance import SOURCES, Tag, provenance

DOCS = Path(__file__).resolve().parents[1]
ITEMS = 12_101
"""Items of the data set for which parameters are counted: Amazon Beauty's."""

OVERVIEW = f"""\
{written_by("reference/write_recipes.py", "the recipes in src/seqaug/recipes/library")}
# Recipes in the box

Each recipe with its parts, its handles, every one of its values with the source of it, what changes on which data set, its
ablations, and the whole file. [Recipes](../recipes.md) says how they are read and written. `seqaug recipes copy NAME` makes one
of them yours.

*Values* counts what a recipe comes to with every default filled in, and where each value is from: the **paper**, **released
code**, or **assumed**, which is what neither of them settles, our own defaults among it. *Parameters* counts what learns beside
the item table.

"""


def pages() -> dict[str, str]:
    """The page of all, and one of each recipe: path below docs/ -> text."""
    return {"reference/recipes.md": _overview()} | {f"reference/recipes/{name}.md": _page(name) for name in recipe_names()}


@cache
def _read(name: str) -> tuple[RecipeSource, Plan, dict[str, Tag]]:
    source = load_recipe(name)
    plan = make_plan(source, data=None)
    return source, plan, provenance(source, plan)


def _overview() -> str:
    rows = []
    for name in recipe_names():
        _, plan, tags = _read(name)
        counts = Counter(tag.source for tag in tags.values())
        others = sum(count for part, count in _parameters(plan).items() if part != "items")
        rows.append(
            [
                f"[`{name}`](recipes/{name}.md)",
                str(len(tags)),
                *(str(counts[source]) for source in SOURCES if source != "user"),
                f"{others:,}",
                str(len(plan.variants)),
                str(len(plan.ablations)),
            ]
        )
    header = ["recipe", "values", "paper's", "code's", "assumed", "parameters", "data sets", "ablations"]
    return "\n".join([OVERVIEW.rstrip("\n"), "", *table(header, rows)]).rstrip() + "\n"


def _page(name: str) -> str:
    source, plan, tags = _read(name)
    lines = [written_by("reference/write_recipes.py", f"src/seqaug/recipes/library/{name}.toml"), f"# Recipe `{name}`", ""]
    lines += [prose(_idea(source)), ""]
    if plan.paper:
        lines += [f"Paper: {_linked(plan.paper)}", ""]
    lines += [
        f"What it does and where it differs from the paper stands in [its method page]({_method(name)}). "
        f"`seqaug run {name}` trains it; `seqaug recipes copy {name}` writes it to a file of your own.",
        "",
    ]
    lines += _parts(plan) + _handles(plan) + _values(plan, tags) + _variants(source, plan) + _ablations(source, plan)
    lines += ["## The whole file", "", "```toml", source.text.rstrip("\n"), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _linked(paper: str) -> str:
    """A reference with its arXiv number or DOI as a link."""
    linked = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", prose(paper))
    return re.sub(r"doi:(\S+[^\s.])", r"[doi:\1](https://doi.org/\1)", linked)


def _idea(source: RecipeSource) -> str:
    """The comment at the head of a recipe, up to its first empty line."""
    found = []
    for line in source.text.splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        found.append(line.removeprefix("#").strip())
    return " ".join(found)


def _method(name: str) -> str:
    """The link that the guide to recipes has for it."""
    row = next(
        line for line in (DOCS / "recipes.md").read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")
    )
    page: str = re.findall(r"\((methods/\w+\.md)\)", row)[0]
    return f"../../{page}"


# ---- parts ----


def _parameters(plan: Plan) -> dict[str, int]:
    """Of each part by its name, the item table's under "items"."""
    parts = assemble(plan, num_items=ITEMS, popularity=None, seed=0).model.parts()
    return {name: sum(one.numel() for one in part.parameters()) for name, part in parts.items()}


def _parts(plan: Plan) -> list[str]:
    counts = _parameters(plan)
    rows = [
        [
            code(used.path),
            used.info.kind.replace("_", " "),
            f"[`{used.info.name}`](../plugins.md#{_anchor(used.info.kind, used.info.name)})",
            f"{counts[used.path]:,}" if used.path in counts else "",
        ]
        for used in plan.plugins()
    ]
    whole = [f"`{name}` as a whole {counts[name]:,}." for name in counts if name.startswith("diffusions.")]
    items = f"the item table {counts['items']:,} ({ITEMS:,} items and two rows more, {plan.items.dim} wide)."
    said = f"Parameters: {items} {' '.join(whole)}" if plan.stages else "Nothing in it learns."
    return ["## Parts", "", *table(["place", "kind", "plugin", "parameters"], rows), said, ""]


def _anchor(kind: str, name: str) -> str:
    """Where docs/reference/plugins.md describes a plugin."""
    return f"{kind.replace('_', '-')}-{name.replace('_', '-')}"


def _handles(plan: Plan) -> list[str]:
    if not plan.handles:
        return []
    plugins = {used.path: used.info.name for used in plan.plugins()}
    rows = [
        [code(f"--{name} PLUGIN" if name in HANDLES else f"--with {name}=PLUGIN"), code(path), code(plugins[path])]
        for name, path in plan.handles.items()
    ]
    return ["## Handles", "", *table(["on the command line", "exchanges", "which is"], rows)]


# ---- values ----


def _values(plan: Plan, tags: Mapping[str, Tag]) -> list[str]:
    counts = Counter(tag.source for tag in tags.values())
    said = ", ".join(f"{counts[source]} {source}" for source in SOURCES if counts[source])
    lines = [
        "## Values",
        "",
        f"{len(tags)} values, every default filled in: {said}. In the last column are the recipe's own words. "
        "[Where the values come from](../../reproduce.md#where-the-values-come-from) says what counts as which.",
        "",
    ]
    groups: dict[str, list[list[str]]] = {}
    for path, tag in tags.items():
        head = ".".join(path.split(".")[: 1 if path.split(".")[0] in ("data", "items", "training", "scorer") else 2])
        groups.setdefault(head, []).append(_row(path.removeprefix(f"{head}."), at(plan.values, path), tag))
    for head, rows in groups.items():
        lines += [f"### `{head}`", "", *table(["value", "is", "source", "as the recipe says"], rows)]
    return lines


def _row(path: str, value: Any, tag: Tag) -> list[str]:
    said = "" if tag.detail == tag.source else tag.detail.removeprefix(f"{tag.source}: ")
    return [code(path), code(toml(value)), tag.source, prose(said)]


def _variants(source: RecipeSource, plan: Plan) -> list[str]:
    if not plan.variants:
        return []
    rows = [
        [code(name), *_row(path, value, Tag(tag.source, tag.detail.removeprefix(f"variant {name}: ")))]
        for name in plan.variants
        for path, value, tag in _changed(source, make_plan(source, data=name), f"variant {name}")
    ]
    return ["## On a data set", "", *table(["data set", "value", "is", "source", "as the recipe says"], _once(rows))]


def _ablations(source: RecipeSource, plan: Plan) -> list[str]:
    if not plan.ablations:
        return []
    rows = [
        [code(name), *_row(path, value, Tag(tag.source, tag.detail.removeprefix(f"ablation {name}: ")))]
        for name in plan.ablations
        for path, value, tag in _changed(source, make_plan(source, data=None, ablation=name), f"ablation {name}")
    ]
    said = f"`seqaug ablate {source.name}` trains all of them; `seqaug run {source.name} --ablation NAME` one."
    return ["## Ablations", "", said, "", *table(["ablation", "value", "is", "source", "as the recipe says"], _once(rows))]


def _changed(source: RecipeSource, plan: Plan, origin: str) -> Iterator[tuple[str, Any, Tag]]:
    for path, tag in provenance(source, plan).items():
        if plan.origins[path] == origin:
            yield path, at(plan.values, path), tag


def _once(rows: list[list[str]]) -> list[list[str]]:
    """The first cell of rows that follow each other and agree in it is said once."""
    shown, before = [], ""
    for first, *rest in rows:
        shown.append(["" if first == before else first, *rest])
        before = first
    return shown


def at(values: Any, path: str) -> Any:
    """The value at a dotted path through tables and lists."""
    for key in path.split("."):
        values = values[int(key)] if isinstance(values, list) else values[key]
    return values


def toml(value: Any) -> str:
    """A value as a recipe writes it."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    for path, text in pages().items():
        (DOCS / path).write_text(text, encoding="utf-8")
