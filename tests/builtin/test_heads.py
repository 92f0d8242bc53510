"""Heads against the formulas they stand for, and the views whose representation a head maps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from builtin.worlds import DIM, MAX_LENGTH, assembly_of, diffusion_of, drawing, step_of, toy
from seqaug.builtin.augmenters.learned import LearnedViews
from seqaug.builtin.encoders.transformer import TransformerEncoder
from seqaug.builtin.heads import LinearHead, MlpHead
from seqaug.core.items import ItemTable
from seqaug.core.recommender import Recommender
from seqaug.core.seeds import seeded
from seqaug.core.step import Step

HIDDEN = torch.randn(5, DIM, generator=drawing(2))


def gelu(values: Tensor) -> Tensor:
    return values * 0.5 * (1 + torch.erf(values / math.sqrt(2)))


def test_a_linear_head_is_one_affine_map() -> None:
    head = LinearHead(DIM)
    assert torch.allclose(head(HIDDEN), HIDDEN @ head.map.weight.t() + head.map.bias)


def test_a_critic_is_a_linear_head_of_width_one_without_bias() -> None:
    head = LinearHead(DIM, width=1, bias=False)
    assert [tuple(one.shape) for one in head.parameters()] == [(1, DIM)]
    assert head(HIDDEN).shape == (5, 1)


def test_gelu_and_layer_make_the_output_transform() -> None:
    head = LinearHead(DIM, activation="gelu", norm="layer")
    inner = gelu(HIDDEN @ head.map.weight.t() + head.map.bias)
    centred = inner - inner.mean(1, keepdim=True)
    assert torch.allclose(head(HIDDEN), centred / centred.square().mean(1, keepdim=True).add(1e-12).sqrt(), atol=1e-5)
    assert isinstance(head.norm, nn.LayerNorm) and head.norm.eps == 1e-12


def test_an_mlp_head_has_gelu_between_its_maps_and_none_after() -> None:
    head = MlpHead(DIM, inner=(6, 4), width=3)
    assert [tuple(one.weight.shape) for one in head.maps] == [(6, DIM), (4, 6), (3, 4)]
    values = HIDDEN
    for place, one in enumerate(head.maps):
        values = values @ one.weight.t() + one.bias  # type: ignore[operator]
        values = gelu(values) if place < 2 else values
    assert torch.allclose(head(HIDDEN), values, atol=1e-6)


def test_the_extractors_are_64_32_16_64_of_unit_length() -> None:
    head = MlpHead(64, norm="unit", initial="default")
    assert [one.weight.shape for one in head.maps] == [(32, 64), (16, 32), (64, 16)]
    made = head(torch.randn(9, 64, generator=drawing()))
    assert torch.allclose(made.norm(dim=1), torch.ones(9), atol=1e-6)


def test_unit_length_changes_no_direction_and_leaves_zero_alone() -> None:
    head = MlpHead(DIM, norm="unit")
    plain = MlpHead(DIM)
    plain.load_state_dict(head.state_dict())
    long = plain(HIDDEN)
    assert torch.allclose(head(HIDDEN) * long.norm(dim=1, keepdim=True), long, rtol=1e-5)
    with torch.no_grad():
        for one in head.parameters():
            one.zero_()
    made = head(HIDDEN)
    assert not made.any()
    made.sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in head.parameters() if one.grad is not None)


@pytest.mark.parametrize("kind", [LinearHead, MlpHead])
def test_initial_weights_are_small_normals_or_those_of_torch(kind: type[LinearHead | MlpHead]) -> None:
    small = kind(400)
    linears = [one for one in small.modules() if isinstance(one, nn.Linear)]
    assert all(one.weight.std().item() == pytest.approx(0.02, rel=0.1) and not one.bias.any() for one in linears)
    with seeded(3):
        theirs = nn.Linear(400, linears[0].out_features)
    with seeded(3):
        first = next(one for one in kind(400, initial="default").modules() if isinstance(one, nn.Linear))
    assert torch.equal(first.weight, theirs.weight) and torch.equal(first.bias, theirs.bias)


@pytest.mark.parametrize("head", [LinearHead(DIM), MlpHead(DIM, norm="unit"), LinearHead(DIM, activation="gelu", norm="layer")])
def test_heads_take_any_number_of_leading_dimensions(head: nn.Module) -> None:
    stacked = torch.stack([HIDDEN, 2 * HIDDEN])
    assert torch.allclose(head(stacked)[1], head(2 * HIDDEN), atol=1e-6)


# ---- learned views ----


def mapped(seed: int = 0) -> Step:
    """A step with two views of the batch, mapped by two heads of the same shape."""
    samples = toy(kind="prefixes")
    torch.manual_seed(seed)
    model = Recommender(
        ItemTable(samples.num_items, DIM),
        encoders={"main": TransformerEncoder(DIM, MAX_LENGTH, inner=16)},
        diffusions={"main": diffusion_of()},
        heads={name: MlpHead(DIM, norm="unit", initial="default") for name in ("one", "two")},
        max_length=MAX_LENGTH,
    )
    views = {name: LearnedViews(view="clean", head=name) for name in ("one", "two")}  # type: ignore[arg-type]
    return step_of(assembly_of(model, **views), samples)


def test_a_learned_view_is_the_head_of_a_representation_at_the_places_of_its_view() -> None:
    step = mapped()
    found, clean = step.view("one.mapped"), step.view("clean")
    assert found.layout is clean.layout and torch.equal(found.items, clean.items) and torch.equal(found.edited, clean.edited)
    assert torch.equal(step.representation("one.mapped"), step.model.heads["one"](step.representation()))
    assert torch.allclose(step.representation("one.mapped").norm(dim=1), torch.ones(step.batch.size), atol=1e-6)


def test_two_heads_make_two_things_of_one_representation() -> None:
    step = mapped()
    assert not torch.allclose(step.representation("one.mapped"), step.representation("two.mapped"))


def test_a_learned_view_teaches_its_head_and_the_encoder_before_it() -> None:
    step = mapped()
    step.representation("one.mapped")[:, 0].sum().backward()
    gradients = {
        name: [one.grad for one in part.parameters() if one.grad is not None] for name, part in step.model.parts().items()
    }
    touched = {name for name, found in gradients.items() if any(one.any() for one in found)}
    assert touched == {"items", "encoders.main", "heads.one"}
