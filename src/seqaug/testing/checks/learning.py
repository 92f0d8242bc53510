"""Who learns: parts own every parameter and get a gradient for it; strategies own none and leave none behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ...core.registries import REGISTRIES
from ...core.seeds import seeded
from ..bench import Answer, Bench, Situation
from ..check import check, not_asked, require
from .randomness import same

__all__ = [
    "every_parameter_learns",
    "is_initialised_under_the_seed",
    "is_saved_whole",
    "learns_from_short_rows",
    "leaves_no_gradient",
    "owns_no_parameter",
    "passes_on_finite_gradients",
    "something_learns_from_it",
    "views_have_finite_gradients",
]

PARTS = ("encoders", "denoisers", "heads")
STRATEGIES = tuple(kind for kind in REGISTRIES if kind not in PARTS)
DEEP = 3


@check("owns no parameter: parts learn, strategies do not", *STRATEGIES)
def owns_no_parameter(bench: Bench) -> None:
    """Neither the plugin nor anything that it keeps is a parameter, or a tensor that wants a gradient: no optimiser would move
    it and no file of weights hold it. What is to learn is an encoder, a denoiser or a head."""
    situation = bench.situation()
    bench.ask(situation)
    model = situation.placed.assembly.model
    own = {id(one) for one in [*model.parameters(), *model.modules()]}
    strays = sorted({name for name, one in _kept(situation.plugin, "", DEEP) if id(one) not in own and _learns(one, own)})
    require(not strays, f"it keeps what learns in {', '.join(strays)}.")


def _kept(thing: Any, name: str, deep: int) -> Iterator[tuple[str, Any]]:
    yield name or "itself", thing
    if deep == 0 or (isinstance(thing, Tensor | nn.Module) and name):
        return
    if isinstance(thing, Mapping):
        inner = {f"{name}[{key!r}]": one for key, one in thing.items()}
    elif isinstance(thing, list | tuple):
        inner = {f"{name}[{place}]": one for place, one in enumerate(thing)}
    else:
        inner = {f"{name}.{key}".lstrip("."): one for key, one in getattr(thing, "__dict__", {}).items()}
    for label, one in inner.items():
        yield from _kept(one, label, deep - 1)


def _learns(one: Any, own: set[int]) -> bool:
    if isinstance(one, nn.Module):
        return any(id(parameter) not in own for parameter in one.parameters())
    return isinstance(one, Tensor) and (isinstance(one, nn.Parameter) or (one.requires_grad and one.is_leaf))


@check("leaves no gradient behind", *(kind for kind in STRATEGIES if kind != "schedules"))
def leaves_no_gradient(bench: Bench) -> None:
    """After it was asked no parameter of the model holds a gradient: the backward pass is the training loop's."""
    situation = bench.situation()
    model = situation.placed.assembly.model
    bench.ask(situation)
    held = [name for name, one in model.named_parameters() if one.grad is not None]
    require(not held, f"{', '.join(held[:3])} holds a gradient.")


@check("passes on gradients that are finite", "noise_sources", "encoders", "denoisers", "heads")
def passes_on_finite_gradients(bench: Bench) -> None:
    """The sum of the answer, weighted at random, is followed back to the vectors that were read (parts have to pass it on;
    noise may) and to the item table: every gradient is finite."""
    situation = bench.situation()
    if bench.learns:
        bench.disturbed(situation)
    scene = situation.scene
    read = {"noise_sources": scene.clean, "encoders": scene.clean, "denoisers": scene.noised, "heads": scene.hidden}[bench.kind]
    read.requires_grad_()
    total = _weighted(bench.ask(situation))
    if not total.requires_grad:
        require(bench.kind == "noise_sources", "no gradient comes back from its answer at all.")
        return
    total.backward()  # type: ignore[no-untyped-call]
    if bench.kind != "noise_sources":
        require(read.grad is not None and bool(read.grad.any()), "no gradient reaches the vectors that it reads.")
    table = situation.placed.assembly.model.items.weight
    for name, grad in (("the vectors that it reads", read.grad), ("the item table", table.grad)):
        require(grad is None or bool(torch.isfinite(grad).all()), f"the gradient of {name} is not finite.")


def _weighted(answer: Answer) -> Tensor:
    weigh = Generator().manual_seed(11)
    total = torch.zeros(())
    for one in answer.tensors.values():
        if one.is_floating_point():
            total = total + (one.cpu() * torch.randn(one.shape, generator=weigh)).sum()
    return total


