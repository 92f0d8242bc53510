"""The loop: equal seeds give equal numbers, a resumed run is the undisturbed one, an update moves its own parts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from seqaug.core.assembly import Term, Update
from seqaug.core.step import Step
from seqaug.errors import Diverged
from seqaug.evaluation.metrics import metrics
from seqaug.evaluation.ranking import rank_held_out
from seqaug.training.early_stop import EarlyStop
from seqaug.training.fit import BatchReport, EpochReport, Fit

from ..small import NextItem, assembly, samples, toy_split


@dataclass(frozen=True)
class Options:
    batch_size: int = 16
    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    validate_every: int = 1
    patience: int = 10
    monitor: str = "ndcg@10"


def fit(*, seed: int = 0, resume: dict[str, Any] | None = None, options: Options | None = None, **rest: Any) -> Fit:
    split = toy_split()
    made = assembly(split, seed=seed, **rest)
    return Fit(
        made,
        samples(split),
        seed=seed,
        options=options or Options(),
        validate=lambda: metrics(rank_held_out(made, split.valid, seed=seed).rank),
        resume=resume,
    )


def trained(run: Fit) -> tuple[list[EpochReport], dict[str, Tensor]]:
    reports = [report for report in run.reports() if isinstance(report, EpochReport)]
    return reports, run.assembly.model.state_dict()


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def numbers(reports: list[EpochReport]) -> list[object]:
    return [(r.epoch, r.losses, r.records, r.valid, r.improved, r.stopping) for r in reports]


def test_two_runs_of_one_seed_agree_bit_for_bit_and_another_seed_does_not() -> None:
    first, weights = trained(fit())
    second, again = trained(fit())
    _, other = trained(fit(seed=1))
    assert numbers(first) == numbers(second)
    assert same(weights, again)
    assert not same(weights, other)


@pytest.mark.parametrize("stopped_after", [1, 2, 4])
def test_a_resumed_run_is_the_undisturbed_one_bit_for_bit(stopped_after: int) -> None:
    whole, weights = trained(fit(epochs=4))
    run, seen = fit(epochs=4), []
    for report in run.reports():
        if isinstance(report, EpochReport):
            seen.append(report)
            if len(seen) == stopped_after:
                break
    stored = io.BytesIO()
    torch.save(run.state(), stored)
    stored.seek(0)
    rest, resumed = trained(fit(epochs=4, resume=torch.load(stored, weights_only=True)))
    assert numbers(seen + rest) == numbers(whole)
    assert same(resumed, weights)


def test_the_loss_falls_and_every_batch_is_reported() -> None:
    run = fit(epochs=5)
    reports = list(run.reports())
    epochs = [report for report in reports if isinstance(report, EpochReport)]
    batches = [report for report in reports if isinstance(report, BatchReport)]
    assert epochs[-1].losses["recommendation"] < epochs[0].losses["recommendation"] - 0.3
    assert len(batches) == 5 * run.samples.num_batches(16)
    assert run.finished and run.epochs_done == 5


def test_training_stops_after_patience_validations_without_improvement_and_restores_the_best() -> None:
    split = toy_split()
    made = assembly(split, epochs=50)
    script = iter([0.1, 0.3, 0.2, 0.3, 0.1, 0.9])
    kept: list[dict[str, Tensor]] = []

    def validate() -> dict[str, float]:
        kept.append({name: tensor.clone() for name, tensor in made.model.state_dict().items()})
        return {"ndcg@10": next(script)}

    run = Fit(made, samples(split), seed=0, options=Options(patience=3), validate=validate)
    reports, weights = trained(run)
    assert [report.improved for report in reports] == [True, True, False, False, False]
    assert run.best_epoch == 1
    assert same(weights, kept[1])


def test_validations_are_counted_not_epochs() -> None:
    split = toy_split()
    made = assembly(split, epochs=20)
    script = iter([0.3, 0.1, 0.1, 0.9])
    options = Options(patience=2, validate_every=3)
    run = Fit(made, samples(split), seed=0, options=options, validate=lambda: {"ndcg@10": next(script)})
    reports, _ = trained(run)
    assert [report.epoch for report in reports if report.valid is not None] == [2, 5, 8]


def test_an_early_stop_keeps_the_earliest_of_equals() -> None:
    stop = EarlyStop(patience=2)
    model = nn.Linear(1, 1)
    assert stop.see(0.5, 0, model)
    assert not stop.see(0.5, 1, model)
    assert (stop.best_epoch, stop.without) == (0, 1)


class Spread:
    """The mean square of a head's output on the clean representations."""

    def __call__(self, step: Step, /) -> Tensor:
        head: Tensor = step.model.heads["critic"](step.representation())
        return head.square().mean()


