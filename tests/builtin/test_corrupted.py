"""Positions that were noised, candidates among the best, and what the diffusion's views make of both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from builtin.worlds import DIM, assembly_of, batch_of, counts, diffusion_of, drawing, evidence_of, model_of, seeds, step_of, toy
from seqaug.builtin.augmenters.denoised import DenoisedViews
from seqaug.builtin.negative_samplers import AmongTop
from seqaug.builtin.noise_sources import GaussianNoise
from seqaug.builtin.objectives.denoising import Denoising
from seqaug.builtin.position_selectors import CorruptedPositions, NoPositions, RandomPositions
from seqaug.core.assembly import Assembly
from seqaug.core.items import ItemScores
from seqaug.core.step import Step
from seqaug.core.views import Evidence, Restoration, View
from seqaug.errors import RecipeError

V = 20
SAMPLES = toy(num_items=V)


# ---- corrupted ----


@given(lengths=counts, seed=seeds)
@settings(max_examples=50, deadline=None)
def test_the_corrupted_positions_are_those_that_were_noised(lengths: list[int], seed: int) -> None:
    evidence = evidence_of(lengths, seed=seed)
    noised = torch.rand(sum(lengths), generator=drawing(seed)) < 0.4
    draw = drawing(seed)
    before = draw.get_state()
    assert torch.equal(CorruptedPositions().select(replace(evidence, corrupted=noised), draw), noised)
    assert torch.equal(draw.get_state(), before)


def test_where_nothing_was_noised_there_are_no_corrupted_positions_to_ask_for() -> None:
    with pytest.raises(RecipeError, match="nothing has been noised where that stands"):
        CorruptedPositions().select(evidence_of([3]), drawing())


# ---- among_top ----


def ranked(evidence: Evidence, scores: Tensor) -> Evidence:
    return replace(evidence, ask_scores=lambda: ItemScores.dense(scores))


@given(lengths=counts, seed=seeds, k=st.integers(1, 9), excluded=st.booleans())
@settings(max_examples=100, deadline=None)
def test_candidates_are_among_the_k_best(lengths: list[int], seed: int, k: int, excluded: bool) -> None:
    evidence = evidence_of(lengths, 10, seed)
    scores = torch.randn(sum(lengths), 10, generator=drawing(seed))
    drawn = AmongTop(k=k, exclude_target=excluded).sample(ranked(evidence, scores), 3, drawing(seed))
    assert drawn.shape == (sum(lengths), 3)
    order = (torch.argsort(scores, dim=1, descending=True) + 1).tolist()
    for n, best in enumerate(order):
        target = int(evidence.targets[n])
        allowed = [item for item in best if not (excluded and item == target)][:k]
        assert set(drawn[n].tolist()) <= set(allowed)


@pytest.mark.parametrize("excluded", [False, True])
@pytest.mark.parametrize("target", [1, 3, 9])
def test_each_of_the_k_best_is_drawn_equally_often(excluded: bool, target: int) -> None:
    """The scores fall with the id; the target is the best, within the best, or outside."""
    evidence = replace(evidence_of([1]), targets=torch.tensor([target]))
    drawn = AmongTop(k=4, exclude_target=excluded).sample(ranked(evidence, -torch.arange(10.0)[None]), 40_000, drawing())
    allowed = [item for item in range(1, 11) if not (excluded and item == target)][:4]
    share = torch.bincount(drawn[0], minlength=11) / 40_000
    for item in range(1, 11):
        assert share[item].item() == pytest.approx(0.25 if item in allowed else 0, abs=0.01)


def test_one_candidate_is_the_most_likely_item() -> None:
    scores = torch.randn(4, 10)
    drawn = AmongTop(k=1).sample(ranked(evidence_of([4]), scores), 2, drawing())
    assert torch.equal(drawn, (scores.argmax(1) + 1)[:, None].expand(4, 2))


def test_more_candidates_than_items_are_refused() -> None:
    evidence = ranked(evidence_of([2]), torch.randn(2, 10))
    assert AmongTop(k=10).sample(evidence, 1, drawing()).shape == (2, 1)
    with pytest.raises(RecipeError, match="the best 11 items of a catalogue of 10"):
        AmongTop(k=10, exclude_target=True).sample(evidence, 1, drawing())


# ---- the diffusion's views ----


def denoised(**options: Any) -> DenoisedViews:
    given: dict[str, Any] = {
        "corrupt": RandomPositions(probability=0.4),
        "replace": CorruptedPositions(),
        "positive": AmongTop(k=3),
        "confidence_step": "drawn",
        "copies": 2,
        "freeze_items": True,
    }
    return DenoisedViews(**{**given, **options})


def made(augmenter: DenoisedViews, seed: object = 0, **options: object) -> Step:
    model = model_of(V, diffusion=diffusion_of(GaussianNoise(), **options))
    assembly = assembly_of(model, diffused=augmenter)
    paths = {**assembly.plugins, "diffusions.main": model.diffusion()}
    return step_of(Assembly(model, assembly.augmenters, (), assembly.scorer, paths), SAMPLES, seed=seed)


def test_two_copies_share_their_positions_and_draw_their_items_apart() -> None:
    step = made(denoised())
    first, second, clean = (step.view(name) for name in ("diffused.positive_1", "diffused.positive_2", "clean"))
    restoration = first.restoration
    assert restoration is not None and restoration.corrupted is not None
    best = restoration.scores.top(3)[0]
    for view in (first, second):
        assert not (view.edited & ~restoration.corrupted).any()
        assert torch.equal(view.items[~restoration.corrupted], clean.items[~restoration.corrupted])
        assert (best == view.items[:, None]).any(1)[restoration.corrupted].all()
    assert not torch.equal(first.items, second.items)


@pytest.mark.parametrize("name", ["restored", "positive_1"])
@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_views_read_the_item_table_as_it_is_and_teach_it_nothing(name: str, frozen: bool) -> None:
    step = made(denoised(freeze_items=frozen))
    view = step.view(f"diffused.{name}")
    assert torch.equal(step.embedded(f"diffused.{name}"), step.model.items.weight[view.items])
    hidden = step.hidden(f"diffused.{name}")
    (hidden * torch.randn_like(hidden)).sum().backward()
    assert (step.model.items.weight.grad is None) is frozen
    assert all(parameter.grad is not None for parameter in step.model.encoders["main"].parameters())


def test_start_noise_is_at_every_position_and_the_untouched_keep_it_bit_for_bit() -> None:
    step = made(denoised(), start_noise=True)
    restoration = step.view("diffused.restored").restoration
    assert restoration is not None and restoration.corrupted is not None
    assert 0 < int(restoration.corrupted.sum()) < len(restoration.items)
    assert not (restoration.clean == step.embedded()).any(1).any()
    untouched = ~restoration.corrupted
    assert torch.equal(restoration.noised[untouched], restoration.clean[untouched])
    assert not (restoration.noised == restoration.clean).all(1)[restoration.corrupted].any()
    step = made(denoised(), start_noise=True)
    again = step.view("diffused.restored").restoration
    assert again is not None and torch.equal(again.clean, restoration.clean)


def test_without_start_noise_the_diffusion_starts_from_the_items_themselves() -> None:
    step = made(denoised())
    restoration = step.view("diffused.restored").restoration
    assert restoration is not None and torch.equal(restoration.clean, step.embedded())


def test_without_corrupted_positions_both_copies_are_the_history_and_the_denoising_costs_nothing() -> None:
    step = made(denoised(corrupt=NoPositions()))
    for copy in (1, 2):
        view = step.view(f"diffused.positive_{copy}")
        assert torch.equal(view.items, step.batch.items) and not view.edited.any()
    losses = [
        Denoising(view="diffused.restored", positions="corrupted", average=average)(step)  # type: ignore[arg-type]
        for average in ("positions", "sequences")
    ]
    assert [loss.item() for loss in losses] == [0, 0]
    torch.stack(losses).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in step.model.parameters())


# ---- the average over sequences ----


class Given:
    """A view made by hand."""

    view_names = ("v",)

    def __init__(self, view: View) -> None:
        self.view = view

    def views(self, step: Step) -> tuple[View]:
        return (self.view,)


def restored_step(corrupted: Tensor | None) -> tuple[Step, Restoration]:
    batch, model, draw = batch_of([1, 2, 3, 4], [4, 5], [6]), model_of(V), drawing(1)
    clean = model.items(batch.items).detach()
    restored = torch.randn(7, DIM, generator=draw).requires_grad_()
    scores = ItemScores(restored, model.items)
    done = Restoration(batch.layout, batch.items, clean, clean, restored, torch.tensor([1, 2, 3]), corrupted, scores)
    view = View(batch.layout, batch.items, torch.zeros(7, dtype=torch.bool), ask_restoration=lambda: done)
    return step_of(assembly_of(model, given=Given(view)), SAMPLES, batch), done


@pytest.mark.parametrize("positions", ["corrupted", "all"])
@pytest.mark.parametrize("squared_error", [0.0, 0.5])
def test_the_average_over_sequences_is_the_mean_of_means_and_0_for_one_without_any(
    positions: str, squared_error: float
) -> None:
    corrupted = torch.tensor([True, False, True, True, False, True, False])
    step, done = restored_step(corrupted)
    with torch.no_grad():
        logits = done.restored @ step.model.items.catalogue.t()
        terms = -torch.log_softmax(logits, 1)[torch.arange(7), done.items - 1]
        terms = terms + squared_error * (done.restored - done.clean).square().sum(1)
    means = []
    for sequence in (slice(0, 4), slice(4, 6), slice(6, 7)):
        own = terms[sequence] if positions == "all" else terms[sequence][corrupted[sequence]]
        means.append(float(own.mean()) if len(own) else 0.0)
    loss = Denoising(
        view="given.v",  # type: ignore[arg-type]
        positions=positions,  # type: ignore[arg-type]
        average="sequences",
        squared_error=squared_error,
    )(step)
    assert loss.item() == pytest.approx(sum(means) / 3, rel=1e-5)


def test_a_denoising_at_the_corrupted_positions_teaches_no_other() -> None:
    corrupted = torch.tensor([True, False, True, True, False, True, False])
    step, done = restored_step(corrupted)
    Denoising(view="given.v", positions="corrupted", average="sequences")(step).backward()  # type: ignore[arg-type]
    assert done.restored.grad is not None
    assert torch.equal((done.restored.grad != 0).any(1), corrupted)


def test_a_drawn_restoration_is_told_to_samplers_and_never_walks_to_the_last_step() -> None:
    told: list[Evidence] = []

    class Listening:
        def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
            told.append(evidence)
            return evidence.items[:, None].expand(-1, count)

    step = made(denoised(positive=Listening()))
    view = step.view("diffused.positive_1")
    restoration = view.restoration
    assert restoration is not None
    assert torch.equal(told[0].scores.top(3)[0], restoration.scores.top(3)[0])
