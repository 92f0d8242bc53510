"""Built-ins come in by the front door: what `builtin/` registers is what the installed package declares."""

from __future__ import annotations

import ast
import importlib.metadata
import tomllib

from policies.tree import ROOT, modules

Declared = dict[tuple[str, str], str]


def registered() -> Declared:
    """(kind, name) -> "module:Class" for every `@kind.register("name")` in builtin."""
    found: Declared = {}
    for module in modules().values():
        if not module.name.startswith("seqaug.builtin"):
            continue
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "register":
                    key = (ast.unparse(mark.func.value), str(ast.literal_eval(mark.args[0])))
                    assert key not in found, f"{key} is registered twice"
                    found[key] = f"{module.name}:{node.name}"
    return found


def declared() -> Declared:
    """The same, as pyproject.toml says it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    return {
        (group.removeprefix("seqaug."), name): value
        for group, names in groups.items()
        if group.startswith("seqaug.")
        for name, value in names.items()
    }


def test_pyproject_declares_exactly_what_builtin_registers() -> None:
    assert declared() == registered()


def test_the_installed_package_declares_what_pyproject_does() -> None:
    installed = {
        (point.group.removeprefix("seqaug."), point.name): point.value
        for point in importlib.metadata.distribution("seqaug").entry_points
        if point.group.startswith("seqaug.")
    }
    assert installed == declared(), "the installed package is older than pyproject.toml: pip install -e . again"


def test_every_plugin_group_is_a_registry() -> None:
    from seqaug.core.registries import REGISTRIES

    assert {kind for kind, _ in declared()} <= set(REGISTRIES)


def test_every_built_in_loads_and_keeps_its_contract() -> None:
    from seqaug.core.registries import REGISTRIES

    for kind, name in declared():
        info = REGISTRIES[kind].describe(name)
        assert info.builtin
        loaded = REGISTRIES[kind].get(name)
        assert f"{loaded.__module__}:{loaded.__name__}" == info.value
