"""The denoiser of disentangled attention: equation 4 of He et al. (2021) written out, and what sees what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from builtin.worlds import DIM, MAX_LENGTH
from seqaug.builtin.denoisers.deberta import DisentangledDenoiser
from seqaug.data.layout import Layout

COUNTS = [3, 1, 7, 4]
LAYOUT = Layout.of(COUNTS)
STEP = torch.tensor([1, 5, 9, 1000])


def vectors(seed: int = 0) -> Tensor:
    return torch.randn(sum(COUNTS), DIM, generator=torch.Generator().manual_seed(seed))


def denoiser(**options: float) -> DisentangledDenoiser:
    """With weights that are large enough for every term of the attention to be seen."""
    torch.manual_seed(0)
    made = DisentangledDenoiser(DIM, MAX_LENGTH, inner=16, **options)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def naive(made: DisentangledDenoiser, sequence: Tensor) -> Tensor:
    """One sequence, position by position; d(i, j) is a row of the table of 2 k distances, k = MAX_LENGTH."""

    def distance(i: int, j: int) -> int:
        return max(0, min(i - j + MAX_LENGTH, 2 * MAX_LENGTH - 1))

    hidden = made.norm(sequence)
    for block in made.blocks:
        attention = block.attention
        heads, width = attention.heads, DIM // attention.heads  # type: ignore[operator]
        query, key, value = attention.content(hidden).chunk(3, dim=1)  # type: ignore[operator, union-attr]
        far_key = attention.distance_key(made.distances.weight)  # type: ignore[operator, union-attr]
        far_query = attention.distance_query(made.distances.weight)  # type: ignore[operator, union-attr]
        mixed = torch.zeros_like(hidden)
        for head in range(heads):  # type: ignore[arg-type]
            own = slice(head * width, (head + 1) * width)
            for i in range(len(hidden)):
                weights = torch.stack(
                    [
                        query[i, own] @ key[j, own]
                        + query[i, own] @ far_key[distance(i, j), own]
                        + key[j, own] @ far_query[distance(j, i), own]
                        for j in range(len(hidden))
                    ]
                )
                mixed[i, own] = torch.softmax(weights / math.sqrt(3 * width), 0) @ value[:, own]
        hidden = block.attention_norm(hidden + attention.output(mixed))  # type: ignore[operator, union-attr]
        fed = block.narrow(functional.gelu(block.widen(hidden)))  # type: ignore[operator]
        hidden = block.feed_norm(hidden + fed)  # type: ignore[operator]
    return hidden


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("heads", [1, 2])
def test_disentangled_attention_is_equation_4_written_out(layers: int, heads: int) -> None:
    made = denoiser(layers=layers, heads=heads)
    restored = made(vectors(), STEP, None, LAYOUT)
    for own, sequence in zip(restored.split(COUNTS), vectors().split(COUNTS), strict=True):
        assert torch.allclose(own, naive(made, sequence), atol=1e-5)


def test_a_position_reads_both_sides_and_no_other_sequence() -> None:
    made, noised = denoiser(), vectors()
    restored = made(noised, STEP, None, LAYOUT)
    for place in (4, 10):  # the oldest and the latest of the sequence of seven
        other = noised.clone()
        other[place] += torch.randn(DIM)
        moved = (made(other, STEP, None, LAYOUT) - restored).abs().amax(1) > 1e-6
        assert moved.tolist() == [4 <= n < 11 for n in range(15)]


def test_a_sequence_is_restored_alike_alone_and_among_longer_ones() -> None:
    """Nothing that fills a rectangle is read."""
    made = denoiser()
    restored = made(vectors(), STEP, None, LAYOUT)
    for own, sequence in zip(restored.split(COUNTS), vectors().split(COUNTS), strict=True):
        assert torch.allclose(own, made(sequence, STEP[:1], None, Layout.of([len(sequence)])), atol=1e-5)


def test_equal_vectors_are_told_apart_by_their_distances() -> None:
    same = torch.ones(3, DIM)
    restored = denoiser()(same + torch.tensor([[0.0], [0.0], [1.0]]) * torch.randn(DIM), STEP[:1], None, Layout.of([3]))
    assert (restored[0] - restored[1]).abs().max() > 1e-3


def test_only_the_distances_count_and_not_the_place_in_the_window() -> None:
    """Two positions with the same neighbours at the same distances get the same, wherever they stand."""
    made = denoiser(layers=1)
    ring = torch.randn(2, DIM)
    with torch.no_grad():
        made.distances.weight.copy_(made.distances.weight[:1].expand_as(made.distances.weight))  # no distance differs
    restored = made(ring.repeat(3, 1), STEP[:1], None, Layout.of([6]))
    assert torch.allclose(restored[:2], restored[2:4], atol=1e-5)


def test_a_condition_reaches_its_own_sequence() -> None:
    made = denoiser()
    plain = made(vectors(), STEP, None, LAYOUT)
    assert torch.equal(made(vectors(), STEP, torch.zeros(4, DIM), LAYOUT), plain)
    condition = torch.zeros(4, DIM)
    condition[2] = torch.randn(DIM)
    moved = (made(vectors(), STEP, condition, LAYOUT) - plain).abs().amax(1) > 1e-6
    assert moved.tolist() == [4 <= n < 11 for n in range(15)]


def test_every_parameter_learns_and_dropout_is_on_in_training_only() -> None:
    made = denoiser().train()
    first, second = made(vectors(), STEP, None, LAYOUT), made(vectors(), STEP, None, LAYOUT)
    assert not torch.equal(first, second)
    (first * torch.randn_like(first)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in made.parameters())
    made.eval()
    assert torch.equal(made(vectors(), STEP, None, LAYOUT), made(vectors(), STEP, None, LAYOUT))


def test_the_longest_history_fits_and_heads_divide_the_width() -> None:
    assert isinstance(denoiser().distances, nn.Embedding)
    layout = Layout.of([MAX_LENGTH])
    assert denoiser()(torch.randn(MAX_LENGTH, DIM), STEP[:1], None, layout).isfinite().all()
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        DisentangledDenoiser(DIM, MAX_LENGTH, heads=3)
