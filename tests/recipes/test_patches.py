"""Patches: who wins, what a plugin's table keeps, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.errors import RecipeError
from seqaug.recipes.patches import Patch, Patched, parse_path, parse_plugin_flag, parse_set

TABLE: dict[str, Any] = {
    "data": {"max_length": 50},
    "diffusions": {"main": {"noise": {"use": "similarity", "k": 30, "metric": "cosine"}, "schedule": "linear"}},
    "objectives": {"contrast": {"use": "info_nce", "weight": 0.1, "temperature": 0.05}},
    "stages": [{"name": "main", "updates": [{"weights": {"contrast": 1.0}}]}],
    "handles": {"noise": "diffusions.main.noise", "loss": "objectives.contrast"},
}


def patched(*patches: tuple[str, Any]) -> Patched:
    made = Patched("small", TABLE)
    for number, (path, value) in enumerate(patches):
        made.put(Patch(path, value, f"patch {number}"))
    return made


def noise(made: Patched) -> Any:
    return made.table["diffusions"]["main"]["noise"]


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("objectives.contrast.weight=0.2", "objectives.contrast.weight", 0.2),
        ("training.learning_rate=1e-3", "training.learning_rate", 0.001),
        ("a.b=true", "a.b", True),
        ("a.b=cosine", "a.b", "cosine"),
        ('a.b="3"', "a.b", "3"),
        ("a.b=[]", "a.b", []),
        ('a.b={use="rank", rank=2}', "a.b", {"use": "rank", "rank": 2}),
        ("a.b=x=y", "a.b", "x=y"),
        ("a.b=2024-01-01", "a.b", "2024-01-01"),
        ("a.b=", "a.b", ""),
        (" a.b = 3 ", "a.b", 3),
        ("a.b=1\nc = 2", "a.b", "1\nc = 2"),
    ],
)
def test_a_setting_is_read_as_toml_and_else_as_a_string(text: str, path: str, value: object) -> None:
    assert parse_set(text) == (path, value)


@pytest.mark.parametrize("text", ["nothing", "=3", "a..b=1", "a b=1", "a\nb=1"])
def test_a_setting_without_a_path_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_set(text)


@given(st.lists(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), min_size=1, max_size=5))
def test_a_path_is_its_keys(keys: list[str]) -> None:
    assert parse_path(".".join(keys)) == tuple(keys)


@given(st.one_of(st.integers(-(10**12), 10**12), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)))
def test_any_number_survives_the_command_line(value: object) -> None:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    assert parse_set(f"a={text}") == ("a", value)


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("similarity", {"use": "similarity"}),
        ("similarity:k=30,metric=cosine", {"use": "similarity", "k": 30, "metric": "cosine"}),
        ('edits:operators=["crop","mask"],crop=0.5', {"use": "edits", "operators": ["crop", "mask"], "crop": 0.5}),
        ("seqaug-pink/pink", {"use": "seqaug-pink/pink"}),
        ('mixture:first={use="pink",scale=2},share=1', {"use": "mixture", "first": {"use": "pink", "scale": 2}, "share": 1}),
        ("plain:", {"use": "plain"}),
    ],
)  # fmt: skip
def test_a_flag_names_a_plugin_and_its_options(text: str, table: dict[str, Any]) -> None:
    assert parse_plugin_flag(text) == table


@pytest.mark.parametrize("text", ["", ":k=3", "similarity:k", "similarity:=3"])
def test_a_flag_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_plugin_flag(text)


def test_a_later_patch_wins_and_is_who_set_it() -> None:
    made = patched(("data.max_length", 20), ("data.max_length", 30))
    assert made.table["data"]["max_length"] == 30
    assert made.origin(("data", "max_length")) == "patch 1"
    assert made.origin(("objectives", "contrast", "weight")) == "recipe"


def test_the_recipe_itself_is_not_changed() -> None:
    patched(("noise", {"use": "gaussian"}), ("data.max_length", 3))
    assert TABLE["data"]["max_length"] == 50
    assert TABLE["diffusions"]["main"]["noise"]["use"] == "similarity"


@pytest.mark.parametrize("value", [{"use": "similarity", "k": 5}, {"k": 5}])
def test_naming_the_plugin_in_place_keeps_its_options(value: dict[str, Any]) -> None:
    made = patched(("noise", value))
    assert noise(made) == {"use": "similarity", "k": 5, "metric": "cosine"}
    assert made.origin(("diffusions", "main", "noise", "k")) == "patch 0"
    assert made.origin(("diffusions", "main", "noise", "metric")) == "recipe"


@pytest.mark.parametrize("value", ["similarity", {"use": "similarity"}])
def test_naming_the_plugin_in_place_and_nothing_else_changes_nothing(value: object) -> None:
    assert noise(patched(("diffusions.main.noise", value))) == TABLE["diffusions"]["main"]["noise"]


@pytest.mark.parametrize("value", ["gaussian", {"use": "gaussian"}])
def test_another_plugin_replaces_the_table_whole(value: object) -> None:
    made = patched(("noise.k", 4), ("noise", value))
    assert noise(made) == {"use": "gaussian"}
    assert made.origin(("diffusions", "main", "noise", "use")) == "patch 1"


def test_a_use_at_the_end_of_a_path_names_a_plugin_too() -> None:
    assert noise(patched(("noise.use", "gaussian"))) == {"use": "gaussian"}
    assert noise(patched(("noise.use", "similarity")))["k"] == 30


def test_one_spelling_of_a_distribution_is_as_good_as_another() -> None:
    made = patched(("noise", {"use": "Seqaug_Pink/pink", "k": 7}), ("noise", "seqaug-pink/pink"))
    assert noise(made)["k"] == 7


def test_weight_and_first_epoch_stay_when_an_objective_is_exchanged() -> None:
    made = patched(("objectives.contrast.weight", 0.4), ("loss", {"use": "nt_xent", "from_epoch": 2}))
    assert made.table["objectives"]["contrast"] == {"use": "nt_xent", "weight": 0.4, "from_epoch": 2}
    assert made.origin(("objectives", "contrast", "weight")) == "patch 0"
    assert made.origin(("objectives", "contrast", "use")) == "patch 1"


def test_nested_tables_and_quoted_paths_are_the_same_patch() -> None:
    nested = patched(("objectives", {"contrast": {"weight": 0.4, "temperature": 1.0}}))
    quoted = patched(("objectives.contrast", {"weight": 0.4}), ("objectives.contrast.temperature", 1.0))
    dotted = patched(("objectives", {"contrast.weight": 0.4, "contrast.temperature": 1.0}))
    assert nested.table == quoted.table == dotted.table


def test_a_plugin_named_by_a_string_has_options_too() -> None:
    made = patched(("diffusions.main.schedule.steps", 10))
    assert made.table["diffusions"]["main"]["schedule"] == {"use": "linear", "steps": 10}
    assert made.origin(("diffusions", "main", "schedule", "use")) == "recipe"


def test_lists_are_reached_by_number() -> None:
    made = patched(("stages.0.updates.0.weights.contrast", 0.3))
    assert made.table["stages"][0]["updates"][0]["weights"] == {"contrast": 0.3}


def test_a_new_part_comes_with_its_plugin() -> None:
    made = patched(("objectives.extra", {"use": "denoising", "view": "clean"}), ("objectives.extra.weight", 2.0))
    assert made.table["objectives"]["extra"] == {"use": "denoising", "view": "clean", "weight": 2.0}
    assert not made.problems


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("nose", "gaussian", "has no handle 'nose'. Did you mean 'noise'? Its handles: noise, loss"),
        ("objectves.contrast.weight", 1, "no part 'objectves'. Did you mean 'objectives'?"),
        ("handles.noise", "x", "no part 'handles'"),
        ("variants.beauty.x", 1, "no part 'variants'"),
        ("objectives.contrst.weight", 1, "no 'contrst' in objectives. Did you mean 'contrast'?"),
        ("objectives.extra", 3, "a new part needs a table with `use`"),
        ("data.max_length.x", 3, "data.max_length is 50, which has nothing inside"),
        ("stages.1.name", "x", "no '1' in stages"),
        ("not a path", 3, "is not a path"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused_and_says_who_wanted_it(path: str, value: object, says: str) -> None:
    made = patched((path, value))
    (problem,) = made.problems
    assert says in problem
    assert problem.endswith("(set by patch 0)")
