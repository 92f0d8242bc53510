"""Every recipe on an accelerator that is not there: nothing makes the host wait, and the numbers are those of the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqaug.builtin.augmenters.random_edits import RandomEdits, _Draws
from seqaug.builtin.negative_samplers import InBatchItems, PopularItems, UniformItems
from seqaug.core.assembly import Assembly
from seqaug.core.blocks import Dropout
from seqaug.core.views import Evidence
from seqaug.data.layout import Layout
from seqaug.data.split import Histories, Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import SeqaugError
from seqaug.evaluation.metrics import METRICS
from seqaug.evaluation.ranking import Ranks, rank_held_out
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Patch, Plan, make_plan
from seqaug.testing.accelerator import DEVICE, Record, accelerator
from seqaug.training.fit import BatchReport, Fit
from seqaug.training.stages import Stages

CPU = torch.device("cpu")
BATCH = 48
TRAINED = [name for name in recipe_names() if make_plan(load_recipe(name), data="movietweetings").stages]
STAGES = [
    (name, stage.name)
    for name in TRAINED
    for stage in make_plan(load_recipe(name), data="movietweetings").stages
    if stage.epochs
]
DRAW_ON_THE_HOST = ("cl4srec", "mclrec")
"""They draw on the host how long their views will be, and the rest from a generator of the device that starts anew."""


OTHERS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("sasrec", "encoders.main", {"use": "gru"}),
    ("sasrec", "objectives.recommendation", {"use": "next_item_bce"}),
    ("sasrec", "objectives.recommendation", {"use": "next_item_bce", "negatives": {"use": "popularity", "exclude": "target"}}),
    ("sasrec", "objectives.recommendation", {"use": "next_item_gbce", "count": 20}),
    ("sasrec", "objectives.recommendation", {"use": "next_item_sampled_softmax", "count": 20}),
    ("simdiffrec", "diffusions.main.noise", {"use": "mixture"}),
    ("simdiffrec", "diffusions.main.noise", {"use": "similarity", "k": 10, "refresh": "epoch"}),
    ("simdiffrec", "diffusions.main.denoiser", {"use": "deberta"}),
    ("simdiffrec", "diffusions.main.denoiser", {"use": "mlp"}),
    ("simdiffrec", "diffusions.main.denoiser", {"use": "shared"}),
    ("simdiffrec", "augmenters.diffused.replace", {"use": "random", "probability": 0.2}),
    ("simdiffrec", "augmenters.diffused.replace", {"use": "least_confidence"}),
    ("simdiffrec", "augmenters.diffused.negative", {"use": "uniform", "exclude": "target"}),
)
"""Plugins in the box that no recipe has: recipe, place, and what stands there."""


def planned(name: str, *patches: Patch) -> Plan:
    return make_plan(load_recipe(name), data="movietweetings", patches=patches)


def world(plan: Plan) -> Split:
    return leave_one_out(toy_world(150, 80, plan.data.max_length, seed=1))


def fit_of(plan: Plan, split: Split, stage: str, device: torch.device) -> tuple[Fit, Assembly]:
    """One stage of a recipe from its initial weights, without what happens between the stages."""
    assembly = assembly_of(plan, split, seed=0, device=device)
    (own,) = (one for one in assembly.stages if one.name == stage)
    assembly = replace(assembly, stages=(replace(own, rewrite=None, reset=(), batch_size=BATCH),))
    samples = samples_of(plan, split, device)
    nothing = dict.fromkeys([*METRICS, plan.training.monitor], 0.0)
    return Fit(assembly, samples, seed=0, options=plan.training, validate=lambda: nothing), assembly


def batches(fit: Fit) -> Iterator[BatchReport]:
    return (report for report in fit.reports() if isinstance(report, BatchReport))


def learnt(
    plan: Plan, split: Split, stage: str, device: torch.device, record: Record | None = None
) -> tuple[list[float], dict[str, Tensor]]:
    """Three batches without dropout: the losses, and the weights then. record: begins anew after the first batch."""
    fit, assembly = fit_of(plan, split, stage, device)
    for part in assembly.model.modules():
        if isinstance(part, Dropout):
            part.probability = 0.0
    steps = batches(fit)
    losses = [next(steps).loss]
    if record is not None:
        record.clear()
    losses += [next(steps).loss, next(steps).loss]
    seen = None if record is None else record.waits.copy()
    found = [loss.cpu().item() for loss in losses]
    if record is not None and seen is not None:
        record.waits = seen  # not what was read just now
    return found, {name: tensor.cpu() for name, tensor in assembly.model.state_dict().items() if record is None}


COPIES = {
    ("cl4srec", "main"): 8,
    ("duorec", "main"): 5,
    ("mclrec", "main"): 20,
    ("dreamrec", "main"): 3,
    ("diffuasr", "diffusion"): 3,
}
"""Copies to the device in a step, 2 elsewhere: of each layout its indices and its rectangle, and what the host looks up."""


@pytest.mark.parametrize(("recipe", "stage"), STAGES)
def test_a_step_of_a_recipe_waits_for_nothing_and_copies_little(recipe: str, stage: str) -> None:
    plan = planned(recipe)
    with accelerator() as record:
        fit, _ = fit_of(plan, world(plan), stage, DEVICE)
        steps = batches(fit)
        next(steps)  # what is looked up once, for all batches, may be waited for
        record.clear()
        next(steps)
        next(steps)
    assert not record.waits
    assert record.launched > 100
    assert record.copies == 2 * COPIES.get((recipe, stage), 2)


def test_a_step_of_sasrec_is_two_copies_and_few_operations() -> None:
    plan = planned("sasrec")
    with accelerator() as record:
        fit, _ = fit_of(plan, world(plan), "main", DEVICE)
        steps = batches(fit)
        next(steps)
        record.clear()
        next(steps)
    assert record.copies == 2
    assert record.launched <= 150
    assert record.operations["scaled_dot_product_attention"] == 2  # its layers: one rectangle each


@pytest.mark.parametrize(("recipe", "stage"), [one for one in STAGES if one[0] not in DRAW_ON_THE_HOST])
def test_a_recipe_without_dropout_learns_there_what_it_learns_on_the_cpu(recipe: str, stage: str) -> None:
    plan = planned(recipe)
    split = world(plan)

    with accelerator():
        losses, weights = learnt(plan, split, stage, DEVICE)
    expected, usual = learnt(plan, split, stage, CPU)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert weights.keys() == usual.keys()
    for name, tensor in weights.items():
        assert torch.allclose(tensor, usual[name], rtol=1e-3, atol=2e-4), name


@pytest.mark.parametrize(("recipe", "place", "plugin"), OTHERS)
def test_other_plugins_of_the_box_wait_for_nothing_and_learn_there_what_they_learn_on_the_cpu(
    recipe: str, place: str, plugin: dict[str, object]
) -> None:
    plan = planned(recipe, Patch(place, plugin, "test"))
    split = world(plan)
    with accelerator() as record:
        losses, _ = learnt(plan, split, "main", DEVICE, record)
    assert not record.waits
    # Two, because after that a choice between two items that are as likely may fall otherwise: Adam makes much of a last digit.
    assert losses[:2] == pytest.approx(learnt(plan, split, "main", CPU)[0][:2], rel=1e-4)


OPERATORS = ("crop", "mask", "reorder", "insert", "substitute", "delete")


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from(range(len(OPERATORS)))), min_size=1, max_size=6))
def test_random_edits_make_the_same_views_there_and_tell_their_lengths_beforehand(sequences: list[tuple[int, int]]) -> None:
    edits = RandomEdits(operators=OPERATORS, new_items=UniformItems())
    counts, codes = [count for count, _ in sequences], torch.tensor([code for _, code in sequences])
    dice = torch.Generator().manual_seed(7)
    layout = Layout.of(counts)
    items = torch.randint(1, 40, (layout.num_positions,), generator=dice)
    new = torch.randint(1, 40, (layout.num_positions,), generator=dice)
    draws = _Draws.of(layout, dice)
    here = edits._edited(layout, items, codes, new, draws, 41)
    with accelerator() as record:
        there = layout.to(DEVICE)
        moved = _Draws(draws.positions.to(DEVICE), draws.starts.to(DEVICE))
        _ = there.lengths, there.last()
        items, new = items.to(DEVICE), new.to(DEVICE)
        record.clear()
        view = edits._edited(there, items, codes, new, moved, 41)
        assert not record.waits
        assert view.layout.counts == here.layout.counts
        assert view.items.tolist() == here.items.tolist()
        assert view.edited.tolist() == here.edited.tolist()


def test_a_generated_context_is_the_same_there() -> None:
    plan = planned("diffuasr")
    split = world(plan)

    def context(device: torch.device) -> list[list[int]]:
        assembly, samples = assembly_of(plan, split, seed=0, device=device), samples_of(plan, split, device)
        stages = Stages(assembly, samples, seed=0)
        for stage in assembly.stages:
            stages.enter(stage)
        assert assembly.model.context is not None
        rows: list[list[int]] = assembly.model.context.tolist()
        return rows

    with accelerator():
        there = context(DEVICE)
    assert there == context(CPU)


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name != "item_knn"])
def test_a_ranking_there_is_the_ranking_of_the_cpu(recipe: str) -> None:
    plan = planned(recipe)
    split = world(plan)

    def ranked(device: torch.device) -> Ranks:
        return rank_held_out(assembly_of(plan, split, seed=0, device=device), split.test, seed=0, device=device)

    with accelerator():
        there = ranked(DEVICE)
    here = ranked(CPU)
    assert (there.rank == here.rank).all() and (there.rank_unseen == here.rank_unseen).all()


def evidence(histories: list[list[int]], num_items: int) -> Evidence:
    """On the accelerator: one row a user, whose items are their own targets."""
    layout = Layout.of([len(one) for one in histories])
    items = torch.tensor([item for one in histories for item in one])
    popularity = torch.bincount(items, minlength=num_items + 1)
    layout, (items, popularity, users) = layout.along([items, popularity, torch.arange(len(histories))], DEVICE)
    return Evidence(
        layout=layout,
        users=users,
        items=items,
        targets=items,
        histories=Histories(layout.offsets, items, num_items),
        popularity=popularity,
        num_items=num_items,
    )


SAMPLERS = [
    UniformItems(),
    UniformItems(exclude="target"),
    UniformItems(exclude="history"),
    PopularItems(),
    PopularItems(exclude="target"),
    PopularItems(exclude="history"),
]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_that_can_refuse_nobody_waits_once_and_not_again(sampler: UniformItems | PopularItems) -> None:
    with accelerator() as record:
        known = evidence([[1, 2, 3], [4, 5], [6, 7, 8, 9]], 12)
        first = sampler.sample(known, 2, torch.Generator(DEVICE).manual_seed(0))
        assert record.waits
        record.clear()
        again = sampler.sample(known, 2, torch.Generator(DEVICE).manual_seed(0))
        assert not record.waits
        assert first.tolist() == again.tolist()


def test_what_has_to_look_at_each_batch_before_it_refuses_waits_for_each() -> None:
    """The exception to the rule: in-batch negatives, and a catalogue in which some user may have nothing left."""
    with accelerator() as record:
        for sampler, known in (
            (InBatchItems(), evidence([[1, 2, 3], [4, 5]], 12)),
            (UniformItems(exclude="history"), evidence([[1, 2, 3], [4]], 4)),
        ):
            sampler.sample(known, 1, torch.Generator(DEVICE).manual_seed(0))
            record.clear()
            sampler.sample(known, 1, torch.Generator(DEVICE).manual_seed(0))
            assert {what for what, _ in record.waits} == {"_local_scalar_dense"}


def test_a_sampler_refuses_there_in_the_words_of_the_cpu() -> None:
    with accelerator(), pytest.raises(SeqaugError, match="no item is left to draw as a negative"):
        UniformItems(exclude="history").sample(evidence([[1, 2, 3]], 3), 1, torch.Generator(DEVICE).manual_seed(0))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("recipe", "stage"), STAGES)
def test_cuda_a_step_of_a_recipe_waits_for_nothing(recipe: str, stage: str) -> None:
    plan = planned(recipe)
    fit, _ = fit_of(plan, world(plan), stage, torch.device("cuda"))
    steps = batches(fit)
    next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        next(steps)
        last = next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(last.loss)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize(("recipe", "stage"), [("sasrec", "main"), ("diffuasr", "pretrain")])
def test_cuda_what_draws_nothing_learns_there_what_it_learns_on_the_cpu(recipe: str, stage: str) -> None:
    plan = planned(recipe)
    found = {}
    for device in ("cpu", "cuda"):
        fit, assembly = fit_of(plan, world(plan), stage, torch.device(device))
        for part in assembly.model.modules():
            if isinstance(part, Dropout):
                part.probability = 0.0
        steps = batches(fit)
        found[device] = [float(next(steps).loss) for _ in range(3)]
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-3)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_the_same_seed_gives_the_same_losses_to_rounding() -> None:
    plan = planned("simdiffrec")

    def losses() -> list[float]:
        fit, _ = fit_of(plan, world(plan), "main", torch.device("cuda"))
        steps = batches(fit)
        return [float(next(steps).loss) for _ in range(3)]

    assert losses() == pytest.approx(losses(), rel=1e-4)
