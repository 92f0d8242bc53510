"""The denoiser of dreamrec (specification, section 2)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builtin.worlds import DIM
from seqaug.builtin.denoisers.concatenated import ConcatenatedDenoiser
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

COUNTS = [3, 1, 7, 4]
LAYOUT = Layout.of(COUNTS)
STEP = torch.tensor([1, 5, 9, 500])


def vectors(count: int = sum(COUNTS), seed: int = 0) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed))


def denoiser(layers: int) -> ConcatenatedDenoiser:
    torch.manual_seed(0)
    return ConcatenatedDenoiser(DIM, layers=layers)


@pytest.mark.parametrize("layers", [1, 2])
@torch.no_grad()
def test_it_is_the_map_of_vector_condition_and_step_written_out(layers: int) -> None:
    made = denoiser(layers)
    noised, condition = vectors(), vectors(4, seed=1)
    restored = made(noised, STEP, condition, LAYOUT)
    linear = [part for part in made.maps.modules() if isinstance(part, nn.Linear)]
    assert [tuple(part.weight.shape) for part in linear] == (
        [(DIM, 3 * DIM)] if layers == 1 else [(2 * DIM, 3 * DIM), (DIM, 2 * DIM)]
    )
    tau = made.time(STEP)
    place = 0
    for sequence, count in enumerate(COUNTS):
        for _ in range(count):
            value = torch.cat([noised[place], condition[sequence], tau[sequence]])
            for number, part in enumerate(linear):
                value = part.weight @ (value if number == 0 else nn.functional.gelu(value)) + part.bias
            assert torch.allclose(restored[place], value, atol=1e-6)
            place += 1


@torch.no_grad()
def test_one_layer_is_affine_and_two_are_not() -> None:
    one, other, first, second = vectors(), vectors(seed=1), vectors(4, seed=2), vectors(4, seed=3)
    for layers, affine in ((1, True), (2, False)):
        made = denoiser(layers)
        middle = made((one + other) / 2, STEP, (first + second) / 2, LAYOUT)
        mean = (made(one, STEP, first, LAYOUT) + made(other, STEP, second, LAYOUT)) / 2
        assert torch.allclose(middle, mean, atol=1e-6) == affine


@torch.no_grad()
def test_a_condition_and_a_step_reach_the_positions_of_their_sequence_only() -> None:
    made = denoiser(1)
    condition = vectors(4)
    plain = made(vectors(), STEP, condition, LAYOUT)
    moved = condition.clone()
    moved[2] += 1
    for other in (made(vectors(), STEP, moved, LAYOUT), made(vectors(), torch.tensor([1, 5, 10, 500]), condition, LAYOUT)):
        assert ((other - plain).abs().amax(1) > 0).tolist() == [4 <= n < 11 for n in range(15)]


@torch.no_grad()
def test_one_step_for_all_sequences_is_read_as_that_step_written_four_times() -> None:
    made = denoiser(2)
    condition = vectors(4)
    once = made(vectors(), torch.tensor([9]).expand(4), condition, LAYOUT)
    assert torch.allclose(once, made(vectors(), torch.tensor([9, 9, 9, 9]), condition, LAYOUT), atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_every_parameter_learns_its_step_embedding_included(layers: int) -> None:
    made = denoiser(layers)
    made(vectors(), STEP, vectors(4, seed=1), LAYOUT).square().sum().backward()
    assert all(part.grad is not None and bool((part.grad != 0).any()) for part in made.parameters())


def test_without_a_condition_it_says_what_it_needs() -> None:
    with pytest.raises(RecipeError, match="reads a condition"):
        denoiser(1)(vectors(), STEP, None, LAYOUT)
