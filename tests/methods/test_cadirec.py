"""What the specification of CaDiRec says a correct implementation shows (section 10), on the recipe itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from seqaug.core.diffusion import Diffusion
from seqaug.core.step import Step
from seqaug.data.split import Split, leave_one_out
from seqaug.data.synthetic import toy_world
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.load import load_recipe
from seqaug.training.fit import Fit

from .test_recipes import built, compared, gradients, planned, step_of

QUIET = {"encoders.main.dropout": 0.0, "diffusions.main.denoiser.dropout": 0.0, "diffusions.main.denoiser.input_dropout": 0.0}
NOTHING = {"augmenters.diffused.corrupt.probability": 0.0}


@pytest.fixture(scope="module")
def split() -> Split:
    return leave_one_out(toy_world(num_users=250, num_items=100, max_length=12))


def term(step: Step, name: str) -> Tensor:
    """The value of an objective of the recipe."""
    found: Tensor = next(one for one in step.assembly.stages[0].updates[0].terms if one.name == name).objective(step)
    return found


def views(step: Step) -> tuple[Tensor, Tensor, Tensor]:
    first, second, clean = (step.view(name).items for name in ("diffused.positive_1", "diffused.positive_2", "clean"))
    return first, second, clean


# ---- 1: the process ----


def test_the_schedule_is_that_of_the_released_code_to_four_digits(split: Split) -> None:
    diffusion = step_of(planned("cadirec"), split).model.diffusion()
    assert diffusion.steps == 1000
    table = {0: 0.9766, 9: 0.9086, 99: 0.6905, 249: 0.5049, 499: 0.2958, 749: 0.1353, 899: 0.0518, 998: 0.0005, 999: 0.0}
    for place, retained in table.items():  # counted from 0, as the released code does
        assert diffusion.signal[place + 1].item() ** 2 == pytest.approx(retained, abs=1e-4)


def test_noised_positions_have_the_variance_of_their_step(split: Split) -> None:
    step = step_of(planned("cadirec", **{"augmenters.diffused.corrupt.probability": 1.0}), split, rows=200)
    made = step.view("diffused.restored").restoration
    assert made is not None
    diffusion = step.model.diffusion()
    t = made.step[made.layout.sequence]
    noise = (made.noised - diffusion.signal[t][:, None] * made.clean) / diffusion.noise_level[t][:, None]
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.var().item() == pytest.approx(1, rel=0.03)
    start = (made.clean - step.embedded()) / math.sqrt(1 - 0.9766)
    assert start.var().item() == pytest.approx(1, rel=0.03)


def test_each_sequence_draws_its_own_step_from_all_of_them(split: Split) -> None:
    step = step_of(planned("cadirec"), split, rows=200)
    made = step.view("diffused.restored").restoration
    assert made is not None and made.step.shape == (200,)
    assert made.step.min() >= 1 and made.step.max() <= 1000 and len(made.step.unique()) > 150


# ---- 2: where nothing was noised ----


def test_untouched_positions_go_in_bit_for_bit(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    made = step.view("diffused.restored").restoration
    assert made is not None and made.corrupted is not None
    assert torch.equal((made.noised == made.clean).all(1), ~made.corrupted)
    assert 0 < int(made.corrupted.sum()) < len(made.corrupted)


def test_without_corruption_the_denoising_is_0_and_both_views_are_the_history(split: Split) -> None:
    step = step_of(planned("cadirec", **NOTHING), split)
    first, second, clean = views(step)
    assert torch.equal(first, clean) and torch.equal(second, clean)
    assert term(step, "denoising").item() == 0


# ---- 3: the views ----


def test_views_differ_from_the_history_at_noised_positions_only_and_by_one_of_the_ten_best(split: Split) -> None:
    step = step_of(planned("cadirec"), split, rows=200)
    first, second, clean = views(step)
    made = step.view("diffused.positive_1").restoration
    assert made is not None and made.corrupted is not None
    best = made.scores.top(10)[0]
    for view in (first, second):
        assert torch.equal(view[~made.corrupted], clean[~made.corrupted])
        assert (best == view[:, None]).any(1)[made.corrupted].all()
        assert view.min() >= 1 and view.max() <= split.sequences.num_items
    at = made.corrupted
    assert 0.8 < float((first[at] != second[at]).float().mean()) < 0.98  # two draws of ten agree once in ten


def test_one_candidate_makes_both_views_the_same_and_the_contrast_that_of_duplicated_pairs(split: Split) -> None:
    step = step_of(planned("cadirec", **{"augmenters.diffused.positive.k": 1}, **QUIET), split)
    first, second, _ = views(step)
    assert torch.equal(first, second)
    with torch.no_grad():
        own = step.representation("diffused.positive_1")
        logits = own @ own.t()
        others = (logits.exp() * (1 - torch.eye(len(own)))).sum(1)
        expected = torch.log1p(2 * others / logits.diag().exp()).mean()
    assert term(step, "contrast").item() == pytest.approx(expected.item(), rel=1e-4)


# ---- 4: who learns from what ----


def test_the_contrast_moves_the_encoder_and_neither_items_nor_diffusion(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    assert gradients(step, "contrast") == {"items": False, "encoders.main": True, "diffusions.main": False}
    places = step.model.encoders["main"].positions.table.weight.grad  # type: ignore[union-attr]
    assert isinstance(places, Tensor) and bool(places.any())


def test_the_denoising_reaches_items_denoiser_and_time_and_not_the_encoder(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    assert gradients(step, "denoising") == {"items": True, "encoders.main": False, "diffusions.main": True}
    diffusion = step.model.diffusion()
    for part in (diffusion.times, diffusion.denoiser):
        assert part is not None
        assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in part.parameters())


def test_the_next_item_never_reaches_the_diffusion(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    assert gradients(step, "recommendation") == {"items": True, "encoders.main": True, "diffusions.main": False}


def test_the_squared_error_counts_by_its_weight_and_only_then(split: Split) -> None:
    plain = term(step_of(planned("cadirec"), split), "denoising").item()
    half, whole = (
        term(step_of(planned("cadirec", **{"objectives.denoising.squared_error": weight}), split), "denoising").item()
        for weight in (0.5, 1.0)
    )
    assert whole > half > plain
    assert whole - plain == pytest.approx(2 * (half - plain), rel=1e-4)


# ---- 5: the contrast ----


def test_orthogonal_pairs_of_norm_r_cost_what_the_formula_says(split: Split) -> None:
    """log(1 + (2 B - 2) exp(-r^2 / tau)) over 2 B views, each against all 2 B - 1 others."""
    r, size = 1.5, 20
    step = step_of(planned("cadirec"), split, rows=size)
    own = r * torch.eye(size, step.model.items.dim)

    class Both:
        def representation(self, view: str, encoder: str, *more: Any, **named: Any) -> Tensor:
            return own

        batch = step.batch

    objective: Any = next(one for one in step.assembly.stages[0].updates[0].terms if one.name == "contrast").objective
    assert objective(Both()).item() == pytest.approx(math.log(1 + (2 * size - 2) * math.exp(-(r**2))), rel=1e-5)


# ---- 6: the denoising ----


def test_the_denoising_is_the_mean_over_sequences_of_the_mean_over_their_noised_positions(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    made = step.view("diffused.restored").restoration
    assert made is not None and made.corrupted is not None
    with torch.no_grad():
        terms = -torch.log_softmax(made.restored @ step.model.items.catalogue.t(), 1)
        own = terms[torch.arange(len(terms)), made.items - 1]
        total, empty = 0.0, 0
        for b in range(made.layout.num_sequences):
            here = (made.layout.sequence == b) & made.corrupted
            total += float(own[here].sum() / (here.sum() + 1e-5))  # as the released code divides
            empty += int(not here.any())
    assert empty > 0
    assert term(step, "denoising").item() == pytest.approx(total / made.layout.num_sequences, rel=1e-4)


# ---- 7: what sees what ----


def restored_at(diffusion: Diffusion, noised: Tensor, step: Step) -> Tensor:
    t = torch.full((step.batch.layout.num_sequences,), 500)
    with torch.no_grad():
        return diffusion.restore(noised, t, step.batch.layout)


def test_a_noised_position_is_restored_from_both_sides_and_the_encoder_looks_back_only(split: Split) -> None:
    step = step_of(planned("cadirec"), split)
    step.model.eval()
    layout, diffusion = step.batch.layout, step.model.diffusion()
    sequence = int(torch.tensor(layout.counts).argmax())
    begin, end = int(layout.offsets[sequence]), int(layout.offsets[sequence + 1])
    middle = (begin + end) // 2
    vectors = torch.randn(layout.num_positions, step.model.items.dim, generator=torch.Generator().manual_seed(0))
    before, encoded = restored_at(diffusion, vectors, step), step.model.encode(vectors, layout, "main")
    for place in (begin, end - 1):
        other = vectors.clone()
        other[place] = -other[place]
        moved = (restored_at(diffusion, other, step) - before).abs().amax(1) > 1e-7
        assert bool(moved[middle])
        assert not moved[:begin].any() and not moved[end:].any()
        seen = (step.model.encode(other, layout, "main") - encoded).abs().amax(1) > 1e-7
        assert bool(seen[middle]) is (place < middle)


# ---- 8: with and without ----


def test_without_its_extra_terms_cadirec_is_sasrec_with_its_own_loss_bit_for_bit(split: Split) -> None:
    """sasrec with the binary cross-entropy and the narrower feed-forward of the released code."""
    loss = load_recipe("cadirec").table["objectives"]["recommendation"]
    own = {"encoders.main.inner": 128, "training.validate_every": 1, "objectives.recommendation": loss}
    compared("cadirec", {"objectives.contrast.weight": 0, "objectives.denoising.weight": 0}, split, **own)


def test_recommending_depends_on_no_parameter_of_the_diffusion(split: Split) -> None:
    made, _ = built(planned("cadirec"), split)
    before = rank_held_out(made, split.test, seed=0).rank
    with torch.no_grad():
        for parameter in made.model.diffusions.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert np.array_equal(rank_held_out(made, split.test, seed=0).rank, before)


# ---- and beyond ----


def test_the_denoiser_learns_to_tell_the_noised_items_from_their_context(split: Split) -> None:
    plan = planned("cadirec", **{"training.epochs": 28, "training.validate_every": 28})
    made, own = built(plan, split)
    run = Fit(made, own, seed=0, options=plan.training, validate=lambda: {"ndcg@10": 0.0})
    losses = [report.losses["denoising"] for report in run.reports() if hasattr(report, "losses")]
    assert losses[-1] < 0.85 * losses[0]


def test_cadirec_is_the_augmenter_of_simdiffrec_with_other_selectors() -> None:
    ours, theirs = (load_recipe(name).table["augmenters"]["diffused"] for name in ("cadirec", "simdiffrec"))
    assert ours["use"] == theirs["use"] == "denoised"
    assert [ours[key]["use"] for key in ("corrupt", "replace", "positive")] == ["random", "corrupted", "among_top"]
