"""Memory foretold: what autograd keeps is counted, and what cannot fit is refused with what would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from seqaug.builtin.objectives.next_item_softmax import NextItemSoftmax
from seqaug.core.seeds import Generators
from seqaug.data.split import leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import RecipeError
from seqaug.experiments import memory
from seqaug.experiments.memory import available_memory, predicted_memory, refuse_what_cannot_fit
from seqaug.experiments.prepare import Prepared, prepare
from seqaug.experiments.run import Planned, Rehearsed, run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.assemble import assemble, assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Patch, Plan, make_plan

Small = Callable[..., RunSettings]


def predicted(prepared: Prepared) -> memory.Memory:
    plan, split = prepared.plan, prepared.split
    assembly = assembly_of(plan, split, seed=0)
    return predicted_memory(assembly, samples_of(plan, split), split, plan, precision="float32", seed=0, base=0)


def with_patches(settings: RunSettings, **patches: object) -> RunSettings:
    more = [Patch(path.replace("__", "."), value, "test") for path, value in patches.items()]
    return replace(settings, patches=[*settings.patches, *more])


def refuse(prepared: Prepared) -> None:
    samples = samples_of(prepared.plan, prepared.split)
    refuse_what_cannot_fit(prepared.plan, prepared.split, samples, precision="float32", seed=0, base=0)


def test_the_model_is_counted_five_times(small: Small) -> None:
    prepared = prepare(small("sasrec"))
    trained = sum(p.numel() for p in assembly_of(prepared.plan, prepared.split, seed=0).model.parameters())
    assert predicted(prepared).model == 5 * 4 * trained


def test_the_largest_batch_is_the_one_of_the_first_epoch_with_most_positions(small: Small) -> None:
    prepared = prepare(with_patches(small("sasrec"), training__batch_size=4))
    samples = samples_of(prepared.plan, prepared.split)
    found = predicted(prepared)
    assert found.rows == 4
    assert 4 <= found.positions <= 4 * prepared.plan.data.max_length
    assert found.positions <= int(samples.row_lengths.sort(descending=True).values[:4].sum())


def test_a_wider_encoder_keeps_more_of_a_batch(small: Small) -> None:
    narrow, wide = (predicted(prepare(with_patches(small("sasrec"), encoders__main__inner=inner))) for inner in (8, 256))
    assert narrow.positions == wide.positions
    # Of each position the inner layer's outputs before and after its activation, at least.
    assert wide.batch - narrow.batch >= 2 * (256 - 8) * 4 * narrow.positions


def test_three_small_batches_tell_a_constant_the_positions_and_the_squared_rows_apart() -> None:
    sizes = [(1100, 64), (570, 32), (260, 16)]

    def needed(once: int, per_position: int, per_pair: int) -> list[int]:
        return [once + per_position * positions + per_pair * rows * rows for positions, rows in sizes]

    for parts in ((0, 0, 0), (5000, 0, 0), (0, 300, 0), (0, 0, 40), (5000, 300, 40)):
        assert memory._growth(sizes, needed(*parts)) == pytest.approx(parts, abs=1e-6)
    assert memory._growth(sizes[:2], needed(5000, 300, 0)[:2]) == pytest.approx((5000, 300, 0))
    assert memory._growth(sizes[:1], [2200]) == (0, 2, 0)


def test_no_part_of_what_is_told_apart_is_negative() -> None:
    sizes = [(1100, 64), (570, 32), (260, 16)]
    for needed in ([1000, 2000, 3000], [1000, 1000, 0], [3000, 1000, 900], [0, 0, 0]):
        once, per_position, per_pair = memory._growth(sizes, needed)
        assert min(once, per_position, per_pair) >= 0
        assert once + per_position * 1100 + per_pair * 64 * 64 == pytest.approx(needed[0])


@pytest.mark.parametrize("recipe", ["sasrec", "mclrec", "cadirec"])
def test_a_part_of_a_batch_foretells_the_whole(recipe: str) -> None:
    """What the largest batch is said to need beside what it is found to need when it is taken as a whole."""
    plan = make_plan(load_recipe(recipe), data=None)
    split = leave_one_out(toy_world(num_users=80, num_items=60, max_length=50))
    assembly, samples = assembly_of(plan, split, seed=0), samples_of(plan, split)
    (stage,) = assembly.stages
    told = memory._largest_batch(assembly, samples, stage, plan, "float32", 0)
    rows = torch.split(torch.randperm(samples.num_rows, generator=Generators().get("data", 0, "main", 0)), told.rows)
    largest = max(rows, key=lambda part: int(samples.row_lengths[part].sum()))
    found = max(
        memory._needed(assembly, samples, largest, stage, number, update, "float32")
        for number, update in enumerate(stage.updates)
        for _ in range(2)  # the first time makes scratch areas
    )
    assert 1 / 1.3 < told.bytes / found < 1.3


def test_what_is_alive_is_counted_once_and_only_while_it_lives() -> None:
    before = torch.ones(1000)
    with memory._Alive() as alive:
        before.view(10, 100).add_(1)
        torch.mul(before, 2, out=before)
        assert alive.most == 0
        first = torch.ones(3000)
        del first
        second = torch.ones(2000)
        third = second[:10].view(2, 5)
        del second
        assert alive._now == 8000
        fourth = torch.ones(500)
    assert (alive.most, alive._now) == (12_000, 10_000)
    assert len(third) == 2 and len(fourth) == 500


def test_sparse_tensors_can_be_made_while_it_is_counted() -> None:
    with memory._Alive() as alive:
        matrix = torch.eye(20).to_sparse()
        assert float((matrix @ torch.ones(20, 1)).sum()) == 20
    assert alive.most >= 20 * 20 * 4


def test_what_stays_free_in_the_heap_refuses_nothing(small: Small) -> None:
    found = predicted(prepare(small("sasrec")))
    assert found.holes > 0
    assert found.peak == found.base + found.needed + found.holes
    assert found.needed == found.model + max(found.batch, found.ranking) + found.scores


def test_counting_leaves_no_gradient_and_no_part_frozen(small: Small) -> None:
    prepared = prepare(small("simdiffrec"))
    assembly = assembly_of(prepared.plan, prepared.split, seed=0)
    before = {name: tensor.clone() for name, tensor in assembly.model.state_dict().items()}
    samples = samples_of(prepared.plan, prepared.split)
    predicted_memory(assembly, samples, prepared.split, prepared.plan, precision="float32", seed=0, base=0)
    assert all(p.grad is None and p.requires_grad for p in assembly.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in assembly.model.state_dict().items())


def trained_numbers(plan: Plan, dim: int, num_items: int) -> int:
    own = replace(plan, items=plan.items.model_copy(update={"dim": dim}))
    return sum(p.numel() for p in assemble(own, num_items=num_items, popularity=None, seed=0).model.parameters())


def test_a_model_that_cannot_fit_is_refused_with_the_width_that_would(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(small("sasrec", values={"items.dim": 8}))
    room = 5 * 4 * trained_numbers(prepared.plan, 6, 40)
    monkeypatch.setattr(memory, "available_memory", lambda device: int(room / 0.8) + 1)  # a fifth stays free
    with pytest.raises(RecipeError, match=r"items\.dim: 40 items of 8 numbers.*items\.dim = 6 would fit"):
        refuse(prepared)


@pytest.mark.parametrize("most", [1000, 40_000_000])
def test_what_cannot_fit_is_refused_before_the_rehearsal_builds_encoders_of_its_width(
    small: Small, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """At a width of 4,096 the table of 42 rows takes 3.4 MB, an encoder 1.3 GB: either can be what is too much."""
    monkeypatch.setattr(memory, "available_memory", lambda device: most)
    seen = []
    with pytest.raises(RecipeError, match=r"items\.dim"):
        for event in run(small("sasrec", values={"items.dim": 4096})):
            seen.append(type(event))
    assert Planned in seen and Rehearsed not in seen


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name not in ("popularity", "item_knn", "diffuasr")])
def test_the_numbers_of_a_recipe_at_any_width_are_told_from_small_ones(recipe: str) -> None:
    plan = make_plan(load_recipe(recipe), data=None)
    assert memory._numbers(plan, 300)(320) == pytest.approx(trained_numbers(plan, 320, 300), rel=1e-9)


def test_where_a_part_does_not_take_small_widths_the_table_alone_counts() -> None:
    """The U-Net of diffuasr takes 64 and 256, and nothing between."""
    plan = make_plan(load_recipe("diffuasr"), data=None)
    assert memory._numbers(plan, 300)(256) == 302 * 256


def test_a_batch_that_cannot_fit_is_refused_with_the_size_that_would(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BLOCK", 2)  # so that scoring takes less than a batch
    prepared = prepare(small("sasrec"))
    found = predicted(prepared)
    monkeypatch.setattr(memory, "_chunk", lambda device, num_items: 0)
    monkeypatch.setattr(memory, "available_memory", lambda device: found.model + found.batch // 2)
    with pytest.raises(
        RecipeError, match=r"training\.batch_size: a batch of \d+ rows .* A batch_size of (\d+) would fit"
    ) as error:
        refuse(prepared)
    fitting = int(str(error.value).rsplit("batch_size of ", 1)[1].split()[0])
    assert 0 < fitting < found.rows


def test_what_would_fit_does_fit(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BLOCK", 2)  # so that scoring takes less than a batch
    prepared = prepare(small("sasrec"))
    found = predicted(prepared)
    monkeypatch.setattr(memory, "_chunk", lambda device, num_items: 0)
    monkeypatch.setattr(memory, "available_memory", lambda device: found.model + found.batch // 2)
    with pytest.raises(RecipeError) as error:
        refuse(prepared)
    fitting = int(str(error.value).rsplit("batch_size of ", 1)[1].split()[0])
    refuse(prepare(with_patches(small("sasrec"), training__batch_size=fitting)))


def test_a_refused_run_writes_nothing(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = small("sasrec")
    monkeypatch.setattr(memory, "available_memory", lambda device: 1000)
    with pytest.raises(RecipeError, match=r"items\.dim"):
        list(run(settings))
    assert not settings.runs.exists() or not list(settings.runs.iterdir())


def test_a_broken_plugin_is_named_before_what_it_needs_is_measured(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: object, step: object, /) -> None:
        raise ValueError("no such luck")

    monkeypatch.setattr(NextItemSoftmax, "__call__", broken)
    prepared = prepare(small("sasrec"))
    model = 5 * 4 * trained_numbers(prepared.plan, prepared.plan.items.dim, 40)
    monkeypatch.setattr(memory, "available_memory", lambda device: model + 1)  # so little that a batch would be measured
    with pytest.raises(RecipeError, match=r"objectives\.recommendation: ValueError: no such luck"):
        list(run(small("sasrec")))


def test_nothing_is_refused_where_the_system_does_not_say(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda device: None)
    refuse(prepare(small("sasrec")))


def test_what_is_to_be_had_is_the_least_that_anybody_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    for system, container, limits, least in ((5, 3, None, 3), (5, None, 7, 5), (None, None, None, None), (4, -2, 9, 0)):
        monkeypatch.setattr(memory, "_of_system", lambda system=system: system)
        monkeypatch.setattr(memory, "_of_container", lambda container=container: container)
        monkeypatch.setattr(memory, "_of_limits", lambda limits=limits: limits)
        assert available_memory("cpu") == least


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if name not in ("popularity", "item_knn")])
def test_the_rough_bound_lies_above_what_every_recipe_needs(recipe: str) -> None:
    """Where it says that there is room, nothing is measured; so it must not be too low."""
    plan = make_plan(load_recipe(recipe), data=None)
    split = leave_one_out(toy_world(num_users=80, num_items=60, max_length=50))
    assembly, samples = assembly_of(plan, split, seed=0), samples_of(plan, split)
    assert assembly.stages
    for stage in assembly.stages:
        found = memory._largest_batch(assembly, samples, stage, plan, "float32", 0)
        rough = found.positions * plan.items.dim * memory._ROUGH * 4 + memory._ROUGH_PAIRS * 4 * found.rows**2
        assert 0 < found.bytes < rough
