"""What the specification of mclrec says a correct implementation must show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.test_recipes import built, fitted, planned, split, step_of, weights
from seqaug.core.step import Step
from seqaug.data.samples import Samples
from seqaug.data.split import Split
from seqaug.evaluation.ranking import rank_held_out
from seqaug.recipes.load import load_recipe
from seqaug.recipes.plan import Patch, make_plan
from seqaug.training.updates import Optimisers

__all__ = ["split"]

THETA = ("items", "encoders.main")
MAPS = ("heads.first", "heads.second")
THREE: dict[str, Any] = {
    "objectives.contrast.weight": 0.3,
    "objectives.mapped_contrast.weight": 0.2,
    "objectives.margin.weight": 0.02,
}


def value(step: Step, name: str) -> float:
    terms = {term.name: term.objective for update in step.assembly.stages[0].updates for term in update.terms}
    return terms[name](step).item()


def test_the_first_and_third_step_move_the_encoder_and_the_second_the_networks(split: Split) -> None:
    made, samples = built(planned("mclrec"), split)
    (stage,) = made.stages
    assert [update.moves for update in stage.updates] == [THETA, MAPS, THETA]
    optimisers = Optimisers(made.model, stage.updates, learning_rate=1e-3, weight_decay=0)
    batch = samples.take(torch.arange(64))
    for number, update in enumerate(stage.updates):
        before = {name: [one.detach().clone() for one in part.parameters()] for name, part in made.model.parts().items()}
        optimisers.prepare(update)
        step = Step(made, samples, batch, epoch=0, seed=(0, "main", 0, 0), update=number)
        optimisers.apply(update, torch.stack([term.weight * term.objective(step) for term in update.terms]).sum())
        for name, part in made.model.parts().items():
            same = [torch.equal(one, other) for one, other in zip(part.parameters(), before[name], strict=True)]
            assert not any(same) if name in update.moves else all(same), (number, name)


def test_the_weights_of_the_three_steps(split: Split) -> None:
    plan = planned("mclrec", **THREE)
    made, _ = built(plan, split)
    first, second, third = ({term.name: term.weight for term in update.terms} for update in made.stages[0].updates)
    assert first == third == {"recommendation": 1, "contrast": 0.3, "mapped_contrast": 0.2, "margin": 0.02}
    assert second == {"mapped_contrast": 1, "margin": 0.1}, "not times beta"


@pytest.mark.parametrize(
    ("data", "lmd", "beta", "dropout"),
    [
        ("beauty", 0, 0.05, 0.5),
        ("sports", 0.04, 0.4, 0.5),
        ("toys", 0.01, 0.1, 0.5),
        ("yelp", 0.03, 0.1, 0.5),
        ("ml-1m", 0, 0.01, 0.1),
        ("ml-1m-5core", 0, 0.01, 0.1),
    ],
)
def test_the_values_per_data_set_are_those_of_the_scripts(data: str, lmd: float, beta: float, dropout: float) -> None:
    plan = make_plan(load_recipe("mclrec"), data=data)
    assert plan.objectives["contrast"].share.weight == lmd
    assert plan.objectives["mapped_contrast"].share.weight == beta
    assert plan.objectives["margin"].share.weight == pytest.approx(0.1 * beta)
    assert plan.values["encoders"]["main"]["dropout"] == dropout


def test_what_the_networks_make_has_length_one_and_differs_between_them(split: Split) -> None:
    step = step_of(planned("mclrec"), split)
    for view in ("mapped_first.mapped", "mapped_second.mapped"):
        assert torch.allclose(step.representation(view).norm(dim=1), torch.ones(step.batch.size), atol=1e-6)
    asked = step.representation("edited.first")
    assert not torch.allclose(step.model.heads["first"](asked), step.model.heads["second"](asked), atol=1e-3)


def test_the_views_are_the_same_in_the_three_steps_and_the_dropout_is_not(split: Split) -> None:
    made, samples = built(planned("mclrec"), split)
    batch = samples.take(torch.arange(32))
    steps = [Step(made, samples, batch, epoch=0, seed=(0, "main", 0, 0), update=number) for number in range(3)]
    for view in ("edited.first", "edited.second"):
        assert all(torch.equal(steps[0].view(view).items, other.view(view).items) for other in steps[1:])
        assert not torch.equal(steps[0].representation(view), steps[1].representation(view))


def test_the_mapped_contrast_is_the_sum_of_its_three_pairs(split: Split) -> None:
    step = step_of(planned("mclrec"), split)
    h1, h2, z1, z2 = (
        step.representation(view) for view in ("edited.first", "edited.second", "mapped_first.mapped", "mapped_second.mapped")
    )

    def scores(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """The positive (2 B, 1) and the negatives (2 B, 2 B - 2) of each row."""
        every = torch.cat([first, second])
        size = len(every)
        whole = every @ every.t()
        partner = [(i + size // 2) % size for i in range(size)]
        negatives = [[whole[i, j] for j in range(size) if j not in (i, partner[i])] for i in range(size)]
        return whole[range(size), partner][:, None], torch.stack([torch.stack(row) for row in negatives])

    contrast, margin = 0.0, 0.0
    for pair in ((h1, z2), (h2, z1), (z1, z2)):
        positive, negative = scores(*pair)
        contrast += (torch.logsumexp(torch.cat([positive, negative], 1), 1) - positive[:, 0]).mean().item()
        hardest = negative.max(1, keepdim=True).values
        margin += (positive - torch.minimum(positive, hardest)).clamp(min=0).mean().item()
        margin += (torch.maximum(positive, hardest) - negative).clamp(min=0).mean().item()
    assert value(step, "mapped_contrast") == pytest.approx(contrast, rel=1e-5)
    assert value(step, "margin") == pytest.approx(margin, rel=1e-5)


@pytest.mark.parametrize(("operator", "share"), [("crop", 0.5), ("mask", 0.5), ("reorder", 0.8)])
def test_the_editing_laws_at_the_rates_of_the_recipe(operator: str, share: float, split: Split) -> None:
    alone = {"augmenters.edited.operators": [operator], "augmenters.edited.distinct": False}
    step = step_of(planned("mclrec", **alone), split, rows=300)
    view, clean = step.view("edited.first"), step.view("clean")
    originals, edited = clean.items.split(clean.layout.counts), view.items.split(view.layout.counts)
    for before, after in zip(originals, edited, strict=True):
        length = len(before)
        size = int(share * length + 1e-9) if length > 1 else length
        if operator == "crop":
            assert len(after) == max(size, 1)
            assert any(torch.equal(before[start : start + len(after)], after) for start in range(length - len(after) + 1))
        elif operator == "mask":
            assert len(after) == length and int((after == step.model.items.mask_id).sum()) == (size if length > 1 else 0)
        else:
            assert sorted(after.tolist()) == sorted(before.tolist())
            changed = (before != after).nonzero()[:, 0].tolist()
            assert not changed or changed[-1] - changed[0] < size


def test_without_contrast_the_encoder_takes_two_steps_of_sasrec_per_batch(split: Split) -> None:
    """sasrec with as many updates, the middle one of which moves nothing, has the same dropout."""
    nothing = {"objectives.contrast.weight": 0, "objectives.mapped_contrast.weight": 0, "objectives.margin.weight": 0}
    plan = planned("mclrec", **nothing, **{"training.epochs": 2})
    twice = [{"name": "main", "updates": [{"moves": list(THETA)}, {"moves": []}, {"moves": list(THETA)}]}]
    shared = {"data.samples": "prefixes", "training.monitor": plan.training.monitor, "training.epochs": 2}
    made, reports = fitted(plan, split)
    base, expected = fitted(planned("sasrec", stages=twice, **shared), split)
    assert [report.valid for report in reports] == [report.valid for report in expected]
    ours = weights(made)
    assert all(torch.equal(tensor, ours[name]) for name, tensor in weights(base).items())
    before = weights(built(plan, split)[0])
    assert any(not torch.equal(before[name], ours[name]) for name in before if name.startswith("heads."))


def test_joint_training_is_one_step_of_the_first_loss_for_everything(split: Split) -> None:
    made, _ = built(planned("mclrec", **THREE, stages=[]), split)
    three, _ = built(planned("mclrec", **THREE), split)
    (update,) = made.stages[0].updates
    assert set(update.moves) == {*THETA, *MAPS}
    found, expected = ([(term.name, term.weight) for term in one.terms] for one in (update, three.stages[0].updates[0]))
    assert found == expected
    source, one_step = load_recipe("mclrec"), Patch("stages", [], "test")
    assert make_plan(source, data=None, ablation="joint") == make_plan(source, data=None, patches=[one_step])


def test_inference_needs_neither_networks_nor_copies(split: Split) -> None:
    made, _ = built(planned("mclrec"), split)
    before = rank_held_out(made, split.test, seed=0).rank
    made.model.heads = nn.ModuleDict()
    made.augmenters.clear()
    assert np.array_equal(rank_held_out(made, split.test, seed=0).rank, before)


def test_the_contrast_between_the_networks_cannot_fall_below_what_unit_length_allows(split: Split) -> None:
    """Positives at 1, negatives at -1 at the least: log(1 + (2 B - 2) e^-2) with a temperature of 1."""
    only = {"objectives.mapped_contrast.first": "mapped_first.mapped", "objectives.mapped_contrast.also": []}
    step = step_of(planned("mclrec", **only), split)
    assert value(step, "mapped_contrast") > float(np.log(1 + (2 * step.batch.size - 2) * np.exp(-2)))


def test_an_epoch_of_prefixes_has_a_row_for_every_target(split: Split) -> None:
    _, samples = built(planned("mclrec"), split)
    assert isinstance(samples, Samples) and samples.kind == "prefixes"
    assert samples.num_rows == int((split.train.lengths - 1).clamp(min=0).sum())
