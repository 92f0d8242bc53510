"""The U-Net over items as channels: what it is made of, what sees what, what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from seqaug.builtin.denoisers.unet import UnetDenoiser, _Attention
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

SPAN, DIM, USERS = 3, 64, 4
LAYOUT = Layout.of([SPAN] * USERS)
STEP = torch.tensor([1, 5, 500, 1000])


def unet(dim: int = DIM, span: int = SPAN, **options: Any) -> UnetDenoiser:
    torch.manual_seed(0)
    return UnetDenoiser(dim, span, **options).eval()


def vectors(seed: int = 0, dim: int = DIM, span: int = SPAN) -> Tensor:
    return torch.randn(USERS * span, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dim", "span"), [(64, 1), (64, 3), (64, 10), (256, 5)])
def test_a_span_goes_in_and_a_span_comes_out(dim: int, span: int) -> None:
    noised = vectors(dim=dim, span=span)
    answer = unet(dim, span)(noised, STEP, torch.randn(USERS, dim), Layout.of([span] * USERS))
    assert answer.shape == noised.shape and torch.isfinite(answer).all()


def test_an_image_has_an_item_per_channel_and_loses_nothing() -> None:
    noised = vectors()
    image = unet().image(noised, LAYOUT)
    assert image.shape == (USERS, SPAN, 8, 8)
    assert torch.equal(image[1, 2].flatten(), noised[1 * SPAN + 2])
    assert torch.equal(image.reshape(noised.shape), noised)


def test_changing_one_item_changes_what_is_said_about_the_others_of_its_span_and_of_no_other() -> None:
    denoiser, noised = unet(), vectors()
    plain = denoiser(noised, STEP, None, LAYOUT)
    other = noised.clone()
    other[4] += torch.randn(DIM)  # the middle item of the second span
    moved = (denoiser(other, STEP, None, LAYOUT) - plain).abs().amax(1) > 1e-6
    assert moved.tolist() == [3 <= n < 6 for n in range(USERS * SPAN)]


def test_without_a_condition_nothing_depends_on_one_and_with_one_its_own_span_does() -> None:
    denoiser = unet()
    plain = denoiser(vectors(), STEP, None, LAYOUT)
    first, second = torch.randn(USERS, DIM), torch.randn(USERS, DIM)
    second[:3] = first[:3]
    with torch.no_grad():
        differs = (denoiser(vectors(), STEP, first, LAYOUT) - denoiser(vectors(), STEP, second, LAYOUT)).abs().amax(1) > 1e-6
        assert differs.tolist() == [n >= 9 for n in range(USERS * SPAN)]
        assert not torch.allclose(denoiser(vectors(), STEP, first, LAYOUT), plain)
        for parameter in denoiser.guide.parameters():
            parameter.normal_()
        assert torch.equal(denoiser(vectors(), STEP, None, LAYOUT), plain)


def test_the_step_is_told() -> None:
    denoiser = unet()
    early, late = (denoiser(vectors(), torch.full((USERS,), t), None, LAYOUT) for t in (1, 900))
    assert not torch.allclose(early, late)


@pytest.mark.parametrize("dim", [1, 16, 32, 49, 63, 100, 128, 144])
def test_a_width_that_is_no_square_of_a_multiple_of_eight_is_refused(dim: int) -> None:
    with pytest.raises(ValueError, match=f"a width of {dim}.*the square of a multiple of 8"):
        UnetDenoiser(dim, SPAN)


def test_spans_of_another_length_are_refused() -> None:
    with pytest.raises(RecipeError, match="spans of 3 items is shown a sequence of 2"):
        unet()(torch.randn(5, DIM), STEP[:2], None, Layout.of([3, 2]))


def test_levels_have_the_sides_and_channels_of_the_specification() -> None:
    """d = 64: 8 -> 4 -> 2 -> 1 with 8, 16, 16, 16 channels, two blocks each; three each on the way up."""
    denoiser = unet()
    seen: dict[str, list[tuple[int, ...]]] = {"down": [], "middle": [], "up": []}

    def noting(name: str) -> Any:
        return lambda module, given, made: seen[name].append(tuple(made.shape[1:]))

    for name in seen:
        for part in getattr(denoiser, name):
            for block in part if isinstance(part, nn.ModuleList) else [part]:
                block.register_forward_hook(noting(name))
    denoiser(vectors(), STEP, None, LAYOUT)
    levels = [(8, 8, 8), (16, 4, 4), (16, 2, 2), (16, 1, 1)]
    assert seen["down"] == [level for level in levels for _ in range(2)]
    assert seen["middle"] == [(16, 1, 1)] * 3
    assert seen["up"] == [level for level in reversed(levels) for _ in range(3)]


def by_hand(net: UnetDenoiser, noised: Tensor, t: int, condition: Tensor) -> Tensor:
    """Specification, section 2, for one span: every layer by its weights, in the order of the paper's figure."""

    def convolved(x: Tensor, layer: Any, **how: int) -> Tensor:
        return functional.conv2d(x, layer.weight, layer.bias, **how)

    def normed(x: Tensor, layer: Any) -> Tensor:
        groups = x.view(8, -1)
        z = (groups - groups.mean(1, keepdim=True)) / (groups.var(1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        return z.view(x.shape) * layer.weight[:, None, None] + layer.bias[:, None, None]

    def swish(x: Tensor) -> Tensor:
        return x / (1 + torch.exp(-x))

    def block(x: Tensor, layer: Any) -> Tensor:
        h = convolved(swish(normed(x, layer.first_norm)), layer.first, padding=1)
        h = h + (layer.tell.weight @ swish(told) + layer.tell.bias)[:, None, None]
        h = convolved(swish(normed(h, layer.second_norm)), layer.second, padding=1)
        return h + (x if h.shape == x.shape else convolved(x, layer.shortcut))

    waves = torch.tensor([f(t * 10_000 ** (-k / 4)) for f in (math.sin, math.cos) for k in range(4)])
    one, _, two = net.time.maps  # type: ignore[misc]
    first, _, second = net.guide
    told = two.weight @ swish(one.weight @ waves + one.bias) + two.bias
    told = told + second.weight @ swish(first.weight @ condition + first.bias) + second.bias
    x = convolved(noised.view(SPAN, 8, 8), net.enter, padding=1)
    kept = [x]
    for level in range(4):
        if level:
            wider = torch.zeros(x.shape[0], x.shape[1] + 1, x.shape[2] + 1)
            wider[:, :-1, :-1] = x
            x = convolved(wider, net.shrink[level - 1], stride=2)
            kept.append(x)
        for layer in net.down[level]:
            x = block(x, layer)
            kept.append(x)
    before, attend, after = net.middle
    x = block(x, before)
    x = x + convolved(convolved(normed(x, attend.norm), attend.value), attend.output)
    x = block(x, after)
    for level in range(4):
        if level:
            x = convolved(x.repeat_interleave(2, 1).repeat_interleave(2, 2), net.grow[level - 1], padding=1)
        for layer in net.up[level]:
            x = block(torch.cat([x, kept.pop()]), layer)
    assert not kept
    return convolved(swish(normed(x, net.leave_norm)), net.leave, padding=1).view(SPAN, DIM)


@torch.no_grad()
def test_the_network_is_the_one_of_the_specification() -> None:
    denoiser, condition = unet(), torch.randn(USERS, DIM)
    found = denoiser(vectors(), STEP, condition, LAYOUT).view(USERS, SPAN, DIM)
    for user, t in enumerate(STEP.tolist()):
        expected = by_hand(denoiser, vectors()[user * SPAN : (user + 1) * SPAN], t, condition[user])
        assert torch.allclose(found[user], expected, atol=1e-4)


@torch.no_grad()
def test_attention_is_the_softmax_written_out_and_a_single_cell_needs_none() -> None:
    torch.manual_seed(0)
    attention, image = _Attention(16, 4), torch.randn(2, 16, 2, 2)
    assert attention.choose is not None
    normed = functional.group_norm(image, 8, eps=1e-6)
    both, value = attention.choose(normed), attention.value(normed)
    query, key = both[:, :16], both[:, 16:]
    mixed = torch.zeros_like(image)
    for b in range(2):
        for cell in range(4):
            x, y = divmod(cell, 2)
            weights = torch.stack([query[b, :, x, y] @ key[b, :, m, n] / math.sqrt(16) for m in (0, 1) for n in (0, 1)])
            for share, other in zip(weights.softmax(0), range(4), strict=True):
                mixed[b, :, x, y] += share * value[b, :, other // 2, other % 2]
    assert torch.allclose(attention(image), image + attention.output(mixed), atol=1e-5)
    assert _Attention(16, 1).choose is None


@pytest.mark.parametrize("dim", [64, 256])
def test_every_parameter_learns_and_dropout_is_on_in_training_only(dim: int) -> None:
    denoiser = unet(dim).train()
    first, second = (denoiser(vectors(dim=dim), STEP, torch.ones(USERS, dim), LAYOUT) for _ in range(2))
    assert not torch.equal(first, second)
    (first - torch.randn(first.shape)).square().sum().backward()
    assert [name for name, one in denoiser.named_parameters() if one.grad is None or not one.grad.any()] == []
    denoiser.eval()
    assert torch.equal(denoiser(vectors(dim=dim), STEP, None, LAYOUT), denoiser(vectors(dim=dim), STEP, None, LAYOUT))


@torch.no_grad()
def test_more_items_than_channels_do_not_fit_through_the_first_layer() -> None:
    """Ten items are 640 numbers; eight channels carry 512 of them, whatever is learnt after."""
    for base, carried in ((8, 512), (16, 640)):
        enter = unet(span=10, base=base).enter
        shown = torch.eye(640).view(640, 10, 8, 8)
        assert int(torch.linalg.matrix_rank((enter(shown) - enter(0 * shown)).flatten(1).double())) == carried


def test_a_wider_base_makes_a_wider_network() -> None:
    sizes = [sum(parameter.numel() for parameter in unet(base=base).parameters()) for base in (8, 16)]
    assert sizes[1] > 3 * sizes[0]
