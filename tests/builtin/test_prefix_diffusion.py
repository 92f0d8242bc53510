"""Learning to make up what came before a history: of whom, what is noised, under which condition, against what."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, diffusion_of, drawing, model_of, step_of, toy
from seqaug.builtin.noise_sources import GaussianNoise
from seqaug.builtin.objectives.prefix_diffusion import PrefixDiffusion
from seqaug.core.diffusion import Diffusion
from seqaug.core.step import Step
from seqaug.data.samples import Kind, Samples
from seqaug.errors import RecipeError

SPAN = 3


class Listening(nn.Module):
    """Answers with a linear map of what it was shown and told, and keeps both."""

    def __init__(self, predicts: Literal["clean", "noise"] = "noise") -> None:
        super().__init__()
        self.predicts = predicts
        self.map = nn.Linear(DIM, DIM)
        self.heard: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Any, /) -> Tensor:
        assert condition is not None and set(layout.counts) == {SPAN}
        self.heard.append((noised.detach(), step, condition.detach()))
        answer: Tensor = self.map(noised + condition[layout.sequence])
        return answer


def diffusion(predicts: Literal["clean", "noise"] = "noise", **options: Any) -> Diffusion:
    wanted = {"span": SPAN, "null_condition": True, "time_embedding": "none"} | options
    return diffusion_of(noise=GaussianNoise(), denoiser=Listening(predicts), **wanted)


def asked(
    samples: Samples, made: Diffusion | None = None, rows: Tensor | None = None, **options: Any
) -> tuple[PrefixDiffusion, Step]:
    """An objective and a step on the given rows, or on all."""
    objective = PrefixDiffusion(**options)
    model = model_of(samples.num_items, diffusion=made or diffusion())
    batch = samples.take(torch.arange(samples.num_rows) if rows is None else rows)
    return objective, step_of(assembly_of(model, generation=objective), samples, batch)


def heard(step: Step) -> list[tuple[Tensor, Tensor, Tensor]]:
    listening = step.model.diffusion("main").denoiser
    assert isinstance(listening, Listening)
    return listening.heard


def spread(step: Step) -> Tensor:
    return step.model.items.catalogue.detach().std()


def long_enough(step: Step) -> list[Tensor]:
    """The training items of the users of the batch with more than M + 2 of them, by user."""
    users = sorted(set(step.batch.users.tolist()))
    return [one for one in (step.samples.histories.of(user) for user in users) if len(one) > SPAN + 2]


@pytest.mark.parametrize("kind", ["sequences", "prefixes"])
def test_only_users_with_more_than_span_plus_two_training_items_count_and_each_once(kind: Kind) -> None:
    objective, step = asked(toy(kind=kind))
    objective(step)
    ((noised, _, _),) = heard(step)
    chosen = long_enough(step)
    assert 0 < len(chosen) < step.samples.num_users
    assert len(noised) == SPAN * len(chosen)


def test_the_first_items_are_noised_in_their_order_and_the_loss_is_the_mean_squared_error_of_the_noise() -> None:
    objective, step = asked(toy(), drop_condition=0.0)
    loss = objective(step)
    ((noised, t, condition),) = heard(step)
    made, table = step.model.diffusion("main"), step.model.items
    first = torch.stack([one[:SPAN] for one in long_enough(step)])
    noise = made.noise.draw(table(first.flatten()), first.flatten(), table, step.generator(made.noise))
    total, place = 0.0, 0
    for user, items in enumerate(first):
        for item in items:
            a, c = made.signal[t[user]], made.noise_level[t[user]]
            assert torch.allclose(noised[place], a * table.weight[item] / spread(step) + c * noise[place], atol=1e-6)
            answer = made.denoiser.map(noised[place] + condition[user])  # type: ignore[union-attr,operator]
            total += float(((answer - noise[place]) ** 2).sum().detach())
            place += 1
    assert loss.item() == pytest.approx(total / (place * DIM), rel=1e-5)


def test_a_denoiser_that_predicts_the_items_is_held_against_the_items() -> None:
    objective, step = asked(toy(), diffusion("clean"), drop_condition=0.0)
    loss = objective(step)
    ((noised, _, condition),) = heard(step)
    first = torch.cat([one[:SPAN] for one in long_enough(step)])
    answer = step.model.diffusion("main").denoiser.map(noised + condition.repeat_interleave(SPAN, 0))  # type: ignore[union-attr,operator]
    assert loss.item() == pytest.approx((answer - step.model.items(first) / spread(step)).square().mean().item(), rel=1e-5)


def test_vectors_of_any_length_are_noised_alike_unless_that_is_not_wanted() -> None:
    """Ten times the item vectors: the same loss, and no gradient through what they are divided by."""
    losses: dict[tuple[bool, int], float] = {}
    for standardised in (True, False):
        for times in (1, 10):
            objective, step = asked(toy(), standardised=standardised)
            with torch.no_grad():
                step.model.items.weight.mul_(times)
            losses[standardised, times] = objective(step).item()
    assert losses[True, 1] == pytest.approx(losses[True, 10], rel=1e-4)
    assert losses[False, 1] != pytest.approx(losses[False, 10], rel=1e-2)


@pytest.mark.parametrize("pool", ["mean", "sum"])
def test_the_condition_is_pooled_from_the_latest_of_the_rest(pool: Literal["mean", "sum"]) -> None:
    samples = toy()
    objective, step = asked(samples, pool=pool, drop_condition=0.0)
    step.model.max_length = 5
    objective(step)
    ((_, _, condition),) = heard(step)
    chosen = long_enough(step)
    assert max(len(one) for one in chosen) > SPAN + 5, "a history has to be cut for this test to say anything"
    for row, items in zip(condition, chosen, strict=True):
        vectors = step.model.items(items[SPAN:][-5:]) / spread(step)
        assert torch.allclose(row, vectors.mean(0) if pool == "mean" else vectors.sum(0), atol=1e-6)


def test_half_of_the_steps_mirror_the_other_half() -> None:
    objective, step = asked(toy(60))
    objective(step)
    ((_, t, _),) = heard(step)
    half = (len(t) + 1) // 2
    assert torch.equal(t[half:], 1001 - t[: len(t) - half])
    assert int(t.min()) >= 1 and int(t.max()) <= 1000 and len(set(t.tolist())) > 3
    other, again = asked(toy(60), antithetic=False)
    other(again)
    ((_, free, _),) = heard(again)
    assert len(free) == len(t) and not torch.equal(free[half:], 1001 - free[: len(t) - half])


@pytest.mark.parametrize("count", [1, 2, 7])
def test_steps_are_as_many_as_users_and_reach_both_ends(count: int) -> None:
    drawn = torch.cat([PrefixDiffusion()._steps(3, count, drawing(seed)) for seed in range(40)])
    assert len(drawn) == 40 * count and set(drawn.tolist()) == {1, 2, 3}


def test_always_dropped_conditions_are_the_null_vector_and_never_dropped_ones_leave_it_alone() -> None:
    objective, step = asked(toy(), drop_condition=1.0)
    objective(step)
    ((_, _, condition),) = heard(step)
    null = step.model.diffusion("main").null
    assert null is not None and torch.equal(condition, null.detach().expand_as(condition))
    objective, step = asked(toy(), drop_condition=0.0)
    objective(step).backward()  # type: ignore[no-untyped-call]
    null = step.model.diffusion("main").null
    assert null is not None and (null.grad is None or not null.grad.any())


def test_about_as_many_conditions_are_dropped_as_asked_for() -> None:
    objective, step = asked(toy(600), drop_condition=0.3)
    objective(step)
    ((_, _, condition),) = heard(step)
    null = step.model.diffusion("main").null
    assert null is not None
    share = (condition == null).all(1).float().mean().item()
    assert len(condition) > 150 and abs(share - 0.3) < 0.1


def test_released_guidance_compares_both_answers_with_the_noise() -> None:
    """MSE(e(c) + gamma (e(c) - e(null)), noise); gamma = 0 is the plain conditional loss."""
    losses = {}
    for gamma in (0.0, 1.0, 2.5):
        objective, step = asked(toy(), guidance="released", gamma=gamma)
        losses[gamma] = objective(step).item()
        (noised, _, condition), (same, _, null) = heard(step)
        assert torch.equal(noised, same)
        assert torch.equal(null, step.model.diffusion("main").null.detach().expand_as(null))  # type: ignore[union-attr]
    made = step.model.diffusion("main")
    first = torch.cat([one[:SPAN] for one in long_enough(step)])
    noise = made.noise.draw(step.model.items(first), first, step.model.items, step.generator(made.noise))
    told, untold = (made.denoiser.map(noised + one.repeat_interleave(SPAN, 0)) for one in (condition, null))  # type: ignore[union-attr,operator]
    for gamma, loss in losses.items():
        assert loss == pytest.approx((told + gamma * (told - untold) - noise).square().mean().item(), rel=1e-4)
    objective, step = asked(toy(), guidance="none")
    assert objective(step).item() == pytest.approx(losses[0.0], rel=1e-6)


def test_where_nobody_is_long_enough_there_is_nothing_to_learn() -> None:
    samples = toy()
    lengths = samples.histories.lengths[samples.take(torch.arange(samples.num_rows)).users]
    objective, step = asked(samples, rows=(lengths <= SPAN + 2).nonzero()[:, 0])
    loss = objective(step)
    assert loss.item() == 0 and loss.dim() == 0 and not loss.requires_grad
    assert not heard(step)


def test_the_same_seed_gives_the_same_loss() -> None:
    def once() -> float:
        objective, step = asked(toy())
        return objective(step).item()

    assert once() == once()


def test_what_the_diffusion_lacks_is_said_before_anything_is_trained() -> None:
    with pytest.raises(RecipeError, match=r"diffusions\.main\.span = 10"):
        PrefixDiffusion().bind(model_of(9, diffusion=diffusion(span=None)))
    bare = model_of(9, diffusion=diffusion(null_condition=False))
    with pytest.raises(RecipeError, match=r"null_condition = true"):
        PrefixDiffusion().bind(bare)
    PrefixDiffusion(guidance="none").bind(bare)
    PrefixDiffusion().bind(model_of(9, diffusion=diffusion()))


def test_the_longest_histories_are_longer_than_an_encoder_reads() -> None:
    """The first items of a history are noised even where they lie before the latest max_length."""
    samples = toy()
    assert int(samples.histories.lengths.max()) > MAX_LENGTH
