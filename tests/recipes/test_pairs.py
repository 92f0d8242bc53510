"""Options that are pairs of names: read, checked, and given to the plugin as tuples."""

from __future__ import annotations

from typing import Any

import pytest

from seqaug.builtin.objectives.nt_xent import NtXent
from seqaug.errors import RecipeError
from seqaug.recipes.load import load_recipe
from seqaug.recipes.options import describe_options, read_signature
from seqaug.recipes.plan import Patch, Plan, make_plan, plan_from

PATH = "objectives.contrast.also"


def planned(value: Any) -> Plan:
    return make_plan(load_recipe("duorec"), data=None, patches=[Patch(PATH, value, "-s")])


def test_pairs_are_an_option_of_their_own_kind() -> None:
    assert read_signature(NtXent).options["also"].kind == "pairs"
    described = {one.name: one for one in describe_options(NtXent)}["also"]
    assert (described.type, described.default) == ("list of pairs of view names", "[]")


def test_a_plan_holds_pairs_as_lists_and_the_plugin_gets_tuples() -> None:
    plan = planned([["clean", "again.again"], ["clean", "same.other"]])
    assert plan.values["objectives"]["contrast"]["also"] == [["clean", "again.again"], ["clean", "same.other"]]
    assert plan.objectives["contrast"].chosen.values["also"] == (("clean", "again.again"), ("clean", "same.other"))
    assert plan.origins[PATH] == "-s"
    assert plan_from(plan.values) == plan


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("clean", "is 'clean'; it should be a list of pairs of names"),
        (["clean", "again.again"], "holds 'clean'; it should hold pairs of names"),
        ([["clean"]], r"holds \['clean'\]; it should hold pairs of names"),
        ([["clean", 3]], "is 3; it should be a name"),
        ([["clean", "again.agian"]], "no augmenter makes a view 'again.agian'. Did you mean 'again.again'"),
    ],
)
def test_what_is_no_pair_of_views_is_refused_in_words(value: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=f"{PATH}: .*{said}"):
        planned(value)
