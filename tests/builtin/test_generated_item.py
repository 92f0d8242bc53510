"""The scorer of dreamrec (specification, sections 3 and 7.3-7.7)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, batch_of, drawing, model_of
from seqaug.builtin.denoisers.concatenated import ConcatenatedDenoiser
from seqaug.builtin.generated_item import GeneratedItem
from seqaug.builtin.noise_sources import GaussianNoise, SimilarityNoise
from seqaug.builtin.schedules import ExponentialSchedule
from seqaug.core.diffusion import Diffusion
from seqaug.core.recommender import Recommender
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

V, T = 20, 12
HISTORIES = batch_of([1, 2, 3], [4], [7, 5, 6, 8, 2])


class Told(nn.Module):
    """A denoiser that knows the answer, or counts how often it is asked."""

    predicts = "clean"

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean
        self.asked: list[int] = []

    def forward(self, noised: Tensor, step: Tensor, condition: Tensor | None, layout: Layout, /) -> Tensor:
        self.asked.append(int(step[0]))
        return self.clean.expand_as(noised)


class Same(nn.Module):
    """An encoder that has read nothing: the given vector at every position."""

    def __init__(self, vector: Tensor) -> None:
        super().__init__()
        self.vector = vector

    def forward(self, embedded: Tensor, layout: Layout, /) -> Tensor:
        return self.vector.expand_as(embedded)


def diffusion_of(denoiser: nn.Module | None = None, **options: Any) -> Diffusion:
    torch.manual_seed(0)
    given = {"noise": GaussianNoise(), "time_embedding": "none", "null_condition": True} | options
    return Diffusion(
        DIM,
        MAX_LENGTH,
        schedule=ExponentialSchedule(steps=T),
        denoiser=denoiser or ConcatenatedDenoiser(DIM, layers=2),
        **given,
    )


def world(denoiser: nn.Module | None = None, **options: Any) -> Recommender:
    return model_of(V, diffusion=diffusion_of(denoiser, **options)).eval()


@torch.no_grad()
def generated(model: Recommender, seed: int = 0, histories: Any = HISTORIES, **options: Any) -> Tensor:
    return GeneratedItem(**options).generated(model, histories, drawing(seed))


def by_hand(model: Recommender, condition: Tensor, w: float, generator: Generator) -> Tensor:
    """The sampling of the released code, in float64, over the same draws."""
    diffusion = model.diffusion()
    assert diffusion.null is not None
    layout = Layout.of([1] * len(condition))
    rates = []
    for i in range(T):
        x = 1 + i * 2 * T / (T - 1)
        rates.append(1 - math.exp(-0.1 / T - x * 0.5 * (10 - 0.1) / T**2))
    bars = [1.0]
    for rate in rates:
        bars.append(bars[-1] * (1 - rate))
    state = torch.randn(condition.shape, generator=generator).double()
    for n in range(T - 1, -1, -1):
        step = torch.full((len(condition),), n + 1)
        told = diffusion.denoiser(state.float(), step, condition, layout).double()
        untold = diffusion.denoiser(state.float(), step, diffusion.null.expand_as(condition), layout).double()
        guess = (1 + w) * told - w * untold
        now, before = bars[n + 1], bars[n]
        state = rates[n] * math.sqrt(before) / (1 - now) * guess + (1 - before) * math.sqrt(1 - rates[n]) / (1 - now) * state
        if n:
            state += math.sqrt(rates[n] * (1 - before) / (1 - now)) * torch.randn(condition.shape, generator=generator)
    return state.float()


@pytest.mark.parametrize("w", [0.0, 2.0])
@torch.no_grad()
def test_the_chain_is_the_sampling_of_the_released_code_written_out(w: float) -> None:
    """At w = 0 the guess under no history has no part in it."""
    model = world()
    hidden = model.encode(model.items(HISTORIES.items), HISTORIES.layout)
    expected = by_hand(model, hidden[HISTORIES.layout.last()], w, drawing(4))
    assert torch.allclose(generated(model, seed=4, guidance=w)[:, 0], expected, atol=2e-5, rtol=1e-4)


def test_without_guidance_the_null_condition_has_no_part() -> None:
    one, other = world(), world(null_condition=False)
    GeneratedItem(guidance=0.0).bind(other)
    assert torch.equal(generated(one, guidance=0.0), generated(other, guidance=0.0))


def test_a_condition_that_is_the_null_one_makes_guidance_and_history_irrelevant() -> None:
    model = world()
    null = model.diffusion().null
    assert null is not None
    model.encoders["main"] = Same(null.detach())
    plain = generated(model, guidance=0.0)
    assert torch.allclose(generated(model, guidance=7.0), plain, atol=1e-4)
    assert torch.equal(generated(model, guidance=2.0), generated(model, guidance=2.0, histories=batch_of([9], [1, 1], [3])))


@pytest.mark.parametrize("method", ["ddpm", "ddim"])
@pytest.mark.parametrize("steps", [None, 4, 1])
def test_a_perfect_denoiser_ends_at_the_clean_vector_whatever_the_noise(method: str, steps: int | None) -> None:
    clean = torch.linspace(-2, 2, DIM)
    model = world(Told(clean))
    for seed in range(3):
        ends = generated(model, seed=seed, method=method, steps=steps, samples=2)
        assert torch.allclose(ends, clean.expand(3, 2, DIM), atol=1e-5)


def test_standardised_a_vector_that_was_divided_by_the_spread_comes_back_as_large_as_the_table() -> None:
    model = world()
    clean = model.items.catalogue[4].detach()
    model = world(Told(clean / model.items.spread))
    back = generated(model, standardised=True)
    assert torch.allclose(back, clean.expand(3, 1, DIM), atol=1e-5)
    assert torch.allclose(generated(model), back / model.items.spread, atol=1e-4)


def test_with_one_layer_the_generated_vector_is_affine_in_the_condition() -> None:
    model = world(ConcatenatedDenoiser(DIM, layers=1))
    one, other = torch.randn(2, DIM, generator=drawing(1))
    ends = []
    for condition in (one, other, (one + other) / 2):
        model.encoders["main"] = Same(condition)
        ends.append(generated(model, seed=2))
    assert torch.allclose(ends[2], (ends[0] + ends[1]) / 2, atol=1e-4)
    assert (ends[0] - ends[1]).abs().max() > 0.01


@pytest.mark.parametrize(("guidance", "passes"), [(0.0, 1), (2.0, 2)])
def test_it_asks_the_denoiser_once_a_step_and_twice_where_guided(guidance: float, passes: int) -> None:
    told = Told(torch.zeros(DIM))
    generated(world(told), guidance=guidance, steps=4)
    assert told.asked == [t for t in (12, 9, 6, 3) for _ in range(passes)]
    told.asked.clear()
    generated(world(told), guidance=guidance)
    assert told.asked == [t for t in range(T, 0, -1) for _ in range(passes)]


@torch.no_grad()
def test_scores_are_inner_products_with_every_item_or_cosines() -> None:
    model = world()
    ends, items = generated(model, samples=3), model.items.catalogue
    for similarity in ("dot", "cosine"):
        scores = GeneratedItem(samples=3, similarity=similarity).score(model, HISTORIES, drawing())  # type: ignore[arg-type]
        ids, values = scores.top(V)
        assert (scores.size, scores.num_items) == (3, V) and sorted(ids[0].tolist()) == list(range(1, V + 1))
        for b in range(3):
            for item, value in zip(ids[b].tolist(), values[b].tolist(), strict=True):
                products = ends[b] @ items[item - 1]
                if similarity == "cosine":
                    products = products / ends[b].norm(dim=1) / items[item - 1].norm()
                assert value == pytest.approx(float(products.mean()), abs=1e-4)


def test_the_same_generator_gives_the_same_vectors_and_another_seed_others() -> None:
    model = world()
    assert torch.equal(generated(model, seed=3), generated(model, seed=3))
    assert not torch.allclose(generated(model, seed=3), generated(model, seed=4), atol=0.01)


def test_samples_of_one_history_differ() -> None:
    ends = generated(world(), samples=2)
    assert ends.shape == (3, 2, DIM) and (ends[:, 0] - ends[:, 1]).abs().amax(1).min() > 0.01


def test_a_batch_of_one_works() -> None:
    assert generated(world(), histories=batch_of([5])).shape == (1, 1, DIM)


def test_a_diffusion_that_cannot_be_walked_so_is_refused_in_words() -> None:
    with pytest.raises(RecipeError, match="a source with a prior"):
        GeneratedItem().bind(world(noise=SimilarityNoise(k=3)))
    with pytest.raises(RecipeError, match="null_condition = true"):
        GeneratedItem().bind(world(null_condition=False))
    with pytest.raises(RecipeError, match="has only 12"):
        GeneratedItem(steps=13).bind(world())
    GeneratedItem(steps=12).bind(world())
