"""Items made up in front of histories: from what, by which chain, under which guidance, rounded to what."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

import seqaug.builtin.rewriters as module
from builtin.worlds import DIM, MAX_LENGTH, drawing, model_of, seeds, toy
from seqaug.builtin.noise_sources import GaussianNoise, SimilarityNoise
from seqaug.builtin.rewriters import PrependGenerated, _rounded
from seqaug.builtin.schedules import LinearSchedule
from seqaug.core.diffusion import Diffusion
from seqaug.core.items import ItemTable
from seqaug.core.recommender import Recommender
from seqaug.data.layout import Layout
from seqaug.data.split import Histories
from seqaug.errors import RecipeError

SPAN, ITEMS = 3, 20


class Mixing(nn.Module):
    """Predicts noise from the vector, the mean of its span, the step and the condition; every user on its own."""

    predicts = "noise"

    def __init__(self) -> None:
        super().__init__()
        self.own, self.shared, self.guide = nn.Linear(DIM, DIM), nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        told = self.shared(layout.mean(noised)) + step[:, None] / 1000
        if condition is not None:
            told = told + 2 * self.guide(condition)
        answer: Tensor = torch.tanh(self.own(noised) + told[layout.sequence])
        return answer


def model(**options: Any) -> Recommender:
    usual = {"span": SPAN, "null_condition": True, "noise": GaussianNoise()}
    # With no signal left at t = T, as the schedule's default has it, predicted noise would say nothing of the items there.
    schedule = LinearSchedule(zero_terminal_snr=False)
    torch.manual_seed(3)
    made = Diffusion(DIM, MAX_LENGTH, schedule=schedule, denoiser=Mixing(), time_embedding="none", **(usual | options))  # type: ignore[arg-type]
    return model_of(ITEMS, diffusion=made).eval()  # as whoever asks a rewriter has it


def histories(*own: list[int]) -> Histories:
    offsets = torch.tensor([0, *[len(one) for one in own]]).cumsum(0)
    return Histories(offsets, torch.tensor([item for one in own for item in one]), ITEMS)


def three() -> Histories:
    return histories([1, 2, 3, 4], [5], [7, 8, 9, 10, 11, 12, 13])


def spread(own: Recommender) -> Tensor:
    return own.items.weight[1 : ITEMS + 1].std()


# ---- what comes out ----


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_every_user_however_short_gets_span_ids_of_the_catalogue(seed: int) -> None:
    users = toy(num_items=ITEMS, seed=seed % 5).histories
    made = PrependGenerated().rewrite(model(), users, drawing(seed))
    assert made.shape == (users.num_users, SPAN) and made.dtype == torch.int64
    assert 1 <= int(made.min()) and int(made.max()) <= ITEMS


def test_the_same_generator_makes_the_same_items_and_another_others() -> None:
    made = [PrependGenerated().rewrite(model(), toy(num_items=ITEMS).histories, drawing(seed)) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_weights_are_as_before() -> None:
    own = model()
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    made = [PrependGenerated(guidance="classifier_guided").rewrite(own, three(), drawing()) for _ in range(2)]
    assert torch.equal(made[0], made[1])
    assert all(torch.equal(tensor, before[name]) for name, tensor in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())


def test_what_one_user_gets_depends_on_no_other_users_history() -> None:
    made = PrependGenerated().rewrite(model(), three(), drawing())
    other = PrependGenerated().rewrite(model(), histories([1, 2, 3, 4], [5], [19, 18]), drawing())
    assert torch.equal(made[:2], other[:2]) and not torch.equal(made[2], other[2])


def test_users_are_drawn_for_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first block does not depend on who comes after it."""
    monkeypatch.setattr(module, "BLOCK", 2)
    made = PrependGenerated().rewrite(model(), three(), drawing())
    assert made.shape == (3, SPAN)
    assert torch.equal(made[:2], PrependGenerated().rewrite(model(), histories([1, 2, 3, 4], [5]), drawing()))
    assert module.BLOCK == 2


