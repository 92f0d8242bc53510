"""The diffusion process against the recursion it stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Generator, Tensor, nn

from seqaug.builtin.noise_sources import GaussianNoise
from seqaug.builtin.schedules import ConvexSchedule, CosineSchedule, LinearSchedule, SqrtSchedule
from seqaug.core.blocks import StepEmbedding
from seqaug.core.diffusion import Diffusion
from seqaug.core.items import ItemTable
from seqaug.core.protocols import Schedule
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

COUNTS = [2, 1, 4]
LAYOUT = Layout.of(COUNTS)


class Straight:
    """Signal falls evenly, noise rises evenly."""

    steps = 10

    def coefficients(self) -> tuple[Tensor, Tensor]:
        level = torch.arange(1, 11, dtype=torch.float64) / 10
        return 1 - level, level


class Twos:
    """Twice the clean vector."""

    def draw(self, clean: Tensor, items: Tensor, table: ItemTable, generator: Generator) -> Tensor:
        return 2 * clean


class Guess(nn.Module):
    """Answers with what it was handed, times a parameter; with the noise where it `predicts` that."""

    def __init__(self, predicts: Literal["clean", "noise"] = "clean") -> None:
        super().__init__()
        self.predicts: Literal["clean", "noise"] = predicts
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[int] = []

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        self.seen.append(int(step[0]))
        return noised * self.scale


def diffusion(predicts: Literal["clean", "noise"] = "clean", **options: object) -> Diffusion:
    torch.manual_seed(0)
    return Diffusion(4, 8, schedule=Straight(), noise=Twos(), denoiser=Guess(predicts), **options)  # type: ignore[arg-type]


def test_mixing_weighs_clean_and_noise_by_the_step_of_each_sequence() -> None:
    clean, noise = torch.randn(7, 4), torch.randn(7, 4)
    step = torch.tensor([3, 10, 0])
    mixed = diffusion().mix(clean, noise, step, LAYOUT)
    for n in range(7):
        level = float(step[LAYOUT.sequence[n]]) / 10
        assert torch.allclose(mixed[n], (1 - level) * clean[n] + level * noise[n], atol=1e-6)
    assert torch.allclose(mixed[2], noise[2]) and torch.equal(mixed[3:], clean[3:])


def test_positions_outside_where_stay_clean() -> None:
    clean, noise = torch.randn(7, 4), torch.randn(7, 4)
    where = torch.tensor([True, False, True, False, True, False, False])
    mixed = diffusion().mix(clean, noise, torch.tensor([5, 5, 5]), LAYOUT, where)
    assert torch.equal(mixed[~where], clean[~where])
    assert not torch.isclose(mixed[where], clean[where]).all(1).any()


def test_steps_are_drawn_uniformly_from_one_to_the_last() -> None:
    drawn = diffusion().draw_steps(20_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn, minlength=11)
    assert counts[0] == 0 and len(counts) == 11
    assert (counts[1:] - 2000).abs().max() < 200


def test_the_denoiser_is_handed_the_time_of_its_sequence() -> None:
    model = diffusion()
    noised, step = torch.zeros(7, 4), torch.tensor([1, 10, 4])
    restored = model.restore(noised, step, LAYOUT)
    assert isinstance(model.times, nn.Embedding)
    assert torch.equal(restored, model.times.weight[torch.tensor([0, 0, 9, 3, 3, 3, 3])])


def test_a_noise_prediction_becomes_a_clean_one() -> None:
    """With the right noise as its answer the clean vectors come back exactly."""
    model = diffusion("noise")
    clean, noise, step = torch.randn(7, 4), torch.randn(7, 4), torch.tensor([3, 5, 9])
    mixed = model.mix(clean, noise, step, LAYOUT)

    class Right(Guess):
        def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
            return noise

    model.denoiser = Right("noise")
    assert torch.allclose(model.restore(mixed, step, LAYOUT), clean, atol=1e-5)


def test_a_chain_of_one_step_is_the_restoration_of_pure_noise() -> None:
    model = diffusion()
    noise = torch.randn(7, 4)
    once = model.restore(noise, model.last_step(3, noise.device), LAYOUT)
    assert torch.allclose(model.reverse(noise, LAYOUT, 1), once, atol=1e-6)


def test_a_chain_walks_down_from_the_last_step_and_remixes_the_same_noise() -> None:
    model = diffusion()
    guess = model.denoiser
    assert isinstance(guess, Guess)
    noise = torch.randn(7, 4)
    found = model.reverse(noise, LAYOUT, 5)
    assert guess.seen == [10, 8, 6, 4, 2]
    state = noise
    for now, after in zip((10, 8, 6, 4, 2), (8, 6, 4, 2, 0), strict=True):
        expected = model.restore(state, torch.full((3,), now), LAYOUT)
        state = (1 - after / 10) * expected + after / 10 * noise
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_chain_holds_the_positions_that_were_never_noised() -> None:
    model = diffusion()
    clean, noise = torch.randn(7, 4), torch.randn(7, 4)
    where = LAYOUT.from_end == 0
    assert torch.equal(model.reverse(noise, LAYOUT, 4, clean, where)[~where], clean[~where])


@pytest.mark.parametrize("flows", [True, False])
def test_noise_gradient_decides_whether_gradients_reach_the_items_through_the_noise(flows: bool) -> None:
    clean = torch.randn(7, 4, requires_grad=True)
    drawn = diffusion(noise_gradient=flows).noise_for(clean, torch.ones(7), ItemTable(3, 4), torch.Generator())
    assert drawn.requires_grad is flows


def test_sinusoidal_times_have_no_parameters_and_differ_by_step() -> None:
    model = diffusion(time_embedding="sinusoidal")
    assert {name for name, _ in model.named_parameters()} == {"denoiser.scale"}
    times = model.time(torch.arange(1, 11))
    assert times.shape == (10, 4)
    assert torch.cdist(times, times).add(torch.eye(10)).min() > 1e-3


# ---- chains of posteriors ----

VARIANCE_PRESERVING = [
    LinearSchedule(steps=100),
    LinearSchedule(steps=100, zero_terminal_snr=False),
    CosineSchedule(steps=100),
    SqrtSchedule(steps=100),
]
SCHEDULES = [*VARIANCE_PRESERVING, ConvexSchedule(steps=100)]
names = [f"{type(one).__name__}{place}" for place, one in enumerate(SCHEDULES)]


def gaussian(schedule: Schedule, predicts: Literal["clean", "noise"] = "clean", **options: object) -> Diffusion:
    torch.manual_seed(0)
    return Diffusion(4, 8, schedule=schedule, noise=GaussianNoise(), denoiser=Guess(predicts), **options)  # type: ignore[arg-type]


def levels(schedule: Schedule) -> tuple[list[float], list[float]]:
    signal, level = schedule.coefficients()
    return [1.0, *signal.tolist()], [0.0, *level.tolist()]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
def test_the_mean_of_the_posterior_keeps_the_signal_of_the_step_it_goes_to(schedule: Schedule) -> None:
    """c_0 + c_t A_t = A_s for every s < t, and at s = 0 nothing but z_0 is left (Ho et al., 2020, eq. 7)."""
    model, (signal, _) = gaussian(schedule), levels(schedule)
    for now in range(1, 101):
        for after in {now - 1, now // 2}:
            of_clean, of_state, variance = model.posterior(now, after)
            assert of_clean + of_state * signal[now] == pytest.approx(signal[after], abs=1e-10)
            assert variance >= 0
        assert model.posterior(now, 0) == (pytest.approx(1, abs=1e-12), 0, 0)


def test_the_posterior_of_neighbouring_steps_is_that_of_the_paper() -> None:
    """beta_n sqrt(abar_{n-1}) / (1 - abar_n), (1 - abar_{n-1}) sqrt(alpha_n) / (1 - abar_n), and its variance."""
    rates = torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)
    kept = torch.cat([torch.ones(1, dtype=torch.float64), torch.cumprod(1 - rates, 0)])
    model = gaussian(LinearSchedule(steps=100, zero_terminal_snr=False))
    for n in range(1, 101):
        beta, now, before = rates[n - 1], kept[n], kept[n - 1]
        expected = [beta * before.sqrt(), (1 - before) * (1 - beta).sqrt(), beta * (1 - before)]
        assert model.posterior(n, n - 1) == pytest.approx([float(one / (1 - now)) for one in expected], abs=1e-12)


@pytest.mark.parametrize("schedule", VARIANCE_PRESERVING, ids=names[:4])
def test_the_closed_form_is_the_kernels_of_single_steps_composed(schedule: Schedule) -> None:
    """z_t = a_t z_{t-1} + sqrt(1 - a_t^2) n_t, t times, has mean A_t z_0 and variance C_t^2: the given noises add up to one."""
    signal, level = levels(schedule)
    noises = torch.randn(100, 7, 4, dtype=torch.float64)
    clean = torch.randn(7, 4, dtype=torch.float64)
    state, variance = clean, 0.0
    for t in range(1, 101):
        kept = signal[t] / signal[t - 1]
        fresh = math.sqrt(max(1 - kept**2, 0))
        state = kept * state + fresh * noises[t - 1]
        variance = kept**2 * variance + fresh**2
        assert math.sqrt(variance) == pytest.approx(level[t], abs=1e-10)
        combined = (state - signal[t] * clean) / level[t]
        mixed = gaussian(schedule).mix(clean, combined, torch.full((3,), t), LAYOUT)
        assert torch.allclose(mixed, state, atol=1e-5)


def test_noised_vectors_have_the_mean_and_variance_of_their_step() -> None:
    schedule, layout = SqrtSchedule(), Layout.of([1] * 20_000)
    model, (signal, level) = gaussian(schedule), levels(schedule)
    clean = torch.tensor([1.0, -2.0, 0.5, 3.0]).expand(20_000, 4)
    draw = torch.Generator().manual_seed(0)
    for t in (1, 100, 700):
        noise = model.noise_for(clean, torch.ones(20_000), ItemTable(3, 4), draw)
        mixed = model.mix(clean, noise, torch.full((20_000,), t), layout)
        assert torch.allclose(mixed.mean(0), signal[t] * clean[0], atol=4 * level[t] / math.sqrt(20_000))
        assert torch.allclose(mixed.var(0), torch.full((4,), level[t] ** 2), rtol=0.05)


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=names)
@pytest.mark.parametrize("steps", [None, 1, 7])
def test_a_perfect_denoiser_ends_exactly_at_the_clean_vectors(
    method: Literal["ddpm", "ddim"], schedule: Schedule, steps: int | None
) -> None:
    model, clean, draw = gaussian(schedule), torch.randn(7, 4), torch.Generator().manual_seed(0)
    start = model.prior((7, 4), draw, clean.device)
    times = model.chain_times(steps)
    found = model.chain(start, LAYOUT, times=times, guess=lambda state, t: clean, method=method, generator=draw)
    assert torch.equal(found, clean)


def test_a_chain_of_posteriors_passes_through_the_marginals() -> None:
    """With a perfect denoiser z_s is distributed as the forward process has it: mean A_s z_0, standard deviation C_s."""
    schedule, layout = LinearSchedule(steps=100, zero_terminal_snr=False), Layout.of([1] * 20_000)
    model, (signal, level) = gaussian(schedule), levels(schedule)
    clean, draw = torch.full((20_000, 4), 2.0), torch.Generator().manual_seed(0)
    start = signal[100] * clean + level[100] * model.prior((20_000, 4), draw, clean.device)
    seen: dict[int, Tensor] = {}

    def guess(state: Tensor, t: int) -> Tensor:
        seen[t] = state
        return clean

    model.chain(start, layout, times=[100, 60, 35, 10], guess=guess, method="ddpm", generator=draw)
    assert list(seen) == [100, 60, 35, 10]
    for t, state in seen.items():
        assert state.mean().item() == pytest.approx(2 * signal[t], abs=0.02)
        assert state.std().item() == pytest.approx(level[t], rel=0.02)


@pytest.mark.parametrize("times", [[100], [100, 50], [80, 60, 40, 20, 1], list(range(100, 0, -1))])
def test_ddim_with_the_true_noise_returns_the_clean_vectors_in_any_number_of_steps(times: Sequence[int]) -> None:
    model = gaussian(LinearSchedule(steps=100, zero_terminal_snr=False), "noise")
    clean, noise = torch.randn(7, 4), torch.randn(7, 4)

    class Right(Guess):
        def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
            return noise

    model.denoiser = Right("noise")
    start = model.mix(clean, noise, torch.full((3,), times[0]), LAYOUT)
    assert torch.allclose(model.chain(start, LAYOUT, times=times, method="ddim"), clean, atol=1e-4)


def test_a_chain_that_starts_without_any_signal_stays_finite() -> None:
    for method in ("ddpm", "ddim"):
        for predicts in ("clean", "noise"):
            model, draw = gaussian(LinearSchedule(steps=100), predicts), torch.Generator().manual_seed(0)
            start = model.prior((7, 4), draw, torch.device("cpu"))
            assert model.chain(start, LAYOUT, times=[100, 50], method=method, generator=draw).isfinite().all()  # type: ignore[arg-type]


def test_the_steps_of_a_chain_are_all_or_evenly_spaced() -> None:
    model = gaussian(LinearSchedule())
    assert model.chain_times(None) == list(range(1000, 0, -1))
    assert model.chain_times(5) == [1000, 800, 600, 400, 200]
    assert model.chain_times(5, "released") == [801, 601, 401, 201, 1]
    assert model.chain_times(7, "released") == [853, 711, 569, 427, 285, 143, 1]
    assert model.chain_times(1) == [1000]
    with pytest.raises(RecipeError, match="1001 steps does not fit a diffusion of 1000"):
        model.chain_times(1001)


def test_a_chain_without_a_guess_restores_at_each_of_its_steps() -> None:
    model = gaussian(LinearSchedule(steps=100))
    guess = model.denoiser
    assert isinstance(guess, Guess)
    model.chain(torch.randn(7, 4), LAYOUT, times=[90, 30, 2], method="ddim")
    assert guess.seen == [90, 30, 2]


def test_a_prior_is_refused_in_words_where_the_noise_has_none() -> None:
    assert gaussian(LinearSchedule()).has_prior
    assert not diffusion().has_prior
    with pytest.raises(RecipeError, match="Twos disturbs items that it is shown"):
        diffusion().prior((2, 4), torch.Generator(), torch.device("cpu"))


# ---- guidance, start noise, time ----


class Told(Guess):
    """The noised vectors plus the condition of their sequence."""

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        assert condition is not None
        self.seen.append(int(step[0]))
        return noised * self.scale + condition[layout.sequence]


def told(**options: object) -> Diffusion:
    model = diffusion(**options)
    model.denoiser = Told()
    return model


def test_guidance_goes_past_the_condition_away_from_the_null() -> None:
    model = told(null_condition=True)
    assert model.null is not None and model.null.shape == (4,)
    noised, condition, step = torch.randn(7, 4), torch.randn(3, 4), torch.tensor([3, 5, 9])
    plain = model.restore(noised, step, LAYOUT, condition)
    found = model.guided(noised, step, LAYOUT, condition, 2.0)
    assert torch.allclose(found, plain + 2 * (condition - model.null)[LAYOUT.sequence], atol=1e-5)


def test_guidance_of_weight_0_is_the_condition_alone_in_one_pass() -> None:
    model = told(null_condition=True)
    noised, condition, step = torch.randn(7, 4), torch.randn(3, 4), torch.tensor([3, 5, 9])
    plain = model.restore(noised, step, LAYOUT, condition)
    seen = model.denoiser.seen
    assert isinstance(seen, list)
    before = len(seen)
    assert torch.equal(model.guided(noised, step, LAYOUT, condition, 0.0), plain)
    assert len(seen) == before + 1


@pytest.mark.parametrize("weight", [0.5, 2.0, 10.0])
def test_where_the_condition_is_the_null_its_weight_does_not_matter(weight: float) -> None:
    model = told(null_condition=True)
    assert model.null is not None
    noised, step = torch.randn(7, 4), torch.tensor([3, 5, 9])
    nothing = model.null.expand(3, 4)
    assert torch.allclose(
        model.guided(noised, step, LAYOUT, nothing, weight), model.guided(noised, step, LAYOUT, nothing, 0.0), atol=1e-5
    )


def test_guidance_without_a_null_condition_is_refused_unless_its_weight_is_0() -> None:
    model, condition, step = told(), torch.randn(3, 4), torch.tensor([3, 5, 9])
    model.guided(torch.randn(7, 4), step, LAYOUT, condition, 0.0)
    with pytest.raises(RecipeError, match="set null_condition = true"):
        model.guided(torch.randn(7, 4), step, LAYOUT, condition, 1.0)


def test_start_noise_has_the_spread_of_the_first_step() -> None:
    clean = torch.zeros(5_000, 4)
    noisy = gaussian(SqrtSchedule(), start_noise=True).started(clean, torch.Generator().manual_seed(0))
    assert noisy.std().item() == pytest.approx(math.sqrt(1 - 0.9766), rel=0.02)
    assert gaussian(SqrtSchedule()).started(clean, torch.Generator()) is clean


def test_times_through_an_mlp_are_learnt_and_start_from_the_waves() -> None:
    model = diffusion(time_embedding="mlp")
    assert isinstance(model.times, StepEmbedding) and model.times.maps is not None
    assert [tuple(one.shape) for one in model.times.parameters()] == [(16, 4), (16,), (4, 16), (4,)]
    wave = diffusion(time_embedding="sinusoidal").time(torch.tensor([1, 7]))
    assert torch.equal(model.time(torch.tensor([1, 7])), model.times.maps(wave))


def test_without_time_the_denoiser_is_handed_the_noised_vectors_themselves() -> None:
    noised = torch.randn(7, 4)
    assert torch.equal(diffusion(time_embedding="none").restore(noised, torch.tensor([1, 10, 4]), LAYOUT), noised)


def test_a_step_embedding_is_as_wide_as_it_is_told() -> None:
    step = torch.tensor([1, 500, 1000])
    assert StepEmbedding(7)(step).shape == (3, 7)
    assert not list(StepEmbedding(7).parameters())
    assert StepEmbedding(8, 32, 12, "gelu")(step).shape == (3, 12)
    wave = StepEmbedding(8)(step)
    for row, t in enumerate(step.tolist()):
        for place in range(4):
            angle = t * 10_000 ** (-place / 4)
            assert wave[row, place].item() == pytest.approx(math.sin(angle), abs=1e-4)
            assert wave[row, 4 + place].item() == pytest.approx(math.cos(angle), abs=1e-4)


def test_a_span_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="span = 0"):
        diffusion(span=0)
