"""Each recipe end to end on the toy world: it learns, it repeats itself, it survives being stored, it moves what it says."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqaug.core.assembly import Assembly
from seqaug.core.step import Step
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import SeqaugError
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.assemble import assembly_of, samples_of
from seqaug.recipes.load import load_recipe, recipe_names
from seqaug.recipes.plan import Patch, Plan, make_plan
from seqaug.training.fit import EpochReport, Fit


def trains(recipe: str) -> bool:
    """Whether there is anything to learn. A recipe that does not even plan says so in its own tests."""
    try:
        return bool(make_plan(load_recipe(recipe), data=None).stages)
    except SeqaugError:
        return True


RECIPES = [recipe for recipe in recipe_names() if trains(recipe)]
SMALL = {
    "data.max_length": 12,
    "items.dim": 32,
    "encoders.main.dropout": 0.1,
    "training.batch_size": 64,
    "training.learning_rate": 5e-3,
}


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(toy_world(num_users=250, num_items=100, max_length=12))


def small(recipe: str) -> dict[str, Any]:
    """The small settings of a recipe: those of all, and its own under small/."""
    own = Path(__file__).parent / "small" / f"{recipe}.toml"
    return SMALL | (tomllib.loads(own.read_text()) if own.exists() else {})


def planned(recipe: str, **values: Any) -> Plan:
    patches = [Patch(path, value, "test") for path, value in (small(recipe) | values).items()]
    return make_plan(load_recipe(recipe), data=None, patches=patches)


def built(plan: Plan, split: Split, seed: int = 0) -> tuple[Assembly, Samples]:
    return assembly_of(plan, split, seed=seed), samples_of(plan, split)


def fitted(plan: Plan, split: Split, seed: int = 0) -> tuple[Assembly, list[EpochReport]]:
    made, own = built(plan, split, seed)
    run = Fit(
        made,
        own,
        seed=seed,
        options=plan.training,
        validate=lambda: metrics(rank_held_out(made, split.valid, seed=seed).rank),
    )
    return made, [report for report in run.reports() if isinstance(report, EpochReport)]


def weights(made: Assembly) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in made.model.state_dict().items()}


def popularity_hr(split: Split) -> float:
    """HR@10 of ranking by training popularity, ties to the target's harm."""
    counts = split.popularity[1:]
    own = counts[split.test.targets - 1]
    rank = (counts[None, :] >= own[:, None]).sum(1)
    return metrics(rank.numpy())["hr@10"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_learns_the_toy_world_clearly_better_than_popularity(recipe: str, split: Split) -> None:
    made, reports = fitted(planned(recipe, **({"training.epochs": 12} | small(recipe))), split)
    found = metrics(rank_held_out(made, split.test, seed=0).rank)["hr@10"]
    assert found > 2 * popularity_hr(split), (found, popularity_hr(split))
    assert all(np.isfinite(value) for report in reports for value in report.losses.values())


@pytest.mark.parametrize("recipe", RECIPES)
def test_two_runs_of_one_seed_agree_bit_for_bit(recipe: str, split: Split) -> None:
    plan = planned(recipe, **{"training.epochs": 2})
    first, reports = fitted(plan, split)
    second, again = fitted(plan, split)
    assert [(r.losses, r.records, r.valid) for r in reports] == [(r.losses, r.records, r.valid) for r in again]
    one, two = weights(first), weights(second)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("recipe", RECIPES)
def test_stored_weights_come_back_bit_for_bit_and_rank_the_same(recipe: str, split: Split, tmp_path: Path) -> None:
    plan = planned(recipe, **{"training.epochs": 1})
    made, _ = fitted(plan, split)
    save_file(weights(made), tmp_path / "model.safetensors")
    other, _ = built(plan, split, seed=7)
    other.model.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert all(torch.equal(tensor, weights(made)[name]) for name, tensor in weights(other).items())
    assert np.array_equal(
        rank_held_out(made, split.test, seed=0).rank_unseen, rank_held_out(other, split.test, seed=0).rank_unseen
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_update_gives_a_gradient_to_every_parameter_it_moves_and_to_no_other(recipe: str, split: Split) -> None:
    made, own = built(planned(recipe), split)
    batch = own.take(torch.arange(64))
    for stage in made.stages:
        for number, update in enumerate(stage.updates):
            for name, part in made.model.parts().items():
                for parameter in part.parameters():
                    parameter.grad = None
                    parameter.requires_grad_(name in update.moves)
            step = Step(made, own, batch, epoch=0, seed=(0, stage.name, 0, 0), update=number)
            total = torch.stack([term.weight * term.objective(step) for term in update.terms]).sum()
            total.backward()  # type: ignore[no-untyped-call]
            for name, part in made.model.parts().items():
                for inner, parameter in part.named_parameters():
                    has = parameter.grad is not None and bool((parameter.grad != 0).any())
                    assert has == (name in update.moves), f"{stage.name}, update {number}: {name}.{inner}"


@pytest.mark.parametrize("recipe", RECIPES)
def test_training_data_are_as_they_were_after_an_epoch(recipe: str, split: Split) -> None:
    before = split.train.items.clone(), split.train.offsets.clone()
    fitted(planned(recipe, **{"training.epochs": 1}), split)
    assert torch.equal(split.train.items, before[0]) and torch.equal(split.train.offsets, before[1])


def compared(recipe: str, extras: dict[str, Any], split: Split, **common: Any) -> None:
    """Train a recipe without its extra terms, and sasrec with the same [data]; every shared weight and number is the same."""
    plan = planned(recipe, **{"training.epochs": 3}, **common, **extras)
    shared = {"data.samples": plan.data.samples, "training.monitor": plan.training.monitor}
    plain = planned("sasrec", **{"training.epochs": 3}, **common, **shared)
    made, reports = fitted(plan, split)
    base, expected = fitted(plain, split)
    assert [r.valid for r in reports] == [r.valid for r in expected]
    assert [r.losses["recommendation"] for r in reports] == [r.losses["recommendation"] for r in expected]
    theirs = weights(made)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in weights(base).items())


def test_simdiffrec_without_its_two_extra_terms_is_sasrec_bit_for_bit(split: Split) -> None:
    compared("simdiffrec", {"objectives.contrast.weight": 0, "objectives.denoising.weight": 0}, split)


def test_cl4srec_without_its_contrast_is_sasrec_bit_for_bit(split: Split) -> None:
    compared("cl4srec", {"objectives.contrast.weight": 0}, split)


def test_without_its_extra_terms_the_diffusion_does_not_move(split: Split) -> None:
    plan = planned("simdiffrec", **{"training.epochs": 1, "objectives.contrast.weight": 0, "objectives.denoising.weight": 0})
    made, own = built(plan, split)
    before = {name: tensor.clone() for name, tensor in made.model.diffusions.state_dict().items()}
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    list(run.reports())
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.model.diffusions.state_dict().items())


