"""Between stages: what was learnt goes on, what shall start again does, made-up context comes in front of the rows."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from seqaug.core.assembly import Assembly, Stage, Term, Update
from seqaug.core.recommender import Recommender
from seqaug.data.split import Histories, Split
from seqaug.errors import DataError, PluginError
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.training.fit import BatchReport, EpochReport, Fit
from seqaug.training.stages import Stages

from ..small import assembly, samples, toy_split
from .test_fit import Options, numbers, same, trained

ALL = ("items", "encoders.main")


class Repeated:
    """Puts each user's first item twice in front, and remembers what it saw."""

    def __init__(self, at_scoring: bool = True, length: int = 2) -> None:
        self.at_scoring = at_scoring
        self.length = length
        self.seen: list[tuple[Tensor, Tensor, int]] = []

    def rewrite(self, model: Recommender, histories: Histories, generator: torch.Generator, /) -> Tensor:
        self.seen.append((model.items.weight.clone(), histories.items, int(generator.initial_seed())))
        return torch.stack([histories.of(user)[:1].repeat(self.length) for user in range(histories.num_users)])


def staged(split: Split, *stages: Stage, rewriter: Repeated | None = None, seed: int = 0) -> Assembly:
    made = assembly(split, seed=seed)
    term = Term("recommendation", made.plugins["objectives.recommendation"], 1.0)  # type: ignore[arg-type]
    filled = tuple(replace(stage, updates=stage.updates or (Update(ALL, (term,)),)) for stage in stages)
    extra = {} if rewriter is None else {"rewriters.made": rewriter}
    return replace(made, stages=filled, plugins=made.plugins | extra, rewriters={} if rewriter is None else {"made": rewriter})


def fit(made: Assembly, split: Split, *, seed: int = 0, resume: dict[str, Any] | None = None, **options: Any) -> Fit:
    return Fit(
        made,
        samples(split),
        seed=seed,
        options=Options(**options),
        validate=lambda: metrics(rank_held_out(made, split.valid, seed=seed).rank),
        resume=resume,
    )


def weights(made: Assembly) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in made.model.state_dict().items()}


def test_a_stage_begins_with_the_best_weights_of_the_one_before() -> None:
    split = toy_split()
    made = staged(split, Stage("warm", 3, ()), Stage("main", 1, ()))
    run = fit(made, split)
    best: dict[str, Tensor] = {}
    for report in run.reports():
        if isinstance(report, EpochReport) and report.stage == "warm":
            if report.improved:
                best = weights(made)
            if report.stopping:
                assert same(best, weights(made))
    assert run.finished and run.epochs_done == 4


def test_a_part_that_is_reset_trains_as_if_nothing_had_been_before() -> None:
    split = toy_split()
    alone, _ = trained(fit(staged(split, Stage("main", 3, ())), split))
    after, weights_after = trained(fit(staged(split, Stage("warm", 2, ()), Stage("main", 3, (), reset=ALL)), split))
    assert numbers(after[2:]) == numbers(alone)
    kept, _ = trained(fit(staged(split, Stage("warm", 2, ()), Stage("main", 3, ())), split))
    assert numbers(kept[2:]) != numbers(alone)
    assert weights_after.keys() == weights(staged(split, Stage("main", 1, ()))).keys()


def test_a_rewriter_runs_with_what_was_learnt_and_before_the_reset() -> None:
    split, rewriter = toy_split(), Repeated()
    made = staged(split, Stage("warm", 2, ()), Stage("main", 2, (), reset=("items",), rewrite="made"), rewriter=rewriter)
    initial = made.model.items.weight.clone()
    trained(fit(made, split))
    ((learnt, items, _),) = rewriter.seen
    assert not torch.equal(learnt, initial)
    assert torch.equal(items, split.train.items), "it sees the training part and nothing else"
    assert made.model.context is not None and made.model.context.shape == (len(split.train.lengths), 2)


def test_a_rewriter_works_without_dropout_and_gradients_and_every_part_is_back_in_its_mode_after() -> None:
    class Watching(Repeated):
        def rewrite(self, model: Recommender, histories: Histories, generator: torch.Generator, /) -> Tensor:
            assert not any(part.training for part in model.modules()) and not torch.is_grad_enabled()
            return super().rewrite(model, histories, generator)

    split, rewriter = toy_split(), Watching()
    made = staged(split, Stage("main", 1, (), rewrite="made"), rewriter=rewriter)
    made.model.train()
    made.model.encoders["main"].eval()
    Stages(made, samples(split), 0).enter(made.stages[0])
    assert len(rewriter.seen) == 1
    assert made.model.training and made.model.items.training and not made.model.encoders["main"].training


