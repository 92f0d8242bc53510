"""The diffusion process against the recursion it stands for."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Generator, Tensor, nn

from seqaug.core.diffusion import Diffusion
from seqaug.core.items import ItemTable
from seqaug.data.layout import Layout

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
    assert model.times is not None
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
