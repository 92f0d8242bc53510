"""The recurrent encoder and the denoisers: shapes, what sees what, and whose parameters are whose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, diffusion_of, model_of
from seqaug.builtin.denoisers.mlp import MlpDenoiser
from seqaug.builtin.denoisers.shared import SharedDenoiser
from seqaug.builtin.encoders.gru import Gru
from seqaug.data.layout import Layout
from seqaug.errors import RecipeError

COUNTS = [3, 1, 7, 4]
LAYOUT = Layout.of(COUNTS)
STEP = torch.tensor([1, 5, 9, 1000])


def vectors(seed: int = 0) -> Tensor:
    return torch.randn(sum(COUNTS), DIM, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("layers", [1, 2])
def test_the_gru_is_causal_and_reads_each_sequence_alone(layers: int) -> None:
    torch.manual_seed(0)
    encoder = Gru(DIM, layers=layers, hidden=11).eval()
    embedded = vectors()
    states = encoder(embedded, LAYOUT)
    assert states.shape == embedded.shape
    for part, alone in zip(torch.split(states, COUNTS), torch.split(embedded, COUNTS), strict=True):
        assert torch.allclose(part, encoder(alone, Layout.of([len(alone)])), atol=1e-6)
    later = embedded.clone()
    later[8] += 1  # position 4 of the sequence of seven, which begins at 4
    moved = (encoder(later, LAYOUT) - states).abs().amax(1) > 1e-7
    assert moved.tolist() == [8 <= n <= 10 for n in range(15)]


def test_the_gru_is_the_recurrence_written_out() -> None:
    torch.manual_seed(0)
    encoder = Gru(DIM, hidden=6).eval()
    embedded = vectors()[:3]
    cell = nn.GRUCell(DIM, 6)
    with torch.no_grad():
        for own, theirs in zip(cell.parameters(), encoder.units.parameters(), strict=True):
            own.copy_(theirs)
        state, expected = torch.zeros(6), []
        for vector in embedded:
            state = cell(vector, state)
            expected.append(encoder.output(state))
        assert torch.allclose(encoder(embedded, Layout.of([3])), torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
def test_every_parameter_of_the_gru_learns_and_dropout_is_on_in_training_only(layers: int) -> None:
    encoder = Gru(DIM, layers=layers, hidden=6, dropout=0.5)
    first, second = encoder(vectors(), LAYOUT), encoder(vectors(), LAYOUT)
    assert not torch.equal(first, second)
    first.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in encoder.parameters())
    encoder.eval()
    assert torch.equal(encoder(vectors(), LAYOUT), encoder(vectors(), LAYOUT))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_mlp_looks_at_one_position_at_a_time(layers: int) -> None:
    denoiser = MlpDenoiser(DIM, layers=layers, inner=16).eval()
    noised = vectors()
    restored = denoiser(noised, STEP, None, LAYOUT)
    assert restored.shape == noised.shape
    other = noised.clone()
    other[6] += torch.randn(DIM)
    moved = (denoiser(other, STEP, None, LAYOUT) - restored).abs().amax(1) > 0
    assert moved.tolist() == [n == 6 for n in range(15)]


@pytest.mark.parametrize("name", ["mlp", "shared"])
def test_a_condition_reaches_the_positions_of_its_sequence_only(name: str) -> None:
    denoiser = MlpDenoiser(DIM).eval() if name == "mlp" else shared(model_of(9)).eval()
    plain = denoiser(vectors(), STEP, torch.zeros(4, DIM), LAYOUT)
    assert torch.equal(plain, denoiser(vectors(), STEP, None, LAYOUT))
    condition = torch.zeros(4, DIM)
    condition[2] = torch.randn(DIM)
    moved = (denoiser(vectors(), STEP, condition, LAYOUT) - plain).abs().amax(1) > 0
    assert moved.tolist() == [4 <= n < 11 for n in range(15)]


def shared(model: nn.Module) -> SharedDenoiser:
    denoiser = SharedDenoiser(DIM, MAX_LENGTH)
    denoiser.bind(model)  # type: ignore[arg-type]
    return denoiser


def test_the_shared_denoiser_reads_both_ways_with_the_encoders_blocks() -> None:
    model = model_of(9).eval()
    denoiser = shared(model).eval()
    noised = vectors()
    restored = denoiser(noised, STEP, None, LAYOUT)
    later = noised.clone()
    later[10] += torch.randn(DIM)
    moved = (denoiser(later, STEP, None, LAYOUT) - restored).abs().amax(1) > 1e-6
    assert moved.tolist() == [4 <= n < 11 for n in range(15)]  # an earlier position sees a later one, another sequence does not
    with torch.no_grad():
        for parameter in model.encoders["main"].blocks.parameters():  # type: ignore[union-attr]
            parameter.mul_(0.5)
    assert not torch.allclose(restored, denoiser(noised, STEP, None, LAYOUT))


def test_the_shared_blocks_stay_the_encoders_and_learn_from_both() -> None:
    model = model_of(9, diffusion=diffusion_of(denoiser=SharedDenoiser(DIM, MAX_LENGTH)))
    denoiser = model.diffusion().denoiser
    assert isinstance(denoiser, SharedDenoiser)
    denoiser.bind(model)
    names = {name.split(".")[0] for name, _ in denoiser.named_parameters()}
    assert names == {"positions", "norm"}
    denoiser(vectors(), STEP, None, LAYOUT).square().sum().backward()
    blocks = model.encoders["main"].blocks
    assert all(parameter.grad is not None for parameter in blocks.parameters())  # type: ignore[union-attr]


def test_the_shared_denoiser_drops_by_its_own_mode_and_puts_the_blocks_back() -> None:
    model = model_of(9).train()
    denoiser = shared(model).eval()
    assert torch.equal(denoiser(vectors(), STEP, None, LAYOUT), denoiser(vectors(), STEP, None, LAYOUT))
    assert all(part.training for part in model.encoders["main"].modules())
    denoiser.train()
    model.eval()
    assert not torch.equal(denoiser(vectors(), STEP, None, LAYOUT), denoiser(vectors(), STEP, None, LAYOUT))
    assert not any(part.training for part in model.encoders["main"].modules())


def test_blocks_cannot_be_borrowed_from_a_gru() -> None:
    model = model_of(9, encoder=Gru(DIM))
    with pytest.raises(RecipeError, match="'main' has none"):
        shared(model)
