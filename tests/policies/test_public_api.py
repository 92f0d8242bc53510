"""What is public stands in `__all__`, and what stands there is documented."""

from __future__ import annotations

import ast
import importlib

import pytest

from policies.tree import Module, modules


def exported(module: Module) -> list[str] | None:
    """The names in `__all__`, or None where the module has none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return None


def definitions(module: Module) -> dict[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    """The classes and functions at the top of a module."""
    return {
        node.name: node for node in module.tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }


def is_subcommand(node: ast.AST) -> bool:
    """`@data.command("list")`: reached through its group, and named so that it hides no builtin."""
    marks = getattr(node, "decorator_list", [])
    return any(
        isinstance(mark, ast.Call) and ast.unparse(mark.func).endswith(".command") and ast.unparse(mark.func) != "click.command"
        for mark in marks
    )


def with_code() -> list[Module]:
    """Every module that holds more than a docstring."""
    return [
        module
        for module in modules().values()
        if any(not isinstance(node, ast.Expr) and not _is_future(node) for node in module.tree.body)
    ]


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def test_every_module_says_what_is_public() -> None:
    silent = [module.name for module in with_code() if exported(module) is None]
    assert not silent, f"without __all__: {silent}"


def test_all_lists_every_public_class_and_function_and_nothing_private() -> None:
    wrong = []
    for module in with_code():
        names = exported(module)
        if names is None:
            continue
        public = {name for name, node in definitions(module).items() if not name.startswith("_") and not is_subcommand(node)}
        wrong += [f"{module.name}: {name} is public and not in __all__" for name in sorted(public - set(names))]
        wrong += [f"{module.name}: {name} stands twice in __all__" for name in {n for n in names if names.count(n) > 1}]
        wrong += [
            f"{module.name}: {n} is private and in __all__" for n in names if n.startswith("_") and not n.startswith("__")
        ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_is_public_exists(name: str) -> None:
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", []) if not hasattr(module, public)]
    assert not missing, f"{name}.__all__ promises what is not there: {missing}"


def test_every_module_class_and_function_that_is_public_is_documented() -> None:
    wrong = []
    for module in with_code():
        if ast.get_docstring(module.tree) is None:
            wrong.append(f"{module.at(1)}: the module")
        for name, node in definitions(module).items():
            if not name.startswith("_") and not (ast.get_docstring(node) or "").strip():
                wrong.append(f"{module.at(node.lineno)}: {name}")
    assert not wrong, "without a docstring:\n" + "\n".join(wrong)


def test_the_api_exports_the_registries_the_protocols_and_the_names() -> None:
    api = importlib.import_module("seqaug.api")
    registries = importlib.import_module("seqaug.core.registries").REGISTRIES
    protocols = importlib.import_module("seqaug.core.protocols").__all__
    names = importlib.import_module("seqaug.core.names").__all__
    assert {*registries, *protocols, *names} <= set(api.__all__)