def test_swapping_one_plugin_changes_no_other_initial_weight_and_not_the_order_of_the_data(split: Split) -> None:
    made, own = built(planned("simdiffrec"), split)
    other, again = built(planned("simdiffrec", noise={"use": "gaussian"}, positions={"use": "random"}), split)
    one, two = weights(made), weights(other)
    assert all(torch.equal(one[name], two[name]) for name in one)
    order = [batch.rows for batch in own.batches(64, torch.Generator().manual_seed(3))]
    assert all(torch.equal(a, b.rows) for a, b in zip(order, again.batches(64, torch.Generator().manual_seed(3)), strict=True))


def step_of(plan: Plan, split: Split, rows: int = 32) -> Step:
    made, own = built(plan, split)
    return Step(made, own, own.take(torch.arange(rows)), epoch=0, seed=(0, "main", 0, 0))


def test_scores_at_inference_depend_on_no_diffusion_parameter(split: Split) -> None:
    made, _ = built(planned("simdiffrec"), split)
    before = rank_held_out(made, split.test, seed=0).rank
    with torch.no_grad():
        for parameter in made.model.diffusions.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert np.array_equal(rank_held_out(made, split.test, seed=0).rank, before)


def test_the_losses_of_next_item_and_denoising_start_at_about_log_v(split: Split) -> None:
    step = step_of(planned("simdiffrec"), split)
    terms = {term.name: term.objective for term in step.assembly.stages[0].updates[0].terms}
    expected = float(np.log(split.sequences.num_items))
    for name in ("recommendation", "denoising"):
        # A residual denoiser already points a little to its own item, so its loss starts somewhat below.
        assert terms[name](step).item() == pytest.approx(expected, rel=0.05)


def test_views_of_simdiffrec_differ_from_the_history_at_the_chosen_positions_only(split: Split) -> None:
    step = step_of(planned("simdiffrec", **{"augmenters.diffused.replace.ratio": 0.3}), split)
    clean, positive, negative = (step.view(name) for name in ("clean", "diffused.positive", "diffused.negative"))
    lengths = clean.layout.lengths
    allowed = torch.clamp((lengths * 0.3 + 1e-9).floor().long(), min=1)
    differing = torch.zeros_like(lengths).index_add_(0, clean.layout.sequence, (negative.items != clean.items).long())
    assert torch.equal(differing, allowed), "the negative never is the original, so every chosen position differs"
    assert ((positive.items == clean.items) | (negative.items != clean.items)).all()
    for view in (positive, negative):
        assert view.items.min() >= 1 and view.items.max() <= split.sequences.num_items


