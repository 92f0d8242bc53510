"""The step: asked once, computed once, and every draw a function of who draws."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqaug.core.step import Step
from seqaug.core.views import View
from seqaug.data.samples import Samples
from seqaug.errors import RecipeError, UnknownName

from ..small import MAX_LENGTH, assembly, samples, toy_split


class Counted:
    """Two views of the same items; counts how often it was asked."""

    view_names = ("one", "two")

    def __init__(self) -> None:
        self.asked = 0

    def views(self, step: Step) -> tuple[View, ...]:
        self.asked += 1
        clean = step.view("clean")
        return clean, View(clean.layout, clean.items.flip(0), clean.edited)


class Needs:
    """Wants a view of somebody else before it makes its own."""

    view_names = ("view",)

    def __init__(self, other: str) -> None:
        self.other = other

    def views(self, step: Step) -> tuple[View, ...]:
        return (step.view(self.other),)


def step(augmenters: dict[str, object] | None = None, *, seed: tuple[object, ...] = (0, "main", 0, 0), update: int = 0) -> Step:
    split = toy_split()
    own = samples(split)
    made = assembly(split, augmenters=augmenters)  # type: ignore[arg-type]
    return Step(made, own, own.take(torch.arange(8)), epoch=0, seed=seed, update=update)


def test_an_augmenter_is_asked_once_and_only_when_a_view_is_wanted() -> None:
    counted = Counted()
    made = step({"pair": counted})
    made.hidden("clean")
    assert counted.asked == 0
    made.view("pair.one")
    made.hidden("pair.two")
    made.representation("pair.two")
    assert counted.asked == 1


def test_what_is_drawn_for_a_prefix_does_not_hang_on_what_was_asked_before() -> None:
    split = toy_split()
    own = Samples(split, kind="prefixes", max_length=MAX_LENGTH)
    batch = own.take(torch.arange(8))
    made = assembly(split, dropout=0.5)

    def asked(*names: str) -> dict[str, Tensor]:
        one = Step(made, own, batch, epoch=0, seed=(0, "main", 0, 0))
        made.model.train()
        answers = {"all": one.hidden, "last": one.representation, "mean": lambda: one.representation(last=3)}
        return {name: answers[name]() for name in names}

    one, two = asked("last", "all", "mean"), asked("mean", "all", "last")
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(asked("last")["last"], one["last"])


def test_two_objectives_that_read_one_view_share_one_forward_pass() -> None:
    made = step()
    assert made.hidden("clean") is made.hidden("clean")


def test_an_unknown_view_is_refused_with_the_known_ones_and_a_suggestion() -> None:
    with pytest.raises(UnknownName, match=r"'pair.on'. Did you mean 'pair.one'\? Known: clean, pair.one, pair.two"):
        step({"pair": Counted()}).view("pair.on")


def test_a_ring_of_views_is_found_and_named() -> None:
    with pytest.raises(RecipeError, match="a -> b -> a"):
        step({"a": Needs("b.view"), "b": Needs("a.view")}).view("a.view")


def test_a_plugin_draws_by_its_path_and_the_steps_seed_and_not_by_who_drew_before() -> None:
    def draws(update: int, seed: tuple[object, ...], first: str) -> torch.Tensor:
        one, two = Counted(), Counted()
        made = step({"one": one, "two": two}, seed=seed, update=update)
        if first == "two":
            torch.rand(3, generator=made.generator(two))
        return torch.rand(3, generator=made.generator(one))

    plain = draws(0, (0, "main", 0, 0), "one")
    assert torch.equal(plain, draws(0, (0, "main", 0, 0), "two"))
    assert torch.equal(plain, draws(1, (0, "main", 0, 0), "one")), "views repeat between the updates of a batch"
    for other in ((1, "main", 0, 0), (0, "second", 0, 0), (0, "main", 1, 0), (0, "main", 0, 1)):
        assert not torch.equal(plain, draws(0, other, "one"))


def test_dropout_differs_by_view_and_update_and_leaves_the_global_generator_alone() -> None:
    def states(update: int, extra_view: bool) -> torch.Tensor:
        made = step({"pair": Counted()}, update=update)
        if extra_view:
            made.hidden("pair.two")
        return made.hidden("clean")

    torch.manual_seed(5)
    before = torch.get_rng_state()
    plain = states(0, False)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(plain, states(0, True)), "another view does not shift the masks of this one"
    assert not torch.equal(plain, states(1, False))
    made = step({"pair": Counted()})
    assert not torch.equal(made.hidden("clean"), made.hidden("pair.one")), (
        "the same items under another view name drop out anew"
    )


def test_evidence_without_scores_says_so_in_words() -> None:
    made = step()
    evidence = made.evidence(made.batch.layout, made.batch.items, made.batch.targets)
    with pytest.raises(RecipeError, match="nothing has been predicted yet"):
        _ = evidence.scores
