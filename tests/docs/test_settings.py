"""What a method page says to type in order to have something else is accepted by the recipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from docs.pages import ROOT

METHODS = sorted((ROOT / "docs" / "methods").glob("*.md"))


def settings(page: Path) -> list[tuple[str, str]]:
    """The pieces of code in the second column of the table `to have | say`, each with its recipe.

    A page of several recipes begins the code with the recipe's name.
    """
    rows = page.read_text(encoding="utf-8").split("| to have | say |\n")[1].split("\n\n")[0].splitlines()[1:]
    found = [found for row in rows for found in re.findall(r"`(?:(\w+) )?(-[^`]*)`", row)]
    return [(recipe or page.stem, code) for recipe, code in found]


CASES = [case for page in METHODS for case in settings(page)]


@pytest.mark.parametrize(("recipe", "setting"), CASES, ids=[f"{recipe} {setting}" for recipe, setting in CASES])
def test_a_setting_on_a_method_page_plans(recipe: str, setting: str) -> None:
    from seqaug.cli.options import patches
    from seqaug.cli.run import run
    from seqaug.recipes.load import load_recipe
    from seqaug.recipes.plan import make_plan

    given = run.make_context("run", [recipe, *shlex.split(setting)])
    changes = patches(given.params, {})
    assert changes, f"{setting} changes nothing"
    changed = make_plan(load_recipe(recipe), data=None, patches=changes).values
    assert changed != make_plan(load_recipe(recipe), data=None).values, f"{setting} is what {recipe} has anyway"


def test_every_method_page_has_settings() -> None:
    assert all(settings(page) for page in METHODS)