def test_the_condition_is_pooled_from_the_latest_of_the_whole_history() -> None:
    own = model()
    own.max_length = 5
    for pool, standardised in (("mean", True), ("mean", False), ("sum", True)):
        found = PrependGenerated(pool=pool, standardised=standardised).condition(own, three())  # type: ignore[arg-type]
        for row, items in zip(found, ([1, 2, 3, 4], [5], [9, 10, 11, 12, 13]), strict=True):
            vectors = own.items(torch.tensor(items)) / (spread(own) if standardised else 1)
            assert torch.allclose(row, vectors.mean(0) if pool == "mean" else vectors.sum(0), atol=1e-6)


# ---- the chain ----


def by_hand(own: Recommender, users: list[list[int]], times: list[int], gamma: float, seed: int) -> Tensor:
    """Specification, section 3, on the predicted noise, one user and one step after the other."""
    made = own.diffusion("main")
    state = torch.randn((module.BLOCK * SPAN, DIM), generator=drawing(seed))
    answers = []
    for place, items in enumerate(users):
        layout, z = Layout.of([SPAN]), state[place * SPAN : (place + 1) * SPAN]
        condition = own.items(torch.tensor(items)).mean(0, keepdim=True) / spread(own)
        for now, after in zip(times, [*times[1:], 0], strict=True):
            t = torch.tensor([now])
            told = made.denoiser(z, t, condition, layout)  # type: ignore[operator]
            assert made.null is not None
            untold = made.denoiser(z, t, made.null[None], layout)  # type: ignore[operator]
            noise = told + gamma * (told - untold)
            a, c = made.signal[now], made.noise_level[now]
            clean = (z - c * noise) / a
            z = clean if after == 0 else made.signal[after] * clean + made.noise_level[after] * noise
        answers.append(torch.cosine_similarity(z[:, None], own.items.catalogue[None], dim=2).argmax(1) + 1)
    return torch.stack(answers)


@pytest.mark.parametrize(("gamma", "start", "times"), [
    (1.0, "last", [1000, 800, 600, 400, 200]),
    (0.0, "last", [1000, 800, 600, 400, 200]),
    (2.0, "released", [801, 601, 401, 201, 1]),
])  # fmt: skip
@torch.no_grad()
def test_the_chain_is_the_one_of_the_specification(gamma: float, start: Any, times: list[int]) -> None:
    users = [[1, 2, 3, 4], [5], [7, 8, 9, 10, 11, 12, 13]]
    made = PrependGenerated(scale=gamma, start=start).rewrite(model(), histories(*users), drawing(4))
    assert torch.equal(made, by_hand(model(), users, times, gamma, 4))


def state(own: Recommender, seed: int = 0) -> tuple[Tensor, Layout]:
    layout = Layout.of([SPAN] * 3)
    return torch.randn(layout.num_positions, DIM, generator=drawing(seed)), layout


def guessed(own: Recommender, z: Tensor, t: int = 400, **options: Any) -> Tensor:
    rewriter = PrependGenerated(**options)
    return rewriter.guess(own, rewriter.condition(own, three()), rewriter.first(own, three()))(z, t)


# ---- classifier-free guidance ----


@torch.no_grad()
def test_gamma_zero_is_the_plain_conditional_model() -> None:
    own = model().eval()
    z, layout = state(own)
    plain = own.diffusion("main").restore(z, torch.full((3,), 400), layout, PrependGenerated().condition(own, three()))
    assert torch.equal(guessed(own, z, scale=0.0), plain)
    assert torch.equal(guessed(own, z, guidance="none", scale=5.0), plain)
    assert not torch.allclose(guessed(own, z, scale=1.0), plain)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 7.5])
@torch.no_grad()
def test_the_null_vector_as_condition_is_unconditional_for_every_gamma(gamma: float) -> None:
    own = model().eval()
    z, layout = state(own)
    null = own.diffusion("main").null
    assert null is not None
    rewriter = PrependGenerated(scale=gamma)
    found = rewriter.guess(own, null.expand(3, DIM), rewriter.first(own, three()))(z, 400)
    plain = own.diffusion("main").restore(z, torch.full((3,), 400), layout, null.expand(3, DIM))
    assert torch.allclose(found, plain, atol=1e-4)


# ---- classifier guidance ----


def logits(own: Recommender, z: Tensor) -> Tensor:
    """(3,) of each user's v_1 after its M vectors, as long as those that the encoder knows."""
    layout = Layout.of([SPAN] * 3)
    last = own.encode(z * spread(own).detach(), layout)[layout.last()]
    return (last * own.items(torch.tensor([1, 5, 7]))).sum(1)


