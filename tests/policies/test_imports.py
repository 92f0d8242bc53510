"""Who may import whom: the table of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import sys
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest

from policies.tree import ROOT, Module, modules, targets

# A part of seqaug -> the parts that it may import, besides itself.
MAY_IMPORT: dict[str, set[str]] = {
    "__main__": {"cli"},
    "errors": set(),
    "data": {"errors"},
    "core": {"data", "errors"},
    "api": {"core", "data", "errors"},
    "builtin": {"api"},
    "recipes": {"core", "data", "errors"},
    "training": {"core", "data", "errors"},
    "evaluation": {"core", "data", "errors"},
    "report": {"evaluation", "core", "data", "errors"},
    "experiments": {"training", "evaluation", "recipes", "report", "core", "data", "errors"},
    "scaffold": {"core", "errors"},
    "library": {"experiments", "training", "evaluation", "recipes", "core", "data", "errors"},
    "testing": {"api", "training", "evaluation", "recipes", "core", "data", "errors"},
    "cli": {"experiments", "report", "scaffold", "testing", "training", "evaluation", "recipes", "core", "data", "errors"},
}

# A package from elsewhere -> the parts that may import it. What is not named here may be imported by any of them.
ONLY_IN: dict[str, set[str]] = {
    "click": {"cli"},
    "rich": {"cli"},
    "pydantic": {"recipes", "builtin"},
    "entrypoints": {"core"},
    "sklearn": {"report"},
    "optuna": {"experiments"},
    "ray": {"experiments"},
    "pytest": {"testing"},
    "hypothesis": {"testing"},
}

OPTIONAL = {"sklearn", "optuna", "ray", "pytest", "hypothesis"}
FROM_ELSEWHERE = {"torch", "numpy", "pydantic", "click", "rich", "entrypoints", "safetensors", *OPTIONAL}


def part_of(name: str) -> str:
    """seqaug.core.items -> core; seqaug itself -> ""."""
    return name.split(".")[1] if "." in name else ""


def test_every_part_of_the_source_stands_in_the_table() -> None:
    parts = {part_of(name) for name in modules()} - {""}
    assert parts <= set(MAY_IMPORT), f"no layer is known for: {sorted(parts - set(MAY_IMPORT))}"


@pytest.mark.parametrize("part", sorted(MAY_IMPORT))
def test_a_part_imports_only_the_parts_below_it(part: str) -> None:
    wrong = []
    for module in modules().values():
        if part_of(module.name) != part:
            continue
        for one in module.imports:
            if one.module.split(".")[0] != "seqaug":
                continue
            target = part_of(one.module) or (one.name if one.name in MAY_IMPORT else "")
            # The package itself holds nothing but its version, which anyone may ask for.
            if target and target != part and target not in MAY_IMPORT[part]:
                wrong.append(f"{module.at(one.line)} imports {one.module}")
    assert not wrong, f"{part} may import {sorted(MAY_IMPORT[part]) or 'nothing of seqaug'}:\n" + "\n".join(wrong)


def test_packages_from_elsewhere_are_imported_only_where_they_belong() -> None:
    wrong = []
    for module in modules().values():
        for one in module.imports:
            top = one.module.split(".")[0]
            if top in ("seqaug", "__future__") or top in sys.stdlib_module_names:
                continue
            if top not in FROM_ELSEWHERE:
                wrong.append(f"{module.at(one.line)} imports {top}, which is no dependency")
            elif part_of(module.name) not in ONLY_IN.get(top, MAY_IMPORT):
                wrong.append(f"{module.at(one.line)} imports {top}, which belongs in {sorted(ONLY_IN[top])}")
    assert not wrong, "\n".join(wrong)


def test_every_dependency_is_declared_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {line.split(">")[0].split("=")[0].strip() for line in project["dependencies"]}
    used = {one.module.split(".")[0] for module in modules().values() for one in module.imports}
    assert declared == FROM_ELSEWHERE - OPTIONAL
    assert declared <= used, f"declared and never imported: {sorted(declared - used)}"


def test_entry_points_are_read_in_one_file_only() -> None:
    readers = {
        module.name
        for module in modules().values()
        for one in module.imports
        if one.module == "entrypoints" or (one.module == "importlib.metadata" and one.name == "entry_points")
    }
    assert readers == {"seqaug.core.discovery"}


def plugin_modules() -> list[Module]:
    """The built-in plugins, and those of plugins/ as strangers would write them (their tests aside)."""
    built_in = [module for name, module in modules().items() if part_of(name) == "builtin"]
    others = []
    for package in sorted((ROOT / "plugins").iterdir()) if (ROOT / "plugins").is_dir() else []:
        source = package / "src" if (package / "src").is_dir() else package
        if list(source.rglob("*.py")):
            others += [module for module in modules(source).values() if "tests" not in module.path.relative_to(ROOT).parts]
    return built_in + others


def test_plugins_import_the_api_and_torch_and_nothing_else() -> None:
    wrong = []
    for module in plugin_modules():
        own = module.name.split(".")[0] if not module.name.startswith("seqaug.") else None
        for one in module.imports:
            top = one.module.split(".")[0]
            allowed = (
                top in sys.stdlib_module_names
                or top == "torch"
                or top == own
                or one.module == "seqaug.api"
                or (one.module == "seqaug" and one.name == "api")
                or (one.module == "pydantic" and one.name == "Field")
            )
            if not allowed:
                wrong.append(f"{module.at(one.line)}: from {one.module} import {one.name}")
    assert not wrong, "a plugin imports seqaug.api, torch, pydantic's Field and the standard library:\n" + "\n".join(wrong)


def test_no_modules_import_each_other_in_a_ring() -> None:
    known = modules()
    graph = {
        name: set(targets(module, known, for_types=False)) - {name, "seqaug"}
        for name, module in known.items()
        if name != "seqaug"
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as ring:
        pytest.fail("these modules import each other: " + " -> ".join(reversed(ring.args[1])))