def test_context_stands_in_front_of_training_rows_and_where_wanted_of_what_is_scored() -> None:
    split = toy_split()
    for at_scoring in (True, False):
        made = staged(split, Stage("main", 1, (), rewrite="made"), rewriter=Repeated(at_scoring))
        run = fit(made, split)
        batch = run.samples.take(torch.arange(5))
        for user, row in zip(batch.users.tolist(), batch.items.split(batch.layout.counts), strict=True):
            first = int(split.train.of(user)[0])
            assert len(row) == 10 or row[:2].tolist() == [first, first]
        assert (made.scoring_context is not None) == at_scoring
        with_it = rank_held_out(made, split.test, seed=0).rank
        made.model.context = None
        assert (with_it == rank_held_out(made, split.test, seed=0).rank).all() == (not at_scoring)


def test_a_stage_has_its_own_rows_batches_rate_and_patience() -> None:
    split = toy_split()
    stage = Stage("main", 50, (), batch_size=7, learning_rate=1e-12, patience=2, min_length=5)
    run = fit(staged(split, stage), split)
    reports = list(run.reports())
    rows = sum(int(length) >= 5 for length in split.train.lengths)
    assert {report.batches for report in reports if isinstance(report, BatchReport)} == {-(-rows // 7)}
    epochs = [report for report in reports if isinstance(report, EpochReport)]
    assert len(epochs) == 3, "nothing is learnt at such a rate, so patience ends it"


def test_by_the_loss_nothing_is_validated_and_the_lowest_is_kept() -> None:
    split = toy_split()
    reports, _ = trained(fit(staged(split, Stage("main", 4, (), monitor="loss", learning_rate=1e-3)), split))
    assert all(report.valid is None for report in reports)
    losses = [report.losses["recommendation"] for report in reports]
    assert [report.improved for report in reports] == [
        not any(earlier <= loss for earlier in losses[:place]) for place, loss in enumerate(losses)
    ]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("stop_after", [1, 2, 3])
def test_a_run_stopped_in_any_stage_resumes_bit_for_bit(stop_after: int) -> None:
    split = toy_split()
    stages = (Stage("warm", 2, ()), Stage("main", 2, (), reset=("items",), rewrite="made", min_length=4))
    undisturbed = staged(split, *stages, rewriter=Repeated())
    expected, final = trained(fit(undisturbed, split))
    first = fit(staged(split, *stages, rewriter=Repeated()), split)
    state = io.BytesIO()
    done = []
    for report in first.reports():
        if isinstance(report, EpochReport):
            done.append(report)
            if len(done) == stop_after:
                torch.save(first.state(), state)
                break
    state.seek(0)
    again = fit(staged(split, *stages, rewriter=Repeated()), split, resume=torch.load(state, weights_only=True))
    rest, found = trained(again)
    assert numbers([*done, *rest]) == numbers(expected)
    assert same(found, final) and "context" in found


def test_weights_with_a_context_load_into_a_fresh_model() -> None:
    split = toy_split()
    made = staged(split, Stage("main", 1, (), rewrite="made"), rewriter=Repeated())
    trained(fit(made, split))
    other = staged(split, Stage("main", 1, (), rewrite="made"), rewriter=Repeated(), seed=5)
    other.model.load_state_dict(weights(made))
    assert same(weights(other), weights(made))
    assert (rank_held_out(other, split.test, seed=0).rank == rank_held_out(made, split.test, seed=0).rank).all()


def test_rows_that_do_not_exist_are_refused_before_anything_is_trained() -> None:
    split = toy_split()
    with pytest.raises(DataError, match="no user has 99 training items"):
        fit(staged(split, Stage("warm", 2, ()), Stage("main", 2, (), min_length=99)), split)


@pytest.mark.parametrize("wrong", [torch.zeros(3, 2, dtype=torch.int64), torch.full((60, 1), 41), torch.zeros(60, 2)])
def test_a_rewriter_that_gives_something_else_is_named(wrong: Tensor) -> None:
    class Wrong(Repeated):
        def rewrite(self, model: Recommender, histories: Histories, generator: torch.Generator, /) -> Tensor:
            return wrong

    split = toy_split()
    with pytest.raises(PluginError, match=r"rewriters\.made: a rewriter gives ids"):
        fit(staged(split, Stage("main", 1, (), rewrite="made"), rewriter=Wrong()), split)


def test_without_stages_nothing_is_trained() -> None:
    split = toy_split()
    run = fit(replace(staged(split, Stage("main", 1, ())), stages=()), split)
    assert run.finished and list(run.reports()) == [] and run.epochs_done == 0
    run.restore_best()
