"""From a plan to an assembly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seqaug.api import Layout, PositionSelector, Recommender, Schedule
from seqaug.core.assembly import Assembly
from seqaug.errors import PluginError, RecipeError
from seqaug.recipes.assemble import assemble
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, Plan, make_plan

from .conftest import SMALL

Planner = Callable[..., Plan]
Mark = Callable[[str, str, type], None]
ITEMS = 40


def made(recipe: str | Plan, *patches: tuple[str, Any], seed: int = 0) -> Assembly:
    plan = recipe
    if isinstance(plan, str):
        plan = make_plan(load_recipe(plan), data=None, patches=[Patch(path, value, "-s") for path, value in patches])
    return assemble(plan, num_items=ITEMS, popularity=torch.ones(ITEMS + 1), seed=seed, device="cpu")


def weights(assembly: Assembly, start: str = "") -> dict[str, Tensor]:
    return {name: value for name, value in assembly.model.state_dict().items() if name.startswith(start)}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_every_plugin_has_the_slot_of_its_path() -> None:
    assembly = made("simdiffrec")
    assert assembly.plugins["diffusions.main.noise"] is assembly.model.diffusion("main").noise
    assert assembly.slots[id(assembly.model.diffusion("main").denoiser)] == "diffusions.main.denoiser"
    assert assembly.slots[id(assembly.augmenters["diffused"])] == "augmenters.diffused"
    assert assembly.slots[id(assembly.scorer)] == "scorer"
    assert len(assembly.slots) == len(assembly.plugins) == 14


def test_the_parts_are_there_under_their_names() -> None:
    assert list(made("simdiffrec").model.parts()) == ["items", "encoders.main", "diffusions.main"]


def test_one_seed_gives_the_same_weights_twice_and_another_seed_others() -> None:
    assert same(weights(made("simdiffrec")), weights(made("simdiffrec")))
    assert not same(weights(made("simdiffrec")), weights(made("simdiffrec", seed=1)))


def test_making_an_assembly_draws_nothing_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    made("simdiffrec")
    assert torch.equal(torch.get_rng_state(), before)


def test_items_and_encoder_start_alike_with_and_without_augmentation() -> None:
    both = made("sasrec"), made("simdiffrec", ("objectives.contrast.weight", 0), ("objectives.denoising.weight", 0))
    for start in ("items.", "encoders."):
        assert weights(both[0], start)
        assert same(weights(both[0], start), weights(both[1], start))


@pytest.mark.parametrize(
    ("path", "value", "changed"),
    [("denoiser", "mlp", "diffusions.main.denoiser"), ("time_embedding", "sinusoidal", "diffusions.main.times")],
)
def test_exchanging_one_plugin_changes_no_weight_elsewhere(path: str, value: str, changed: str) -> None:
    first, second = weights(made("simdiffrec")), weights(made("simdiffrec", (f"diffusions.main.{path}", value)))
    rest = [{name: one for name, one in found.items() if not name.startswith(changed)} for found in (first, second)]
    assert same(*rest)
    assert len(rest[0]) > 20


def test_objectives_of_weight_0_are_left_out() -> None:
    assembly = made("simdiffrec", ("objectives.contrast.weight", 0), ("objectives.denoising.from_epoch", 3))
    (stage,) = assembly.stages
    (update,) = stage.updates
    assert [(term.name, term.weight, term.from_epoch) for term in update.terms] == [
        ("recommendation", 1.0, 0),
        ("denoising", 0.1, 3),
    ]


def test_updates_weigh_and_move_what_the_recipe_says(plan: Planner) -> None:
    text = (
        SMALL
        + """
