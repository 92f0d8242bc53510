"""The recipes in the box."""

from __future__ import annotations

import re
from typing import Any

import pytest

from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import make_plan, plan_from

DATA_SETS = ["beauty", "toys", "sports", "yelp", "ml-1m", "ml-1m-5core", "movietweetings"]


def cases() -> list[tuple[str, str | None, str | None]]:
    found: list[tuple[str, str | None, str | None]] = []
    for name in recipe_names():
        table = load_recipe(name).table
        found += [(name, data, None) for data in [None, *table.get("variants", {})]]
        found += [(name, None, ablation) for ablation in table.get("ablations", {})]
    return found


@pytest.mark.parametrize(("recipe", "data", "ablation"), cases())
def test_every_recipe_plans_with_every_variant_and_ablation(recipe: str, data: str | None, ablation: str | None) -> None:
    plan = make_plan(load_recipe(recipe), data=data, ablation=ablation)
    assert plan_from(plan.values) == plan


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_value_says_where_it_comes_from(recipe: str) -> None:
    bare, section = [], ""
    for number, line in enumerate(load_recipe(recipe).text.splitlines(), 1):
        if line.startswith("["):
            section = line
        is_value = re.match(r'[\w"][^=]*=', line) and not line.startswith(("name ", "paper "))
        if is_value and not section.startswith("[handles]") and "#" not in line:
            bare.append(f"{recipe}.toml:{number}: {line}")
    assert not bare, "\n".join(bare)


# Options whose default means that nothing more is wanted: no bound, no head, the only encoder, the values of its sibling.
UNSAID = {
    "anchor", "at_most", "attention_dropout", "chain_steps", "copies", "count", "detach_target", "diffusion", "encoder",
    "except_first", "freeze_items", "head", "null_condition", "predicts", "span", "start_noise", "view",
}  # fmt: skip


@pytest.mark.parametrize("recipe", ["simdiffrec", "sasrec"])
def test_every_choice_of_a_method_is_written_in_its_recipe(recipe: str) -> None:
    origins = make_plan(load_recipe(recipe), data=None).origins
    left = {path for path, origin in origins.items() if origin == "plugin default" and path.rpartition(".")[2] not in UNSAID}
    assert left <= {"objectives.denoising.positions", "objectives.denoising.average", "objectives.contrast.last"}


def shared(table: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return {key: table[key] for key in keys}


def test_the_baseline_shares_everything_but_the_augmentation() -> None:
    baseline, method = load_recipe("sasrec").table, load_recipe("simdiffrec").table
    keys = ["data", "items", "encoders", "training", "scorer"]
    assert shared(baseline, keys) == shared(method, keys)
    assert baseline["objectives"]["recommendation"] == method["objectives"]["recommendation"]


@pytest.mark.parametrize("data", DATA_SETS)
def test_the_baseline_has_the_variants_of_the_method_where_it_has_the_paths(data: str) -> None:
    both = [make_plan(load_recipe(recipe), data=data).values for recipe in ("sasrec", "simdiffrec")]
    keys = ["data", "items", "encoders", "training", "scorer"]
    assert shared(both[0], keys) == shared(both[1], keys)
    assert both[0]["objectives"]["recommendation"] == both[1]["objectives"]["recommendation"]


@pytest.mark.parametrize("data", DATA_SETS)
def test_the_method_has_a_variant_for_every_known_data_set(data: str) -> None:
    assert data in load_recipe("simdiffrec").table["variants"]


@pytest.mark.parametrize(
    ("data", "length", "dropout", "alpha", "beta"),
    [
        ("beauty", 50, 0.5, 0.4, 0.4),
        ("toys", 50, 0.5, 0.1, 0.1),
        ("sports", 50, 0.5, 0.1, 0.1),
        ("yelp", 50, 0.2, 0.1, 0.1),
        ("ml-1m", 200, 0.2, 0.1, 0.1),
        ("ml-1m-5core", 200, 0.2, 0.1, 0.1),
    ],
)
def test_the_values_per_data_set_are_those_of_the_specification(
    data: str, length: int, dropout: float, alpha: float, beta: float
) -> None:
    plan = make_plan(load_recipe("simdiffrec"), data=data)
    assert plan.data.max_length == length
    assert plan.values["encoders"]["main"]["dropout"] == dropout
    assert plan.values["diffusions"]["main"]["denoiser"]["dropout"] == dropout
    assert plan.objectives["contrast"].share.weight == alpha
    assert plan.objectives["denoising"].share.weight == beta


def test_the_ablations_take_out_one_idea_each() -> None:
    source = load_recipe("simdiffrec")
    full = make_plan(source, data="beauty").values

    def differing(ablation: str) -> set[str]:
        other = make_plan(source, data="beauty", ablation=ablation).values
        return set(_paths(full).items() ^ _paths(other).items()) and {
            path.rpartition(".")[0] for path, _ in _paths(full).items() ^ _paths(other).items()
        }

    assert differing("w/o k_noise") == {"diffusions.main.noise"}
    assert differing("w/o c_aug") == {"augmenters.diffused.replace"}
    assert differing("w/o k_sample") == {"objectives.contrast"}


def _paths(node: Any, start: str = "") -> dict[str, str]:
    if not isinstance(node, dict):
        return {start: repr(node)}
    return {path: value for key, inner in node.items() for path, value in _paths(inner, f"{start}.{key}".lstrip(".")).items()}
