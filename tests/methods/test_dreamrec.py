"""dreamrec from end to end (its specification, section 7); the parts are tested in tests/builtin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from methods.test_recipes import built, fitted, planned, small, weights
from seqaug.core.assembly import Assembly
from seqaug.core.step import Step
from seqaug.data.layout import Layout
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.errors import RecipeError
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.fit import EpochReport, Fit

T = 20  # tests/methods/small/dreamrec.toml


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(toy_world(num_users=60, num_items=50, max_length=12))


@pytest.fixture(scope="module")
def made(split: Split) -> Assembly:
    return built(planned("dreamrec"), split)[0]


def loss(split: Split, rows: list[int] | None = None, **values: Any) -> tuple[Tensor, Step]:
    made, own = built(planned("dreamrec", **values), split)
    step = Step(made, own, own.take(torch.arange(32) if rows is None else torch.tensor(rows)), epoch=0, seed=(0, "main", 0, 0))
    (term,) = made.stages[0].updates[0].terms
    return term.objective(step), step


def test_the_only_loss_is_the_squared_error_and_it_moves_every_part(split: Split) -> None:
    value, step = loss(split)
    value.backward()  # type: ignore[no-untyped-call]
    moved = {name: any(bool((p.grad != 0).any()) for p in part.parameters()) for name, part in step.model.parts().items()}
    assert moved == {"items": True, "encoders.main": True, "diffusions.main": True}
    # A denoiser that answered 0 would err by the items' own mean square, 1; one that has learnt nothing adds its own noise.
    assert 0.8 < value.item() < 2.0


def test_items_and_null_condition_begin_with_variance_one(split: Split) -> None:
    made, _ = built(planned("dreamrec", **{"items.dim": 256}), split)
    null = made.model.diffusion().null
    assert null is not None
    assert made.model.items.catalogue.std().item() == pytest.approx(1, abs=0.02)
    assert null.std().item() == pytest.approx(1, abs=0.15)


def test_a_perfect_answer_stays_on_the_clean_vector_at_every_step_of_the_chain(made: Assembly) -> None:
    """c_1 x_0 + c_2 A_t x_0 = A_{t-1} x_0, in the numbers that the chain itself uses."""
    diffusion = made.model.diffusion()
    A = [1.0, *diffusion.schedule.coefficients()[0].tolist()]
    for now in range(1, T + 1):
        of_clean, of_state, variance = diffusion.posterior(now, now - 1)
        assert of_clean + of_state * A[now] == pytest.approx(A[now - 1], abs=1e-10)
        assert (variance == 0) == (now == 1)


@torch.no_grad()
def test_the_condition_depends_on_the_history_alone_and_every_position_on_its_past(made: Assembly, split: Split) -> None:
    model = made.model.eval()
    own = Samples(split, kind="whole", max_length=12)
    batch = own.take(torch.arange(8))
    together = model.encode(model.items(batch.items), batch.layout)
    for row, part in enumerate(together.split(batch.layout.counts)):
        alone = own.take(torch.tensor([row]))
        for length in (1, len(part)):
            cut = Layout.of([length])
            state = model.encode(model.items(alone.items[:length]), cut)
            assert torch.allclose(state, part[:length], atol=1e-5)


def test_two_evaluations_agree_and_another_seed_draws_anew(made: Assembly, split: Split) -> None:
    first, again, other = (rank_held_out(made, split.test, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.rank, again.rank) and np.array_equal(first.rank_unseen, again.rank_unseen)
    assert not np.array_equal(first.rank, other.rank)
    assert first.rank.min() >= 1 and first.rank.max() <= split.sequences.num_items


def test_training_leaves_the_draws_of_an_evaluation_alone(split: Split) -> None:
    _, once = fitted(planned("dreamrec", **{"training.epochs": 2, "training.validate_every": 1}), split)
    _, late = fitted(planned("dreamrec", **{"training.epochs": 2, "training.validate_every": 2}), split)
    assert once[-1].valid == late[-1].valid and once[0].losses == late[0].losses


def test_without_a_pretraining_the_two_stages_are_the_one_of_the_paper_bit_for_bit(split: Split) -> None:
    short = {"training.epochs": 2}
    ours = planned("dreamrec", **short)
    assert [(stage.name, stage.epochs) for stage in ours.stages] == [("pretrain", 0), ("main", 2)]
    recipe = load_recipe("dreamrec")
    table = {key: value for key, value in recipe.table.items() if key != "stages"}
    table["objectives"] = {"generation": table["objectives"]["generation"]}
    patches = [Patch(path, value, "test") for path, value in (small("dreamrec") | short).items()]
    (one, reports), (other, again) = (
        fitted(plan, split) for plan in (ours, make_plan(replace(recipe, table=table), data=None, patches=patches))
    )
    assert [stage.name for stage in one.stages] == ["main"]
    assert [(r.losses, r.records, r.valid) for r in reports] == [(r.losses, r.records, r.valid) for r in again]
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)


def test_the_variant_of_the_bundled_data_learns_item_vectors_first_and_holds_them_after(split: Split) -> None:
    values = small("dreamrec") | {"stages.0.epochs": 2, "training.epochs": 2, "data.max_length": 12}
    plan = make_plan(
        load_recipe("dreamrec"), data="movietweetings", patches=[Patch(path, value, "test") for path, value in values.items()]
    )
    made, own = built(plan, split)
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    began, tables = weights(made), {}
    for report in run.reports():
        if isinstance(report, EpochReport):
            tables[report.stage, report.epoch] = weights(made)
    learnt, final = tables["pretrain", 1], tables["main", 1]
    assert not torch.equal(learnt["items.weight"], began["items.weight"])
    assert all(torch.equal(learnt[name], began[name]) for name in began if name.startswith("diffusions."))
    # The best of its epochs goes on, which need not be the last.
    assert any(torch.equal(tables["pretrain", epoch]["items.weight"], final["items.weight"]) for epoch in (0, 1))
    for part in ("encoders.", "diffusions."):
        assert any(not torch.equal(final[name], learnt[name]) for name in began if name.startswith(part))


def test_a_batch_of_one_trains_and_scores(split: Split, made: Assembly) -> None:
    value, _ = loss(split, rows=[0])
    assert torch.isfinite(value)
    alone = made.scorer.score(made.model, Samples(split, kind="whole").take(torch.tensor([0])), torch.Generator())
    assert torch.isfinite(alone.top(1)[1]).all()  # type: ignore[union-attr]


def test_a_noise_without_a_prior_is_refused_before_training(split: Split) -> None:
    with pytest.raises(RecipeError, match="a source with a prior"):
        built(planned("dreamrec", noise={"use": "similarity", "k": 3}), split)


@pytest.mark.parametrize(
    "values",
    [
        {"diffusions.main.schedule": {"use": "cosine", "steps": 2000, "max_rate": 0.9999}, "training.learning_rate": 5e-5},
        {
            "diffusions.main.schedule": {"use": "linear", "steps": 500, "zero_terminal_snr": False},
            "training.learning_rate": 1e-2,
            "scorer.guidance": 4.0,
        },
        {"diffusions.main.denoiser.layers": 2},
        {"objectives.generation.detach_target": True},
        {"scorer.method": "ddim", "scorer.steps": 50},
        {"scorer.samples": 5, "scorer.similarity": "cosine"},
        {"scorer.guidance": 0.0, "objectives.generation.drop_condition": 0.0, "diffusions.main.null_condition": False},
    ],
)
def test_the_other_published_settings_and_the_options_of_the_page_are_plans(values: dict[str, Any], split: Split) -> None:
    plan = make_plan(load_recipe("dreamrec"), data=None, patches=[Patch(path, value, "test") for path, value in values.items()])
    made, _ = built(plan, split)
    assert made.model.diffusion().has_prior


def test_sixty_four_users_are_learnt_by_heart_and_their_items_do_not_collapse() -> None:
    """A tenth of the targets is restored without a history, so that a tenth of their variance stays unexplained."""
    few = leave_one_out(toy_world(num_users=64, num_items=200, max_length=12))
    values = {
        "diffusions.main.schedule.steps": 50,
        "encoders.main.dropout": 0.0,
        "training.learning_rate": 5e-3,
        "training.epochs": 100,
        "training.validate_every": 100,
    }
    plan = planned("dreamrec", **values)
    made, own = built(plan, few)
    reports = list(Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0}).reports())
    spread = made.model.items.catalogue.std(0).mean().item()
    assert spread > 0.5
    assert reports[-1].losses["generation"] < 0.2 * reports[-1].records["target_std"] ** 2  # type: ignore[union-attr]
    batch = own.take(torch.arange(own.num_rows))
    with torch.no_grad():
        scores = made.scorer.score(made.model.eval(), batch, torch.Generator().manual_seed(0))
    rank, _ = scores.rank_of(batch.targets[batch.predicted])  # type: ignore[union-attr]
    assert float((rank <= 10).float().mean()) > 0.95
