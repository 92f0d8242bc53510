"""What the rehearsal lets through, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from seqaug.api import Evidence, ItemTable, Step, noise_sources, objectives, position_selectors
from seqaug.errors import RecipeError
from seqaug.experiments.rehearse import rehearse
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Patch, Plan, make_plan


def planned(recipe: str = "simdiffrec", data: str | None = None, **values: Any) -> Plan:
    small = {"data.max_length": 6, "items.dim": 8} | ({"diffusions.main.schedule.steps": 5} if recipe == "simdiffrec" else {})
    changes = small | {path.replace("__", "."): value for path, value in values.items()}
    return make_plan(load_recipe(recipe), data=data, patches=[Patch(path, value, "-s") for path, value in changes.items()])


def problems(plan: Plan) -> list[str]:
    with pytest.raises(RecipeError) as refusal:
        rehearse(plan)
    return list(refusal.value.problems)


@pytest.fixture(scope="module", autouse=True)
def plugins() -> Iterator[None]:
    """Plugins that only a step can show to be wrong."""

    @noise_sources.register("test_nan")
    class NotANumber:
        """NaN everywhere."""

        def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
            return clean * float("nan")

    @noise_sources.register("test_narrow")
    class Narrow:
        """A column too few."""

        def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
            return clean[:, 1:]

    @position_selectors.register("test_crash")
    class Crash:
        """Divides by nothing."""

        def select(self, evidence: Evidence, generator: Generator) -> Tensor:
            raise ZeroDivisionError("nothing to divide by")

    @objectives.register("test_vector")
    class Vector:
        """Two numbers where one is asked for."""

        def __call__(self, step: Step, /) -> Tensor:
            return torch.zeros(2)

    @objectives.register("test_constant")
    class Constant:
        """Depends on nothing."""

        def __call__(self, step: Step, /) -> Tensor:
            return torch.zeros(())

    yield
    for registry, names in (
        (noise_sources, ("test_nan", "test_narrow")),
        (position_selectors, ("test_crash",)),
        (objectives, ("test_vector", "test_constant")),
    ):
        for name in names:
            del registry._marked[name]


@pytest.mark.parametrize("recipe", recipe_names())
def test_every_recipe_in_the_box_rehearses(recipe: str) -> None:
    plan = make_plan(load_recipe(recipe), data=None)
    found = rehearse(plan)
    assert bool(found.terms) == bool(plan.objectives)
    assert found.parameters["items"] == 302 * plan.items.dim + 300 * plan.items.bias


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_precisions_rehearse(precision: Any) -> None:
    assert rehearse(planned(), precision=precision).terms.keys() == {
        f"main.0.{name}" for name in ("recommendation", "contrast", "denoising")
    }


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    rehearse(planned())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_rehearsal_is_the_same_twice() -> None:
    assert rehearse(planned()).terms == rehearse(planned()).terms


def test_a_term_that_starts_later_is_rehearsed_now() -> None:
    found = problems(
        planned(noise={"use": "test_narrow"}, objectives__contrast__from_epoch=99, objectives__denoising__weight=0)
    )
    assert all(problem.startswith("diffusions.main") for problem in found)


def test_a_term_of_no_weight_is_not_rehearsed() -> None:
    plan = planned(noise={"use": "test_nan"}, objectives__contrast__weight=0, objectives__denoising__weight=0)
    plan_without = make_plan(
        load_recipe("simdiffrec"),
        data=None,
        patches=[
            Patch("noise", {"use": "test_nan"}, "-s"),
            Patch("objectives.contrast.weight", 0, "-s"),
            Patch("objectives.denoising.weight", 0, "-s"),
            Patch("stages", [{"name": "main", "updates": [{"moves": ["items", "encoders.main"]}]}], "-s"),
        ],
    )
    assert rehearse(plan_without).terms.keys() == {"main.0.recommendation"}
    assert plan.objectives["contrast"].share.weight == 0


def test_numbers_that_are_none_are_found_with_the_path_of_the_term() -> None:
    found = problems(planned(noise={"use": "test_nan"}))
    assert any("objectives.denoising" in problem or "objectives.contrast" in problem for problem in found), found


def test_a_wrong_shape_is_found_with_the_path_of_the_plugin_around_it() -> None:
    found = problems(planned(noise={"use": "test_narrow"}))
    assert any("diffusions.main" in problem or "augmenters.diffused" in problem for problem in found), found


def test_a_plugin_that_raises_is_named_with_its_place() -> None:
    found = problems(planned(positions={"use": "test_crash"}))
    assert len(found) >= 1
    assert found[0].startswith("augmenters.diffused.replace: ZeroDivisionError: nothing to divide by (at test_rehearse.py:")


def test_an_objective_of_another_shape_is_named() -> None:
    (found,) = problems(planned("sasrec", loss={"use": "test_vector"}))
    assert found.startswith("objectives.recommendation: an objective returns one number")
    assert found.endswith("this one returned a tensor of shape (2,).")


def test_terms_that_move_nothing_are_found() -> None:
    assert problems(planned("sasrec", loss={"use": "test_constant"}))[0].startswith(
        "stages.main.updates.0: none of its terms depends on"
    )


def test_a_part_that_no_gradient_reaches_is_named() -> None:
    found = problems(planned("sasrec", encoders__spare={"use": "transformer"}))
    assert len(found) == 1 and found[0].startswith("encoders.spare: no gradient reaches this part, although stages.main")


def test_every_problem_is_told_at_once() -> None:
    found = problems(planned("cl4srec", loss={"use": "test_vector"}, objectives__contrast={"use": "test_vector"}))
    assert [problem.partition(":")[0] for problem in found] == ["objectives.recommendation", "objectives.contrast"]


def test_a_part_whose_terms_all_have_weight_zero_may_rest() -> None:
    rehearse(planned(objectives__contrast__weight=0, objectives__denoising__weight=0))


def test_likewise_in_a_stage_that_names_no_parts() -> None:
    rehearse(planned("ecl_sr", objectives__generator__weight=0, objectives__discriminator__weight=0))
