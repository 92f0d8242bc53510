"""What the specification of duorec says a correct implementation must show."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods.test_recipes import built, compared, planned, split, step_of
from seqaug.core.step import Step
from seqaug.data.split import Split
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan

__all__ = ["split"]


def contrast(step: Step) -> Tensor:
    return next(term.objective(step) for term in step.assembly.stages[0].updates[0].terms if term.name == "contrast")


def nce(first: Tensor, second: Tensor) -> Tensor:
    """Mean over 2 B of -log of the partner's share among the other 2 B - 1."""
    every = torch.cat([first, second])
    size = len(every)
    terms = []
    for i in range(size):
        others = [j for j in range(size) if j != i]
        terms.append(torch.logsumexp(every[others] @ every[i], 0) - every[(i + size // 2) % size] @ every[i])
    return torch.stack(terms).mean()


def test_duorec_without_its_contrast_is_sasrec_bit_for_bit(split: Split) -> None:
    compared("duorec", {"objectives.contrast.weight": 0}, split)


def test_two_readings_of_a_history_differ_by_dropout_only(split: Split) -> None:
    step = step_of(planned("duorec"), split)
    assert not torch.equal(step.representation("clean"), step.representation("again.again"))
    step = step_of(planned("duorec", **{"encoders.main.dropout": 0.0}), split)
    assert torch.equal(step.representation("clean"), step.representation("again.again"))
    step = step_of(planned("duorec"), split)
    step.model.eval()
    assert torch.equal(step.representation("clean"), step.representation("again.again"))


def test_the_published_contrast_is_between_the_second_reading_and_the_other_history(split: Split) -> None:
    step = step_of(planned("duorec"), split)
    asked = {view: step.representation(view) for view in ("clean", "again.again", "same.other")}
    for representation in asked.values():
        representation.retain_grad()
    found = contrast(step)
    assert torch.allclose(found, nce(*(step.representation(view) for view in ("again.again", "same.other"))), atol=1e-4)
    found.backward()  # type: ignore[no-untyped-call]
    for view in ("again.again", "same.other"):
        gradient = asked[view].grad
        assert gradient is not None
        assert (gradient.abs().sum(1) > 0).all(), "nothing stops the gradient on either side"
    assert asked["clean"].grad is None, "the history as it is takes part in no contrast"


@pytest.mark.parametrize(
    ("mode", "pairs"),
    [
        ("un", [("clean", "again.again")]),
        ("su", [("clean", "same.other")]),
        ("us", [("clean", "again.again"), ("clean", "same.other")]),
    ],
)
def test_the_other_modes_of_the_released_code(mode: str, pairs: list[tuple[str, str]], split: Split) -> None:
    patches = [Patch("data.max_length", 12, "test"), Patch("items.dim", 32, "test")]
    step = step_of(make_plan(load_recipe("duorec"), data=None, ablation=mode, patches=patches), split)
    expected = [nce(step.representation(one), step.representation(other)) for one, other in pairs]
    assert contrast(step).item() == pytest.approx(torch.stack(expected).sum().item(), rel=1e-5)


def test_positives_come_from_the_training_rows_of_the_same_target(split: Split) -> None:
    step = step_of(planned("duorec"), split, rows=200)
    view = step.view("same.other")
    every = step.samples.take(torch.arange(step.samples.num_rows))
    rows = list(
        zip(
            map(tuple, (one.tolist() for one in every.items.split(every.layout.counts))),
            every.targets[every.layout.last()].tolist(),
            strict=True,
        )
    )
    targets = step.batch.targets[step.batch.layout.last()].tolist()
    drawn = [tuple(items.tolist()) for items in view.items.split(view.layout.counts)]
    assert set(zip(drawn, targets, strict=True)) <= set(rows)


def test_a_representation_depends_on_nothing_later_and_on_no_other_sequence(split: Split) -> None:
    made, samples = built(planned("duorec"), split)
    made.model.eval()
    batch = samples.take(torch.arange(40))
    step = Step(made, samples, batch, epoch=0, seed=(0, "main", 0, 0))
    together = step.representation()
    for row in (0, 7, 39):
        alone = Step(made, samples, samples.take(torch.tensor([row])), epoch=0, seed=(0, "main", 0, 0))
        assert torch.allclose(alone.representation()[0], together[row], atol=1e-5)
        longer = step.hidden()[step.batch.layout.sequence == row]
        assert torch.allclose(alone.hidden(), longer, atol=1e-5)
    # Row r + 1 of the same user is row r with one item more: the states that they share are the same.
    same = [row for row in range(39) if batch.users[row] == batch.users[row + 1] and batch.layout.counts[row] < 12]
    states = step.hidden().split(batch.layout.counts)
    assert same and all(torch.allclose(states[row + 1][:-1], states[row], atol=1e-5) for row in same)
