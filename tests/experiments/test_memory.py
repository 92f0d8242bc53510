"""Memory foretold: what autograd keeps is counted, and what cannot fit is refused with what would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from seqaug.data.split import leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import RecipeError
from seqaug.experiments import memory
from seqaug.experiments.memory import available_memory, predicted_memory, refuse_what_cannot_fit
from seqaug.experiments.prepare import Prepared, prepare
from seqaug.experiments.run import Planned, Rehearsed, run
from seqaug.experiments.settings import RunSettings
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Patch, make_plan

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


def test_comparing_sequences_with_each_other_counts_by_the_square_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small batches tell a term of the positions from one of the squared rows: here it is all squares."""

    pairs = {8: 64 * 10, 16: 256 * 10}  # rows -> bytes, 10 b b
    kept = iter(pairs.values())

    class Rows:
        num_rows = 64
        row_lengths = torch.ones(64, dtype=torch.int64)

        def at_least(self, length: int) -> Rows:
            return self

    class Stage:
        name, min_length, batch_size, updates = "main", 1, 64, (object(),)

    monkeypatch.setattr(memory, "_kept", lambda *arguments: next(kept))
    found = memory._largest_batch(None, Rows(), Stage(), None, "float32", 0)  # type: ignore[arg-type]
    assert (found.positions, found.rows) == (64, 64)
    assert (found.per_position, found.per_pair) == (0, 10)
    assert found.bytes == int(1.3 * 10 * 64 * 64)


def test_counting_leaves_no_gradient_and_no_part_frozen(small: Small) -> None:
    prepared = prepare(small("simdiffrec"))
    assembly = assembly_of(prepared.plan, prepared.split, seed=0)
    before = {name: tensor.clone() for name, tensor in assembly.model.state_dict().items()}
    samples = samples_of(prepared.plan, prepared.split)
    predicted_memory(assembly, samples, prepared.split, prepared.plan, precision="float32", seed=0, base=0)
    assert all(p.grad is None and p.requires_grad for p in assembly.model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in assembly.model.state_dict().items())


def test_a_catalogue_that_cannot_fit_is_refused_with_the_width_that_would(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(small("sasrec"))  # 40 items, 8 numbers each
    monkeypatch.setattr(memory, "available_memory", lambda device: 5 * 4 * 42 * 5)  # room for five
    with pytest.raises(RecipeError, match=r"items\.dim: 40 items of 8 numbers.*items\.dim = 4 would fit"):
        refuse(prepared)


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


def test_what_cannot_fit_is_refused_before_the_rehearsal_builds_encoders_of_its_width(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda device: 1000)
    seen = []
    with pytest.raises(RecipeError, match=r"items\.dim"):
        for event in run(small("sasrec")):
            seen.append(type(event))
    assert Planned in seen and Rehearsed not in seen


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
