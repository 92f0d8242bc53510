"""A stranger's augmenter is watched through the interfaces alone."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from seqaug.core.protocols import PositionSelector
from seqaug.core.step import Step
from seqaug.core.views import Evidence, View
from seqaug.experiments.watched import Seen, watching
from small import assembly, samples, toy_split


class Every:
    """Every `step`-th position, counted from the end."""

    def __init__(self, step: int) -> None:
        self.step = step

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        return evidence.layout.from_end % self.step == 0


class Closed:
    """A selector that takes no attributes."""

    __slots__ = ()

    def select(self, evidence: Evidence, generator: Generator) -> Tensor:
        return torch.ones_like(evidence.items, dtype=torch.bool)


class Shifted:
    """Puts the next id at the positions that each of two selectors chooses; both views are made at once."""

    view_names = ("first", "second")

    def __init__(self, first: PositionSelector, second: PositionSelector) -> None:
        self.selectors = (first, second)

    def views(self, step: Step) -> tuple[View, ...]:
        batch = step.batch
        evidence = step.evidence(batch.layout, batch.items, batch.items)
        made = []
        for selector in self.selectors:
            chosen = selector.select(evidence, Generator())
            items = torch.where(chosen, batch.items % step.samples.num_items + 1, batch.items)
            made.append(View(batch.layout, items, items != batch.items))
        return tuple(made)


def seen(augmenter: Shifted, view: str) -> tuple[Seen, Tensor]:
    """What was noticed of a view, and the positions that it changed."""
    split = toy_split()
    rows = samples(split)
    made = assembly(split, augmenters={"own": augmenter})  # type: ignore[dict-item]
    for place, selector in enumerate(augmenter.selectors):
        made.plugins[f"augmenters.own.{place}"] = selector
    batch = rows.take(torch.arange(6))
    with watching(made, rows) as watch:
        found = watch.look(batch, f"own.{view}", encoder="main", seed=(0,))
    return found, found.view.items != batch.items


def test_of_two_choices_the_one_that_the_view_followed_is_told() -> None:
    both = Every(2)
    assert seen(Shifted(both, both), "first")[0].selected is not None and "select" not in vars(both)
    augmenter = Shifted(Every(2), Every(3))
    for view in ("first", "second"):
        found, changed = seen(augmenter, view)
        assert found.selected is not None and torch.equal(found.selected, changed)
        assert found.confidence is None and found.restored is None, "nothing was predicted, nothing restored"
        assert found.representation is not None and found.representation.shape == (6,)


def test_a_selector_that_cannot_be_watched_stays_unseen_and_works() -> None:
    found, changed = seen(Shifted(Closed(), Closed()), "first")
    assert bool(changed.all()) and found.selected is None


def test_what_a_view_was_made_from_is_known() -> None:
    class Copied(Shifted):
        view_names = ("first",)  # type: ignore[assignment]

        def views(self, step: Step) -> tuple[View, ...]:
            return (step.view("clean"),)

    assert seen(Copied(Every(1), Every(1)), "first")[0].read == ("clean",)