def test_an_update_moves_its_own_parts_and_no_other_has_a_gradient_meanwhile() -> None:
    torch.manual_seed(0)
    spread = Term("spread", Spread(), 1.0)
    updates = (
        Update(("items", "encoders.main"), (Term("recommendation", NextItem(), 1.0),)),
        Update(("heads.critic",), (spread,)),
    )
    run = fit(epochs=1, updates=updates, heads={"critic": nn.Linear(16, 4)})
    parts = run.assembly.model.parts()
    before = {name: [p.detach().clone() for p in part.parameters()] for name, part in parts.items()}
    next(iter(run.reports()))
    assert all(p.grad is None for name in ("items", "encoders.main") for p in parts[name].parameters())
    assert all(p.grad is not None for p in parts["heads.critic"].parameters())
    for name, part in parts.items():
        moved = [not torch.equal(p, old) for p, old in zip(part.parameters(), before[name], strict=True)]
        assert any(moved), f"{name} did not move"


def test_a_part_that_no_update_moves_stays_as_it_was() -> None:
    run = fit(epochs=1, heads={"idle": nn.Linear(16, 4)})
    idle = run.assembly.model.heads["idle"].state_dict()
    before = {name: tensor.clone() for name, tensor in idle.items()}
    trained(run)
    assert same(idle, before)


def test_the_row_of_nothing_stays_zero_and_mask_is_not_trained() -> None:
    run = fit(epochs=2)
    table = run.assembly.model.items
    mask = table.weight[table.mask_id].detach().clone()
    _, _ = trained(run)
    assert (table.weight[0] == 0).all()
    assert torch.equal(table.weight[table.mask_id], mask)


class Never:
    """Fails when it is evaluated."""

    def __call__(self, step: Step, /) -> Tensor:
        raise AssertionError("an objective of weight 0 was evaluated")


def test_a_term_counts_from_its_epoch_on_and_is_not_evaluated_before() -> None:
    class Late(Never):
        def __call__(self, step: Step, /) -> Tensor:
            assert step.epoch == 2
            return torch.zeros(())

    updates = (
        Update(
            ("items", "encoders.main"),
            (Term("r", NextItem(), 1.0), Term("late", Late(), 1.0, from_epoch=2), Term("n", Never(), 0.0)),
        ),
    )
    reports, _ = trained(fit(epochs=3, updates=updates))
    assert ["late" in report.losses for report in reports] == [False, False, True]


def test_a_loss_that_is_not_finite_ends_the_run_with_its_place() -> None:
    with pytest.raises(Diverged, match=r"epoch \d+, batch \d+ \(recommendation (nan|inf)"):
        trained(fit(epochs=3, options=Options(learning_rate=1e30)))


def test_bfloat16_trains_near_float32() -> None:
    split = toy_split()

    def losses(precision: Any) -> list[float]:
        made = assembly(split, epochs=4)
        run = Fit(made, samples(split), seed=0, options=Options(), validate=lambda: {"ndcg@10": 0.0}, precision=precision)
        return [report.losses["recommendation"] for report in trained(run)[0]]

    for half, exact in zip(losses("bfloat16"), losses("float32"), strict=True):
        assert half == pytest.approx(exact, rel=0.03)


def test_on_the_cpu_encoders_stay_in_single_precision_and_products_with_the_catalogue_do_not() -> None:
    split = toy_split()
    seen: set[tuple[torch.dtype, bool]] = set()

    class Products(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._schema.name in ("aten::mm", "aten::addmm"):
                catalogue = split.sequences.num_items in args[-1].shape or split.sequences.num_items in args[-2].shape
                seen.add((args[-1].dtype, catalogue))
            return func(*args, **(kwargs or {}))

    run = Fit(
        assembly(split, epochs=1),
        samples(split),
        seed=0,
        options=Options(),
        validate=lambda: {"ndcg@10": 0.0},
        precision="bfloat16",
    )
    with Products():
        trained(run)
    assert seen == {(torch.float32, False), (torch.bfloat16, True)}


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_smoke_an_epoch_and_an_evaluation_run_and_the_loss_is_that_of_the_cpu() -> None:
    split = toy_split()
    found = {}
    for device in ("cpu", "cuda"):
        made = assembly(split, epochs=2, dropout=0.0)
        made.model.to(device)
        from seqaug.data.samples import Samples

        own = Samples(split, max_length=10, device=device)
        run = Fit(
            made,
            own,
            seed=0,
            options=Options(),
            validate=lambda made=made, device=device: metrics(rank_held_out(made, split.valid, seed=0, device=device).rank),  # type: ignore[misc]
        )
        found[device] = [report.losses["recommendation"] for report in trained(run)[0]]
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-3)