@check("is a module, each of whose parameters gets a gradient", *PARTS)
def every_parameter_learns(bench: Bench) -> None:
    """An `nn.Module` whose parameters are all reached by the gradient of its answer, finite and not all 0 (weights that begin
    at 0 are moved a little first): one that is not would be saved, counted and never moved."""
    situation = bench.situation()
    plugin = situation.plugin
    require(isinstance(plugin, nn.Module), f"it is a {type(plugin).__name__} and no nn.Module.")
    bench.disturbed(situation)
    plugin.train()
    with seeded(3):
        total = _weighted(bench.ask(situation))
    if total.requires_grad:
        total.backward()  # type: ignore[no-untyped-call]
    idle = [name for name, one in plugin.named_parameters() if one.grad is None or not bool(one.grad.any())]
    wild = [
        name for name, one in plugin.named_parameters() if one.grad is not None and not bool(torch.isfinite(one.grad).all())
    ]
    require(not idle, f"no gradient reaches {', '.join(idle[:4])}.")
    require(not wild, f"the gradient of {', '.join(wild[:4])} is not finite.")


@check("is saved whole: another one that is given its weights answers the same", *PARTS)
def is_saved_whole(bench: Bench) -> None:
    """The weights of one are loaded into another that was initialised otherwise: the same answer. A tensor that is neither a
    parameter nor a buffer would be lost with every checkpoint."""
    one, two = bench.situation(init=0), bench.situation(init=1)
    two.placed.assembly.model.load_state_dict(one.placed.assembly.model.state_dict())
    two = bench.with_scene(two, one.scene)
    for situation in (one, two):
        situation.placed.assembly.model.eval()
    require(not same(bench.ask(one), bench.ask(two)), "after loading the weights, the answer is another one.")


@check("is initialised under the seed of its assembly", *PARTS)
def is_initialised_under_the_seed(bench: Bench) -> None:
    """The same seed of the assembly gives the same weights; another one gives others, where weights are drawn at all. Whoever
    calls `torch.manual_seed` in a constructor makes every seed of an experiment the same."""
    first, again, other = (dict(bench.situation(init=init).plugin.state_dict()) for init in (0, 0, 1))
    require(all(torch.equal(first[name], again[name]) for name in first), "the same seed gives other weights.")
    if not any(one.numel() > 1 and bool((one != one.flatten()[0]).any()) for one in first.values()):
        not_asked("its weights begin as constants")
    require(any(not torch.equal(first[name], other[name]) for name in first), "another seed gives the same weights.")


@check("gives a number that something learns from", "objectives")
def something_learns_from_it(bench: Bench) -> None:
    """The value has a gradient; it reaches at least one parameter of the model, and every gradient is finite. Tried on batches
    until one has something to say."""
    for seed in range(4):
        situation = bench.situation([1] * 12, seed=seed)
        model = situation.placed.assembly.model
        value = bench.ask(situation).raw
        if not (isinstance(value, Tensor) and value.requires_grad):
            continue
        value.backward()  # type: ignore[no-untyped-call]
        grads = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
        wild = [name for name, grad in grads.items() if not bool(torch.isfinite(grad).all())]
        require(not wild, f"the gradient of {', '.join(wild[:3])} is not finite.")
        if any(bool(grad.any()) for grad in grads.values()):
            return
    require(False, "no gradient reaches any part of the model.")


@check("learns from rows of one item without a NaN", "objectives")
def learns_from_short_rows(bench: Bench) -> None:
    """Rows at the edges (one item, one row, one item again and again): where the value has a gradient, it is finite."""
    for what, make in bench.edges().items():
        situation = make()
        value = _value(bench, situation)
        if value is None or not value.requires_grad:
            continue
        value.backward()  # type: ignore[no-untyped-call]
        for name, one in situation.placed.assembly.model.named_parameters():
            require(one.grad is None or bool(torch.isfinite(one.grad).all()), f"{what}: the gradient of {name} is not finite.")


def _value(bench: Bench, situation: Situation) -> Tensor | None:
    from ...errors import SeqaugError

    try:
        value = bench.ask(situation).raw
    except SeqaugError:
        return None
    return value if isinstance(value, Tensor) else None


@check("gives views whose vectors have finite gradients", "augmenters")
def views_have_finite_gradients(bench: Bench) -> None:
    """Where a view brings vectors or representations of its own, their weighted sum is followed back: finite everywhere."""
    situation = bench.situation()
    answer = bench.ask(situation)
    total = _weighted(Answer({name: one for name, one in answer.tensors.items() if one.requires_grad}))
    if not total.requires_grad:
        not_asked("its views bring no vectors that learn")
    total.backward()  # type: ignore[no-untyped-call]
    for name, one in situation.placed.assembly.model.named_parameters():
        require(one.grad is None or bool(torch.isfinite(one.grad).all()), f"the gradient of {name} is not finite.")
