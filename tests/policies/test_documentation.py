"""Whatever has a name is in the documentation under that name."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import click
import pytest

from policies.tree import ROOT, modules

DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def errors() -> dict[str, int]:
    """Every error class with its exit code."""
    from seqaug import errors as module

    found = {name: getattr(module, name) for name in module.__all__}
    return {name: one.exit_code for name, one in found.items() if isinstance(one, type) and issubclass(one, module.SeqaugError)}


@pytest.mark.parametrize(("name", "code"), sorted(errors().items()))
def test_every_error_stands_in_the_table_of_exit_codes(name: str, code: int) -> None:
    rows = [line for line in page("reference/exit-codes.md").splitlines() if line.startswith("|")]
    assert any(re.match(rf"\|\s*{code}\s*\|", line) and f"`{name}`" in line for line in rows), f"{name} ({code})"


def test_no_error_is_defined_outside_errors_py() -> None:
    known = set(errors())
    strays = [
        f"{module.at(node.lineno)}: {node.name}"
        for module in modules().values()
        if module.name != "seqaug.errors"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] in known for base in node.bases)
    ]
    assert not strays, "\n".join(strays)


def commands(group: click.Command, path: str = "seqaug") -> list[str]:
    """Every command line there is: "seqaug run", "seqaug data show", ..."""
    if not isinstance(group, click.Group):
        return [path]
    context = click.Context(group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} lists {name} and does not have it"
        if not command.hidden:
            found += commands(command, f"{path} {name}")
    return found


def root_command() -> click.Command:
    from seqaug.cli import main

    found = [one for one in vars(main).values() if isinstance(one, click.Group)]
    assert len(found) == 1, "seqaug.cli.main has one root command"
    return found[0]


def test_every_command_has_a_heading_in_the_reference_of_the_command_line() -> None:
    headings = [line.lstrip("# ").replace("`", "") for line in page("cli.md").splitlines() if line.startswith("#")]
    missing = [line for line in commands(root_command()) if line not in headings]
    assert not missing, f"without a heading in docs/cli.md: {missing}"


def test_every_flag_of_run_is_documented() -> None:
    run = root_command().get_command(click.Context(root_command()), "run")  # type: ignore[attr-defined]
    flags = {flag for option in run.params if isinstance(option, click.Option) and not option.hidden for flag in option.opts}
    text = page("cli.md")
    missing = sorted(flag for flag in flags if f"`{flag}" not in text)
    assert not missing, f"flags of `seqaug run` that docs/cli.md does not mention: {missing}"


def plugins() -> list[tuple[str, str]]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    ours = {group: names for group, names in groups.items() if group.startswith("seqaug.")}
    return [(group.removeprefix("seqaug."), name) for group, names in ours.items() for name in names]


@pytest.mark.parametrize(("kind", "name"), plugins())
def test_every_plugin_is_described_under_its_kind(kind: str, name: str) -> None:
    sections = re.split(r"^## ", page("reference/plugins.md"), flags=re.MULTILINE)
    own = [section for section in sections if section.splitlines()[0].strip(" `") == kind]
    assert own, f"docs/reference/plugins.md has no section {kind}"
    assert f"### `{name}`" in own[0]


def library() -> list[Path]:
    return sorted((ROOT / "src" / "seqaug" / "recipes" / "library").glob("*.toml"))


@pytest.mark.parametrize("recipe", library(), ids=lambda path: path.stem)
def test_every_recipe_has_a_page_with_the_five_paragraphs(recipe: Path) -> None:
    row = next((line for line in page("recipes.md").splitlines() if line.startswith(f"| `{recipe.stem}` |")), "")
    assert row, "no row of docs/recipes.md names it"
    text = page(re.findall(r"\((methods/\w+\.md)\)", row)[0])
    wanted = ["The idea", "The recipe", "Equation", "Where we differ", "What we measured"]
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert [word for word in wanted if not any(word in line for line in headings)] == []