def test_scale_zero_is_no_guidance() -> None:
    own = model().eval()
    z, _ = state(own)
    with torch.no_grad():
        assert torch.equal(guessed(own, z, guidance="classifier_guided", scale=0.0), guessed(own, z, guidance="none"))
        assert not torch.equal(guessed(own, z, guidance="classifier_guided", scale=1.0), guessed(own, z, guidance="none"))


@pytest.mark.parametrize("seed", range(5))
def test_a_small_step_raises_the_logit_of_the_first_item(seed: int) -> None:
    """The guided guess of z_0 lies, seen from the plain one, where the classifier gives v_1 a larger logit at z_t."""
    own = model().eval()
    z, _ = state(own, seed)
    with torch.no_grad():
        towards = guessed(own, z, guidance="classifier_guided") - guessed(own, z, guidance="none")
        per_user = towards.view(3, -1)
        small = (per_user / per_user.norm(dim=1, keepdim=True)).view_as(z) * 1e-2
        assert (logits(own, z + small) > logits(own, z)).all()
        assert (logits(own, z - small) < logits(own, z)).all()


def test_classifier_guidance_adds_the_gradient_of_the_cross_entropy_to_the_noise() -> None:
    """eps + s C_t grad L, with the gradient by finite differences in float64."""
    own, t, scale = model().eval().double(), 400, 3.0
    z, layout = state(own)
    z = z.double()
    gradient = torch.zeros_like(z)
    with torch.no_grad():
        for n in range(len(z)):
            for d in range(DIM):
                nudge = torch.zeros_like(z)
                nudge[n, d] = 1e-5
                above, below = (-torch.nn.functional.logsigmoid(logits(own, z + sign * nudge)).sum() for sign in (1, -1))
                gradient[n, d] = (above - below) / 2e-5
        made = own.diffusion("main")
        a, c = made.signal[t], made.noise_level[t]
        condition = PrependGenerated().condition(own, three())
        noise = made.predict(z, torch.full((3,), t), layout, condition) + scale * c * gradient
        expected = (z - c * noise) / a
        found = guessed(own, z, t, guidance="classifier_guided", scale=scale)
    assert torch.allclose(found, expected, atol=1e-6)


def test_classifier_guidance_gives_each_user_what_it_gets_alone() -> None:
    own = model()
    both = PrependGenerated(guidance="classifier_guided", scale=50.0).rewrite(own, three(), drawing())
    alone = PrependGenerated(guidance="classifier_guided", scale=50.0).rewrite(own, histories([1, 2, 3, 4]), drawing())
    assert torch.equal(both[:1], alone)


# ---- rounding ----


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_vectors_of_items_are_rounded_to_these_items_whatever_their_length(seed: int) -> None:
    torch.manual_seed(seed)
    table = ItemTable(50, DIM)
    ids = torch.randint(1, 51, (30,), generator=drawing(seed))
    with torch.no_grad():
        table.weight.mul_(torch.rand(52, 1) * 10 + 0.1)  # long vectors would win every inner product
        assert torch.equal(_rounded(table(ids) * 0.01, table), ids)
        assert torch.equal(_rounded(table(ids), table), ids)


def test_rounding_never_gives_the_empty_row_or_the_mask() -> None:
    table = ItemTable(6, DIM)
    with torch.no_grad():
        found = _rounded(torch.cat([table.weight[[0, 7]], torch.randn(200, DIM)]), table)
    assert found.min() >= 1 and found.max() <= 6


# ---- refusals ----


def test_what_the_diffusion_lacks_is_said_before_anything_is_trained() -> None:
    with pytest.raises(RecipeError, match=r"diffusions\.main\.span = 10"):
        PrependGenerated().bind(model(span=None))
    with pytest.raises(RecipeError, match="null_condition = true"):
        PrependGenerated().bind(model(null_condition=False))
    PrependGenerated(guidance="classifier_guided").bind(model(null_condition=False))
    PrependGenerated(scale=0).bind(model(null_condition=False))


def test_a_chain_needs_noise_that_can_be_drawn_without_items() -> None:
    with pytest.raises(RecipeError, match="prior"):
        PrependGenerated().rewrite(model(noise=SimilarityNoise(k=3)), three(), drawing())
