"""Self-attention over ragged batches: who sees whom."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from seqaug.builtin.denoisers.transformer import TransformerDenoiser
from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.core.blocks import Dropout, TransformerBlocks
from seqaug.data.layout import Layout

COUNTS = [1, 5, 2, 9, 3, 4, 9]


def encoder(**options: object) -> TransformerEncoder:
    torch.manual_seed(0)
    made = TransformerEncoder(8, 12, **{"heads": 2, "inner": 16, "dropout": 0.3, **options})  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.mul_(20)  # at N(0, .02) attention is nearly uniform and a leak would hide in rounding
    return made.eval()


@pytest.fixture
def batch() -> tuple[Tensor, Layout]:
    torch.manual_seed(1)
    return torch.randn(sum(COUNTS), 8), Layout.of(COUNTS)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_a_causal_state_does_not_change_when_a_later_item_changes(batch: tuple[Tensor, Layout], norm: str) -> None:
    embedded, layout = batch
    model = encoder(norm=norm)
    before = model(embedded, layout)
    place = int(layout.first()[3]) + 4
    changed = embedded.clone()
    changed[place] += torch.randn(8)
    after = model(changed, layout)
    moved = (before - after).abs().amax(1) > 1e-6
    assert moved[place : place + 5].all()
    assert moved.sum() == 5


def test_a_bidirectional_state_sees_its_whole_sequence_and_no_other(batch: tuple[Tensor, Layout]) -> None:
    embedded, layout = batch
    model = encoder(causal=False)
    changed = embedded.clone()
    changed[int(layout.first()[3]) + 4] += torch.randn(8)
    moved = (model(embedded, layout) - model(changed, layout)).abs().amax(1) > 1e-6
    assert torch.equal(moved, layout.sequence == 3)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("positions", ["from_start", "from_end", "none"])
def test_a_sequence_alone_has_the_states_it_has_in_a_batch(batch: tuple[Tensor, Layout], causal: bool, positions: str) -> None:
    embedded, layout = batch
    model = encoder(causal=causal, positions=positions)
    together = model(embedded, layout)
    for row, count in enumerate(COUNTS):
        own = layout.sequence == row
        assert torch.allclose(model(embedded[own], Layout.of([count])), together[own], atol=1e-5)


def test_the_state_at_a_position_is_that_of_the_prefix_run_alone(batch: tuple[Tensor, Layout]) -> None:
    embedded, layout = batch
    model = encoder()
    start = int(layout.first()[3])
    together = model(embedded, layout)
    for length in range(1, 10):
        alone = model(embedded[start : start + length], Layout.of([length]))
        assert torch.allclose(alone[-1], together[start + length - 1], atol=1e-5)


def test_the_denoiser_sees_later_items_and_its_own_step_and_condition_only(batch: tuple[Tensor, Layout]) -> None:
    noised, layout = batch
    torch.manual_seed(0)
    model = TransformerDenoiser(8, 12, inner=16).eval()
    step = torch.ones(len(COUNTS), dtype=torch.int64)
    plain = model(noised, step, None, layout)
    condition = torch.zeros(len(COUNTS), 8)
    assert torch.allclose(model(noised, step, condition, layout), plain, atol=1e-6)
    condition[3] = 5 * torch.randn(8)
    moved = (model(noised, step, condition, layout) - plain).abs().amax(1) > 1e-6
    assert torch.equal(moved, layout.sequence == 3)


def test_attention_with_its_dropout_written_out_is_torchs_attention(batch: tuple[Tensor, Layout]) -> None:
    """In training the attention of the CPU path is our own; with a dropout of nearly nothing it must be the other path's."""
    embedded, layout = batch
    torch.manual_seed(0)
    model = TransformerBlocks(8, heads=2, inner=16, dropout=0.0, attention_dropout=1e-9)
    assert torch.allclose(model.train()(embedded, layout), model.eval()(embedded, layout), atol=1e-5)


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not divide a width of 8"):
        TransformerBlocks(8, heads=3)


@pytest.mark.parametrize("probability", [0.1, 0.2, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_keeps_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    values = torch.ones(400_003, requires_grad=True)
    dropped = Dropout(probability)(values)
    zero = dropped == 0
    assert zero.float().mean().item() == pytest.approx(probability, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    dropped.sum().backward()
    assert values.grad is not None and torch.equal(values.grad == 0, zero)


def test_neighbouring_dropout_decisions_are_independent() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(400_000)) > 0).float()
    for lag in (1, 2, 3, 4):
        together = (kept[lag:] * kept[:-lag]).mean().item()
        assert together == pytest.approx(0.25, abs=0.005)


def test_dropout_does_nothing_in_evaluation() -> None:
    values = torch.randn(7)
    assert Dropout(0.5).eval()(values) is values


def test_initial_weights_are_normal_with_a_deviation_of_two_hundredths() -> None:
    torch.manual_seed(0)
    model = TransformerEncoder(64, 50)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
            assert module.bias.abs().sum() == 0
        if isinstance(module, nn.LayerNorm):
            assert (module.weight == 1).all() and (module.bias == 0).all() and module.eps == 1e-12


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_latest_states_alone_are_those_among_all_states(norm: Literal["post", "pre"], causal: bool, layers: int) -> None:
    torch.manual_seed(0)
    blocks = TransformerBlocks(16, layers=layers, inner=32, dropout=0.3, causal=causal, norm=norm)
    layout = Layout.of([1, 5, 2, 9, 3, 3, 17])
    hidden = torch.randn(layout.num_positions, 16)
    blocks.eval()
    every, alone = blocks(hidden, layout)[layout.last()], blocks.latest(hidden, layout)
    assert torch.allclose(every, alone, atol=1e-6)
    parameters = list(blocks.parameters())
    for one, two in zip(
        torch.autograd.grad(every.square().sum(), parameters),
        torch.autograd.grad(alone.square().sum(), parameters),
        strict=True,
    ):
        assert torch.allclose(one, two, atol=1e-5)
    blocks.train()
    assert not torch.equal(blocks.latest(hidden, layout), alone), "dropout takes part"