def test_rank_one_as_negative_is_the_positive_where_nothing_is_excluded(split: Split) -> None:
    same = {"augmenters.diffused.negative": {"use": "rank", "rank": 1, "exclude_target": False}}
    step = step_of(planned("simdiffrec", **same), split)
    assert torch.equal(step.view("diffused.positive").items, step.view("diffused.negative").items)


def test_a_sharp_restoration_of_the_original_has_an_identity_rate_of_one_and_an_unchanged_positive(split: Split) -> None:
    """Orthogonal and long item vectors make the restoration of t = T find its own item, if the denoiser hands the noise on."""
    plan = planned(
        "simdiffrec",
        **{
            "items.dim": 128,
            "encoders.main.heads": 1,
            "noise": {"use": "gaussian", "scale": 1e-6},
            "augmenters.diffused.confidence_step": "drawn",
            "diffusions.main.schedule": {"use": "linear", "steps": 2, "first": 1e-4, "last": 2e-4, "zero_terminal_snr": False},
        },
    )
    made, own = built(plan, split)

    class Through(torch.nn.Module):
        predicts = "clean"

        def forward(self, noised: Tensor, step: Tensor, condition: Any, layout: Any, /) -> Tensor:
            return noised

    made.model.diffusion("main").denoiser = Through()
    with torch.no_grad():
        made.model.items.weight.zero_()
        made.model.items.weight[1:-1] = 30 * torch.eye(128)[: split.sequences.num_items]
        for parameter in made.model.diffusion("main").times.parameters():  # type: ignore[union-attr]
            parameter.zero_()
    step = Step(made, own, own.take(torch.arange(32)), epoch=0, seed=(0, "main", 0, 0))
    assert torch.equal(step.view("diffused.positive").items, step.view("clean").items)
    assert (step.view("diffused.negative").items != step.view("clean").items).any()
    amount, out_of = step.records["identity_rate"]
    assert int(amount) == int(out_of) > 0


def gradients(step: Step, name: str) -> dict[str, bool]:
    """Which parts a term reaches."""
    term = next(term for term in step.assembly.stages[0].updates[0].terms if term.name == name)
    term.objective(step).backward()  # type: ignore[no-untyped-call]
    return {
        part: any(p.grad is not None and bool((p.grad != 0).any()) for p in module.parameters())
        for part, module in step.model.parts().items()
    }


def test_denoising_reaches_items_and_diffusion_and_contrast_reaches_items_and_encoder(split: Split) -> None:
    plan = planned("simdiffrec")
    assert gradients(step_of(plan, split), "denoising") == {"items": True, "encoders.main": False, "diffusions.main": True}
    assert gradients(step_of(plan, split), "contrast") == {"items": True, "encoders.main": True, "diffusions.main": False}


def test_a_shared_denoiser_couples_the_denoising_to_the_encoder(split: Split) -> None:
    plan = planned("simdiffrec", **{"diffusions.main.denoiser": {"use": "shared"}})
    assert gradients(step_of(plan, split), "denoising")["encoders.main"]


def test_states_survive_a_round_trip_through_torch_save_without_code(split: Split) -> None:
    plan = planned("simdiffrec", **{"training.epochs": 1})
    made, own = built(plan, split)
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    list(run.reports())
    stored = io.BytesIO()
    torch.save(run.state(), stored)
    stored.seek(0)
    assert torch.load(stored, weights_only=True)["finished"] is True


def test_fifty_users_are_learnt_by_heart() -> None:
    """sasrec.md, overfitting: without dropout nearly every unique training prefix is followed by its own next item."""
    small = leave_one_out(toy_world(num_users=50, num_items=300, max_length=20))
    plan = planned("sasrec", **{"encoders.main.dropout": 0.0, "training.epochs": 80, "training.validate_every": 80})
    made, own = built(plan, small)
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    list(run.reports())
    batch = own.take(torch.arange(own.num_rows))
    step = Step(made, own, batch, epoch=0, seed=(0, "main", 0, 0))
    made.model.eval()
    best = step.scores(step.hidden()).top(1)[0][:, 0]
    starts: dict[tuple[int, ...], set[int]] = {}
    places: list[tuple[int, ...]] = []
    for row, (items, targets) in enumerate(
        zip(batch.items.split(batch.layout.counts), batch.targets.split(batch.layout.counts), strict=True)
    ):
        del row
        for end in range(1, len(items) + 1):
            prefix = tuple(items[:end].tolist())
            places.append(prefix)
            starts.setdefault(prefix, set()).add(int(targets[end - 1]))
    unique = torch.tensor([len(starts[prefix]) == 1 for prefix in places])
    assert (best[unique] == batch.targets[unique]).float().mean() > 0.97
