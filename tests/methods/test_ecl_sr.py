"""ecl_sr end to end: what its specification says a correct implementation must show."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.test_recipes import built, compared, fitted, gradients, planned, step_of, weights
from seqaug.core.assembly import Assembly
from seqaug.core.step import Step
from seqaug.data.layout import Layout
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import make_plan

OFF = {f"objectives.{name}.weight": 0 for name in ("generator", "discriminator")}


@pytest.fixture(scope="module")
def world() -> Split:
    return leave_one_out(toy_world(num_users=250, num_items=100, max_length=12))


def reached(step: Step, name: str) -> set[str]:
    return {part for part, has in gradients(step, name).items() if has}


def test_each_term_reaches_what_it_should_and_nothing_else(world: Split) -> None:
    """Must show 3."""
    plan = planned("ecl_sr")
    assert reached(step_of(plan, world), "generator") == {"items", "encoders.generator"}
    assert reached(step_of(plan, world), "discriminator") == {"items", "encoders.main", "heads.critic"}
    assert reached(step_of(plan, world), "recommendation") == {"items", "encoders.main"}
    assert reached(step_of(plan, world), "contrast") == {"items", "encoders.main"}


def test_without_its_two_terms_the_generator_never_moves(world: Split) -> None:
    """Must show 3."""
    plan = planned("ecl_sr", **{"training.epochs": 2}, **OFF)
    before = weights(built(plan, world)[0])
    after = weights(fitted(plan, world)[0])
    resting = [name for name in before if name.startswith(("encoders.generator.", "heads.critic."))]
    assert resting and all(torch.equal(before[name], after[name]) for name in resting)
    assert not torch.equal(before["items.weight"], after["items.weight"])


def test_discriminator_and_encoder_are_one(world: Split) -> None:
    """Must show 4: the parameters are those of encoder, generator, item table and critic."""
    made, _ = built(planned("ecl_sr"), world)
    assert set(made.model.parts()) == {"items", "encoders.main", "encoders.generator", "heads.critic"}
    assert [tuple(p.shape) for p in made.model.heads["critic"].parameters()] == [(1, 32)]
    shapes = [[tuple(p.shape) for p in made.model.encoders[name].parameters()] for name in ("main", "generator")]
    assert shapes[0] == shapes[1]
    assert not {id(p) for p in made.model.encoders["main"].parameters()} & {
        id(p) for p in made.model.encoders["generator"].parameters()
    }


def test_without_its_extra_terms_it_is_sasrec_bit_for_bit(world: Split) -> None:
    """Must show 6; sasrec with the places counted from the end, as left padding does."""
    places = {"encoders.main.positions": "from_end"}
    compared("ecl_sr", {"objectives.contrast.weight": 0, **OFF}, world, **places)


def test_generator_and_infill_share_one_draw_and_one_pass(world: Split) -> None:
    step = step_of(planned("ecl_sr"), world)
    passes: list[tuple[str, Tensor]] = []
    for name, encoder in step.model.encoders.items():
        encoder.register_forward_hook(lambda _, inputs, __, name=name: passes.append((name, inputs[0])))
    for term in step.assembly.stages[0].updates[0].terms:
        term.objective(step)
    assert [name for name, _ in passes].count("generator") == 1
    assert [name for name, _ in passes].count("main") == 3  # clean, again, and the discriminator


def test_the_holes_are_the_share_that_the_authors_draw(world: Split) -> None:
    """Must show 1: floor(0.2 l + 1) holes, never the oldest item."""
    step = step_of(planned("ecl_sr"), world)
    layout, holes = step.batch.layout, step.view("holes.masked").edited
    found = [int(part.sum()) for part in holes.split(layout.counts)]
    assert found == [min(length // 5 + 1, length - 1) for length in layout.counts]
    assert not holes[layout.first()].any()
    filled = step.view("filled.infilled")
    assert torch.equal(filled.items[~holes], step.batch.items[~holes]) and not (filled.edited & ~holes).any()


def states(made: Assembly, items: list[int]) -> Tensor:
    made.model.eval()
    with torch.no_grad():
        return made.model.encode(made.model.items(torch.tensor(items)), Layout.of([len(items)]))


def test_the_encoder_is_causal(world: Split) -> None:
    """Must show 7; the discriminator's causality is in tests/builtin/test_reconstruction.py."""
    made, _ = built(planned("ecl_sr"), world)
    before, after = states(made, [1, 2, 3, 4, 5]), states(made, [1, 2, 3, 9, 5])
    assert torch.allclose(before[:3], after[:3], atol=1e-6)
    assert not torch.allclose(before[3:], after[3:], atol=1e-4)


def test_the_latest_state_does_not_depend_on_the_longest_history_allowed(world: Split) -> None:
    """Must show 7: places are counted from the end, and nothing stands in front."""
    made, _ = built(planned("ecl_sr"), world)
    longer, _ = built(planned("ecl_sr", **{"data.max_length": 20}), world)
    table = longer.model.encoders["main"].positions.table.weight  # type: ignore[union-attr]
    shared = {name: tensor for name, tensor in weights(made).items() if "positions" not in name}
    longer.model.load_state_dict(shared, strict=False)
    with torch.no_grad():
        table[:12] = made.model.encoders["main"].positions.table.weight  # type: ignore[index, union-attr]
    assert torch.allclose(states(made, [4, 7, 1])[-1], states(longer, [4, 7, 1])[-1], atol=1e-6)


def test_scores_do_not_need_generator_and_critic(world: Split) -> None:
    """Must show 8."""
    made, _ = built(planned("ecl_sr"), world)
    before = rank_held_out(made, world.test, seed=0).rank
    del made.model.encoders["generator"], made.model.heads["critic"]
    assert (rank_held_out(made, world.test, seed=0).rank == before).all()


def test_the_second_stage_goes_on_with_encoder_and_items_alone(world: Split) -> None:
    """Section 6: the state 'sr', from the best weights of the first."""
    plan = planned("ecl_sr", **{"training.epochs": 2, "stages.1.epochs": 2})
    made, reports = fitted(plan, world)
    assert [(report.stage, set(report.losses)) for report in reports] == [
        ("main", {"recommendation", "contrast", "generator", "discriminator"}),
        ("main", {"recommendation", "contrast", "generator", "discriminator"}),
        ("alone", {"recommendation", "contrast"}),
        ("alone", {"recommendation", "contrast"}),
    ]
    first = weights(fitted(planned("ecl_sr", **{"training.epochs": 2}), world)[0])
    both = weights(made)
    assert all(torch.equal(first[name], both[name]) for name in first if name.startswith(("encoders.generator", "heads")))
    assert any(not torch.equal(first[name], both[name]) for name in first if name.startswith("encoders.main"))


def test_by_default_there_is_one_stage(world: Split) -> None:
    """Section 6: with the authors' own files training ends at the first early stop."""
    assert [stage.name for stage in built(planned("ecl_sr"), world)[0].stages if stage.epochs] == ["main"]


@pytest.mark.parametrize("data", ["sports", "yelp", "ml-1m", "ml-1m-5core"])
def test_the_second_stage_has_the_contrast_of_the_first(data: str) -> None:
    main, alone = make_plan(load_recipe("ecl_sr"), data=data).stages
    assert main.updates[0].weights["contrast"] == alone.updates[0].weights["contrast"]
