"""Every place of every recipe with every other plugin of its kind: it rehearses, or it is refused in words before training."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from seqaug.experiments.rehearse import rehearse
from seqaug.recipes.load import load_recipe, recipe_names

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    """docs/write_cross_breeds.py, which tries the pairs."""
    name = "write_cross_breeds"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
        assert spec is not None and spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def page() -> str:
    return (ROOT / "docs" / "cross-breeds.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_pair_rehearses_or_is_refused_in_words_as_the_page_says(recipe: str) -> None:
    """A pair that fails in any other way has crashed: then the rehearsal says in which line of which file."""
    for pair in script().pairs(recipe):
        for problem in pair.problems:
            assert re.match(r"[a-z]+(\.[\w-]+)*: ", problem), f"no place: {pair.path}, {pair.plugin}: {problem}"
            assert "on the toy world)" not in problem, f"a crash: {pair.path}, {pair.plugin}: {problem}"
    stale = "docs/cross-breeds.md is stale: python docs/write_cross_breeds.py"
    assert script().row(recipe) in page().splitlines(), stale
    found = page().split(f"\n## {recipe}\n")[1].split("\n## ")[0].strip()
    assert found == script().section(recipe).removeprefix(f"## {recipe}\n").strip(), stale


def test_the_page_has_every_recipe_and_no_other() -> None:
    head, *sections = re.split(r"\n## ", page())
    assert [one.partition("\n")[0] for one in sections] == recipe_names()
    assert head.startswith(script().HEAD)
    assert re.findall(r"^\| `(\w+)` \|", head, re.MULTILINE) == recipe_names()


EDITS = {"use": "random_edits"}
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    ("cadirec", {"noise": {"use": "similarity", "k": 5}}),
    ("cadirec", {"positions": {"use": "confidence"}}),
    ("sasrec", {"loss": {"use": "next_item_bce", "negatives": {"use": "rank", "rank": 2}}}),
    (
        "simdiffrec",
        {
            "augmenters.diffused": EDITS,
            "objectives.contrast.positive": "diffused.first",
            "objectives.contrast.negatives": ["diffused.second"],
            "objectives.denoising.view": "diffused.first",
            "objectives.denoising.weight": 0,
        },
    ),
    ("dreamrec", {"encoder": "gru"}),
    (
        "cl4srec",
        {"augmenter": "same_target", "objectives.contrast.first": "clean", "objectives.contrast.second": "edited.other"},
    ),
]


@pytest.mark.parametrize(("recipe", "values"), EXAMPLES, ids=[f"{recipe} {'; '.join(values)}" for recipe, values in EXAMPLES])
def test_an_idea_of_one_paper_stands_in_the_recipe_of_another(recipe: str, values: dict[str, Any]) -> None:
    plan = script().planned(recipe, **values)
    changed = {used.path: used.info.name for used in plan.plugins()}
    assert changed != {used.path: used.info.name for used in script().planned(recipe).plugins()}
    assert rehearse(plan).terms


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if "encoders" in load_recipe(name).table])
def test_every_encoder_of_a_recipe_may_be_a_gru(recipe: str) -> None:
    for name in load_recipe(recipe).table["encoders"]:
        assert rehearse(script().planned(recipe, **{f"encoders.{name}": "gru"})).terms
