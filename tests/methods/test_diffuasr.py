"""diffuasr from end to end (its specification, section 8); the parts are tested in tests/builtin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from data.conftest import REAL_DATA
from methods.test_recipes import built, compared, fitted, planned, weights
from seqaug.core.assembly import Assembly
from seqaug.data.layout import Layout
from seqaug.data.samples import Samples
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Plan, make_plan
from seqaug.training.fit import Fit
from seqaug.training.stages import Stages

SPAN = 3  # tests/methods/small/diffuasr.toml
WITHOUT_PREFIXES = {"stages.2.rewrite": "none"}
WITHOUT_THE_REST = {"stages.0.epochs": 0, "stages.1.epochs": 0}


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(toy_world(num_users=120, num_items=50, max_length=12))


def trained(plan: Plan, split: Split) -> tuple[Assembly, Fit]:
    """Without validation, so that the held-out items choose no epoch."""
    made, own = built(plan, split)
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    list(run.reports())
    return made, run


@pytest.fixture(scope="module")
def done(split: Split) -> tuple[Assembly, Fit]:
    return trained(planned("diffuasr", **{"training.epochs": 1}), split)


def context_of(made: Assembly) -> Tensor:
    assert made.model.context is not None
    return made.model.context


# ---- 1: the diffusion ----


def test_the_closed_form_is_the_one_step_kernels_one_after_the_other() -> None:
    plan = make_plan(load_recipe("diffuasr"), data=None)
    options = plan.values["diffusions"]["main"]["schedule"]
    assert (options["use"], options["steps"], options["zero_terminal_snr"]) == ("linear", 1000, False)
    made, _ = built(planned("diffuasr", **{"diffusions.main.schedule.steps": 1000}), leave_one_out(toy_world(60, 50, 12)))
    diffusion = made.model.diffusion("main")
    mean, variance = 1.0, 0.0
    for t, beta in enumerate(np.linspace(options["first"], options["last"], 1000), 1):
        mean, variance = np.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        assert float(diffusion.signal[t]) == pytest.approx(mean, rel=1e-4)
        assert float(diffusion.noise_level[t]) ** 2 == pytest.approx(variance, rel=1e-4)


@pytest.mark.parametrize("start", ["last", "released"])
@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_the_chain_with_the_true_noise_ends_at_the_items_in_any_number_of_steps(start: Any, steps: int, split: Split) -> None:
    made, _ = built(planned("diffuasr", **{"diffusions.main.schedule.steps": 1000}), split)
    diffusion = made.model.diffusion("main")
    layout = Layout.of([SPAN] * 4)
    clean, noise = torch.randn((2, 12, 64), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = diffusion.chain_times(steps, start)
    if start == "released" and steps == 5:
        assert times == [801, 601, 401, 201, 1]
    signal, level = diffusion.signal.double(), diffusion.noise_level.double()
    found = diffusion.chain(
        signal[times[0]] * clean + level[times[0]] * noise,
        layout,
        times=times,
        guess=lambda z, t: (z - level[t] * noise) / signal[t],
        method="ddim",
    )
    assert torch.allclose(found, clean, atol=1e-3)


# ---- 5: leakage ----


def with_other_held_out_items(split: Split) -> Split:
    shifted = {
        name: replace(part, targets=part.targets % split.sequences.num_items + 1)
        for name, part in (("valid", split.valid), ("test", split.test))
    }
    return replace(split, **shifted)


def test_held_out_items_change_neither_the_diffusion_nor_what_it_makes_up(split: Split, done: tuple[Assembly, Fit]) -> None:
    other, _ = trained(planned("diffuasr", **{"training.epochs": 1}), with_other_held_out_items(split))
    one, two = weights(done[0]), weights(other)
    assert "context" in one and any(name.startswith("diffusions.") for name in one)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_scoring_makes_nothing_up_anew(split: Split, done: tuple[Assembly, Fit]) -> None:
    """The validation item is part of the test history; what stands in front of it is what training made."""
    made, before = done[0], context_of(done[0]).clone()
    rank_held_out(made, split.test, seed=0)
    assert torch.equal(context_of(made), before)


# ---- 6: the augmented data ----


def test_rows_are_made_up_items_then_the_real_row_and_their_targets_are_as_many_and_the_same(
    split: Split, done: tuple[Assembly, Fit]
) -> None:
    made, run = done
    plan = planned("diffuasr")
    _, plain = built(plan, split)
    context, longest = context_of(made), plan.data.max_length
    assert context.shape == (split.sequences.num_users, SPAN)
    assert 1 <= int(context.min()) and int(context.max()) <= split.sequences.num_items
    assert run.samples.num_rows == plain.num_rows and run.samples.num_targets == plain.num_targets
    rows = torch.arange(plain.num_rows)
    ours, theirs = run.samples.take(rows), plain.take(rows)
    assert ours.predicted is not None
    assert torch.equal(ours.targets[ours.predicted], theirs.targets) and int((ours.targets > 0).sum()) == len(theirs.targets)
    cut = 0
    pairs = zip(ours.items.split(ours.layout.counts), theirs.items.split(theirs.layout.counts), ours.users, strict=True)
    for items, real, user in pairs:
        room = min(SPAN, longest - len(real))
        cut += room < SPAN
        assert torch.equal(items[len(items) - len(real) :], real)
        assert items[: len(items) - len(real)].tolist() == context[user].tolist()[SPAN - room :]
    assert cut, "a real history has to be too long for all of its prefix for this test to say anything"


def test_held_out_targets_are_those_of_the_data_and_nothing_made_up_is_removed_as_seen(
    split: Split, done: tuple[Assembly, Fit]
) -> None:
    ranks = rank_held_out(done[0], split.test, seed=0)
    assert np.array_equal(ranks.targets, split.test.targets.numpy())
    seen = [split.test.inputs.of(user).unique().numel() for user in range(split.sequences.num_users)]
    assert (ranks.rank - ranks.rank_unseen <= np.array(seen)).all()


def test_the_prefix_stands_in_front_at_scoring_unless_that_is_not_wanted(split: Split) -> None:
    made, _ = trained(planned("diffuasr", **{"training.epochs": 1}), split)
    with_it = rank_held_out(made, split.test, seed=0).rank
    made.rewriters["prefixes"].at_scoring = False
    without = rank_held_out(made, split.test, seed=0).rank
    made.model.context = None
    assert np.array_equal(rank_held_out(made, split.test, seed=0).rank, without)
    assert not np.array_equal(with_it, without)


# ---- 7: without prefixes ----


@pytest.mark.parametrize("samples", ["sequences", "prefixes"])
def test_without_prefixes_it_is_sasrec_bit_for_bit(samples: str, split: Split) -> None:
    extras = WITHOUT_PREFIXES | WITHOUT_THE_REST | {"data.samples": samples}
    compared("diffuasr", extras, split, **{"items.dim": 64})


def test_the_stages_before_leave_no_trace_but_the_prefixes(split: Split) -> None:
    """Without them the last stage is sasrec although two stages have been trained before it."""
    made, reports = fitted(planned("diffuasr", **{"training.epochs": 2}, **WITHOUT_PREFIXES), split)
    base, expected = fitted(planned("sasrec", **{"training.epochs": 2, "items.dim": 64}), split)
    last = [report for report in reports if report.stage == "main"]
    assert {report.stage for report in reports} == {"pretrain", "diffusion", "main"}
    assert [(one.losses, one.valid) for one in last] == [(one.losses, one.valid) for one in expected]
    ours = weights(made)
    assert all(torch.equal(tensor, ours[name]) for name, tensor in weights(base).items())


def test_pretraining_is_sasrec_too_under_a_seed_of_its_own(split: Split) -> None:
    plan = planned("diffuasr", **{"stages.1.epochs": 0, "stages.2.epochs": 0, "stages.0.epochs": 2})
    _, reports = fitted(plan, split)
    assert [report.stage for report in reports] == ["pretrain"] * 2
    assert set(reports[0].losses) == {"recommendation"} and reports[0].valid is not None


# ---- 8: who is trained on ----


def test_the_recipe_asks_for_the_users_that_the_objective_counts() -> None:
    for plan in (make_plan(load_recipe("diffuasr"), data=None), planned("diffuasr")):
        stage = next(one for one in plan.stages if one.name == "diffusion")
        assert stage.options.min_length == plan.values["diffusions"]["main"]["span"] + 3


def test_the_diffusion_is_trained_on_histories_longer_than_span_plus_two(split: Split) -> None:
    made, own = built(planned("diffuasr"), split)
    stage = next(one for one in made.stages if one.name == "diffusion")
    lengths = split.train.lengths
    assert Stages(made, own, 0).samples_for(stage).num_rows == int((lengths > SPAN + 2).sum()) < len(lengths)


def test_its_first_stages_move_what_they_should(split: Split) -> None:
    made, own = built(planned("diffuasr", **{"stages.0.epochs": 0, "training.epochs": 1}), split)
    before = weights(made)
    run = Fit(made, own, seed=0, options=planned("diffuasr").training, validate=lambda: {"ndcg@10": 0.0})
    for report in run.reports():
        if getattr(report, "losses", None) is not None and report.stage == "diffusion":
            break
    after = weights(made)
    moved = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"diffusions"}


@pytest.mark.parametrize(("data", "count"), [("beauty", 2_189), ("toys", 1_788), ("sports", 3_013), ("yelp", 4_841)])
def test_of_the_published_data_sets_so_many_users_teach_a_diffusion_of_ten_items(
    data: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seqaug.data import catalog

    if REAL_DATA is None or not (REAL_DATA / data).is_dir():
        pytest.skip(f"no real data: set SEQAUG_DATA to the folder that holds {data}/")
    monkeypatch.setenv("SEQAUG_DATA", str(REAL_DATA))
    own = Samples(leave_one_out(catalog.find(data).sequences))
    span = 10
    assert own.at_least(span + 3).num_rows == count
