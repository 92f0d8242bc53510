"""Losses that look at a sample of the catalogue, against the whole of it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from builtin.worlds import assembly_of, drawing, model_of, step_of, toy
from seqaug.builtin.objectives.next_item_gbce import NextItemGbce
from seqaug.builtin.objectives.next_item_sampled_softmax import NextItemSampledSoftmax
from seqaug.builtin.objectives.next_item_softmax import NextItemSoftmax
from seqaug.core.items import ItemScores, ItemTable
from seqaug.core.step import Step

V = 20
SAMPLES = toy(num_items=V)


def step_of_one(objective: object) -> Step:
    model = model_of(V).eval()
    with torch.no_grad():
        model.items.weight.mul_(3)  # scores far enough apart to matter
    return step_of(assembly_of(model, loss=objective), SAMPLES)


# ---- ItemScores.columns ----


@pytest.mark.parametrize("bias", [False, True])
def test_columns_are_the_scores_of_those_items_and_have_their_gradients(bias: bool) -> None:
    table = ItemTable(V, 4, bias=bias)
    if bias:
        with torch.no_grad():
            table.bias.copy_(torch.arange(V) / 7)  # type: ignore[union-attr]
    hidden = torch.randn(5, 4, generator=drawing(1), requires_grad=True)
    ids = torch.tensor([3, 1, 3, V])
    found = ItemScores(hidden, table).columns(ids)
    expected = ItemScores(hidden, table).of(ids.expand(5, 4))
    assert torch.allclose(found, expected, atol=1e-6)
    parameters = [hidden, *table.parameters()]
    weights = torch.randn(5, 4, generator=drawing(2))
    mine = torch.autograd.grad((found * weights).sum(), parameters)
    theirs = torch.autograd.grad((expected * weights).sum(), parameters)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(mine, theirs, strict=True))


def test_columns_of_dense_scores_are_read_off() -> None:
    scores = torch.arange(12.0).view(3, 4)
    assert ItemScores.dense(scores).columns(torch.tensor([4, 1])).tolist() == [[3, 0], [7, 4], [11, 8]]


# ---- next_item_sampled_softmax ----


def every_item_once(popularity: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """A sample that is the catalogue: each item was to be expected once."""
    return torch.arange(1, V + 1), torch.zeros(V)


def test_a_sample_that_is_the_catalogue_gives_the_softmax_and_its_gradient() -> None:
    sampled, whole = NextItemSampledSoftmax(count=3), NextItemSoftmax()
    sampled._drawn = every_item_once  # type: ignore[method-assign]
    found, expected = (step_of_one(one) for one in (sampled, whole))
    losses = sampled(found), whole(expected)
    assert torch.allclose(*losses, rtol=1e-5)
    for loss in losses:
        loss.backward()
    gradients = [step.model.items.weight.grad for step in (found, expected)]
    assert torch.allclose(gradients[0], gradients[1], atol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("proposal", ["uniform", "popularity"])
@pytest.mark.parametrize("power", [1.0, 0.75])
def test_the_sum_over_the_drawn_is_an_unbiased_estimate_of_the_sum_over_all_others(proposal: str, power: float) -> None:
    objective = NextItemSampledSoftmax(count=8, proposal=proposal, power=power)  # type: ignore[arg-type]
    scores, target = torch.randn(V, generator=drawing(3)).double(), 7
    popularity = SAMPLES.popularity
    generator, repeats = drawing(4), 4000
    estimates = torch.empty(repeats, dtype=torch.float64)
    for place in range(repeats):
        ids, log_expected = objective._drawn(popularity, generator)
        kept = ids != target
        estimates[place] = (scores[ids[kept] - 1] - log_expected[kept]).exp().sum()
    others = scores.exp().sum() - scores[target - 1].exp()
    error = float(estimates.std()) / math.sqrt(repeats)
    assert abs(float(estimates.mean() - others)) < 4 * error
    assert error < 0.05 * float(others)  # the test could tell


def test_half_as_many_draws_as_items_are_the_softmax_itself() -> None:
    sampled = NextItemSampledSoftmax(count=V // 2)
    with torch.no_grad():
        assert float(sampled(step_of_one(sampled))) == float(NextItemSoftmax()(step_of_one(sampled)))


def test_many_draws_come_near_the_softmax() -> None:
    sampled = NextItemSampledSoftmax(count=9)
    many = [sampled._drawn(SAMPLES.popularity, drawing(seed)) for seed in range(2000)]
    together = torch.cat([ids for ids, _ in many]), torch.cat([log + math.log(len(many)) for _, log in many])
    sampled._drawn = lambda popularity, generator: together  # type: ignore[method-assign]
    with torch.no_grad():
        expected = float(NextItemSoftmax()(step_of_one(sampled)))
        assert float(sampled(step_of_one(sampled))) == pytest.approx(expected, rel=0.02)


def test_popularity_is_drawn_in_proportion_to_actions_plus_one() -> None:
    popularity = torch.tensor([0, 0, 1, 8])
    objective = NextItemSampledSoftmax(count=50_000)
    ids, log_expected = objective._drawn(popularity, drawing(0))
    shares = torch.bincount(ids, minlength=4) / 50_000
    assert shares.tolist() == pytest.approx([0, 1 / 12, 2 / 12, 9 / 12], abs=0.01)
    expected = torch.tensor([1 / 12, 2 / 12, 9 / 12]) * 50_000
    assert torch.allclose(log_expected.exp(), expected[ids - 1].float(), rtol=1e-4)


def test_an_untrained_model_is_at_about_log_v_whatever_is_drawn() -> None:
    for count in (2, 50):
        objective = NextItemSampledSoftmax(count=count, proposal="uniform")
        model = model_of(V)
        with torch.no_grad():
            model.items.weight.mul_(1e-4)
        assert float(objective(step_of(assembly_of(model, loss=objective), SAMPLES)).detach()) == pytest.approx(
            math.log(V), abs=0.4
        )


# ---- next_item_gbce ----


def test_gbce_by_hand() -> None:
    objective = NextItemGbce(count=5, calibration=0.75)
    step = step_of_one(objective)
    drawn = torch.tensor([1, 2, 3, 3, 20])
    objective._drawn = lambda num_items, generator: drawn  # type: ignore[method-assign]
    with torch.no_grad():
        found = float(objective(step))
        scores = (step.hidden() @ step.model.items.catalogue.t()).double()
    beta, total = objective.beta(V), 0.0
    for n, target in enumerate(step.batch.targets.tolist()):
        total -= beta * math.log(1 / (1 + math.exp(-float(scores[n, target - 1]))))
        for item in drawn.tolist():
            if item != target:
                total -= math.log(1 - 1 / (1 + math.exp(-float(scores[n, item - 1]))))
    assert found == pytest.approx(total / len(scores), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "calibration", "beta"),
    [(5, 1.0, 5 / 20), (5, 0.0, 1.0), (5, 0.75, 0.4375), (20, 0.75, 1.0), (1, 1.0, 1 / 20)],
)
def test_beta_by_hand(count: int, calibration: float, beta: float) -> None:
    assert NextItemGbce(count=count, calibration=calibration).beta(V) == pytest.approx(beta)


def test_fully_calibrated_gbce_is_smallest_at_the_true_probability() -> None:
    """One score, a positive in a share p of the cases: with t = 1 the best sigma is p of all V items, not p of the drawn."""
    count, num_items, p = 4, 100, 0.2
    objective = NextItemGbce(count=count, calibration=1.0)
    score = torch.zeros((), dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        drawn = (1 - p) * count / num_items  # how often it stands against another target
        softplus = torch.nn.functional.softplus
        loss = p * objective.beta(num_items) * softplus(-score) + drawn * softplus(score)
        (gradient,) = torch.autograd.grad(loss, score)
        score = (score - 20 * gradient).detach().requires_grad_()
    assert float(score.detach().sigmoid()) == pytest.approx(p, abs=1e-3)


def test_gbce_of_an_untrained_model_is_known() -> None:
    objective = NextItemGbce(count=6, calibration=0.75)
    model = model_of(V)
    with torch.no_grad():
        model.items.weight.mul_(1e-4)
    step = step_of(assembly_of(model, loss=objective), SAMPLES)
    # About one drawn item in V is the target, and does not count.
    expected = (objective.beta(V) + 6 * (1 - 1 / V)) * math.log(2)
    assert float(objective(step).detach()) == pytest.approx(expected, abs=0.3)
