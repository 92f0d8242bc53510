"""What several runs differ in, read from the command line and made to a recipe."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqaug.errors import RecipeError
from seqaug.experiments.choices import applied, combinations, parse_axes, parse_axis, short_names
from seqaug.recipes.load import load_recipe
from seqaug.recipes.patches import Patch
from seqaug.recipes.plan import make_plan

SIMDIFFREC = load_recipe("simdiffrec")

words = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
values = st.one_of(
    st.integers(-99, 99), st.booleans(), st.floats(0.001, 99, allow_nan=False).map(lambda x: round(x, 3)),
    st.lists(st.integers(0, 9), max_size=3), words.filter(lambda word: word not in ("true", "false", "inf", "nan")),
)  # fmt: skip
plugins = st.tuples(words, st.dictionaries(words.filter(lambda word: word != "use"), values, max_size=3))


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


@given(st.lists(plugins, min_size=1, max_size=4, unique_by=str))
def test_plugins_with_options_are_told_apart_whatever_they_are(listed: list[tuple[str, dict[str, Any]]]) -> None:
    texts = [
        name + (":" if options else "") + ",".join(f"{key}={written(value)}" for key, value in options.items())
        for name, options in listed
    ]
    axis = parse_axis(SIMDIFFREC, f"noise={','.join(texts)}", "--axis")
    assert [choice.text for choice in axis.choices] == texts
    assert [choice.patch.value for choice in axis.choices] == [{"use": name, **options} for name, options in listed]
    assert {choice.patch.path for choice in axis.choices} == {"noise"}


@given(st.lists(values, min_size=1, max_size=4, unique_by=written))
def test_values_are_read_as_by_set_where_the_recipe_has_no_plugin(listed: list[Any]) -> None:
    axis = parse_axis(SIMDIFFREC, f"training.learning_rate={','.join(map(written, listed))}", "--grid")
    assert [choice.patch.value for choice in axis.choices] == listed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("noise", "PLACE=CHOICE,CHOICE"),
        ("noise=", "a choice is missing"),
        ("noise=gaussian,,similarity", "a choice is missing"),
        ("=gaussian", "PLACE=CHOICE,CHOICE"),
        ("noise=gaussian,gaussian", "gaussian is there twice"),
        ("noise=similarity,k=10", "k=10 is an option of no plugin. Options follow a colon: similarity:k=10"),
        ("no is=gaussian", "is not a path"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=r"--axis|not a path") as caught:
        parse_axis(SIMDIFFREC, text, "--axis")
    assert said in str(caught.value)


def test_a_place_has_one_axis_and_all_problems_come_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        parse_axes(SIMDIFFREC, ["noise=gaussian", "noise=similarity", "positions"], "--axis")
    assert len(caught.value.problems) == 2 and "has an axis already" in caught.value.problems[0]


def test_combinations_move_the_last_axis_fastest_and_are_named_by_the_end_of_their_paths() -> None:
    axes = parse_axes(SIMDIFFREC, ["noise=similarity,gaussian", "objectives.contrast.weight=0.1,0.2"], "--grid")
    assert [name for name, _ in combinations(axes)] == [
        "noise=similarity, weight=0.1", "noise=similarity, weight=0.2",
        "noise=gaussian, weight=0.1", "noise=gaussian, weight=0.2",
    ]  # fmt: skip
    assert short_names(["objectives.contrast.weight", "objectives.denoising.weight", "items.dim"]) == [
        "contrast.weight",
        "denoising.weight",
        "dim",
    ]


def planned(asked: list[Patch], changes: list[Patch]) -> tuple[dict[str, Any], tuple[str, ...]]:
    patches, notes = applied(SIMDIFFREC, asked, changes)
    return make_plan(SIMDIFFREC, data=None, patches=patches).values, notes


def test_a_change_comes_after_what_was_asked_for() -> None:
    values, notes = planned([Patch("noise", {"use": "similarity", "k": 3}, "flag --noise")], [Patch("noise", "gaussian", "x")])
    assert values["diffusions"]["main"]["noise"]["use"] == "gaussian" and notes == ()


def test_what_was_asked_for_inside_a_plugin_is_asked_of_the_one_in_its_place_too() -> None:
    asked = [Patch("augmenters.diffused.replace.ratio", 0.4, "-s"), Patch("items.dim", 32, "-s")]
    values, notes = planned(asked, [Patch("positions", {"use": "random", "ratio": 0.2}, "ablation w/o c_aug")])
    assert values["augmenters"]["diffused"]["replace"]["use"] == "random"
    assert values["augmenters"]["diffused"]["replace"]["ratio"] == 0.4 and values["items"]["dim"] == 32 and notes == ()


def test_what_the_plugin_in_its_place_does_not_have_is_left_out_and_said() -> None:
    values, notes = planned([Patch("diffusions.main.noise.k", 3, "-s")], [Patch("noise", {"use": "gaussian"}, "ablation x")])
    assert values["diffusions"]["main"]["noise"]["use"] == "gaussian" and "k" not in values["diffusions"]["main"]["noise"]
    assert notes == ("diffusions.main.noise.k (set by -s) is left out: the plugin there has no such option.",)


def test_a_change_of_the_very_place_wins_over_what_was_asked_for_there() -> None:
    place = "objectives.contrast.negatives"
    values, _ = planned([Patch(place, ["diffused.negative"], "-s")], [Patch(place, [], "ablation w/o k_sample")])
    assert values["objectives"]["contrast"]["negatives"] == []