[encoders.second]
use = "gru"
[[stages]]
name = "turns"
epochs = 2
[[stages.updates]]
moves = ["items", "encoders.main"]
[[stages.updates]]
moves = ["encoders.second"]
weights = { recommendation = 2.0 }
"""
    )
    (stage,) = made(plan(text)).stages
    assert (stage.name, stage.epochs) == ("turns", 2)
    assert [update.moves for update in stage.updates] == [("items", "encoders.main"), ("encoders.second",)]
    assert [update.terms[0].weight for update in stage.updates] == [0.5, 2.0]
    assert stage.updates[0].terms[0].objective is stage.updates[1].terms[0].objective


def test_what_an_encoder_refuses_is_told_with_its_path() -> None:
    with pytest.raises(RecipeError) as caught:
        made("sasrec", ("encoders.main.heads", 5))
    (problem,) = caught.value.problems
    assert problem.startswith("encoders.main: 5 heads do not divide")


def test_a_denoiser_that_shares_an_encoder_is_bound_to_it() -> None:
    assembly = made("simdiffrec", ("diffusions.main.denoiser", "shared"))
    layout = Layout.of([3])
    diffusion = assembly.model.diffusion("main")
    restored = diffusion.restore(torch.zeros(3, 64), torch.tensor([1]), layout)
    assert restored.shape == (3, 64)
    assert not [name for name in weights(assembly, "diffusions.main.denoiser") if "blocks" in name]


class Counting(nn.Module):
    """Knows what the assembly gives, and is bound to the model once."""

    predicts = "clean"

    def __init__(self, num_items: int, steps: int, dim: int, max_length: int, /, *, factor: int = 1) -> None:
        super().__init__()
        self.seen = (num_items, steps, dim, max_length)
        self.bound: list[int] = []

    def bind(self, model: Recommender) -> None:
        self.bound.append(len(model.parts()))

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        return noised


def test_the_assembly_gives_what_a_constructor_asks_for_by_name(mark: Mark) -> None:
    mark("denoisers", "counting", Counting)
    steps = ("diffusions.main.schedule.steps", 20)
    assembly = made("simdiffrec", ("diffusions.main.denoiser", "counting"), steps, ("items.dim", 32), ("data.max_length", 7))
    denoiser = assembly.plugins["diffusions.main.denoiser"]
    assert isinstance(denoiser, Counting)
    assert denoiser.seen == (ITEMS, 20, 32, 7)
    assert denoiser.bound == [3]


def test_what_a_plugin_refuses_once_it_sees_the_model_is_told_with_its_path(plan: Planner) -> None:
    shared = ("diffusions.main.denoiser", "shared")
    with pytest.raises(RecipeError, match=r"^diffusions.main.denoiser: the denoiser 'shared' borrows transformer blocks"):
        made("simdiffrec", shared, ("encoders.main", "gru"))


class NotAModule:
    def __call__(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return embedded


def test_a_part_that_is_no_module_is_refused(plan: Planner, mark: Mark) -> None:
    mark("encoders", "plain", NotAModule)
    with pytest.raises(PluginError, match=r"encoders.main: plain .* has to be an nn.Module"):
        made(plan(SMALL, ("encoder", "plain")))


def test_two_encoders_of_one_kind_do_not_start_alike_and_neither_changes_the_other(plan: Planner) -> None:
    alone = weights(made(plan(SMALL)), "encoders.main.")
    both = made(plan(SMALL + '[encoders.second]\nuse = "gru"\n'))
    assert same(alone, weights(both, "encoders.main."))
    second = {name.replace("second", "main"): value for name, value in weights(both, "encoders.second.").items()}
    assert second.keys() == alone.keys()
    assert not same(alone, second)


class Stepwise:
    def __init__(self, steps: int, /) -> None:
        self.steps = steps

    def select(self, evidence: object, generator: object) -> object: ...


class Scheduled:
    view_names: tuple[str, ...] = ()

    def __init__(self, *, selector: PositionSelector, schedule: Schedule) -> None:
        self.selector, self.schedule = selector, schedule

    def views(self, step: object) -> tuple[()]:
        return ()


def test_a_schedule_tells_its_steps_to_the_plugins_beside_it_wherever_it_stands(plan: Planner, mark: Mark) -> None:
    mark("position_selectors", "stepwise", Stepwise)
    mark("augmenters", "scheduled", Scheduled)
    text = SMALL + '[augmenters.a]\nuse = "scheduled"\nselector = "stepwise"\nschedule = { use = "convex", steps = 7 }\n'
    selector = made(plan(text)).plugins["augmenters.a.selector"]
    assert isinstance(selector, Stepwise)
    assert selector.steps == 7


class Spanned(nn.Module):
    """Asks how long the diffused span is."""

    predicts = "clean"

    def __init__(self, span: int, max_length: int, /) -> None:
        super().__init__()
        self.seen = (span, max_length)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        return noised


def test_a_diffusion_tells_its_span_to_the_plugins_inside_it_and_only_to_them(mark: Mark) -> None:
    mark("denoisers", "spanned", Spanned)
    assembly = made("simdiffrec", ("diffusions.main.denoiser", "spanned"), ("diffusions.main.span", 10))
    denoiser = assembly.plugins["diffusions.main.denoiser"]
    assert isinstance(denoiser, Spanned)
    assert denoiser.seen == (10, 10)
    assert assembly.model.max_length == assembly.model.diffusion("main").max_length == 50


def test_a_span_is_refused_in_words_where_the_diffusion_has_none(mark: Mark) -> None:
    mark("denoisers", "spanned", Spanned)
    with pytest.raises(RecipeError, match=r"denoiser: needs `span`, which only stands inside a diffusion that"):
        made("simdiffrec", ("diffusions.main.denoiser", "spanned"))
