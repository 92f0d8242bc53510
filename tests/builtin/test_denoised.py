"""The views of a diffusion (specification of simdiffrec, sections 9 and 19)."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, diffusion_of, drawing, model_of, step_of, toy
from seqaug.builtin.augmenters.denoised import DenoisedViews
from seqaug.builtin.denoisers.shared import SharedDenoiser
from seqaug.builtin.negative_samplers import RankedItem, UniformItems
from seqaug.builtin.noise_sources import GaussianNoise, SimilarityNoise
from seqaug.builtin.objectives.denoising import Denoising
from seqaug.builtin.objectives.info_nce import InfoNce
from seqaug.builtin.objectives.next_item_softmax import NextItemSoftmax
from seqaug.builtin.position_selectors import AllPositions, ConfidentPositions, NoPositions, RandomPositions
from seqaug.core.assembly import Assembly
from seqaug.core.items import ItemScores
from seqaug.core.recommender import Recommender
from seqaug.core.step import Step
from seqaug.core.views import Evidence

V = 20
SAMPLES = toy(num_items=V)


def denoised(**options: Any) -> DenoisedViews:
    """As in the recipe: the most confident fifth, rank 1 against rank 5."""
    given: dict[str, Any] = {
        "corrupt": AllPositions(),
        "replace": ConfidentPositions(),
        "positive": RankedItem(rank=1, exclude_target=False),
        "negative": RankedItem(rank=5),
    }
    return DenoisedViews(**{**given, **options})


def made(augmenter: DenoisedViews, model: Recommender | None = None, seed: object = 0) -> Step:
    return step_of(assembly_of(model or model_of(V), diffused=augmenter), SAMPLES, seed=seed)


class Watch(nn.Module):
    """A denoiser that remembers how it was asked, and answers with what it got."""

    predicts = "clean"

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.asked: list[tuple[list[int], bool, bool]] = []
        self.given: list[Tensor] = []

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Any, /) -> Tensor:
        self.asked.append((step.tolist(), self.training, torch.is_grad_enabled()))
        self.given.append(noised.detach())
        return noised * self.scale


def scores_from_t(step: Step) -> Tensor:
    """(N, V) restoration scores from t = T, written out."""
    model, diffusion = step.model, step.model.diffusion()
    items, layout = step.batch.items, step.batch.layout
    mode = diffusion.training
    diffusion.eval()
    with torch.no_grad():
        clean = model.items(items)
        noise = diffusion.noise.draw(clean, items, model.items, drawing())
        t = torch.full((layout.num_sequences,), 1000)
        restored = diffusion.restore(noise, t, layout)  # A_T = 0: nothing but noise goes in
    diffusion.train(mode)
    return restored @ model.items.catalogue.detach().t()


def test_positives_and_negatives_are_ranks_one_and_five_at_the_most_confident_positions() -> None:
    step = made(denoised())
    layout, items = step.batch.layout, step.batch.items
    scores = scores_from_t(step)
    confidence = torch.softmax(scores, 1).amax(1)
    order = torch.argsort(scores, dim=1, descending=True) + 1
    positive, negative = step.view("diffused.positive"), step.view("diffused.negative")
    for b, length in enumerate(layout.counts):
        here = (layout.sequence == b).nonzero()[:, 0].tolist()
        chosen = sorted(here, key=lambda n: -float(confidence[n]))[: max(1, length // 5)]
        for n in here:
            hard = order[n, 5] if order[n, 4] == items[n] else order[n, 4]
            assert int(positive.items[n]) == int(order[n, 0] if n in chosen else items[n])
            assert int(negative.items[n]) == int(hard if n in chosen else items[n])
    assert torch.equal(positive.edited, positive.items != items)
    assert positive.layout is layout and negative.layout is layout


def test_rank_one_for_both_makes_both_views_the_same() -> None:
    step = made(denoised(negative=RankedItem(rank=1, exclude_target=False)))
    assert torch.equal(step.view("diffused.positive").items, step.view("diffused.negative").items)


class Fixed(nn.Module):
    """A denoiser that always answers with the same vectors."""

    predicts = "clean"

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Any, /) -> Tensor:
        return self.answer


def certain_of_the_original() -> Recommender:
    """A model whose restoration gives the original item all probability."""
    batch = SAMPLES.take(torch.arange(8))
    model = model_of(V)
    with torch.no_grad():
        model.items.weight[1:] = torch.nn.functional.normalize(model.items.weight[1:], dim=1)
    model.diffusions["main"] = diffusion_of(denoiser=Fixed(100 * model.items(batch.items).detach()))
    return model


@pytest.mark.parametrize("confidence_step", ["last", "drawn"])
def test_a_restoration_that_is_certain_of_the_original_changes_nothing(confidence_step: str) -> None:
    step = made(denoised(confidence_step=confidence_step), certain_of_the_original())
    positive = step.view("diffused.positive")
    assert torch.equal(positive.items, step.batch.items) and not positive.edited.any()
    amount, out_of = step.records["identity_rate"]
    assert int(amount) == int(out_of) == sum(max(1, length // 5) for length in step.batch.layout.counts)
    assert step.view("diffused.negative").edited.sum() == out_of  # the original is never its own hard negative


def test_excluding_the_original_makes_the_positive_a_real_substitution_and_leaves_the_rate() -> None:
    step = made(denoised(positive=RankedItem(rank=1, exclude_target=True)), certain_of_the_original())
    amount, out_of = _rate(step)
    assert int(amount) == int(out_of) == int(step.view("diffused.positive").edited.sum())


def _rate(step: Step) -> tuple[Tensor, Tensor]:
    step.view("diffused.positive")
    return step.records["identity_rate"]


def test_identity_rate_is_the_share_of_chosen_positions_whose_best_item_is_the_original() -> None:
    step = made(denoised(replace=AllPositions(), positive=UniformItems()))
    amount, out_of = _rate(step)
    assert int(out_of) == len(step.batch.items)
    assert int(amount) == int((scores_from_t(step).argmax(1) + 1 == step.batch.items).sum())


def test_random_items_and_positions_are_options() -> None:
    augmenter = denoised(replace=RandomPositions(ratio=0.5), positive=UniformItems(), negative=UniformItems())
    step = made(augmenter)
    positive, negative = step.view("diffused.positive").items, step.view("diffused.negative").items
    assert not torch.equal(positive, negative)
    for items in (positive, negative):
        assert (items >= 1).all() and (items <= V).all()
        pairs = zip(step.batch.layout.padded(items), step.batch.layout.padded(step.batch.items), strict=True)
        for after, before in pairs:
            assert int((after != before).sum()) <= max(1, int((before > 0).sum()) // 2)


def test_nothing_is_replaced_where_no_position_is_chosen() -> None:
    step = made(denoised(replace=NoPositions()))
    assert torch.equal(step.view("diffused.positive").items, step.batch.items)
    assert int(step.records["identity_rate"][1]) == 0


# ---- what is computed, and when ----


def watched(**options: Any) -> tuple[Step, Watch]:
    watch = Watch()
    return made(denoised(**options), model_of(V, diffusion=diffusion_of(denoiser=watch))), watch


def test_contrast_alone_restores_once_from_the_last_step_without_gradient_or_dropout() -> None:
    step, watch = watched()
    step.view("diffused.positive"), step.view("diffused.negative")
    assert watch.asked == [([1000] * 8, False, False)]
    assert watch.training


def test_denoising_alone_restores_once_from_drawn_steps_and_makes_no_view() -> None:
    step, watch = watched()
    loss = Denoising(view="diffused.restored")(step)  # type: ignore[arg-type]
    ((steps, training, gradient),) = watch.asked
    assert training and gradient and all(1 <= t <= 1000 for t in steps) and len(set(steps)) > 1
    assert "identity_rate" not in step.records
    assert loss.requires_grad


def test_together_they_restore_twice_and_the_order_of_asking_changes_nothing() -> None:
    losses, items = [], []
    for contrast_first in (True, False):
        model = model_of(V)
        step = made(denoised(), model)
        if contrast_first:
            items.append(step.view("diffused.positive").items)
        loss = Denoising(view="diffused.positive")(step)  # type: ignore[arg-type]
        items.append(step.view("diffused.positive").items)
        loss.backward()
        losses.append((loss.detach(), model.items.weight.grad))
    assert all(torch.equal(items[0], one) for one in items)
    assert torch.equal(losses[0][0], losses[1][0])
    assert losses[0][1] is not None and torch.equal(losses[0][1], losses[1][1])  # type: ignore[arg-type]


def test_with_the_drawn_step_both_use_one_restoration() -> None:
    step, watch = watched(confidence_step="drawn")
    Denoising(view="diffused.positive")(step)  # type: ignore[arg-type]
    step.view("diffused.negative")
    assert len(watch.asked) == 1
    restoration = step.view("diffused.restored").restoration
    assert restoration is not None and restoration is step.view("diffused.positive").restoration
    best = restoration.scores.top(1)[0][:, 0]
    edited = step.view("diffused.positive").edited
    assert torch.equal(step.view("diffused.positive").items[edited], best[edited])


def test_a_chain_restores_in_its_number_of_steps() -> None:
    step, watch = watched(reverse="chain", chain_steps=5)
    step.view("diffused.positive")
    assert [steps[0] for steps, _, _ in watch.asked] == [1000, 800, 600, 400, 200]
    with pytest.raises(ValueError, match="needs confidence_step"):
        denoised(reverse="chain", confidence_step="drawn")


def test_only_corrupted_positions_are_noised() -> None:
    class Even:
        """The oldest position, the third, and so on."""

        def select(self, evidence: Evidence, generator: Generator) -> Tensor:
            return evidence.layout.from_start % 2 == 0

    step, watch = watched(corrupt=Even())
    restoration = step.view("diffused.restored").restoration
    assert restoration is not None and restoration.corrupted is not None
    same = (restoration.noised == restoration.clean).all(1)
    assert torch.equal(same, step.batch.layout.from_start % 2 == 1)
    step.view("diffused.positive")
    diffusion, layout = step.model.diffusion(), step.batch.layout
    with torch.no_grad():
        clean = step.embedded() + diffusion.time(torch.full_like(layout.lengths, 1000))[layout.sequence]
    assert torch.equal((watch.given[-1] == clean).all(1), ~restoration.corrupted)  # the last step likewise


@pytest.mark.parametrize("confidence_step", ["last", "drawn"])
def test_selectors_and_samplers_are_told_the_originals_the_noised_positions_and_the_scores(confidence_step: str) -> None:
    told: list[Evidence] = []

    class Listening:
        def sample(self, evidence: Evidence, count: int, generator: Generator) -> Tensor:
            told.append(evidence)
            return evidence.items[:, None].expand(-1, count)

    step = made(denoised(positive=Listening(), confidence_step=confidence_step))
    step.view("diffused.positive")
    (evidence,) = told
    assert torch.equal(evidence.targets, step.batch.items) and evidence.corrupted is not None and evidence.corrupted.all()
    assert isinstance(evidence.scores, ItemScores)
    restoration = step.view("diffused.restored").restoration
    assert restoration is not None
    best = scores_from_t(step).argmax(1) + 1 if confidence_step == "last" else restoration.scores.top(1)[0][:, 0]
    assert torch.equal(evidence.scores.top(1)[0][:, 0], best)
    assert not evidence.scores._hidden.requires_grad


def test_copies_share_positions_and_draw_their_own_items() -> None:
    augmenter = denoised(replace=AllPositions(), positive=UniformItems(), negative=None, copies=2)
    assert augmenter.view_names == ("restored", "positive_1", "positive_2")
    step = made(augmenter)
    first, second = step.view("diffused.positive_1").items, step.view("diffused.positive_2").items
    assert not torch.equal(first, second)
    both = denoised(copies=2)
    assert both.view_names == ("restored", "positive_1", "negative_1", "positive_2", "negative_2")
    step = made(both)
    # The second copy of a ranked sampler is the next rank.
    chosen = step.view("diffused.positive_1").items != step.view("diffused.positive_2").items
    assert int(chosen.sum()) == sum(max(1, length // 5) for length in step.batch.layout.counts)


# ---- randomness, gradient, memory ----


def test_everything_follows_the_run_and_nothing_the_global_state() -> None:
    def losses(seed: int, noise: object, state: int = 0) -> list[float]:
        step = made(denoised(replace=RandomPositions()), model_of(V, diffusion=diffusion_of(noise)), seed)
        terms = (Denoising(view="diffused.restored"), InfoNce(positive="diffused.positive", negatives=("diffused.negative",)))  # type: ignore[arg-type]
        torch.manual_seed(state)
        before = torch.get_rng_state()
        found = [float(term(step).detach()) for term in terms]
        assert torch.equal(before, torch.get_rng_state())
        return found

    for noise in (SimilarityNoise(k=3), GaussianNoise()):
        assert losses(1, noise) == losses(1, noise, state=7) != losses(2, noise)


def test_another_noise_leaves_the_other_draws_as_they_were() -> None:
    def drawn(noise: object) -> tuple[Tensor, Tensor]:
        step = made(denoised(replace=RandomPositions(ratio=0.5)), model_of(V, diffusion=diffusion_of(noise)))
        restoration = step.view("diffused.restored").restoration
        assert restoration is not None
        step.view("diffused.positive")
        return restoration.step, step.records["identity_rate"][1]

    first, second = drawn(SimilarityNoise(k=3)), drawn(GaussianNoise())
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def gradients(model: Recommender, term: Any, assembly: Assembly) -> set[str]:
    """The parts that a term moves."""
    model.zero_grad()
    term(step_of(assembly, SAMPLES)).backward()
    moved = set()
    for name, part in model.parts().items():
        if any(parameter.grad is not None and bool(parameter.grad.abs().sum() > 0) for parameter in part.parameters()):
            moved.add(name)
    return moved


def test_denoising_moves_the_items_and_the_diffusion_and_contrast_the_items_and_the_encoder() -> None:
    model = model_of(V)
    assembly = assembly_of(model, diffused=denoised())
    every = {"items", "encoders.main", "diffusions.main"}
    denoising = Denoising(view="diffused.positive")  # type: ignore[arg-type]
    contrast = InfoNce(positive="diffused.positive", negatives=("diffused.negative",))  # type: ignore[arg-type]
    assert gradients(model, denoising, assembly) == every - {"encoders.main"}
    assert gradients(model, contrast, assembly) == every - {"diffusions.main"}
    assert gradients(model, NextItemSoftmax(), assembly) == {"items", "encoders.main"}


def test_every_parameter_of_the_diffusion_learns_from_denoising() -> None:
    model = model_of(V)
    Denoising(view="diffused.restored")(made(denoised(), model)).backward()  # type: ignore[arg-type]
    for name, parameter in model.diffusion().named_parameters():
        assert parameter.grad is not None, name


def test_a_shared_denoiser_moves_the_encoder_too() -> None:
    model = model_of(V, diffusion=diffusion_of(denoiser=SharedDenoiser(DIM, MAX_LENGTH)))
    model.diffusion().denoiser.bind(model)  # type: ignore[operator]
    assembly = assembly_of(model, diffused=denoised())
    moved = gradients(model, Denoising(view="diffused.restored"), assembly)  # type: ignore[arg-type]
    assert moved == {"items", "encoders.main", "diffusions.main"}


def test_a_step_without_gradients_makes_none() -> None:
    with torch.no_grad():
        step = made(denoised())
        restoration = step.view("diffused.positive").restoration
    assert restoration is not None and not restoration.restored.requires_grad


def test_a_step_is_gone_when_nobody_holds_it() -> None:
    """A ring between a step and its views would keep the tensors of every step until Python's collector comes by."""
    gc.disable()
    try:
        for confidence_step in ("last", "drawn"):
            step = made(denoised(confidence_step=confidence_step))
            Denoising(view="diffused.positive")(step).backward()  # type: ignore[arg-type]
            gone = weakref.ref(step)
            del step
            assert gone() is None
    finally:
        gc.enable()


def test_views_depend_on_no_other_sequence_of_the_batch() -> None:
    model = model_of(V)
    assembly = assembly_of(model, diffused=denoised())
    together = step_of(assembly, SAMPLES, SAMPLES.take(torch.tensor([0, 1, 2])))
    alone = step_of(assembly, SAMPLES, SAMPLES.take(torch.tensor([2])))
    length = together.batch.layout.counts[2]
    for view in ("diffused.positive", "diffused.negative"):
        assert torch.equal(together.view(view).items[-length:], alone.view(view).items)
